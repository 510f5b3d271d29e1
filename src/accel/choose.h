// SPDX-License-Identifier: MIT
//
// Which engine suits this host: a verdict on each, and the order to prefer them in. The rules:
//
// - An engine without CPU is never chosen by itself.
// - Engines stand in accel_list from the best to the one that always works, so the first usable one
//   is the choice.
// - An engine that runs guest code natively (ACCEL_CAP_NATIVE) is usable when every check of the
//   probe came out right and its supervisor code is fast. The others are ours: no host can break
//   them, so they are usable when they open.
//
// The short way: where CPUID shows SVM or VMX, hardware does the work, and the checks could only
// come out right; then no guest is run and start-up costs one CPUID instruction more. A host
// without them whose /dev/kvm opens all the same is measured (about 20 ms, at most 100).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "accel.h"
#include "src/accel/probe/probe.h"

#define CHOOSE_AUTO "auto" /* stands for the choice where the name of an engine may stand */
#define CHOOSE_MIN_MIPS                                                                            \
    20 /* of supervisor code; hardware does a thousand, emulation in the kernel two */

struct verdict {
    bool usable;
    char reason[320]; /* one line, in either case */
};

/* From a probe. */
void choose_judge(const struct accel_ops *ops, const struct probe_result *probe,
                  struct verdict *out);

/* As cheaply as possible: the short way where it is open, else by a probe. `out` does not say
 * whether the engine opens when it was not tried. */
void choose_rate(const struct accel_ops *ops, struct verdict *out);

/* Does the host's CPU show SVM or VMX? */
bool choose_host_has_hardware(void);

/* How choose_engine judges and opens; another one for tests. */
struct chooser {
    void (*rate)(const struct accel_ops *ops, struct verdict *out);
    int (*open)(void *opaque, const struct accel_ops *ops, struct err *err);
    void *opaque;
};

/* Open the best engine of the list. Its name and the reason, one line, in why; -errno when none
 * opens. */
int choose_engine(const struct accel_ops *const *list, const struct chooser *chooser, char *why,
                  size_t len, struct err *err);
