// SPDX-License-Identifier: MIT
//
// The entropy device, driven through the MMIO transport.
#include <check.h>
#include <string.h>

#include "devices/virtio/rng.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BASE 0xd0000000ull
#define BUFFER(i) (0x100000ull + 0x2000 * (i))
#define SIZE 64

static struct rig rig;
static struct clock guest_clock;
static struct virtio *vd;
static struct port port;
static struct ring ring;
static struct entropy_seeded seeded;
static size_t reserve; /* bytes the dry source has */

static size_t dry_get(void *self, void *buf, size_t len)
{
    (void)self;
    size_t n = reserve < len ? reserve : len;
    memset(buf, 0xab, n);
    reserve -= n;
    return n;
}

static void create(struct entropy e)
{
    struct err err = {{0}};
    vd = virtio_rng_create(&e, &guest_clock, &rig.gm, &err);
    ck_assert_msg(vd, "%s", err.msg);
    port_init_mmio(&port, &rig, vd, BASE);
    ring_init(&ring, &rig.gm, 0x10000, SIZE);
    port_start(&port, &ring);
}

static void setup(void)
{
    rig_init(&rig, false);
    clock_init_stepped(&guest_clock, 0);
}

static void teardown(void)
{
    port_fini(&port);
    rig_fini(&rig);
}

static void run(void)
{
    port_kick(&port, 0);
    while (event_queue_run(&rig.events))
        ;
}

static void offer(unsigned i, uint32_t len, uint16_t flags)
{
    ring_desc(&ring, i, BUFFER(i), len, flags, 0);
    ring_offer(&ring, (uint16_t)i);
}

static uint32_t taken(void)
{
    uint32_t id, len;
    ck_assert(ring_take(&ring, &id, &len));
    return len;
}

START_TEST(rng_fills_buffers_with_what_the_host_has)
{
    static const uint8_t zero[64];
    create(entropy_host);
    ck_assert_uint_eq(port_offered(&port) & 0xffffff, 0);
    for (unsigned i = 0; i < 8; i++)
        offer(i, 64, DESC_WRITE);
    run();
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_uint_eq(taken(), 64);
        ck_assert_mem_ne(gmem_ptr(&rig.gm, BUFFER(i), 64), zero, 64);
        ck_assert_mem_ne(gmem_ptr(&rig.gm, BUFFER(i), 64), gmem_ptr(&rig.gm, BUFFER(i + 1), 64), 64);
    }
}
END_TEST

START_TEST(rng_seeded_is_the_same_every_time)
{
    uint8_t first[40];
    create(entropy_seeded_init(&seeded, 42));
    offer(0, 40, DESC_WRITE);
    run();
    ck_assert_uint_eq(taken(), 40);
    gmem_read(&rig.gm, BUFFER(0), first, sizeof first);
    seeded.state = 42;
    offer(1, 37, DESC_WRITE);
    run();
    ck_assert_uint_eq(taken(), 37);
    ck_assert_mem_eq(gmem_ptr(&rig.gm, BUFFER(1), 37), first, 37);
    offer(2, 40, DESC_WRITE);
    run();
    ck_assert_mem_ne(gmem_ptr(&rig.gm, BUFFER(2), 40), first, 40);
}
END_TEST

START_TEST(rng_gives_a_page_at_most)
{
    create(entropy_seeded_init(&seeded, 1));
    for (unsigned i = 0; i < 8; i++)
        ring_desc(&ring, i, 0x200000, 0x100000, (uint16_t)(DESC_WRITE | (i < 7 ? DESC_NEXT : 0)),
                  (uint16_t)(i + 1));
    ring_offer(&ring, 0);
    run();
    ck_assert_uint_eq(taken(), 4096);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, 0x201000, 1), 0);
}
END_TEST

START_TEST(rng_a_full_ring_lets_others_have_their_turn)
{
    create(entropy_seeded_init(&seeded, 1));
    for (unsigned i = 0; i < SIZE; i++)
        offer(i, 16, DESC_WRITE);
    port_kick(&port, 0);
    ck_assert_uint_lt(ring_used_idx(&ring), SIZE);
    while (event_queue_run(&rig.events))
        ;
    ck_assert_uint_eq(ring_used_idx(&ring), SIZE);
}
END_TEST

START_TEST(rng_waits_without_entropy_and_tries_again)
{
    create((struct entropy){dry_get, NULL});
    reserve = 0;
    offer(0, 16, DESC_WRITE);
    offer(1, 16, DESC_WRITE);
    run();
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    clock_step(&guest_clock, NS_PER_S);
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    reserve = 20;
    clock_step(&guest_clock, NS_PER_S / 10);
    ck_assert_uint_eq(taken(), 16);
    ck_assert_uint_eq(taken(), 4);
    reserve = 0;
    offer(2, 16, DESC_WRITE);
    run();
    port_set_status(&port, 0);
    ck_assert_uint_eq(vd->vq[0].in_flight, 0);
    ck_assert(!guest_clock.timers);
}
END_TEST

START_TEST(rng_buffer_without_room_goes_back_empty)
{
    create(entropy_host);
    offer(0, 16, 0);
    offer(1, 0, DESC_WRITE);
    offer(2, 16, DESC_WRITE);
    run();
    ck_assert_uint_eq(taken(), 0);
    ck_assert_uint_eq(taken(), 0);
    ck_assert_uint_eq(taken(), 16);
    ck_assert_uint_eq(vd->breakdowns, 0);
}
END_TEST

START_TEST(rng_asks_for_the_next_kick)
{
    create(entropy_host);
    for (unsigned i = 0; i < 3; i++) {
        offer(i, 16, DESC_WRITE);
        run();
        ck_assert_uint_eq(ring_avail_event(&ring), i + 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_rng");
    TCase *tc = tcase_create("virtio_rng");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rng_fills_buffers_with_what_the_host_has);
    tcase_add_test(tc, rng_seeded_is_the_same_every_time);
    tcase_add_test(tc, rng_gives_a_page_at_most);
    tcase_add_test(tc, rng_a_full_ring_lets_others_have_their_turn);
    tcase_add_test(tc, rng_waits_without_entropy_and_tries_again);
    tcase_add_test(tc, rng_buffer_without_room_goes_back_empty);
    tcase_add_test(tc, rng_asks_for_the_next_kick);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
