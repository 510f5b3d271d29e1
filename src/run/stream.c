// SPDX-License-Identifier: MIT
//
// The standard streams of minivmm run: each a port's backend on our own descriptor. The ends of
// streams travel over the control channel, with byte counts, because a port has no place for them
// that is in order with its bytes.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/chr/tty.h"
#include "src/run/run.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */
#define ESCAPES 3

static struct run_stream *from_chr(struct chr *chr)
{
    return (struct run_stream *)chr;
}

static size_t stream_read(struct chr *chr, uint8_t *buf, size_t len)
{
    struct run_stream *s = from_chr(chr);
    size_t n = s->has_in ? fd_in_read(&s->in, buf, len) : 0;
    s->total += n;
    return n;
}

static size_t stream_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct run_stream *s = from_chr(chr);
    size_t n = s->has_out ? fd_out_write(&s->out, buf, len) : len;
    s->total += n;
    run_check_complete(s->run);
    return n;
}

static void stream_fini(struct chr *chr)
{
    struct run_stream *s = from_chr(chr);
    if (s->has_in)
        fd_in_fini(&s->in);
    if (s->has_out) {
        s->out.patience_ms = 24 * 3600 * 1000; /* what the command wrote must arrive */
        fd_out_fini(&s->out);
        event_cancel(&s->closed_at);
    }
    tty_restore();
}

static const struct chr_ops stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .fini = stream_fini,
};

/* --- what fd_in and fd_out tell --- */

static void on_readable(void *self)
{
    struct run_stream *s = self;
    if (s->chr.client.readable)
        s->chr.client.readable(s->chr.client.self);
}

static void on_writable(void *self)
{
    struct run_stream *s = self;
    if (s->chr.client.writable)
        s->chr.client.writable(s->chr.client.self);
}

static void on_ended(void *self)
{
    struct run_stream *s = self;
    char line[40];
    snprintf(line, sizeof line, "eof %llu\n", (unsigned long long)s->total);
    run_control_send(s->run, line);
}

/* The reader has gone: the command hears of it as it would here, by SIGPIPE. */
static bool on_failed(void *self, int errnum)
{
    struct run_stream *s = self;
    if (errnum != EPIPE) {
        s->lost = true;
        return false;
    }
    if (!s->closed)
        event_post(&s->closed_at);
    s->closed = true;
    return true;
}

static void tell_closed(void *self)
{
    struct run_stream *s = self;
    run_control_send(s->run, s == &s->run->err ? "closed 2\n" : "closed 1\n");
}

/* Three times Ctrl-] ends a shell whose guest hangs. */
static int filter_key(void *self, uint8_t byte)
{
    struct run_stream *s = self;
    s->escapes = byte == ESCAPE_KEY ? s->escapes + 1 : 0;
    if (s->escapes == ESCAPES)
        stop_request(&s->run->stop, STOP_QUIT, 0);
    return byte;
}

static bool may_read_terminal(void *self)
{
    struct run_stream *s = self;
    bool was_background = s->background;
    s->background = !tty_in_foreground(s->fd);
    if (was_background && !s->background)
        tty_raw_again();
    return !s->background;
}

/* --- opening --- */

static int open_in(struct run_stream *s, const char *name, const struct fd_handle *h,
                   const struct chr_env *env, struct err *err)
{
    bool tty = isatty(s->fd);
    struct fd_in_hooks hooks = {.ended = on_ended, .self = s, .retry = tty};
    if (tty)
        hooks.may_read = may_read_terminal;
    if (tty && s->run->opt.shell) {
        hooks.filter = filter_key;
        tty_claim();
    }
    s->has_in = true;
    return fd_in_init(&s->in, h, env, &s->inner, name, &hooks, err);
}

static int open_out(struct run_stream *s, const char *name, const struct fd_handle *h,
                    const struct chr_env *env, struct err *err)
{
    s->has_out = true;
    s->out.failed = on_failed;
    s->out.self = s;
    event_init(&s->closed_at, env->events, tell_closed, s);
    return fd_out_init(&s->out, h, env, &s->inner, name, err);
}

struct chr *run_stream_open(struct run_stream *s, const char *name, int fd, bool output,
                            const struct chr_env *env, struct err *err)
{
    struct fd_handle h;
    s->chr = (struct chr){.name = name, .ops = &stream_ops};
    s->inner = (struct chr){
        .name = name,
        .client = {.readable = on_readable, .writable = on_writable, .self = s},
    };
    s->fd = fd;
    int rc = fd_share(fd, output ? O_WRONLY : O_RDONLY, &h);
    if (rc)
        rc = err_set_errno(err, -rc, "use %s", name);
    else if (output)
        rc = open_out(s, name, &h, env, err);
    else
        rc = open_in(s, name, &h, env, err);
    if (!rc)
        return &s->chr;
    stream_fini(&s->chr);
    return NULL;
}
