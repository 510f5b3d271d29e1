// SPDX-License-Identifier: MIT
//
// isa-debug-exit through the bus.
#include "devices/debug_exit.h"

#include <check.h>
#include <stdlib.h>

#include "layout.h"
#include "tests/lib/suite.h"

static struct bus bus;
static unsigned stops, last_code;

static void stopped(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque;
    ck_assert_int_eq(cause, STOP_DEBUG_EXIT);
    stops++;
    last_code = code;
}

static struct device *create(unsigned iobase, unsigned iosize, struct err *err)
{
    struct debug_exit_config cfg = {
        .pio = &bus, .stop = {.request = stopped}, .iobase = iobase, .iosize = iosize};
    return debug_exit_create(&cfg, err);
}

static void setup(void)
{
    bus_init(&bus, "pio", 65536);
    stops = last_code = 0;
}

START_TEST(debug_exit_passes_the_value)
{
    struct err err = {0};
    struct device *dev = create(DEBUG_EXIT_PORT, 4, &err);
    ck_assert_msg(dev != NULL, "%s", err.msg);
    bus_write(&bus, DEBUG_EXIT_PORT, 1, 0x42);
    ck_assert_uint_eq(last_code, 0x42);
    bus_write(&bus, DEBUG_EXIT_PORT, 2, 0x1234);
    ck_assert_uint_eq(last_code, 0x1234);
    bus_write(&bus, DEBUG_EXIT_PORT, 4, 0xfedcba98);
    ck_assert_uint_eq(last_code, 0xfedcba98);
    bus_write(&bus, DEBUG_EXIT_PORT + 3, 1, 0);
    ck_assert_uint_eq(last_code, 0);
    ck_assert_uint_eq(stops, 4);
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
}
END_TEST

START_TEST(debug_exit_reads_zero)
{
    struct err err = {0};
    struct device *dev = create(0xf4, 4, &err);
    ck_assert(dev != NULL);
    ck_assert_uint_eq(bus_read(&bus, 0xf4, 4), 0);
    ck_assert_uint_eq(stops, 0);
    dev->ops->fini(dev);
}
END_TEST

START_TEST(debug_exit_claims_its_ports_only)
{
    struct err err = {0};
    struct device *dev = create(0xf4, 1, &err);
    ck_assert(dev != NULL);
    bus_write(&bus, 0xf3, 1, 1);
    bus_write(&bus, 0xf5, 4, 1);
    ck_assert_uint_eq(stops, 0);
    ck_assert_uint_eq(bus_read(&bus, 0xf4, 2), 0xff00);
    bus_write(&bus, 0xf4, 4, 0x01020307); /* of a wider access it takes the low byte */
    ck_assert_uint_eq(stops, 1);
    ck_assert_uint_eq(last_code, 0x07);
    dev->ops->fini(dev);
}
END_TEST

START_TEST(debug_exit_refuses_impossible_ranges)
{
    static const struct {
        unsigned iobase, iosize;
    } rows[] = {{0xf4, 0}, {0xffff, 2}, {0x10000, 1}, {~0u, ~0u}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {0};
        ck_assert(create(rows[i].iobase, rows[i].iosize, &err) == NULL);
        ck_assert_str_ne(err.msg, "");
        ck_assert_uint_eq(bus.nregions, 0);
    }
}
END_TEST

START_TEST(debug_exit_survives_hostile_accesses)
{
    struct err err = {0};
    struct device *dev = create(0xf4, 3, &err);
    ck_assert(dev != NULL);
    srandom(6);
    for (unsigned i = 0; i < 50000; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t port = 0xf0 + (uint64_t)random() % 10;
        if (random() % 2)
            bus_write(&bus, port, size, (uint64_t)random() << 33 ^ (uint64_t)random());
        else
            bus_read(&bus, port, size);
    }
    ck_assert_uint_gt(stops, 0);
    dev->ops->fini(dev);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("debug_exit");
    TCase *tc = tcase_create("debug_exit");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, debug_exit_passes_the_value);
    tcase_add_test(tc, debug_exit_reads_zero);
    tcase_add_test(tc, debug_exit_claims_its_ports_only);
    tcase_add_test(tc, debug_exit_refuses_impossible_ranges);
    tcase_add_test(tc, debug_exit_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
