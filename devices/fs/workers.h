// SPDX-License-Identifier: MIT
//
// A small pool of threads for host work that may take long: what is submitted under the device lock
// runs on some thread without it, and is done under the device lock again, by the event queue.
// Several run at once and in any order.
#pragma once

#include "err.h"
#include "event.h"

struct work {
    void (*run)(struct work *work);                  /* on a thread of the pool */
    void (*done)(struct work *work,
                 bool cancelled); /* device lock; cancelled: run was not called */
    struct work *next;
};

struct workers;

/*
 * thread_init runs first on each thread. `settled` (device lock) follows each batch of `done`s.
 * NULL with `err` set on failure.
 */
struct workers *workers_create(const char *name, struct event_queue *events,
                               void (*thread_init)(void), void (*settled)(void *opaque),
                               void *opaque, struct err *err);
void workers_submit(struct workers *w, struct work *work);
/* What has not begun is cancelled; wait for the rest; all are done on return. */
void workers_drain(struct workers *w);
void workers_free(struct workers *w); /* drains */
