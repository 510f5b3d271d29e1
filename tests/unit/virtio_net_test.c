// SPDX-License-Identifier: MIT
//
// The virtio network interface over a backend in memory, from its driver's side.
#include <check.h>
#include <limits.h>
#include <string.h>

#include "devices/virtio/net_state.h"
#include "tests/lib/fake_net.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct rig rig;
static struct fake_net fake;
static struct nic_driver nic;

static const struct virtio_net_settings settings = {
    .mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, .mtu = 1400};

#define ALL_OFFLOADS (NET_CSUM | NET_TSO4 | NET_TSO6)
#define EVERYTHING (~0ull & ~VIRTIO_F_EVENT_IDX)
#define RX 0
#define TX 1
#define CTRL 2

static void plug(unsigned takes, unsigned gives, unsigned queues)
{
    struct err err = {{0}};
    fake_net_init(&fake, takes, gives, queues);
    struct virtio *vd = virtio_net_create(&fake.net, &settings, &rig.gm, &err);
    ck_assert_msg(vd, "%s", err.msg);
    nic = (struct nic_driver){.rig = &rig, .nrings = 2 * queues + 1};
    port_init_pci(&nic.port, &rig, vd, 1);
}

static void unplug(void)
{
    port_fini(&nic.port);
    ck_assert_int_eq(fake.runs, 0);
    fake_net_fini(&fake);
}

static void setup(void)
{
    rig_init(&rig, true);
    plug(ALL_OFFLOADS, ALL_OFFLOADS, 1);
}

static void teardown(void)
{
    unplug();
    rig_fini(&rig);
}

static const struct virtio_net_stats *stats(void)
{
    return virtio_net_stats(nic.port.vd);
}

static bool broken(void)
{
    return port_status(&nic.port) & VIRTIO_NEEDS_RESET;
}

static void tell(unsigned queue)
{
    net_tell_readable(&fake.net, queue);
}

/* --- configuration --- */

START_TEST(net_configuration_bytes)
{
    for (unsigned i = 0; i < NET_MAC_BYTES; i++)
        ck_assert_uint_eq(port_config(&nic.port, i, 1), settings.mac[i]);
    ck_assert_uint_eq(port_config(&nic.port, 6, 2), 1); /* link up */
    ck_assert_uint_eq(port_config(&nic.port, 8, 2), 1);
    ck_assert_uint_eq(port_config(&nic.port, 10, 2), 1400);
}
END_TEST

START_TEST(net_offers_what_the_backend_can)
{
    uint64_t guest_tso = NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6;
    uint64_t always = NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_GUEST_CSUM |
                      NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ | NET_F_CTRL_RX |
                      NET_F_CTRL_MAC_ADDR | NET_F_MTU | VIRTIO_F_VERSION_1;
    ck_assert_uint_eq(port_offered(&nic.port) & always, always);
    ck_assert_uint_eq(port_offered(&nic.port) & guest_tso, guest_tso);
    ck_assert(!(port_offered(&nic.port) & NET_F_MQ));
    unplug();
    plug(0, 0, 1);
    ck_assert_uint_eq(port_offered(&nic.port) & always, always);
    ck_assert(!(port_offered(&nic.port) & guest_tso));
    unplug();
    plug(0, 0, 2);
    ck_assert(port_offered(&nic.port) & NET_F_MQ);
    ck_assert_uint_eq(port_config(&nic.port, 8, 2), 2);
}
END_TEST

START_TEST(net_tells_the_backend_what_the_driver_takes)
{
    nic_start(&nic, EVERYTHING, 64);
    ck_assert_uint_eq(fake.device_takes, ALL_OFFLOADS);
    nic_start(&nic, EVERYTHING & ~NET_F_GUEST_TSO6, 64);
    ck_assert_uint_eq(fake.device_takes, NET_CSUM | NET_TSO4);
    nic_start(&nic, EVERYTHING & ~NET_F_GUEST_CSUM, 64); /* TSO without checksums is nothing */
    ck_assert_uint_eq(fake.device_takes, 0);
}
END_TEST

START_TEST(net_link_changes_reach_the_driver)
{
    nic_start(&nic, EVERYTHING, 64);
    net_set_link(&fake.net, false);
    ck_assert_uint_eq(port_config(&nic.port, 6, 2), 0);
    net_set_link(&fake.net, true);
    ck_assert_uint_eq(port_config(&nic.port, 6, 2), 1);
}
END_TEST

START_TEST(net_backend_runs_from_the_first_kick_to_reset)
{
    nic_start(&nic, EVERYTHING, 64);
    ck_assert_int_eq(fake.runs, 0);
    port_kick(&nic.port, RX);
    ck_assert_int_eq(fake.runs, 1);
    port_kick(&nic.port, TX);
    ck_assert_int_eq(fake.runs, 1);
    port_set_status(&nic.port, 0);
    ck_assert_int_eq(fake.runs, 0);
}
END_TEST

/* --- sending --- */

static const uint8_t no_header[NIC_HEADER];
static uint8_t frame[NET_FRAME_MAX + 64];

static void tx(const void *header, size_t len)
{
    nic_put_tx(&nic, TX, 0, NIC_DATA, header, frame, len);
    port_kick(&nic.port, TX);
}

static void header(uint8_t *h, unsigned flags, unsigned gso, unsigned gso_size, unsigned start,
                   unsigned offset)
{
    memset(h, 0, NIC_HEADER);
    h[0] = (uint8_t)flags;
    h[1] = (uint8_t)gso;
    store_le16(h + 4, (uint16_t)gso_size);
    store_le16(h + 6, (uint16_t)start);
    store_le16(h + 8, (uint16_t)offset);
}

static void used_one(unsigned ring, uint32_t want_id)
{
    uint32_t id, len;
    ck_assert(ring_take(&nic.ring[ring], &id, &len));
    ck_assert_uint_eq(id, want_id);
}

START_TEST(net_sends_a_frame)
{
    nic_start(&nic, EVERYTHING, 64);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    tx(no_header, len);
    ck_assert_uint_eq(fake.nsent, 1);
    ck_assert_uint_eq(fake.sent[0].len, len);
    ck_assert_mem_eq(fake.sent[0].data, frame, len);
    ck_assert(!fake.sent[0].offload.needs_csum);
    ck_assert_uint_eq(fake.flushes, 1);
    used_one(TX, 0);
    ck_assert_uint_eq(rig.msis + rig.line_rises, 1);
}
END_TEST

START_TEST(net_passes_offloads_to_a_backend_that_takes_them)
{
    uint8_t h[NIC_HEADER];
    nic_start(&nic, EVERYTHING, 64);
    size_t len = make_tcp(frame, false, 0x10, 30000, true);
    header(h, 1, 1, 1448, 34, 16);
    tx(h, len);
    ck_assert_uint_eq(fake.nsent, 1);
    const struct net_offload *o = &fake.sent[0].offload;
    ck_assert_uint_eq(o->gso, NET_GSO_TCP4);
    ck_assert_uint_eq(o->gso_size, 1448);
    ck_assert(o->needs_csum);
    ck_assert_uint_eq(o->csum_start, 34);
    ck_assert_uint_eq(o->csum_offset, 16);
}
END_TEST

START_TEST(net_finishes_what_the_backend_does_not_take)
{
    uint8_t h[NIC_HEADER];
    unplug();
    plug(0, 0, 1);
    nic_start(&nic, EVERYTHING, 64);
    size_t len = make_tcp(frame, true, 0x18, 30000, true);
    header(h, 1, 4, 1440, 54, 16);
    tx(h, len);
    ck_assert_uint_eq(fake.nsent, 21);
    for (unsigned i = 0; i < 21; i++)
        ck_assert(frame_sound(fake.sent[i].data, fake.sent[i].len));
    fake_net_forget(&fake);
    len = make_tcp(frame, false, 0x18, 100, true);
    header(h, 1, 0, 0, 34, 16);
    tx(h, len);
    ck_assert_uint_eq(fake.nsent, 1);
    ck_assert(frame_sound(fake.sent[0].data, fake.sent[0].len));
    fake_net_forget(&fake);
    fake.net.takes = NET_LONG;
    len = make_tcp(frame, false, 0x18, 60000, true);
    header(h, 1, 1, 1448, 34, 16);
    tx(h, len);
    ck_assert_uint_eq(fake.nsent, 1);
    ck_assert_uint_eq(fake.sent[0].len, len);
    ck_assert(frame_sound(fake.sent[0].data, fake.sent[0].len));
}
END_TEST

START_TEST(net_holds_a_frame_without_room_and_keeps_order)
{
    nic_start(&nic, EVERYTHING, 64);
    fake.room = 2;
    for (unsigned i = 0; i < 5; i++) {
        size_t len = make_tcp(frame, false, 0x10, i, false);
        nic_put_tx(&nic, TX, (uint16_t)(2 * i), NIC_DATA + 0x1000 * i, no_header, frame, len);
    }
    port_kick(&nic.port, TX);
    ck_assert_uint_eq(fake.nsent, 2);
    ck_assert_uint_eq(nic.port.vd->vq[TX].in_flight, 1); /* not the rest of the ring as well */
    port_kick(&nic.port, TX);
    ck_assert_uint_eq(fake.nsent, 2);
    fake.room = UINT_MAX;
    net_tell_writable(&fake.net, 0);
    ck_assert_uint_eq(fake.nsent, 5);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(fake.sent[i].len, TCP4_HEADERS + i);
        used_one(TX, 2 * i);
    }
}
END_TEST

START_TEST(net_reset_lets_go_of_a_held_frame)
{
    nic_start(&nic, EVERYTHING, 64);
    fake.room = 0;
    size_t len = make_tcp(frame, false, 0x10, 0, false);
    tx(no_header, len);
    nic_start(&nic, EVERYTHING, 64);
    fake.room = UINT_MAX;
    net_tell_writable(&fake.net, 0);
    ck_assert_uint_eq(fake.nsent, 0);
    tx(no_header, len);
    ck_assert_uint_eq(fake.nsent, 1);
}
END_TEST

START_TEST(net_drops_frames_without_link)
{
    nic_start(&nic, EVERYTHING, 64);
    net_set_link(&fake.net, false);
    tx(no_header, make_tcp(frame, false, 0x10, 0, false));
    ck_assert_uint_eq(fake.nsent, 0);
    used_one(TX, 0);
    ck_assert_uint_eq(fake.net.count.tx_no_link, 1);
}
END_TEST

START_TEST(net_drops_malformed_frames_and_lives)
{
    static const struct {
        unsigned flags, gso, gso_size, start, offset;
        size_t len;
        uint64_t without; /* features the driver did not accept */
    } bad[] = {
        {1, 1, 0, 34, 16, 3000, 0},                      /* pieces of nothing */
        {0, 1, 1448, 34, 16, 3000, 0},                   /* cut, without checksum */
        {1, 3, 1448, 34, 16, 3000, 0},                   /* UDP, not offered */
        {1, 5, 1448, 34, 16, 3000, 0},                   /* no such kind */
        {1, 0x81, 1448, 34, 16, 3000, 0},                /* ECN, not offered */
        {1, 0, 0, 3000, 16, 3000, 0},                    /* start at the end */
        {1, 0, 0, 2990, 9, 3000, 0},                     /* field half outside */
        {1, 0, 0, 0xffff, 0xffff, 3000, 0},
        {0, 0, 0, 0, 0, 13, 0},                          /* shorter than Ethernet */
        {0, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, NET_FRAME_MAX + 1, 0},
        {1, 0, 0, 34, 16, 3000, NET_F_CSUM},             /* not negotiated */
        {1, 1, 1448, 34, 16, 3000, NET_F_HOST_TSO4},
        {1, 4, 1448, 54, 16, 3000, NET_F_HOST_TSO6},
    };
    uint64_t dropped = 0;
    for (unsigned takes = 0; takes <= ALL_OFFLOADS; takes += ALL_OFFLOADS) {
        fake.net.takes = takes;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            uint8_t h[NIC_HEADER];
            nic_start(&nic, EVERYTHING & ~bad[i].without, 64);
            make_tcp(frame, false, 0x10, 4000, true);
            header(h, bad[i].flags, bad[i].gso, bad[i].gso_size, bad[i].start, bad[i].offset);
            tx(h, bad[i].len);
            used_one(TX, 0);
            ck_assert_msg(!fake.nsent, "case %zu was sent", i);
            ck_assert(!broken());
            dropped++;
            ck_assert_uint_eq(stats()->tx_bad_header + stats()->tx_bad_length +
                                  fake.net.count.tx_malformed, dropped);
        }
    }
    tx(no_header, make_tcp(frame, false, 0x10, 10, false));
    ck_assert_uint_eq(fake.nsent, 1);
}
END_TEST

START_TEST(net_breaks_on_malformed_chains_until_reset)
{
    for (unsigned i = 0; i < 3; i++) {
        nic_start(&nic, EVERYTHING, 64);
        struct ring *r = &nic.ring[TX];
        ring_desc(r, 0, NIC_DATA, i == 0 ? 11 : 100, i == 1 ? DESC_WRITE : i == 2 ? DESC_NEXT : 0, 1);
        ring_desc(r, 1, NIC_DATA + 200, 100, DESC_WRITE, 0);
        ring_offer(r, 0);
        port_kick(&nic.port, TX);
        ck_assert(broken());
        ck_assert_uint_eq(fake.nsent, 0);
    }
    nic_start(&nic, EVERYTHING, 64);
    tx(no_header, make_tcp(frame, false, 0x10, 10, false));
    ck_assert_uint_eq(fake.nsent, 1);
}
END_TEST

START_TEST(net_header_may_be_split_and_joined)
{
    nic_start(&nic, EVERYTHING, 64);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    gmem_write(&rig.gm, NIC_DATA, no_header, NIC_HEADER);
    gmem_write(&rig.gm, NIC_DATA + NIC_HEADER, frame, len);
    struct ring *r = &nic.ring[TX];
    ring_desc(r, 0, NIC_DATA, 5, DESC_NEXT, 1);
    ring_desc(r, 1, NIC_DATA + 5, 20, DESC_NEXT, 2);
    ring_desc(r, 2, NIC_DATA + 25, (uint32_t)(NIC_HEADER + len - 25), 0, 0);
    ring_offer(r, 0);
    port_kick(&nic.port, TX);
    ck_assert_uint_eq(fake.nsent, 1);
    ck_assert_mem_eq(fake.sent[0].data, frame, len);
}
END_TEST

START_TEST(net_one_interrupt_and_flush_for_a_batch)
{
    nic_start(&nic, EVERYTHING, 64);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    for (unsigned i = 0; i < 20; i++)
        nic_put_tx(&nic, TX, (uint16_t)(2 * i), NIC_DATA + 0x1000 * i, no_header, frame, len);
    port_kick(&nic.port, TX);
    ck_assert_uint_eq(fake.nsent, 20);
    ck_assert_uint_eq(fake.flushes, 1);
    ck_assert_uint_eq(nic.port.vd->vq[TX].interrupts, 1);
}
END_TEST

START_TEST(net_honours_event_indices)
{
    nic_start(&nic, ~0ull, 64);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    ring_set_used_event(&nic.ring[TX], 3);
    for (unsigned i = 0; i < 3; i++) {
        nic_put_tx(&nic, TX, (uint16_t)(2 * i), NIC_DATA + 0x1000 * i, no_header, frame, len);
        port_kick(&nic.port, TX);
    }
    ck_assert_uint_eq(nic.port.vd->vq[TX].interrupts, 0);
    nic_put_tx(&nic, TX, 6, NIC_DATA + 0x3000, no_header, frame, len);
    port_kick(&nic.port, TX);
    ck_assert_uint_eq(nic.port.vd->vq[TX].interrupts, 1);
    ck_assert_uint_eq(ring_avail_event(&nic.ring[TX]), 4); /* the next kick is wanted */
}
END_TEST

/* --- receiving --- */

static void rx_buffers(unsigned n, uint32_t len)
{
    for (unsigned i = 0; i < n; i++)
        nic_put_rx(&nic, RX, (uint16_t)i, NIC_DATA + 0x20000 * i, len);
}

START_TEST(net_receives_a_frame)
{
    nic_start(&nic, EVERYTHING, 16);
    rx_buffers(4, 2000);
    size_t len = make_tcp(frame, false, 0x10, 100, false);
    struct net_offload good = {.csum_good = true};
    fake_net_queue(&fake, 0, frame, len, &good);
    tell(0);
    uint32_t id, written;
    ck_assert(ring_take(&nic.ring[RX], &id, &written));
    ck_assert_uint_eq(id, 0);
    ck_assert_uint_eq(written, NIC_HEADER + len);
    const uint8_t *buf = gmem_ptr(&rig.gm, NIC_DATA, 2000);
    ck_assert_uint_eq(buf[0], 2); /* DATA_VALID */
    ck_assert_uint_eq(load_le16(buf + 10), 1);
    ck_assert_mem_eq(buf + NIC_HEADER, frame, len);
    ck_assert_uint_eq(fake.nwaiting, 0);
    ck_assert_uint_eq(nic.port.vd->vq[RX].interrupts, 1);
}
END_TEST

START_TEST(net_says_nothing_of_checksums_to_who_did_not_ask)
{
    nic_start(&nic, EVERYTHING & ~NET_F_GUEST_CSUM, 16);
    rx_buffers(1, 2000);
    struct net_offload good = {.csum_good = true};
    fake_net_queue(&fake, 0, frame, 60, &good);
    tell(0);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, NIC_DATA, 1), 0);
}
END_TEST

START_TEST(net_merges_buffers_and_shows_them_at_once)
{
    nic_start(&nic, EVERYTHING, 16);
    rx_buffers(3, 1000);
    size_t len = make_tcp(frame, false, 0x10, 5000, false);
    struct net_offload o = {.gso = NET_GSO_TCP4, .gso_size = 1448, .needs_csum = true,
                            .csum_start = 34, .csum_offset = 16};
    fake_net_queue(&fake, 0, frame, len, &o);
    tell(0);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[RX]), 0); /* not half a frame */
    ck_assert_uint_eq(fake.nwaiting, 1);
    for (unsigned i = 3; i < 8; i++)
        nic_put_rx(&nic, RX, (uint16_t)i, NIC_DATA + 0x20000 * i, 1000);
    port_kick(&nic.port, RX);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[RX]), 6);
    size_t at = 0;
    for (unsigned i = 0; i < 6; i++) {
        uint32_t id, written;
        ck_assert(ring_take(&nic.ring[RX], &id, &written));
        const uint8_t *buf = gmem_ptr(&rig.gm, NIC_DATA + 0x20000 * id, 1000);
        size_t skip = i ? 0 : NIC_HEADER;
        if (!i) {
            ck_assert_uint_eq(buf[0], 1);
            ck_assert_uint_eq(buf[1], 1);
            ck_assert_uint_eq(load_le16(buf + 4), 1448);
            ck_assert_uint_eq(load_le16(buf + 6), 34);
            ck_assert_uint_eq(load_le16(buf + 8), 16);
            ck_assert_uint_eq(load_le16(buf + 10), 6);
        }
        ck_assert_mem_eq(buf + skip, frame + at, written - skip);
        at += written - skip;
    }
    ck_assert_uint_eq(at, len);
}
END_TEST

START_TEST(net_asks_for_kicks_only_when_buffers_run_out)
{
    nic_start(&nic, EVERYTHING, 16);
    rx_buffers(4, 2000);
    port_kick(&nic.port, RX);
    ck_assert_uint_eq(ring_used_flags(&nic.ring[RX]), 1); /* NO_NOTIFY */
    for (unsigned i = 0; i < 5; i++)
        fake_net_queue(&fake, 0, frame, 60, NULL);
    tell(0);
    ck_assert_uint_eq(ring_used_flags(&nic.ring[RX]), 0);
    ck_assert_uint_eq(fake.nwaiting, 1);
    nic_put_rx(&nic, RX, 5, NIC_DATA, 2000);
    port_kick(&nic.port, RX);
    ck_assert_uint_eq(fake.nwaiting, 0);
    ck_assert_uint_eq(ring_used_flags(&nic.ring[RX]), 1);
}
END_TEST

START_TEST(net_drops_frames_that_no_buffer_takes)
{
    nic_start(&nic, EVERYTHING & ~NET_F_MRG_RXBUF, 16);
    rx_buffers(2, 500);
    make_tcp(frame, false, 0x10, 1000, false);
    fake_net_queue(&fake, 0, frame, 600, NULL);
    fake_net_queue(&fake, 0, frame, 488, NULL);
    tell(0);
    ck_assert_uint_eq(stats()->rx_too_long, 1);
    ck_assert_uint_eq(stats()->rx_frames, 1);
    used_one(RX, 0); /* the buffer that was too small serves the next frame */
}
END_TEST

START_TEST(net_drops_unfinished_frames_that_the_driver_does_not_take)
{
    struct net_offload o = {.gso = NET_GSO_TCP4, .gso_size = 1448, .needs_csum = true,
                            .csum_start = 34, .csum_offset = 16};
    nic_start(&nic, EVERYTHING & ~NET_F_GUEST_TSO4, 16);
    rx_buffers(4, 2000);
    make_tcp(frame, false, 0x10, 1900, true);
    fake_net_queue(&fake, 0, frame, 1900, &o);
    tell(0);
    ck_assert_uint_eq(stats()->rx_too_long, 1);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[RX]), 0);
}
END_TEST

START_TEST(net_breaks_on_bad_receive_buffers)
{
    for (unsigned i = 0; i < 3; i++) {
        nic_start(&nic, EVERYTHING, 16);
        struct ring *r = &nic.ring[RX];
        if (i == 0)
            ring_desc(r, 0, NIC_DATA, 11, DESC_WRITE, 0); /* no room for the header */
        if (i == 1)
            ring_desc(r, 0, NIC_DATA, 2000, 0, 0);        /* to read */
        if (i == 2)
            ring_desc(r, 0, NIC_DATA, 0, DESC_WRITE, 0);  /* nothing */
        ring_offer(r, 0);
        if (!fake.nwaiting)
            fake_net_queue(&fake, 0, frame, 60, NULL);
        tell(0);
        ck_assert_msg(broken(), "case %u", i);
    }
    /* A whole ring of buffers that together hold no frame can never be enough. */
    nic_start(&nic, EVERYTHING, 16);
    fake_net_queue(&fake, 0, frame, 1000, NULL);
    for (unsigned i = 0; i < 16; i++)
        nic_put_rx(&nic, RX, (uint16_t)i, NIC_DATA + 0x1000 * i, i ? 1 : 12);
    port_kick(&nic.port, RX);
    tell(0);
    ck_assert(broken());
    nic_start(&nic, EVERYTHING, 16);
    rx_buffers(4, 2000);
    port_kick(&nic.port, RX);
    ck_assert_uint_eq(fake.nwaiting, 0);
}
END_TEST

START_TEST(net_reset_lets_go_of_gathered_buffers)
{
    nic_start(&nic, EVERYTHING, 16);
    rx_buffers(3, 1000);
    fake_net_queue(&fake, 0, frame, 9000, NULL);
    tell(0);
    ck_assert_uint_eq(nic.port.vd->vq[RX].in_flight, 3);
    nic_start(&nic, EVERYTHING, 16);
    ck_assert_uint_eq(nic.port.vd->vq[RX].in_flight, 0);
    rx_buffers(12, 1000);
    port_kick(&nic.port, RX);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[RX]), 10);
}
END_TEST

START_TEST(net_nothing_moves_before_driver_ok)
{
    port_set_status(&nic.port, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    fake_net_queue(&fake, 0, frame, 60, NULL);
    tell(0);
    net_tell_writable(&fake.net, 0);
    ck_assert_uint_eq(fake.nwaiting, 1);
}
END_TEST

/* --- the control queue --- */

static unsigned control_ring = CTRL;

static uint8_t command(unsigned class, unsigned cmd, const void *data, size_t len)
{
    struct ring *r = &nic.ring[control_ring];
    uint8_t head[2] = {(uint8_t)class, (uint8_t)cmd};
    gmem_write(&rig.gm, NIC_DATA, head, 2);
    gmem_write(&rig.gm, NIC_DATA + 16, data, len);
    gmem_fill(&rig.gm, NIC_DATA + 8, 0xee, 1);
    ring_desc(r, 0, NIC_DATA, 2, DESC_NEXT, 1);
    ring_desc(r, 1, NIC_DATA + 16, (uint32_t)len, DESC_NEXT, 2);
    ring_desc(r, 2, NIC_DATA + 8, 1, DESC_WRITE, 0);
    ring_offer(r, 0);
    port_kick(&nic.port, control_ring);
    used_one(control_ring, 0);
    return *gmem_ptr(&rig.gm, NIC_DATA + 8, 1);
}

static bool arrives(const char *to)
{
    uint64_t before = stats()->rx_frames;
    memcpy(frame, to, 6);
    fake_net_queue(&fake, 0, frame, 60, NULL);
    nic_put_rx(&nic, RX, 0, NIC_DATA + 0x1000, 2000);
    tell(0);
    if (stats()->rx_frames == before) /* the buffer stays; put the ring right for the next */
        nic.ring[RX].avail_idx = nic.port.vd->vq[RX].regs.avail_next;
    return stats()->rx_frames > before;
}

#define OURS "\x52\x54\x00\x12\x34\x56"
#define OTHER "\x52\x54\x00\x12\x34\x99"
#define MULTI "\x01\x00\x5e\x00\x00\x01"
#define BROAD "\xff\xff\xff\xff\xff\xff"

START_TEST(net_filters_what_it_receives)
{
    const uint8_t on = 1, off = 0;
    nic_start(&nic, EVERYTHING, 16);
    ck_assert(arrives(OTHER) && arrives(MULTI)); /* everything, until told otherwise */
    ck_assert_uint_eq(command(0, 0, &off, 1), 0);
    ck_assert(arrives(OURS) && arrives(BROAD));
    ck_assert(!arrives(OTHER) && !arrives(MULTI));
    ck_assert_uint_eq(stats()->rx_filtered, 2);
    ck_assert_uint_eq(command(0, 1, &on, 1), 0);
    ck_assert(arrives(MULTI) && !arrives(OTHER));
    ck_assert_uint_eq(command(0, 2, &on, 1), 0);
    ck_assert(arrives(OTHER));
    ck_assert_uint_eq(command(0, 5, &on, 1), 0);
    ck_assert(!arrives(BROAD));
    ck_assert_uint_eq(command(0, 0, &on, 1), 0);
    ck_assert(arrives(BROAD));
    nic_start(&nic, EVERYTHING, 16); /* and everything again */
    ck_assert(arrives(OTHER));
}
END_TEST

START_TEST(net_address_tables)
{
    const uint8_t off = 0;
    const uint8_t table[] = "\x01\0\0\0" OTHER "\x01\0\0\0" MULTI;
    nic_start(&nic, EVERYTHING, 16);
    ck_assert_uint_eq(command(0, 0, &off, 1), 0);
    ck_assert_uint_eq(command(1, 0, table, sizeof table - 1), 0);
    ck_assert(arrives(OTHER) && arrives(MULTI));
    ck_assert(!arrives("\x52\x54\x00\x12\x34\x98") && !arrives("\x01\x00\x5e\x00\x00\x02"));
    static uint8_t many[4 + 65 * 6 + 4] = {65}; /* more than there is room for: all of them */
    ck_assert_uint_eq(command(1, 0, many, sizeof many), 0);
    ck_assert(arrives("\x52\x54\x00\x12\x34\x98") && !arrives(MULTI));
}
END_TEST

START_TEST(net_own_address_can_be_changed)
{
    const uint8_t off = 0;
    nic_start(&nic, EVERYTHING, 16);
    ck_assert_uint_eq(command(0, 0, &off, 1), 0);
    ck_assert_uint_eq(command(1, 1, OTHER, 6), 0);
    ck_assert(arrives(OTHER) && !arrives(OURS));
    ck_assert_uint_eq(port_config(&nic.port, 5, 1), 0x99);
    port_set_status(&nic.port, 0);
    ck_assert_uint_eq(port_config(&nic.port, 5, 1), 0x56);
}
END_TEST

START_TEST(net_refuses_bad_commands)
{
    const uint8_t two[2] = {1, 1};
    nic_start(&nic, EVERYTHING, 16);
    static const uint8_t lies[] = "\xff\xff\xff\x0f\0\0\0\0";
    ck_assert_uint_eq(command(0, 6, two, 1), 1);
    ck_assert_uint_eq(command(0, 0, two, 2), 1);
    ck_assert_uint_eq(command(1, 0, lies, 8), 1);  /* a count that wraps */
    ck_assert_uint_eq(command(1, 0, lies, 3), 1);
    ck_assert_uint_eq(command(1, 0, "\0\0\0\0\0\0\0\0x", 9), 1);
    ck_assert_uint_eq(command(1, 1, OURS, 5), 1);
    ck_assert_uint_eq(command(1, 2, OURS, 6), 1);
    ck_assert_uint_eq(command(4, 0, two, 2), 1);   /* MQ was not offered */
    ck_assert_uint_eq(command(9, 0, two, 1), 1);
    ck_assert(!broken());
    ring_desc(&nic.ring[CTRL], 0, NIC_DATA, 2, 0, 0); /* nowhere to answer */
    ring_offer(&nic.ring[CTRL], 0);
    port_kick(&nic.port, CTRL);
    ck_assert(broken());
}
END_TEST

START_TEST(net_queue_pairs)
{
    unplug();
    plug(ALL_OFFLOADS, ALL_OFFLOADS, 2);
    uint8_t pairs[2] = {2, 0};
    control_ring = 4;
    nic_start(&nic, EVERYTHING, 16);
    ck_assert_uint_eq(fake.queues_used, 1);
    ck_assert_uint_eq(command(4, 0, pairs, 2), 0);
    ck_assert_uint_eq(fake.queues_used, 2);
    pairs[0] = 3;
    ck_assert_uint_eq(command(4, 0, pairs, 2), 1);
    pairs[0] = 0;
    ck_assert_uint_eq(command(4, 0, pairs, 2), 1);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    nic_put_tx(&nic, 3, 0, NIC_DATA, no_header, frame, len);
    port_kick(&nic.port, 3);
    ck_assert_uint_eq(fake.nsent, 1);
    ck_assert_uint_eq(fake.sent[0].queue, 1);
    fake_net_queue(&fake, 1, frame, len, NULL);
    nic_put_rx(&nic, 2, 0, NIC_DATA, 2000);
    tell(1);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[2]), 1);
    ck_assert_uint_eq(ring_used_idx(&nic.ring[0]), 0);
}
END_TEST

/* Without MQ the control queue is the third, however many there could be. */
START_TEST(net_control_queue_moves_without_mq)
{
    const uint8_t off = 0;
    unplug();
    plug(ALL_OFFLOADS, ALL_OFFLOADS, 2);
    control_ring = 2;
    nic_start(&nic, EVERYTHING & ~NET_F_MQ, 16);
    ck_assert_uint_eq(command(0, 0, &off, 1), 0);
    port_kick(&nic.port, 4);
    ck_assert(!broken());
}
END_TEST

START_TEST(net_over_mmio)
{
    struct err err = {{0}};
    struct fake_net other;
    fake_net_init(&other, 0, 0, 1);
    struct virtio *vd = virtio_net_create(&other.net, &settings, &rig.gm, &err);
    struct nic_driver d = {.rig = &rig, .nrings = 3};
    port_init_mmio(&d.port, &rig, vd, 0xfeb00000);
    nic_start(&d, EVERYTHING, 64);
    size_t len = make_tcp(frame, false, 0x10, 10, false);
    nic_put_tx(&d, TX, 0, NIC_DATA, no_header, frame, len);
    port_kick(&d.port, TX);
    ck_assert_uint_eq(other.nsent, 1);
    port_fini(&d.port);
    fake_net_fini(&other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_net");
    TCase *t = tcase_create("net");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, net_configuration_bytes);
    tcase_add_test(t, net_offers_what_the_backend_can);
    tcase_add_test(t, net_tells_the_backend_what_the_driver_takes);
    tcase_add_test(t, net_link_changes_reach_the_driver);
    tcase_add_test(t, net_backend_runs_from_the_first_kick_to_reset);
    tcase_add_test(t, net_sends_a_frame);
    tcase_add_test(t, net_passes_offloads_to_a_backend_that_takes_them);
    tcase_add_test(t, net_finishes_what_the_backend_does_not_take);
    tcase_add_test(t, net_holds_a_frame_without_room_and_keeps_order);
    tcase_add_test(t, net_reset_lets_go_of_a_held_frame);
    tcase_add_test(t, net_drops_frames_without_link);
    tcase_add_test(t, net_drops_malformed_frames_and_lives);
    tcase_add_test(t, net_breaks_on_malformed_chains_until_reset);
    tcase_add_test(t, net_header_may_be_split_and_joined);
    tcase_add_test(t, net_one_interrupt_and_flush_for_a_batch);
    tcase_add_test(t, net_honours_event_indices);
    tcase_add_test(t, net_receives_a_frame);
    tcase_add_test(t, net_says_nothing_of_checksums_to_who_did_not_ask);
    tcase_add_test(t, net_merges_buffers_and_shows_them_at_once);
    tcase_add_test(t, net_asks_for_kicks_only_when_buffers_run_out);
    tcase_add_test(t, net_drops_frames_that_no_buffer_takes);
    tcase_add_test(t, net_drops_unfinished_frames_that_the_driver_does_not_take);
    tcase_add_test(t, net_breaks_on_bad_receive_buffers);
    tcase_add_test(t, net_reset_lets_go_of_gathered_buffers);
    tcase_add_test(t, net_nothing_moves_before_driver_ok);
    tcase_add_test(t, net_filters_what_it_receives);
    tcase_add_test(t, net_address_tables);
    tcase_add_test(t, net_own_address_can_be_changed);
    tcase_add_test(t, net_refuses_bad_commands);
    tcase_add_test(t, net_queue_pairs);
    tcase_add_test(t, net_control_queue_moves_without_mq);
    tcase_add_test(t, net_over_mmio);
    suite_add_tcase(s, t);
    return suite_run(s);
}
