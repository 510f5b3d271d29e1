// SPDX-License-Identifier: MIT
//
// See net_storm.h.
#include "tests/lib/net_storm.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_state.h"
#include "tests/lib/fake_net.h"
#include "util.h"

#define SIZE 16
#define STEPS 64

static struct rig rig;
static struct fake_net fake;
static struct nic_driver nic;
static struct net_storm_reach reach;
static uint8_t bytes[NET_FRAME_MAX + 256];

static const uint8_t *at, *end;

static unsigned next8(void)
{
    return at < end ? *at++ : 0;
}

static unsigned next16(void)
{
    unsigned low = next8();
    return low | next8() << 8;
}

void net_storm_init(void)
{
    static const struct virtio_net_settings settings = {.mac = {2, 0, 0, 0, 0, 1}};
    struct err err = {{0}};
    rig_init(&rig, true);
    fake_net_init(&fake, 0, NET_CSUM | NET_TSO4 | NET_TSO6, 2);
    struct virtio *vd = virtio_net_create(&fake.net, &settings, &rig.gm, &err);
    ck_assert_msg(vd, "%s", err.msg);
    nic = (struct nic_driver){.rig = &rig, .nrings = 5};
    port_init_pci(&nic.port, &rig, vd, 1);
}

void net_storm_fini(void)
{
    port_fini(&nic.port);
    fake_net_fini(&fake);
    rig_fini(&rig);
}

/* --- steps --- */

static gpa_t some_address(void)
{
    unsigned kind = next8();
    if (kind < 230)
        return NIC_DATA + 0x100 * (gpa_t)(next16() % 0x4000);
    if (kind < 240)
        return NIC_RING_BASE + 0x100 * (gpa_t)next16() % (5 * RING_STRIDE);
    if (kind < 248)
        return RIG_HOLE_START - next8();
    return ~0ull - next16();
}

static uint32_t some_length(void)
{
    unsigned kind = next8();
    if (kind < 100)
        return NIC_HEADER;
    if (kind < 180)
        return next8();
    if (kind < 245)
        return next16();
    return ~0u - next8();
}

static struct ring *some_ring(void)
{
    return &nic.ring[next8() % NIC_RINGS];
}

static void any_descriptor(void)
{
    struct ring *r = some_ring();
    unsigned i = next8() % SIZE;
    uint16_t flags = (uint16_t)(next8() % 8);
    ring_desc(r, i, some_address(), some_length(), flags, (uint16_t)(next8() % (SIZE + 1)));
}

static void offer(void)
{
    struct ring *r = some_ring();
    if (next8() == 255)
        r->avail_idx = (uint16_t)(r->avail_idx + next16());
    ring_offer(r, (uint16_t)(next8() % (SIZE + 1)));
}

/* A good frame but for a few bytes, behind a header of any kind. */
static void nearly_good_frame(void)
{
    static const uint8_t kinds[] = {0, 1, 4, 3, 5, 0x81};
    uint8_t h[NIC_HEADER] = {0};
    bool v6 = next8() & 1;
    unsigned head = next8() % (SIZE - 1), kind = next8() % ARRAY_LEN(kinds);
    size_t payload = next16() % 5000;
    if (next8() > 250)
        payload = 65000;
    size_t len = make_tcp(bytes, v6, (uint8_t)next8(), payload, true);
    h[0] = (uint8_t)(next8() % 4 ? 1 : next8());
    h[1] = kinds[kind];
    store_le16(h + 4, (uint16_t)(next8() < 200 ? 1448 : next16()));
    store_le16(h + 6, (uint16_t)(next8() < 200 ? (v6 ? 54 : 34) : next16()));
    store_le16(h + 8, (uint16_t)(next8() < 200 ? 16 : next16()));
    for (unsigned n = next8() % 4; n; n--) {
        unsigned where = next8() % 80;
        bytes[where] = (uint8_t)next8();
    }
    if (next8() < 60)
        len = len * next8() / 256;
    unsigned ring = next8() & 1 ? 1 : 3;
    nic_put_tx(&nic, ring, (uint16_t)head, NIC_DATA + 0x20000 * (gpa_t)head, h, bytes,
               len);
    if (next8() < 200)
        port_kick(&nic.port, ring);
}

static void receive_buffers(void)
{
    unsigned ring = next8() & 1 ? 0 : 2, n = 1 + next8() % 6;
    uint32_t len = next8() < 128 ? 2048 : some_length();
    for (; n; n--)
        nic_put_rx(&nic, ring, (uint16_t)(next8() % SIZE), some_address(), len);
}

static void frame_comes(void)
{
    struct net_offload o = {0};
    unsigned kind = next8();
    bool v6 = kind & 1;
    size_t payload = kind & 2 ? next16() % 65000 : next8();
    size_t len = make_tcp(bytes, v6, 0x10, payload, kind & 4);
    memset(bytes, kind & 8 ? 0xff : (int)next8(), 6);
    if (kind & 4)
        o = (struct net_offload){.needs_csum = true, .csum_start = v6 ? 54 : 34, .csum_offset = 16};
    if ((kind & 12) == 4) {
        o.gso = v6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        o.gso_size = 1440;
    }
    if (fake.nwaiting < 8)
        fake_net_queue(&fake, next8() & 1, bytes, len, &o);
    net_tell_readable(&fake.net, next8() & 1);
}

static void command(void)
{
    unsigned n = next8() % 40, ring = next8() % 8 ? 4 : 2;
    uint8_t data[64] = {(uint8_t)(next8() % 5), (uint8_t)(next8() % 6)};
    for (unsigned i = 0; i < n; i++)
        data[2 + i] = (uint8_t)next8();
    struct ring *r = &nic.ring[ring];
    gmem_write(&rig.gm, NIC_DATA, data, sizeof data);
    ring_desc(r, 0, NIC_DATA, 2 + n, DESC_NEXT, 1);
    ring_desc(r, 1, NIC_DATA + 0x100, next8() < 240 ? 1 : 2, DESC_WRITE, 0);
    ring_offer(r, 0);
    port_kick(&nic.port, ring);
    reach.commands++;
}

static void count_and_restart(void)
{
    struct virtio *vd = nic.port.vd;
    static struct virtio_net_stats last;
    static uint64_t breakdowns;
    const struct virtio_net_stats *now = virtio_net_stats(vd);
    for (unsigned q = 0; q < vd->nqueues; q++)
        ck_assert_uint_le(vd->vq[q].in_flight, SIZE);
    reach.sent += now->tx_frames - last.tx_frames;
    reach.received += now->rx_frames - last.rx_frames;
    reach.dropped += now->tx_bad_header - last.tx_bad_header + now->tx_bad_length -
                     last.tx_bad_length + now->rx_too_long - last.rx_too_long;
    reach.breakdowns += vd->breakdowns - breakdowns;
    last = *now;
    breakdowns = vd->breakdowns;
    uint64_t features = ~0ull;
    unsigned drop = next8();
    if (drop & 1)
        features &= ~NET_F_MRG_RXBUF;
    if (drop & 2)
        features &= ~(NET_F_GUEST_TSO4 | NET_F_GUEST_CSUM);
    if (drop & 4)
        features &= ~VIRTIO_F_EVENT_IDX;
    if (drop & 8)
        features &= ~(NET_F_CSUM | NET_F_HOST_TSO6);
    if (drop & 16)
        features &= ~NET_F_MQ;
    static const unsigned takes[] = {0, NET_LONG, NET_CSUM | NET_TSO4 | NET_TSO6, NET_CSUM};
    fake.net.takes = takes[drop >> 6];
    nic_start(&nic, features, SIZE);
    for (unsigned q = 0; q < vd->nqueues; q++)
        ck_assert_uint_eq(vd->vq[q].in_flight, 0);
}

static void backend_mood(void)
{
    unsigned mood = next8();
    fake.room = mood < 128 ? UINT_MAX : mood % 4;
    if ((mood & 7) == 1 || !fake.net.link)
        net_set_link(&fake.net, mood & 8);
    net_tell_writable(&fake.net, mood >> 2 & 1);
}

static void kick(void)
{
    port_kick(&nic.port, next8() % 6);
}

void net_storm_run(const uint8_t *script, size_t size)
{
    static void (*const steps[])(void) = {
        any_descriptor, offer,       nearly_good_frame, kick,    receive_buffers, frame_comes,
        command,        backend_mood, nearly_good_frame, kick,    receive_buffers, frame_comes,
        command,        kick,        nearly_good_frame, kick,    receive_buffers, frame_comes,
    };
    at = script;
    end = script + size;
    fake.room = UINT_MAX;
    fake.forget = true;
    fake.net.link = true;
    while (fake.nwaiting) {
        struct net_frame f;
        unsigned q = net_peek(&fake.net, 0, &f) ? 0 : 1;
        fake.net.ops->next(&fake.net, q);
    }
    count_and_restart();
    for (unsigned n = 0; n < STEPS && at < end; n++) {
        unsigned step = next8();
        if (step == 255 || !virtio_running(nic.port.vd))
            count_and_restart();
        else
            steps[step % ARRAY_LEN(steps)]();
        if (step & 0x80)
            event_queue_run(&rig.events);
    }
    event_queue_run(&rig.events);
}

struct net_storm_reach net_storm_reach(void)
{
    return reach;
}
