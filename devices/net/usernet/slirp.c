// SPDX-License-Identifier: MIT
//
// libslirp 4.7 as a network backend: a guest on a network of its own behind a NAT, with DHCP, DNS,
// TCP, UDP, ICMP echo where the host allows it, IPv4 and IPv6, and host ports forwarded inwards.
// Its time is clock.h's, its descriptors are the event loop's; all its functions are called under
// the lock of the event queue, so it is never entered twice.
// Bounded: frames for the guest wait in one buffer. When it is half full, the stack hears of no
// descriptor and is given no frame until the guest has taken some; what a burst adds beyond the
// whole buffer is dropped, as the network may.
// Left out on purpose: TFTP, SMB, commands behind guest ports, protocol emulation, urgent data
// (the flag is cleared: nobody needs it, and stacks have had holes there).
#include "devices/net/usernet/slirp.h"

#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "devices/net/offload.h"
#include "devices/net/user_link.h"
#include "log.h"
#include "util.h"

#define QUEUE_BYTES MIB(1)
#define LONG_MTU 65521 /* what the stack may hand over at once; the MSS keeps TCP below it */
#define IDLE_MS 1000   /* libslirp asks to be called so often when it has nothing to time */
#define NS_PER_MS 1000000ull

/* A descriptor of the stack's, found by its number. */
struct slirp_fd {
    struct fd_watch watch;
    struct slirp_net *net;
    uint32_t revents;
    unsigned pass; /* of `sync` that last wanted it */
};

struct slirp_timer {
    struct timer timer;
    struct slirp_net *net;
    SlirpTimerId id;
    void *opaque;
};

struct slirp_net {
    struct net net;
    struct net_env env;
    Slirp *slirp;
    struct timer tick;
    struct event activity;
    struct slirp_fd **fds; /* by number; NULL: never seen */
    int nfds;
    unsigned pass;
    bool paused, refused;
    uint8_t *queue; /* frames for the guest: length (4 bytes), data */
    size_t start, end;
    uint64_t dropped;
};

static struct slirp_net *from_net(struct net *net)
{
    return container_of(net, struct slirp_net, net);
}

/* --- frames for the guest --- */

static size_t waiting(const struct slirp_net *n)
{
    return n->end - n->start;
}

static void queue_frame(struct slirp_net *n, const void *buf, size_t len)
{
    uint32_t size = (uint32_t)len;
    if (len < NET_ETH_HEADER || len > NET_FRAME_MAX ||
        waiting(n) + len + sizeof size > QUEUE_BYTES) {
        n->dropped++;
        return;
    }
    if (n->end + len + sizeof size > QUEUE_BYTES) {
        memmove(n->queue, n->queue + n->start, waiting(n));
        n->end -= n->start;
        n->start = 0;
    }
    memcpy(n->queue + n->end, &size, sizeof size);
    memcpy(n->queue + n->end + sizeof size, buf, len);
    n->end += len + sizeof size;
}

/*
 * The stack is told of a long MTU for the sake of TCP; other packets are cut to the guest's here.
 */
static ssize_t on_packet(const void *buf, size_t len, void *opaque)
{
    struct slirp_net *n = opaque;
    struct fragmenter f;
    uint8_t piece[NET_ETH_HEADER + USERNET_MTU];
    size_t part;
    if (!fragment_begin(&f, buf, len, USERNET_MTU))
        queue_frame(n, buf, len);
    else
        while ((part = fragment_next(&f, piece)))
            queue_frame(n, piece, part);
    return (ssize_t)len;
}

/* --- descriptors and time --- */

static void on_fd(void *self, uint32_t events)
{
    struct slirp_fd *f = self;
    f->revents |= events;
    event_post(&f->net->activity);
}

static struct slirp_fd *find_fd(struct slirp_net *n, int fd)
{
    if (fd >= n->nfds) {
        int count = fd + 64;
        struct slirp_fd **fds = realloc(n->fds, (size_t)count * sizeof *fds);
        if (!fds)
            return NULL;
        memset(fds + n->nfds, 0, (size_t)(count - n->nfds) * sizeof *fds);
        n->fds = fds;
        n->nfds = count;
    }
    if (!n->fds[fd]) {
        n->fds[fd] = calloc(1, sizeof **n->fds);
        if (!n->fds[fd])
            return NULL;
        n->fds[fd]->net = n;
        n->fds[fd]->watch = (struct fd_watch){.fd = fd, .ready = on_fd, .self = n->fds[fd]};
    }
    return n->fds[fd];
}

static const struct {
    int slirp;
    uint32_t epoll;
} flags[] = {
    {SLIRP_POLL_IN, EPOLLIN},   {SLIRP_POLL_OUT, EPOLLOUT}, {SLIRP_POLL_PRI, EPOLLPRI},
    {SLIRP_POLL_ERR, EPOLLERR}, {SLIRP_POLL_HUP, EPOLLHUP},
};

static int want_fd(int fd, int events, void *opaque)
{
    struct slirp_net *n = opaque;
    struct slirp_fd *f = fd < 0 ? NULL : find_fd(n, fd);
    uint32_t wanted = 0;
    if (!f)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        wanted |= events & flags[i].slirp ? flags[i].epoll : 0;
    f->pass = n->pass;
    if (!f->watch.added) {
        f->watch.events = wanted;
        evloop_add(n->env.loop, &f->watch);
    } else if (f->watch.events != wanted) {
        evloop_modify(n->env.loop, &f->watch, wanted);
    }
    return fd;
}

static int fd_events(int fd, void *opaque)
{
    struct slirp_net *n = opaque;
    int events = 0;
    if (fd < 0 || fd >= n->nfds || !n->fds[fd])
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        events |= n->fds[fd]->revents & flags[i].epoll ? flags[i].slirp : 0;
    return events;
}

/* The stack is about to close it; the number may come back as another's. */
static void forget_fd(int fd, void *opaque)
{
    struct slirp_net *n = opaque;
    if (fd < 0 || fd >= n->nfds || !n->fds[fd])
        return;
    evloop_remove(n->env.loop, &n->fds[fd]->watch);
    n->fds[fd]->revents = 0;
}

/* Ask the stack what it waits for, and wait for that. */
static void sync(struct slirp_net *n)
{
    uint32_t ms = UINT32_MAX;
    n->pass++;
    n->paused = waiting(n) > QUEUE_BYTES / 2;
    if (!n->paused)
        slirp_pollfds_fill(n->slirp, &ms, want_fd, n);
    for (int fd = 0; fd < n->nfds; fd++) {
        struct slirp_fd *f = n->fds[fd];
        if (f && f->watch.added && f->pass != n->pass)
            evloop_remove(n->env.loop, &f->watch);
    }
    if (ms < IDLE_MS)
        timer_arm(&n->tick, clock_now_ns(n->env.clock) + ms * NS_PER_MS);
    else
        timer_cancel(&n->tick);
}

static void on_activity(void *self)
{
    struct slirp_net *n = self;
    if (!n->paused)
        slirp_pollfds_poll(n->slirp, 0, fd_events, n);
    for (int fd = 0; fd < n->nfds; fd++) {
        if (n->fds[fd])
            n->fds[fd]->revents = 0;
    }
    sync(n);
    if (waiting(n))
        net_tell_readable(&n->net, 0);
}

static int64_t time_ns(void *opaque)
{
    return (int64_t)clock_now_ns(((struct slirp_net *)opaque)->env.clock);
}

static void timer_fired(void *self)
{
    struct slirp_timer *t = self;
    slirp_handle_timer(t->net->slirp, t->id, t->opaque);
    event_post(&t->net->activity);
}

static void *timer_make(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct slirp_net *n = opaque;
    struct slirp_timer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct slirp_timer){.net = n, .id = id, .opaque = cb_opaque};
    timer_init(&t->timer, n->env.clock, timer_fired, t);
    return t;
}

static void timer_drop(void *timer, void *opaque)
{
    (void)opaque;
    struct slirp_timer *t = timer;
    if (t)
        timer_cancel(&t->timer);
    free(t);
}

static void timer_set(void *timer, int64_t expire_ms, void *opaque)
{
    (void)opaque;
    struct slirp_timer *t = timer;
    if (t && expire_ms >= 0)
        timer_arm(&t->timer, (uint64_t)expire_ms * NS_PER_MS);
}

static void on_guest_error(const char *msg, void *opaque)
{
    (void)opaque;
    log_guest("usernet: %s", msg);
}

static void nothing_fd(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

static void on_notify(void *opaque)
{
    event_post(&((struct slirp_net *)opaque)->activity);
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = time_ns,
    .timer_new_opaque = timer_make,
    .timer_free = timer_drop,
    .timer_mod = timer_set,
    .register_poll_fd = nothing_fd,
    .unregister_poll_fd = forget_fd,
    .notify = on_notify,
};

/* --- the backend --- */

static bool slirp_room(struct net *net, unsigned queue, unsigned frames, size_t bytes)
{
    (void)queue, (void)frames, (void)bytes;
    struct slirp_net *n = from_net(net);
    n->refused = waiting(n) > QUEUE_BYTES / 2;
    return !n->refused;
}

static bool slirp_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                       size_t len, const struct net_offload *offload)
{
    (void)offload;
    struct slirp_net *n = from_net(net);
    if (!slirp_room(net, queue, 1, len))
        return false;
    if (niov != 1)
        return true; /* our only caller has frames in one piece */
    tcp_clear_urgent(iov->iov_base, len);
    slirp_input(n->slirp, iov->iov_base, (int)len);
    return true;
}

static void slirp_flush(struct net *net, unsigned queue)
{
    (void)queue;
    event_post(&from_net(net)->activity);
}

static bool slirp_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    (void)queue;
    struct slirp_net *n = from_net(net);
    if (!waiting(n))
        return false;
    *frame = (struct net_frame){
        .data = n->queue + n->start + 4, .len = load_le32(n->queue + n->start)};
    return true;
}

static void slirp_next(struct net *net, unsigned queue)
{
    (void)queue;
    struct slirp_net *n = from_net(net);
    n->start += 4 + load_le32(n->queue + n->start);
    if (n->start == n->end)
        n->start = n->end = 0;
    if (waiting(n) > QUEUE_BYTES / 4)
        return;
    if (n->paused) {
        n->paused = false;
        event_post(&n->activity);
    }
    if (n->refused) {
        n->refused = false;
        net_tell_writable(net, 0);
    }
}

static void slirp_fini(struct net *net)
{
    struct slirp_net *n = from_net(net);
    if (n->slirp)
        slirp_cleanup(n->slirp);
    timer_cancel(&n->tick);
    event_cancel(&n->activity);
    for (int fd = 0; fd < n->nfds; fd++) {
        if (n->fds[fd])
            evloop_remove(n->env.loop, &n->fds[fd]->watch);
        free(n->fds[fd]);
    }
    free(n->fds);
    free(n->queue);
    net_fini(net);
    free(n);
}

static const struct net_ops slirp_ops = {
    .room = slirp_room,
    .send = slirp_send,
    .flush = slirp_flush,
    .peek = slirp_peek,
    .next = slirp_next,
    .fini = slirp_fini,
};

/* --- set-up --- */

static Slirp *make_stack(struct slirp_net *n, const struct net_user_config *cfg)
{
    const char *search[] = {cfg->dnssearch, NULL};
    SlirpConfig c = {
        .version = 4,
        .restricted = cfg->restricted,
        .in_enabled = cfg->ipv4,
        .vnetwork.s_addr = cfg->net,
        .vnetmask.s_addr = cfg->mask,
        .vhost.s_addr = cfg->host,
        .in6_enabled = cfg->ipv6,
        .vprefix_len = cfg->prefix6,
        .vhostname = cfg->hostname[0] ? cfg->hostname : NULL,
        .vdhcp_start.s_addr = cfg->dhcp_start,
        .vnameserver.s_addr = cfg->dns,
        .vdnssearch = cfg->dnssearch[0] ? search : NULL,
        .vdomainname = cfg->domainname[0] ? cfg->domainname : NULL,
        .if_mtu = LONG_MTU,
        .if_mru = LONG_MTU,
    };
    memcpy(&c.vprefix_addr6, cfg->net6, 16);
    memcpy(&c.vhost6, cfg->host6, 16);
    memcpy(&c.vnameserver6, cfg->dns6, 16);
    return slirp_new(&c, &callbacks, n);
}

static int forward(struct slirp_net *n, const struct net_forward *f, struct err *err)
{
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(f->host_port),
                               .sin_addr.s_addr = f->host_addr};
    struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(f->guest_port),
                                .sin_addr.s_addr = f->guest_addr};
    if (slirp_add_hostxfwd(n->slirp, (const struct sockaddr *)&host, sizeof host,
                           (const struct sockaddr *)&guest, sizeof guest,
                           f->udp ? SLIRP_HOSTFWD_UDP : 0) >= 0)
        return 0;
    int e = errno;
    char addr[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &host.sin_addr, addr, sizeof addr);
    return err_set_errno(err, e ? e : EIO, "hostfwd: listen on %s port %u of %s",
                         f->udp ? "udp" : "tcp", f->host_port, addr);
}

struct net *net_slirp_open(const struct net_user_config *cfg, const struct net_env *env,
                           struct err *err)
{
    struct slirp_net *n = calloc(1, sizeof *n);
    if (!n) {
        err_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    net_init(&n->net, "slirp", "slirp", &slirp_ops);
    n->net.takes = NET_LONG;
    n->net.link = true;
    n->env = *env;
    n->queue = malloc(QUEUE_BYTES);
    event_init(&n->activity, env->events, on_activity, n);
    timer_init(&n->tick, env->clock, on_activity, n);
    n->slirp = n->queue ? make_stack(n, cfg) : NULL;
    int rc = n->slirp ? 0 : err_set(err, ENOMEM, "libslirp does not start");
    for (unsigned i = 0; i < cfg->nforwards && i < NET_MAX_FORWARDS && !rc; i++)
        rc = forward(n, &cfg->forward[i], err);
    if (rc) {
        slirp_fini(&n->net);
        return NULL;
    }
    sync(n);
    return &n->net;
}
