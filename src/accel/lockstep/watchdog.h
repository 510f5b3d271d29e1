// SPDX-License-Identifier: MIT
//
// Ends a follower that runs away: its step is kicked when it takes seconds. Functions but begin and
// end: the vCPU's thread.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "accel.h"

#define WATCHDOG_PATIENCE_S 2 /* and up to as much more */

struct watchdog {
    struct vcpu *follower;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool runs, ends;
    atomic_ullong step;    /* odd while the follower steps */
    atomic_bool gave_up;   /* on the present step; set by others too that want its end */
};

int watchdog_begin(struct watchdog *w, struct vcpu *follower, struct err *err);
void watchdog_end(struct watchdog *w);

static inline void watchdog_step_begins(struct watchdog *w)
{
    atomic_store(&w->gave_up, false);
    atomic_fetch_add(&w->step, 1);
}

static inline void watchdog_step_ends(struct watchdog *w)
{
    atomic_fetch_add(&w->step, 1);
}
