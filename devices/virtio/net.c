// SPDX-License-Identifier: MIT
//
// The network interface (virtio 1.2 section 5.1) over a network backend: checksum and TCP
// segmentation offloads both ways, mergeable receive buffers, several queue pairs where the backend
// has them, and a control queue (net_ctrl.c).
// Frames move in batches, with one interrupt and one flush of the backend each; while a batch runs
// the driver's notifications are off. Nothing is queued here: a frame without room stays in the
// ring or in the backend. What a driver does wrong to a ring or to the shape of a chain breaks the
// device until reset; a frame that makes no sense is dropped and counted, as any network would.
// Left out: UDP segmentation, ECN with segmentation, receive hashing, notification coalescing.
#include "devices/virtio/virtio_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_state.h"
#include "log.h"
#include "util.h"

#define DEVICE_ID_NET 1

/* Section 5.1.6; with VERSION_1 always all of it. */
struct net_header {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct net_header) == 12, "layout of struct virtio_net_hdr");

enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };

static struct virtio_net *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_net, vd);
}

static unsigned control_queue(const struct virtio_net *dev)
{
    return virtio_has(&dev->vd, NET_F_MQ) ? 2 * dev->npairs : 2;
}

static struct virtq *rx_queue(struct virtio_net *dev, unsigned pair)
{
    return &dev->vd.vq[2 * pair];
}

static struct virtq *tx_queue(struct virtio_net *dev, unsigned pair)
{
    return &dev->vd.vq[2 * pair + 1];
}

/* --- from the guest --- */

/* The header in the seam's words; false: not one that a driver with these features may send. */
static bool offload_of(const struct virtio_net *dev, const struct net_header *h,
                       struct net_offload *o)
{
    *o = (struct net_offload){0};
    if (h->flags & HDR_NEEDS_CSUM) {
        o->needs_csum = true;
        o->csum_start = h->csum_start;
        o->csum_offset = h->csum_offset;
        if (!virtio_has(&dev->vd, NET_F_CSUM))
            return false;
    }
    switch (h->gso_type) {
    case GSO_NONE:
        return true;
    case GSO_TCPV4:
        o->gso = NET_GSO_TCP4;
        break;
    case GSO_TCPV6:
        o->gso = NET_GSO_TCP6;
        break;
    default:
        return false;
    }
    o->gso_size = h->gso_size;
    return h->gso_size && o->needs_csum &&
           virtio_has(&dev->vd, o->gso == NET_GSO_TCP4 ? NET_F_HOST_TSO4 : NET_F_HOST_TSO6);
}

/* Take the header off a chain. False: the chain is done with, dropped or broken. */
static bool tx_begin(struct virtio_net *dev, struct virtq_chain *chain, struct net_offload *offload)
{
    struct net_header h;
    if (chain->nwrite || !chain_pull(chain, &h, sizeof h)) {
        virtio_broken(&dev->vd, "queue %u, head %u: %s", chain->vq->index, chain->head,
                      chain->nwrite ? "a buffer to write in a frame to send" : "no whole header");
        return false;
    }
    if (!offload_of(dev, &h, offload)) {
        dev->stats.tx_bad_header++;
        return false;
    }
    if (chain->read_bytes < NET_ETH_HEADER || chain->read_bytes > NET_FRAME_MAX) {
        dev->stats.tx_bad_length++;
        return false;
    }
    return true;
}

/* Send what is in hand. False: no room now, it stays in hand. */
static bool tx_finish(struct virtio_net *dev, unsigned pair)
{
    struct net_tx *tx = &dev->tx[pair];
    struct virtq_chain *c = tx->held;
    if (!net_send(dev->net, pair, c->iov, c->nread, c->read_bytes, &tx->offload))
        return false;
    dev->stats.tx_frames++;
    tx->held = NULL;
    virtq_push(c, 0);
    return true;
}

/* The next chain in hand, or NULL. */
static struct virtq_chain *tx_take(struct virtio_net *dev, unsigned pair, unsigned *budget)
{
    struct net_tx *tx = &dev->tx[pair];
    struct virtq_chain *chain;
    while (!tx->held && *budget && virtq_pop(tx_queue(dev, pair), &chain) > 0) {
        --*budget;
        if (tx_begin(dev, chain, &tx->offload))
            tx->held = chain;
        else
            virtq_push(chain, 0);
    }
    return tx->held;
}

static void tx_run(struct virtio_net *dev, unsigned pair)
{
    struct virtq *vq = tx_queue(dev, pair);
    unsigned budget = vq->regs.size;
    bool room = true;
    if (!virtio_running(&dev->vd) || !vq->regs.ready)
        return;
    do {
        virtq_disable_kick(vq);
        while (room && tx_take(dev, pair, &budget))
            room = tx_finish(dev, pair);
    } while (room && budget && virtq_enable_kick(vq));
    if (room && !budget)
        virtq_kick_again(vq);
    net_flush(dev->net, pair);
    virtq_notify(vq);
}

/* --- to the guest --- */

enum delivery { DELIVERED, NO_BUFFERS, STUCK };

/* May this frame, as unfinished as it is, go to this driver? */
static bool takes_offload(const struct virtio_net *dev, const struct net_offload *o)
{
    static const uint64_t gso[] = {
        [NET_GSO_NONE] = 0, [NET_GSO_TCP4] = NET_F_GUEST_TSO4, [NET_GSO_TCP6] = NET_F_GUEST_TSO6};
    uint64_t need = gso[o->gso] | (o->needs_csum ? NET_F_GUEST_CSUM : 0);
    return (dev->vd.regs.accepted & need) == need;
}

static struct net_header header_of(const struct virtio_net *dev, const struct net_offload *o)
{
    static const uint8_t types[] = {
        [NET_GSO_NONE] = GSO_NONE, [NET_GSO_TCP4] = GSO_TCPV4, [NET_GSO_TCP6] = GSO_TCPV6};
    struct net_header h = {.gso_type = types[o->gso], .gso_size = o->gso_size};
    if (o->needs_csum) {
        h.flags = HDR_NEEDS_CSUM;
        h.csum_start = o->csum_start;
        h.csum_offset = o->csum_offset;
    } else if (o->csum_good && virtio_has(&dev->vd, NET_F_GUEST_CSUM)) {
        h.flags = HDR_DATA_VALID;
    }
    return h;
}

/* Take buffers from the ring until they hold `need` bytes, or all that one frame may use. */
static enum delivery rx_gather(struct virtio_net *dev, unsigned pair, uint64_t need)
{
    struct net_rx *rx = &dev->rx[pair];
    struct virtq *vq = rx_queue(dev, pair);
    bool merge = virtio_has(&dev->vd, NET_F_MRG_RXBUF);
    struct virtq_chain *chain;
    while (!rx->nheld || (merge && rx->bytes < need)) {
        if (rx->nheld == vq->regs.size) {
            virtio_broken(&dev->vd, "queue %u: all its buffers together do not hold a frame",
                          vq->index);
            return STUCK;
        }
        int rc = virtq_pop(vq, &chain);
        if (rc <= 0)
            return rc ? STUCK : NO_BUFFERS;
        if (chain->nread || chain->write_bytes < (rx->nheld ? 1 : sizeof(struct net_header))) {
            virtio_broken(&dev->vd, "queue %u, head %u: not a receive buffer", vq->index,
                          chain->head);
            virtq_push(chain, 0);
            return STUCK;
        }
        rx->held[rx->nheld++] = chain;
        rx->bytes += chain->write_bytes;
    }
    return DELIVERED;
}

/* Header and frame into the first `n` buffers in hand, and these to the driver. */
static void rx_write(struct virtio_net *dev, unsigned pair, const struct net_frame *f, unsigned n)
{
    struct net_rx *rx = &dev->rx[pair];
    uint32_t written[NET_QUEUE_SIZE];
    struct net_header h = header_of(dev, &f->offload);
    h.num_buffers = (uint16_t)n;
    chain_write(rx->held[0], 0, &h, sizeof h);
    size_t at = 0, skip = sizeof h;
    for (unsigned i = 0; i < n; i++) {
        size_t part = chain_write(rx->held[i], skip, f->data + at, f->len - at);
        written[i] = (uint32_t)(part + skip);
        at += part;
        skip = 0;
        rx->bytes -= rx->held[i]->write_bytes;
    }
    virtq_push_all(rx->held, written, n);
    rx->nheld -= n;
    memmove(rx->held, rx->held + n, rx->nheld * sizeof *rx->held);
}

static enum delivery rx_one(struct virtio_net *dev, unsigned pair, const struct net_frame *f)
{
    struct net_rx *rx = &dev->rx[pair];
    if (!net_wants(dev, f)) {
        dev->stats.rx_filtered++;
        return DELIVERED;
    }
    uint64_t need = sizeof(struct net_header) + f->len, have = 0;
    enum delivery d = rx_gather(dev, pair, need);
    if (d != DELIVERED)
        return d;
    if (rx->bytes < need || !takes_offload(dev, &f->offload)) {
        dev->stats.rx_too_long++;
        return DELIVERED;
    }
    unsigned n = 0;
    while (have < need)
        have += rx->held[n++]->write_bytes;
    rx_write(dev, pair, f, n);
    dev->stats.rx_frames++;
    return DELIVERED;
}

static void rx_run(struct virtio_net *dev, unsigned pair)
{
    struct virtq *vq = rx_queue(dev, pair);
    struct net_frame f;
    unsigned budget = vq->regs.size;
    if (!virtio_running(&dev->vd) || !vq->regs.ready)
        return;
    virtq_disable_kick(vq);
    while (budget && net_peek(dev->net, pair, &f)) {
        enum delivery d = rx_one(dev, pair, &f);
        if (d == STUCK || (d == NO_BUFFERS && !virtq_enable_kick(vq)))
            break;
        budget--;
        if (d == DELIVERED)
            net_next(dev->net, pair, &f);
        else
            virtq_disable_kick(vq);
    }
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
}

/* --- what the backend says --- */

static void on_readable(void *self, unsigned queue)
{
    rx_run(self, queue);
}

static void on_writable(void *self, unsigned queue)
{
    tx_run(self, queue);
}

static void on_link(void *self)
{
    struct virtio_net *dev = self;
    dev->config.status = dev->net->link ? NET_S_LINK_UP : 0;
    virtio_config_changed(&dev->vd);
}

/* --- device --- */

static void net_notify(struct virtio *vd, unsigned q)
{
    struct virtio_net *dev = from_virtio(vd);
    if (q == control_queue(dev)) {
        if (virtio_has(vd, NET_F_CTRL_VQ))
            net_ctrl_notify(dev, &vd->vq[q]);
        return;
    }
    if (q >= 2 * dev->npairs)
        return; /* where the control queue would be with the other choice of MQ */
    if (!dev->regs.running) {
        dev->regs.running = true;
        net_run(dev->net, true);
    }
    if (q % 2)
        tx_run(dev, q / 2);
    else
        rx_run(dev, q / 2);
}

/* A driver that takes no checksums gets none unfinished, whatever else it accepted. */
static void net_negotiated(struct virtio *vd)
{
    unsigned takes = 0;
    if (virtio_has(vd, NET_F_GUEST_CSUM)) {
        takes = NET_CSUM;
        takes |= virtio_has(vd, NET_F_GUEST_TSO4) ? NET_TSO4 : 0;
        takes |= virtio_has(vd, NET_F_GUEST_TSO6) ? NET_TSO6 : 0;
    }
    net_set_takes(from_virtio(vd)->net, takes);
}

static void net_device_reset(struct virtio *vd)
{
    struct virtio_net *dev = from_virtio(vd);
    for (unsigned i = 0; i < dev->npairs; i++) {
        struct net_rx *rx = &dev->rx[i];
        for (unsigned k = 0; k < rx->nheld; k++)
            virtq_push(rx->held[k], 0);
        rx->nheld = 0;
        rx->bytes = 0;
        if (dev->tx[i].held)
            virtq_push(dev->tx[i].held, 0);
        dev->tx[i].held = NULL;
    }
    if (dev->regs.running)
        net_run(dev->net, false);
    net_set_takes(dev->net, 0);
    net_ctrl_reset(dev);
}

static void net_device_fini(struct virtio *vd)
{
    struct virtio_net *dev = from_virtio(vd);
    const struct virtio_net_stats *s = &dev->stats;
    log_msg(LOG_VIRTIO,
            "%s: sent %llu frames (dropped: %llu bad headers, %llu bad lengths), received %llu "
            "(dropped: %llu filtered, %llu too long)",
            vd->ops->name, (unsigned long long)s->tx_frames, (unsigned long long)s->tx_bad_header,
            (unsigned long long)s->tx_bad_length, (unsigned long long)s->rx_frames,
            (unsigned long long)s->rx_filtered, (unsigned long long)s->rx_too_long);
    net_device_reset(vd);
    dev->net->client = (struct net_client){0};
    virtio_fini(vd);
    free(dev->rx);
    free(dev->tx);
    free(dev);
}

static const struct virtio_ops net_ops = {
    .name = "virtio-net",
    .device_id = DEVICE_ID_NET,
    .notify = net_notify,
    .negotiated = net_negotiated,
    .reset = net_device_reset,
    .fini = net_device_fini,
};

static uint64_t features(const struct net *net, const struct virtio_net_settings *settings)
{
    /* Sending is never limited by the backend: include/net.h finishes what it cannot. */
    uint64_t f = NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_GUEST_CSUM | NET_F_MAC |
                 NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ | NET_F_CTRL_RX |
                 NET_F_CTRL_RX_EXTRA | NET_F_CTRL_MAC_ADDR;
    f |= net->gives & NET_TSO4 ? NET_F_GUEST_TSO4 : 0;
    f |= net->gives & NET_TSO6 ? NET_F_GUEST_TSO6 : 0;
    f |= net->queues > 1 ? NET_F_MQ : 0;
    f |= settings->mtu ? NET_F_MTU : 0;
    return f;
}

struct virtio *virtio_net_create(struct net *net, const struct virtio_net_settings *settings,
                                 struct gmem *gmem, struct err *err)
{
    struct virtio_net *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-net: no memory for the device");
        return NULL;
    }
    dev->net = net;
    dev->npairs = net->queues;
    dev->settings = *settings;
    dev->config = (struct net_config_bytes){
        .status = net->link ? NET_S_LINK_UP : 0,
        .max_pairs = (uint16_t)net->queues,
        .mtu = (uint16_t)settings->mtu,
    };
    dev->rx = calloc(dev->npairs, sizeof *dev->rx);
    dev->tx = calloc(dev->npairs, sizeof *dev->tx);
    if (!dev->rx || !dev->tx) {
        err_set(err, ENOMEM, "virtio-net: no memory for %u queues", 2 * dev->npairs);
        goto out_dev;
    }
    if (virtio_init(&dev->vd, &net_ops, gmem, features(net, settings), 2 * dev->npairs + 1,
                    NET_QUEUE_SIZE, &dev->config, sizeof dev->config, err))
        goto out_dev;
    net_ctrl_reset(dev);
    net->client = (struct net_client){
        .readable = on_readable, .writable = on_writable, .link = on_link, .self = dev};
    return &dev->vd;

out_dev:
    free(dev->rx);
    free(dev->tx);
    free(dev);
    return NULL;
}

const struct virtio_net_stats *virtio_net_stats(const struct virtio *vd)
{
    return &((const struct virtio_net *)(const void *)vd)->stats;
}
