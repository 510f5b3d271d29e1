// SPDX-License-Identifier: MIT
//
// The memory balloon, driven through the MMIO transport, with a look at what the host has resident.
#include <check.h>
#include <string.h>
#include <sys/mman.h>

#include "devices/virtio/balloon.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BASE 0xd0000000ull
#define SIZE 16
#define LIST 0x80000ull /* page numbers, statistics */
#define PAGE 4096ull
#define F_STATS (1ull << 1)
#define F_PAGE_POISON (1ull << 4)
#define F_REPORTING (1ull << 5)
enum { INFLATE, DEFLATE, STATS, REPORT, QUEUES };

static struct rig rig;
static struct virtio *vd;
static struct port port;
static struct ring ring[QUEUES];
static uint64_t wrote_bytes, wrote_first;
static struct clock guest_clock;
static uint64_t told_size;
static unsigned told;

#define NEARLY (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK)

/* All but DRIVER_OK. */
static void prepare(uint64_t features)
{
    port_set_status(&port, 0);
    port_set_status(&port, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&port, port_offered(&port) & (features | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX));
    port_set_status(&port, NEARLY);
    for (unsigned q = 0; q < QUEUES; q++) {
        ring_init(&ring[q], &rig.gm, 0x10000 + q * RING_STRIDE, SIZE);
        port_queue(&port, q, &ring[q]);
    }
}

static void start(uint64_t features)
{
    prepare(features);
    port_set_status(&port, NEARLY | VIRTIO_DRIVER_OK);
}

static void on_changed(void *opaque, uint64_t actual)
{
    (void)opaque;
    told++;
    told_size = actual;
}

static void setup(void)
{
    struct err err = {{0}};
    clock_init_stepped(&guest_clock, 5000 * NS_PER_S);
    told = 0;
    rig_init(&rig, false);
    madvise(rig.gm.map, rig.gm.map_size, MADV_NOHUGEPAGE);
    const struct virtio_balloon_config cfg = {
        .reporting = true, .target = 3 * PAGE, .clock = &guest_clock, .events = &rig.events, .changed = on_changed};
    vd = virtio_balloon_create(&cfg, &rig.gm, &err);
    ck_assert_msg(vd, "%s", err.msg);
    port_init_mmio(&port, &rig, vd, BASE);
    start(~0ull);
}

static void teardown(void)
{
    port_fini(&port);
    rig_fini(&rig);
}

static void run(unsigned q)
{
    port_kick(&port, q);
    while (event_queue_run(&rig.events))
        ;
}

static void fill(gpa_t gpa, uint64_t len)
{
    memset(gmem_ptr(&rig.gm, gpa, len), 0xa5, len);
}

/* Pages of the range that the host has in memory. */
static unsigned resident(gpa_t gpa, uint64_t len)
{
    static unsigned char map[1024];
    unsigned n = 0;
    ck_assert_int_eq(mincore(gmem_ptr(&rig.gm, gpa, len), len, map), 0);
    for (uint64_t i = 0; i < len / PAGE; i++)
        n += map[i] & 1;
    return n;
}

/* Page numbers on the inflate or deflate queue. */
static void pages(unsigned q, const uint32_t *pfn, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        store_le32(gmem_ptr(&rig.gm, LIST + 4 * i, 4), pfn[i]);
    ring_desc(&ring[q], 0, LIST, 4 * n, 0, 0);
    ring_offer(&ring[q], 0);
    run(q);
}

static void taken(unsigned q, uint32_t want_len)
{
    uint32_t id, len;
    ck_assert(ring_take(&ring[q], &id, &len));
    ck_assert_uint_eq(len, want_len);
}

static void on_wrote(void *opaque, gpa_t gpa, uint64_t len)
{
    (void)opaque;
    if (len < PAGE)
        return;
    if (!wrote_bytes)
        wrote_first = gpa;
    wrote_bytes += len;
}

START_TEST(balloon_inflated_pages_go_back_to_the_host)
{
    static const uint32_t up[] = {0x200, 0x201, 0x202, 0x203, 0x300}, down[] = {0x213, 0x212, 0x211, 0x210};
    fill(0x200000, 0x20000);
    fill(0x300000, 0x2000);
    ck_assert_uint_eq(resident(0x200000, 0x20000), 32);
    pages(INFLATE, up, ARRAY_LEN(up));
    taken(INFLATE, 0);
    ck_assert_uint_eq(resident(0x200000, 0x20000), 28);
    ck_assert_uint_eq(resident(0x300000, 0x2000), 1);
    pages(INFLATE, down, ARRAY_LEN(down));
    ck_assert_uint_eq(resident(0x200000, 0x20000), 24);
    ck_assert_uint_eq(resident(0x210000, 0x4000), 0);
    ck_assert_uint_eq(virtio_balloon_info(vd).inflated, 9 * PAGE);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, 0x200000, 1), 0);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, 0x204000, 1), 0xa5);
}
END_TEST

START_TEST(balloon_tells_the_engine_of_discarded_pages)
{
    static const uint32_t pfn[] = {0x200, 0x201};
    fill(0x200000, 0x2000);
    rig.gm.wrote = on_wrote;
    wrote_bytes = 0;
    pages(INFLATE, pfn, 2);
    ck_assert_uint_eq(wrote_first, 0x200000);
    ck_assert_uint_eq(wrote_bytes, 2 * PAGE);
    rig.gm.wrote = NULL;
}
END_TEST

START_TEST(balloon_pages_that_are_no_ram_are_passed_over)
{
    /* the hole, its edges, far outside, and a run that goes over the edge */
    static const uint32_t pfn[] = {0x800, 0xfff, UINT32_MAX, 0x7fe, 0x7ff, 0x800, 0x801, 0x1000};
    fill(0x7fe000, 0x2000);
    fill(0x1000000, 0x1000);
    pages(INFLATE, pfn, ARRAY_LEN(pfn));
    taken(INFLATE, 0);
    struct virtio_balloon_info info = virtio_balloon_info(vd);
    ck_assert_uint_eq(info.ignored, 5);
    ck_assert_uint_eq(info.inflated, 3 * PAGE);
    ck_assert_uint_eq(resident(0x7fe000, 0x2000), 0);
    ck_assert_uint_eq(resident(0x1000000, 0x1000), 0);
    ck_assert_uint_eq(vd->breakdowns, 0);
}
END_TEST

START_TEST(balloon_long_lists_take_turns)
{
    fill(0x400000, 0x1000);
    uint8_t *list = gmem_ptr(&rig.gm, 0x500000, 0x40000);
    for (unsigned i = 0; i < 0x10000; i++)
        store_le32(list + 4 * i, 0x400);
    ring_desc(&ring[INFLATE], 0, 0x500000, 0x40000, 0, 0);
    ring_offer(&ring[INFLATE], 0);
    port_kick(&port, INFLATE);
    ck_assert_uint_eq(ring_used_idx(&ring[INFLATE]), 0);
    unsigned turns = 0;
    while (event_queue_run(&rig.events))
        turns++;
    ck_assert_uint_gt(turns, 8);
    taken(INFLATE, 0);
    /* and a reset in the middle of one mends all */
    ring_offer(&ring[INFLATE], 0);
    port_kick(&port, INFLATE);
    port_set_status(&port, 0);
    ck_assert_uint_eq(vd->vq[INFLATE].in_flight, 0);
    ck_assert_uint_eq(event_queue_run(&rig.events), 0);
}
END_TEST

START_TEST(balloon_deflate_gives_every_buffer_back)
{
    static const uint32_t pfn[] = {0x200, UINT32_MAX};
    pages(DEFLATE, pfn, 2);
    taken(DEFLATE, 0);
    ck_assert_uint_eq(ring_avail_event(&ring[DEFLATE]), 1);
}
END_TEST

static void report(gpa_t gpa, uint32_t len, unsigned q)
{
    ring_desc(&ring[q], 0, gpa, len, DESC_WRITE, 0);
    ring_offer(&ring[q], 0);
    run(q);
}

START_TEST(balloon_reported_pages_go_back_to_the_host)
{
    fill(0x400000, 0x200000);
    report(0x400000, 0x200000, REPORT);
    taken(REPORT, 0);
    ck_assert_uint_eq(resident(0x400000, 0x200000), 0);
    ck_assert_uint_eq(virtio_balloon_info(vd).reported, 0x200000);
    /* whole pages only */
    fill(0x400000, 0x3000);
    report(0x400800, 0x2000, REPORT);
    ck_assert_uint_eq(resident(0x400000, 0x3000), 2);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, 0x400fff, 1), 0xa5);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, 0x402000, 1), 0xa5);
}
END_TEST

START_TEST(balloon_reports_come_on_the_third_queue_without_statistics)
{
    start(F_REPORTING);
    fill(0x400000, 0x2000);
    report(0x400000, 0x2000, STATS);
    taken(STATS, 0);
    ck_assert_uint_eq(resident(0x400000, 0x2000), 0);
}
END_TEST

START_TEST(balloon_poisoned_reports_keep_their_bytes)
{
    start(F_REPORTING | F_PAGE_POISON | F_STATS);
    port_set_config(&port, 12, 4, 0xaaaaaaaa);
    fill(0x400000, 0x2000);
    report(0x400000, 0x2000, REPORT);
    taken(REPORT, 0);
    ck_assert_uint_eq(resident(0x400000, 0x2000), 2);
    port_set_config(&port, 12, 4, 0);
    report(0x400000, 0x2000, REPORT);
    ck_assert_uint_eq(resident(0x400000, 0x2000), 0);
    /* without the feature the value is not writable */
    start(F_REPORTING | F_STATS);
    port_set_config(&port, 12, 4, 1);
    ck_assert_uint_eq(port_config(&port, 12, 4), 0);
}
END_TEST

static void settle(void)
{
    while (event_queue_run(&rig.events))
        ;
}

START_TEST(balloon_target_is_in_the_config)
{
    unsigned before = rig.line_rises;
    ck_assert_uint_eq(port_config(&port, 0, 4), 3);
    virtio_balloon_set_target(vd, MIB(1) + 5);
    ck_assert_uint_eq(port_config(&port, 0, 4), 3); /* until events have their turn */
    settle();
    ck_assert_uint_eq(rig.line_rises, before + 1);
    ck_assert_uint_eq(port_config(&port, 0, 4), 256);
    port_set_config(&port, 4, 4, 200);
    struct virtio_balloon_info info = virtio_balloon_info(vd);
    ck_assert_uint_eq(info.target, MIB(1));
    ck_assert_uint_eq(info.actual, 200 * PAGE);
    virtio_balloon_set_target(vd, UINT64_MAX);
    settle();
    ck_assert_uint_eq(port_config(&port, 0, 4), RIG_RAM / PAGE);
    port_set_config(&port, 0, 4, 7); /* not the driver's to write */
    ck_assert_uint_eq(port_config(&port, 0, 4), RIG_RAM / PAGE);
    port_set_status(&port, 0);
    ck_assert_uint_eq(port_config(&port, 0, 4), RIG_RAM / PAGE);
    ck_assert_uint_eq(virtio_balloon_info(vd).actual, 0);
}
END_TEST

START_TEST(balloon_tells_of_its_size_now_and_then)
{
    for (unsigned i = 1; i <= 1000; i++)
        port_set_config(&port, 4, 4, i);
    ck_assert_uint_eq(told, 1);
    ck_assert_uint_eq(told_size, PAGE);
    clock_step(&guest_clock, NS_PER_S);
    ck_assert_uint_eq(told, 2);
    ck_assert_uint_eq(told_size, 1000 * PAGE);
    clock_step(&guest_clock, 5 * NS_PER_S);
    port_set_config(&port, 4, 4, 1000); /* no change */
    ck_assert_uint_eq(told, 2);
    port_set_status(&port, 0); /* all of it is the guest's again */
    ck_assert_uint_eq(told, 3);
    ck_assert_uint_eq(told_size, 0);
    start(~0ull);
    clock_step(&guest_clock, NS_PER_S);
    port_set_config(&port, 4, 4, UINT32_MAX); /* a lie */
    ck_assert_uint_eq(told_size, RIG_RAM);
}
END_TEST

static void stat(unsigned i, uint16_t tag, uint64_t val)
{
    store_le16(gmem_ptr(&rig.gm, LIST + 10 * i, 2), tag);
    store_le64(gmem_ptr(&rig.gm, LIST + 10 * i + 2, 8), val);
}

START_TEST(balloon_statistics_come_when_asked_for)
{
    virtio_balloon_poll_stats(vd, 10);
    settle(); /* nothing to ask with yet */
    stat(0, BALLOON_FREE, 12345);
    stat(1, 999, 7);
    stat(2, BALLOON_TOTAL, 99999);
    ring_desc(&ring[STATS], 0, LIST, 33, 0, 0); /* and a torn one */
    ring_offer(&ring[STATS], 0);
    run(STATS);
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), 0); /* kept */
    struct virtio_balloon_info info = virtio_balloon_info(vd);
    ck_assert_uint_eq(info.stats[BALLOON_FREE], 12345);
    ck_assert_uint_eq(info.stats[BALLOON_TOTAL], 99999);
    ck_assert_uint_eq(info.stats[BALLOON_CACHES], BALLOON_NOT_TOLD);
    ck_assert_uint_eq(info.stats_told, 1);
    ck_assert_uint_eq(info.stats_utc_s, 5000);
    clock_step(&guest_clock, 10 * NS_PER_S - 1);
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), 0);
    clock_step(&guest_clock, 1);
    taken(STATS, 0);
    clock_step(&guest_clock, 30 * NS_PER_S); /* the driver is at it */
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), 1);
    stat(0, BALLOON_FREE, 5);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    ck_assert_uint_eq(virtio_balloon_info(vd).stats[BALLOON_FREE], 5);
    ck_assert_uint_eq(virtio_balloon_info(vd).stats_utc_s, 5040);
    clock_step(&guest_clock, 10 * NS_PER_S);
    taken(STATS, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    port_set_status(&port, 0);
    ck_assert_uint_eq(vd->vq[STATS].in_flight, 0);
    ck_assert_uint_eq(virtio_balloon_info(vd).stats_utc_s, 0);
    clock_step(&guest_clock, 10 * NS_PER_S);
}
END_TEST

START_TEST(balloon_statistics_are_asked_for_at_once_and_no_more)
{
    ring_desc(&ring[STATS], 0, LIST, 10, 0, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    virtio_balloon_poll_stats(vd, UINT32_MAX);
    settle();
    taken(STATS, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    virtio_balloon_poll_stats(vd, 1); /* sooner than the timer that runs */
    settle();
    taken(STATS, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    clock_step(&guest_clock, NS_PER_S);
    taken(STATS, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS);
    virtio_balloon_poll_stats(vd, 0);
    settle();
    clock_step(&guest_clock, 100 * NS_PER_S);
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), 3);
    ck_assert_uint_eq(clock_next_deadline_ns(&guest_clock), CLOCK_NEVER);
}
END_TEST

START_TEST(balloon_statistics_offered_too_early_are_found)
{
    prepare(~0ull);
    stat(0, BALLOON_FREE, 4711);
    ring_desc(&ring[STATS], 0, LIST, 10, 0, 0);
    ring_offer(&ring[STATS], 0);
    run(STATS); /* nobody listens */
    virtio_balloon_poll_stats(vd, 1);
    settle();
    ck_assert_uint_eq(virtio_balloon_info(vd).stats_told, 0);
    port_set_status(&port, NEARLY | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(virtio_balloon_info(vd).stats[BALLOON_FREE], 4711);
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), 0);
    clock_step(&guest_clock, NS_PER_S);
    taken(STATS, 0);
}
END_TEST

START_TEST(balloon_second_statistics_buffer_gives_the_first_back)
{
    for (unsigned i = 0; i < SIZE; i++) {
        ring_desc(&ring[STATS], i, LIST, 10, 0, 0);
        ring_offer(&ring[STATS], (uint16_t)i);
    }
    run(STATS);
    ck_assert_uint_eq(ring_used_idx(&ring[STATS]), SIZE - 1);
}
END_TEST

START_TEST(balloon_chains_without_sense_go_back)
{
    ring_desc(&ring[INFLATE], 0, LIST, 3, 0, 0);
    ring_offer(&ring[INFLATE], 0);
    run(INFLATE);
    taken(INFLATE, 0);
    ring_desc(&ring[INFLATE], 0, LIST, 64, DESC_WRITE, 0);
    ring_offer(&ring[INFLATE], 0);
    run(INFLATE);
    taken(INFLATE, 0);
    ring_desc(&ring[REPORT], 0, LIST, 64, 0, 0);
    ring_offer(&ring[REPORT], 0);
    run(REPORT);
    taken(REPORT, 0);
    ck_assert_uint_eq(virtio_balloon_info(vd).ignored, 1);
    ck_assert_uint_eq(vd->breakdowns, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_balloon");
    TCase *tc = tcase_create("virtio_balloon");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, balloon_inflated_pages_go_back_to_the_host);
    tcase_add_test(tc, balloon_tells_the_engine_of_discarded_pages);
    tcase_add_test(tc, balloon_pages_that_are_no_ram_are_passed_over);
    tcase_add_test(tc, balloon_long_lists_take_turns);
    tcase_add_test(tc, balloon_deflate_gives_every_buffer_back);
    tcase_add_test(tc, balloon_reported_pages_go_back_to_the_host);
    tcase_add_test(tc, balloon_reports_come_on_the_third_queue_without_statistics);
    tcase_add_test(tc, balloon_poisoned_reports_keep_their_bytes);
    tcase_add_test(tc, balloon_target_is_in_the_config);
    tcase_add_test(tc, balloon_tells_of_its_size_now_and_then);
    tcase_add_test(tc, balloon_statistics_come_when_asked_for);
    tcase_add_test(tc, balloon_statistics_are_asked_for_at_once_and_no_more);
    tcase_add_test(tc, balloon_statistics_offered_too_early_are_found);
    tcase_add_test(tc, balloon_second_statistics_buffer_gives_the_first_back);
    tcase_add_test(tc, balloon_chains_without_sense_go_back);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
