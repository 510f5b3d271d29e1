// SPDX-License-Identifier: MIT
//
// What an engine calls around the operation functions. An engine's life:
//
//   x86_cpu_init; x86_reset; then
//   setjmp(cpu->fault_landing): when it returns non-zero, x86_deliver_exception(cpu) and go on;
//   loop:
//     if (x86_can_nmi(cpu)) x86_nmi(cpu);
//     else if (x86_can_interrupt(cpu) and the APIC has a vector) x86_interrupt(cpu, vector);
//     if (cpu->shutdown) triple fault; if (cpu->halted or cpu->wait_for_sipi) sleep;
//     if (x86_wants_steps(cpu)) x86_step(cpu); -- single steps, breakpoints, RF: rare, exact, slow
//     else run instructions: rip, next_rip, gpr[REG_RIP]; op(); rip = next_rip; ++icount
//
// Between instructions next_rip is where execution goes on; the functions below start and end
// there. interrupt_shadow (and debug_shadow) must be cleared by the engine after the one
// instruction that follows the one which set it; x86_step does it.
#pragma once

#include "cpu.h"
#include "err.h"
#include "gmem.h"

/* env stays the caller's; the struct may be of any contents before. */
int x86_cpu_init(struct x86_cpu *cpu, struct x86_env *env, unsigned id, struct err *err);
void x86_cpu_fini(struct x86_cpu *cpu);

/* Power-on or RESET; INIT (registers of SDM vol. 3 table 10-1 only; then waits for SIPI unless it
 * is the bootstrap processor); SIPI. */
void x86_reset(struct x86_cpu *cpu, bool bootstrap);
void x86_init_ipi(struct x86_cpu *cpu);
void x86_sipi(struct x86_cpu *cpu, uint8_t vector);

/* To and from the neutral state (state.c). x86_put_state: -EINVAL when the state is not one a CPU
 * can be in. */
void x86_get_state(struct x86_cpu *cpu, struct cpu_state *out);
int x86_put_state(struct x86_cpu *cpu, const struct cpu_state *in);

/*
 * After the landing: deliver cpu->exception, double faults and triple faults (cpu->shutdown)
 * included. Does not raise; the landing is the engine's again afterwards.
 */
void x86_deliver_exception(struct x86_cpu *cpu);

static inline bool x86_can_interrupt(const struct x86_cpu *cpu)
{
    return cpu->rflags & FL_IF && !cpu->interrupt_shadow && !cpu->wait_for_sipi && !cpu->shutdown;
}

static inline bool x86_can_nmi(const struct x86_cpu *cpu)
{
    return cpu->nmi_pending && !cpu->nmi_blocked && !cpu->interrupt_shadow && !cpu->wait_for_sipi &&
           !cpu->shutdown;
}

/* Take a maskable interrupt, or the pending NMI: wakes from HLT. Neither raises. */
void x86_interrupt(struct x86_cpu *cpu, uint8_t vector);
void x86_nmi(struct x86_cpu *cpu);

/* Single-step flag, breakpoints or RF ask for x86_step in place of fast execution. */
static inline bool x86_wants_steps(const struct x86_cpu *cpu)
{
    return cpu->rflags & (FL_TF | FL_RF) || cpu->dr[7] & DR7_ENABLES || cpu->pending_db ||
           cpu->debug_shadow;
}

/*
 * Decode and execute one instruction with everything that belongs to it: instruction breakpoints,
 * faults, single-step and data breakpoint traps, interrupt shadow. Sets its own landing and
 * restores the caller's. Nothing when halted, waiting for SIPI or shut down.
 */
void x86_step(struct x86_cpu *cpu);

/*
 * Host and physical address of the code at cs:rip, and how many bytes from there on lie in its page
 * and code segment. NULL: not RAM, then only *gpa and *avail are right. Raises #PF, #GP(0) for that
 * first byte.
 */
const uint8_t *x86_code_at(struct x86_cpu *cpu, uint64_t rip, gpa_t *gpa, unsigned *avail);

/* Decode the instruction at rip in the present mode. Raises what fetching raises. */
void x86_fetch_insn(struct x86_cpu *cpu, uint64_t rip, struct insn *out);
