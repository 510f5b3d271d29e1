// SPDX-License-Identifier: MIT
//
// Engine lockstep: the leader runs the machine with its devices, the follower runs the same
// instructions on a copy of RAM and registers, and the two are compared. Whatever reaches beyond
// CPU and RAM happens once, in the leader: an instruction that touched a device, or one whose
// result depends on clock, processor model or interrupt controller, is copied to the follower and
// counted as "by the leader alone". So are interrupts. A device's writes to RAM are copied at the
// next instruction boundary: the device lock is held while the leader executes one.
//
// Thread: the vCPU's, which also runs the follower; a watchdog kicks a follower that does not come
// back.
#include "src/accel/lockstep/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_model.h"
#include "layout.h"
#include "log.h"
#include "src/accel/lockstep/lockstep_priv.h"
#include "util.h"

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

/* --- set-up --- */

static void ignore_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque, (void)deadline_ns;
}

static void wire_engines(struct lockstep *ls)
{
    struct accel *a = ls->a;
    cpu_features_all(&ls->features);
    ls->lead_watch = (struct accel_watch){
        .stored = on_stored, .apic = on_apic, .features = &ls->features, .opaque = ls,
    };
    ls->follow_watch = (struct accel_watch){.plain = true, .features = &ls->features};
    ls->lead = (struct accel){
        .ops = ls->cfg->leader,
        .gmem = a->gmem,
        .loop = a->loop,
        .lock = a->lock,
        .pio = a->pio,
        .mmio = a->mmio,
        .clock = a->clock,
        .io = on_leader_io,
        .io_opaque = ls,
        .vcpus = &ls->lead_cpu,
        .nvcpus = 1,
        .cpu = a->cpu,
        .watch = &ls->lead_watch,
    };
    ls->follow = (struct accel){
        .ops = ls->cfg->follower,
        .gmem = &ls->ram,
        .loop = a->loop,
        .lock = &ls->follow_lock,
        .pio = &ls->pio,
        .mmio = &ls->mmio,
        .clock = &ls->clock,
        .io = on_follower_io,
        .io_opaque = ls,
        .vcpus = &ls->follow_cpu,
        .nvcpus = 1,
        .watch = &ls->follow_watch,
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

static int open_follower(struct lockstep *ls, struct err *err)
{
    struct err why = {0};
    int rc = ls->follow.ops->vm_init(&ls->follow, &why);
    if (!rc)
        return 0;
    return err_set(err, -rc,
                   "-accel lockstep: %s does not work here: %s; possible everywhere: "
                   "lockstep=interp,interp",
                   ls->follow.ops->name, accel_reason(ls->follow.ops, &why));
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
        return err_set(err, EINVAL, "-accel lockstep: compares one vCPU; give -smp 1, not %u",
                       a->nvcpus);
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
    log_msg(LOG_ACCEL,
            "lockstep: %llu instructions; %llu compared, %llu by the leader alone; %llu interrupts",
            (unsigned long long)ls->count, (unsigned long long)ls->compared,
            (unsigned long long)ls->alone, (unsigned long long)ls->events);
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

static void lockstep_run(struct vcpu *v, struct vm_exit *out)
{
    struct lockstep *ls = v->priv;
    while (!ls->failed && lockstep_step_both(ls, out))
        ;
    if (ls->failed) {
        out->kind = EXIT_FAIL;
        snprintf(out->fail.why, sizeof out->fail.why, "%s", ls->why);
    }
}

const struct accel_ops lockstep_accel = {
    .name = "lockstep",
    .help = "two engines at once, compared after each instruction: lockstep=interp,kvm or "
            "interp,interp",
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
