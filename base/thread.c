// SPDX-License-Identifier: MIT
//
// Threads that serve: see thread.h.
#include "thread.h"

#include <signal.h>

#include "util.h"

static void block_all_but_faults(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t all;
    sigfillset(&all);
    for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

int thread_start(pthread_t *thread, const char *name, size_t stack_bytes, void *(*run)(void *self),
                 void *self)
{
    sigset_t before;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack_bytes);
    block_all_but_faults(&before);
    int rc = pthread_create(thread, &attr, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (!rc)
        pthread_setname_np(*thread, name);
    return -rc;
}
