// SPDX-License-Identifier: MIT
//
// Page tables looked at from outside, against tables built here.
#include <check.h>
#include <stdlib.h>

#include "src/accel/walk.h"
#include "util.h"

static struct gmem gm;

static void put64(gpa_t at, uint64_t val)
{
    ck_assert(!gmem_write(&gm, at, &val, 8));
}

static void put32(gpa_t at, uint32_t val)
{
    ck_assert(!gmem_write(&gm, at, &val, 4));
}

static void make_ram(void)
{
    struct err err;
    ck_assert(!gmem_init(&gm, MIB(2), 0xc0000000, 1ull << 32, &err));
}

static void drop_ram(void)
{
    gmem_fini(&gm);
}

static uint64_t leads(const struct cpu_state *cpu, uint64_t va)
{
    gpa_t gpa;
    return walk_linear(&gm, cpu, va, &gpa) ? gpa : UINT64_MAX;
}

START_TEST(without_paging_an_address_is_its_own)
{
    struct cpu_state cpu = {.cr0 = 1};
    ck_assert_uint_eq(leads(&cpu, 0x12345), 0x12345);
    ck_assert_uint_eq(leads(&cpu, 1ull << 32), UINT64_MAX);
}
END_TEST

START_TEST(paging_of_32_bits_knows_large_pages_only_with_pse)
{
    struct cpu_state cpu = {.cr0 = 0x80000001, .cr3 = 0x1000};
    put32(0x1000 + 4 * 1, 0x2001);
    put32(0x2000 + 4 * 3, 0x7007);
    put32(0x1000 + 4 * 2, 0x00c00081 | 5 << 13);
    ck_assert_uint_eq(leads(&cpu, 0x403123), 0x7123);
    ck_assert_uint_eq(leads(&cpu, 0x404000), UINT64_MAX);
    ck_assert_uint_eq(leads(&cpu, 0xc00000), UINT64_MAX);
    ck_assert_uint_ne(leads(&cpu, 0x812345), 0x500c12345);
    cpu.cr4 = 1 << 4;
    ck_assert_uint_eq(leads(&cpu, 0x812345), 0x500c12345);
}
END_TEST

START_TEST(pae_begins_at_four_entries)
{
    struct cpu_state cpu = {.cr0 = 0x80000001, .cr4 = 1 << 5, .cr3 = 0x1020};
    put64(0x1020 + 8 * 3, 0x2001);
    put64(0x2000 + 8 * 1, 0x3003);
    put64(0x3000 + 8 * 2, 0x9003 | 1ull << 63);
    put64(0x2000 + 8 * 5, 0x1200083);
    ck_assert_uint_eq(leads(&cpu, 0xc0202fff), 0x9fff);
    ck_assert_uint_eq(leads(&cpu, 0xc0b23456), 0x1323456);
    ck_assert_uint_eq(leads(&cpu, 0x00202000), UINT64_MAX);
}
END_TEST

static struct cpu_state long_mode(void)
{
    return (struct cpu_state){.cr0 = 0x80000001, .cr4 = 1 << 5, .efer = 1 << 10, .cr3 = 0x1005};
}

START_TEST(four_levels_have_pages_of_each_size)
{
    struct cpu_state cpu = long_mode();
    put64(0x1000 + 8 * 511, 0x2003);
    put64(0x2000 + 8 * 510, 0x3003);
    put64(0x3000 + 8 * 0, 0x4003);
    put64(0x4000 + 8 * 7, 0x8003);
    put64(0x3000 + 8 * 1, 0x10000083);
    put64(0x2000 + 8 * 511, 0x40000083);
    ck_assert_uint_eq(leads(&cpu, 0xffffffff80007abc), 0x8abc);
    ck_assert_uint_eq(leads(&cpu, 0xffffffff80234567), 0x10034567);
    ck_assert_uint_eq(leads(&cpu, 0xffffffffc1234567), 0x41234567);
    ck_assert_uint_eq(leads(&cpu, 0xffffffff80008000), UINT64_MAX);
    ck_assert_uint_eq(leads(&cpu, 0x0000ff8000000000), UINT64_MAX); /* not canonical */
}
END_TEST

START_TEST(five_levels_and_tables_outside_ram)
{
    struct cpu_state cpu = long_mode();
    cpu.cr4 |= 1 << 12;
    put64(0x1000 + 8 * 1, 0x2003);
    put64(0x2000, 0x3003);
    put64(0x3000, 0x4000083);
    /* 1 GiB pages ignore the bits inside */
    ck_assert_uint_eq(leads(&cpu, 1ull << 48 | 0x123), 0x123);
    put64(0x2000, 0x7ffffff000003);
    ck_assert_uint_eq(leads(&cpu, 1ull << 48), UINT64_MAX);
    cpu.cr3 = ~0ull;
    ck_assert_uint_eq(leads(&cpu, 0), UINT64_MAX);
}
END_TEST

START_TEST(what_is_not_present_leads_nowhere_at_each_level)
{
    struct cpu_state cpu = long_mode();
    static const gpa_t way[] = {0x1000, 0x2000, 0x3000, 0x4000};
    for (unsigned missing = 0; missing < 4; missing++) {
        for (unsigned n = 0; n < 4; n++)
            put64(way[n], (n < 3 ? way[n + 1] : 0x5000) | (n == missing ? 2 : 3));
        ck_assert_uint_eq(leads(&cpu, 0x678), UINT64_MAX);
    }
    put64(0x4000, 0x5003);
    ck_assert_uint_eq(leads(&cpu, 0x678), 0x5678);
}
END_TEST

START_TEST(pae_has_no_pages_of_a_gigabyte)
{
    struct cpu_state cpu = {.cr0 = 0x80000001, .cr4 = 1 << 5, .cr3 = 0x1000};
    put64(0x1000, 0x2001 | 0x80);
    put64(0x2000, 0x400083);
    ck_assert_uint_eq(leads(&cpu, 0x1234), 0x401234);
}
END_TEST

START_TEST(a_table_may_be_its_own_page)
{
    struct cpu_state cpu = long_mode();
    put64(0x1000 + 8 * 256, 0x1003);
    ck_assert_uint_eq(leads(&cpu, 0xffff804020100abc), 0x1abc);
    cpu.cr4 |= 1 << 12;
    ck_assert_uint_eq(leads(&cpu, 0xff00804020100abc), 0x1abc);
}
END_TEST

START_TEST(tables_of_32_bits_and_pae_may_lie_outside_ram)
{
    struct cpu_state cpu = {.cr0 = 0x80000001, .cr3 = 0xfffff000};
    ck_assert_uint_eq(leads(&cpu, 0xffffffff), UINT64_MAX);
    cpu.cr3 = 0x1000;
    put32(0x1000, 0xfffff001);
    ck_assert_uint_eq(leads(&cpu, 0x3ff000), UINT64_MAX);
    cpu.cr4 = 1 << 5;
    put64(0x1000, 0xffffffffff001);
    ck_assert_uint_eq(leads(&cpu, 0), UINT64_MAX);
    cpu.cr3 = 0xffffffe0;
    ck_assert_uint_eq(leads(&cpu, 0), UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("walk");
    TCase *tc = tcase_create("walk");
    tcase_add_checked_fixture(tc, make_ram, drop_ram);
    tcase_add_test(tc, without_paging_an_address_is_its_own);
    tcase_add_test(tc, paging_of_32_bits_knows_large_pages_only_with_pse);
    tcase_add_test(tc, pae_begins_at_four_entries);
    tcase_add_test(tc, four_levels_have_pages_of_each_size);
    tcase_add_test(tc, five_levels_and_tables_outside_ram);
    tcase_add_test(tc, what_is_not_present_leads_nowhere_at_each_level);
    tcase_add_test(tc, pae_has_no_pages_of_a_gigabyte);
    tcase_add_test(tc, a_table_may_be_its_own_page);
    tcase_add_test(tc, tables_of_32_bits_and_pae_may_lie_outside_ram);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
