// SPDX-License-Identifier: MIT
//
// The way out of a character backend: see fdio.h. A byte is written by the caller at once when
// nothing waits before it and the descriptor cannot block; that is one write(2) per byte of a
// polling guest, which costs less than waking the event loop and shows the byte soonest. Only
// what was refused goes into the ring, which the event loop empties. A hard error (full disk,
// reader gone) is told once; the bytes it met are dropped, later ones are tried again.
#include "devices/chr/fdio.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static uint32_t waiting(const struct fd_out *out)
{
    return out->head - out->tail;
}

static size_t ring_put(struct fd_out *out, const uint8_t *buf, size_t len)
{
    size_t n = FD_RING - waiting(out);
    n = len < n ? len : n;
    for (size_t i = 0; i < n; i++)
        out->ring[out->head++ % FD_RING] = buf[i];
    return n;
}

static void complain(struct fd_out *out, int errnum)
{
    if (out->warned || (out->failed && out->failed(out->self, errnum)) ||
        (out->h.mode == FD_PTY && errnum == EIO))
        return; /* an unplugged cable is not worth a word */
    out->warned = true;
    log_warn("%s: %s; the guest's output is lost while this lasts", out->what, strerror(errnum));
}

/*
 * Empty the ring as far as that goes without waiting. Lock held; FD_POLLED lets go of it, being
 * the only one to empty.
 */
static void flush(struct fd_out *out)
{
    bool unlocked = out->h.mode == FD_POLLED;
    while (waiting(out)) {
        uint32_t at = out->tail % FD_RING;
        uint32_t chunk = waiting(out) < FD_RING - at ? waiting(out) : FD_RING - at;
        if (unlocked)
            pthread_mutex_unlock(&out->lock);
        ssize_t n = fd_write(&out->h, &out->ring[at], chunk);
        if (unlocked)
            pthread_mutex_lock(&out->lock);
        if (n == -EAGAIN)
            return;
        if (n < 0)
            complain(out, (int)-n);
        out->tail += n < 0 ? chunk : (uint32_t)n;
    }
}

static void arm(struct fd_out *out)
{
    if (!out->armed && waiting(out)) {
        out->armed = true;
        evloop_modify(out->loop, &out->watch, EPOLLOUT | EPOLLONESHOT);
    }
}

/* One-shot, because epoll reports a hung-up descriptor for ever, asked or not. */
static void out_ready(void *self, uint32_t events)
{
    struct fd_out *out = self;
    (void)events;
    pthread_mutex_lock(&out->lock);
    out->armed = false;
    flush(out);
    arm(out);
    bool tell = out->cut_short && waiting(out) <= FD_RING / 2;
    if (tell)
        out->cut_short = false;
    pthread_mutex_unlock(&out->lock);
    if (tell)
        event_post(&out->writable);
}

static void tell_writable(void *self)
{
    const struct chr_client *client = &((struct fd_out *)self)->chr->client;
    if (client->writable)
        client->writable(client->self);
}

/* What the descriptor takes now. Lock held, ring empty. */
static size_t write_direct(struct fd_out *out, const uint8_t *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = fd_write(&out->h, buf + done, len - done);
        if (n == -EAGAIN && out->h.mode != FD_FILE)
            break;
        if (n < 0)
            complain(out, (int)-n);
        done += n < 0 ? len - done : (size_t)n;
    }
    return done;
}

/*
 * Counted time: the reader gets some time to make room, of which the guest sees nothing. Lock held.
 */
static size_t put_patiently(struct fd_out *out, const uint8_t *buf, size_t len)
{
    size_t done = 0;
    for (int idle_ms = 0; done < len && idle_ms < FD_OUT_STUCK_MS; idle_ms += FD_OUT_ROUND_MS) {
        struct pollfd p = {.fd = out->h.fd, .events = POLLOUT};
        arm(out);
        pthread_mutex_unlock(&out->lock);
        if (out->h.mode == FD_POLLED) /* the loop alone may empty it */
            nanosleep(&(struct timespec){.tv_nsec = FD_OUT_ROUND_MS * 1000000L}, NULL);
        else
            poll(&p, 1, FD_OUT_ROUND_MS);
        pthread_mutex_lock(&out->lock);
        if (out->h.mode != FD_POLLED)
            flush(out);
        size_t n = ring_put(out, buf + done, len - done);
        done += n;
        idle_ms = n ? 0 : idle_ms;
    }
    return done;
}

size_t fd_out_write(struct fd_out *out, const uint8_t *buf, size_t len)
{
    size_t done = 0;
    pthread_mutex_lock(&out->lock);
    if (!waiting(out) && out->h.mode != FD_POLLED)
        done = write_direct(out, buf, len);
    done += ring_put(out, buf + done, len - done);
    if (done < len && out->patient)
        done += put_patiently(out, buf + done, len - done);
    if (done < len)
        out->cut_short = true;
    arm(out);
    pthread_mutex_unlock(&out->lock);
    return done;
}

int fd_out_init(struct fd_out *out, const struct fd_handle *h, const struct chr_env *env,
                struct chr *chr, const char *what, struct err *err)
{
    out->what = what;
    out->chr = chr;
    out->loop = env->loop;
    out->patient = env->patient;
    out->h = *h;
    out->patience_ms = FD_OUT_STUCK_MS;
    out->watch = (struct fd_watch){
        .fd = h->fd,
        .events = EPOLLONESHOT,
        .ready = out_ready,
        .self = out,
    };
    pthread_mutex_init(&out->lock, NULL);
    event_init(&out->writable, env->events, tell_writable, out);
    int rc = evloop_add(out->loop, &out->watch);
    if (rc == -EPERM)
        out->h.mode = FD_FILE;
    else if (rc)
        return err_set_errno(err, -rc, "watch %s", what);
    return 0;
}

/*
 * Rounds without progress count towards giving up; a descriptor that claims to be ready but takes
 * nothing is no excuse.
 */
static void flush_for_good(struct fd_out *out)
{
    const int round_ms = FD_OUT_ROUND_MS;
    bool ready = false;
    for (int idle_ms = 0; waiting(out) && idle_ms < out->patience_ms; idle_ms += round_ms) {
        uint32_t before = out->tail;
        flush(out);
        if (out->tail != before)
            idle_ms = 0;
        else if (ready)
            nanosleep(&(struct timespec){.tv_nsec = round_ms * 1000000L}, NULL);
        struct pollfd p = {.fd = out->h.fd, .events = POLLOUT};
        ready = waiting(out) && poll(&p, 1, round_ms) != 0;
    }
    if (waiting(out))
        log_warn("%s: the last %u bytes are lost: nobody took them for %d ms", out->what,
                 waiting(out), out->patience_ms);
}

void fd_out_fini(struct fd_out *out)
{
    pthread_mutex_lock(&out->lock);
    flush_for_good(out);
    pthread_mutex_unlock(&out->lock);
    evloop_remove(out->loop, &out->watch);
    event_cancel(&out->writable);
    pthread_mutex_destroy(&out->lock);
    if (out->h.close_it)
        close(out->h.fd);
}
