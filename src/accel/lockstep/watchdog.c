// SPDX-License-Identifier: MIT
//
// See watchdog.h.
#include "src/accel/lockstep/watchdog.h"

#include <signal.h>
#include <time.h>

static void *watchdog_main(void *arg)
{
    struct watchdog *w = arg;
    unsigned long long last = 0;
    struct timespec when;
    pthread_mutex_lock(&w->lock);
    while (!w->ends) {
        clock_gettime(CLOCK_MONOTONIC, &when);
        when.tv_sec += WATCHDOG_PATIENCE_S;
        pthread_cond_clockwait(&w->wake, &w->lock, CLOCK_MONOTONIC, &when);
        unsigned long long now = atomic_load(&w->step);
        if (now & 1 && now == last && !w->ends) {
            atomic_store(&w->gave_up, true);
            w->follower->accel->ops->kick(w->follower);
        }
        last = now;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The thread takes no signals: those that end the process are for the event loop. */
int watchdog_begin(struct watchdog *w, struct vcpu *follower, struct err *err)
{
    sigset_t all, before;
    w->follower = follower;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, watchdog_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->runs = !rc;
    return rc ? err_set_errno(err, rc, "-accel lockstep: start the watchdog's thread") : 0;
}

void watchdog_end(struct watchdog *w)
{
    if (!w->runs)
        return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    w->runs = false;
}
