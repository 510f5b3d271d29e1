// SPDX-License-Identifier: MIT
//
// Threads that serve: signals are for the threads that run guests and the event loop, so these have
// them blocked; but not faults, which would kill without the handler that restores the terminal.
#pragma once

#include <pthread.h>
#include <stddef.h>

/* `name` as ps shows it, at most 15 bytes. Returns 0 or -errno. */
int thread_start(pthread_t *thread, const char *name, size_t stack_bytes, void *(*run)(void *self),
                 void *self);
