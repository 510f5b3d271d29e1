// SPDX-License-Identifier: MIT
//
// The watchdog through its PCI function, with a stepped clock.
#include "devices/i6300esb.h"

#include <check.h>
#include <stdlib.h>

#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

enum { PRELOAD1 = 0, PRELOAD2 = 4, GINTSR = 8, RELOAD = 0xc };
enum { CONFIG = 0x60, LOCK = 0x68 };
#define MS 1000000ull

static struct rig rig;
static struct clock guest_clock;
static struct device *dev;
static struct pci_func *func;
static uint64_t base;
static unsigned expirations;

static void on_expired(void *opaque)
{
    ck_assert_ptr_eq(opaque, &rig);
    expirations++;
}

static void setup(void)
{
    struct err err = {{0}};
    rig_init(&rig, true);
    clock_init_stepped(&guest_clock, 0);
    expirations = 0;
    const struct i6300esb_config cfg = {rig.host, 1, &guest_clock, on_expired, &rig};
    dev = i6300esb_create(&cfg, &err);
    ck_assert_msg(dev, "%s", err.msg);
    func = pci_host_func(rig.host, 1);
    base = func->bar[0].region.base;
}

static void teardown(void)
{
    dev->ops->fini(dev);
    rig_fini(&rig);
}

static void put(uint64_t reg, unsigned size, uint64_t val)
{
    bus_write(&rig.mmio, base + reg, size, val);
}

static void put_unlocked(uint64_t reg, unsigned size, uint64_t val)
{
    put(RELOAD, 2, 0x80);
    put(RELOAD, 2, 0x86);
    put(reg, size, val);
}

static void ping(void)
{
    put_unlocked(RELOAD, 2, 0x100);
}

static bool timed_out(void)
{
    return bus_read(&rig.mmio, base + RELOAD, 2) & 0x200;
}

/* As Linux does it: both stages of so many steps of about 1 ms. */
static void start(uint32_t steps, uint16_t config)
{
    pci_config_write(func, CONFIG, 2, config);
    put_unlocked(PRELOAD1, 4, steps);
    put_unlocked(PRELOAD2, 4, steps);
    pci_config_write(func, LOCK, 1, 2);
}

/* 1000 steps are 2^15 * 1000 / 33 MHz = 992.97 ms. */
#define STAGE_MS 992u

START_TEST(watchdog_is_what_its_driver_looks_for)
{
    ck_assert_uint_eq(pci_config_read(func, 0, 4), 0x25ab8086);
    ck_assert_uint_eq(pci_config_read(func, 0x34, 1), 0);
    ck_assert_uint_eq(pci_config_read(func, LOCK, 1), 0);
    ck_assert(func->bar[0].mapped);
    clock_step(&guest_clock, 1000 * NS_PER_S);
    ck_assert_uint_eq(expirations, 0);
}
END_TEST

START_TEST(watchdog_fires_after_both_stages)
{
    start(1000, 3);
    clock_step(&guest_clock, 2 * STAGE_MS * MS);
    ck_assert_uint_eq(expirations, 0);
    ck_assert(!timed_out());
    clock_step(&guest_clock, 3 * MS);
    ck_assert_uint_eq(expirations, 1);
    ck_assert(timed_out());
    clock_step(&guest_clock, 100 * NS_PER_S);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_is_kept_quiet_by_pings)
{
    start(1000, 3);
    for (unsigned i = 0; i < 20; i++) {
        clock_step(&guest_clock, (i % 2 ? 900 : 1900) * MS);
        ping();
    }
    ck_assert_uint_eq(expirations, 0);
    clock_step(&guest_clock, 2 * STAGE_MS * MS + 3 * MS);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_writes_need_the_unlock_sequence)
{
    start(1000, 3);
    clock_step(&guest_clock, 1500 * MS);
    put(RELOAD, 2, 0x100); /* locked */
    put(RELOAD, 2, 0x86);
    put(RELOAD, 2, 0x100); /* half a sequence */
    put(RELOAD, 2, 0x80);
    put(PRELOAD1, 4, 5);
    put(RELOAD, 2, 0x86); /* interrupted sequence */
    put(RELOAD, 2, 0x100);
    put(PRELOAD2, 4, 0xfffff);
    clock_step(&guest_clock, 500 * MS);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_locks_again_after_each_write)
{
    start(1000, 3);
    put_unlocked(PRELOAD1, 4, 1000);
    clock_step(&guest_clock, 1500 * MS);
    put(RELOAD, 2, 0x100);
    clock_step(&guest_clock, 500 * MS);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_first_stage_interrupts_when_asked)
{
    start(1000, 0);
    clock_step(&guest_clock, STAGE_MS * MS + 2 * MS);
    ck_assert(rig.line);
    ck_assert_uint_eq(bus_read(&rig.mmio, base + GINTSR, 1), 1);
    put(GINTSR, 1, 1);
    ck_assert(!rig.line);
    ck_assert_uint_eq(bus_read(&rig.mmio, base + GINTSR, 1), 0);
    ping();
    clock_step(&guest_clock, STAGE_MS * MS);
    ck_assert_uint_eq(expirations, 0);
}
END_TEST

START_TEST(watchdog_first_stage_is_silent_else)
{
    start(1000, (uint16_t)_i);
    clock_step(&guest_clock, STAGE_MS * MS + 2 * MS);
    ck_assert(!rig.line);
}
END_TEST

START_TEST(watchdog_output_can_be_off)
{
    start(1000, 0x23);
    clock_step(&guest_clock, 3 * NS_PER_S);
    ck_assert_uint_eq(expirations, 0);
    ck_assert(timed_out());
}
END_TEST

START_TEST(watchdog_runs_freely_without_firing)
{
    pci_config_write(func, CONFIG, 2, 3);
    put_unlocked(PRELOAD1, 4, 0);
    put_unlocked(PRELOAD2, 4, 0);
    pci_config_write(func, LOCK, 1, 6);
    uint64_t armings = guest_clock.armings;
    clock_step(&guest_clock, 100 * MS);
    ck_assert_uint_eq(expirations, 0);
    ck_assert(!timed_out());
    ck_assert_uint_le(guest_clock.armings - armings, 101); /* a ms each, though it says none */
}
END_TEST

START_TEST(watchdog_fast_steps_are_microseconds)
{
    start(100000, 7); /* 2^5 * 100000 / 33 MHz = 97 ms */
    clock_step(&guest_clock, 193 * MS);
    ck_assert_uint_eq(expirations, 0);
    clock_step(&guest_clock, 2 * MS);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_can_be_switched_off_unless_locked)
{
    start(1000, 3);
    pci_config_write(func, LOCK, 1, 0);
    clock_step(&guest_clock, 10 * NS_PER_S);
    ck_assert_uint_eq(expirations, 0);
    pci_config_write(func, LOCK, 1, 3);
    pci_config_write(func, LOCK, 1, 0);
    ck_assert_uint_eq(pci_config_read(func, LOCK, 1), 3);
    clock_step(&guest_clock, 10 * NS_PER_S);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

START_TEST(watchdog_reset_unlocks_but_remembers_the_timeout)
{
    start(1000, 3);
    pci_config_write(func, LOCK, 1, 3);
    clock_step(&guest_clock, 3 * NS_PER_S);
    dev->ops->reset(dev);
    ck_assert(timed_out());
    ck_assert_uint_eq(pci_config_read(func, LOCK, 1), 0);
    ck_assert_uint_eq(pci_config_read(func, CONFIG, 2), 0);
    clock_step(&guest_clock, 100 * NS_PER_S);
    ck_assert_uint_eq(expirations, 1);
    put_unlocked(RELOAD, 2, 0x200);
    ck_assert(!timed_out());
    start(1000, 3);
    ck_assert_uint_eq(pci_config_read(func, LOCK, 1), 2);
}
END_TEST

START_TEST(watchdog_survives_hostile_accesses)
{
    srandom(6);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned size = 1u << random() % 3;
        uint64_t val = (uint64_t)random();
        switch (random() % 4) {
        case 0:
            put((uint64_t)random() % 20, size, val);
            break;
        case 1:
            put_unlocked((uint64_t)random() % 20, size, val);
            break;
        case 2:
            pci_config_write(func, 0x3c + (unsigned)random() % 0x34, size, (uint32_t)val);
            break;
        default:
            bus_read(&rig.mmio, base + (uint64_t)random() % 20, size);
            clock_step(&guest_clock, val % (10 * MS));
        }
    }
    dev->ops->reset(dev);
    expirations = 0;
    start(1000, 3);
    clock_step(&guest_clock, 2 * NS_PER_S);
    ck_assert_uint_eq(expirations, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i6300esb");
    TCase *tc = tcase_create("i6300esb");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, watchdog_is_what_its_driver_looks_for);
    tcase_add_test(tc, watchdog_fires_after_both_stages);
    tcase_add_test(tc, watchdog_is_kept_quiet_by_pings);
    tcase_add_test(tc, watchdog_writes_need_the_unlock_sequence);
    tcase_add_test(tc, watchdog_locks_again_after_each_write);
    tcase_add_test(tc, watchdog_first_stage_interrupts_when_asked);
    tcase_add_loop_test(tc, watchdog_first_stage_is_silent_else, 1, 4);
    tcase_add_test(tc, watchdog_output_can_be_off);
    tcase_add_test(tc, watchdog_runs_freely_without_firing);
    tcase_add_test(tc, watchdog_fast_steps_are_microseconds);
    tcase_add_test(tc, watchdog_can_be_switched_off_unless_locked);
    tcase_add_test(tc, watchdog_reset_unlocks_but_remembers_the_timeout);
    tcase_add_test(tc, watchdog_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
