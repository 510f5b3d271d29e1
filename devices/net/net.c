// SPDX-License-Identifier: MIT
//
// What all network backends share: finishing what a backend cannot take unfinished, capture,
// counters. See include/net.h.
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "devices/net/offload.h"
#include "devices/net/pcap.h"
#include "log.h"

void net_close(struct net *net)
{
    if (!net)
        return;
    const struct net_counters *c = &net->count;
    log_msg(LOG_VIRTIO,
            "net %s: sent %llu frames, %llu bytes (%llu cut, %llu summed here, %llu without link, "
            "%llu malformed); received %llu frames, %llu bytes",
            net->id, (unsigned long long)c->tx_frames, (unsigned long long)c->tx_bytes,
            (unsigned long long)c->tx_segmented, (unsigned long long)c->tx_summed,
            (unsigned long long)c->tx_no_link, (unsigned long long)c->tx_malformed,
            (unsigned long long)c->rx_frames, (unsigned long long)c->rx_bytes);
    pcap_close(net->pcap);
    net->ops->fini(net);
}

void net_init(struct net *net, const char *kind, const char *id, const struct net_ops *ops)
{
    *net = (struct net){.kind = kind, .id = id, .ops = ops, .queues = 1};
}

void net_fini(struct net *net)
{
    free(net->work);
    net->work = NULL;
}

void net_tell_readable(struct net *net, unsigned queue)
{
    if (net->client.readable)
        net->client.readable(net->client.self, queue);
}

void net_tell_writable(struct net *net, unsigned queue)
{
    if (net->client.writable)
        net->client.writable(net->client.self, queue);
}

void net_set_link(struct net *net, bool up)
{
    bool changed = net->link != up;
    net->link = up;
    if (changed && net->client.link)
        net->client.link(net->client.self);
}

/* --- sending --- */

static bool send_and_count(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                           size_t len, const struct net_offload *offload)
{
    if (!net->ops->send(net, queue, iov, niov, len, offload))
        return false;
    net->count.tx_frames++;
    net->count.tx_bytes += len;
    if (net->pcap)
        pcap_frame(net->pcap, iov, niov, len);
    return true;
}

static bool drop_malformed(struct net *net)
{
    net->count.tx_malformed++;
    return true;
}

/* Two frames' worth: the one that came, and a piece of it. */
static uint8_t *work_room(struct net *net)
{
    if (!net->work)
        net->work = malloc(2 * NET_FRAME_MAX);
    return net->work;
}

static void gather(uint8_t *to, const struct iovec *iov, unsigned niov, size_t len)
{
    for (unsigned i = 0; i < niov && len; i++) {
        size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;
        memcpy(to, iov[i].iov_base, part);
        to += part;
        len -= part;
    }
}

/* Cut in pieces, all or none: room for all of them was there before the first. */
static bool send_pieces(struct net *net, unsigned queue, uint8_t *frame, size_t len,
                        const struct net_offload *offload)
{
    static const struct net_offload finished = {.csum_good = true};
    struct segmenter s;
    if (!segment_begin(&s, frame, len, offload))
        return drop_malformed(net);
    if (!net->ops->room(net, queue, s.pieces, len + (size_t)(s.pieces - 1) * s.tcp.payload))
        return false;
    uint8_t *piece = frame + NET_FRAME_MAX;
    size_t n;
    while ((n = segment_next(&s, piece))) {
        struct iovec iov = {piece, n};
        if (!send_and_count(net, queue, &iov, 1, n, &finished))
            break; /* a backend that breaks its word loses the rest, as a full wire would */
    }
    net->count.tx_segmented++;
    return true;
}

static bool send_finished(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                          size_t len, const struct net_offload *offload)
{
    static const struct net_offload finished = {.csum_good = true};
    if (!net->ops->room(net, queue, 1, len))
        return false;
    uint8_t *frame = work_room(net);
    if (!frame)
        return drop_malformed(net);
    gather(frame, iov, niov, len);
    if (offload->gso && !(net->takes & NET_LONG))
        return send_pieces(net, queue, frame, len, offload);
    csum_finish(frame, len, offload);
    struct iovec one = {frame, len};
    if (!send_and_count(net, queue, &one, 1, len, &finished))
        return false;
    net->count.tx_summed++;
    return true;
}

bool net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov, size_t len,
              const struct net_offload *offload)
{
    static const unsigned needs[] = {
        [NET_GSO_NONE] = 0, [NET_GSO_TCP4] = NET_TSO4, [NET_GSO_TCP6] = NET_TSO6};
    unsigned need = needs[offload->gso] | (offload->needs_csum ? NET_CSUM : 0);
    if (!net->link) {
        net->count.tx_no_link++;
        return true;
    }
    if (len < NET_ETH_HEADER || len > NET_FRAME_MAX ||
        (offload->gso && (!offload->gso_size || !offload->needs_csum)) ||
        (offload->needs_csum && !csum_fits(offload, len)))
        return drop_malformed(net);
    if (need & ~net->takes)
        return send_finished(net, queue, iov, niov, len, offload);
    return send_and_count(net, queue, iov, niov, len, offload);
}

/* --- receiving --- */

void net_next(struct net *net, unsigned queue, const struct net_frame *frame)
{
    net->count.rx_frames++;
    net->count.rx_bytes += frame->len;
    if (net->pcap) {
        union {
            const uint8_t *in;
            void *out;
        } data = {.in = frame->data};
        struct iovec iov = {data.out, frame->len};
        pcap_frame(net->pcap, &iov, 1, frame->len);
    }
    net->ops->next(net, queue);
}
