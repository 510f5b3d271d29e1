// SPDX-License-Identifier: MIT
//
// The way into a character backend: see fdio.h. The event loop reads ahead, so that escape keys
// work while the guest is busy, and stops when the ring is full: then the writer at the other end
// waits, as on any full pipe. The watch is one-shot, because epoll reports a hung-up descriptor
// for ever, asked or not. What epoll refuses (regular files) is read when the device asks. A
// break has its place among the bytes: what came before it is delivered first; so has the end of
// input, which is told when the last byte was taken.
#include "devices/chr/fdio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "log.h"

#define READ_AHEAD 4096
#define RETRY_MS 250

static uint32_t waiting(const struct fd_in *in)
{
    return in->head - in->tail;
}

static void retry_later(struct fd_in *in)
{
    struct itimerspec when = {.it_value.tv_nsec = RETRY_MS * 1000000L};
    timerfd_settime(in->retry.fd, 0, &when, NULL);
}

static bool may_read(const struct fd_in *in)
{
    return !in->hooks.may_read || in->hooks.may_read(in->hooks.self);
}

static void watch_on(struct fd_in *in)
{
    evloop_modify(in->loop, &in->watch, EPOLLIN | EPOLLONESHOT);
}

static void retry_ready(void *self, uint32_t events)
{
    struct fd_in *in = self;
    uint64_t expirations;
    (void)events;
    if (read(in->retry.fd, &expirations, sizeof expirations) < 0)
        return;
    if (may_read(in))
        watch_on(in);
    else
        retry_later(in);
}

/* Nothing more will come. The machine goes on: a guest needs no input to run. */
static void end_input(struct fd_in *in, int errnum)
{
    if (errnum)
        log_warn("%s: %s; no more input", in->what, strerror(errnum));
    pthread_mutex_lock(&in->lock);
    in->ended = true;
    bool empty = !waiting(in);
    pthread_mutex_unlock(&in->lock);
    evloop_remove(in->loop, &in->watch);
    if (empty)
        event_post(&in->end_at);
}

static size_t apply_filter(const struct fd_in *in, const uint8_t *buf, size_t len, uint16_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int v = in->hooks.filter ? in->hooks.filter(in->hooks.self, buf[i]) : buf[i];
        if (v != FD_IN_NOTHING)
            out[n++] = (uint16_t)v;
    }
    return n;
}

static void store(struct fd_in *in, const uint8_t *buf, size_t len)
{
    uint16_t filtered[READ_AHEAD];
    size_t n = apply_filter(in, buf, len, filtered);
    pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < n; i++)
        in->ring[in->head++ % FD_RING] = filtered[i];
    in->armed = waiting(in) < FD_RING;
    if (in->armed)
        watch_on(in);
    pthread_mutex_unlock(&in->lock);
    if (n)
        event_post(&in->arrived);
}

/* Room for the next read; none: the device's next read switches the watch on again. */
static size_t claim_room(struct fd_in *in)
{
    pthread_mutex_lock(&in->lock);
    size_t room = FD_RING - waiting(in);
    in->armed = room > 0;
    pthread_mutex_unlock(&in->lock);
    return room < READ_AHEAD ? room : READ_AHEAD;
}

static void in_ready(void *self, uint32_t events)
{
    struct fd_in *in = self;
    uint8_t buf[READ_AHEAD];
    (void)events;
    size_t room = claim_room(in);
    if (!room)
        return;
    if (!may_read(in)) {
        retry_later(in);
        return;
    }
    ssize_t n = fd_read(&in->h, buf, room);
    if (n > 0)
        store(in, buf, (size_t)n);
    else if (n == -EAGAIN)
        watch_on(in);
    else if (n == -EIO && in->hooks.retry)
        retry_later(in);
    else
        end_input(in, (int)-n);
}

static size_t read_file(struct fd_in *in, uint8_t *buf, size_t len)
{
    size_t done = 0;
    while (done < len && !in->ended) {
        ssize_t n = fd_read(&in->h, buf + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else
            end_input(in, (int)-n);
    }
    return done;
}

/* Not from within the device's own read: it learns of the end after it has put its bytes away. */
static void tell_end_soon(struct fd_in *in)
{
    if (!in->end_told)
        event_post(&in->end_at);
}

size_t fd_in_read(struct fd_in *in, uint8_t *buf, size_t len)
{
    size_t n = 0;
    bool at_break = false;
    if (in->break_posted)
        return 0;
    if (in->h.mode == FD_FILE)
        return read_file(in, buf, len);
    pthread_mutex_lock(&in->lock);
    while (n < len && waiting(in) && !at_break) {
        uint16_t v = in->ring[in->tail++ % FD_RING];
        if (v == FD_IN_BREAK)
            at_break = true;
        else
            buf[n++] = (uint8_t)v;
    }
    if (!in->armed && !in->ended && waiting(in) <= FD_RING / 2) {
        in->armed = true;
        watch_on(in);
    }
    bool at_end = in->ended && !waiting(in) && !at_break;
    pthread_mutex_unlock(&in->lock);
    if (at_end)
        tell_end_soon(in);
    if (at_break) {
        in->break_posted = true;
        event_post(&in->break_at);
    }
    return n;
}

static void tell_readable(void *self)
{
    const struct chr_client *client = &((struct fd_in *)self)->chr->client;
    if (client->readable)
        client->readable(client->self);
}

static void tell_end(void *self)
{
    struct fd_in *in = self;
    if (in->end_told)
        return;
    in->end_told = true;
    chr_tell_peer(in->chr, false);
    if (in->hooks.ended)
        in->hooks.ended(in->hooks.self);
}

static void tell_break(void *self)
{
    struct fd_in *in = self;
    const struct chr_client *client = &in->chr->client;
    in->break_posted = false;
    if (client->break_seen)
        client->break_seen(client->self);
    if (in->ended && !waiting(in))
        tell_end_soon(in);
    tell_readable(in); /* what came after the break */
}

static int init_retry(struct fd_in *in, struct err *err)
{
    in->retry.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (in->retry.fd < 0)
        return err_set_errno(err, errno, "make a timer for %s", in->what);
    in->retry.events = EPOLLIN;
    in->retry.ready = retry_ready;
    in->retry.self = in;
    int rc = evloop_add(in->loop, &in->retry);
    return rc ? err_set_errno(err, -rc, "watch the timer of %s", in->what) : 0;
}

int fd_in_init(struct fd_in *in, const struct fd_handle *h, const struct chr_env *env,
               struct chr *chr, const char *what, const struct fd_in_hooks *hooks,
               struct err *err)
{
    in->what = what;
    in->chr = chr;
    in->loop = env->loop;
    in->h = *h;
    if (hooks)
        in->hooks = *hooks;
    in->retry.fd = -1;
    pthread_mutex_init(&in->lock, NULL);
    event_init(&in->arrived, env->events, tell_readable, in);
    event_init(&in->break_at, env->events, tell_break, in);
    event_init(&in->end_at, env->events, tell_end, in);
    if (in->hooks.retry) {
        int rc = init_retry(in, err);
        if (rc)
            return rc;
    }
    bool now = may_read(in);
    in->armed = true;
    in->watch = (struct fd_watch){
        .fd = h->fd,
        .events = EPOLLONESHOT | (now ? EPOLLIN : 0u),
        .ready = in_ready,
        .self = in,
    };
    int rc = evloop_add(in->loop, &in->watch);
    if (rc == -EPERM) {
        in->h.mode = FD_FILE;
        event_post(&in->arrived);
    } else if (rc) {
        return err_set_errno(err, -rc, "watch %s", what);
    } else if (!now) {
        retry_later(in);
    }
    return 0;
}

void fd_in_fini(struct fd_in *in)
{
    evloop_remove(in->loop, &in->watch);
    evloop_remove(in->loop, &in->retry);
    event_cancel(&in->arrived);
    event_cancel(&in->break_at);
    event_cancel(&in->end_at);
    pthread_mutex_destroy(&in->lock);
    if (in->retry.fd >= 0)
        close(in->retry.fd);
    if (in->h.close_it)
        close(in->h.fd);
}
