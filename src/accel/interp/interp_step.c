// SPDX-License-Identifier: MIT
//
// The interpreter one instruction at a time, for the lockstep runner: as the leader, with
// interrupts, devices and prepared blocks (of one instruction each, a->watch says so); as the
// follower, by general operations alone.
#include "src/accel/interp/interp_priv.h"

#include "src/accel/x86/vec.h"

/* A repetition's stretches until it is complete (rep.h). */
#define MAX_STRETCHES (1u << 20)

/* True when it took one: execution goes on elsewhere, or the CPU began or stopped to wait. */
static bool took_event(struct interp_cpu *c)
{
    const struct x86_cpu *cpu = &c->cpu;
    uint64_t rip = cpu->next_rip, sp = cpu->gpr[RSP];
    bool waits = cpu->wait_for_sipi, halted = cpu->halted;
    interp_look_at_requests(c);
    return cpu->next_rip != rip || cpu->gpr[RSP] != sp || cpu->wait_for_sipi != waits ||
           cpu->halted != halted;
}

static bool run_plain(struct interp_cpu *c)
{
    uint64_t before = c->cpu.icount;
    x86_step(&c->cpu);
    return c->cpu.icount != before;
}

static bool run_one(struct interp_cpu *c)
{
    bool plain = c->in->a->watch && c->in->a->watch->plain;
    bool retired = plain ? run_plain(c) : interp_run_block(c);
    vec_fp_release(&c->cpu);
    return retired;
}

/* The caller moves the clock, and there is something to move it to: no sleep. */
static bool time_stands_still(const struct interp *in)
{
    const struct clock *clock = in->a->clock;
    pthread_mutex_lock(in->a->lock);
    bool still = !clock->ops->rearm && clock_next_deadline_ns(clock) != CLOCK_NEVER;
    pthread_mutex_unlock(in->a->lock);
    return still;
}

void interp_step(struct vcpu *v, const struct step_target *until, struct vm_exit *out)
{
    struct interp *in = v->accel->priv;
    struct interp_cpu *c = v->priv;
    struct x86_cpu *cpu = &c->cpu;
    out->kind = EXIT_INTR;
    if (atomic_exchange(&in->kicked, false))
        return;
    in->current = c;
    bool asked = atomic_load(&cpu->attention) || cpu->nmi_pending;
    if (asked && took_event(c)) {
        *out = (struct vm_exit){.kind = EXIT_STEP, .step.did = STEP_EVENT};
        return;
    }
    if (cpu->halted || cpu->wait_for_sipi) {
        if (!time_stands_still(in))
            interp_sleep(in);
        return;
    }
    uint64_t rip = cpu->next_rip;
    bool retired = run_one(c);
    for (unsigned n = 0; until && n < MAX_STRETCHES && cpu->next_rip == rip &&
                         interp_next_address(cpu) != until->address; n++)
        retired = run_one(c);
    *out = (struct vm_exit){.kind = cpu->shutdown ? EXIT_SHUTDOWN : EXIT_STEP};
    if (!cpu->shutdown)
        out->step.did = retired ? STEP_INSN : STEP_FAULT;
}
