// SPDX-License-Identifier: MIT
//
// The ACPI power management block through the bus with a stepped clock, and the reset register that
// ACPI names (0xCF9), behind a region of its own here.
#include "devices/pm.h"

#include <check.h>
#include <stdlib.h>

#include "devices/reset_port.h"
#include "devices/ticks.h"
#include "layout.h"
#include "tests/lib/suite.h"

#define STS PM_BASE
#define EN (PM_BASE + 2)
#define CNT (PM_BASE + PM1_CNT_OFFSET)
#define TMR (PM_BASE + PM_TMR_OFFSET)
#define GPE0 (PM_BASE + GPE0_OFFSET)

#define TMR_STS 0x0001
#define GBL_EN 0x0020
#define PWRBTN 0x0100
#define SLP_EN 0x2000

static struct bus bus;
static struct clock clk;
static struct device *dev;
static bool line;
static unsigned changes, poweroffs, resets;

static void probe(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    changes += level != line;
    line = level;
}

static void stopped(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque;
    ck_assert_uint_eq(code, 0);
    ck_assert(cause == STOP_POWEROFF || cause == STOP_RESET);
    poweroffs += cause == STOP_POWEROFF;
    resets += cause == STOP_RESET;
}

static void setup(void)
{
    struct err err = {0};
    bus_init(&bus, "pio", 65536);
    clock_init_stepped(&clk, 0);
    line = false;
    changes = poweroffs = resets = 0;
    struct pm_config cfg = {
        .pio = &bus, .clock = &clk, .sci = {.set = probe}, .stop = {.request = stopped}};
    dev = pm_create(&cfg, &err);
    ck_assert_msg(dev != NULL, "%s", err.msg);
}

static void teardown(void)
{
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

static unsigned in16(uint64_t port)
{
    return (unsigned)bus_read(&bus, port, 2);
}

static void out16(uint64_t port, unsigned val)
{
    bus_write(&bus, port, 2, val);
}

START_TEST(pm_is_in_acpi_mode_out_of_reset)
{
    ck_assert_uint_eq(in16(CNT), 0x0001);
    ck_assert_uint_eq(in16(STS), 0);
    ck_assert_uint_eq(in16(EN), 0);
    out16(CNT, 0); /* there is no other mode */
    ck_assert_uint_eq(in16(CNT), 0x0001);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}
END_TEST

START_TEST(pm_soft_off)
{
    out16(CNT, PM_SLP_TYP_S5 << 10 | 1); /* as ACPICA does: the type alone, then with the enable */
    ck_assert_uint_eq(poweroffs, 0);
    out16(CNT, PM_SLP_TYP_S5 << 10 | SLP_EN | 1);
    ck_assert_uint_eq(poweroffs, 1);
    ck_assert_uint_eq(in16(CNT), PM_SLP_TYP_S5 << 10 | 1); /* SLP_EN reads as 0 */
}
END_TEST

START_TEST(pm_soft_off_by_byte)
{
    bus_write(&bus, CNT + 1, 1, (PM_SLP_TYP_S5 << 10 | SLP_EN) >> 8);
    ck_assert_uint_eq(poweroffs, 1);
}
END_TEST

START_TEST(pm_other_sleep_types_are_ignored)
{
    for (unsigned type = 0; type < 8; type++) {
        if (type != PM_SLP_TYP_S5)
            out16(CNT, type << 10 | SLP_EN);
    }
    ck_assert_uint_eq(poweroffs, 0);
}
END_TEST

START_TEST(pm_power_button_raises_sci_when_enabled)
{
    pm_power_button(pm_of(dev));
    ck_assert_uint_eq(in16(STS), PWRBTN);
    ck_assert(!line);
    out16(EN, PWRBTN);
    ck_assert(line);
    out16(STS, 0); /* writing 0 clears nothing */
    ck_assert(line);
    out16(STS, PWRBTN);
    ck_assert(!line);
    ck_assert_uint_eq(in16(STS), 0);
    pm_power_button(pm_of(dev));
    ck_assert(line);
    out16(EN, GBL_EN);
    ck_assert(!line);
    ck_assert_uint_eq(changes, 4);
}
END_TEST

START_TEST(pm_status_clears_byte_by_byte)
{
    pm_power_button(pm_of(dev));
    bus_write(&bus, STS, 1, 0xff);
    ck_assert_uint_eq(in16(STS), PWRBTN);
    bus_write(&bus, STS, 4, 0x0020ffff); /* status and enables in one */
    ck_assert_uint_eq(bus_read(&bus, STS, 4), 0x00200000);
}
END_TEST

START_TEST(pm_enables_keep_defined_bits_only)
{
    out16(EN, 0xffff);
    ck_assert_uint_eq(in16(EN), 0x0721);
}
END_TEST

START_TEST(pm_timer_counts_3579545_hz)
{
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 0);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 3579545);
    clock_step(&clk, 99 * NS_PER_S);
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 357954500);
    ck_assert_uint_eq(bus_read(&bus, TMR + 2, 2), 357954500 >> 16);
    ck_assert_uint_eq(bus_read(&bus, TMR + 3, 1), 357954500 >> 24);
    clock_step(&clk, 3500 * NS_PER_S);
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 3600ull * 3579545 % (1ull << 32));
    bus_write(&bus, TMR, 4, 0); /* read-only */
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 3600ull * 3579545 % (1ull << 32));
}
END_TEST

START_TEST(pm_timer_status_is_set_when_bit_31_turns_over)
{
    uint64_t half = ns_from_ticks(1ull << 31, PM_TMR_HZ);
    clock_step(&clk, half - 1);
    ck_assert_uint_eq(in16(STS), 0);
    clock_step(&clk, 1);
    ck_assert_uint_eq(bus_read(&bus, TMR, 4), 0x80000000);
    ck_assert_uint_eq(in16(STS), TMR_STS);
    out16(STS, TMR_STS);
    ck_assert_uint_eq(in16(STS), 0);
    clock_step(&clk, half);
    ck_assert_uint_eq(bus_read(&bus, TMR, 4) >> 31, 0);
    ck_assert_uint_eq(in16(STS), TMR_STS);
    ck_assert(!line);
}
END_TEST

START_TEST(pm_timer_overflow_interrupts_and_wakes_only_when_enabled)
{
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    out16(EN, TMR_STS);
    for (uint64_t turn = 1; turn <= 5; turn++) {
        uint64_t at = ns_from_ticks(turn << 31, PM_TMR_HZ);
        ck_assert_uint_eq(clock_next_deadline_ns(&clk), at);
        clock_step(&clk, at - 1 - clock_now_ns(&clk));
        ck_assert(!line);
        clock_step(&clk, 1);
        ck_assert(line);
        ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER); /* until it is cleared */
        out16(STS, TMR_STS);
        ck_assert(!line);
    }
    out16(EN, 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}
END_TEST

START_TEST(pm_timer_reads_do_not_touch_the_wire)
{
    pm_power_button(pm_of(dev));
    out16(EN, PWRBTN);
    changes = 0;
    line = false; /* a call would show as a change */
    for (unsigned i = 0; i < 100; i++)
        bus_read(&bus, TMR, 4);
    ck_assert_uint_eq(changes, 0);
    line = true;
}
END_TEST

START_TEST(pm_gpe_enables_hold_and_status_stays_clear)
{
    bus_write(&bus, GPE0, 4, 0xffffffff);
    bus_write(&bus, GPE0 + 4, 4, 0xa5a5a5a5);
    ck_assert_uint_eq(bus_read(&bus, GPE0, 4), 0);
    ck_assert_uint_eq(bus_read(&bus, GPE0 + 4, 4), 0xa5a5a5a5);
    ck_assert(!line);
}
END_TEST

START_TEST(pm_reserved_registers_read_zero)
{
    bus_write(&bus, PM_BASE + 6, 2, 0xffff);
    bus_write(&bus, PM_BASE + 0x0c, 4, 0xffffffff);
    ck_assert_uint_eq(in16(PM_BASE + 6), 0);
    ck_assert_uint_eq(bus_read(&bus, PM_BASE + 0x0c, 4), 0);
}
END_TEST

START_TEST(pm_reset_clears_events)
{
    out16(EN, PWRBTN | TMR_STS);
    pm_power_button(pm_of(dev));
    out16(CNT, PM_SLP_TYP_S5 << 10);
    clock_step(&clk, 700 * NS_PER_S);
    dev->ops->reset(dev);
    ck_assert(!line);
    ck_assert_uint_eq(bus_read(&bus, STS, 4), 0);
    ck_assert_uint_eq(in16(CNT), 1);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}
END_TEST

START_TEST(pm_survives_hostile_accesses)
{
    srandom(5);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t port = PM_BASE - 4 + (uint64_t)random() % (PM_REGION_LEN + 8);
        if (random() % 2)
            bus_write(&bus, port, size, (uint64_t)random() << 33 ^ (uint64_t)random());
        else
            bus_read(&bus, port, size);
        if (random() % 16 == 0)
            clock_step(&clk, (uint64_t)random() % (100 * NS_PER_S));
        if (random() % 64 == 0)
            pm_power_button(pm_of(dev));
        bool pending = (bus_read(&bus, STS, 2) & bus_read(&bus, EN, 2) & 0x0721) != 0;
        ck_assert_int_eq(line, pending);
    }
    ck_assert_uint_gt(poweroffs, 0);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(pm_create_refuses_taken_ports)
{
    struct err err = {0};
    struct pm_config cfg = {.pio = &bus, .clock = &clk, .stop = {.request = stopped}};
    ck_assert(pm_create(&cfg, &err) == NULL);
    ck_assert_str_ne(err.msg, "");
}
END_TEST

START_TEST(reset_port_resets_at_the_rising_edge_of_bit_2)
{
    struct err err = {0};
    struct reset_port port = {.stop = {.request = stopped}};
    struct region region = {
        .name = "reset", .base = RESET_PORT, .len = 1, .ops = &reset_port_io, .self = &port};
    ck_assert_int_eq(bus_add(&bus, &region, &err), 0);

    ck_assert_uint_eq(bus_read(&bus, RESET_PORT, 1), 0);
    bus_write(&bus, RESET_PORT, 1, 0x02); /* the kind of reset, as kernels write it first */
    ck_assert_uint_eq(bus_read(&bus, RESET_PORT, 1), 0x02);
    bus_write(&bus, RESET_PORT, 1, 0xf9);
    ck_assert_uint_eq(bus_read(&bus, RESET_PORT, 1), 0x08);
    ck_assert_uint_eq(resets, 0);
    bus_write(&bus, RESET_PORT, 1, 0x06);
    ck_assert_uint_eq(resets, 1);
    ck_assert_uint_eq(bus_read(&bus, RESET_PORT, 1), 0); /* the reset clears it */
    bus_write(&bus, RESET_PORT, 1, RESET_PORT_ACPI_VALUE);
    ck_assert_uint_eq(resets, 2);
    ck_assert_uint_eq(poweroffs, 0);
    bus_remove(&bus, &region);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pm");
    TCase *tc = tcase_create("pm");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, pm_is_in_acpi_mode_out_of_reset);
    tcase_add_test(tc, pm_soft_off);
    tcase_add_test(tc, pm_soft_off_by_byte);
    tcase_add_test(tc, pm_other_sleep_types_are_ignored);
    tcase_add_test(tc, pm_power_button_raises_sci_when_enabled);
    tcase_add_test(tc, pm_status_clears_byte_by_byte);
    tcase_add_test(tc, pm_enables_keep_defined_bits_only);
    tcase_add_test(tc, pm_timer_counts_3579545_hz);
    tcase_add_test(tc, pm_timer_status_is_set_when_bit_31_turns_over);
    tcase_add_test(tc, pm_timer_overflow_interrupts_and_wakes_only_when_enabled);
    tcase_add_test(tc, pm_timer_reads_do_not_touch_the_wire);
    tcase_add_test(tc, pm_gpe_enables_hold_and_status_stays_clear);
    tcase_add_test(tc, pm_reserved_registers_read_zero);
    tcase_add_test(tc, pm_reset_clears_events);
    tcase_add_test(tc, pm_survives_hostile_accesses);
    tcase_add_test(tc, pm_create_refuses_taken_ports);
    tcase_add_test(tc, reset_port_resets_at_the_rising_edge_of_bit_2);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
