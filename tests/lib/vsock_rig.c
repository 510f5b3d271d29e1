// SPDX-License-Identifier: MIT
//
// See vsock_rig.h.
#include "tests/lib/vsock_rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

#define BASE 0xd0000000ull

void vr_init(struct vsock_rig *r)
{
    struct err err = {{0}};
    *r = (struct vsock_rig){0};
    rig_init(&r->rig, false);
    ck_assert_int_eq(evloop_init(&r->loop, &err), 0);
    strcpy(r->dir, "/tmp/vsock.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    snprintf(r->path, sizeof r->path, "%s/v", r->dir);
    r->sock = vsock_open(r->path, &(struct vsock_env){&r->loop, &r->rig.events}, &err);
    ck_assert_msg(r->sock, "%s", err.msg);
    r->vd = virtio_vsock_create(r->sock, VR_CID, &r->rig.gm, &err);
    ck_assert_msg(r->vd, "%s", err.msg);
    port_init_mmio(&r->port, &r->rig, r->vd, BASE);
    vr_start(r);
}

void vr_fini(struct vsock_rig *r)
{
    char command[64];
    port_fini(&r->port);
    vsock_close(r->sock);
    ck_assert_int_ne(access(r->path, F_OK), 0);
    evloop_fini(&r->loop);
    rig_fini(&r->rig);
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    ck_assert_int_eq(system(command), 0);
}

void vr_start(struct vsock_rig *r)
{
    uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    port_set_status(&r->port, 0);
    for (unsigned q = 0; q < VR_QUEUES; q++)
        ring_init(&r->ring[q], &r->rig.gm, 0x10000 + q * RING_STRIDE, VR_SIZE);
    r->rx_offered = r->tx_next = 0;
    port_set_status(&r->port, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&r->port, port_offered(&r->port));
    port_set_status(&r->port, status);
    for (unsigned q = 0; q < VR_QUEUES; q++)
        port_queue(&r->port, q, &r->ring[q]);
    port_set_status(&r->port, status | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(port_status(&r->port), status | VIRTIO_DRIVER_OK);
}

void vr_settle(struct vsock_rig *r)
{
    unsigned quiet = 0;
    for (unsigned n = 0; n < 10000 && quiet < 2; n++) {
        evloop_run_once(&r->loop, 0);
        quiet = event_queue_run(&r->rig.events) ? 0 : quiet + 1;
    }
}

/* --- driver --- */

static void offer_rx(struct vsock_rig *r, unsigned i)
{
    struct ring *ring = &r->ring[VR_Q_RX];
    ring_desc(ring, i, VR_RX(i), VR_RX_BYTES, DESC_WRITE, 0);
    ring_offer(ring, (uint16_t)i);
}

void vr_offer_rx(struct vsock_rig *r, unsigned n)
{
    for (; n && r->rx_offered < VR_SIZE; n--)
        offer_rx(r, r->rx_offered++);
    port_kick(&r->port, VR_Q_RX);
    vr_settle(r);
}

void vr_put_raw(struct vsock_rig *r, const struct vsock_header *h, const void *data, uint32_t have)
{
    struct ring *ring = &r->ring[VR_Q_TX];
    unsigned head = r->tx_next * 2 % VR_SIZE;
    gpa_t at = VR_TX + 0x40 * (gpa_t)head;
    r->tx_next++;
    vsock_header_store(gmem_ptr(&r->rig.gm, at, VSOCK_HEADER_BYTES), h);
    if (have)
        memcpy(gmem_ptr(&r->rig.gm, VR_TX + 0x10000, have), data, have);
    ring_desc(ring, head, at, VSOCK_HEADER_BYTES, have ? DESC_NEXT : 0, (uint16_t)(head + 1));
    ring_desc(ring, head + 1, VR_TX + 0x10000, have, 0, 0);
    ring_offer(ring, (uint16_t)head);
    port_kick(&r->port, VR_Q_TX);
    vr_settle(r);
}

struct vsock_header vr_header(unsigned op, uint32_t guest_port, uint32_t host_port)
{
    return (struct vsock_header){
        .src_cid = VR_CID,
        .dst_cid = VSOCK_CID_HOST,
        .src_port = guest_port,
        .dst_port = host_port,
        .type = VSOCK_TYPE_STREAM,
        .op = (uint16_t)op,
        .buf_alloc = 65536,
    };
}

void vr_put(struct vsock_rig *r, unsigned op, uint32_t guest_port, uint32_t host_port,
            const void *data, uint32_t len)
{
    struct vsock_header h = vr_header(op, guest_port, host_port);
    h.len = len;
    if (op == VSOCK_OP_SHUTDOWN)
        h.flags = VSOCK_SHUT_BOTH;
    vr_put_raw(r, &h, data, len);
}

bool vr_take(struct vsock_rig *r, struct vr_packet *p)
{
    uint32_t id, len;
    vr_settle(r);
    if (!ring_take(&r->ring[VR_Q_RX], &id, &len))
        return false;
    ck_assert_uint_lt(id, VR_SIZE);
    const uint8_t *b = gmem_ptr(&r->rig.gm, VR_RX(id), VR_RX_BYTES);
    p->h = vsock_header_load(b);
    p->odd = len < VSOCK_HEADER_BYTES || len > VR_RX_BYTES || len - VSOCK_HEADER_BYTES != p->h.len;
    p->len = p->odd ? 0 : p->h.len;
    memcpy(p->data, b + VSOCK_HEADER_BYTES, p->len);
    offer_rx(r, id);
    port_kick(&r->port, VR_Q_RX);
    return true;
}

/* --- host --- */

static struct sockaddr_un name(struct vsock_rig *r)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, r->path, sizeof r->path);
    return addr;
}

int vr_client(struct vsock_rig *r)
{
    struct sockaddr_un addr = name(r);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

int vr_listen(struct vsock_rig *r, uint32_t port)
{
    struct sockaddr_un addr = name(r);
    size_t len = strlen(addr.sun_path);
    snprintf(addr.sun_path + len, sizeof addr.sun_path - len, "_%u", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(fd, 4096), 0);
    return fd;
}
