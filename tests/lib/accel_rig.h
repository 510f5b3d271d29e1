// SPDX-License-Identifier: MIT
//
// A machine without devices for tests of engines: one vCPU, 2 MiB of RAM laid out by src/accel/probe (64-bit mode, flat, tables and
// handlers in place), buses on which nobody answers. Programs are bytes of the test's own; they end with a write to port 0x80.
#pragma once

#include <stddef.h>

#include "accel.h"

struct accel_rig {
    struct accel accel;
    struct vcpu vcpu;
    struct gmem gmem;
    struct evloop loop;
    struct clock clock;
    struct bus pio, mmio;
    pthread_mutex_t lock;
    bool done;         /* the program wrote to the port of the end */
    bool strayed;      /* it touched anything else that is not there */
};

/* -errno with the reason where the engine does not work here. */
int accel_rig_open(struct accel_rig *r, const struct accel_ops *ops, struct err *err);
/* For engine lockstep: config says which two. */
int accel_rig_open_lockstep(struct accel_rig *r, const struct accel_ops *ops, const struct lockstep_config *config,
                            struct err *err);
void accel_rig_close(struct accel_rig *r);

/* Code at the probe's place, registers to start it in ring 0. */
void accel_rig_load(struct accel_rig *r, const void *code, size_t len, struct cpu_state *cpu);

/* The same at ACCEL_RIG_CODE, with the probe's trap handler left in place: it comes back to the address in R15. */
#define ACCEL_RIG_CODE 0x24000
void accel_rig_load_after(struct accel_rig *r, const void *code, size_t len, struct cpu_state *cpu);

/* The same registers for ring 3, which may use ports. */
void accel_rig_user(struct cpu_state *cpu);

/* Until the program is done: true. Else *end is the exit that ended it. */
bool accel_rig_run(struct accel_rig *r, struct vm_exit *end);
