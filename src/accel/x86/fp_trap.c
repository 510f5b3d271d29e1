// SPDX-License-Identifier: MIT
//
// SIGFPE of a guest's instruction: note the flags, mask all exceptions, let the instruction run
// again; its result is thrown away.
#include "fp_trap.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

#define ARMED (1u << 30)
#define FLAGS 0x003fu
#define MASKS 0x1f80u

static struct sigaction previous;
static _Thread_local volatile uint32_t trap;

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0; /* by a process, this one or another */
    if (sent || !(trap & ARMED)) {
        sigaction(sig, &previous, NULL); /* happens again, under the earlier handler */
        if (sent)
            raise(sig); /* held back until this handler returns */
        return;
    }
    ucontext_t *uc = context;
    uint32_t *mxcsr = &uc->uc_mcontext.fpregs->mxcsr;
    trap = FP_TRAPPED | (*mxcsr & FLAGS);
    *mxcsr |= MASKS;
}

void fp_trap_init(void)
{
    struct sigaction sa = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGFPE, &sa, &previous);
}

void fp_trap_arm(void)
{
    trap = ARMED;
}

uint32_t fp_trap_disarm(void)
{
    uint32_t seen = trap;
    trap = 0;
    return seen;
}
