// SPDX-License-Identifier: MIT
//
// The follower: its steps, its state against the leader's, and what is copied to it because only
// the leader could do it. Differences and errors end the run.
#include <stdio.h>

#include "src/accel/lockstep/lockstep_priv.h"

#define ALL_RAM_EVERY (1u << 20) /* instructions between looks at all of RAM */
#define MAX_WAKEUPS 100          /* of a follower's step by signals that were not for it */

/* --- failing --- */

static void fail(struct lockstep *ls)
{
    ls->failed = true;
    snprintf(ls->why, sizeof ls->why, "%s and %s differ after %llu instructions: %s",
             ls->lead.ops->name, ls->follow.ops->name, (unsigned long long)ls->count,
             ls->difference.what);
    lockstep_tell(ls);
    ls->outer->story = ls->story;
}

void lockstep_fail_with(struct lockstep *ls, const char *what)
{
    ls->failed = true;
    snprintf(ls->why, sizeof ls->why, "after %llu instructions: %.200s",
             (unsigned long long)ls->count, what);
}

/* --- its steps --- */

bool lockstep_read_follower(struct lockstep *ls)
{
    struct err err = {0};
    if (!ls->follow.ops->get_state(&ls->follow_cpu, &ls->theirs, &err))
        return true;
    lockstep_fail_with(ls, err.msg);
    return false;
}

bool lockstep_set_follower(struct lockstep *ls, const struct cpu_state *s)
{
    struct err err = {0};
    struct cpu_state copy = *s;
    copy.apic_base = ls->follow_apic_base;
    copy.run = CPU_RUNNING;
    copy.interrupt_shadow = copy.nmi_blocked = copy.nmi_pending = false;
    if (!ls->follow.ops->set_state(&ls->follow_cpu, &copy, &err))
        return true;
    lockstep_fail_with(ls, err.msg);
    return false;
}

static void describe_exit(const struct vm_exit *exit, char *buf, size_t len)
{
    switch (exit->kind) {
    case EXIT_PIO:
        snprintf(buf, len, "it %s port %#x", exit->pio.write ? "writes" : "reads", exit->pio.port);
        break;
    case EXIT_MMIO:
        snprintf(buf, len, "it %s %#llx, which is no RAM", exit->mmio.write ? "writes" : "reads",
                 (unsigned long long)exit->mmio.addr);
        break;
    case EXIT_SHUTDOWN:
        snprintf(buf, len, "triple fault");
        break;
    case EXIT_STEP:
        snprintf(buf, len, "it reaches a device");
        break;
    case EXIT_FAIL:
        snprintf(buf, len, "%.120s", exit->fail.why);
        break;
    default:
        snprintf(buf, len, "no end of the step within %d s", WATCHDOG_PATIENCE_S);
        break;
    }
}

static void fail_step(struct lockstep *ls, const struct vm_exit *exit)
{
    char why[128];
    if (!lockstep_read_follower(ls))
        return;
    ls->difference = (struct difference){0};
    lockstep_same(&ls->after, &ls->theirs, 0, &ls->difference); /* for the report's marks */
    describe_exit(exit, why, sizeof why);
    snprintf(ls->difference.what, sizeof ls->difference.what, "%s: %s", ls->follow.ops->name, why);
    fail(ls);
}

bool lockstep_step_follower(struct lockstep *ls, const struct step_target *until)
{
    struct vm_exit exit;
    watchdog_step_begins(&ls->watchdog);
    unsigned tries = 0;
    do
        ls->follow.ops->step(&ls->follow_cpu, until, &exit);
    while (exit.kind == EXIT_INTR && !atomic_load(&ls->watchdog.gave_up) && ++tries < MAX_WAKEUPS);
    watchdog_step_ends(&ls->watchdog);
    if (exit.kind == EXIT_STEP && !atomic_load(&ls->watchdog.gave_up))
        return true;
    fail_step(ls, &exit);
    return false;
}

/* --- comparing --- */

/* The follower as it is now against a state of the leader, and the stores of [0, stores). */
static bool check(struct lockstep *ls, const struct cpu_state *leader, uint64_t undefined,
                  unsigned stores)
{
    if (!lockstep_read_follower(ls))
        return false;
    bool same = lockstep_same(leader, &ls->theirs, undefined, &ls->difference) &&
                lockstep_same_ram(ls, stores);
    if (same && ls->count % ALL_RAM_EVERY == 0)
        same = lockstep_same_all_ram(ls);
    if (!same)
        fail(ls);
    return same;
}

void lockstep_forget_stores(struct lockstep *ls)
{
    ls->stored.n = 0;
    ls->stored.all = false;
    ls->unchecked = 0;
}

bool lockstep_copy_to_follower(struct lockstep *ls)
{
    if (ls->unchecked && !check(ls, &ls->before, 0, ls->stored_before))
        return false;
    lockstep_copy_stores(ls, ls->stored_before);
    lockstep_forget_stores(ls);
    return lockstep_set_follower(ls, &ls->after);
}

bool lockstep_compare(struct lockstep *ls, uint64_t undefined, bool image)
{
    unsigned stores = image ? ls->stored_before : ls->stored.n;
    ls->unchecked++;
    ls->compared++;
    if (ls->unchecked < ls->cfg->every && !undefined && !image && !ls->faulted)
        return true;
    if (!check(ls, &ls->after, undefined, stores))
        return false;
    if (image)
        lockstep_copy_stores(ls, ls->stored_before);
    lockstep_forget_stores(ls);
    bool flags_differ = (ls->after.rflags ^ ls->theirs.rflags) & undefined;
    return flags_differ ? lockstep_set_follower(ls, &ls->after) : true;
}
