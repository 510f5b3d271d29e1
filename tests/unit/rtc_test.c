// SPDX-License-Identifier: MIT
//
// The real-time clock through the bus, with a stepped clock. The C library's calendar is the oracle
// for dates.
#include "devices/rtc.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/suite.h"
#include "util.h"

#define INDEX 0x70
#define DATA 0x71

#define REG_A 0x0a
#define REG_B 0x0b
#define REG_C 0x0c
#define REG_D 0x0d

/* 2024-02-28 23:59:58 UTC, a Wednesday. */
#define LEAP_EVE 1709164798ull
#define MS 1000000ull

static struct bus bus;
static struct clock clk;
static struct device *dev;
static bool line;
static unsigned edges;

static void probe(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    edges += level && !line;
    line = level;
}

static void start(uint64_t wall_s, uint64_t ram_size, unsigned cpus)
{
    struct err err = {0};
    if (dev)
        dev->ops->fini(dev);
    bus_init(&bus, "pio", 65536);
    clock_init_stepped(&clk, wall_s * NS_PER_S);
    line = false;
    edges = 0;
    struct rtc_config cfg = {.pio = &bus,
                             .clock = &clk,
                             .irq = {.set = probe},
                             .ram_size = ram_size,
                             .cpus = cpus};
    dev = rtc_create(&cfg, &err);
    ck_assert_msg(dev != NULL, "%s", err.msg);
}

static void setup(void)
{
    dev = NULL;
    start(LEAP_EVE, MIB(512), 2);
}

static void teardown(void)
{
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

static unsigned get(unsigned reg)
{
    bus_write(&bus, INDEX, 1, reg);
    return (unsigned)bus_read(&bus, DATA, 1);
}

static void put(unsigned reg, unsigned val)
{
    bus_write(&bus, INDEX, 1, reg);
    bus_write(&bus, DATA, 1, val);
}

static bool idle(void)
{
    return clock_next_deadline_ns(&clk) == CLOCK_NEVER;
}

/* CCYYMMDDhhmmss as the registers show it, in hex digits: in BCD mode it reads as the time. */
static uint64_t shown(void)
{
    static const uint8_t regs[] = {RTC_CENTURY, 9, 8, 7, 4, 2, 0};
    uint64_t v = 0;
    for (unsigned i = 0; i < sizeof regs; i++)
        v = v << 8 | get(regs[i]);
    return v;
}

static void write_time(uint64_t digits)
{
    static const uint8_t regs[] = {0, 2, 4, 7, 8, 9, RTC_CENTURY};
    for (unsigned i = 0; i < sizeof regs; i++, digits >>= 8)
        put(regs[i], digits & 0xff);
}

/* As Linux does: stop the clock and its divider, write, let go. */
static void set_time(uint64_t digits)
{
    unsigned b = get(REG_B), a = get(REG_A) & 0x7f;
    put(REG_B, b | 0x80);
    put(REG_A, a | 0x70);
    write_time(digits);
    put(REG_B, b);
    put(REG_A, a);
}

START_TEST(rtc_shows_utc_in_bcd_24h)
{
    ck_assert_uint_eq(shown(), 0x20240228235958);
    ck_assert_uint_eq(get(6), 4);
    ck_assert_uint_eq(get(REG_B), 0x02);
    ck_assert_uint_eq(get(REG_A), 0x26);
    ck_assert_uint_eq(get(REG_D), 0x80);
}
END_TEST

START_TEST(rtc_has_leap_days_where_gregory_put_them)
{
    clock_step(&clk, 2 * NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240229000000);
    ck_assert_uint_eq(get(6), 5);
    clock_step(&clk, 86400 * NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240301000000);
    set_time(0x20000228235959);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20000229000000);
    set_time(0x21000228235959);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x21000301000000);
    ck_assert_uint_eq(get(6), 2); /* a Monday */
}
END_TEST

START_TEST(rtc_century_turns_over)
{
    set_time(0x19991231235959);
    ck_assert_uint_eq(get(RTC_CENTURY), 0x19);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20000101000000);
    set_time(0x99991231235959);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown() & 0xffffffffffff, 0x000101000000);
}
END_TEST

static uint64_t bcd(int v)
{
    return (uint64_t)(v / 10 % 10 << 4 | v % 10);
}

START_TEST(rtc_agrees_with_the_c_library)
{
    srandom(2);
    for (unsigned i = 0; i < 5000; i++) {
        time_t t = (time_t)((unsigned long)random() * 8 % 17000000000); /* to 2508 */
        struct tm tm;
        ck_assert(gmtime_r(&t, &tm) != NULL);
        start((uint64_t)t, MIB(64), 1);
        int year = tm.tm_year + 1900;
        ck_assert_uint_eq(shown(), bcd(year / 100) << 48 | bcd(year % 100) << 40 |
                                       bcd(tm.tm_mon + 1) << 32 | bcd(tm.tm_mday) << 24 |
                                       bcd(tm.tm_hour) << 16 | bcd(tm.tm_min) << 8 |
                                       bcd(tm.tm_sec));
        ck_assert_int_eq((int)get(6), tm.tm_wday + 1);
    }
}
END_TEST

START_TEST(rtc_hours_in_12h_mode)
{
    static const struct {
        unsigned h24, h12_bcd, h12_bin;
    } rows[] = {{0x00, 0x12, 0x0c}, {0x01, 0x01, 0x01}, {0x11, 0x11, 0x0b},
                {0x12, 0x92, 0x8c}, {0x13, 0x81, 0x81}, {0x23, 0x91, 0x8b}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        put(REG_B, 0x02);
        set_time(0x20240101000000 | rows[i].h24 << 16);
        clock_step(&clk, NS_PER_S);
        put(REG_B, 0x00);
        ck_assert_uint_eq(get(4), rows[i].h12_bcd);
        put(REG_B, 0x04);
        ck_assert_uint_eq(get(4), rows[i].h12_bin);
        put(REG_B, 0x00); /* and the way in */
        set_time(0x20240101000000 | rows[i].h12_bcd << 16);
        clock_step(&clk, NS_PER_S);
        put(REG_B, 0x02);
        ck_assert_uint_eq(get(4), rows[i].h24);
    }
}
END_TEST

START_TEST(rtc_binary_mode)
{
    put(REG_B, 0x06);
    ck_assert_uint_eq(get(0), 58);
    ck_assert_uint_eq(get(2), 59);
    ck_assert_uint_eq(get(4), 23);
    ck_assert_uint_eq(get(7), 28);
    ck_assert_uint_eq(get(9), 24);
    ck_assert_uint_eq(get(RTC_CENTURY), 20);
    set_time(0x13590c1f173b3b); /* 1989-12-31 23:59:59 */
    ck_assert_uint_eq(get(9), 89);
    clock_step(&clk, NS_PER_S);
    put(REG_B, 0x02);
    ck_assert_uint_eq(shown(), 0x19900101000000);
}
END_TEST

START_TEST(rtc_time_that_the_guest_set_runs_on)
{
    set_time(0x20300615120000);
    ck_assert_uint_eq(shown(), 0x20300615120000);
    clock_step(&clk, 3600 * NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20300615130000);
    dev->ops->reset(dev); /* the battery keeps it */
    ck_assert_uint_eq(shown(), 0x20300615130000);
}
END_TEST

START_TEST(rtc_first_update_comes_half_a_second_after_divider_restart)
{
    clock_step(&clk, 900 * MS);
    set_time(0x20300615120000);
    clock_step(&clk, 499 * MS);
    ck_assert_uint_eq(get(0), 0x00);
    clock_step(&clk, MS);
    ck_assert_uint_eq(get(0), 0x01);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(get(0), 0x02);
}
END_TEST

START_TEST(rtc_stands_still_while_set)
{
    put(REG_B, 0x82);
    clock_step(&clk, 100 * NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240228235958);
    put(REG_B, 0x02);
    ck_assert_uint_eq(shown(), 0x20240228235958);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240228235959);
}
END_TEST

START_TEST(rtc_set_and_release_at_once_changes_nothing)
{
    clock_step(&clk, 300 * MS);
    put(REG_B, 0x82);
    put(REG_B, 0x02);
    clock_step(&clk, 699 * MS);
    ck_assert_uint_eq(get(0), 0x58);
    clock_step(&clk, MS);
    ck_assert_uint_eq(get(0), 0x59);
}
END_TEST

START_TEST(rtc_fields_can_be_written_one_by_one_while_running)
{
    set_time(0x20240131120000);
    put(8, 0x02); /* 31 February for a moment */
    put(7, 0x15);
    ck_assert_uint_eq(shown(), 0x20240215120000);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240215120001);
}
END_TEST

START_TEST(rtc_impossible_times_become_possible_ones)
{
    set_time(0x20230231256199);
    clock_step(&clk, 10 * NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20230304000009); /* 3 March 23:59:59 and ten */
    set_time(0xffffffffffffff);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_le(get(8), 0x12);
    set_time(0);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x00000101000001);
}
END_TEST

START_TEST(rtc_uip_warns_before_the_update)
{
    ck_assert_uint_eq(get(REG_A) & 0x80, 0);
    clock_step(&clk, 999 * MS);
    ck_assert_uint_eq(get(REG_A) & 0x80, 0);
    clock_step(&clk, 800000);
    ck_assert_uint_eq(get(REG_A) & 0x80, 0x80);
    put(REG_B, 0x82);
    ck_assert_uint_eq(get(REG_A) & 0x80, 0);
    put(REG_B, 0x02);
    clock_step(&clk, 200000);
    ck_assert_uint_eq(get(REG_A) & 0x80, 0);
    put(REG_A, 0xa6);
    ck_assert_uint_eq(get(REG_A), 0x26); /* it cannot be written */
}
END_TEST

START_TEST(rtc_update_interrupt_every_second)
{
    clock_step(&clk, 250 * MS);
    get(REG_C);
    put(REG_B, 0x12);
    clock_step(&clk, 749 * MS);
    ck_assert_uint_eq(edges, 0);
    clock_step(&clk, MS);
    ck_assert_uint_eq(edges, 1);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(line);
        ck_assert_uint_eq(get(REG_C) & 0x90, 0x90);
        ck_assert(!line);
        ck_assert_uint_eq(get(REG_C), 0);
        clock_step(&clk, NS_PER_S);
    }
    ck_assert_uint_eq(edges, 11);
    put(REG_B, 0x02);
    ck_assert(!line);
    ck_assert(idle());
}
END_TEST

START_TEST(rtc_set_clears_the_update_interrupt)
{
    put(REG_B, 0x92);
    ck_assert_uint_eq(get(REG_B), 0x82);
}
END_TEST

START_TEST(rtc_pending_interrupt_costs_no_wakeups)
{
    get(REG_C);
    put(REG_B, 0x72);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 1);
    ck_assert(idle());
    clock_step(&clk, 100 * NS_PER_S);
    ck_assert_uint_eq(edges, 1);
    ck_assert_uint_eq(get(REG_C) & 0xd0, 0xd0);
    ck_assert(!idle());
}
END_TEST

START_TEST(rtc_periodic_interrupt_has_its_rate)
{
    static const struct {
        unsigned rate, hz;
    } rows[] = {{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {15, 2}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        put(REG_B, 0x02);
        put(REG_A, 0x20 | rows[i].rate);
        get(REG_C);
        edges = 0;
        put(REG_B, 0x42);
        uint64_t end = clock_now_ns(&clk) + 10 * NS_PER_S;
        while (clock_next_deadline_ns(&clk) <= end) {
            clock_step(&clk, clock_next_deadline_ns(&clk) - clock_now_ns(&clk));
            ck_assert_uint_eq(get(REG_C) & 0xc0, 0xc0);
        }
        clock_step(&clk, end - clock_now_ns(&clk));
        ck_assert_uint_eq(edges, 10 * rows[i].hz);
    }
    put(REG_A, 0x20); /* rate 0: none */
    ck_assert(idle());
}
END_TEST

START_TEST(rtc_alarm_goes_off_once_a_day)
{
    get(REG_C);
    put(1, 0x30);
    put(3, 0x15);
    put(5, 0x07);
    put(REG_B, 0x22);
    ck_assert_uint_eq(clock_next_deadline_ns(&clk), (2 + 7 * 3600 + 15 * 60 + 30) * NS_PER_S);
    for (unsigned day = 1; day <= 3; day++) {
        clock_step(&clk, 86400 * NS_PER_S);
        ck_assert_uint_eq(edges, day);
        ck_assert_uint_eq(get(REG_C) & 0xb0, 0xb0);
    }
}
END_TEST

START_TEST(rtc_alarm_wildcards)
{
    get(REG_C);
    put(1, 0x10);
    put(3, 0xff);
    put(5, 0xc0);
    put(REG_B, 0x22);
    clock_step(&clk, 11 * NS_PER_S);
    ck_assert_uint_eq(edges, 0);
    clock_step(&clk, NS_PER_S); /* 00:00:10 */
    ck_assert_uint_eq(edges, 1);
    get(REG_C);
    clock_step(&clk, 60 * NS_PER_S);
    ck_assert_uint_eq(edges, 2);
    put(1, 0xff); /* every second */
    get(REG_C);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 3);
}
END_TEST

START_TEST(rtc_alarm_in_12h_mode_and_after_setting_the_time)
{
    put(REG_B, 0x00);
    put(1, 0x00);
    put(3, 0x00);
    put(5, 0x81); /* 1 pm */
    set_time(0x20240101925959);
    get(REG_C);
    put(REG_B, 0x20);
    clock_step(&clk, 499 * MS);
    ck_assert_uint_eq(edges, 0);
    clock_step(&clk, MS);
    ck_assert_uint_eq(edges, 1);
    ck_assert_uint_eq(get(REG_C) & 0xa0, 0xa0);
}
END_TEST

START_TEST(rtc_impossible_alarm_never_comes)
{
    put(1, 0x61);
    put(3, 0xff);
    put(5, 0xff);
    put(REG_B, 0x22);
    ck_assert(idle());
}
END_TEST

START_TEST(rtc_flags_can_be_polled_without_a_timer)
{
    put(1, 0xff);
    put(3, 0xff);
    put(5, 0xff);
    get(REG_C);
    ck_assert_uint_eq(get(REG_C), 0);
    clock_step(&clk, NS_PER_S);
    ck_assert(idle());
    ck_assert_uint_eq(get(REG_C), 0x70);
    ck_assert_uint_eq(get(REG_C), 0);
    ck_assert_uint_eq(edges, 0);
}
END_TEST

START_TEST(rtc_index_ignores_the_nmi_bit)
{
    bus_write(&bus, INDEX, 1, 0x84);
    ck_assert_uint_eq(bus_read(&bus, DATA, 1), 0x23);
    ck_assert_uint_eq(bus_read(&bus, INDEX, 1), 0xff);
}
END_TEST

static unsigned get16(unsigned reg)
{
    return get(reg) | get(reg + 1) << 8;
}

START_TEST(rtc_memory_sizes)
{
    ck_assert_uint_eq(get16(0x15), 640);
    ck_assert_uint_eq(get16(0x17), 65535);
    ck_assert_uint_eq(get16(0x30), 65535);
    ck_assert_uint_eq(get16(0x34), (512 - 16) * 16);
    ck_assert_uint_eq(get16(0x5b) | get(0x5d) << 16, 0);
    ck_assert_uint_eq(get(0x5f), 1);

    start(LEAP_EVE, MIB(32), 1);
    ck_assert_uint_eq(get16(0x17), 31 * 1024);
    ck_assert_uint_eq(get16(0x34), 16 * 16);
    ck_assert_uint_eq(get(0x5f), 0);

    start(LEAP_EVE, GIB(8), 4);
    ck_assert_uint_eq(get16(0x34), (3072 - 16) * 16);
    ck_assert_uint_eq(get16(0x5b) | get(0x5d) << 16, 5 * 1024 * 16);

    start(LEAP_EVE, GIB(1) << 20, 300);
    ck_assert_uint_eq(get16(0x5b) | get(0x5d) << 16, 0xffffff);
    ck_assert_uint_eq(get(0x5f), 0xff);
}
END_TEST

START_TEST(rtc_memory_keeps_what_is_written)
{
    put(0x0f, 0x0a);
    put(0x40, 0x5a);
    put(0x7f, 0xa5);
    put(REG_D, 0x00);
    ck_assert_uint_eq(get(0x0f), 0x0a);
    ck_assert_uint_eq(get(REG_D), 0x80);
    dev->ops->reset(dev);
    ck_assert_uint_eq(get(0x0f), 0x00);
    ck_assert_uint_eq(get(0x40), 0x5a);
    ck_assert_uint_eq(get(0x7f), 0xa5);
}
END_TEST

START_TEST(rtc_reset_disables_interrupts_and_lets_time_go)
{
    put(REG_B, 0x72);
    clock_step(&clk, NS_PER_S);
    ck_assert(line);
    put(REG_B, 0xf2);
    dev->ops->reset(dev);
    ck_assert(!line);
    ck_assert(idle());
    ck_assert_uint_eq(get(REG_B), 0x02);
    uint64_t was = shown();
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(shown(), 0x20240229000000);
    ck_assert_uint_eq(was, 0x20240228235959);
}
END_TEST

START_TEST(rtc_survives_hostile_accesses)
{
    srandom(3);
    for (unsigned i = 0; i < 100000; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t port = 0x6e + (uint64_t)random() % 5;
        uint64_t val = (uint64_t)random() << 33 ^ (uint64_t)random();
        if (random() % 3)
            bus_write(&bus, port, size, random() % 2 ? val : val & 0xff0f);
        else
            bus_read(&bus, port, size);
        if (random() % 8 == 0)
            clock_step(&clk, (uint64_t)random() % (random() % 64 ? 100 * MS : 7200 * NS_PER_S));
    }
    put(REG_B, 0x02);
    put(REG_A, 0x26);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_le(get(8), 0x12);
    ck_assert_uint_le(get(0), 0x59);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rtc");
    TCase *tc = tcase_create("rtc");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, rtc_shows_utc_in_bcd_24h);
    tcase_add_test(tc, rtc_has_leap_days_where_gregory_put_them);
    tcase_add_test(tc, rtc_century_turns_over);
    tcase_add_test(tc, rtc_agrees_with_the_c_library);
    tcase_add_test(tc, rtc_hours_in_12h_mode);
    tcase_add_test(tc, rtc_binary_mode);
    tcase_add_test(tc, rtc_time_that_the_guest_set_runs_on);
    tcase_add_test(tc, rtc_first_update_comes_half_a_second_after_divider_restart);
    tcase_add_test(tc, rtc_stands_still_while_set);
    tcase_add_test(tc, rtc_set_and_release_at_once_changes_nothing);
    tcase_add_test(tc, rtc_fields_can_be_written_one_by_one_while_running);
    tcase_add_test(tc, rtc_impossible_times_become_possible_ones);
    tcase_add_test(tc, rtc_uip_warns_before_the_update);
    tcase_add_test(tc, rtc_update_interrupt_every_second);
    tcase_add_test(tc, rtc_set_clears_the_update_interrupt);
    tcase_add_test(tc, rtc_pending_interrupt_costs_no_wakeups);
    tcase_add_test(tc, rtc_periodic_interrupt_has_its_rate);
    tcase_add_test(tc, rtc_alarm_goes_off_once_a_day);
    tcase_add_test(tc, rtc_alarm_wildcards);
    tcase_add_test(tc, rtc_alarm_in_12h_mode_and_after_setting_the_time);
    tcase_add_test(tc, rtc_impossible_alarm_never_comes);
    tcase_add_test(tc, rtc_flags_can_be_polled_without_a_timer);
    tcase_add_test(tc, rtc_index_ignores_the_nmi_bit);
    tcase_add_test(tc, rtc_memory_sizes);
    tcase_add_test(tc, rtc_memory_keeps_what_is_written);
    tcase_add_test(tc, rtc_reset_disables_interrupts_and_lets_time_go);
    tcase_add_test(tc, rtc_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
