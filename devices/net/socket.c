// SPDX-License-Identifier: MIT
//
// A connection to a UNIX stream socket, where passt, another VMM or a switch listens. The peer must
// be there at the start. When it goes, the guest's link goes down, and every `reconnect` seconds of
// guest time a new connection is tried; when that succeeds the link comes up again. What was on its
// way is lost, as when a cable is pulled.
// Left out: listening ourselves, datagram sockets, descriptors handed over.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/net/backends.h"
#include "devices/net/stream.h"
#include "log.h"
#include "util.h"

struct socket_net {
    struct net net;
    struct net_env env;
    struct stream stream;
    struct timer retry;
    const char *path;
    uint64_t retry_ns; /* 0: never */
};

static struct socket_net *from_net(struct net *net)
{
    return container_of(net, struct socket_net, net);
}

static int open_connection(struct socket_net *n)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(n->path) >= sizeof addr.sun_path)
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, n->path, strlen(n->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)&addr, sizeof addr) ? -errno : 0;
    if (!rc)
        rc = stream_connect(&n->stream, fd);
    if (rc)
        close(fd);
    return rc;
}

static void arm_retry(struct socket_net *n)
{
    if (n->retry_ns)
        timer_arm(&n->retry, clock_now_ns(n->env.clock) + n->retry_ns);
}

static void on_retry(void *self)
{
    struct socket_net *n = self;
    if (open_connection(n)) {
        arm_retry(n);
        return;
    }
    log_notice("net %s: connected to '%s' again", n->net.id, n->path);
    net_set_link(&n->net, true);
}

static void on_gone(void *self)
{
    struct socket_net *n = self;
    stream_disconnect(&n->stream);
    log_warn("net %s: '%s' closed the connection; the guest's link is down", n->net.id, n->path);
    net_set_link(&n->net, false);
    net_tell_writable(&n->net, 0); /* what waited for room is lost */
    arm_retry(n);
}

static void on_readable(void *self)
{
    net_tell_readable(&((struct socket_net *)self)->net, 0);
}

static void on_writable(void *self)
{
    net_tell_writable(&((struct socket_net *)self)->net, 0);
}

static bool socket_room(struct net *net, unsigned queue, unsigned frames, size_t bytes)
{
    (void)queue;
    return stream_room(&from_net(net)->stream, frames, bytes);
}

static bool socket_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                        size_t len, const struct net_offload *offload)
{
    (void)queue, (void)offload;
    return stream_send(&from_net(net)->stream, iov, niov, len);
}

static void socket_flush(struct net *net, unsigned queue)
{
    (void)queue;
    stream_flush(&from_net(net)->stream);
}

static bool socket_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    (void)queue;
    uint8_t *data;
    *frame = (struct net_frame){0};
    bool found = stream_peek(&from_net(net)->stream, &data, &frame->len);
    if (found)
        frame->data = data;
    return found;
}

static void socket_next(struct net *net, unsigned queue)
{
    (void)queue;
    stream_next(&from_net(net)->stream);
}

static void socket_fini(struct net *net)
{
    struct socket_net *n = from_net(net);
    timer_cancel(&n->retry);
    stream_fini(&n->stream);
    net_fini(net);
    free(n);
}

static const struct net_ops socket_ops = {
    .room = socket_room,
    .send = socket_send,
    .flush = socket_flush,
    .peek = socket_peek,
    .next = socket_next,
    .fini = socket_fini,
};

struct net *net_socket_open(const struct net_config *cfg, const struct net_env *env,
                            struct err *err)
{
    struct socket_net *n = calloc(1, sizeof *n);
    if (!n) {
        err_set(err, ENOMEM, "net: out of memory");
        return NULL;
    }
    net_init(&n->net, "socket", net_config_id(cfg), &socket_ops);
    n->env = *env;
    n->path = cfg->path;
    n->retry_ns = cfg->reconnect_s * NS_PER_S;
    n->stream = (struct stream){.env = &n->env, .readable = on_readable, .writable = on_writable,
                                .gone = on_gone, .self = n};
    stream_init(&n->stream);
    timer_init(&n->retry, env->clock, on_retry, n);
    int rc = open_connection(n);
    if (rc) {
        err_set_errno(err, -rc, "net %s: connect to the socket '%s'", n->net.id, n->path);
        socket_fini(&n->net);
        return NULL;
    }
    n->net.link = true;
    return &n->net;
}
