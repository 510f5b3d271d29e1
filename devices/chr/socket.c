// SPDX-License-Identifier: MIT
//
// A port on a UNIX socket that we listen on. One client at a time; the next waits in the kernel's
// queue until the one before has left. With nobody there, output is dropped, as on an unplugged
// cable. A client that only stops sending has hung up as far as the device is told, but still gets
// what the guest sends until it leaves. The socket's name is removed at the end; a name that
// nobody listens on any more is taken over.
// Left out: TCP, connecting ourselves, waiting for the first client before the guest starts.
// Thread: connections come and go as events, which run on the event loop's thread under the device
// lock, so that neither a handler nor the device is inside the ends that are exchanged.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/backends.h"
#include "devices/chr/fdio.h"
#include "log.h"
#include "unix_socket.h"

struct chr_socket {
    struct chr chr;
    struct chr_env env;
    struct fd_watch listener; /* one-shot: silent while a client is served */
    struct fd_watch hangup;   /* of a client that sends no more */
    struct event accept_it, drop_it;
    bool connected;
    struct fd_in in;
    struct fd_out out;
    char *path;
    bool bound;
};

static size_t socket_read(struct chr *chr, uint8_t *buf, size_t len)
{
    struct chr_socket *s = (struct chr_socket *)chr;
    return s->connected ? fd_in_read(&s->in, buf, len) : 0;
}

static size_t socket_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct chr_socket *s = (struct chr_socket *)chr;
    return s->connected ? fd_out_write(&s->out, buf, len) : len;
}

static void listen_again(struct chr_socket *s)
{
    evloop_modify(s->env.loop, &s->listener, EPOLLIN | EPOLLONESHOT);
}

static void disconnect(struct chr_socket *s)
{
    s->connected = false;
    evloop_remove(s->env.loop, &s->hangup);
    fd_out_fini(&s->out);
    fd_in_fini(&s->in);
}

static void socket_fini(struct chr *chr)
{
    struct chr_socket *s = (struct chr_socket *)chr;
    if (s->connected)
        disconnect(s);
    event_cancel(&s->accept_it);
    event_cancel(&s->drop_it);
    evloop_remove(s->env.loop, &s->listener);
    if (s->listener.fd >= 0)
        close(s->listener.fd);
    if (s->bound)
        unlink(s->path);
    free(s->path);
    free(s);
}

static const struct chr_ops socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .fini = socket_fini,
};

/* --- clients come and go --- */

static void listener_ready(void *self, uint32_t events)
{
    (void)events;
    event_post(&((struct chr_socket *)self)->accept_it);
}

static void hangup_ready(void *self, uint32_t events)
{
    (void)events;
    event_post(&((struct chr_socket *)self)->drop_it);
}

static void drop_client(void *self)
{
    struct chr_socket *s = self;
    if (!s->connected)
        return;
    disconnect(s);
    listen_again(s);
}

/* The client sends no more. It may still read: only a hang-up of both directions ends it. */
static void client_ended(void *self)
{
    struct chr_socket *s = self;
    s->hangup = (struct fd_watch){
        .fd = s->in.h.fd, .events = EPOLLONESHOT, .ready = hangup_ready, .self = s};
    if (evloop_add(s->env.loop, &s->hangup))
        event_post(&s->drop_it);
}

static int serve(struct chr_socket *s, int fd, struct err *err)
{
    struct fd_handle in = {.fd = fd, .mode = FD_SOCKET, .close_it = true};
    struct fd_handle out = in;
    out.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (out.fd < 0) {
        close(fd);
        return err_set_errno(err, errno, "serve a client");
    }
    memset(&s->in, 0, sizeof s->in);
    memset(&s->out, 0, sizeof s->out);
    int rc = fd_out_init(&s->out, &out, &s->env, &s->chr, "output to the socket", err);
    struct err second = {0};
    int rc2 = fd_in_init(&s->in, &in, &s->env, &s->chr, "input from the socket",
                         &(struct fd_in_hooks){.ended = client_ended, .self = s},
                         rc ? &second : err);
    if (!rc && !rc2)
        return 0;
    fd_out_fini(&s->out);
    fd_in_fini(&s->in);
    return rc ? rc : rc2;
}

static void accept_client(void *self)
{
    struct chr_socket *s = self;
    struct err err = {{0}};
    if (s->connected)
        return;
    int fd = unix_accept(s->listener.fd);
    if (fd < 0 || serve(s, fd, &err)) {
        if (err.msg[0])
            log_warn("socket '%s': %s", s->path, err.msg);
        listen_again(s);
        return;
    }
    s->connected = true;
    chr_tell_peer(&s->chr, true);
}

/* --- set-up --- */

static int listen_at(struct chr_socket *s, struct err *err)
{
    int fd = unix_listen("", s->path, 1, err);
    s->listener.fd = fd;
    if (fd < 0)
        return fd;
    s->bound = true;
    int rc = evloop_add(s->env.loop, &s->listener);
    return rc ? err_set_errno(err, -rc, "watch the socket '%s'", s->path) : 0;
}

struct chr *chr_socket_open(const char *arg, const struct chr_env *env, struct err *err)
{
    struct chr_socket *s = calloc(1, sizeof *s);
    if (!s) {
        err_set_errno(err, ENOMEM, "open the backend 'socket'");
        return NULL;
    }
    s->chr = (struct chr){.name = "socket", .ops = &socket_ops, .peer_gone = true};
    s->env = *env;
    s->listener = (struct fd_watch){
        .fd = -1, .events = EPOLLIN | EPOLLONESHOT, .ready = listener_ready, .self = s};
    event_init(&s->accept_it, env->events, accept_client, s);
    event_init(&s->drop_it, env->events, drop_client, s);
    s->path = strdup(arg);
    int rc = s->path ? listen_at(s, err)
                     : err_set(err, ENOMEM, "out of memory for the socket '%s'", arg);
    if (!rc)
        return &s->chr;
    socket_fini(&s->chr);
    return NULL;
}
