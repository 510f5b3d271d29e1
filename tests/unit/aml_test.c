// SPDX-License-Identifier: MIT
//
// Encodings of the AML writer, byte for byte (ACPI 6.4 sections 20.2 and 6.4).
#include <check.h>

#include "devices/acpi/aml.h"
#include "tests/lib/suite.h"
#include "util.h"

static uint8_t buf[0x110000];
static struct aml a;

static void setup(void)
{
    aml_init(&a, buf, sizeof buf);
}

/* All that was written so far is exactly these bytes; start anew. */
#define expect(...)                                                                                \
    do {                                                                                           \
        const uint8_t want[] = {__VA_ARGS__};                                                      \
        ck_assert(!a.failed);                                                                      \
        ck_assert_uint_eq(a.depth, 0);                                                             \
        ck_assert_uint_eq(a.len, sizeof want);                                                     \
        ck_assert_mem_eq(buf, want, sizeof want);                                                  \
        setup();                                                                                   \
    } while (0)

START_TEST(integers_take_their_shortest_form)
{
    aml_int(&a, 0);
    expect(0x00);
    aml_int(&a, 1);
    expect(0x01);
    aml_int(&a, 2);
    expect(0x0a, 0x02);
    aml_int(&a, 0xff);
    expect(0x0a, 0xff);
    aml_int(&a, 0x100);
    expect(0x0b, 0x00, 0x01);
    aml_int(&a, 0xffff);
    expect(0x0b, 0xff, 0xff);
    aml_int(&a, 0x10000);
    expect(0x0c, 0x00, 0x00, 0x01, 0x00);
    aml_int(&a, 0xffffffff);
    expect(0x0c, 0xff, 0xff, 0xff, 0xff);
    aml_int(&a, 0x100000000ull);
    expect(0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}
END_TEST

START_TEST(eisa_ids_are_compressed)
{
    aml_eisaid(&a, "PNP0A03");
    expect(0x0c, 0x41, 0xd0, 0x0a, 0x03);
    aml_eisaid(&a, "PNP0C0F");
    expect(0x0c, 0x41, 0xd0, 0x0c, 0x0f);
    aml_eisaid(&a, "PNP0501");
    expect(0x0c, 0x41, 0xd0, 0x05, 0x01);
    aml_eisaid(&a, "PNP05");
    ck_assert(a.failed);
}
END_TEST

START_TEST(strings_end_in_zero)
{
    aml_string(&a, "hi");
    expect(0x0d, 'h', 'i', 0);
}
END_TEST

START_TEST(names_are_padded_and_prefixed)
{
    aml_path(&a, "PCI0");
    expect('P', 'C', 'I', '0');
    aml_path(&a, "_SB");
    expect('_', 'S', 'B', '_');
    aml_path(&a, "\\_SB.PCI0");
    expect('\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
    aml_path(&a, "^^A.B.C");
    expect('^', '^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_');
    aml_path(&a, "\\");
    expect('\\', 0);
    aml_path(&a, "TOOLONG");
    ck_assert(a.failed);
}
END_TEST

START_TEST(constructs_nest)
{
    aml_scope(&a, "_SB");
    aml_device(&a, "DEV0");
    aml_name(&a, "_UID");
    aml_int(&a, 1);
    aml_close(&a);
    aml_close(&a);
    expect(0x10, 0x12, '_', 'S', 'B', '_',            /* Scope (_SB) */
           0x5b, 0x82, 0x0b, 'D', 'E', 'V', '0',      /* Device (DEV0) */
           0x08, '_', 'U', 'I', 'D', 0x01);           /* Name (_UID, One) */
}
END_TEST

START_TEST(package_buffer_and_method)
{
    aml_package(&a, 2);
    aml_int(&a, 5);
    aml_int(&a, 0);
    aml_close(&a);
    expect(0x12, 0x05, 0x02, 0x0a, 0x05, 0x00);
    aml_buffer(&a, "\x01\x02\x03", 3);
    expect(0x11, 0x06, 0x0a, 0x03, 1, 2, 3);
    aml_method(&a, "_OSC", 4, true);
    aml_if(&a);
    aml_op(&a, AML_ARG0);
    aml_op(&a, AML_RETURN);
    aml_op(&a, AML_ARG3);
    aml_close(&a);
    aml_close(&a);
    expect(0x14, 0x0b, '_', 'O', 'S', 'C', 0x0c, 0xa0, 0x04, 0x68, 0xa4, 0x6b);
}
END_TEST

/*
 * A method-less construct whose body is `body` bytes: the length that comes out, and that the
 * body came through.
 */
static size_t length_of(size_t body, uint8_t out[4])
{
    setup();
    aml_if(&a);
    for (size_t i = 0; i < body; i++)
        aml_u8(&a, (uint8_t)(i * 7));
    aml_close(&a);
    ck_assert(!a.failed);
    size_t n = a.len - 1 - body;
    memcpy(out, buf + 1, n);
    for (size_t i = 0; i < body; i++)
        ck_assert_uint_eq(buf[1 + n + i], (uint8_t)(i * 7));
    return n;
}

START_TEST(package_lengths_at_their_boundaries)
{
    static const struct {
        size_t body, bytes;
        uint8_t want[4];
    } cases[] = {
        {0, 1, {0x01}},
        {61, 1, {0x3e}},
        {62, 1, {0x3f}},                        /* 63 in all */
        {63, 2, {0x41, 0x04}},                  /* 65: 64 cannot be had */
        {4093, 2, {0x4f, 0xff}},                /* 4095 */
        {4094, 3, {0x81, 0x00, 0x01}},          /* 4097 */
        {0xffffc, 3, {0x8f, 0xff, 0xff}},       /* 2^20 - 1 */
        {0xffffd, 4, {0xc1, 0x00, 0x00, 0x01}}, /* 2^20 + 1 */
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t got[4];
        ck_assert_uint_eq(length_of(cases[i].body, got), cases[i].bytes);
        ck_assert_mem_eq(got, cases[i].want, cases[i].bytes);
    }
}
END_TEST

START_TEST(resource_template_has_size_and_end_tag)
{
    aml_resources(&a);
    aml_close(&a);
    expect(0x11, 0x05, 0x0a, 0x02, 0x79, 0x00);
    aml_resources(&a);
    aml_res_io(&a, 0x3f8, 8);
    aml_res_irq(&a, 4);
    aml_close(&a);
    expect(0x11, 0x10, 0x0a, 0x0d,                                  /* Buffer (13) */
           0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,          /* IO */
           0x22, 0x10, 0x00,                                        /* IRQNoFlags {4} */
           0x79, 0x00);
}
END_TEST

START_TEST(resource_descriptors)
{
    aml_res_memory32(&a, 0xfeb00000, 0x1000);
    expect(0x86, 9, 0, 1, 0x00, 0x00, 0xb0, 0xfe, 0x00, 0x10, 0x00, 0x00);
    aml_res_gsi_level_high(&a, 16);
    expect(0x89, 6, 0, 0x01, 1, 16, 0, 0, 0);
    aml_res_bus_window(&a, 0, 0);
    expect(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0);
    aml_res_io_window(&a, 0xd00, 0xffff);
    expect(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0x00, 0x0d, 0xff, 0xff, 0, 0, 0x00, 0xf3);
    aml_res_memory_window(&a, 0xc0000000, 0xdfffffff);
    expect(0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0xc0, /* minimum */
           0xff, 0xff, 0xff, 0xdf, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0x20);
}
END_TEST

START_TEST(full_buffer_and_wrong_nesting_are_remembered)
{
    uint8_t small[8] = {0};
    aml_init(&a, small, 4);
    aml_u32(&a, 1);
    ck_assert(!a.failed);
    aml_u8(&a, 9);
    ck_assert(a.failed);
    ck_assert_uint_eq(small[4], 0);
    aml_init(&a, small, 5);
    aml_scope(&a, "_SB"); /* fits, but its length will not */
    ck_assert(!a.failed);
    aml_close(&a);
    ck_assert(a.failed);
    ck_assert_uint_eq(small[5], 0);
    setup();
    aml_close(&a);
    ck_assert(a.failed);
    setup();
    for (unsigned i = 0; i < AML_DEPTH + 1; i++)
        aml_if(&a);
    ck_assert(a.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aml");
    TCase *tc = tcase_create("aml");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, integers_take_their_shortest_form);
    tcase_add_test(tc, eisa_ids_are_compressed);
    tcase_add_test(tc, strings_end_in_zero);
    tcase_add_test(tc, names_are_padded_and_prefixed);
    tcase_add_test(tc, constructs_nest);
    tcase_add_test(tc, package_buffer_and_method);
    tcase_add_test(tc, package_lengths_at_their_boundaries);
    tcase_add_test(tc, resource_template_has_size_and_end_tag);
    tcase_add_test(tc, resource_descriptors);
    tcase_add_test(tc, full_buffer_and_wrong_nesting_are_remembered);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
