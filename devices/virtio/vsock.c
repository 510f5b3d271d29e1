// SPDX-License-Identifier: MIT
//
// The socket device (virtio 1.2 section 5.10): packets of a header and perhaps bytes, on one queue
// for each direction, and a queue for events. What packets mean is vsock.h's; here they are taken
// from and put into guest memory, a bounded number before others have their turn.
// Left out: SOCK_SEQPACKET.
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define DEVICE_ID_SOCKET 19
#define QUEUE_SIZE 256
enum { RX, TX, EVENTS, QUEUES };
#define TURN 64 /* packets */
#define IOVS 8 /* areas of a receive buffer that are used; drivers have one or two */
#define F_STREAM 1ull
#define EVENT_TRANSPORT_RESET 0

struct virtio_vsock {
    struct virtio vd;
    struct vsock *sock;
    uint8_t config[8];
    struct virtq_chain *rx; /* taken, and not yet used */
    bool tx_waits;          /* for room for answers */
    bool event_due;
};

static struct virtio_vsock *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_vsock, vd);
}

/* --- to the guest --- */

/* The writable areas of a chain behind the header: how many. */
static unsigned payload_areas(const struct virtq_chain *c, struct iovec *out)
{
    size_t skip = VSOCK_HEADER_BYTES;
    unsigned n = 0;
    for (unsigned i = c->nread; i < c->nread + c->nwrite && n < IOVS; i++) {
        struct iovec v = c->iov[i];
        size_t part = v.iov_len < skip ? v.iov_len : skip;
        skip -= part;
        if (v.iov_len > part)
            out[n++] = (struct iovec){(uint8_t *)v.iov_base + part, v.iov_len - part};
    }
    return n;
}

/* One packet into the buffer at hand; false: there is none. */
static bool deliver(struct virtio_vsock *dev)
{
    struct iovec iov[IOVS];
    uint8_t bytes[VSOCK_HEADER_BYTES];
    struct vsock_header h;
    if (dev->rx->write_bytes <= VSOCK_HEADER_BYTES) {
        virtio_broken(&dev->vd, "a receive buffer without room for a packet");
        return false;
    }
    if (!vsock_take(dev->sock, &h, iov, payload_areas(dev->rx, iov)))
        return false;
    vsock_header_store(bytes, &h);
    chain_write(dev->rx, 0, bytes, sizeof bytes);
    if (h.len)
        chain_wrote(dev->rx);
    virtq_push(dev->rx, VSOCK_HEADER_BYTES + h.len);
    dev->rx = NULL;
    return true;
}

static void pump(struct virtio_vsock *dev)
{
    struct virtq *vq = &dev->vd.vq[RX];
    unsigned budget = TURN;
    while (budget && vsock_waiting(dev->sock) && virtio_running(&dev->vd)) {
        if (!dev->rx && virtq_pop(vq, &dev->rx) <= 0) {
            dev->rx = NULL;
            if (!virtq_enable_kick(vq))
                break;
            continue;
        }
        if (!deliver(dev))
            break;
        budget--;
    }
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
    if (dev->tx_waits && vsock_can_put(dev->sock)) {
        dev->tx_waits = false;
        virtq_kick_again(&dev->vd.vq[TX]);
    }
}

/* --- from the guest --- */

static void put_packet(struct virtio_vsock *dev, struct virtq_chain *chain)
{
    uint8_t bytes[VSOCK_HEADER_BYTES];
    if (!chain_pull(chain, bytes, sizeof bytes)) {
        log_guest("virtio-vsock: a packet shorter than its header");
        return;
    }
    struct vsock_header h = vsock_header_load(bytes);
    if (h.len > chain->read_bytes) {
        log_guest("virtio-vsock: a packet of %u bytes with %llu in it", h.len,
                  (unsigned long long)chain->read_bytes);
        h.len = 0;
        if (h.op != VSOCK_OP_RST)
            h.op = 0; /* fits no connection: it ends */
    }
    vsock_put(dev->sock, &h, chain->iov);
}

static void send_packets(struct virtio_vsock *dev)
{
    struct virtq *vq = &dev->vd.vq[TX];
    struct virtq_chain *chain;
    unsigned budget = TURN;
    do {
        while (budget && vsock_can_put(dev->sock) && virtq_pop(vq, &chain) > 0) {
            put_packet(dev, chain);
            virtq_push(chain, 0);
            budget--;
        }
    } while (budget && vsock_can_put(dev->sock) && virtq_enable_kick(vq));
    dev->tx_waits = !vsock_can_put(dev->sock);
    if (!budget && !dev->tx_waits)
        virtq_kick_again(vq);
    virtq_notify(vq);
    pump(dev);
}

/* --- events --- */

static void tell_event(struct virtio_vsock *dev)
{
    static const uint8_t event[4] = {EVENT_TRANSPORT_RESET};
    struct virtq *vq = &dev->vd.vq[EVENTS];
    struct virtq_chain *chain;
    if (!dev->event_due || virtq_pop(vq, &chain) <= 0)
        return;
    dev->event_due = false;
    virtq_push(chain, (uint32_t)chain_write(chain, 0, event, sizeof event));
    virtq_notify(vq);
}

void virtio_vsock_lost(struct virtio *vd)
{
    struct virtio_vsock *dev = from_virtio(vd);
    vsock_drop_all(dev->sock);
    dev->event_due = virtio_running(vd);
    tell_event(dev);
}

/* --- the device --- */

static void vsock_notify(struct virtio *vd, unsigned q)
{
    struct virtio_vsock *dev = from_virtio(vd);
    if (q == RX)
        pump(dev);
    else if (q == TX)
        send_packets(dev);
    else
        tell_event(dev);
}

static void vsock_reset(struct virtio *vd)
{
    struct virtio_vsock *dev = from_virtio(vd);
    vsock_drop_all(dev->sock);
    if (dev->rx)
        virtq_push(dev->rx, 0);
    dev->rx = NULL;
    dev->tx_waits = dev->event_due = false;
}

static void vsock_fini(struct virtio *vd)
{
    struct virtio_vsock *dev = from_virtio(vd);
    vsock_reset(vd);
    virtio_fini(vd);
    free(dev);
}

static void packets_wait(void *self)
{
    pump(self);
}

static bool driver_runs(void *self)
{
    return virtio_running(&((struct virtio_vsock *)self)->vd);
}

static const struct virtio_ops vsock_ops = {
    .name = "virtio-vsock",
    .device_id = DEVICE_ID_SOCKET,
    .notify = vsock_notify,
    .reset = vsock_reset,
    .fini = vsock_fini,
};

struct virtio *virtio_vsock_create(struct vsock *sock, uint32_t guest_cid, struct gmem *gmem,
                                   struct err *err)
{
    struct virtio_vsock *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-vsock: no memory for the device");
        return NULL;
    }
    dev->sock = sock;
    store_le64(dev->config, guest_cid);
    if (virtio_init(&dev->vd, &vsock_ops, gmem, F_STREAM, QUEUES, QUEUE_SIZE, dev->config,
                    sizeof dev->config, err)) {
        free(dev);
        return NULL;
    }
    vsock_attach(sock, &(struct vsock_client){packets_wait, driver_runs, dev}, guest_cid);
    return &dev->vd;
}
