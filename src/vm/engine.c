// SPDX-License-Identifier: MIT
//
// Which engine runs the machine: those of -accel in their order, "auto" for the choice that
// src/accel/choose.h describes, and no stock kernel on a KVM that cannot run one.
//
// An engine that was named is taken at its word: it runs, or fails with its reason, and only the
// user's own list is gone through. Small guests may run where Linux cannot, so a bad verdict stops
// Linux only.
#include <errno.h>
#include <string.h>

#include "log.h"
#include "src/accel/choose.h"
#include "src/accel/lockstep/lockstep.h"
#include "src/vm/vm.h"

static void answer_inline(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    exit_handle(opaque, v, exit);
}

static int open_engine(void *opaque, const struct accel_ops *ops, struct err *err)
{
    struct vm *vm = opaque;
    vm->accel = (struct accel){
        .ops = ops,
        .gmem = &vm->gmem,
        .loop = &vm->loop,
        .nvcpus = vm->cfg->smp,
        .cpu = &vm->cfg->cpu,
        .lock = &vm->lock,
        .pio = &vm->pio,
        .mmio = &vm->mmio,
        .clock = &vm->clock,
        .events = vm->cfg->icount ? &vm->events : NULL,
        .random_seed = vm->cfg->icount_seed,
        .io = answer_inline,
        .io_opaque = vm,
        .lockstep = &vm->lockstep,
    };
    int rc = ops->vm_init(&vm->accel, err);
    if (rc)
        vm->accel.ops = NULL;
    return rc;
}

/* Under -icount only engines that count instructions come into question. */
static void rate_counting(const struct accel_ops *ops, struct verdict *out)
{
    if (ops->caps & ACCEL_CAP_COUNTS)
        choose_rate(ops, out);
    else
        *out = (struct verdict){.reason = "cannot count instructions, as -icount wants"};
}

static int choose_auto(struct vm *vm, struct err *err)
{
    const struct chooser chooser = {vm->cfg->icount ? rate_counting : choose_rate, open_engine, vm};
    char why[512];
    int rc = choose_engine(accel_list, &chooser, why, sizeof why, err);
    if (!rc)
        log_notice("engine %s", why);
    return rc;
}

/* Linux on an engine that would only make it look hung. */
static int refuse_linux(const struct vm *vm, const struct accel_ops *ops, struct err *err)
{
    struct verdict verdict;
    if (!vm->plan.linux_entry || !vm->cfg->accel_probe || !(ops->caps & ACCEL_CAP_NATIVE))
        return 0;
    choose_rate(ops, &verdict);
    if (verdict.usable)
        return 0;
    return err_set(err, ENOTSUP,
                   "-accel %s: cannot run a stock kernel here: %s; use -accel interp or auto "
                   "(-accel %s,probe=off tries all the same)",
                   ops->name, verdict.reason, ops->name);
}

/* Both names were checked when the options were read. */
static const struct accel_ops *name_lockstep(struct vm *vm, struct err *err)
{
    vm->lockstep = (struct lockstep_config){
        .leader = accel_find(vm->cfg->lockstep.leader, err),
        .follower = accel_find(vm->cfg->lockstep.follower, err),
        .every = vm->cfg->lockstep.every,
        .ns_per_insn = LOCKSTEP_NS_PER_INSN,
    };
    return vm->lockstep.leader && vm->lockstep.follower ? &lockstep_accel : NULL;
}

static int open_named(struct vm *vm, const char *name, struct err *err)
{
    if (!strcmp(name, CHOOSE_AUTO))
        return choose_auto(vm, err);
    const struct accel_ops *ops =
        strncmp(name, "lockstep=", 9) ? accel_find(name, err) : name_lockstep(vm, err);
    if (!ops)
        return -EINVAL;
    int rc = open_engine(vm, ops, err);
    if (!rc)
        rc = refuse_linux(vm, ops, err);
    if (rc && vm->accel.ops) {
        ops->vm_fini(&vm->accel);
        vm->accel.ops = NULL;
    }
    if (!rc)
        log_msg(LOG_ACCEL, "engine %s", name);
    return rc;
}

/* Going past one of the user's list is said aloud. */
int vm_open_engine(struct vm *vm, struct err *err)
{
    int rc = -EINVAL;
    for (unsigned i = 0; i < vm->cfg->naccels; i++) {
        struct err why = {0};
        rc = open_named(vm, vm->cfg->accels[i], &why);
        if (!rc)
            return 0;
        if (i + 1 < vm->cfg->naccels)
            log_warn("%s; trying %s", why.msg, vm->cfg->accels[i + 1]);
        else
            *err = why;
    }
    return rc;
}
