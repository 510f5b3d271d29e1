// SPDX-License-Identifier: MIT
//
// Engine lockstep: the leader runs the machine with its devices, the follower runs the same instructions on a copy of RAM and registers, and the
// two are compared. Whatever reaches beyond CPU and RAM happens once, in the leader: an instruction that touched a device, or one whose
// result depends on clock, processor model or interrupt controller, is copied to the follower and counted as "by the leader alone". So are
// interrupts. A device's writes to RAM are copied at the next instruction boundary: the device lock is held while the leader executes one.
//
// Thread: the vCPU's, which also runs the follower; a watchdog kicks a follower that does not come back.
#include "src/accel/lockstep/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "log.h"
#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/x86/flags.h"
#include "src/accel/x86/ops.h"
#include "util.h"

#define ALL_RAM_EVERY (1u << 20)     /* instructions between looks at all of RAM */
#define MAX_WAKEUPS 100              /* of a follower's step by signals that were not for it */

/* --- what the engines tell --- */

static void on_leader_io(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    struct lockstep *ls = opaque;
    (void)v;
    ls->accessed = true;
    ls->a->io(ls->a->io_opaque, ls->outer, exit);
}

/* Only a follower that has gone astray gets here inside its own run. */
static void on_follower_io(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    (void)v;
    struct lockstep *ls = opaque;
    atomic_store(&ls->watchdog.gave_up, true);
    if (exit->kind == EXIT_PIO && !exit->pio.write)
        memset(exit->pio.data, 0xff, (size_t)exit->pio.size * exit->pio.count);
    if (exit->kind == EXIT_MMIO && !exit->mmio.write)
        memset(exit->mmio.data, 0xff, exit->mmio.size);
}

static void on_stored(void *opaque, gpa_t gpa, uint64_t len)
{
    struct lockstep *ls = opaque;
    ranges_add(&ls->stored, gpa, len);
}

static void on_apic(void *opaque)
{
    struct lockstep *ls = opaque;
    ls->accessed = true;
}

/* A device wrote; under the device lock, or while no vCPU runs. */
static void on_dma(void *opaque, gpa_t gpa, uint64_t len)
{
    struct lockstep *ls = opaque;
    ranges_add(&ls->dma, gpa, len);
    ls->wrote(ls->wrote_opaque, gpa, len);
}

static void limit_leader_cpuid(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct lockstep *ls = opaque;
    ls->follow.ops->cpuid_limit(&ls->follow, leaf, subleaf, regs);
}

static void give_follower_cpuid(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct lockstep *ls = opaque;
    ls->lead.ops->cpuid(&ls->lead_cpu, leaf, subleaf, regs);
}

/* --- set-up --- */

static void ignore_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque, (void)deadline_ns;
}

static void wire_engines(struct lockstep *ls)
{
    struct accel *a = ls->a;
    ls->lead_watch = (struct accel_watch){.stored = on_stored, .apic = on_apic, .opaque = ls};
    ls->follow_watch = (struct accel_watch){.plain = true, .opaque = ls};
    if (ls->cfg->follower->cpuid_limit) {
        ls->lead_watch.cpuid = limit_leader_cpuid;
        ls->follow_watch.cpuid = give_follower_cpuid;
    }
    ls->lead = (struct accel){
        .ops = ls->cfg->leader, .gmem = a->gmem, .loop = a->loop, .lock = a->lock, .pio = a->pio, .mmio = a->mmio,
        .clock = a->clock, .io = on_leader_io, .io_opaque = ls, .vcpus = &ls->lead_cpu, .nvcpus = 1,
        .watch = &ls->lead_watch,
    };
    ls->follow = (struct accel){
        .ops = ls->cfg->follower, .gmem = &ls->ram, .loop = a->loop, .lock = &ls->follow_lock, .pio = &ls->pio,
        .mmio = &ls->mmio, .clock = &ls->clock, .io = on_follower_io, .io_opaque = ls, .vcpus = &ls->follow_cpu,
        .nvcpus = 1, .watch = &ls->follow_watch,
    };
    ls->lead_cpu.accel = &ls->lead;
    ls->follow_cpu.accel = &ls->follow;
    bus_init(&ls->pio, "pio", 0x10000);
    bus_init(&ls->mmio, "mmio", 0);
    clock_init_host(&ls->clock, ignore_deadline, NULL);
}

static void lockstep_vm_fini(struct accel *a)
{
    struct lockstep *ls = a->priv;
    if (!ls)
        return;
    watchdog_end(&ls->watchdog);
    if (ls->lead.priv)
        ls->lead.ops->vm_fini(&ls->lead);
    if (ls->follow.priv)
        ls->follow.ops->vm_fini(&ls->follow);
    gmem_fini(&ls->ram);
    pthread_mutex_destroy(&ls->follow_lock);
    free(ls->suspect);
    free(ls->scratch);
    free(ls);
    a->priv = NULL;
    a->intc = NULL;
}

/* The engines' messages open with the option that would have chosen them. */
static int open_follower(struct lockstep *ls, struct err *err)
{
    struct err why = {0};
    char option[48];
    int rc = ls->follow.ops->vm_init(&ls->follow, &why);
    if (!rc)
        return 0;
    int n = snprintf(option, sizeof option, "-accel %s: ", ls->follow.ops->name);
    return err_set(err, -rc, "-accel lockstep: %s does not work here: %s; possible everywhere: lockstep=interp,interp",
                   ls->follow.ops->name, strncmp(why.msg, option, (size_t)n) ? why.msg : why.msg + n);
}

static int init_steps(struct lockstep *ls, struct err *err)
{
    const struct gmem *gm = ls->a->gmem;
    const struct ram_slot *top = &gm->slots[gm->nslots - 1];
    int rc = gmem_init(&ls->ram, gm->size, RAM_HOLE_START, RAM_HOLE_END, err);
    if (rc)
        return rc;
    ls->suspect = calloc((top->base + top->size) / 0x1000, 1);
    ls->scratch = aligned_alloc(64, align_up(sizeof *ls->scratch, 64));
    if (!ls->suspect || !ls->scratch)
        return err_set(err, ENOMEM, "-accel lockstep: out of memory");
    memset(ls->scratch, 0, sizeof *ls->scratch);
    rc = open_follower(ls, err);
    if (!rc)
        rc = ls->lead.ops->vm_init(&ls->lead, err);
    if (rc)
        return rc;
    ls->a->intc = ls->lead.intc;
    ls->wrote = ls->a->gmem->wrote;
    ls->wrote_opaque = ls->a->gmem->wrote_opaque;
    ls->a->gmem->wrote = on_dma;
    ls->a->gmem->wrote_opaque = ls;
    return watchdog_begin(&ls->watchdog, &ls->follow_cpu, err);
}

static int lockstep_vm_init(struct accel *a, struct err *err)
{
    if (a->nvcpus > 1)
        return err_set(err, EINVAL, "-accel lockstep: compares one vCPU; give -smp 1, not %u", a->nvcpus);
    struct lockstep *ls = calloc(1, sizeof *ls);
    if (!ls)
        return err_set(err, ENOMEM, "-accel lockstep: out of memory");
    ls->a = a;
    ls->cfg = a->lockstep;
    ls->must_sync = true;
    a->priv = ls;
    pthread_mutex_init(&ls->follow_lock, NULL);
    wire_engines(ls);
    int rc = init_steps(ls, err);
    if (rc)
        lockstep_vm_fini(a);
    return rc;
}

static int lockstep_vcpu_init(struct vcpu *v, struct err *err)
{
    struct lockstep *ls = v->accel->priv;
    v->priv = ls;
    ls->outer = v;
    int rc = ls->lead.ops->vcpu_init(&ls->lead_cpu, err);
    return rc ? rc : ls->follow.ops->vcpu_init(&ls->follow_cpu, err);
}

static void lockstep_vcpu_fini(struct vcpu *v)
{
    struct lockstep *ls = v->priv;
    if (!ls)
        return;
    log_msg(LOG_ACCEL, "lockstep: %llu instructions; %llu compared, %llu by the leader alone; %llu interrupts",
            (unsigned long long)ls->count, (unsigned long long)ls->compared, (unsigned long long)ls->alone,
            (unsigned long long)ls->events);
    ls->lead.ops->vcpu_fini(&ls->lead_cpu);
    ls->follow.ops->vcpu_fini(&ls->follow_cpu);
    v->priv = NULL;
}

static int lockstep_reset(struct accel *a, struct err *err)
{
    struct lockstep *ls = a->priv;
    ls->must_sync = true;
    int rc = ls->lead.ops->reset(&ls->lead, err);
    return rc ? rc : ls->follow.ops->reset(&ls->follow, err);
}

static void lockstep_kick(struct vcpu *v)
{
    struct lockstep *ls = v->priv;
    if (ls)
        ls->lead.ops->kick(&ls->lead_cpu);
}

static uint64_t lockstep_rip(struct vcpu *v)
{
    struct lockstep *ls = v->priv;
    return ls->lead.ops->rip(&ls->lead_cpu);
}

static int lockstep_get_state(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    struct lockstep *ls = v->priv;
    return ls->lead.ops->get_state(&ls->lead_cpu, out, err);
}

static int lockstep_set_state(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    struct lockstep *ls = v->priv;
    ls->must_sync = true;
    return ls->lead.ops->set_state(&ls->lead_cpu, in, err);
}

/* --- failing --- */

static bool differ(struct lockstep *ls, const char *what)
{
    ls->difference = (struct difference){0};
    snprintf(ls->difference.what, sizeof ls->difference.what, "%s", what);
    return false;
}

static void fail(struct lockstep *ls)
{
    ls->failed = true;
    snprintf(ls->why, sizeof ls->why, "%s and %s differ after %llu instructions: %s", ls->lead.ops->name,
             ls->follow.ops->name, (unsigned long long)ls->count, ls->difference.what);
    lockstep_tell(ls);
    ls->outer->story = ls->story;
}

/* An engine's own error. */
static void fail_with(struct lockstep *ls, const char *what)
{
    ls->failed = true;
    snprintf(ls->why, sizeof ls->why, "after %llu instructions: %.200s", (unsigned long long)ls->count, what);
}

/* --- the follower --- */

static bool read_follower(struct lockstep *ls)
{
    struct err err = {0};
    if (!ls->follow.ops->get_state(&ls->follow_cpu, &ls->theirs, &err))
        return true;
    fail_with(ls, err.msg);
    return false;
}

/* Nothing of this reaches the follower's interrupt handling, which is asleep. */
static bool set_follower(struct lockstep *ls, const struct cpu_state *s)
{
    struct err err = {0};
    struct cpu_state copy = *s;
    copy.apic_base = ls->follow_apic_base;
    copy.run = CPU_RUNNING;
    copy.interrupt_shadow = copy.nmi_blocked = copy.nmi_pending = false;
    if (!ls->follow.ops->set_state(&ls->follow_cpu, &copy, &err))
        return true;
    fail_with(ls, err.msg);
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

static bool step_follower(struct lockstep *ls, const struct step_target *until)
{
    struct vm_exit exit;
    char why[128], what[160];
    watchdog_step_begins(&ls->watchdog);
    unsigned tries = 0;
    do
        ls->follow.ops->step(&ls->follow_cpu, until, &exit);
    while (exit.kind == EXIT_INTR && !atomic_load(&ls->watchdog.gave_up) && ++tries < MAX_WAKEUPS);
    watchdog_step_ends(&ls->watchdog);
    if (exit.kind == EXIT_STEP && !atomic_load(&ls->watchdog.gave_up))
        return true;
    describe_exit(&exit, why, sizeof why);
    snprintf(what, sizeof what, "%s: %s", ls->follow.ops->name, why);
    if (read_follower(ls)) {
        struct difference registers = {0};
        differ(ls, what);
        if (!lockstep_same(&ls->after, &ls->theirs, 0, &registers))
            memcpy(ls->difference.field, registers.field, sizeof registers.field);
        fail(ls);
    }
    return false;
}

/* --- comparing --- */

/* The follower as it is now against a state of the leader, and the stores of [0, stores). */
static bool check(struct lockstep *ls, const struct cpu_state *leader, uint64_t undefined, unsigned stores)
{
    if (!read_follower(ls))
        return false;
    bool same = lockstep_same(leader, &ls->theirs, undefined, &ls->difference) && lockstep_same_ram(ls, stores);
    if (same && ls->count % ALL_RAM_EVERY == 0)
        same = lockstep_same_all_ram(ls);
    if (!same)
        fail(ls);
    return same;
}

static void forget_stores(struct lockstep *ls)
{
    ls->stored.n = 0;
    ls->stored.all = false;
    ls->unchecked = 0;
}

/* The leader alone did this. What came before it in the follower is looked at first. */
static bool copy_to_follower(struct lockstep *ls)
{
    if (ls->unchecked && !check(ls, &ls->before, 0, ls->stored_before))
        return false;
    lockstep_copy_stores(ls, ls->stored_before);
    forget_stores(ls);
    return set_follower(ls, &ls->after);
}

static bool compare(struct lockstep *ls, uint64_t undefined, bool image)
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
    forget_stores(ls);
    bool flags_differ = (ls->after.rflags ^ ls->theirs.rflags) & undefined;
    return flags_differ ? set_follower(ls, &ls->after) : true;
}

static uint64_t undefined_flags(struct lockstep *ls)
{
    if (!ls->now.len)
        return 0;
    if (ls->now.insn.op == op_syscall)
        return FL_ARITH; /* defined, but an emulated processor is known to clear them */
    memcpy(ls->scratch->gpr, ls->before.gpr, sizeof ls->before.gpr);
    return x86_undefined_flags(ls->scratch, &ls->now.insn);
}

/* After the leader's instruction. */
static bool follow(struct lockstep *ls, enum step_did did)
{
    enum lockstep_class class = lockstep_classify(&ls->before, &ls->now);
    const struct step_target target = {lockstep_linear_rip(&ls->after), lockstep_is_user(&ls->after)};
    ls->faulted = did == STEP_FAULT;
    bool until = ls->faulted || class == CLASS_UNTIL;
    bool stays = target.address == lockstep_linear_rip(&ls->before);
    if (class == CLASS_ALONE || ls->accessed || (until && stays)) {
        ls->alone++;
        return copy_to_follower(ls);
    }
    if (!step_follower(ls, until ? &target : NULL))
        return false;
    return compare(ls, did == STEP_FAULT ? 0 : undefined_flags(ls), class == CLASS_IMAGE);
}

/* --- the leader --- */

static bool read_leader(struct lockstep *ls, struct cpu_state *out)
{
    struct err err = {0};
    if (!ls->lead.ops->get_state(&ls->lead_cpu, out, &err))
        return true;
    fail_with(ls, err.msg);
    return false;
}

static bool sync_follower(struct lockstep *ls)
{
    forget_stores(ls);
    ls->must_sync = false;
    if (!read_leader(ls, &ls->before) || !read_follower(ls))
        return false;
    ls->follow_apic_base = ls->theirs.apic_base;
    lockstep_copy_ram(ls);
    ls->dma.n = 0;
    ls->dma.all = false;
    return set_follower(ls, &ls->before);
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

static void note_history(struct lockstep *ls, enum step_did did)
{
    ls->last[ls->count++ % LOCKSTEP_HISTORY] = ls->now;
    if (did == STEP_INSN && ls->after.rip == ls->before.rip + ls->now.len)
        return;
    ls->branches[ls->nbranches++ % LOCKSTEP_HISTORY] = (struct branch){ls->before.rip, ls->after.rip};
}

/*
 * A repeated string instruction of the leader's may come back before it is complete; the follower waits until it is, or until
 * something else happens. Everything that the leader reads or writes of RAM meanwhile stands still for devices.
 */
static bool is_incomplete(const struct lockstep *ls, const struct vm_exit *exit)
{
    bool repeats = ls->now.len && ls->now.insn.flags & (INSN_REP | INSN_REPNE);
    return exit->kind == EXIT_STEP && exit->step.did == STEP_INSN && repeats && ls->after.rip == ls->before.rip &&
           !ls->accessed;
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

/* One step of both. False: *out says why to stop. */
static bool step_both(struct lockstep *ls, struct vm_exit *out)
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
    bool waits = ls->before.run != CPU_RUNNING; /* the leader may sleep, which devices must not have to wait for */
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
        ls->branches[ls->nbranches++ % LOCKSTEP_HISTORY] = (struct branch){ls->before.rip, ls->after.rip};
        ok = copy_to_follower(ls);
    } else {
        note_history(ls, out->step.did);
        ok = follow(ls, out->step.did);
    }
    ls->before = ls->after;
    return ok;
}

static void lockstep_run(struct vcpu *v, struct vm_exit *out)
{
    struct lockstep *ls = v->priv;
    while (!ls->failed && step_both(ls, out))
        ;
    if (ls->failed) {
        out->kind = EXIT_FAIL;
        snprintf(out->fail.why, sizeof out->fail.why, "%s", ls->why);
    }
}

const struct accel_ops lockstep_accel = {
    .name = "lockstep",
    .help = "two engines at once, compared after each instruction: lockstep=interp,kvm or interp,interp",
    .caps = ACCEL_CAP_CPU | ACCEL_CAP_IRQCHIP,
    .vm_init = lockstep_vm_init,
    .vm_fini = lockstep_vm_fini,
    .reset = lockstep_reset,
    .vcpu_init = lockstep_vcpu_init,
    .vcpu_fini = lockstep_vcpu_fini,
    .run = lockstep_run,
    .kick = lockstep_kick,
    .rip = lockstep_rip,
    .get_state = lockstep_get_state,
    .set_state = lockstep_set_state,
};
