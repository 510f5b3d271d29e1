// SPDX-License-Identifier: MIT
//
// The one way in for the outside world. Whatever is not a function of guest state (a byte typed, a
// disk completion, a doorbell's eventfd) is posted here by the thread that saw it and delivered to
// the device by whoever runs the queue, in order, under the device lock. A recorder has one place
// to stand, and devices stay single-threaded.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct event_queue;

/* Embedded in its source; posting one that is already queued changes nothing, so a source keeps its
 * own data. */
struct event {
    struct event_queue *queue;
    struct event *next;
    bool queued;
    void (*fire)(void *self);
    void *self;
};

struct event_queue {
    pthread_mutex_t lock; /* a leaf: nothing is taken under it */
    struct event *head, **tail;
    void (*wake)(void *opaque); /* queue became non-empty; any thread; may be NULL */
    void *opaque;
    uint64_t delivered;
};

void event_queue_init(struct event_queue *q, void (*wake)(void *opaque), void *opaque);
void event_queue_fini(struct event_queue *q);

/* Deliver everything posted so far, in order. Device lock held. Events posted meanwhile wait for
 * the next call. Returns how many. */
unsigned event_queue_run(struct event_queue *q);

void event_init(struct event *ev, struct event_queue *q, void (*fire)(void *self), void *self);

/* Any thread. */
void event_post(struct event *ev);

/* Forget a posted event; after this it will not fire. Device lock held. */
void event_cancel(struct event *ev);
