// SPDX-License-Identifier: MIT
//
// Signals that end the process without the event loop being asked: faults of our own, and signals
// that nobody here expects. Either way the terminal is restored first. A fault is a bug in minivmm:
// one line, status EXIT_VMM_BUG, no core dump.
#pragma once

#include <signal.h>

#include "stop.h"

/* Once, before anything else can go wrong. */
void fatal_install(void);

/*
 * Whom to tell before the process ends of a signal that is handled here: why, the status, a line
 * (async-signal-safe, called once at most; NULL: nobody). While there is somebody, the signals that
 * the event loop takes later come here as well.
 */
void fatal_tell(void (*tell)(enum stop_cause cause, int status, const char *line));

/* Enough for the handler on any CPU's signal frame. */
#define FATAL_STACK_BYTES 32768

/*
 * The handler's stack on the calling thread, so that an overflow of the thread's own is told as
 * well. Before the memory goes, the thread puts back what `before` received (sigaltstack(2)). NULL:
 * it stays for good.
 */
void fatal_use_stack(void *stack, stack_t *before);
