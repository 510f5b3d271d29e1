// SPDX-License-Identifier: MIT
//
// A deterministic slice of what tests/fuzz/net_fuzz.c does with a fuzzer's inputs.
#include <check.h>

#include "tests/lib/net_storm.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"

static uint64_t x = 0x2545f4914f6cdd1dull;

START_TEST(net_survives_a_hostile_driver)
{
    x += (uint64_t)_i * 7919;
    net_storm_init();
    random_scripts(&x, 4000, net_storm_run);
    struct net_storm_reach r = net_storm_reach();
    /* The generator is worth its name only if all of it happened, often. */
    ck_assert_uint_gt(r.sent, 2000);
    ck_assert_uint_gt(r.received, 1000);
    ck_assert_uint_gt(r.dropped, 1000);
    ck_assert_uint_gt(r.breakdowns, 1000);
    ck_assert_uint_gt(r.commands, 1000);
    net_storm_fini();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_storm");
    TCase *t = tcase_create("storm");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, net_survives_a_hostile_driver, 0, 3);
    suite_add_tcase(s, t);
    return suite_run(s);
}
