// SPDX-License-Identifier: MIT
//
// For the tests of virtio sockets: a driver of the three queues, and host programs at the other end.
#pragma once

#include "devices/virtio/vsock.h"
#include "tests/lib/virtio_rig.h"

#define VR_CID 3u
#define VR_SIZE 64u
#define VR_RX_BYTES 4096u
#define VR_RX(i) (0x100000ull + 0x1000 * (i))
#define VR_TX 0x200000ull /* a packet of up to 128 KiB */
enum { VR_Q_RX, VR_Q_TX, VR_Q_EVENTS, VR_QUEUES };

struct vsock_rig {
    struct rig rig;
    struct evloop loop;
    struct vsock *sock;
    struct virtio *vd;
    struct port port;
    struct ring ring[VR_QUEUES];
    char dir[32], path[64];
    unsigned rx_offered, tx_next;
};

struct vr_packet {
    struct vsock_header h;
    uint32_t len; /* of what follows the header */
    bool odd;     /* what lies there is no packet of the length that was told */
    uint8_t data[VR_RX_BYTES];
};

void vr_init(struct vsock_rig *r);
void vr_fini(struct vsock_rig *r);
void vr_start(struct vsock_rig *r); /* reset, and drive it again; no receive buffers yet */
void vr_settle(struct vsock_rig *r); /* until the event loop has nothing to do */

/* Driver. */
void vr_offer_rx(struct vsock_rig *r, unsigned n);
/* A packet on the send queue, `have` bytes behind the header; the kick; what comes of it. */
void vr_put_raw(struct vsock_rig *r, const struct vsock_header *h, const void *data, uint32_t have);
/* From guest_port to host_port of CID 2, with 64 KiB of credit. */
struct vsock_header vr_header(unsigned op, uint32_t guest_port, uint32_t host_port);
void vr_put(struct vsock_rig *r, unsigned op, uint32_t guest_port, uint32_t host_port,
            const void *data, uint32_t len);
bool vr_take(struct vsock_rig *r, struct vr_packet *p); /* its buffer is offered again */

/* Host. */
int vr_client(struct vsock_rig *r); /* connected, nothing said */
int vr_listen(struct vsock_rig *r, uint32_t port);
