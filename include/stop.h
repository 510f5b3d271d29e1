// SPDX-License-Identifier: MIT
//
// Why a machine stops, and the exit status of each cause (docs/exit-codes.md). Devices and engines
// only request; the machine decides (a reset request restarts the guest unless -no-reboot).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum stop_cause {
    STOP_NONE,
    STOP_POWEROFF,     /* ACPI S5 */
    STOP_RESET,        /* i8042, 0xCF9, ACPI reset register */
    STOP_DEBUG_EXIT,   /* isa-debug-exit; code = value written */
    STOP_TRIPLE_FAULT, /* shutdown cycle on a vCPU */
    STOP_QUIT,         /* the user: Ctrl-A x */
    STOP_SIGNAL,       /* code = signal number */
    STOP_TIMEOUT,      /* -timeout passed */
    STOP_ENGINE,       /* the engine failed; its own line was printed */
    STOP_PANIC,        /* pvpanic: the guest's kernel panicked */
    STOP_WATCHDOG,     /* the watchdog fired */
    /* Never requested; how a process ends that has no machine (any more). */
    STOP_ERROR, /* the host refused something; the message says what */
    STOP_USAGE, /* the command line is wrong */
    STOP_BUG,   /* a fault of our own */
    STOP_CAUSES,
};

enum exit_status {
    EXIT_OK = 0,
    EXIT_HOST_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_TIMEOUT = 124,
    EXIT_SIGNAL_BASE = 128,
    EXIT_GUEST_PANIC = 240,
    EXIT_TRIPLE_FAULT = 241,
    EXIT_WATCHDOG = 242,
    EXIT_GUEST_RESET = 243,
    EXIT_ENGINE_FAILURE = 244,
    EXIT_VMM_BUG = 245,
};

/* Where a device or engine sends its request. Any thread. The first request of a run wins. */
struct stop_sink {
    void (*request)(void *opaque, enum stop_cause cause, unsigned code);
    void *opaque;
};

static inline void stop_request(const struct stop_sink *sink, enum stop_cause cause, unsigned code)
{
    sink->request(sink->opaque, cause, code);
}

/* The process's exit status for a cause. */
int stop_exit_status(enum stop_cause cause, unsigned code);

/* The cause in a few words, for the closing line. */
const char *stop_describe(enum stop_cause cause);

/* The cause as one word that does not change between versions: what -result has. */
const char *stop_name(enum stop_cause cause);

/* All causes, for docs/update.sh: "man" or "markdown"; false: another form. */
bool stop_print_table(const char *form, FILE *out);
