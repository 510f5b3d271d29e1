// SPDX-License-Identifier: MIT
//
// Which exits are looked at, and what the looks add up to. Time is what the test says.
#include "src/exits/profile.h"

#include <check.h>
#include <stdlib.h>

#include "bus.h"
#include "util.h"

static struct profile p;
static uint64_t now;

static void setup(void)
{
    struct err err = {0};
    now = 0;
    ck_assert_int_eq(profile_init(&p, 0, &err), 0);
}

static void teardown(void)
{
    profile_fini(&p);
}

/* A read of a port at an address, of a device; it takes 10 ns. True: it was looked at. */
static bool read_port(uint16_t port, uint64_t rip, const struct region *region)
{
    struct vm_exit exit = {.kind = EXIT_PIO, .pio = {.port = port, .size = 1, .count = 1}};
    bool due = profile_due(&p, &exit);
    if (due) {
        struct profile_look look = {
            .kind = EXIT_PIO,
            .pace = profile_pace(&exit),
            .region = region,
            .rip = rip,
            .begin_ns = now,
            .end_ns = now + 10,
        };
        profile_add(&p, &look);
    }
    return due;
}

static unsigned read_often(unsigned n, unsigned apart_ns, uint16_t port)
{
    unsigned looks = 0;
    for (unsigned i = 0; i < n; i++) {
        now += apart_ns;
        looks += read_port(port, 0x1000, NULL);
    }
    return looks;
}

static uint64_t sum_of_slices(unsigned track)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < PROFILE_SLICES; i++)
        sum += p.tracks[track].slices[i];
    return sum;
}

START_TEST(profile_looks_at_each_of_the_first)
{
    ck_assert_uint_eq(read_often(PROFILE_LOOKS_FREE, 1, 0x61), PROFILE_LOOKS_FREE);
    ck_assert_uint_eq(p.looks, PROFILE_LOOKS_FREE);
    ck_assert_uint_eq(p.tracks[0].exits, PROFILE_LOOKS_FREE);
    ck_assert_uint_eq(p.tracks[0].ns, PROFILE_LOOKS_FREE * 10);
}
END_TEST

START_TEST(profile_looks_at_all_that_come_seldom)
{
    ck_assert_uint_eq(read_often(20000, PROFILE_PERIOD_NS, 0x61), 20000);
    ck_assert_uint_eq(p.tracks[0].exits, 20000);
}
END_TEST

START_TEST(profile_of_thick_exits_looks_at_few_and_stands_for_all)
{
    unsigned n = 2000000;
    unsigned looks = read_often(n, 100, 0x61);
    ck_assert_uint_lt(looks, PROFILE_LOOKS_FREE + 2 * (n * 100u / PROFILE_PERIOD_NS));
    ck_assert_uint_gt(looks, PROFILE_LOOKS_FREE + n * 100u / PROFILE_PERIOD_NS / 4);
    ck_assert_uint_eq(p.looks, looks);
    ck_assert_uint_le(p.tracks[0].exits, n);
    ck_assert_uint_gt(p.tracks[0].exits + 2 * PROFILE_STRIDE_MOST, n);
    for (unsigned i = 0; i < 2; i++) { /* once more: nothing is counted twice */
        profile_settle(&p);
        ck_assert_uint_eq(p.tracks[0].exits, n);
        ck_assert_uint_eq(sum_of_slices(0), n);
        ck_assert_uint_eq(p.tracks[0].ns, n * 10);
    }
    read_often(n, 100, 0x61);
    profile_settle(&p);
    ck_assert_uint_eq(p.tracks[0].exits, 2 * n);
    ck_assert_uint_eq(p.nsites, 1);
}
END_TEST

/* Two addresses in turns: neither may fall into step with the looks. */
START_TEST(profile_divides_fairly_between_addresses_in_turns)
{
    for (unsigned i = 0; i < 8000000; i++) {
        now += 100;
        read_port(0x61, i % 2 ? 0x1000 : 0x2000, NULL);
    }
    profile_settle(&p);
    uint64_t exits[2] = {0};
    for (unsigned i = 0; i < p.room; i++) {
        if (p.sites[i].used)
            exits[p.sites[i].rip == 0x1000] += p.sites[i].exits;
    }
    ck_assert_uint_eq(exits[0] + exits[1], 8000000);
    ck_assert_uint_gt(exits[0], 3000000);
    ck_assert_uint_gt(exits[1], 3000000);
}
END_TEST

START_TEST(profile_of_a_polled_register_does_not_hide_another)
{
    static const struct region com1 = {.name = "com1"};
    unsigned seen = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        now += 100;
        read_port(0x61, 0x1000, NULL);
        if (i % 10000 == 0)
            seen += read_port(0x3f8, 0x2000, &com1);
    }
    ck_assert_uint_eq(seen, 100);
    ck_assert_uint_eq(p.ntracks, 2);
    ck_assert_ptr_eq(p.tracks[1].region, &com1);
    ck_assert_uint_eq(p.tracks[1].exits, 100);
}
END_TEST

START_TEST(profile_goes_back_to_all_when_they_become_seldom)
{
    read_often(1000000, 100, 0x61);
    read_often(2 * PROFILE_STRIDE_MOST, NS_PER_S, 0x61);
    ck_assert_uint_eq(read_often(100, NS_PER_S, 0x61), 100);
}
END_TEST

START_TEST(profile_paces_of_the_usual_ports_differ)
{
    static const uint16_t ports[] = {0x20, 0x40, 0x42, 0x43, 0x61, 0x64, 0x70, 0x71, 0xcf8, 0xcfc, 0x3f8, 0x3fd, 0x608};
    for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
        for (unsigned j = 0; j < i; j++) {
            struct vm_exit a = {.kind = EXIT_PIO, .pio.port = ports[i]}, b = {.kind = EXIT_PIO, .pio.port = ports[j]};
            ck_assert_msg(profile_pace(&a) != profile_pace(&b), "%#x and %#x", ports[i], ports[j]);
        }
    }
}
END_TEST

START_TEST(profile_pace_of_any_exit_is_one_that_there_is)
{
    struct vm_exit exit = {.kind = EXIT_MMIO};
    for (gpa_t addr = 1; addr; addr <<= 1) {
        exit.mmio.addr = addr - 1;
        ck_assert_uint_lt(profile_pace(&exit), PROFILE_PACES);
        exit.mmio.addr = -addr;
        ck_assert_uint_lt(profile_pace(&exit), PROFILE_PACES);
    }
    for (enum exit_kind kind = 0; kind < EXIT_KINDS; kind++) {
        exit.kind = kind;
        ck_assert_uint_lt(profile_pace(&exit), PROFILE_PACES);
    }
}
END_TEST

START_TEST(profile_timeline_doubles_and_keeps_its_sum)
{
    read_often(300, PROFILE_SLICE_NS, 0x61);
    ck_assert_uint_eq(p.slice_ns, 2 * PROFILE_SLICE_NS);
    ck_assert_uint_eq(sum_of_slices(0), 300);
    ck_assert_uint_eq(p.tracks[0].slices[0], 1);
    ck_assert_uint_eq(p.tracks[0].slices[1], 2);
    now = 1000 * NS_PER_S; /* at once, over many doublings */
    read_port(0x61, 0x1000, NULL);
    ck_assert_uint_eq(sum_of_slices(0), 301);
    ck_assert_uint_ge(p.slice_ns * PROFILE_SLICES, 1000 * NS_PER_S);
    ck_assert_uint_lt(p.slice_ns * PROFILE_SLICES, 2048 * NS_PER_S);
    ck_assert_uint_eq(p.tracks[0].slices[0], 300);
}
END_TEST

/* A guest may exit from as many addresses as it likes. */
START_TEST(profile_of_too_many_addresses_puts_the_rest_together)
{
    for (uint64_t rip = 0; rip < 3 * PROFILE_SITES_MOST; rip++) {
        now += 10 * PROFILE_PERIOD_NS;
        ck_assert(read_port(0x61, rip * 0x1001, NULL));
    }
    ck_assert_uint_eq(p.nsites, PROFILE_SITES_MOST);
    ck_assert_uint_eq(p.others.exits, 2 * PROFILE_SITES_MOST);
    ck_assert_uint_eq(p.others.ns, 2 * PROFILE_SITES_MOST * 10);
    read_port(0x61, 5 * 0x1001, NULL); /* one that is known is still counted there */
    ck_assert_uint_eq(p.others.exits, 2 * PROFILE_SITES_MOST);
    uint64_t sum = 0;
    for (unsigned i = 0; i < p.room; i++)
        sum += p.sites[i].exits;
    ck_assert_uint_eq(sum, PROFILE_SITES_MOST + 1);
}
END_TEST

START_TEST(profile_of_too_many_devices_puts_the_rest_together)
{
    static struct region regions[PROFILE_TRACKS_MOST + 10];
    for (unsigned i = 0; i < ARRAY_LEN(regions); i++) {
        now += 10 * PROFILE_PERIOD_NS;
        read_port((uint16_t)i, 0x1000, &regions[i]);
    }
    const struct profile_track *last = &p.tracks[PROFILE_TRACKS_MOST - 1];
    ck_assert_uint_eq(p.ntracks, PROFILE_TRACKS_MOST);
    ck_assert_int_eq(last->kind, EXIT_KINDS);
    ck_assert_ptr_null(last->region);
    ck_assert_uint_eq(last->exits, 11);
    ck_assert_ptr_eq(p.tracks[PROFILE_TRACKS_MOST - 2].region, &regions[PROFILE_TRACKS_MOST - 2]);
}
END_TEST

START_TEST(profile_keeps_the_longest)
{
    struct vm_exit exit = {.kind = EXIT_MMIO, .mmio.addr = 0xfee00000};
    static const uint64_t took[] = {5, 700, 30};
    for (unsigned i = 0; i < ARRAY_LEN(took); i++) {
        struct profile_look look = {.kind = EXIT_MMIO, .pace = profile_pace(&exit), .write = true, .begin_ns = 100, .end_ns = 100 + took[i]};
        ck_assert(profile_due(&p, &exit));
        profile_add(&p, &look);
    }
    unsigned i = 0;
    while (!p.sites[i].used)
        i++;
    ck_assert_uint_eq(p.sites[i].longest_ns, 700);
    ck_assert_uint_eq(p.sites[i].ns, 735);
    ck_assert(p.sites[i].write);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exits_profile");
    TCase *t = tcase_create("exits_profile");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, profile_looks_at_each_of_the_first);
    tcase_add_test(t, profile_looks_at_all_that_come_seldom);
    tcase_add_test(t, profile_of_thick_exits_looks_at_few_and_stands_for_all);
    tcase_add_test(t, profile_divides_fairly_between_addresses_in_turns);
    tcase_add_test(t, profile_of_a_polled_register_does_not_hide_another);
    tcase_add_test(t, profile_goes_back_to_all_when_they_become_seldom);
    tcase_add_test(t, profile_paces_of_the_usual_ports_differ);
    tcase_add_test(t, profile_pace_of_any_exit_is_one_that_there_is);
    tcase_add_test(t, profile_timeline_doubles_and_keeps_its_sum);
    tcase_add_test(t, profile_of_too_many_addresses_puts_the_rest_together);
    tcase_add_test(t, profile_of_too_many_devices_puts_the_rest_together);
    tcase_add_test(t, profile_keeps_the_longest);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
