// SPDX-License-Identifier: MIT
//
// The thread-pool engine: plain system calls on up to four threads, for hosts that refuse io_uring.
// A thread is started when there is work and none is idle, so a disk that is never used costs none.
// Lock order: `lock` is a leaf below the device lock; nothing is taken under it. The pool's threads
// never take the device lock.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine.h"
#include "log.h"
#include "thread.h"
#include "util.h"

#define THREADS_MAX 4
#define STACK_BYTES KIB(256)

struct threads {
    struct engine eng;
    const struct host_io *io;
    struct host_op_list started; /* not committed yet; device lock */
    struct host_op_list reaped;  /* taken from finished, being delivered; device lock */
    pthread_t thread[THREADS_MAX];
    unsigned nthreads; /* device lock */
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t work, done;
    struct host_op_list queue, finished;
    unsigned queued, idle;
    bool stop;
};

static void give_back(struct threads *t, struct host_op *op)
{
    pthread_mutex_lock(&t->lock);
    host_op_list_add(&t->finished, op);
    pthread_cond_signal(&t->done);
    pthread_mutex_unlock(&t->lock);
    event_post(&t->eng.event);
}

static void *thread_main(void *self)
{
    struct threads *t = self;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        struct host_op *op = host_op_list_take(&t->queue);
        if (!op) {
            t->idle++;
            pthread_cond_wait(&t->work, &t->lock);
            t->idle--;
            continue;
        }
        t->queued--;
        pthread_mutex_unlock(&t->lock);
        host_op_perform(t->io, op);
        give_back(t, op);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static int start_thread(struct threads *t)
{
    int rc = thread_start(&t->thread[t->nthreads], "block", STACK_BYTES, thread_main, t);
    t->nthreads += !rc;
    return rc;
}

/* The host gives us not a single thread: do the work here. Slow, but nothing is lost. */
static void work_here(struct threads *t)
{
    struct host_op *op;
    while ((op = host_op_list_take(&t->started))) {
        host_op_perform(t->io, op);
        give_back(t, op);
    }
}

static void threads_start(struct engine *eng, struct host_op *op)
{
    struct threads *t = container_of(eng, struct threads, eng);
    host_op_list_add(&t->started, op);
}

static void threads_commit(struct engine *eng)
{
    struct threads *t = container_of(eng, struct threads, eng);
    if (!t->started.head)
        return;
    if (!t->nthreads && start_thread(t)) {
        work_here(t);
        return;
    }
    struct host_op *op;
    pthread_mutex_lock(&t->lock);
    while ((op = host_op_list_take(&t->started))) {
        host_op_list_add(&t->queue, op);
        pthread_cond_signal(&t->work);
        t->queued++;
    }
    unsigned wanted = t->queued > t->idle ? t->queued - t->idle : 0;
    pthread_mutex_unlock(&t->lock);
    while (wanted-- && t->nthreads < THREADS_MAX && !start_thread(t))
        ;
}

static void threads_reap(struct engine *eng)
{
    struct threads *t = container_of(eng, struct threads, eng);
    pthread_mutex_lock(&t->lock);
    struct host_op *op;
    while ((op = host_op_list_take(&t->finished)))
        host_op_list_add(&t->reaped, op);
    pthread_mutex_unlock(&t->lock);
    while ((op = host_op_list_take(&t->reaped))) /* one by one: a `done` may drain */
        engine_finish(eng, op, op->result);
}

static void threads_wait(struct engine *eng)
{
    struct threads *t = container_of(eng, struct threads, eng);
    if (t->reaped.head)
        return;
    pthread_mutex_lock(&t->lock);
    while (!t->finished.head)
        pthread_cond_wait(&t->done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void threads_fini(struct engine *eng)
{
    struct threads *t = container_of(eng, struct threads, eng);
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
    while (t->nthreads)
        pthread_join(t->thread[--t->nthreads], NULL);
    event_cancel(&eng->event);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static const struct engine_ops threads_ops = {
    .name = "threads",
    .start = threads_start,
    .commit = threads_commit,
    .reap = threads_reap,
    .wait = threads_wait,
    .fini = threads_fini,
};

int threads_open(struct engine **eng, const struct block_env *env, const struct host_io *io,
                 struct err *err)
{
    struct threads *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEM, "no memory for a disk's threads");
    engine_init(&t->eng, &threads_ops, env->events);
    t->io = io;
    host_op_list_init(&t->started);
    host_op_list_init(&t->reaped);
    host_op_list_init(&t->queue);
    host_op_list_init(&t->finished);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->done, NULL);
    *eng = &t->eng;
    return 0;
}
