// SPDX-License-Identifier: MIT
//
// Guest RAM: the hole, edges, wrapping ranges.
#include <check.h>

#include "gmem.h"
#include "layout.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct gmem gm;
static struct err err;

static void setup(uint64_t size)
{
    err = (struct err){0};
    ck_assert_int_eq(gmem_init(&gm, size, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
}

START_TEST(gmem_small_is_one_slot)
{
    setup(MIB(16));
    ck_assert_uint_eq(gm.nslots, 1);
    ck_assert_ptr_nonnull(gmem_ptr(&gm, MIB(16) - 1, 1));
    ck_assert_ptr_null(gmem_ptr(&gm, MIB(16), 1));
    ck_assert_ptr_null(gmem_ptr(&gm, MIB(16) - 1, 2));
    gmem_fini(&gm);
}
END_TEST

START_TEST(gmem_goes_around_the_hole)
{
    setup(GIB(9));
    ck_assert_uint_eq(gm.nslots, 2);
    ck_assert_uint_eq(gm.slots[1].base, RAM_HOLE_END);
    ck_assert_uint_eq(gm.slots[0].size + gm.slots[1].size, GIB(9));
    ck_assert_ptr_null(gmem_ptr(&gm, RAM_HOLE_START, 1));
    ck_assert_ptr_null(gmem_ptr(&gm, RAM_HOLE_START - 1, 2));
    ck_assert_ptr_null(gmem_ptr(&gm, RAM_HOLE_END - 1, 2));
    uint32_t v = 0x12345678;
    ck_assert_int_eq(gmem_write(&gm, GIB(10) - 4, &v, 4), 0);
    ck_assert_int_lt(gmem_write(&gm, GIB(10) - 3, &v, 4), 0);
    gmem_fini(&gm);
}
END_TEST

START_TEST(gmem_wrapping_ranges_are_not_ram)
{
    setup(MIB(16));
    ck_assert_ptr_null(gmem_ptr(&gm, 4096, ~0ull));
    ck_assert_ptr_null(gmem_ptr(&gm, ~0ull, 2));
    ck_assert_ptr_null(gmem_ptr(&gm, 0, 0));
    gmem_fini(&gm);
}
END_TEST

START_TEST(gmem_zero_empties_it)
{
    setup(MIB(16));
    ck_assert_int_eq(gmem_fill(&gm, 0x1000, 0xaa, 0x2000), 0);
    gmem_zero(&gm);
    uint8_t b = 1;
    ck_assert_int_eq(gmem_read(&gm, 0x1800, &b, 1), 0);
    ck_assert_uint_eq(b, 0);
    gmem_fini(&gm);
}
END_TEST

START_TEST(gmem_beyond_the_host_is_refused)
{
    err = (struct err){0};
    ck_assert_int_lt(gmem_init(&gm, GIB(1024) * 1024, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "-m"));
    gmem_fini(&gm);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gmem");
    TCase *t = tcase_create("gmem");
    tcase_add_test(t, gmem_small_is_one_slot);
    tcase_add_test(t, gmem_goes_around_the_hole);
    tcase_add_test(t, gmem_wrapping_ranges_are_not_ram);
    tcase_add_test(t, gmem_zero_empties_it);
    tcase_add_test(t, gmem_beyond_the_host_is_refused);
    suite_add_tcase(s, t);
    return suite_run(s);
}
