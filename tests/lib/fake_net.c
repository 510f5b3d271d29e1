// SPDX-License-Identifier: MIT
//
// See fake_net.h.
#include "tests/lib/fake_net.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* --- the backend --- */

static struct fake_net *from_net(struct net *net)
{
    return container_of(net, struct fake_net, net);
}

static void fake_run(struct net *net, bool on)
{
    from_net(net)->runs += on ? 1 : -1;
}

static void fake_set_takes(struct net *net, unsigned takes)
{
    from_net(net)->device_takes = takes;
}

static void fake_set_queues(struct net *net, unsigned queues)
{
    from_net(net)->queues_used = queues;
}

static bool fake_room(struct net *net, unsigned queue, unsigned frames, size_t bytes)
{
    (void)queue, (void)bytes;
    return from_net(net)->room >= frames;
}

static bool fake_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                      size_t len, const struct net_offload *offload)
{
    struct fake_net *f = from_net(net);
    if (!f->room)
        return false;
    if (f->room != UINT_MAX)
        f->room--;
    uint8_t *data = malloc(len);
    ck_assert_ptr_nonnull(data);
    size_t at = 0;
    for (unsigned i = 0; i < niov; i++) {
        memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    ck_assert_uint_eq(at, len);
    if (f->forget || f->nsent >= FAKE_FRAMES)
        free(data);
    else
        f->sent[f->nsent] = (struct fake_frame){data, len, queue, *offload};
    f->nsent += !f->forget;
    return true;
}

static void fake_flush(struct net *net, unsigned queue)
{
    (void)queue;
    from_net(net)->flushes++;
}

static int find_waiting(const struct fake_net *f, unsigned queue)
{
    for (unsigned i = 0; i < f->nwaiting; i++) {
        if (f->waiting[i].queue == queue)
            return (int)i;
    }
    return -1;
}

static bool fake_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    struct fake_net *f = from_net(net);
    int i = find_waiting(f, queue);
    if (i < 0)
        return false;
    *frame = (struct net_frame){f->waiting[i].data, f->waiting[i].len, f->waiting[i].offload};
    return true;
}

static void fake_next(struct net *net, unsigned queue)
{
    struct fake_net *f = from_net(net);
    int i = find_waiting(f, queue);
    ck_assert_int_ge(i, 0);
    free(f->waiting[i].data);
    f->nwaiting--;
    memmove(f->waiting + i, f->waiting + i + 1,
            (f->nwaiting - (unsigned)i) * sizeof f->waiting[0]);
}

static void fake_fini(struct net *net)
{
    (void)net;
}

static const struct net_ops fake_ops = {
    .run = fake_run,
    .set_takes = fake_set_takes,
    .set_queues = fake_set_queues,
    .room = fake_room,
    .send = fake_send,
    .flush = fake_flush,
    .peek = fake_peek,
    .next = fake_next,
    .fini = fake_fini,
};

void fake_net_init(struct fake_net *f, unsigned takes, unsigned gives, unsigned queues)
{
    memset(f, 0, sizeof *f);
    net_init(&f->net, "fake", "fake", &fake_ops);
    f->net.takes = takes;
    f->net.gives = gives;
    f->net.queues = queues;
    f->net.link = true;
    f->room = UINT_MAX;
}

void fake_net_forget(struct fake_net *f)
{
    for (unsigned i = 0; i < f->nsent && i < FAKE_FRAMES; i++)
        free(f->sent[i].data);
    f->nsent = 0;
}

void fake_net_fini(struct fake_net *f)
{
    fake_net_forget(f);
    for (unsigned i = 0; i < f->nwaiting; i++)
        free(f->waiting[i].data);
    f->nwaiting = 0;
    net_fini(&f->net);
}

void fake_net_queue(struct fake_net *f, unsigned queue, const void *data, size_t len,
                    const struct net_offload *offload)
{
    if (f->nwaiting == FAKE_FRAMES)
        return;
    uint8_t *copy = malloc(len);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    f->waiting[f->nwaiting] = (struct fake_frame){copy, len, queue, {0}};
    if (offload)
        f->waiting[f->nwaiting].offload = *offload;
    f->nwaiting++;
}

/* --- frames --- */

/* The sum of RFC 1071 as its text has it: 16 bits at a time, big-endian. */
static uint32_t plain_sum(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t plain_pseudo(const uint8_t *ip, bool v6, size_t tcp_len)
{
    uint8_t tail[4] = {0, 6};
    put16(tail + 2, (uint32_t)tcp_len);
    return plain_sum(tail, 4, plain_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, 0));
}

size_t make_tcp(uint8_t *out, bool v6, uint8_t flags, size_t payload, bool partial)
{
    size_t ip_len = v6 ? 40 : 20, tcp_len = 20 + payload;
    uint8_t *ip = out + 14, *tcp = ip + ip_len;
    memset(out, 0, 14 + ip_len + 20);
    memcpy(out, "\x52\x55\x0a\x00\x02\x02\x52\x54\x00\x12\x34\x56", 12);
    put16(out + 12, v6 ? 0x86dd : 0x0800);
    if (v6) {
        ip[0] = 0x60;
        put16(ip + 4, (uint32_t)tcp_len);
        ip[6] = 6;
        ip[7] = 64;
        ip[8] = ip[24] = 0xfe;
        ip[23] = 0x15;
        ip[39] = 2;
    } else {
        ip[0] = 0x45;
        put16(ip + 2, (uint32_t)(ip_len + tcp_len));
        put16(ip + 4, 0xfffe); /* so that a count overflows */
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
        put16(ip + 10, ~plain_sum(ip, 20, 0) & 0xffff);
    }
    put16(tcp, 40000);
    put16(tcp + 2, 80);
    put16(tcp + 4, 0xffff); /* the sequence number, too */
    put16(tcp + 6, 0xff00);
    tcp[12] = 0x50;
    tcp[13] = flags;
    put16(tcp + 14, 0x4000);
    for (size_t i = 0; i < payload; i++)
        tcp[20 + i] = (uint8_t)(i * 7 + (i >> 8));
    uint32_t pseudo = plain_pseudo(ip, v6, tcp_len);
    put16(tcp + 16, partial ? pseudo : ~plain_sum(tcp, tcp_len, pseudo) & 0xffff);
    return 14 + ip_len + tcp_len;
}

bool frame_sound(const uint8_t *frame, size_t len)
{
    bool v6 = get16(frame + 12) == 0x86dd;
    const uint8_t *ip = frame + 14;
    size_t ip_len = v6 ? 40 : 20;
    if (len < 14 + ip_len + 20)
        return false;
    size_t tcp_len = v6 ? get16(ip + 4) : get16(ip + 2) - ip_len;
    if (14 + ip_len + tcp_len != len || (!v6 && plain_sum(ip, ip_len, 0) != 0xffff))
        return false;
    return plain_sum(ip + ip_len, tcp_len, plain_pseudo(ip, v6, tcp_len)) == 0xffff;
}

/* --- the driver --- */

void nic_start(struct nic_driver *d, uint64_t accept, uint16_t size)
{
    struct port *p = &d->port;
    uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;
    port_set_status(p, 0);
    port_set_status(p, status);
    port_accept(p, port_offered(p) & accept);
    status |= VIRTIO_FEATURES_OK;
    port_set_status(p, status);
    ck_assert_uint_eq(port_status(p), status);
    for (unsigned i = 0; i < d->nrings; i++) {
        ring_init(&d->ring[i], &d->rig->gm, NIC_RING_BASE + i * RING_STRIDE, size);
        port_queue(p, i, &d->ring[i]);
    }
    port_set_status(p, status | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(port_status(p), status | VIRTIO_DRIVER_OK);
}

void nic_put_tx(struct nic_driver *d, unsigned ring, uint16_t head, gpa_t at, const void *header,
                const void *frame, size_t len)
{
    struct ring *r = &d->ring[ring];
    gmem_write(&d->rig->gm, at, header, NIC_HEADER);
    gmem_write(&d->rig->gm, at + 16, frame, len);
    ring_desc(r, head, at, NIC_HEADER, DESC_NEXT, (uint16_t)(head + 1));
    ring_desc(r, head + 1u, at + 16, (uint32_t)len, 0, 0);
    ring_offer(r, head);
}

void nic_put_rx(struct nic_driver *d, unsigned ring, uint16_t head, gpa_t at, uint32_t len)
{
    ring_desc(&d->ring[ring], head, at, len, DESC_WRITE, 0);
    ring_offer(&d->ring[ring], head);
}
