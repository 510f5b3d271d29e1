// SPDX-License-Identifier: MIT
//
// One step of both engines: the leader's under the device lock, the clock before it, and what the
// follower does after it.
#include <string.h>

#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/x86/flags.h"
#include "src/accel/x86/ops.h"

/* --- after the leader's instruction --- */

static uint64_t undefined_flags(struct lockstep *ls)
{
    if (!ls->now.len)
        return 0;
    if (ls->now.insn.op == op_syscall)
        return FL_ARITH; /* defined, but an emulated processor is known to clear them */
    memcpy(ls->scratch->gpr, ls->before.gpr, sizeof ls->before.gpr);
    return x86_undefined_flags(ls->scratch, &ls->now.insn);
}

static bool follow(struct lockstep *ls, enum step_did did)
{
    enum lockstep_class class = lockstep_classify(&ls->before, &ls->now);
    const struct step_target target = {lockstep_linear_rip(&ls->after),
                                       lockstep_is_user(&ls->after)};
    ls->faulted = did == STEP_FAULT;
    bool until = ls->faulted || class == CLASS_UNTIL;
    bool stays = target.address == lockstep_linear_rip(&ls->before);
    if (class == CLASS_ALONE || ls->accessed || (until && stays)) {
        ls->alone++;
        return lockstep_copy_to_follower(ls);
    }
    if (!lockstep_step_follower(ls, until ? &target : NULL))
        return false;
    return lockstep_compare(ls, ls->faulted ? 0 : undefined_flags(ls), class == CLASS_IMAGE);
}

/* --- the leader --- */

static bool read_leader(struct lockstep *ls, struct cpu_state *out)
{
    struct err err = {0};
    if (!ls->lead.ops->get_state(&ls->lead_cpu, out, &err))
        return true;
    lockstep_fail_with(ls, err.msg);
    return false;
}

static bool sync_follower(struct lockstep *ls)
{
    lockstep_forget_stores(ls);
    ls->must_sync = false;
    if (!read_leader(ls, &ls->before) || !lockstep_read_follower(ls))
        return false;
    ls->follow_apic_base = ls->theirs.apic_base;
    lockstep_copy_ram(ls);
    ls->dma.n = 0;
    ls->dma.all = false;
    return lockstep_set_follower(ls, &ls->before);
}

/* A stepped clock goes by instructions, and jumps when the CPU waits. */
static void move_clock(struct lockstep *ls)
{
    struct clock *clock = ls->a->clock;
    uint64_t next = clock_next_deadline_ns(clock);
    if (!ls->cfg->ns_per_insn)
        return;
    if (ls->before.run == CPU_RUNNING)
        clock_step(clock, ls->cfg->ns_per_insn);
    else if (next != CLOCK_NEVER)
        clock_step(clock, next > clock_now_ns(clock) ? next - clock_now_ns(clock) : 0);
}

static void note_branch(struct lockstep *ls)
{
    const struct branch taken = {ls->before.rip, ls->after.rip};
    ls->branches[ls->nbranches++ % LOCKSTEP_HISTORY] = taken;
}

static void note_insn(struct lockstep *ls, enum step_did did)
{
    ls->last[ls->count++ % LOCKSTEP_HISTORY] = ls->now;
    if (did != STEP_INSN || ls->after.rip != ls->before.rip + ls->now.len)
        note_branch(ls);
}

/*
 * A repeated string instruction of the leader's may come back before it is complete; the follower
 * waits until it is, or until something else happens. Everything that the leader reads or writes of
 * RAM meanwhile stands still for devices.
 */
static bool is_incomplete(const struct lockstep *ls, const struct vm_exit *exit)
{
    bool repeats = ls->now.len && ls->now.insn.flags & (INSN_REP | INSN_REPNE);
    bool stepped = exit->kind == EXIT_STEP && exit->step.did == STEP_INSN;
    return stepped && repeats && ls->after.rip == ls->before.rip && !ls->accessed;
}

static bool run_leader(struct lockstep *ls, struct vm_exit *exit)
{
    do {
        ls->lead.ops->step(&ls->lead_cpu, NULL, exit);
        if (exit->kind == EXIT_STEP && !read_leader(ls, &ls->after))
            return false;
    } while (is_incomplete(ls, exit));
    return true;
}

bool lockstep_step_both(struct lockstep *ls, struct vm_exit *out)
{
    pthread_mutex_lock(ls->a->lock);
    if (ls->must_sync && !sync_follower(ls)) {
        pthread_mutex_unlock(ls->a->lock);
        return false;
    }
    lockstep_take_dma(ls);
    move_clock(ls);
    lockstep_fetch(&ls->before, ls->a->gmem, &ls->now);
    if (!ls->resumes)
        ls->stored_before = ls->stored.n;
    ls->resumes = false;
    ls->accessed = false;
    bool waits = ls->before.run != CPU_RUNNING; /* may sleep, which devices must not wait for */
    if (waits)
        pthread_mutex_unlock(ls->a->lock);
    bool ok = run_leader(ls, out);
    if (!waits)
        pthread_mutex_unlock(ls->a->lock);
    ls->resumes = out->kind == EXIT_INTR; /* perhaps in the middle of a repetition */
    if (!ok || out->kind != EXIT_STEP)
        return false;
    if (out->step.did == STEP_EVENT) {
        ls->events++;
        note_branch(ls);
        ok = lockstep_copy_to_follower(ls);
    } else {
        note_insn(ls, out->step.did);
        ok = follow(ls, out->step.did);
    }
    ls->before = ls->after;
    return ok;
}
