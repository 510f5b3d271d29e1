// SPDX-License-Identifier: MIT
//
// Network without root or set-up: a NAT in user space. The TCP/IP stack (libslirp) runs in a helper
// process, whose program is part of ours: so it is not in the way of the machine, a bug in it meets
// no guest memory, and minivmm stays one static file although libslirp is a shared library.
// The helper starts when the guest's driver does, or at once if ports are forwarded, so that a port
// in use is an error at the start. It ends with us: its end of the socket says so.
// If it dies, the guest's link goes down until the guest's driver starts anew.
// Long TCP segments: the guest may send them (a checksum is all that we finish), and towards a
// guest that takes them the stack is made to send them, by raising the MSS in the guest's SYN; on
// the way in they are marked for cutting to the size that the guest expects.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/net/backends.h"
#include "devices/net/offload.h"
#include "devices/net/stream.h"
#include "devices/net/user_link.h"
#include "helper.h"
#include "log.h"
#include "util.h"

#define GREETING_MS 10000
#define SYN_BYTES 160 /* Ethernet with a tag, IPv6, the longest TCP header: more is no SYN */
#define MSS_LONG 32768
#define GSO_SIZE (USERNET_MTU - 60) /* of IPv6; IPv4 could have 20 bytes more */

struct user_net {
    struct net net;
    struct net_env env;
    struct stream stream;
    const struct net_user_config *cfg;
    pid_t helper; /* 0: none */
    bool greeted;
    unsigned device_takes; /* NET_TSO4, ... */
};

static struct user_net *from_net(struct net *net)
{
    return container_of(net, struct user_net, net);
}

/* --- the helper process --- */

/* How the helper ended, in words. */
static void reap(struct user_net *n, char *how, size_t len)
{
    int status = 0;
    if (!n->helper)
        return;
    kill(n->helper, SIGKILL); /* most often it has ended by itself */
    while (waitpid(n->helper, &status, 0) < 0 && errno == EINTR)
        ;
    n->helper = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        snprintf(how, len, "its program could not run: is libslirp0 installed?");
    else if (WIFEXITED(status))
        snprintf(how, len, "its helper ended with status %d", WEXITSTATUS(status));
    else
        snprintf(how, len, "its helper ended with signal %d", WTERMSIG(status));
}

static int start_on(struct user_net *n, int ours, int theirs)
{
    if (send(ours, n->cfg, sizeof *n->cfg, MSG_NOSIGNAL) != sizeof *n->cfg)
        return -EIO;
    const struct helper_image image = {"minivmm-usernet", usernet_image, usernet_image_end};
    int rc = helper_start(&image, theirs, -1, &n->helper);
    return rc ? rc : stream_connect(&n->stream, ours);
}

static int start(struct user_net *n)
{
    int pair[2];
    char how[80];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    n->greeted = false;
    int rc = start_on(n, pair[0], pair[1]);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        reap(n, how, sizeof how);
    }
    return rc;
}

/* True once the helper has said that it is up; false: not yet, or `trouble` says what it said. */
static bool hear_greeting(struct user_net *n, char *trouble, size_t len)
{
    uint8_t *text;
    size_t size;
    trouble[0] = '\0';
    if (n->greeted)
        return true;
    if (!stream_peek(&n->stream, &text, &size))
        return false;
    if (size != USERNET_GREETING || text[0]) {
        snprintf(trouble, len, "%.*s", (int)strnlen((char *)text, size), (char *)text);
        return false;
    }
    stream_next(&n->stream);
    n->greeted = true;
    return true;
}

static void give_up(struct user_net *n, const char *trouble)
{
    char how[80] = "";
    stream_disconnect(&n->stream);
    reap(n, how, sizeof how);
    log_warn("net %s: %s; the guest's link is down", n->net.id, *trouble ? trouble : how);
    net_set_link(&n->net, false);
}

/* --- the stream's words --- */

static void on_gone(void *self)
{
    struct user_net *n = self;
    give_up(n, "");
    net_tell_writable(&n->net, 0);
}

static void on_readable(void *self)
{
    struct user_net *n = self;
    char trouble[USERNET_GREETING];
    if (hear_greeting(n, trouble, sizeof trouble))
        net_tell_readable(&n->net, 0);
    else if (*trouble)
        give_up(n, trouble);
}

static void on_writable(void *self)
{
    net_tell_writable(&((struct user_net *)self)->net, 0);
}

/* --- frames --- */

static bool user_room(struct net *net, unsigned queue, unsigned frames, size_t bytes)
{
    (void)queue;
    return stream_room(&from_net(net)->stream, frames, bytes);
}

/* A guest that takes long segments asks for short ones in its SYN, since it thinks of wires. */
static bool send_short(struct user_net *n, const struct iovec *iov, unsigned niov, size_t len)
{
    uint8_t copy[SYN_BYTES];
    size_t at = 0;
    for (unsigned i = 0; i < niov && at < len; i++) {
        size_t part = iov[i].iov_len < len - at ? iov[i].iov_len : len - at;
        memcpy(copy + at, iov[i].iov_base, part);
        at += part;
    }
    tcp_raise_mss(copy, len, MSS_LONG);
    struct iovec one = {copy, len};
    return stream_send(&n->stream, &one, 1, len);
}

static bool user_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                      size_t len, const struct net_offload *offload)
{
    (void)queue, (void)offload;
    struct user_net *n = from_net(net);
    if (!stream_connected(&n->stream))
        return true; /* the link has just gone down */
    unsigned both = NET_TSO4 | NET_TSO6;
    if ((n->device_takes & both) == both && len <= SYN_BYTES)
        return send_short(n, iov, niov, len);
    return stream_send(&n->stream, iov, niov, len);
}

static void user_flush(struct net *net, unsigned queue)
{
    (void)queue;
    stream_flush(&from_net(net)->stream);
}

static bool user_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    (void)queue;
    struct user_net *n = from_net(net);
    uint8_t *data;
    size_t len;
    if (!n->greeted || !stream_peek(&n->stream, &data, &len))
        return false;
    *frame = (struct net_frame){.data = data, .len = len, .offload.csum_good = true};
    if (len > USERNET_MTU + NET_ETH_HEADER)
        tcp_frame_unfinish(data, len, GSO_SIZE, &frame->offload);
    return true;
}

static void user_next(struct net *net, unsigned queue)
{
    (void)queue;
    stream_next(&from_net(net)->stream);
}

/* --- life --- */

static void user_run(struct net *net, bool on)
{
    struct user_net *n = from_net(net);
    if (!on || stream_connected(&n->stream))
        return;
    int rc = start(n);
    if (rc)
        log_warn("net %s: cannot start its helper: %s; the guest's link is down", net->id,
                 strerror(-rc));
    net_set_link(net, !rc);
}

static void user_set_takes(struct net *net, unsigned takes)
{
    from_net(net)->device_takes = takes;
}

static void user_fini(struct net *net)
{
    struct user_net *n = from_net(net);
    char how[80];
    stream_fini(&n->stream);
    reap(n, how, sizeof how);
    net_fini(net);
    free(n);
}

static const struct net_ops user_ops = {
    .run = user_run,
    .set_takes = user_set_takes,
    .room = user_room,
    .send = user_send,
    .flush = user_flush,
    .peek = user_peek,
    .next = user_next,
    .fini = user_fini,
};

/* Set-up time, so waiting is allowed. */
static int start_and_wait(struct user_net *n, struct err *err)
{
    char trouble[USERNET_GREETING] = "", how[80] = "";
    int rc = start(n);
    if (rc)
        return err_set_errno(err, -rc, "net %s: start its helper", n->net.id);
    struct pollfd p = {.fd = n->stream.watch.fd, .events = POLLIN};
    while (!hear_greeting(n, trouble, sizeof trouble) && !*trouble && !n->stream.lost) {
        int ready = poll(&p, 1, GREETING_MS);
        if (!ready)
            return err_set(err, ETIMEDOUT, "net %s: its helper does not answer", n->net.id);
        if (ready < 0 && errno != EINTR)
            return err_set_errno(err, errno, "net %s: wait for its helper", n->net.id);
    }
    if (n->greeted)
        return 0;
    if (!*trouble)
        reap(n, how, sizeof how);
    return err_set(err, EIO, "net %s: %s", n->net.id, *trouble ? trouble : how);
}

struct net *net_user_open(const struct net_config *cfg, const struct net_env *env, struct err *err)
{
    struct user_net *n = calloc(1, sizeof *n);
    if (!n) {
        err_set(err, ENOMEM, "net: out of memory");
        return NULL;
    }
    net_init(&n->net, "user", net_config_id(cfg), &user_ops);
    n->net.takes = NET_LONG;
    n->net.gives = NET_CSUM | NET_TSO4 | NET_TSO6;
    n->net.link = true;
    n->env = *env;
    n->cfg = &cfg->user;
    n->stream = (struct stream){.env = &n->env, .readable = on_readable, .writable = on_writable,
                                .gone = on_gone, .self = n};
    stream_init(&n->stream);
    if (cfg->user.nforwards && start_and_wait(n, err)) {
        user_fini(&n->net);
        return NULL;
    }
    return &n->net;
}
