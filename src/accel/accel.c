// SPDX-License-Identifier: MIT
//
// The list of engines, and what all of them do in the same way: see include/accel.h. The order of
// the list is that of help texts, and of preference (choose.h).
#include "accel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpu_model.h"
#include "src/accel/interp/interp.h"
#include "src/accel/kvm/kvm.h"
#include "src/accel/none.h"

const struct accel_ops *const accel_list[] = {&kvm_accel, &interp_accel, &none_accel, NULL};

const struct accel_ops *accel_find(const char *name, struct err *err)
{
    char known[128] = "";
    for (const struct accel_ops *const *ops = accel_list; *ops; ops++) {
        if (!strcmp((*ops)->name, name))
            return *ops;
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", (*ops)->name);
    }
    err_set(err, EINVAL, "-accel: unknown engine '%s'; this build has: auto, %s%s", name, known,
            strcmp(name, "tcg") ? "" : "; tcg is QEMU's, interp emulates here");
    return NULL;
}

const char *accel_reason(const struct accel_ops *ops, const struct err *err)
{
    char option[48];
    int n = snprintf(option, sizeof option, "-accel %s: ", ops->name);
    return strncmp(err->msg, option, (size_t)n) ? err->msg : err->msg + n;
}

int accel_resolve_cpu(const struct accel *a, const struct cpu_features *can,
                      struct cpu_features *out, struct err *err)
{
    const struct accel_watch *watch = a->watch;
    struct cpu_features have = *can;
    if (watch)
        cpu_features_narrow(&have, watch->features);
    bool native = a->ops->caps & ACCEL_CAP_NATIVE;
    int rc = cpu_model_resolve(a->cpu, &have, watch ? "lockstep" : a->ops->name, native, out, err);
    if (!rc && watch)
        *watch->features = *out;
    return rc;
}
