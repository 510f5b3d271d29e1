// SPDX-License-Identifier: MIT
//
// The queue of outside events: see include/event.h.
#include "event.h"

#include <stddef.h>

void event_queue_init(struct event_queue *q, void (*wake)(void *opaque), void *opaque)
{
    *q = (struct event_queue){.wake = wake, .opaque = opaque};
    q->tail = &q->head;
    pthread_mutex_init(&q->lock, NULL);
}

void event_queue_fini(struct event_queue *q)
{
    pthread_mutex_destroy(&q->lock);
}

static struct event *take_first(struct event_queue *q)
{
    pthread_mutex_lock(&q->lock);
    struct event *ev = q->head;
    if (ev) {
        q->head = ev->next;
        if (!q->head)
            q->tail = &q->head;
        ev->queued = false;
    }
    pthread_mutex_unlock(&q->lock);
    return ev;
}

static bool has_more(struct event_queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool more = q->head;
    pthread_mutex_unlock(&q->lock);
    return more;
}

static unsigned queue_length(struct event_queue *q)
{
    unsigned n = 0;
    pthread_mutex_lock(&q->lock);
    for (const struct event *ev = q->head; ev; ev = ev->next)
        n++;
    pthread_mutex_unlock(&q->lock);
    return n;
}

unsigned event_queue_run(struct event_queue *q)
{
    unsigned fired = 0;
    for (unsigned n = queue_length(q); n; n--) {
        struct event *ev = take_first(q);
        if (!ev)
            break; /* a handler cancelled it */
        ev->fire(ev->self);
        fired++;
    }
    q->delivered += fired;
    /* Posted meanwhile, while the queue was not empty, so without a wake-up. */
    if (q->wake && has_more(q))
        q->wake(q->opaque);
    return fired;
}

void event_init(struct event *ev, struct event_queue *q, void (*fire)(void *self), void *self)
{
    *ev = (struct event){.queue = q, .fire = fire, .self = self};
}

void event_post(struct event *ev)
{
    struct event_queue *q = ev->queue;
    pthread_mutex_lock(&q->lock);
    bool was_empty = !q->head;
    if (!ev->queued) {
        ev->queued = true;
        ev->next = NULL;
        *q->tail = ev;
        q->tail = &ev->next;
    }
    pthread_mutex_unlock(&q->lock);
    if (was_empty && q->wake)
        q->wake(q->opaque);
}

void event_cancel(struct event *ev)
{
    struct event_queue *q = ev->queue;
    pthread_mutex_lock(&q->lock);
    for (struct event **p = &q->head; *p; p = &(*p)->next) {
        if (*p != ev)
            continue;
        *p = ev->next;
        if (q->tail == &ev->next)
            q->tail = p;
        ev->queued = false;
        break;
    }
    pthread_mutex_unlock(&q->lock);
}
