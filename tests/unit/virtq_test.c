// SPDX-License-Identifier: MIT
//
// The split virtqueue against a driver that does right, and against one that does wrong in every
// way we can name.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define MAX_SIZE 1024
#define SIZE 16
#define BUF 0x100000ull
#define TABLE 0x200000ull /* for indirect tables */
#define MIB1 0x100000u

static struct rig rig;
static struct virtio vd;
static struct virtq *vq;
static struct ring ring;
static unsigned kicks, resets, queue_irqs, config_irqs;
static uint64_t wrote_bytes;
static gpa_t wrote_last;
static struct virtq_chain *parked; /* given back by the device's reset */

static void dev_notify(struct virtio *v, unsigned q)
{
    (void)v;
    (void)q;
    kicks++;
}

static void dev_reset(struct virtio *v)
{
    (void)v;
    resets++;
    if (parked)
        virtq_push(parked, 99);
    parked = NULL;
}

static void dev_fini(struct virtio *v)
{
    virtio_fini(v);
}

static const struct virtio_ops dev_ops = {
    .name = "probe",
    .device_id = 42,
    .notify = dev_notify,
    .reset = dev_reset,
    .fini = dev_fini,
};

static void raise_queue(struct virtio *v, unsigned q)
{
    (void)v;
    (void)q;
    queue_irqs++;
}

static void raise_config(struct virtio *v)
{
    (void)v;
    config_irqs++;
}

static void live(struct virtio *v, bool on)
{
    (void)v;
    (void)on;
}

static void transport_reset(struct virtio *v)
{
    (void)v;
}

static const struct virtio_transport_ops transport = {raise_queue, raise_config, live,
                                                      transport_reset};

static void wrote(void *opaque, gpa_t gpa, uint64_t len)
{
    (void)opaque;
    wrote_last = gpa;
    wrote_bytes += len;
}

/* Up to FEATURES_OK. */
static void negotiate(uint64_t features)
{
    virtio_set_status(&vd, 0);
    virtio_set_status(&vd, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    features |= VIRTIO_F_VERSION_1;
    virtio_accept_word(&vd, 0, (uint32_t)features);
    virtio_accept_word(&vd, 1, (uint32_t)(features >> 32));
    virtio_set_status(&vd, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    ck_assert_uint_eq(vd.regs.status & VIRTIO_FEATURES_OK, VIRTIO_FEATURES_OK);
}

static void set_areas(const struct ring *r)
{
    virtq_set_size(vq, r->size);
    virtq_set_addr(vq, &vq->regs.desc, 0, (uint32_t)r->desc);
    virtq_set_addr(vq, &vq->regs.desc, 32, (uint32_t)(r->desc >> 32));
    virtq_set_addr(vq, &vq->regs.avail, 0, (uint32_t)r->avail);
    virtq_set_addr(vq, &vq->regs.avail, 32, (uint32_t)(r->avail >> 32));
    virtq_set_addr(vq, &vq->regs.used, 0, (uint32_t)r->used);
    virtq_set_addr(vq, &vq->regs.used, 32, (uint32_t)(r->used >> 32));
}

static void driver_ok(void)
{
    virtio_set_status(&vd, vd.regs.status | VIRTIO_DRIVER_OK);
}

static void start(uint64_t features, uint16_t size)
{
    negotiate(features);
    ring_init(&ring, &rig.gm, 0x10000, size);
    set_areas(&ring);
    virtq_set_ready(vq, true);
    driver_ok();
    ck_assert(virtio_running(&vd));
    kicks = queue_irqs = config_irqs = 0;
}

#define BOTH (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

static void setup(void)
{
    struct err err = {{0}};
    rig_init(&rig, false);
    ck_assert_int_eq(virtio_init(&vd, &dev_ops, &rig.gm, 0, 2, MAX_SIZE, NULL, 0, &err), 0);
    virtio_attach(&vd, &transport, NULL, &rig.events);
    vq = &vd.vq[0];
    parked = NULL;
    start(BOTH, SIZE);
}

static void teardown(void)
{
    virtio_detach(&vd);
    rig_fini(&rig);
}

static struct virtq_chain *pop_one(void)
{
    struct virtq_chain *c = NULL;
    ck_assert_int_eq(virtq_pop(vq, &c), 1);
    ck_assert_ptr_nonnull(c);
    return c;
}

/* The queue refuses what is offered, says so, and a reset mends it. */
static void assert_malformed(void)
{
    struct virtq_chain *c = NULL;
    uint64_t pops = vq->pops;
    ck_assert_int_eq(virtq_pop(vq, &c), -1);
    ck_assert_uint_eq(vd.regs.status & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    ck_assert_uint_eq(config_irqs, 1);
    ck_assert_uint_eq(vq->pops, pops);
    ck_assert_int_eq(virtq_pop(vq, &c), 0); /* quiet now */
    ck_assert_uint_eq(config_irqs, 1);

    start(BOTH, SIZE);
    ring_desc(&ring, 0, BUF, 8, 0, 0);
    ring_offer(&ring, 0);
    c = pop_one();
    virtq_push(c, 0);
    uint32_t id, len;
    ck_assert(ring_take(&ring, &id, &len));
}

/* --- what a good driver sees --- */

START_TEST(virtq_empty_ring_gives_nothing)
{
    struct virtq_chain *c;
    ck_assert_int_eq(virtq_pop(vq, &c), 0);
    ck_assert(virtio_running(&vd));
}
END_TEST

START_TEST(virtq_chain_is_split_into_readable_and_writable)
{
    ring_desc(&ring, 3, BUF, 16, DESC_NEXT, 7);
    ring_desc(&ring, 7, BUF + 0x1000, 100, DESC_NEXT, 1);
    ring_desc(&ring, 1, BUF + 0x2000, 200, DESC_NEXT | DESC_WRITE, 0);
    ring_desc(&ring, 0, BUF + 0x3000, 1, DESC_WRITE, 9);
    ring_offer(&ring, 3);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->head, 3);
    ck_assert_uint_eq(c->nread, 2);
    ck_assert_uint_eq(c->nwrite, 2);
    ck_assert_uint_eq(c->read_bytes, 116);
    ck_assert_uint_eq(c->write_bytes, 201);
    ck_assert_ptr_eq(c->iov[1].iov_base, gmem_ptr(&rig.gm, BUF + 0x1000, 100));
    ck_assert_uint_eq(c->iov[1].iov_len, 100);
    ck_assert_uint_eq(c->gpa[2], BUF + 0x2000);
    virtq_push(c, 201);
}
END_TEST

START_TEST(virtq_push_fills_the_used_ring_in_order_of_completion)
{
    struct virtq_chain *c[3];
    uint32_t id, len;
    for (unsigned i = 0; i < 3; i++) {
        ring_desc(&ring, i, BUF, 8, DESC_WRITE, 0);
        ring_offer(&ring, (uint16_t)i);
        c[i] = pop_one();
    }
    ck_assert_uint_eq(vq->in_flight, 3);
    ck_assert(!ring_take(&ring, &id, &len));
    virtq_push(c[2], 7);
    virtq_push(c[0], 5);
    virtq_push(c[1], 6);
    ck_assert_uint_eq(vq->in_flight, 0);
    const uint32_t want[3][2] = {{2, 7}, {0, 5}, {1, 6}};
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(ring_take(&ring, &id, &len));
        ck_assert_uint_eq(id, want[i][0]);
        ck_assert_uint_eq(len, want[i][1]);
    }
}
END_TEST

START_TEST(virtq_indices_wrap)
{
    uint32_t id, len;
    for (unsigned i = 0; i < 70000; i++) {
        uint16_t head = (uint16_t)(i * 5 % SIZE);
        ring_desc(&ring, head, BUF, 8, DESC_WRITE, 0);
        ring_offer(&ring, head);
        virtq_push(pop_one(), i);
        ck_assert(ring_take(&ring, &id, &len));
        ck_assert_uint_eq(id, head);
        ck_assert_uint_eq(len, i);
    }
}
END_TEST

START_TEST(virtq_full_ring_can_be_in_flight)
{
    struct virtq_chain *c[SIZE];
    for (unsigned i = 0; i < SIZE; i++) {
        ring_desc(&ring, i, BUF, 8, 0, 0);
        ring_offer(&ring, (uint16_t)i);
    }
    for (unsigned i = 0; i < SIZE; i++)
        c[i] = pop_one();
    ck_assert_uint_eq(vq->in_flight, SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        virtq_push(c[i], 0);
    ck_assert_uint_eq(ring_used_idx(&ring), SIZE);
}
END_TEST

START_TEST(virtq_head_can_come_again_after_push)
{
    ring_desc(&ring, 4, BUF, 8, 0, 0);
    for (unsigned i = 0; i < 3; i++) {
        ring_offer(&ring, 4);
        virtq_push(pop_one(), 0);
    }
    ck_assert(virtio_running(&vd));
}
END_TEST

START_TEST(virtq_direct_chain_may_use_the_whole_table)
{
    for (unsigned i = 0; i < SIZE; i++)
        ring_desc(&ring, i, BUF + 64 * i, 64, i + 1 < SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread, SIZE);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtq_indirect_table_is_followed)
{
    /* Out of order inside the table; the write flag on the outer descriptor means nothing. */
    put_desc(&rig.gm, TABLE + 8, 0, BUF, 16, DESC_NEXT, 2);
    put_desc(&rig.gm, TABLE + 8, 2, BUF + 0x1000, 32, DESC_NEXT | DESC_WRITE, 1);
    put_desc(&rig.gm, TABLE + 8, 1, BUF + 0x2000, 1, DESC_WRITE, 0);
    ring_desc(&ring, 5, TABLE + 8, 48, DESC_INDIRECT | DESC_WRITE, 0);
    ring_offer(&ring, 5);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread, 1);
    ck_assert_uint_eq(c->nwrite, 2);
    ck_assert_uint_eq(c->write_bytes, 33);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtq_direct_descriptors_may_precede_an_indirect_one)
{
    ring_desc(&ring, 0, BUF, 16, DESC_NEXT, 1);
    ring_desc(&ring, 1, TABLE, 16, DESC_INDIRECT, 0);
    put_desc(&rig.gm, TABLE, 0, BUF + 0x1000, 8, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread, 1);
    ck_assert_uint_eq(c->nwrite, 1);
    virtq_push(c, 0);
}
END_TEST

/*
 * The device's limits (seg_max) are for its largest ring: a driver with a smaller one may still
 * send such a request.
 */
START_TEST(virtq_indirect_chain_may_have_the_device_maximum)
{
    for (unsigned i = 0; i < MAX_SIZE; i++)
        put_desc(&rig.gm, TABLE, i, BUF, 4, i + 1 < MAX_SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_desc(&ring, 0, TABLE, 16 * MAX_SIZE, DESC_INDIRECT, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread, MAX_SIZE);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtq_empty_buffers_are_passed_over)
{
    ring_desc(&ring, 0, ~0ull, 0, DESC_NEXT, 1); /* whatever the address */
    ring_desc(&ring, 1, BUF, 16, DESC_NEXT, 2);
    ring_desc(&ring, 2, BUF, 0, DESC_NEXT, 3);
    ring_desc(&ring, 3, BUF, 1, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread, 1);
    ck_assert_uint_eq(c->nwrite, 1);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtq_chain_of_nothing_is_harmless)
{
    uint8_t b[4];
    uint8_t *host;
    gpa_t gpa;
    ring_desc(&ring, 9, 0, 0, 0, 0);
    ring_offer(&ring, 9);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->nread + c->nwrite, 0);
    ck_assert_uint_eq(chain_read(c, 0, b, 4), 0);
    ck_assert_uint_eq(chain_write(c, 0, b, 4), 0);
    ck_assert(!chain_pull(c, b, 1));
    ck_assert(!chain_cut(c, &host, &gpa));
    chain_wrote(c);
    virtq_push(c, 0);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
}
END_TEST

START_TEST(virtq_popped_chain_does_not_follow_later_changes)
{
    ring_desc(&ring, 0, BUF, 16, 0, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ring_desc(&ring, 0, ~0ull, ~0u, DESC_WRITE | DESC_NEXT, 77);
    ck_assert_uint_eq(c->read_bytes, 16);
    ck_assert_uint_eq(c->iov[0].iov_len, 16);
    ck_assert_ptr_eq(c->iov[0].iov_base, gmem_ptr(&rig.gm, BUF, 16));
    virtq_push(c, 0);
    ck_assert(virtio_running(&vd));
}
END_TEST

START_TEST(virtq_buffer_may_touch_the_last_byte_of_a_slot)
{
    ring_desc(&ring, 0, RIG_HOLE_START - 8, 8, DESC_NEXT, 1);
    ring_desc(&ring, 1, RIG_HOLE_END, 8, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    virtq_push(pop_one(), 0);
    ck_assert(virtio_running(&vd));
}
END_TEST

/* --- notifications --- */

static void round_trip(uint16_t head)
{
    ring_desc(&ring, head, BUF, 8, 0, 0);
    ring_offer(&ring, head);
    virtq_push(pop_one(), 0);
}

START_TEST(virtq_notify_follows_the_used_event)
{
    ring_set_used_event(&ring, 2); /* interrupt when the third is used */
    for (unsigned i = 0; i < 5; i++) {
        round_trip((uint16_t)i);
        virtq_notify(vq);
        ck_assert_uint_eq(queue_irqs, i >= 2);
    }
}
END_TEST

START_TEST(virtq_notify_sees_the_event_inside_a_batch)
{
    ring_set_used_event(&ring, 1);
    for (unsigned i = 0; i < 5; i++)
        round_trip((uint16_t)i);
    virtq_notify(vq);
    ck_assert_uint_eq(queue_irqs, 1);
    virtq_notify(vq); /* nothing new */
    ck_assert_uint_eq(queue_irqs, 1);
    ck_assert_uint_eq(vq->interrupts, 1);
}
END_TEST

START_TEST(virtq_notify_obeys_the_no_interrupt_flag)
{
    start(VIRTIO_F_INDIRECT_DESC, SIZE);
    ring_set_avail_flags(&ring, 1);
    ring_set_used_event(&ring, 0); /* means nothing without the feature */
    round_trip(0);
    virtq_notify(vq);
    ck_assert_uint_eq(queue_irqs, 0);
    ring_set_avail_flags(&ring, 0);
    round_trip(1);
    virtq_notify(vq);
    ck_assert_uint_eq(queue_irqs, 1);
}
END_TEST

START_TEST(virtq_kick_wish_is_an_event_with_event_index)
{
    round_trip(0);
    round_trip(1);
    ck_assert(!virtq_enable_kick(vq));
    ck_assert_uint_eq(ring_avail_event(&ring), 2);
    virtq_disable_kick(vq);
    ck_assert_uint_eq(ring_used_flags(&ring), 0);
    ring_offer(&ring, 1);
    ck_assert(virtq_enable_kick(vq)); /* slipped in: look again */
}
END_TEST

START_TEST(virtq_kick_wish_is_a_flag_without_event_index)
{
    start(0, SIZE);
    virtq_disable_kick(vq);
    ck_assert_uint_eq(ring_used_flags(&ring), 1);
    ck_assert(!virtq_enable_kick(vq));
    ck_assert_uint_eq(ring_used_flags(&ring), 0);
}
END_TEST

START_TEST(virtq_kick_again_comes_through_the_event_queue)
{
    virtq_kick_again(vq);
    ck_assert_uint_eq(kicks, 0);
    event_queue_run(&rig.events);
    ck_assert_uint_eq(kicks, 1);
    virtq_kick_again(vq);
    virtio_reset(&vd); /* forgets it */
    event_queue_run(&rig.events);
    ck_assert_uint_eq(kicks, 1);
}
END_TEST

START_TEST(virtq_kick_is_ignored_unless_the_queue_runs)
{
    virtio_kick(&vd, 1); /* never made ready */
    virtio_kick(&vd, 2); /* does not exist */
    virtio_kick(&vd, 0xffffffff);
    ck_assert_uint_eq(kicks, 0);
    virtio_kick(&vd, 0);
    ck_assert_uint_eq(kicks, 1);
    virtio_broken(&vd, "test");
    virtio_kick(&vd, 0);
    ck_assert_uint_eq(kicks, 1);
}
END_TEST

START_TEST(virtq_writes_to_guest_memory_are_reported)
{
    rig.gm.wrote = wrote;
    wrote_bytes = 0;
    round_trip(0);
    ck_assert_uint_eq(wrote_bytes, 10);
    ck_assert_uint_eq(wrote_last, ring.used + 2);
    virtq_enable_kick(vq);
    ck_assert_uint_eq(wrote_last, ring.used + 4 + 8 * SIZE);
}
END_TEST

/* --- malformed --- */

struct bad {
    const char *what;
    struct {
        gpa_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d[3];               /* descriptors 0 to 2 */
    uint16_t head;
    struct {
        gpa_t addr;
        uint32_t len;
        uint16_t flags, next;
    } table[2];           /* at TABLE */
};

static const struct bad bad[] = {
    {.what = "loop of one", .d = {{BUF, 8, DESC_NEXT, 0}}},
    {.what = "loop of two", .d = {{BUF, 8, DESC_NEXT, 1}, {BUF, 8, DESC_NEXT, 0}}},
    {.what = "loop of empty buffers", .d = {{BUF, 0, DESC_NEXT, 1}, {BUF, 0, DESC_NEXT, 0}}},
    {.what = "next is the size", .d = {{BUF, 8, DESC_NEXT, SIZE}}},
    {.what = "next is far out", .d = {{BUF, 8, DESC_NEXT, 0xffff}}},
    {.what = "head is the size", .head = SIZE},
    {.what = "head is far out", .head = 0xffff},
    {.what = "readable after writable", .d = {{BUF, 8, DESC_WRITE | DESC_NEXT, 1}, {BUF, 8, 0, 0}}},
    {.what = "buffer in the hole", .d = {{RIG_HOLE_START, 8, 0, 0}}},
    {.what = "buffer across the edge of a slot", .d = {{RIG_HOLE_START - 4, 8, 0, 0}}},
    {.what = "buffer across the end of RAM", .d = {{RIG_HOLE_END + 0x1ffffc, 8, DESC_WRITE, 0}}},
    {.what = "buffer that wraps", .d = {{~0ull - 3, 8, 0, 0}}},
    {.what = "huge buffer", .d = {{0, ~0u, 0, 0}}},
    {.what = "indirect with next", .d = {{TABLE, 16, DESC_INDIRECT | DESC_NEXT, 1}}},
    {.what = "indirect of no bytes", .d = {{TABLE, 0, DESC_INDIRECT, 0}}},
    {.what = "indirect of 15 bytes", .d = {{TABLE, 15, DESC_INDIRECT, 0}}},
    {.what = "indirect of 40 bytes", .d = {{TABLE, 40, DESC_INDIRECT, 0}}},
    {.what = "indirect across the edge", .d = {{RIG_HOLE_START - 16, 32, DESC_INDIRECT, 0}}},
    {.what = "indirect that wraps", .d = {{~0ull - 15, 32, DESC_INDIRECT, 0}}},
    {.what = "indirect in indirect",
     .d = {{TABLE, 32, DESC_INDIRECT, 0}},
     .table = {{TABLE, 16, DESC_INDIRECT, 0}}},
    {.what = "next outside the indirect table",
     .d = {{TABLE, 32, DESC_INDIRECT, 0}},
     .table = {{BUF, 8, DESC_NEXT, 2}}},
    {.what = "loop in the indirect table",
     .d = {{TABLE, 32, DESC_INDIRECT, 0}},
     .table = {{BUF, 8, DESC_NEXT, 1}, {BUF, 8, DESC_NEXT, 0}}},
    {.what = "readable in the table after writable before it",
     .d = {{BUF, 8, DESC_WRITE | DESC_NEXT, 1}, {TABLE, 16, DESC_INDIRECT, 0}},
     .table = {{BUF, 8, 0, 0}}},
};

START_TEST(virtq_malformed_chain_needs_reset)
{
    const struct bad *b = &bad[_i];
    for (unsigned i = 0; i < 3; i++)
        ring_desc(&ring, i, b->d[i].addr, b->d[i].len, b->d[i].flags, b->d[i].next);
    for (unsigned i = 0; i < 2; i++)
        put_desc(&rig.gm, TABLE, i, b->table[i].addr, b->table[i].len, b->table[i].flags,
                 b->table[i].next);
    ring_offer(&ring, b->head);
    unsigned long logged = log_guest_count();
    assert_malformed();
    ck_assert_msg(log_guest_count() > logged, "%s: not logged", b->what);
}
END_TEST

START_TEST(virtq_head_beyond_the_largest_ring_needs_reset)
{
    start(BOTH, MAX_SIZE);
    ring_offer(&ring, MAX_SIZE);
    assert_malformed();
}
END_TEST

START_TEST(virtq_indirect_without_the_feature_needs_reset)
{
    start(VIRTIO_F_EVENT_IDX, SIZE);
    ring_desc(&ring, 0, TABLE, 16, DESC_INDIRECT, 0);
    put_desc(&rig.gm, TABLE, 0, BUF, 8, 0, 0);
    ring_offer(&ring, 0);
    assert_malformed();
}
END_TEST

START_TEST(virtq_indirect_chain_over_the_maximum_needs_reset)
{
    for (unsigned i = 0; i <= MAX_SIZE; i++)
        put_desc(&rig.gm, TABLE, i, BUF, 4, i < MAX_SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_desc(&ring, 0, TABLE, 16 * (MAX_SIZE + 1), DESC_INDIRECT, 0);
    ring_offer(&ring, 0);
    assert_malformed();
}
END_TEST

START_TEST(virtq_chain_of_4_gib_needs_reset)
{
    start(BOTH, MAX_SIZE);
    for (unsigned i = 0; i < 512; i++)
        ring_desc(&ring, i, 0, 8 * MIB1, i < 511 ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_offer(&ring, 0);
    assert_malformed();
}
END_TEST

START_TEST(virtq_chain_just_under_4_gib_is_taken)
{
    start(BOTH, MAX_SIZE);
    for (unsigned i = 0; i < 512; i++)
        ring_desc(&ring, i, 0, 8 * MIB1 - (i == 511), i < 511 ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    ck_assert_uint_eq(c->read_bytes, 0xffffffff);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtq_same_head_twice_needs_reset)
{
    ring_desc(&ring, 2, BUF, 8, 0, 0);
    ring_offer(&ring, 2);
    ring_offer(&ring, 2);
    parked = pop_one();
    struct virtq_chain *c;
    ck_assert_int_eq(virtq_pop(vq, &c), -1);
    ck_assert_uint_eq(vd.regs.status & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    start(BOTH, SIZE);
    ck_assert_uint_eq(vq->in_flight, 0);
    round_trip(2);
}
END_TEST

START_TEST(virtq_available_index_far_ahead_needs_reset)
{
    ring_desc(&ring, 0, BUF, 8, 0, 0);
    for (unsigned i = 0; i < SIZE + 1; i++)
        ring_offer(&ring, 0);
    assert_malformed();
}
END_TEST

START_TEST(virtq_available_index_gone_backwards_needs_reset)
{
    round_trip(0);
    ring.avail_idx = (uint16_t)-1;
    ring_offer(&ring, 0); /* index is 0 again */
    assert_malformed();
}
END_TEST

/* --- registers --- */

START_TEST(virtq_registers_are_frozen_after_driver_ok)
{
    struct virtq_regs before = vq->regs;
    unsigned long logged = log_guest_count();
    virtq_set_size(vq, 8);
    virtq_set_addr(vq, &vq->regs.desc, 0, 0x5000);
    virtq_set_addr(vq, &vq->regs.avail, 32, 1);
    virtq_set_addr(vq, &vq->regs.used, 0, 0x7000);
    virtq_set_ready(vq, false);
    virtq_set_ready(&vd.vq[1], true);
    virtq_set_size(&vd.vq[1], 8);
    ck_assert_int_eq(memcmp(&before, &vq->regs, sizeof before), 0);
    ck_assert(!vd.vq[1].regs.ready);
    ck_assert_uint_eq(vd.vq[1].regs.size, MAX_SIZE);
    ck_assert_uint_eq(log_guest_count() - logged, 7);
}
END_TEST

START_TEST(virtq_registers_are_frozen_while_ready)
{
    negotiate(BOTH);
    set_areas(&ring);
    virtq_set_ready(vq, true);
    virtq_set_size(vq, 8);
    virtq_set_addr(vq, &vq->regs.desc, 0, 0x5000);
    ck_assert_uint_eq(vq->regs.size, SIZE);
    ck_assert_uint_eq(vq->regs.desc, ring.desc);
    virtq_set_ready(vq, false); /* before DRIVER_OK one may change one's mind */
    virtq_set_size(vq, 8);
    ck_assert_uint_eq(vq->regs.size, 8);
}
END_TEST

START_TEST(virtq_size_is_a_power_of_two_up_to_the_maximum)
{
    static const uint32_t wrong[] = {0, 3, 12, MAX_SIZE + 1, 2 * MAX_SIZE, 0x10000, 0x10010, ~0u};
    negotiate(BOTH);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        virtq_set_size(vq, wrong[i]);
        ck_assert_uint_eq(vq->regs.size, MAX_SIZE);
    }
    virtq_set_size(vq, 1);
    ck_assert_uint_eq(vq->regs.size, 1);
}
END_TEST

START_TEST(virtq_ring_of_one_works)
{
    start(BOTH, 1);
    for (unsigned i = 0; i < 5; i++)
        round_trip(0);
    ck_assert_uint_eq(ring_used_idx(&ring), 5);
}
END_TEST

static const struct {
    gpa_t desc, avail, used;
} bad_areas[] = {
    {0x10008, 0x20000, 0x30000},           {0x10000, 0x20001, 0x30000},
    {0x10000, 0x20000, 0x30002},           {RIG_HOLE_START - 16 * SIZE + 16, 0x20000, 0x30000},
    {0x10000, RIG_HOLE_START - 36, 0x30000}, {0x10000, 0x20000, RIG_HOLE_START - 132},
    {0xfffffffffffffff0, 0x20000, 0x30000}, {0x10000, 0xfffffffffffffffe, 0x30000},
    {0x10000, 0x20000, 0xfffffffffffffffc},
};

START_TEST(virtq_ring_areas_must_be_aligned_and_in_ram)
{
    struct ring r = {.size = SIZE, .desc = bad_areas[_i].desc, .avail = bad_areas[_i].avail,
                     .used = bad_areas[_i].used};
    struct virtq_chain *c;
    negotiate(BOTH);
    set_areas(&r);
    virtq_set_ready(vq, true);
    ck_assert(!vq->regs.ready);
    ck_assert_uint_eq(vd.regs.status & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    ck_assert_uint_eq(config_irqs, 0); /* nobody listens before DRIVER_OK */
    driver_ok();
    ck_assert(!virtio_running(&vd));
    ck_assert_int_eq(virtq_pop(vq, &c), 0);
    start(BOTH, SIZE);
    round_trip(0);
}
END_TEST

START_TEST(virtq_ring_areas_may_end_where_ram_ends)
{
    struct ring r = {.size = SIZE, .desc = RIG_HOLE_START - 0x1000, .avail = RIG_HOLE_START - 38,
                     .used = RIG_HOLE_END + 0x200000 - 136};
    negotiate(BOTH);
    set_areas(&r);
    virtq_set_ready(vq, true);
    ck_assert(vq->regs.ready);
}
END_TEST

START_TEST(virtq_not_ready_queue_gives_nothing)
{
    struct virtq_chain *c;
    ck_assert_int_eq(virtq_pop(&vd.vq[1], &c), 0);
    negotiate(BOTH);
    set_areas(&ring);
    virtq_set_ready(vq, true);
    ring_desc(&ring, 0, BUF, 8, 0, 0);
    ring_offer(&ring, 0);
    ck_assert_int_eq(virtq_pop(vq, &c), 0); /* not before DRIVER_OK */
}
END_TEST

START_TEST(virtq_buffers_from_before_driver_ok_are_served_when_it_comes)
{
    for (unsigned offered = 0; offered < 2; offered++) {
        kicks = 0;
        negotiate(BOTH);
        ring_init(&ring, &rig.gm, 0x10000, SIZE);
        set_areas(&ring);
        virtq_set_ready(vq, true);
        ring_desc(&ring, 0, BUF, 8, 0, 0);
        if (offered)
            ring_offer(&ring, 0);
        virtio_kick(&vd, 0);
        ck_assert_uint_eq(kicks, 0);
        driver_ok();
        ck_assert_uint_eq(kicks, offered);
    }
    pop_one();
}
END_TEST

/* --- reset --- */

START_TEST(virtq_push_during_reset_touches_no_guest_memory)
{
    ring_desc(&ring, 0, BUF, 8, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    parked = pop_one();
    uint8_t *all = malloc(RING_STRIDE);
    memcpy(all, gmem_ptr(&rig.gm, 0x10000, RING_STRIDE), RING_STRIDE);
    resets = 0;
    virtio_set_status(&vd, 0);
    ck_assert_uint_eq(resets, 1);
    ck_assert_ptr_null(parked);
    ck_assert_uint_eq(vq->in_flight, 0);
    ck_assert_int_eq(memcmp(all, gmem_ptr(&rig.gm, 0x10000, RING_STRIDE), RING_STRIDE), 0);
    ck_assert_uint_eq(queue_irqs, 0);
    free(all);
}
END_TEST

START_TEST(virtq_push_while_broken_touches_no_guest_memory)
{
    ring_desc(&ring, 0, BUF, 8, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    virtio_broken(&vd, "test");
    ck_assert_uint_eq(chain_write(c, 0, "x", 1), 0);
    virtq_push(c, 1);
    virtq_notify(vq);
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    ck_assert_uint_eq(queue_irqs, 0);
    ck_assert_uint_eq(vq->in_flight, 0);
}
END_TEST

START_TEST(virtq_second_push_of_a_chain_is_ignored)
{
    ring_desc(&ring, 0, BUF, 8, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    struct virtq_chain *c = pop_one();
    virtq_push(c, 1);
    virtq_push(c, 1);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
    ck_assert_uint_eq(vq->in_flight, 0);
}
END_TEST

START_TEST(virtq_reset_restores_power_on_registers)
{
    virtio_reset(&vd);
    ck_assert_uint_eq(vq->regs.size, MAX_SIZE);
    ck_assert(!vq->regs.ready);
    ck_assert_uint_eq(vq->regs.desc | vq->regs.avail | vq->regs.used, 0);
    ck_assert_uint_eq(vq->regs.avail_next | vq->regs.used_next, 0);
    ck_assert_uint_eq(vd.regs.accepted, 0);
}
END_TEST

/* --- contents --- */

static struct virtq_chain *three_and_two(void)
{
    static const char text[] = "abcdefghij";
    gmem_write(&rig.gm, BUF, text, 2);
    gmem_write(&rig.gm, BUF + 0x100, text + 2, 5);
    gmem_write(&rig.gm, BUF + 0x200, text + 7, 3);
    ring_desc(&ring, 0, BUF, 2, DESC_NEXT, 1);
    ring_desc(&ring, 1, BUF + 0x100, 5, DESC_NEXT, 2);
    ring_desc(&ring, 2, BUF + 0x200, 3, DESC_NEXT, 3);
    ring_desc(&ring, 3, BUF + 0x300, 4, DESC_NEXT | DESC_WRITE, 4);
    ring_desc(&ring, 4, BUF + 0x400, 2, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    return pop_one();
}

START_TEST(chain_read_and_write_cross_elements)
{
    struct virtq_chain *c = three_and_two();
    char b[16] = {0};
    ck_assert_uint_eq(chain_read(c, 1, b, 8), 8);
    ck_assert_str_eq(b, "bcdefghi");
    ck_assert_uint_eq(chain_read(c, 8, b, 16), 2);
    ck_assert_uint_eq(chain_read(c, 10, b, 16), 0);
    ck_assert_uint_eq(chain_read(c, ~0ull, b, 16), 0);
    ck_assert_uint_eq(chain_write(c, 3, "XYZW", 4), 3); /* room for 6 */
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, BUF + 0x303, 1), "X", 1), 0);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, BUF + 0x400, 2), "YZ", 2), 0);
    virtq_push(c, 6);
}
END_TEST

START_TEST(chain_pull_takes_from_the_front)
{
    struct virtq_chain *c = three_and_two();
    char b[16] = {0};
    ck_assert(!chain_pull(c, b, 11));
    ck_assert(chain_pull(c, b, 4)); /* ends inside the second element */
    ck_assert_str_eq(b, "abcd");
    ck_assert_uint_eq(c->read_bytes, 6);
    ck_assert_uint_eq(c->nread, 2);
    ck_assert_uint_eq(c->gpa[0], BUF + 0x102);
    ck_assert_ptr_eq(c->iov[0].iov_base, gmem_ptr(&rig.gm, BUF + 0x102, 1));
    ck_assert(chain_pull(c, b, 3)); /* ends with it */
    ck_assert_uint_eq(c->nread, 1);
    ck_assert_uint_eq(c->iov[0].iov_len, 3);
    ck_assert(chain_pull(c, b, 3));
    ck_assert_uint_eq(c->nread, 0);
    ck_assert_uint_eq(c->gpa[0], BUF + 0x300); /* the writable part stays in place */
    ck_assert_uint_eq(chain_write(c, 0, "abcdef", 6), 6);
    virtq_push(c, 6);
}
END_TEST

START_TEST(chain_cut_takes_the_last_byte)
{
    struct virtq_chain *c = three_and_two();
    uint8_t *host;
    gpa_t gpa;
    ck_assert(chain_cut(c, &host, &gpa));
    ck_assert_uint_eq(gpa, BUF + 0x401);
    ck_assert_ptr_eq(host, gmem_ptr(&rig.gm, gpa, 1));
    ck_assert_uint_eq(c->nwrite, 2);
    ck_assert(chain_cut(c, &host, &gpa));
    ck_assert_uint_eq(c->nwrite, 1); /* an emptied element goes */
    ck_assert_uint_eq(c->write_bytes, 4);
    virtq_push(c, 0);
}
END_TEST

START_TEST(virtio_init_refuses_impossible_queues)
{
    struct virtio v;
    struct err err = {{0}};
    ck_assert_int_lt(virtio_init(&v, &dev_ops, &rig.gm, 0, 0, 16, NULL, 0, &err), 0);
    ck_assert_int_lt(virtio_init(&v, &dev_ops, &rig.gm, 0, 65, 16, NULL, 0, &err), 0);
    ck_assert_int_lt(virtio_init(&v, &dev_ops, &rig.gm, 0, 1, 12, NULL, 0, &err), 0);
    ck_assert_int_lt(virtio_init(&v, &dev_ops, &rig.gm, 0, 1, 2048, NULL, 0, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "queues"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtq");
    TCase *t = tcase_create("virtq");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, virtq_empty_ring_gives_nothing);
    tcase_add_test(t, virtq_chain_is_split_into_readable_and_writable);
    tcase_add_test(t, virtq_push_fills_the_used_ring_in_order_of_completion);
    tcase_add_test(t, virtq_indices_wrap);
    tcase_add_test(t, virtq_full_ring_can_be_in_flight);
    tcase_add_test(t, virtq_head_can_come_again_after_push);
    tcase_add_test(t, virtq_direct_chain_may_use_the_whole_table);
    tcase_add_test(t, virtq_indirect_table_is_followed);
    tcase_add_test(t, virtq_direct_descriptors_may_precede_an_indirect_one);
    tcase_add_test(t, virtq_indirect_chain_may_have_the_device_maximum);
    tcase_add_test(t, virtq_empty_buffers_are_passed_over);
    tcase_add_test(t, virtq_chain_of_nothing_is_harmless);
    tcase_add_test(t, virtq_popped_chain_does_not_follow_later_changes);
    tcase_add_test(t, virtq_buffer_may_touch_the_last_byte_of_a_slot);
    tcase_add_test(t, virtq_notify_follows_the_used_event);
    tcase_add_test(t, virtq_notify_sees_the_event_inside_a_batch);
    tcase_add_test(t, virtq_notify_obeys_the_no_interrupt_flag);
    tcase_add_test(t, virtq_kick_wish_is_an_event_with_event_index);
    tcase_add_test(t, virtq_kick_wish_is_a_flag_without_event_index);
    tcase_add_test(t, virtq_kick_again_comes_through_the_event_queue);
    tcase_add_test(t, virtq_kick_is_ignored_unless_the_queue_runs);
    tcase_add_test(t, virtq_writes_to_guest_memory_are_reported);
    tcase_add_loop_test(t, virtq_malformed_chain_needs_reset, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(t, virtq_head_beyond_the_largest_ring_needs_reset);
    tcase_add_test(t, virtq_indirect_without_the_feature_needs_reset);
    tcase_add_test(t, virtq_indirect_chain_over_the_maximum_needs_reset);
    tcase_add_test(t, virtq_chain_of_4_gib_needs_reset);
    tcase_add_test(t, virtq_chain_just_under_4_gib_is_taken);
    tcase_add_test(t, virtq_same_head_twice_needs_reset);
    tcase_add_test(t, virtq_available_index_far_ahead_needs_reset);
    tcase_add_test(t, virtq_available_index_gone_backwards_needs_reset);
    tcase_add_test(t, virtq_registers_are_frozen_after_driver_ok);
    tcase_add_test(t, virtq_registers_are_frozen_while_ready);
    tcase_add_test(t, virtq_size_is_a_power_of_two_up_to_the_maximum);
    tcase_add_test(t, virtq_ring_of_one_works);
    tcase_add_loop_test(t, virtq_ring_areas_must_be_aligned_and_in_ram, 0,
                        (int)ARRAY_LEN(bad_areas));
    tcase_add_test(t, virtq_ring_areas_may_end_where_ram_ends);
    tcase_add_test(t, virtq_not_ready_queue_gives_nothing);
    tcase_add_test(t, virtq_buffers_from_before_driver_ok_are_served_when_it_comes);
    tcase_add_test(t, virtq_push_during_reset_touches_no_guest_memory);
    tcase_add_test(t, virtq_push_while_broken_touches_no_guest_memory);
    tcase_add_test(t, virtq_second_push_of_a_chain_is_ignored);
    tcase_add_test(t, virtq_reset_restores_power_on_registers);
    tcase_add_test(t, chain_read_and_write_cross_elements);
    tcase_add_test(t, chain_pull_takes_from_the_front);
    tcase_add_test(t, chain_cut_takes_the_last_byte);
    tcase_add_test(t, virtio_init_refuses_impossible_queues);
    suite_add_tcase(s, t);
    return suite_run(s);
}
