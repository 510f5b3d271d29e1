// SPDX-License-Identifier: MIT
//
// The local APIC's timer against a stepped clock: modes, divisors, drift, deadlines, masks. Its
// input is 1 GHz; the TSC of these tests runs at an odd frequency.
#include "devices/lapic.h"

#include <check.h>

#include "devices/ticks.h"
#include "tests/lib/suite.h"

#define TSC_HZ 2399998765ull
#define SVR 0xf0
#define LVT 0x320
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE 0x3e0
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define VECTOR 0xec
#define BY_1 0xb
#define BY_16 0x3

static struct clock clk;
static struct lapic_wires wires;
static struct lapic l;
static unsigned fired;
static uint64_t last_ns, tsc_offset, early_ns;

/* Takes the interrupt as a CPU would, at once. */
static void on_wake(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
    fired++;
    last_ns = clock_now_ns(&clk);
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu;
    return tsc > tsc_offset ? ns_from_ticks(tsc - tsc_offset, TSC_HZ) - early_ns : 0;
}

static uint64_t tsc_from_ns(void *opaque, unsigned cpu, uint64_t ns)
{
    (void)opaque, (void)cpu;
    return ticks_from_ns(ns, TSC_HZ) + tsc_offset;
}

static void wr(unsigned off, uint32_t val)
{
    lapic_mmio_write(&l, off, 4, val);
}

static uint32_t rd(unsigned off)
{
    return (uint32_t)lapic_mmio_read(&l, off, 4);
}

static void create(struct lapic_tsc tsc)
{
    wires = (struct lapic_wires){
        .clock = &clk, .sink = {.wake = on_wake}, .tsc = tsc, .phys_bits = 40};
    lapic_init(&l, &wires, 1);
    wr(SVR, 0x1ff);
}

static void setup(void)
{
    fired = 0;
    last_ns = tsc_offset = early_ns = 0;
    clock_init_stepped(&clk, 0);
    create((struct lapic_tsc){.to_ns = tsc_to_ns, .from_ns = tsc_from_ns});
}

static void teardown(void)
{
    lapic_fini(&l);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

/* Acknowledge and end what is pending. */
static void serve(void)
{
    ck_assert(lapic_pending(&l));
    ck_assert_int_eq(lapic_intack(&l), VECTOR);
    wr(0xb0, 0);
}

static void to_ns(uint64_t ns)
{
    clock_step(&clk, ns - clock_now_ns(&clk));
}

static void set_deadline(uint64_t tsc)
{
    ck_assert_int_eq(lapic_msr_write(&l, MSR_TSC_DEADLINE, tsc), 0);
}

static uint64_t deadline(void)
{
    uint64_t val = 0;
    ck_assert_int_eq(lapic_msr_read(&l, MSR_TSC_DEADLINE, &val), 0);
    return val;
}

START_TEST(timer_one_shot_fires_once)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR);
    wr(INITIAL, 1000);
    ck_assert_uint_eq(rd(INITIAL), 1000);
    to_ns(999);
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(rd(CURRENT), 1);
    to_ns(1000);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(rd(CURRENT), 0);
    serve();
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(rd(CURRENT), 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}
END_TEST

START_TEST(timer_divides_its_clock)
{
    static const uint8_t code[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};
    for (unsigned i = 0; i < 8; i++) {
        unsigned divisor = 1u << i;
        uint64_t start = clock_now_ns(&clk);
        wr(DIVIDE, code[i]);
        ck_assert_uint_eq(rd(DIVIDE), code[i]);
        wr(LVT, VECTOR);
        wr(INITIAL, 0xffffffff);
        clock_step(&clk, 1000 * divisor - 1);
        ck_assert_uint_eq(rd(CURRENT), 0xffffffff - 999);
        clock_step(&clk, 1);
        ck_assert_uint_eq(rd(CURRENT), 0xffffffff - 1000);
        to_ns(start + 0xffffffffull * divisor);
        ck_assert_uint_eq(fired, i + 1);
        ck_assert_uint_eq(last_ns, start + 0xffffffffull * divisor);
        serve();
    }
}
END_TEST

START_TEST(timer_periodic_reloads)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 100000);
    for (unsigned i = 1; i <= 5; i++) {
        to_ns(i * 100000);
        ck_assert_uint_eq(fired, i);
        ck_assert_uint_eq(rd(CURRENT), 100000);
        serve();
    }
    clock_step(&clk, 40000);
    ck_assert_uint_eq(rd(CURRENT), 60000);
    wr(INITIAL, 0);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 5);
    ck_assert_uint_eq(rd(CURRENT), 0);
}
END_TEST

START_TEST(timer_hour_of_periods_is_exact)
{
    wr(DIVIDE, BY_16);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 62501); /* 1000016 ns */
    uint64_t n = 3600 * NS_PER_S / 1000016, served = 0;
    for (uint64_t i = 1; i <= n; i++) {
        clock_step(&clk, 1000016);
        served += lapic_intack(&l) == VECTOR;
        wr(0xb0, 0);
    }
    ck_assert_uint_eq(served, n);
    ck_assert_uint_eq(fired, n);
    ck_assert_uint_eq(last_ns, n * 1000016);
}
END_TEST

START_TEST(timer_late_host_gets_one_interrupt_and_keeps_phase)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 100000);
    clk.base_ns = 1050000; /* ten periods pass unseen */
    clock_fire_due(&clk);
    ck_assert_uint_eq(fired, 1);
    serve();
    ck_assert_uint_eq(rd(CURRENT), 50000);
    clock_step(&clk, 49999);
    ck_assert_uint_eq(fired, 1);
    clock_step(&clk, 1);
    ck_assert_uint_eq(fired, 2);
    ck_assert_uint_eq(last_ns, 1100000);
}
END_TEST

START_TEST(timer_due_interrupt_is_not_lost_to_a_write)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR);
    wr(INITIAL, 1000);
    clk.base_ns = 2000; /* due, and not yet seen */
    wr(INITIAL, 1000);
    ck_assert_uint_eq(fired, 1);
    serve();
    to_ns(3000);
    ck_assert_uint_eq(fired, 2);
}
END_TEST

START_TEST(timer_short_periods_interrupt_on_a_multiple)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 7);
    to_ns(7);
    ck_assert_uint_eq(fired, 1);
    serve();
    for (unsigned i = 0; i < 100; i++) {
        uint64_t before = last_ns;
        to_ns(clock_next_deadline_ns(&clk));
        serve();
        ck_assert_uint_ge(last_ns - before, 50000);
        ck_assert_uint_lt(last_ns - before, 50007);
        ck_assert_uint_eq(last_ns % 7, 0);
    }
    clock_step(&clk, 3);
    ck_assert_uint_eq(rd(CURRENT), 4); /* the count goes on at its own pace */
    wr(INITIAL, 1);
    clock_step(&clk, 10 * NS_PER_S / 1000);
    ck_assert_uint_le(fired, 101 + 202);
}
END_TEST

START_TEST(timer_divisor_changes_on_the_fly)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR);
    wr(INITIAL, 1000);
    to_ns(400);
    wr(DIVIDE, BY_16); /* 600 counts of 16 ns are left */
    ck_assert_uint_eq(rd(CURRENT), 600);
    to_ns(400 + 599 * 16);
    ck_assert_uint_eq(rd(CURRENT), 1);
    ck_assert_uint_eq(fired, 0);
    to_ns(400 + 600 * 16);
    ck_assert_uint_eq(fired, 1);
}
END_TEST

START_TEST(timer_same_divisor_keeps_phase)
{
    wr(DIVIDE, BY_16);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 10000);
    for (unsigned i = 0; i < 1000; i++) {
        clock_step(&clk, 101);
        wr(DIVIDE, BY_16);
        wr(LVT, VECTOR | PERIODIC);
    }
    to_ns(160000);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(last_ns, 160000);
}
END_TEST

START_TEST(timer_masked_counts_without_interrupts)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC | MASKED);
    wr(INITIAL, 100000);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER); /* nobody needs to wake */
    to_ns(330000);
    ck_assert_uint_eq(rd(CURRENT), 70000);
    wr(LVT, VECTOR | PERIODIC);
    ck_assert_uint_eq(fired, 0);
    to_ns(400000);
    ck_assert_uint_eq(fired, 1);
    wr(LVT, VECTOR | MASKED);
    wr(INITIAL, 1000);
    clock_step(&clk, 2000);
    serve();
    wr(LVT, VECTOR); /* ran out while masked: nothing comes after */
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 1);
}
END_TEST

START_TEST(timer_mode_change_takes_effect_at_zero)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR);
    wr(INITIAL, 100000);
    to_ns(50000);
    wr(LVT, VECTOR | PERIODIC);
    to_ns(300000);
    ck_assert_uint_eq(rd(CURRENT), 100000);
    serve();
    wr(LVT, VECTOR);
    to_ns(500000);
    ck_assert_uint_eq(fired, 2);
    ck_assert_uint_eq(last_ns, 400000);
    serve();
    wr(LVT, VECTOR | PERIODIC); /* stopped: it does not start again */
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 2);
}
END_TEST

START_TEST(timer_software_disable_stops_interrupts)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC);
    wr(INITIAL, 100000);
    wr(SVR, 0xff);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(rd(LVT), VECTOR | PERIODIC | MASKED);
}
END_TEST

START_TEST(timer_reserved_mode_is_silent)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | PERIODIC | DEADLINE);
    wr(INITIAL, 1000);
    set_deadline(1);
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(deadline(), 0);
}
END_TEST

START_TEST(timer_deadline_fires_when_the_counter_is_there)
{
    wr(LVT, VECTOR | DEADLINE);
    uint64_t tsc = 123456789;
    set_deadline(tsc);
    ck_assert_uint_eq(deadline(), tsc);
    uint64_t ns = ns_from_ticks(tsc, TSC_HZ);
    to_ns(ns - 1);
    ck_assert_uint_lt(tsc_from_ns(NULL, 0, ns - 1), tsc);
    ck_assert_uint_eq(fired, 0);
    to_ns(ns);
    ck_assert_uint_ge(tsc_from_ns(NULL, 0, ns), tsc);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(deadline(), 0); /* disarmed */
    serve();
    clock_step(&clk, NS_PER_S);
    ck_assert_uint_eq(fired, 1);
}
END_TEST

START_TEST(timer_deadline_in_the_past_fires_at_once)
{
    wr(LVT, VECTOR | DEADLINE);
    to_ns(NS_PER_S);
    set_deadline(1);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(deadline(), 0);
    serve();
    set_deadline(TSC_HZ); /* now */
    ck_assert_uint_eq(fired, 2);
    serve();
    set_deadline(TSC_HZ + 1);
    ck_assert_uint_eq(fired, 2);
    clock_step(&clk, 1);
    ck_assert_uint_eq(fired, 3);
}
END_TEST

START_TEST(timer_deadline_zero_disarms)
{
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    set_deadline(0);
    ck_assert_uint_eq(fired, 0);
    clock_step(&clk, 2 * NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    set_deadline(0);
    ck_assert_uint_eq(fired, 0);
}
END_TEST

START_TEST(timer_deadline_moves)
{
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    set_deadline(2 * TSC_HZ);
    to_ns(NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    set_deadline(TSC_HZ + TSC_HZ / 2);
    to_ns(2 * NS_PER_S);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(last_ns, ns_from_ticks(TSC_HZ + TSC_HZ / 2, TSC_HZ));
}
END_TEST

START_TEST(timer_deadline_beyond_all_time_waits)
{
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(UINT64_MAX);
    ck_assert_uint_eq(deadline(), UINT64_MAX);
    clock_step(&clk, 3600 * NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(deadline(), UINT64_MAX);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER || l.timer.armed);
}
END_TEST

START_TEST(timer_deadline_masked_passes_silently)
{
    wr(LVT, VECTOR | DEADLINE | MASKED);
    set_deadline(TSC_HZ);
    to_ns(2 * NS_PER_S);
    ck_assert_uint_eq(deadline(), 0);
    ck_assert_uint_eq(fired, 0);
}
END_TEST

START_TEST(timer_deadline_mode_has_no_counts)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR | DEADLINE);
    wr(INITIAL, 1000);
    ck_assert_uint_eq(rd(INITIAL), 0);
    ck_assert_uint_eq(rd(CURRENT), 0);
    clock_step(&clk, 10000);
    ck_assert_uint_eq(fired, 0);
    wr(LVT, VECTOR);
    set_deadline(1); /* not in deadline mode: ignored */
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(deadline(), 0);
}
END_TEST

START_TEST(timer_leaving_a_mode_disarms)
{
    wr(DIVIDE, BY_1);
    wr(LVT, VECTOR);
    wr(INITIAL, 1000000);
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    clock_step(&clk, 2000000);
    ck_assert_uint_eq(fired, 0);
    wr(LVT, VECTOR | PERIODIC);
    clock_step(&clk, 2 * NS_PER_S);
    ck_assert_uint_eq(fired, 0);
    wr(LVT, VECTOR | DEADLINE);
    ck_assert_uint_eq(deadline(), 0);
}
END_TEST

START_TEST(timer_hour_of_deadlines_is_exact)
{
    wr(LVT, VECTOR | DEADLINE);
    uint64_t tsc = 0;
    for (unsigned i = 0; i < 36000; i++) {
        tsc += TSC_HZ / 10;
        set_deadline(tsc);
        uint64_t ns = clock_next_deadline_ns(&clk);
        ck_assert(tsc_from_ns(NULL, 0, ns) >= tsc && tsc_from_ns(NULL, 0, ns - 1) < tsc);
        to_ns(ns);
        serve();
    }
    ck_assert_uint_eq(fired, 36000);
    ck_assert_uint_eq(last_ns, ns_from_ticks(36000 * (TSC_HZ / 10), TSC_HZ));
}
END_TEST

START_TEST(timer_deadline_follows_a_written_counter)
{
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    tsc_offset = TSC_HZ / 2; /* the counter jumps ahead */
    lapic_tsc_changed(&l);
    to_ns(NS_PER_S / 2 + 1);
    ck_assert_uint_eq(fired, 1);
    serve();
    set_deadline(3 * TSC_HZ);
    tsc_offset = 4 * TSC_HZ;
    lapic_tsc_changed(&l);
    ck_assert_uint_eq(fired, 2);
    serve();
    lapic_tsc_changed(&l);
    ck_assert_uint_eq(fired, 2);
    set_deadline(10 * TSC_HZ);
    tsc_offset = 0; /* back: the timer finds itself too early, and waits on */
    to_ns(6 * NS_PER_S);
    ck_assert_uint_eq(fired, 2);
    to_ns(10 * NS_PER_S);
    ck_assert_uint_eq(fired, 3);
}
END_TEST

START_TEST(timer_without_tsc_has_no_deadline_mode)
{
    uint64_t val;
    create((struct lapic_tsc){0});
    wr(LVT, VECTOR | DEADLINE);
    ck_assert_uint_eq(rd(LVT), VECTOR);
    ck_assert_int_eq(lapic_msr_read(&l, MSR_TSC_DEADLINE, &val), -1);
    ck_assert_int_eq(lapic_msr_write(&l, MSR_TSC_DEADLINE, 1), -1);
}
END_TEST

START_TEST(timer_deadline_is_never_early)
{
    early_ns = 5; /* a conversion that rounds badly */
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    to_ns(2 * NS_PER_S);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(last_ns, NS_PER_S);
}
END_TEST

/* As Linux does it: count down from all ones for 100 ms, divided by 16. */
START_TEST(timer_calibration_finds_its_frequency)
{
    wr(DIVIDE, BY_16);
    wr(LVT, VECTOR | MASKED);
    wr(INITIAL, 0xffffffff);
    uint32_t before = rd(CURRENT);
    clock_step(&clk, NS_PER_S / 10);
    ck_assert_uint_eq(before - rd(CURRENT), NS_PER_S / 10 / 16);
}
END_TEST

START_TEST(timer_reset_stops_everything)
{
    wr(LVT, VECTOR | DEADLINE);
    set_deadline(TSC_HZ);
    lapic_reset(&l);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
    ck_assert_uint_eq(rd(CURRENT), 0);
    ck_assert_uint_eq(deadline(), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lapic_timer");
    TCase *tc = tcase_create("lapic_timer");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, timer_one_shot_fires_once);
    tcase_add_test(tc, timer_divides_its_clock);
    tcase_add_test(tc, timer_periodic_reloads);
    tcase_add_test(tc, timer_hour_of_periods_is_exact);
    tcase_add_test(tc, timer_late_host_gets_one_interrupt_and_keeps_phase);
    tcase_add_test(tc, timer_due_interrupt_is_not_lost_to_a_write);
    tcase_add_test(tc, timer_short_periods_interrupt_on_a_multiple);
    tcase_add_test(tc, timer_divisor_changes_on_the_fly);
    tcase_add_test(tc, timer_same_divisor_keeps_phase);
    tcase_add_test(tc, timer_masked_counts_without_interrupts);
    tcase_add_test(tc, timer_mode_change_takes_effect_at_zero);
    tcase_add_test(tc, timer_software_disable_stops_interrupts);
    tcase_add_test(tc, timer_reserved_mode_is_silent);
    tcase_add_test(tc, timer_deadline_fires_when_the_counter_is_there);
    tcase_add_test(tc, timer_deadline_in_the_past_fires_at_once);
    tcase_add_test(tc, timer_deadline_zero_disarms);
    tcase_add_test(tc, timer_deadline_moves);
    tcase_add_test(tc, timer_deadline_beyond_all_time_waits);
    tcase_add_test(tc, timer_deadline_masked_passes_silently);
    tcase_add_test(tc, timer_deadline_mode_has_no_counts);
    tcase_add_test(tc, timer_leaving_a_mode_disarms);
    tcase_add_test(tc, timer_hour_of_deadlines_is_exact);
    tcase_add_test(tc, timer_deadline_follows_a_written_counter);
    tcase_add_test(tc, timer_without_tsc_has_no_deadline_mode);
    tcase_add_test(tc, timer_deadline_is_never_early);
    tcase_add_test(tc, timer_calibration_finds_its_frequency);
    tcase_add_test(tc, timer_reset_stops_everything);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
