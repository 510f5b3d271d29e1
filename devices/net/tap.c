// SPDX-License-Identifier: MIT
//
// A tap interface of the host's kernel, one descriptor for each queue. Frames carry the kernel's
// virtio_net_hdr, so checksums and segmentation are left to whoever ends up needing them. Making an
// interface needs CAP_NET_ADMIN; using one that was made for this user (ip tuntap add ... user ...)
// does not.
// Left out: scripts, vhost, setting addresses or bridges: `ip` does that.
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/net/backends.h"
#include "util.h"

#define MAX_IOV 300 /* a whole queue of a device in one chain, and our header */

struct tap_queue {
    struct tap_net *net;
    unsigned index;
    struct fd_watch watch;
    struct event woken;
    bool refused;
    uint8_t *frame; /* header and the frame that was read and not yet taken */
    size_t len;     /* of both; 0: none */
};

struct tap_net {
    struct net net;
    struct net_env env;
    unsigned nqueues;
    struct tap_queue queue[NET_MAX_QUEUES];
};

#define HEADER sizeof(struct virtio_net_hdr_v1) /* set with TUNSETVNETHDRSZ */

static struct tap_net *from_net(struct net *net)
{
    return container_of(net, struct tap_net, net);
}

/* --- the kernel's header and our words --- */

static struct virtio_net_hdr_v1 to_header(const struct net_offload *o)
{
    static const uint8_t types[] = {
        [NET_GSO_NONE] = VIRTIO_NET_HDR_GSO_NONE,
        [NET_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
        [NET_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
    };
    return (struct virtio_net_hdr_v1){
        .flags = o->needs_csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
        .gso_type = types[o->gso],
        .gso_size = o->gso_size,
        /* a hint; the kernel wants at least the transport header within it */
        .hdr_len = (uint16_t)(o->gso ? o->csum_start + 20u : 0),
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
    };
}

/* What the kernel says; a kind of segmentation that we did not ask for cannot come. */
static struct net_offload from_header(const struct virtio_net_hdr_v1 *h)
{
    unsigned type = h->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
    return (struct net_offload){
        .gso = type == VIRTIO_NET_HDR_GSO_TCPV4   ? NET_GSO_TCP4
               : type == VIRTIO_NET_HDR_GSO_TCPV6 ? NET_GSO_TCP6
                                                  : NET_GSO_NONE,
        .gso_size = h->gso_size,
        .needs_csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = h->csum_start,
        .csum_offset = h->csum_offset,
        .csum_good = h->flags & VIRTIO_NET_HDR_F_DATA_VALID,
    };
}

/* --- frames --- */

static void on_ready(void *self, uint32_t events)
{
    (void)events;
    event_post(&((struct tap_queue *)self)->woken);
}

static void on_woken(void *self)
{
    struct tap_queue *q = self;
    if (q->refused) {
        q->refused = false;
        evloop_modify(q->net->env.loop, &q->watch, EPOLLIN | EPOLLET);
        net_tell_writable(&q->net->net, q->index);
    }
    net_tell_readable(&q->net->net, q->index);
}

static bool tap_room(struct net *net, unsigned queue, unsigned frames, size_t bytes)
{
    (void)frames, (void)bytes; /* the kernel takes frames until it drops them */
    return !from_net(net)->queue[queue].refused;
}

static bool tap_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                     size_t len, const struct net_offload *offload)
{
    (void)len;
    struct tap_queue *q = &from_net(net)->queue[queue];
    struct virtio_net_hdr_v1 h = to_header(offload);
    struct iovec all[MAX_IOV] = {{&h, sizeof h}};
    if (niov >= MAX_IOV)
        return true;
    memcpy(all + 1, iov, niov * sizeof *iov);
    for (;;) {
        if (writev(q->watch.fd, all, (int)niov + 1) >= 0)
            return true;
        if (errno == EAGAIN)
            break;
        if (errno != EINTR)
            return true; /* interface down, or a frame that it does not like: lost on the wire */
    }
    q->refused = true;
    evloop_modify(q->net->env.loop, &q->watch, EPOLLIN | EPOLLOUT | EPOLLET);
    return false;
}

static bool tap_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    struct tap_queue *q = &from_net(net)->queue[queue];
    while (!q->len) {
        ssize_t n = read(q->watch.fd, q->frame, HEADER + NET_FRAME_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if ((size_t)n >= HEADER + NET_ETH_HEADER)
            q->len = (size_t)n;
    }
    struct virtio_net_hdr_v1 h;
    memcpy(&h, q->frame, sizeof h);
    *frame = (struct net_frame){q->frame + HEADER, q->len - HEADER, from_header(&h)};
    return true;
}

static void tap_next(struct net *net, unsigned queue)
{
    from_net(net)->queue[queue].len = 0;
}

/* --- settings --- */

static void tap_set_takes(struct net *net, unsigned takes)
{
    unsigned flags = 0;
    if (takes & NET_CSUM) {
        flags |= TUN_F_CSUM;
        flags |= takes & NET_TSO4 ? TUN_F_TSO4 : 0;
        flags |= takes & NET_TSO6 ? TUN_F_TSO6 : 0;
    }
    ioctl(from_net(net)->queue[0].watch.fd, TUNSETOFFLOAD, flags); /* for all queues */
}

/* Queues that the device does not look at get no frames. */
static void tap_set_queues(struct net *net, unsigned queues)
{
    struct tap_net *n = from_net(net);
    for (unsigned i = 0; n->nqueues > 1 && i < n->nqueues; i++) {
        struct ifreq r = {0};
        r.ifr_flags = i < queues ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        ioctl(n->queue[i].watch.fd, TUNSETQUEUE, &r); /* refused when it is so already */
    }
}

/* --- life --- */

static void tap_fini(struct net *net)
{
    struct tap_net *n = from_net(net);
    for (unsigned i = 0; i < n->nqueues; i++) {
        struct tap_queue *q = &n->queue[i];
        evloop_remove(n->env.loop, &q->watch);
        event_cancel(&q->woken);
        close(q->watch.fd);
        free(q->frame);
    }
    net_fini(net);
    free(n);
}

static const struct net_ops tap_ops = {
    .set_takes = tap_set_takes,
    .set_queues = tap_set_queues,
    .room = tap_room,
    .send = tap_send,
    .peek = tap_peek,
    .next = tap_next,
    .fini = tap_fini,
};

static int refused(const struct tap_net *n, const char *name, int e, struct err *err)
{
    if (e == EPERM || e == EACCES)
        return err_set(err, e,
                       "net %s: no permission for the tap interface '%s': make one for this "
                       "user (ip tuntap add dev %s mode tap user NAME), or run as root",
                       n->net.id, name, *name ? name : "tap0");
    if (e == EBUSY)
        return err_set(err, e, "net %s: the tap interface '%s' is in use", n->net.id, name);
    if (e == EINVAL)
        return err_set(err, e,
                       "net %s: '%s' is no tap interface, or was made with another number of "
                       "queues (multi_queue)",
                       n->net.id, name);
    return err_set_errno(err, e, "net %s: open the tap interface '%s' (/dev/net/tun)", n->net.id,
                         name);
}

/* `r` names the interface, and is given its name if it had none. */
static int open_queue(struct tap_net *n, struct ifreq *r, struct err *err)
{
    struct tap_queue *q = &n->queue[n->nqueues];
    int header = HEADER, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return refused(n, r->ifr_name, errno, err);
    if (ioctl(fd, TUNSETIFF, r) || ioctl(fd, TUNSETVNETHDRSZ, &header)) {
        int e = errno;
        close(fd);
        return refused(n, r->ifr_name, e, err);
    }
    *q = (struct tap_queue){.net = n, .index = n->nqueues};
    q->watch =
        (struct fd_watch){.fd = fd, .events = EPOLLIN | EPOLLET, .ready = on_ready, .self = q};
    event_init(&q->woken, n->env.events, on_woken, q);
    n->nqueues++; /* from here on tap_fini closes it */
    q->frame = malloc(HEADER + NET_FRAME_MAX);
    if (!q->frame)
        return err_set(err, ENOMEM, "net %s: out of memory", n->net.id);
    int rc = evloop_add(n->env.loop, &q->watch);
    return rc ? err_set_errno(err, -rc, "net %s: watch the tap interface", n->net.id) : 0;
}

static int open_queues(struct tap_net *n, const struct net_config *cfg, struct err *err)
{
    struct ifreq r = {0};
    unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (cfg->queues > 1)
        flags |= IFF_MULTI_QUEUE;
    r.ifr_flags = (short)flags;
    if (cfg->ifname)
        memcpy(r.ifr_name, cfg->ifname, strnlen(cfg->ifname, sizeof r.ifr_name - 1));
    int rc = 0;
    for (unsigned i = 0; i < cfg->queues && !rc; i++)
        rc = open_queue(n, &r, err);
    return rc;
}

struct net *net_tap_open(const struct net_config *cfg, const struct net_env *env, struct err *err)
{
    struct tap_net *n = calloc(1, sizeof *n);
    if (!n) {
        err_set(err, ENOMEM, "net: out of memory");
        return NULL;
    }
    net_init(&n->net, "tap", net_config_id(cfg), &tap_ops);
    n->env = *env;
    if (open_queues(n, cfg, err)) {
        tap_fini(&n->net);
        return NULL;
    }
    unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    n->net.takes = NET_CSUM | NET_TSO4 | NET_TSO6; /* frames with our header: always so */
    if (!ioctl(n->queue[0].watch.fd, TUNSETOFFLOAD, offloads))
        n->net.gives = n->net.takes;
    ioctl(n->queue[0].watch.fd, TUNSETOFFLOAD, 0); /* until the guest's driver asks */
    n->net.queues = n->nqueues;
    n->net.link = true;
    return &n->net;
}
