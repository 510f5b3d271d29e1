// SPDX-License-Identifier: MIT
//
// How a run ended, for programs: -result (JSON) and -junit (XML). Both are opened before the guest
// starts and written on every way out of the process. One run a process.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "accel.h"
#include "config.h"
#include "err.h"
#include "base/tail.h"
#include "stop.h"

struct vm;

#define RESULT_SCHEMA 1

/* What is told. Times in nanoseconds. */
struct result {
    enum stop_cause cause;
    unsigned code; /* of the cause */
    int status;    /* the process's */
    /* What the guest itself said: the value for isa-debug-exit, a command's status. */
    bool has_guest_status;
    long long guest_status;
    const char *message; /* the closing line, or NULL */
    const char *engine;  /* NULL: it did not come to that */
    uint64_t exits[EXIT_KINDS];
    uint64_t guest_ns, wall_ns, cpu_ns;
    int64_t started_s, ended_s; /* UTC since 1970 */
    unsigned restarts, panics, watchdogs;
    const struct tail *tail; /* or NULL */
};

/* Opens what cfg asks for. */
int result_open(const struct config *cfg, struct err *err);

/* Where console output is to be noted, or NULL: nobody wants to know. */
struct tail *result_tail(void);

/* What the machine knows, before it is destroyed: `status` is vm_run's (negative: it failed). */
void result_take(const struct vm *vm, int status);

/*
 * Write the files; the exit status. One that cannot be written is an error line, and makes a status
 * of 0 one of 1.
 */
int result_close(int status);

/*
 * The end from within a signal handler: `line` has nothing that needs escaping. Async-signal-safe.
 */
void result_fatal(enum stop_cause cause, int status, const char *line);

/* Forms. malloc'ed, NULL without memory. */
char *result_json(const struct result *r);
char *result_junit(const struct result *r, const struct config *cfg);
