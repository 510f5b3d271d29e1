// SPDX-License-Identifier: MIT
//
// The registers as gdb numbers and sees them, and the description that tells it so (target.xml).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cpu_state.h"

#define REG_BYTES_MAX 16
#define REGS_BYTES_MAX 1024 /* all of them */

/* How many there are. */
unsigned regs_count(void);
/* Bytes of register n; 0: there is none. */
unsigned regs_get(const struct cpu_state *cpu, unsigned n, void *buf);
unsigned regs_size(unsigned n);
/* False: not this register, or not to this value. */
bool regs_put(struct cpu_state *cpu, unsigned n, const void *buf);

/* The text, made once. */
const char *regs_description(size_t *len);
