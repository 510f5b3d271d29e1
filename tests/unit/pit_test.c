// SPDX-License-Identifier: MIT
//
// The 8254 through the bus, against the mode descriptions of its datasheet. Time is stepped by the
// tick: a count written at tick T is taken at T + 1.
#include "devices/pit.h"

#include <check.h>
#include <stdlib.h>

#include "devices/ticks.h"
#include "tests/lib/suite.h"

#define CH0 0x40
#define CH2 0x42
#define CONTROL 0x43
#define P61 0x61

static struct bus bus;
static struct clock clk;
static struct device *dev;
static bool line;
static uint64_t edges, last_edge_ns;

static void probe(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    if (level && !line) {
        edges++;
        last_edge_ns = clock_now_ns(&clk);
    }
    line = level;
}

static void setup(void)
{
    struct err err = {0};
    bus_init(&bus, "pio", 65536);
    clock_init_stepped(&clk, 0);
    line = false;
    edges = last_edge_ns = 0;
    struct pit_config cfg = {.pio = &bus, .clock = &clk, .irq = {.set = probe}};
    dev = pit_create(&cfg, &err);
    ck_assert_msg(dev != NULL, "%s", err.msg);
}

static void teardown(void)
{
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

static void out(uint64_t port, unsigned val)
{
    bus_write(&bus, port, 1, val);
}

static unsigned in(uint64_t port)
{
    return (unsigned)bus_read(&bus, port, 1);
}

static void to_ns(uint64_t ns)
{
    clock_step(&clk, ns - clock_now_ns(&clk));
}

static void to_tick(uint64_t tick)
{
    to_ns(ns_from_ticks(tick, PIT_HZ));
}

/* Control word for LSB-then-MSB access, and the count. */
static void program(unsigned channel, unsigned mode, unsigned count)
{
    out(CONTROL, channel << 6 | 0x30 | mode << 1);
    out(CH0 + channel, count & 0xff);
    out(CH0 + channel, count >> 8 & 0xff);
}

static unsigned count_of(unsigned channel)
{
    out(CONTROL, channel << 6);
    unsigned lsb = in(CH0 + channel);
    return lsb | in(CH0 + channel) << 8;
}

static unsigned status_of(unsigned channel)
{
    out(CONTROL, 0xe0 | 2u << channel);
    return in(CH0 + channel);
}

static bool out2(void)
{
    return in(P61) & 0x20;
}

static void gate2(bool on)
{
    out(P61, on);
}

START_TEST(pit_is_idle_out_of_reset)
{
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 0);
    ck_assert_uint_eq(status_of(0) & 0xc0, 0xc0); /* OUT high, no count yet */
}
END_TEST

START_TEST(pit_mode0_rises_n_plus_1_ticks_after_write)
{
    program(0, 0, 1000);
    ck_assert_uint_eq(status_of(0) & 0x80, 0);
    to_ns(ns_from_ticks(1001, PIT_HZ) - 1);
    ck_assert_uint_eq(edges, 0);
    ck_assert_uint_eq(status_of(0) & 0x80, 0);
    to_tick(1001);
    ck_assert_uint_eq(edges, 1);
    ck_assert_uint_eq(status_of(0) & 0x80, 0x80);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER); /* a one-shot leaves the host alone */
    ck_assert_uint_eq(count_of(0), 0);
    to_tick(1003);
    ck_assert_uint_eq(count_of(0), 0xfffe); /* it runs on */
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(pit_mode0_first_byte_stops_and_lowers_out)
{
    gate2(true);
    program(2, 0, 100);
    to_tick(200);
    ck_assert(out2());
    out(CH2, 50);
    ck_assert(!out2());
    unsigned held = count_of(2);
    to_tick(300);
    ck_assert_uint_eq(count_of(2), held);
    out(CH2, 0);
    to_tick(301);
    ck_assert_uint_eq(count_of(2), 50);
    to_tick(350);
    ck_assert(!out2());
    to_tick(351);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_mode0_first_byte_calls_off_a_count_not_yet_taken)
{
    program(0, 0, 100);
    out(CH0, 50);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    to_tick(1000);
    ck_assert_uint_eq(edges, 0);
    ck_assert_uint_eq(status_of(0) & 0xc0, 0x40);
    out(CH0, 0);
    to_tick(1051);
    ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(pit_mode0_gate_pauses_counting)
{
    gate2(true);
    program(2, 0, 100);
    to_tick(41);
    ck_assert_uint_eq(count_of(2), 60);
    gate2(false);
    to_tick(1000);
    ck_assert_uint_eq(count_of(2), 60);
    ck_assert(!out2());
    gate2(true);
    to_tick(1059);
    ck_assert(!out2());
    to_tick(1060);
    ck_assert(out2());
    gate2(false);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_mode0_count_is_loaded_while_gate_is_low)
{
    program(2, 0, 100);
    to_tick(500);
    ck_assert_uint_eq(count_of(2), 100);
    gate2(true);
    to_tick(599);
    ck_assert(!out2());
    to_tick(600);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_mode1_is_a_retriggerable_one_shot)
{
    program(2, 1, 100);
    ck_assert(out2());
    to_tick(50);
    ck_assert(out2());
    gate2(true); /* taken at 51 */
    ck_assert(out2());
    to_tick(51);
    ck_assert(!out2());
    gate2(false); /* the level does not matter */
    to_tick(101);
    ck_assert(!out2());
    ck_assert_uint_eq(count_of(2), 50);
    gate2(true); /* again from the start, at 102 */
    to_tick(201);
    ck_assert(!out2());
    to_tick(202);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_mode2_goes_low_for_the_last_tick)
{
    gate2(true);
    program(2, 2, 3);
    ck_assert(out2());
    static const unsigned counts[] = {3, 2, 1, 3, 2, 1, 3};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        to_tick(1 + i);
        ck_assert_uint_eq(count_of(2), counts[i]);
        ck_assert_int_eq(out2(), counts[i] != 1);
    }
}
END_TEST

START_TEST(pit_mode2_takes_a_new_count_at_the_end_of_the_period)
{
    gate2(true);
    program(2, 2, 10);
    to_tick(4); /* count 7 */
    out(CH2, 20);
    out(CH2, 0);
    ck_assert_uint_eq(status_of(2) & 0x40, 0x40);
    to_tick(10);
    ck_assert_uint_eq(count_of(2), 1);
    to_tick(11);
    ck_assert_uint_eq(count_of(2), 20);
    ck_assert_uint_eq(status_of(2) & 0x40, 0);
    to_tick(31);
    ck_assert_uint_eq(count_of(2), 20);
}
END_TEST

START_TEST(pit_mode2_gate_restarts_the_period)
{
    gate2(true);
    program(2, 2, 10);
    to_tick(10);
    ck_assert(!out2());
    gate2(false);
    ck_assert(out2());
    to_tick(100);
    ck_assert_uint_eq(count_of(2), 1);
    gate2(true);
    to_tick(101);
    ck_assert_uint_eq(count_of(2), 10);
    to_tick(110);
    ck_assert(!out2());
}
END_TEST

START_TEST(pit_mode2_new_count_waits_while_the_gate_is_low)
{
    gate2(true);
    program(2, 2, 10);
    to_tick(4);
    out(CH2, 20);
    out(CH2, 0);
    gate2(false);
    to_tick(50); /* the period in which it was written never ended */
    ck_assert_uint_eq(count_of(2), 7);
    ck_assert_uint_eq(status_of(2) & 0x40, 0x40);
    gate2(true);
    to_tick(51);
    ck_assert_uint_eq(count_of(2), 20);
    ck_assert_uint_eq(status_of(2) & 0x40, 0);
}
END_TEST

START_TEST(pit_mode3_even_count_is_a_symmetric_square)
{
    gate2(true);
    program(2, 3, 6);
    static const unsigned counts[] = {6, 4, 2, 6, 4, 2, 6};
    static const bool level[] = {1, 1, 1, 0, 0, 0, 1};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        to_tick(1 + i);
        ck_assert_uint_eq(count_of(2), counts[i]);
        ck_assert_int_eq(out2(), level[i]);
    }
}
END_TEST

START_TEST(pit_mode3_odd_count_is_high_one_tick_longer)
{
    gate2(true);
    program(2, 7, 5); /* 7 is 3 */
    static const unsigned counts[] = {4, 2, 0, 4, 2, 4};
    static const bool level[] = {1, 1, 1, 0, 0, 1};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        to_tick(1 + i);
        ck_assert_uint_eq(count_of(2), counts[i]);
        ck_assert_int_eq(out2(), level[i]);
    }
    ck_assert_uint_eq(status_of(2) & 0x0e, 0x0e); /* the mode reads back as written */
}
END_TEST

START_TEST(pit_mode3_takes_a_new_count_at_the_end_of_the_half)
{
    gate2(true);
    program(2, 3, 100);
    to_tick(11);
    out(CH2, 20);
    out(CH2, 0);
    to_tick(50);
    ck_assert(out2());
    to_tick(51); /* low, with the new half of 10 */
    ck_assert(!out2());
    to_tick(60);
    ck_assert(!out2());
    to_tick(61);
    ck_assert(out2());
    ck_assert_uint_eq(count_of(2), 20);
}
END_TEST

START_TEST(pit_mode3_new_count_keeps_irq_edges_where_out_rises)
{
    program(0, 3, 1000);
    to_tick(11);
    out(CH0, 200);
    out(CH0, 0);
    to_tick(600); /* low from 501 with a half of 100, high at 601 */
    ck_assert_uint_eq(edges, 0);
    to_tick(601);
    ck_assert_uint_eq(edges, 1);
    to_tick(801);
    ck_assert_uint_eq(edges, 2);
}
END_TEST

START_TEST(pit_mode4_strobes_for_one_tick)
{
    program(0, 4, 100);
    ck_assert_uint_eq(status_of(0) & 0x80, 0x80);
    to_tick(100);
    ck_assert_uint_eq(status_of(0) & 0x80, 0x80);
    to_tick(101);
    ck_assert_uint_eq(status_of(0) & 0x80, 0);
    ck_assert_uint_eq(edges, 0);
    to_tick(102);
    ck_assert_uint_eq(status_of(0) & 0x80, 0x80);
    ck_assert_uint_eq(edges, 1);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    to_tick(102 + 65536 + 5); /* once only */
    ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(pit_mode5_strobes_after_a_trigger)
{
    program(2, 5, 10);
    to_tick(100);
    ck_assert(out2());
    gate2(true);
    to_tick(110);
    ck_assert(out2());
    to_tick(111);
    ck_assert(!out2());
    to_tick(112);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_triggered_modes_never_start_channel_0)
{
    program(0, 1, 100);
    program(0, 5, 100);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 0);
}
END_TEST

START_TEST(pit_one_byte_accesses_take_the_other_byte_as_zero)
{
    gate2(true);
    out(CONTROL, 0x90); /* channel 2, LSB, mode 0 */
    out(CH2, 0x34);
    to_tick(1);
    ck_assert_uint_eq(in(CH2), 0x34);
    ck_assert_uint_eq(in(CH2), 0x34);
    out(CONTROL, 0xa0); /* MSB */
    out(CH2, 0x12);
    to_tick(2);
    ck_assert_uint_eq(in(CH2), 0x12);
    to_tick(3);
    ck_assert_uint_eq(in(CH2), 0x11); /* 0x11ff */
    out(CONTROL, 0x80);
    ck_assert_uint_eq(in(CH2), 0x11); /* the latch gives the MSB alone too */
}
END_TEST

START_TEST(pit_latch_holds_until_read)
{
    program(0, 2, 10000);
    to_tick(1);
    out(CONTROL, 0x00);
    to_tick(500);
    out(CONTROL, 0x00); /* ignored: one is waiting */
    unsigned lsb = in(CH0);
    ck_assert_uint_eq(lsb | in(CH0) << 8, 10000);
    ck_assert_uint_eq(count_of(0), 10000 - 499);
}
END_TEST

START_TEST(pit_unlatched_read_alternates_bytes)
{
    program(0, 2, 0x1234);
    to_tick(1);
    ck_assert_uint_eq(in(CH0), 0x34);
    ck_assert_uint_eq(in(CH0), 0x12);
    ck_assert_uint_eq(in(CH0), 0x34);
    out(CONTROL, 0x34); /* a control word starts again with the LSB, and the count stands */
    ck_assert_uint_eq(in(CH0), 0x34);
}
END_TEST

START_TEST(pit_read_back_latches_many_channels_status_first)
{
    gate2(true);
    program(0, 2, 0x1000);
    program(2, 3, 0x2000);
    ck_assert_uint_eq(status_of(0), 0x80 | 0x40 | 0x34); /* not taken yet */
    to_tick(1);
    out(CONTROL, 0xc0 | 0x0a); /* counts and status of 0 and 2 */
    to_tick(100);
    ck_assert_uint_eq(in(CH0), 0x80 | 0x34);
    ck_assert_uint_eq(in(CH0), 0x00);
    ck_assert_uint_eq(in(CH0), 0x10);
    ck_assert_uint_eq(in(CH2), 0x80 | 0x36);
    ck_assert_uint_eq(in(CH2), 0x00);
    ck_assert_uint_eq(in(CH2), 0x20);
    out(CONTROL, 0xd0 | 0x02); /* the count alone */
    ck_assert_uint_eq(in(CH0), (0x1000 - 99) & 0xff);
}
END_TEST

START_TEST(pit_null_count_shows_whether_the_count_is_taken)
{
    out(CONTROL, 0xba); /* channel 2, mode 5 */
    ck_assert_uint_eq(status_of(2) & 0x40, 0x40);
    out(CH2, 9);
    out(CH2, 0);
    to_tick(50);
    ck_assert_uint_eq(status_of(2) & 0x40, 0x40); /* waits for the trigger */
    gate2(true);
    to_tick(51);
    ck_assert_uint_eq(status_of(2) & 0x40, 0);
}
END_TEST

START_TEST(pit_bcd_counts_in_decimal)
{
    gate2(true);
    out(CONTROL, 0xb1); /* channel 2, mode 0, BCD */
    out(CH2, 0x00);
    out(CH2, 0x10); /* 1000 */
    to_tick(2);
    ck_assert_uint_eq(count_of(2), 0x0999);
    to_tick(1001);
    ck_assert(out2());
    to_tick(1002);
    ck_assert_uint_eq(count_of(2), 0x9999);
}
END_TEST

START_TEST(pit_count_0_is_the_largest)
{
    gate2(true);
    program(2, 0, 0);
    to_tick(65536);
    ck_assert(!out2());
    ck_assert_uint_eq(count_of(2), 1);
    to_tick(65537);
    ck_assert(out2());
    out(CONTROL, 0xb1);
    out(CH2, 0);
    out(CH2, 0);
    to_tick(65537 + 10000);
    ck_assert(!out2());
    to_tick(65537 + 10001);
    ck_assert(out2());
}
END_TEST

START_TEST(pit_count_1_is_safe_in_periodic_modes)
{
    for (unsigned mode = 2; mode <= 3; mode++) {
        program(0, mode, 1);
        uint64_t before = edges, start = clock_now_ns(&clk);
        to_ns(start + 10000000);
        ck_assert_uint_gt(edges, before);
        ck_assert_uint_le(edges - before, 10000000 / 50000);
        ck_assert_uint_ge(count_of(0), 1);
        ck_assert_uint_le(count_of(0), 2);
    }
}
END_TEST

START_TEST(pit_short_periods_interrupt_on_a_multiple)
{
    program(0, 2, 25); /* 75 is the first multiple of 25 not below 60 */
    to_tick(75);
    ck_assert_uint_eq(edges, 0);
    to_tick(76);
    ck_assert_uint_eq(edges, 1);
    for (unsigned i = 0; i < 10; i++) /* latching must not put the edge off */
        to_tick(76 + 7 * i), count_of(0);
    to_tick(151);
    ck_assert_uint_eq(edges, 2);
    ck_assert_uint_eq(count_of(0), 25);
}
END_TEST

START_TEST(pit_hour_of_ticks_is_exact)
{
    static const unsigned counts[] = {1193, 11932, 65535};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        uint64_t start = ticks_from_ns(clock_now_ns(&clk), PIT_HZ) + 1;
        program(0, i == 1 ? 3 : 2, counts[i]);
        uint64_t before = edges, end = clock_now_ns(&clk) + 3600 * NS_PER_S;
        to_ns(end);
        uint64_t want = (ticks_from_ns(end, PIT_HZ) - start) / counts[i];
        ck_assert_uint_eq(edges - before, want);
        ck_assert_uint_eq(last_edge_ns, ns_from_ticks(start + want * counts[i], PIT_HZ));
    }
}
END_TEST

START_TEST(pit_late_host_gets_one_edge_and_keeps_phase)
{
    program(0, 2, 1000);
    to_tick(1001);
    ck_assert_uint_eq(edges, 1);
    clk.base_ns = ns_from_ticks(7501, PIT_HZ); /* six periods slept through */
    clock_fire_due(&clk);
    ck_assert_uint_eq(edges, 2);
    to_ns(ns_from_ticks(8001, PIT_HZ) - 1);
    ck_assert_uint_eq(edges, 2);
    to_tick(8001);
    ck_assert_uint_eq(edges, 3);
}
END_TEST

START_TEST(pit_due_edge_is_not_lost_to_a_write)
{
    program(0, 0, 1000);
    clk.base_ns = ns_from_ticks(2000, PIT_HZ); /* the timer has not had its turn */
    program(0, 0, 1000);
    ck_assert_uint_eq(edges, 1);
    to_tick(3001);
    ck_assert_uint_eq(edges, 2);
}
END_TEST

START_TEST(pit_mode_0_stops_a_periodic_channel)
{
    program(0, 2, 1193);
    clock_step(&clk, 10000000);
    ck_assert_uint_eq(edges, 10);
    out(CONTROL, 0x30);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    ck_assert(!line);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(edges, 10);
    out(CONTROL, 0x34); /* OUT rises with the mode: an edge, as on the chip */
    ck_assert_uint_eq(edges, 11);
}
END_TEST

START_TEST(pit_reset_stops_everything)
{
    program(0, 2, 1193);
    gate2(true);
    clock_step(&clk, 10000000);
    dev->ops->reset(dev);
    ck_assert(!line);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    ck_assert_uint_eq(in(P61) & 0x0f, 0);
}
END_TEST

START_TEST(pit_control_port_reads_ones)
{
    ck_assert_uint_eq(in(CONTROL), 0xff);
    ck_assert_uint_eq(bus_read(&bus, CH0, 4) >> 24, 0xff);
}
END_TEST

START_TEST(pit_port61_keeps_its_low_bits_and_toggles_refresh)
{
    out(P61, 0xff);
    ck_assert_uint_eq(in(P61) & 0xcf, 0x0f);
    out(P61, 0x02);
    ck_assert_uint_eq(in(P61) & 0xcf, 0x02);
    unsigned turns = 0, last = in(P61) & 0x10;
    for (unsigned us = 0; us < 1509; us++) {
        clock_step(&clk, 1000);
        turns += last != (in(P61) & 0x10);
        last = in(P61) & 0x10;
    }
    ck_assert_uint_eq(turns, 100); /* one in 15.085 us */
}
END_TEST

/* Kernels time the CPU so: channel 2, mode 0, and wait for OUT. */
START_TEST(pit_calibration_by_out2_takes_the_programmed_time)
{
    out(P61, (in(P61) & ~2u) | 1);
    out(CONTROL, 0xb0);
    out(CH2, 11931 & 0xff); /* 10 ms */
    out(CH2, 11931 >> 8);
    uint64_t start = clock_now_ns(&clk);
    while (!out2())
        clock_step(&clk, 1000);
    ck_assert_uint_ge(clock_now_ns(&clk) - start, 9999000);
    ck_assert_uint_le(clock_now_ns(&clk) - start, 10001000);
}
END_TEST

/* Or so: they let it run from 0xffff and wait for each next MSB, reading two bytes at a time. */
START_TEST(pit_calibration_by_msb_sees_every_value)
{
    out(P61, (in(P61) & ~2u) | 1);
    out(CONTROL, 0xb0);
    out(CH2, 0xff);
    out(CH2, 0xff);
    to_tick(1);
    unsigned expect = 0xff;
    for (unsigned i = 0; i < 60000 && expect > 0x10; i++) {
        in(CH2);
        unsigned msb = in(CH2);
        ck_assert(msb == expect || msb == expect - 1);
        expect = msb;
        clock_step(&clk, 5000);
    }
    ck_assert_uint_eq(expect, 0x10);
}
END_TEST

START_TEST(pit_survives_hostile_accesses)
{
    static const uint64_t ports[] = {0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61};
    srandom(1);
    uint64_t writes = 0;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t port = ports[(unsigned long)random() % ARRAY_LEN(ports)];
        uint64_t val = (uint64_t)random() << 33 ^ (uint64_t)random();
        if (random() % 2) {
            bus_write(&bus, port, size, val);
            writes += size;
        } else {
            bus_read(&bus, port, size);
        }
        uint64_t before = edges, ns = (uint64_t)random() % 1000000;
        clock_step(&clk, random() % 4 ? ns % 3000 : ns);
        ck_assert_uint_le(edges - before, ns / 50000 + 2);
    }
    ck_assert_uint_le(edges, clock_now_ns(&clk) / 50000 + 2 * writes);
    ck_assert_uint_gt(edges, 0);
}
END_TEST

START_TEST(pit_create_refuses_taken_ports)
{
    struct err err = {0};
    struct pit_config cfg = {.pio = &bus, .clock = &clk};
    ck_assert(pit_create(&cfg, &err) == NULL);
    ck_assert_str_ne(err.msg, "");
    ck_assert_uint_eq(bus.nregions, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pit");
    TCase *tc = tcase_create("pit");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, pit_is_idle_out_of_reset);
    tcase_add_test(tc, pit_mode0_rises_n_plus_1_ticks_after_write);
    tcase_add_test(tc, pit_mode0_first_byte_stops_and_lowers_out);
    tcase_add_test(tc, pit_mode0_first_byte_calls_off_a_count_not_yet_taken);
    tcase_add_test(tc, pit_mode0_gate_pauses_counting);
    tcase_add_test(tc, pit_mode0_count_is_loaded_while_gate_is_low);
    tcase_add_test(tc, pit_mode1_is_a_retriggerable_one_shot);
    tcase_add_test(tc, pit_mode2_goes_low_for_the_last_tick);
    tcase_add_test(tc, pit_mode2_takes_a_new_count_at_the_end_of_the_period);
    tcase_add_test(tc, pit_mode2_gate_restarts_the_period);
    tcase_add_test(tc, pit_mode2_new_count_waits_while_the_gate_is_low);
    tcase_add_test(tc, pit_mode3_even_count_is_a_symmetric_square);
    tcase_add_test(tc, pit_mode3_odd_count_is_high_one_tick_longer);
    tcase_add_test(tc, pit_mode3_takes_a_new_count_at_the_end_of_the_half);
    tcase_add_test(tc, pit_mode3_new_count_keeps_irq_edges_where_out_rises);
    tcase_add_test(tc, pit_mode4_strobes_for_one_tick);
    tcase_add_test(tc, pit_mode5_strobes_after_a_trigger);
    tcase_add_test(tc, pit_triggered_modes_never_start_channel_0);
    tcase_add_test(tc, pit_one_byte_accesses_take_the_other_byte_as_zero);
    tcase_add_test(tc, pit_latch_holds_until_read);
    tcase_add_test(tc, pit_unlatched_read_alternates_bytes);
    tcase_add_test(tc, pit_read_back_latches_many_channels_status_first);
    tcase_add_test(tc, pit_null_count_shows_whether_the_count_is_taken);
    tcase_add_test(tc, pit_bcd_counts_in_decimal);
    tcase_add_test(tc, pit_count_0_is_the_largest);
    tcase_add_test(tc, pit_count_1_is_safe_in_periodic_modes);
    tcase_add_test(tc, pit_short_periods_interrupt_on_a_multiple);
    tcase_add_test(tc, pit_hour_of_ticks_is_exact);
    tcase_add_test(tc, pit_late_host_gets_one_edge_and_keeps_phase);
    tcase_add_test(tc, pit_due_edge_is_not_lost_to_a_write);
    tcase_add_test(tc, pit_mode_0_stops_a_periodic_channel);
    tcase_add_test(tc, pit_reset_stops_everything);
    tcase_add_test(tc, pit_control_port_reads_ones);
    tcase_add_test(tc, pit_port61_keeps_its_low_bits_and_toggles_refresh);
    tcase_add_test(tc, pit_calibration_by_out2_takes_the_programmed_time);
    tcase_add_test(tc, pit_calibration_by_msb_sees_every_value);
    tcase_add_test(tc, pit_survives_hostile_accesses);
    tcase_add_test(tc, pit_create_refuses_taken_ports);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
