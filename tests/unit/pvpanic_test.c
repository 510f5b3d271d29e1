// SPDX-License-Identifier: MIT
//
// pvpanic through the bus.
#include "devices/pvpanic.h"

#include <check.h>

#include "layout.h"
#include "tests/lib/suite.h"

static struct bus bus;
static struct device *dev;
static unsigned events, last_bits;

static void on_event(void *opaque, unsigned bits)
{
    ck_assert_ptr_eq(opaque, &bus);
    events++;
    last_bits = bits;
}

static struct device *create(struct err *err)
{
    const struct pvpanic_config cfg = {&bus, PVPANIC_PORT, on_event, &bus};
    return pvpanic_create(&cfg, err);
}

static void setup(void)
{
    struct err err = {{0}};
    bus_init(&bus, "pio", 65536);
    events = last_bits = 0;
    dev = create(&err);
    ck_assert_msg(dev, "%s", err.msg);
}

static void teardown(void)
{
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
}

START_TEST(pvpanic_tells_what_it_knows)
{
    ck_assert_uint_eq(bus_read(&bus, PVPANIC_PORT, 1), 3);
    ck_assert_uint_eq(events, 0);
}
END_TEST

START_TEST(pvpanic_reports_known_bits_only)
{
    for (unsigned v = 0; v < 256; v++) {
        unsigned before = events;
        bus_write(&bus, PVPANIC_PORT, 1, v);
        ck_assert_uint_eq(events - before, (v & 3) != 0);
        ck_assert(!(v & 3) || last_bits == (v & 3));
    }
}
END_TEST

START_TEST(pvpanic_claims_one_port)
{
    bus_write(&bus, PVPANIC_PORT - 1, 1, 1);
    bus_write(&bus, PVPANIC_PORT + 1, 4, 1);
    ck_assert_uint_eq(events, 0);
    bus_write(&bus, PVPANIC_PORT - 1, 2, 0x0100);
    ck_assert_uint_eq(events, 1);
    ck_assert_uint_eq(bus_read(&bus, PVPANIC_PORT, 4), 0xffffff03);
}
END_TEST

START_TEST(pvpanic_is_there_once)
{
    struct err err = {{0}};
    ck_assert_ptr_null(create(&err));
    ck_assert_str_ne(err.msg, "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pvpanic");
    TCase *tc = tcase_create("pvpanic");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, pvpanic_tells_what_it_knows);
    tcase_add_test(tc, pvpanic_reports_known_bits_only);
    tcase_add_test(tc, pvpanic_claims_one_port);
    tcase_add_test(tc, pvpanic_is_there_once);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
