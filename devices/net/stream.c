// SPDX-License-Identifier: MIT
//
// See stream.h. The descriptor is watched edge-triggered, so that neither side costs a system call
// to switch its watch off and on: whoever reads, reads until the socket is empty or its own place
// is full, and in the latter case comes back without being told. Room is only watched for after a
// write that fell short.
#include "devices/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define PREFIX 4
#define IN_BYTES KIB(256)
#define OUT_BYTES KIB(512)
#define DIRECT_BYTES KIB(8) /* from here on frames go to the socket without a stop in our buffer */
#define MAX_IOV 64

static uint32_t load_be32(const uint8_t *p)
{
    return __builtin_bswap32(load_le32(p));
}

static void store_be32(uint8_t *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}

/* --- life --- */

static void on_ready(void *self, uint32_t events)
{
    struct stream *s = self;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->hung_up = true;
    event_post(&s->woken);
}

static void watch_room(struct stream *s, bool on)
{
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET | (on ? EPOLLOUT : 0);
    if (s->watch.events != events)
        evloop_modify(s->env->loop, &s->watch, events);
}

static void on_woken(void *self)
{
    struct stream *s = self;
    if (!stream_connected(s))
        return;
    if (s->out_start != s->out_end)
        stream_flush(s);
    if (s->refused && s->out_start == s->out_end && !s->lost) {
        s->refused = false;
        s->writable(s->self);
    }
    if (stream_connected(s))
        s->readable(s->self);
    uint8_t *data;
    size_t len;
    if (s->hung_up && !s->lost)
        stream_peek(s, &data, &len); /* notices the end, unless frames are still to be taken */
    if (stream_connected(s) && s->lost)
        s->gone(s->self);
}

void stream_init(struct stream *s)
{
    s->watch = (struct fd_watch){.fd = -1, .ready = on_ready, .self = s};
    event_init(&s->woken, s->env->events, on_woken, s);
}

int stream_connect(struct stream *s, int fd)
{
    if (!s->in)
        s->in = malloc(IN_BYTES);
    if (!s->out)
        s->out = malloc(OUT_BYTES);
    if (!s->in || !s->out)
        return -ENOMEM;
    s->in_start = s->in_end = s->out_start = s->out_end = 0;
    s->refused = s->lost = false;
    s->hung_up = false;
    int flags = fcntl(fd, F_GETFL), size = KIB(512);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* as much as the host grants */
    s->watch.fd = fd;
    s->watch.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    int rc = evloop_add(s->env->loop, &s->watch);
    if (rc)
        s->watch.fd = -1;
    return rc;
}

void stream_disconnect(struct stream *s)
{
    if (!stream_connected(s))
        return;
    evloop_remove(s->env->loop, &s->watch);
    close(s->watch.fd);
    s->watch.fd = -1;
}

void stream_fini(struct stream *s)
{
    stream_disconnect(s);
    event_cancel(&s->woken);
    free(s->in);
    free(s->out);
    s->in = s->out = NULL;
}

/* Told from the event queue, not in the middle of somebody's send or peek. */
static void lose(struct stream *s)
{
    s->lost = true;
    event_post(&s->woken);
}

/* --- sending --- */

static bool fits(const struct stream *s, unsigned frames, size_t bytes)
{
    return bytes + (size_t)frames * PREFIX <= OUT_BYTES - (s->out_end - s->out_start);
}

/* What the socket takes now; -1 and `lost` when it is broken. */
static ssize_t send_some(struct stream *s, const struct iovec *iov, unsigned niov)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = niov};
    for (;;) {
        ssize_t n = sendmsg(s->watch.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return 0;
        if (errno != EINTR) {
            lose(s);
            return -1;
        }
    }
}

void stream_flush(struct stream *s)
{
    if (!stream_connected(s) || s->lost || s->out_start == s->out_end)
        return;
    struct iovec iov = {s->out + s->out_start, s->out_end - s->out_start};
    ssize_t n = send_some(s, &iov, 1);
    if (n < 0)
        return;
    s->out_start += (size_t)n;
    if (s->out_start == s->out_end)
        s->out_start = s->out_end = 0;
    watch_room(s, s->out_end != 0);
}

static bool make_room(struct stream *s, unsigned frames, size_t bytes)
{
    if (!fits(s, frames, bytes))
        stream_flush(s);
    return fits(s, frames, bytes);
}

bool stream_room(struct stream *s, unsigned frames, size_t bytes)
{
    s->refused = !make_room(s, frames, bytes);
    return !s->refused;
}

/* Append bytes [skip, ...) of prefix and frame; the caller knows that they fit. */
static void keep(struct stream *s, const struct iovec *iov, unsigned niov, size_t skip, size_t len)
{
    if (s->out_end + len - skip > OUT_BYTES) {
        memmove(s->out, s->out + s->out_start, s->out_end - s->out_start);
        s->out_end -= s->out_start;
        s->out_start = 0;
    }
    for (unsigned i = 0; i < niov && len; i++) {
        size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;
        size_t from = skip < part ? skip : part;
        memcpy(s->out + s->out_end, (uint8_t *)iov[i].iov_base + from, part - from);
        s->out_end += part - from;
        skip -= from;
        len -= part;
    }
}

bool stream_send(struct stream *s, const struct iovec *iov, unsigned niov, size_t len)
{
    uint8_t prefix[PREFIX];
    struct iovec all[MAX_IOV + 1] = {{prefix, PREFIX}};
    if (s->lost)
        return true; /* on its way to nobody */
    if (!make_room(s, 1, len)) {
        s->refused = true;
        return false;
    }
    store_be32(prefix, (uint32_t)len);
    if (len >= DIRECT_BYTES && niov <= MAX_IOV)
        stream_flush(s);
    if (len >= DIRECT_BYTES && niov <= MAX_IOV && s->out_start == s->out_end) {
        memcpy(all + 1, iov, niov * sizeof *iov);
        ssize_t n = send_some(s, all, niov + 1);
        if (n >= 0 && (size_t)n < len + PREFIX) {
            keep(s, all, niov + 1, (size_t)n, len + PREFIX);
            watch_room(s, true);
        }
        return true;
    }
    keep(s, all, 1, 0, PREFIX);
    keep(s, iov, niov, 0, len);
    return true;
}

/* --- receiving --- */

/* True if something came. */
static bool receive(struct stream *s)
{
    if (s->in_start == s->in_end) {
        s->in_start = s->in_end = 0;
    } else if (s->in_end == IN_BYTES) {
        memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
        s->in_end -= s->in_start;
        s->in_start = 0;
    }
    for (;;) {
        ssize_t n = recv(s->watch.fd, s->in + s->in_end, IN_BYTES - s->in_end, MSG_DONTWAIT);
        if (n > 0) {
            s->in_end += (size_t)n;
            return true;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (!n || (errno != EAGAIN && errno != EWOULDBLOCK))
            lose(s);
        return false;
    }
}

bool stream_peek(struct stream *s, uint8_t **data, size_t *len)
{
    if (!stream_connected(s))
        return false;
    for (;;) {
        size_t have = s->in_end - s->in_start;
        uint32_t size = have < PREFIX ? 0 : load_be32(s->in + s->in_start);
        if (have >= PREFIX && (size < NET_ETH_HEADER || size > NET_FRAME_MAX)) {
            s->in_start = s->in_end = 0;
            lose(s);
            return false;
        }
        if (have >= PREFIX && have - PREFIX >= size) {
            *data = s->in + s->in_start + PREFIX;
            *len = size;
            return true;
        }
        if (s->lost || !receive(s))
            return false;
    }
}

void stream_next(struct stream *s)
{
    s->in_start += PREFIX + load_be32(s->in + s->in_start);
}
