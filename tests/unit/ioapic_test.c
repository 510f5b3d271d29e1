// SPDX-License-Identifier: MIT
//
// The I/O APIC through its window, with a probe in place of the local APICs.
#include "devices/ioapic.h"

#include <check.h>
#include <stdlib.h>

#include "layout.h"
#include "tests/lib/suite.h"

#define SELECT IOAPIC_BASE
#define WINDOW (IOAPIC_BASE + 0x10)
#define MASKED 0x10000u
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define ACTIVE_LOW 0x2000u
#define LOGICAL 0x800u

static struct bus bus;
static struct ioapic io;
static struct apic_msg last;
static unsigned sent;
static bool taken;

static bool probe(void *opaque, const struct apic_msg *msg)
{
    (void)opaque;
    last = *msg;
    sent++;
    return taken;
}

static void setup(void)
{
    struct err err = {0};
    bus_init(&bus, "mmio", 0);
    sent = 0;
    taken = true;
    const struct ioapic_out out = {.send = probe};
    ck_assert_int_eq(ioapic_init(&io, &bus, out, &err), 0);
}

static void teardown(void)
{
    ioapic_fini(&io);
    ck_assert_uint_eq(bus.nregions, 0);
}

static uint32_t reg_read(unsigned reg)
{
    bus_write(&bus, SELECT, 4, reg);
    return (uint32_t)bus_read(&bus, WINDOW, 4);
}

static void reg_write(unsigned reg, uint32_t val)
{
    bus_write(&bus, SELECT, 4, reg);
    bus_write(&bus, WINDOW, 4, val);
}

static void route(unsigned pin, uint32_t low, unsigned dest)
{
    reg_write(0x11 + 2 * pin, dest << 24);
    reg_write(0x10 + 2 * pin, low);
}

static uint32_t low_of(unsigned pin)
{
    return reg_read(0x10 + 2 * pin);
}

START_TEST(ioapic_tells_its_version_and_size)
{
    ck_assert_uint_eq(reg_read(1), 0x170011);
    reg_write(1, 0);
    ck_assert_uint_eq(reg_read(1), 0x170011);
}
END_TEST

START_TEST(ioapic_id_has_four_bits)
{
    ck_assert_uint_eq(reg_read(0), IOAPIC_ID << 24);
    reg_write(0, 0xffffffff);
    ck_assert_uint_eq(reg_read(0), 0x0f000000);
    ck_assert_uint_eq(reg_read(2), 0x0f000000); /* arbitration */
}
END_TEST

START_TEST(ioapic_is_masked_out_of_reset)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        ck_assert_uint_eq(low_of(pin), MASKED);
        ck_assert_uint_eq(reg_read(0x11 + 2 * pin), 0);
        ioapic_set_pin(&io, pin, true);
    }
    ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(ioapic_entry_keeps_its_writable_bits)
{
    ioapic_set_pin(&io, 5, false);
    reg_write(0x1a, 0xffffffff);
    reg_write(0x1b, 0xffffffff);
    ck_assert_uint_eq(reg_read(0x1a), 0x1afff); /* without status and remote IRR */
    ck_assert_uint_eq(reg_read(0x1b), 0xff000000);
}
END_TEST

START_TEST(ioapic_entry_becomes_a_message)
{
    route(3, 0x51 | APIC_LOWEST << 8 | LOGICAL, 0x0c);
    ioapic_set_pin(&io, 3, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last.vector, 0x51);
    ck_assert_uint_eq(last.mode, APIC_LOWEST);
    ck_assert_uint_eq(last.dest, 0x0c);
    ck_assert_uint_eq(last.shorthand, APIC_DEST);
    ck_assert(last.logical && !last.level && !last.wide);
    route(3, 0x51, 0xff);
    ioapic_set_pin(&io, 3, false);
    ioapic_set_pin(&io, 3, true);
    ck_assert(!last.logical);
    ck_assert_uint_eq(last.mode, APIC_FIXED);
    ck_assert(apic_msg_is_broadcast(&last));
}
END_TEST

START_TEST(ioapic_edge_is_sent_once_a_rise)
{
    route(4, 0x40, 0);
    ioapic_set_pin(&io, 4, true);
    ioapic_set_pin(&io, 4, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(low_of(4) & REMOTE_IRR, 0);
    ioapic_set_pin(&io, 4, false);
    ck_assert_uint_eq(sent, 1);
    ioapic_set_pin(&io, 4, true);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(ioapic_masked_edge_is_lost)
{
    route(4, 0x40 | MASKED, 0);
    ioapic_set_pin(&io, 4, true);
    route(4, 0x40, 0);
    ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(ioapic_level_sets_remote_irr_until_eoi)
{
    route(10, 0x60 | LEVEL, 1);
    ioapic_set_pin(&io, 10, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert(last.level);
    ck_assert_uint_eq(low_of(10), 0x60 | LEVEL | REMOTE_IRR);
    ioapic_set_pin(&io, 10, false);
    ioapic_set_pin(&io, 10, true);
    ck_assert_uint_eq(sent, 1); /* not before the EOI */
    ioapic_eoi(&io, 0x61);
    ck_assert_uint_eq(sent, 1);
    ioapic_eoi(&io, 0x60);
    ck_assert_uint_eq(sent, 2); /* still high */
    ck_assert(low_of(10) & REMOTE_IRR);
    ioapic_set_pin(&io, 10, false);
    ioapic_eoi(&io, 0x60);
    ck_assert_uint_eq(sent, 2);
    ck_assert_uint_eq(low_of(10), 0x60 | LEVEL);
}
END_TEST

START_TEST(ioapic_active_low_is_still_assertion)
{
    route(11, 0x61 | LEVEL | ACTIVE_LOW, 0);
    ck_assert_uint_eq(sent, 0);
    ioapic_set_pin(&io, 11, true);
    ck_assert_uint_eq(sent, 1);
    ioapic_set_pin(&io, 11, false);
    ioapic_eoi(&io, 0x61);
    ck_assert_uint_eq(sent, 1);
}
END_TEST

START_TEST(ioapic_masked_level_waits)
{
    route(16, 0x70 | LEVEL | MASKED, 0);
    ioapic_set_pin(&io, 16, true);
    ck_assert_uint_eq(sent, 0);
    route(16, 0x70 | LEVEL, 0);
    ck_assert_uint_eq(sent, 1);
    route(16, 0x70 | LEVEL | MASKED, 0);
    ioapic_eoi(&io, 0x70); /* while masked: nothing is sent, but it is over */
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(low_of(16) & REMOTE_IRR, 0);
    route(16, 0x70 | LEVEL, 0);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(ioapic_shared_vector_ends_on_all_pins)
{
    route(16, 0x70 | LEVEL, 0);
    route(17, 0x70 | LEVEL, 0);
    ioapic_set_pin(&io, 16, true);
    ioapic_set_pin(&io, 17, true);
    ck_assert_uint_eq(sent, 2);
    ioapic_eoi(&io, 0x70);
    ck_assert_uint_eq(sent, 4);
}
END_TEST

START_TEST(ioapic_level_that_nobody_took_is_tried_again)
{
    taken = false;
    route(16, 0x70 | LEVEL, 9);
    ioapic_set_pin(&io, 16, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(low_of(16) & REMOTE_IRR, 0);
    taken = true;
    route(16, 0x70 | LEVEL, 0);
    ck_assert_uint_eq(sent, 2);
    ck_assert(low_of(16) & REMOTE_IRR);
}
END_TEST

START_TEST(ioapic_edge_mode_clears_remote_irr)
{
    route(16, 0x70 | LEVEL, 0);
    ioapic_set_pin(&io, 16, true);
    route(16, 0x70 | MASKED, 0);
    ck_assert_uint_eq(low_of(16), 0x70 | MASKED);
    route(16, 0x70 | LEVEL, 0);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(ioapic_remote_irr_cannot_be_written)
{
    route(16, 0x70 | LEVEL | REMOTE_IRR, 0);
    ck_assert_uint_eq(low_of(16), 0x70 | LEVEL);
    ioapic_set_pin(&io, 16, true);
    route(16, 0x71 | LEVEL, 0);
    ck_assert_uint_eq(low_of(16), 0x71 | LEVEL | REMOTE_IRR);
}
END_TEST

START_TEST(ioapic_modes_without_eoi_are_edges)
{
    static const unsigned modes[] = {APIC_NMI, APIC_INIT, APIC_EXTINT, APIC_SMI};
    for (unsigned i = 0; i < 4; i++) {
        route(20 + i, LEVEL | modes[i] << 8, 0);
        ioapic_set_pin(&io, 20 + i, true);
        ck_assert_uint_eq(sent, i + 1);
        ck_assert_uint_eq(last.mode, modes[i]);
        ck_assert(!last.level);
        ck_assert_uint_eq(low_of(20 + i) & REMOTE_IRR, 0);
    }
}
END_TEST

START_TEST(ioapic_reset_masks_but_wires_stay)
{
    route(16, 0x70 | LEVEL, 0);
    ioapic_set_pin(&io, 16, true);
    reg_write(0, 0x07000000);
    ioapic_reset(&io);
    ck_assert_uint_eq(low_of(16), MASKED);
    ck_assert_uint_eq(reg_read(0), IOAPIC_ID << 24);
    route(16, 0x70 | LEVEL, 0);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(ioapic_takes_data_by_32_bits_only)
{
    bus_write(&bus, SELECT, 1, 0x10);
    ck_assert_uint_eq(bus_read(&bus, SELECT, 1), 0x10);
    bus_write(&bus, WINDOW, 2, 0x1234);
    ck_assert_uint_eq(low_of(0), MASKED);
    ck_assert_uint_eq(bus_read(&bus, WINDOW + 2, 1), 1);
    bus_write(&bus, WINDOW + 0x30, 4, 0x40); /* no EOI register in this version */
    ck_assert_uint_eq(bus_read(&bus, WINDOW + 0x30, 4), 0);
}
END_TEST

START_TEST(ioapic_registers_past_the_end_do_not_exist)
{
    reg_write(0x40, 0xffffffff);
    ck_assert_uint_eq(reg_read(0x40), 0);
    reg_write(0xff, 0xffffffff);
    ck_assert_uint_eq(reg_read(0xff), 0);
    ck_assert_uint_eq(reg_read(3), 0);
    ioapic_set_pin(&io, IOAPIC_PINS, true);
    ioapic_set_pin(&io, ~0u, true);
    ck_assert_uint_eq(io.regs.lines, 0);
}
END_TEST

START_TEST(ioapic_survives_hostile_accesses)
{
    unsigned seed = 82093, wrong = 0;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = (unsigned)rand_r(&seed), v = (unsigned)rand_r(&seed) * 3u;
        uint64_t at = IOAPIC_BASE + (r & 1 ? r >> 4 & 0x3f : r & 2 ? 0 : 0x10);
        taken = r & 0x10000;
        switch (r >> 20 & 3) {
        case 0:
            bus_write(&bus, at, 1u << (r >> 2 & 3), v);
            break;
        case 1:
            bus_read(&bus, at, 1u << (r >> 2 & 3));
            break;
        case 2:
            ioapic_set_pin(&io, v % 32, r & 4);
            break;
        default:
            ioapic_eoi(&io, (uint8_t)v);
        }
        unsigned pin = v % IOAPIC_PINS; /* remote IRR belongs to level-triggered entries */
        uint64_t e = io.regs.redir[pin];
        wrong += (e & REMOTE_IRR) && !(e & LEVEL);
        wrong += (e & 0x00fffffffffe1000ull) != 0;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(sent, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ioapic");
    TCase *tc = tcase_create("ioapic");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ioapic_tells_its_version_and_size);
    tcase_add_test(tc, ioapic_id_has_four_bits);
    tcase_add_test(tc, ioapic_is_masked_out_of_reset);
    tcase_add_test(tc, ioapic_entry_keeps_its_writable_bits);
    tcase_add_test(tc, ioapic_entry_becomes_a_message);
    tcase_add_test(tc, ioapic_edge_is_sent_once_a_rise);
    tcase_add_test(tc, ioapic_masked_edge_is_lost);
    tcase_add_test(tc, ioapic_level_sets_remote_irr_until_eoi);
    tcase_add_test(tc, ioapic_active_low_is_still_assertion);
    tcase_add_test(tc, ioapic_masked_level_waits);
    tcase_add_test(tc, ioapic_shared_vector_ends_on_all_pins);
    tcase_add_test(tc, ioapic_level_that_nobody_took_is_tried_again);
    tcase_add_test(tc, ioapic_edge_mode_clears_remote_irr);
    tcase_add_test(tc, ioapic_remote_irr_cannot_be_written);
    tcase_add_test(tc, ioapic_modes_without_eoi_are_edges);
    tcase_add_test(tc, ioapic_reset_masks_but_wires_stay);
    tcase_add_test(tc, ioapic_takes_data_by_32_bits_only);
    tcase_add_test(tc, ioapic_registers_past_the_end_do_not_exist);
    tcase_add_test(tc, ioapic_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
