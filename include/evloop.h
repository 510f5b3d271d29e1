// SPDX-License-Identifier: MIT
//
// The event loop: epoll over the file descriptors of the outside world. Handlers run on the loop's
// thread without the device lock, do host I/O only, and post events (event.h) for what devices must
// hear.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct evloop {
    int epoll_fd;
    int wake_fd;
};

/* One watched descriptor, embedded in its owner. Zero-initialise before the first evloop_add. */
struct fd_watch {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT */
    void (*ready)(void *self, uint32_t events);
    void *self;
    atomic_bool added; /* doorbells are added on vCPU threads while the loop runs */
};

int evloop_init(struct evloop *loop, struct err *err);
void evloop_fini(struct evloop *loop);

/* Watch w->fd. -EPERM for a regular file, which epoll cannot watch (it never blocks). */
int evloop_add(struct evloop *loop, struct fd_watch *w);
/* Change what is waited for; 0 keeps it registered but silent. Any thread. */
int evloop_modify(struct evloop *loop, struct fd_watch *w, uint32_t events);
void evloop_remove(struct evloop *loop, struct fd_watch *w);

/* Wait up to timeout_ms (-1: for ever) and run the handlers of what is ready. */
void evloop_run_once(struct evloop *loop, int timeout_ms);

/* Make evloop_run_once return. Any thread; async-signal-safe. */
void evloop_wake(struct evloop *loop);
