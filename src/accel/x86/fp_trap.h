// SPDX-License-Identifier: MIT
//
// Precise traps of unmasked SIMD floating-point exceptions, by the host's own (vec.h tells the
// scheme). Apart from the rest because the names of registers in <signal.h> are those of insn.h.
#pragma once

#include <stdint.h>

#define FP_TRAPPED (1u << 31) /* the flags of the exception are in the low bits */

/* Take over SIGFPE, process-wide; what is not ours goes on to the earlier handler. */
void fp_trap_init(void);
/* From here to fp_trap_disarm, SIGFPE in this thread belongs to a guest's instruction. It must not
 * be blocked. */
void fp_trap_arm(void);
/* Whether there was one. */
uint32_t fp_trap_disarm(void);
