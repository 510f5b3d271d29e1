// SPDX-License-Identifier: MIT
//
// The 8259A pair through its ports, against the datasheet's command words and priority tables.
#include "devices/pic.h"

#include <check.h>
#include <stdlib.h>

#include "tests/lib/suite.h"
#include "util.h"

#define CMD 0x20
#define DATA 0x21
#define CMD2 0xa0
#define DATA2 0xa1
#define EOI 0x20
#define SPECIFIC_EOI 0x60
#define READ_IRR 0x0a
#define READ_ISR 0x0b

static struct bus bus;
static struct pic pic;
static bool out_level;
static unsigned rises;

static void probe(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    if (level && !out_level)
        rises++;
    out_level = level;
}

static void outb(uint64_t port, unsigned val)
{
    bus_write(&bus, port, 1, val);
}

static unsigned inb(uint64_t port)
{
    return (unsigned)bus_read(&bus, port, 1);
}

static unsigned irr(unsigned chip)
{
    outb(chip ? CMD2 : CMD, READ_IRR);
    return inb(chip ? CMD2 : CMD);
}

static unsigned isr(unsigned chip)
{
    outb(chip ? CMD2 : CMD, READ_ISR);
    return inb(chip ? CMD2 : CMD);
}

/* As PCs do: vectors from 0x30 and 0x38, cascade on 2, no masks. */
static void program(unsigned icw4)
{
    outb(CMD, 0x11);
    outb(DATA, 0x30);
    outb(DATA, 0x04);
    outb(DATA, icw4);
    outb(CMD2, 0x11);
    outb(DATA2, 0x38);
    outb(DATA2, 0x02);
    outb(DATA2, icw4);
    outb(DATA, 0);
    outb(DATA2, 0);
}

static void setup(void)
{
    struct err err = {0};
    bus_init(&bus, "pio", 65536);
    out_level = false;
    rises = 0;
    const struct irq_line out = {.set = probe};
    ck_assert_int_eq(pic_init(&pic, &bus, out, &err), 0);
    program(1);
}

static void teardown(void)
{
    pic_fini(&pic);
    ck_assert_uint_eq(bus.nregions, 0);
}

static void pulse(unsigned pin)
{
    pic_set_pin(&pic, pin, true);
    pic_set_pin(&pic, pin, false);
}

START_TEST(pic_requests_nothing_before_it_is_initialised)
{
    pic_reset(&pic);
    pulse(1);
    ck_assert(!out_level);
    outb(DATA, 0xfb); /* the mask can be probed before */
    ck_assert_uint_eq(inb(DATA), 0xfb);
    outb(CMD, 0x11);
    pulse(1);
    outb(DATA, 0x30);
    outb(DATA, 4);
    ck_assert(!out_level);
    outb(DATA, 1);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x31);
}
END_TEST

START_TEST(pic_edge_is_acknowledged_once)
{
    pic_set_pin(&pic, 4, true);
    ck_assert(out_level);
    ck_assert_uint_eq(irr(0), 0x10);
    ck_assert_int_eq(pic_intack(&pic), 0x34);
    ck_assert_uint_eq(irr(0), 0);
    ck_assert_uint_eq(isr(0), 0x10);
    outb(CMD, EOI);
    ck_assert_uint_eq(isr(0), 0);
    ck_assert(!out_level); /* still high, but that is no edge */
    pic_set_pin(&pic, 4, false);
    pic_set_pin(&pic, 4, true);
    ck_assert(out_level);
}
END_TEST

START_TEST(pic_pulse_is_latched)
{
    pulse(4);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x34);
}
END_TEST

START_TEST(pic_level_asks_again_after_eoi)
{
    outb(0x4d1, 0x0c); /* 10 and 11 */
    pic_set_pin(&pic, 11, true);
    ck_assert_int_eq(pic_intack(&pic), 0x3b);
    ck_assert_uint_eq(irr(1), 0x08); /* follows the line */
    ck_assert(!out_level);
    outb(CMD2, EOI);
    outb(CMD, EOI);
    ck_assert(out_level);
    pic_set_pin(&pic, 11, false);
    ck_assert_uint_eq(irr(1), 0);
    outb(CMD2, EOI);
    outb(CMD, EOI);
}
END_TEST

START_TEST(pic_ltim_makes_all_pins_level)
{
    outb(CMD, 0x19);
    outb(DATA, 0x30);
    outb(DATA, 0x04);
    outb(DATA, 0x01);
    pic_set_pin(&pic, 3, true);
    ck_assert(out_level);
    pic_set_pin(&pic, 3, false);
    ck_assert(!out_level);
}
END_TEST

START_TEST(pic_elcr_leaves_the_fixed_pins_edge)
{
    outb(0x4d0, 0xff);
    outb(0x4d1, 0xff);
    ck_assert_uint_eq(inb(0x4d0), 0xf8);
    ck_assert_uint_eq(inb(0x4d1), 0xde);
}
END_TEST

START_TEST(pic_elcr_change_follows_the_line)
{
    pic_set_pin(&pic, 5, true);
    ck_assert_int_eq(pic_intack(&pic), 0x35);
    outb(CMD, EOI);
    ck_assert(!out_level);
    outb(0x4d0, 0x20);
    ck_assert(out_level);
    outb(0x4d0, 0);
    ck_assert(!out_level);
}
END_TEST

START_TEST(pic_lower_numbers_have_priority)
{
    pulse(7);
    pulse(3);
    pulse(1);
    ck_assert_int_eq(pic_intack(&pic), 0x31);
    ck_assert(!out_level); /* 3 and 7 wait for the end of 1 */
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x33);
    pulse(0);
    ck_assert(out_level); /* nests */
    ck_assert_int_eq(pic_intack(&pic), 0x30);
    ck_assert_uint_eq(isr(0), 0x09);
    outb(CMD, EOI); /* the highest in service */
    ck_assert_uint_eq(isr(0), 0x08);
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x37);
}
END_TEST

START_TEST(pic_masks_hold_requests_back)
{
    outb(DATA, 0x10);
    ck_assert_uint_eq(inb(DATA), 0x10);
    pulse(4);
    ck_assert(!out_level);
    ck_assert_uint_eq(irr(0), 0x10); /* the request register shows what is masked too */
    outb(DATA, 0);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x34);
}
END_TEST

START_TEST(pic_cascade_needs_two_eois)
{
    pulse(8);
    ck_assert_int_eq(pic_intack(&pic), 0x38);
    ck_assert_uint_eq(isr(0), 0x04);
    ck_assert_uint_eq(isr(1), 0x01);
    outb(CMD2, EOI);
    pulse(12);
    ck_assert(!out_level); /* the first chip still serves pin 2 */
    outb(CMD, EOI);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x3c);
}
END_TEST

START_TEST(pic_second_chip_ranks_as_pin_2)
{
    pulse(3);
    pulse(15);
    pulse(1);
    ck_assert_int_eq(pic_intack(&pic), 0x31);
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x3f);
    outb(CMD2, EOI);
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x33);
}
END_TEST

START_TEST(pic_special_fully_nested_lets_the_second_chip_nest)
{
    program(0x11);
    pulse(12);
    ck_assert_int_eq(pic_intack(&pic), 0x3c);
    pulse(14); /* lower on the second chip */
    ck_assert(!out_level);
    pulse(3); /* lower on the first */
    ck_assert(!out_level);
    pulse(9);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x39);
    ck_assert_uint_eq(isr(1), 0x12);
    ck_assert_uint_eq(isr(0), 0x04);
    program(1);
    pulse(12);
    ck_assert_int_eq(pic_intack(&pic), 0x3c);
    pulse(9); /* without it, pin 2 in service holds pin 2 back */
    ck_assert(!out_level);
}
END_TEST

START_TEST(pic_auto_eoi_ends_at_once)
{
    program(3);
    pulse(5);
    pulse(6);
    ck_assert_int_eq(pic_intack(&pic), 0x35);
    ck_assert_uint_eq(isr(0), 0);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x36);
    ck_assert(!out_level);
    pulse(8);
    pulse(9);
    ck_assert_int_eq(pic_intack(&pic), 0x38);
    ck_assert(out_level); /* INT of the second chip fell and rose */
    ck_assert_int_eq(pic_intack(&pic), 0x39);
    ck_assert(!out_level);
}
END_TEST

START_TEST(pic_output_falls_for_each_acknowledge)
{
    program(3);
    rises = 0;
    pulse(0);
    pulse(1);
    ck_assert_uint_eq(rises, 1);
    pic_intack(&pic);
    ck_assert_uint_eq(rises, 2);
}
END_TEST

START_TEST(pic_rotation_in_auto_eoi)
{
    program(3);
    outb(CMD, 0x80);
    pulse(0);
    ck_assert_int_eq(pic_intack(&pic), 0x30); /* now 0 is the lowest */
    pulse(0);
    pulse(6);
    ck_assert_int_eq(pic_intack(&pic), 0x36);
    outb(CMD, 0x00);
    ck_assert_int_eq(pic_intack(&pic), 0x30);
    pulse(0);
    pulse(7); /* 6 stayed the lowest */
    ck_assert_int_eq(pic_intack(&pic), 0x37);
}
END_TEST

START_TEST(pic_rotate_on_non_specific_eoi)
{
    pulse(4);
    pic_intack(&pic);
    outb(CMD, 0xa0); /* 4 becomes the lowest */
    ck_assert_uint_eq(isr(0), 0);
    pulse(4);
    pulse(5);
    pulse(3);
    ck_assert_int_eq(pic_intack(&pic), 0x35);
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x33);
    outb(CMD, EOI);
    ck_assert_int_eq(pic_intack(&pic), 0x34);
}
END_TEST

START_TEST(pic_specific_commands_name_their_level)
{
    pulse(4);
    pic_intack(&pic);
    pulse(1);
    pic_intack(&pic);
    outb(CMD, SPECIFIC_EOI | 4);
    ck_assert_uint_eq(isr(0), 0x02);
    outb(CMD, 0xe0 | 1); /* and 1 becomes the lowest */
    ck_assert_uint_eq(isr(0), 0);
    pulse(0);
    pulse(3);
    ck_assert_int_eq(pic_intack(&pic), 0x33);
    outb(CMD, SPECIFIC_EOI | 3);
    outb(CMD, 0xc0 | 6); /* set priority: 7 is the highest */
    pulse(7);
    ck_assert_int_eq(pic_intack(&pic), 0x37);
    outb(CMD, 0x40 | 7); /* no operation */
    ck_assert_uint_eq(isr(0), 0x80);
}
END_TEST

START_TEST(pic_eoi_with_nothing_in_service_does_nothing)
{
    outb(CMD, EOI);
    outb(CMD, 0xa0);
    pulse(0);
    pulse(7);
    ck_assert_int_eq(pic_intack(&pic), 0x30);
}
END_TEST

START_TEST(pic_special_mask_lets_lower_levels_through)
{
    pulse(2 + 1);
    ck_assert_int_eq(pic_intack(&pic), 0x33);
    outb(DATA, 0x08);
    outb(CMD, 0x68); /* on */
    pulse(6);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x36);
    outb(CMD, EOI); /* non-specific: passes over the masked level */
    ck_assert_uint_eq(isr(0), 0x08);
    outb(CMD, 0x28); /* ESMM clear: no change */
    pulse(6);
    ck_assert(out_level);
    outb(CMD, 0x48); /* off */
    ck_assert(!out_level);
    outb(CMD, SPECIFIC_EOI | 3);
    ck_assert(out_level);
}
END_TEST

START_TEST(pic_poll_acknowledges_by_reading)
{
    outb(CMD, 0x0c);
    ck_assert_uint_eq(inb(CMD), 0);
    pulse(5);
    outb(CMD, 0x0c);
    ck_assert_uint_eq(inb(CMD), 0x85);
    ck_assert_uint_eq(isr(0), 0x20);
    ck_assert(!out_level);
    pulse(9);
    outb(CMD2, 0x0c);
    ck_assert_uint_eq(inb(DATA2), 0x81); /* either port */
    ck_assert_uint_eq(isr(1), 0x02);
    ck_assert_uint_eq(inb(DATA2), 0); /* one read only: the mask again */
}
END_TEST

START_TEST(pic_spurious_7_is_not_in_service)
{
    outb(0x4d0, 0x20);
    pic_set_pin(&pic, 5, true);
    ck_assert(out_level);
    pic_set_pin(&pic, 5, false);
    ck_assert_int_eq(pic_intack(&pic), 0x37);
    ck_assert_uint_eq(isr(0), 0);
}
END_TEST

START_TEST(pic_spurious_15_leaves_the_cascade_in_service)
{
    pulse(10);
    outb(DATA2, 0xff);
    ck_assert_int_eq(pic_intack(&pic), 0x3f);
    ck_assert_uint_eq(isr(1), 0);
    ck_assert_uint_eq(isr(0), 0x04);
}
END_TEST

START_TEST(pic_icw1_starts_over)
{
    outb(DATA, 0x40);
    outb(CMD, 0xc0 | 3);
    outb(CMD, READ_ISR);
    pulse(1);
    pic_intack(&pic);
    pulse(5);
    outb(CMD, 0x11);
    ck_assert_uint_eq(inb(CMD), 0); /* shows IRR, and the edge is forgotten */
    ck_assert_uint_eq(inb(DATA), 0);
    outb(DATA, 0x50);
    outb(DATA, 4);
    outb(DATA, 1);
    ck_assert_uint_eq(isr(0), 0);
    pulse(0);
    pulse(4);
    ck_assert_int_eq(pic_intack(&pic), 0x50); /* 7 is the lowest again */
}
END_TEST

START_TEST(pic_level_request_outlives_icw1)
{
    outb(0x4d0, 0x20);
    pic_set_pin(&pic, 5, true);
    program(1);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x35);
}
END_TEST

START_TEST(pic_icw1_without_ic4_clears_its_functions)
{
    program(3);
    outb(CMD, 0x10);
    outb(DATA, 0x33); /* low bits of the vector are the pin */
    outb(DATA, 4);
    outb(DATA, 0x80); /* no ICW4: this is the mask */
    ck_assert_uint_eq(inb(DATA), 0x80);
    pulse(1);
    ck_assert_int_eq(pic_intack(&pic), 0x31);
    ck_assert_uint_eq(isr(0), 0x02);
}
END_TEST

START_TEST(pic_single_mode_has_no_icw3)
{
    outb(CMD, 0x13);
    outb(DATA, 0x60);
    outb(DATA, 0x03);
    pulse(1);
    ck_assert_int_eq(pic_intack(&pic), 0x61);
    ck_assert_uint_eq(isr(0), 0);
}
END_TEST

START_TEST(pic_first_chip_can_be_initialised_alone)
{
    pulse(8);
    outb(CMD, 0x11);
    outb(DATA, 0x30);
    outb(DATA, 4);
    outb(DATA, 1);
    ck_assert(out_level);
    ck_assert_int_eq(pic_intack(&pic), 0x38);
}
END_TEST

START_TEST(pic_cascade_pin_cannot_be_driven)
{
    pic_set_pin(&pic, 2, true);
    pic_set_pin(&pic, 16, true);
    ck_assert(!out_level);
    ck_assert_uint_eq(irr(0), 0);
}
END_TEST

START_TEST(pic_word_access_reaches_both_ports)
{
    bus_write(&bus, DATA - 1, 2, 0xaa00 | READ_ISR);
    ck_assert_uint_eq(inb(DATA), 0xaa);
}
END_TEST

START_TEST(pic_reset_keeps_wires_and_lowers_the_output)
{
    pic_set_pin(&pic, 1, true);
    pic_reset(&pic);
    ck_assert(!out_level);
    program(1);
    ck_assert(!out_level);
    pic_set_pin(&pic, 1, true);
    ck_assert(!out_level); /* not an edge: it was high all along */
}
END_TEST

START_TEST(pic_create_refuses_taken_ports)
{
    struct pic other;
    struct err err = {0};
    ck_assert_int_lt(pic_init(&other, &bus, (struct irq_line){0}, &err), 0);
    ck_assert_str_ne(err.msg, "");
    ck_assert_uint_eq(bus.nregions, 3);
}
END_TEST

/* Whatever is written, a vector is one of the chip's, and INT agrees with the registers. */
START_TEST(pic_survives_hostile_accesses)
{
    static const uint16_t ports[] = {CMD, DATA, CMD2, DATA2, 0x4d0, 0x4d1};
    unsigned seed = 8259, wrong = 0;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        uint16_t port = ports[r % ARRAY_LEN(ports)];
        switch (r >> 8 & 3) {
        case 0:
            bus_write(&bus, port, 1u << (r >> 10 & 1), (unsigned)rand_r(&seed));
            break;
        case 1:
            wrong += inb(port) > 0xff;
            break;
        case 2:
            pic_set_pin(&pic, r >> 16 & 15, r & 0x1000);
            break;
        default:
            if (out_level) {
                int vector = pic_intack(&pic);
                wrong += vector < 0 || vector > 0xff;
            }
        }
        for (unsigned c = 0; c < 2; c++)
            wrong += pic.regs.chip[c].lowest > 7;
        wrong += out_level && !(pic.regs.chip[0].irr & ~pic.regs.chip[0].imr);
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(rises, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pic");
    TCase *tc = tcase_create("pic");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, pic_requests_nothing_before_it_is_initialised);
    tcase_add_test(tc, pic_edge_is_acknowledged_once);
    tcase_add_test(tc, pic_pulse_is_latched);
    tcase_add_test(tc, pic_level_asks_again_after_eoi);
    tcase_add_test(tc, pic_ltim_makes_all_pins_level);
    tcase_add_test(tc, pic_elcr_leaves_the_fixed_pins_edge);
    tcase_add_test(tc, pic_elcr_change_follows_the_line);
    tcase_add_test(tc, pic_lower_numbers_have_priority);
    tcase_add_test(tc, pic_masks_hold_requests_back);
    tcase_add_test(tc, pic_cascade_needs_two_eois);
    tcase_add_test(tc, pic_second_chip_ranks_as_pin_2);
    tcase_add_test(tc, pic_special_fully_nested_lets_the_second_chip_nest);
    tcase_add_test(tc, pic_auto_eoi_ends_at_once);
    tcase_add_test(tc, pic_output_falls_for_each_acknowledge);
    tcase_add_test(tc, pic_rotation_in_auto_eoi);
    tcase_add_test(tc, pic_rotate_on_non_specific_eoi);
    tcase_add_test(tc, pic_specific_commands_name_their_level);
    tcase_add_test(tc, pic_eoi_with_nothing_in_service_does_nothing);
    tcase_add_test(tc, pic_special_mask_lets_lower_levels_through);
    tcase_add_test(tc, pic_poll_acknowledges_by_reading);
    tcase_add_test(tc, pic_spurious_7_is_not_in_service);
    tcase_add_test(tc, pic_spurious_15_leaves_the_cascade_in_service);
    tcase_add_test(tc, pic_icw1_starts_over);
    tcase_add_test(tc, pic_level_request_outlives_icw1);
    tcase_add_test(tc, pic_icw1_without_ic4_clears_its_functions);
    tcase_add_test(tc, pic_single_mode_has_no_icw3);
    tcase_add_test(tc, pic_first_chip_can_be_initialised_alone);
    tcase_add_test(tc, pic_cascade_pin_cannot_be_driven);
    tcase_add_test(tc, pic_word_access_reaches_both_ports);
    tcase_add_test(tc, pic_reset_keeps_wires_and_lowers_the_output);
    tcase_add_test(tc, pic_create_refuses_taken_ports);
    tcase_add_test(tc, pic_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
