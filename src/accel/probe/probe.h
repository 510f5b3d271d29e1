// SPDX-License-Identifier: MIT
//
// What an engine is worth on this host, measured: tiny guests run on it through its own accel_ops,
// without devices. A /dev/kvm may be there and yet be no use for an ordinary kernel: where it has
// no hardware behind it, supervisor code is emulated slowly, and user code that runs on the bare
// CPU sees the host's flags and selectors instead of its own.
//
// Everything is bounded: a guest that does not answer in time is kicked, and when the whole budget
// is spent the rest is not run. Thread: the caller's, which becomes the vCPU's for so long; a
// helper thread does the kicking.
#pragma once

#include <stdbool.h>

#include "accel.h"

#define PROBE_BUDGET_MS 60 /* at the start of a machine; a single guest has a sixth of it */

enum probe_what {
    PROBE_RUNS,
    PROBE_SPEED, /* of supervisor code */
    PROBE_SYSCALL,
    PROBE_FLAGS,
    PROBE_SEGMENTS,
    PROBE_EXCEPTIONS,
    PROBE_CHECKS,
};

enum probe_answer { PROBE_NOT_RUN, PROBE_OK, PROBE_WRONG };

struct probe_check {
    enum probe_answer answer;
    char why[160]; /* PROBE_WRONG: what was seen */
};

struct probe_result {
    bool opened;
    struct err err; /* when not opened */
    struct probe_check check[PROBE_CHECKS];
    double mips; /* of supervisor code; 0: not measured */
    double ms;   /* that the probe took */
};

/* Stable names: keys of --json, and how messages call them. */
extern const char *const probe_keys[PROBE_CHECKS], *const probe_names[PROBE_CHECKS];
extern const char *const probe_answers[];

/* An engine without CPU is not for probing. Whatever goes wrong is part of the result. */
void probe_engine(const struct accel_ops *ops, unsigned budget_ms, struct probe_result *out);
