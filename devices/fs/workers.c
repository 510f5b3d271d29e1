// SPDX-License-Identifier: MIT
//
// See workers.h. A thread is started when there is work and none is idle. Lock order: `lock` is a
// leaf below the device lock; nothing is taken under it, and the threads never take the device
// lock.
#include "devices/fs/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "thread.h"
#include "util.h"

#define THREADS_MAX 4
#define STACK_BYTES KIB(256)

struct work_list {
    struct work *head, **tail;
};

struct workers {
    const char *name;
    void (*thread_init)(void);
    void (*settled)(void *opaque);
    void *opaque;
    struct event event;
    pthread_t thread[THREADS_MAX];
    unsigned nthreads; /* device lock */
    unsigned under_way; /* submitted and not done; device lock */
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t work, finished_one;
    struct work_list queue, finished;
    unsigned queued, idle;
    bool stop;
};

static void list_init(struct work_list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_add(struct work_list *l, struct work *work)
{
    work->next = NULL;
    *l->tail = work;
    l->tail = &work->next;
}

/* All of it. */
static struct work *list_take(struct work_list *l)
{
    struct work *all = l->head;
    list_init(l);
    return all;
}

static struct work *list_pop(struct work_list *l)
{
    struct work *work = l->head;
    if (work) {
        l->head = work->next;
        if (!l->head)
            l->tail = &l->head;
    }
    return work;
}

/* --- on the threads --- */

static void perform(struct workers *w, struct work *work)
{
    work->run(work);
    pthread_mutex_lock(&w->lock);
    list_add(&w->finished, work);
    pthread_cond_signal(&w->finished_one);
    pthread_mutex_unlock(&w->lock);
    event_post(&w->event);
}

static void *thread_main(void *self)
{
    struct workers *w = self;
    w->thread_init();
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct work *work = list_pop(&w->queue);
        if (!work) {
            w->idle++;
            pthread_cond_wait(&w->work, &w->lock);
            w->idle--;
            continue;
        }
        w->queued--;
        pthread_mutex_unlock(&w->lock);
        perform(w, work);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int start_thread(struct workers *w)
{
    int rc = thread_start(&w->thread[w->nthreads], w->name, STACK_BYTES, thread_main, w);
    w->nthreads += !rc;
    return rc;
}

/* --- under the device lock --- */

/* `done` may submit again. */
static void deliver(struct workers *w, struct work *list, bool cancelled)
{
    for (struct work *work = list, *next; work; work = next) {
        next = work->next;
        w->under_way--;
        work->done(work, cancelled);
    }
}

static void reap(void *self)
{
    struct workers *w = self;
    pthread_mutex_lock(&w->lock);
    struct work *all = list_take(&w->finished);
    pthread_mutex_unlock(&w->lock);
    deliver(w, all, false);
    w->settled(w->opaque);
}

void workers_submit(struct workers *w, struct work *work)
{
    w->under_way++;
    if (!w->nthreads && start_thread(w)) {
        perform(w, work); /* the host gives us no thread: slow, but it works */
        return;
    }
    pthread_mutex_lock(&w->lock);
    list_add(&w->queue, work);
    w->queued++;
    bool more = w->queued > w->idle;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    if (more && w->nthreads < THREADS_MAX)
        start_thread(w); /* failing that, those that there are do it */
}

void workers_drain(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    struct work *cancelled = list_take(&w->queue);
    w->queued = 0;
    pthread_mutex_unlock(&w->lock);
    deliver(w, cancelled, true);
    while (w->under_way) {
        pthread_mutex_lock(&w->lock);
        while (!w->finished.head)
            pthread_cond_wait(&w->finished_one, &w->lock);
        struct work *all = list_take(&w->finished);
        pthread_mutex_unlock(&w->lock);
        deliver(w, all, false);
    }
    event_cancel(&w->event);
}

struct workers *workers_create(const char *name, struct event_queue *events,
                               void (*thread_init)(void), void (*settled)(void *opaque),
                               void *opaque, struct err *err)
{
    struct workers *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(err, ENOMEM, "%s: no memory for its threads", name);
        return NULL;
    }
    *w = (struct workers){
        .name = name, .thread_init = thread_init, .settled = settled, .opaque = opaque};
    event_init(&w->event, events, reap, w);
    list_init(&w->queue);
    list_init(&w->finished);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->finished_one, NULL);
    return w;
}

void workers_free(struct workers *w)
{
    workers_drain(w);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    while (w->nthreads)
        pthread_join(w->thread[--w->nthreads], NULL);
    event_cancel(&w->event); /* a thread may have posted it after the drain */
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->finished_one);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
