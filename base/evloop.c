// SPDX-License-Identifier: MIT
//
// The event loop: see include/evloop.h. Level-triggered epoll; a wake-up is one eventfd.
#include "evloop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 32

int evloop_init(struct evloop *loop, struct err *err)
{
    *loop = (struct evloop){.epoll_fd = -1, .wake_fd = -1};
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev)) {
        int e = errno;
        evloop_fini(loop);
        return err_set_errno(err, e, "create the event loop");
    }
    return 0;
}

void evloop_fini(struct evloop *loop)
{
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    loop->epoll_fd = loop->wake_fd = -1;
}

int evloop_add(struct evloop *loop, struct fd_watch *w)
{
    struct epoll_event ev = {.events = w->events, .data.ptr = w};
    w->added = true; /* before the loop's thread can see the first event */
    if (!epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev))
        return 0;
    int rc = -errno;
    w->added = false;
    return rc;
}

int evloop_modify(struct evloop *loop, struct fd_watch *w, uint32_t events)
{
    if (!w->added)
        return -ENOENT;
    w->events = events;
    struct epoll_event ev = {.events = events, .data.ptr = w};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) ? -errno : 0;
}

void evloop_remove(struct evloop *loop, struct fd_watch *w)
{
    if (w->added)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->added = false;
}

static void clear_wake(const struct evloop *loop)
{
    uint64_t n;
    while (read(loop->wake_fd, &n, sizeof n) < 0 && errno == EINTR)
        ;
}

void evloop_run_once(struct evloop *loop, int timeout_ms)
{
    struct epoll_event ready[BATCH];
    int n = epoll_wait(loop->epoll_fd, ready, BATCH, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct fd_watch *w = ready[i].data.ptr;
        if (!w)
            clear_wake(loop);
        else if (w->added) /* a handler before this one may have removed it */
            w->ready(w->self, ready[i].events);
    }
}

void evloop_wake(struct evloop *loop)
{
    uint64_t one = 1;
    int saved = errno;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}
