// SPDX-License-Identifier: MIT
//
// A deterministic slice of what tests/fuzz/vsock_fuzz.c does with a fuzzer's inputs.
#include <check.h>

#include "tests/lib/random.h"
#include "tests/lib/suite.h"
#include "tests/lib/vsock_chaos.h"

static uint64_t x = 0x2545f4914f6cdd1dull;

START_TEST(vsock_survives_a_hostile_driver)
{
    x += (uint64_t)_i * 7919;
    vsock_chaos_init();
    random_scripts(&x, 2000, vsock_chaos_run);
    struct vsock_chaos_reach r = vsock_chaos_reach();
    /* The generator is worth its name only if all of it happened, often. */
    ck_assert_uint_gt(r.accepted, 500);
    ck_assert_uint_gt(r.connected, 500);
    ck_assert_uint_gt(r.resets, 500);
    ck_assert_uint_gt(r.overruns, 5);
    ck_assert_uint_gt(r.breakdowns, 200);
    ck_assert_uint_gt(r.to_guest, 500);
    ck_assert_uint_gt(r.to_host, 100000);
    vsock_chaos_fini();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vsock_chaos");
    TCase *t = tcase_create("chaos");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, vsock_survives_a_hostile_driver, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
