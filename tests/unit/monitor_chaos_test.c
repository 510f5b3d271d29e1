// SPDX-License-Identifier: MIT
//
// A deterministic slice of what tests/fuzz/monitor_fuzz.c does with a fuzzer's inputs.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_terminal.h"
#include "tests/lib/monitor_chaos.h"

static uint64_t x = 0x2545f4914f6cdd1dull;

static uint64_t rnd(void)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x >> 8;
}

static size_t make_up(uint8_t *keys, size_t max)
{
    static const char *const words[] = {
        "\x01", "\x01" "c", "\x01" "c", "\x01" "b", "\x01" "a", "\x01" "x", "\x01\x01", "info ", "status", "registers", "mtree", "balloon",
        "pci\n", "exits\r", "stop\n", "cont\r\n", "quit\n", "help\r", "balloon 8\n", "balloon -\n", "frob\n", "\n", "\r", " ", "\x15", "\x7f", "\b",
        "system_powerdown\n", "system_reset\n", "\x1b[A",
    };
    size_t n = 0;
    keys[n++] = (uint8_t)rnd();
    for (uint64_t parts = 1 + rnd() % 30; parts && n < max - 320; parts--) {
        const char *word = words[rnd() % (sizeof words / sizeof words[0])];
        if (rnd() % 8 == 0) {
            keys[n++] = (uint8_t)rnd();
        } else if (rnd() % 100 == 0) {
            memset(keys + n, 'l', 300);
            n += 300;
        } else {
            memcpy(keys + n, word, strlen(word));
            n += strlen(word);
        }
    }
    return n;
}

START_TEST(monitor_and_guest_each_get_their_keys)
{
    uint8_t keys[2000];
    x += (uint64_t)_i * 7919;
    monitor_chaos_init();
    for (unsigned n = 0; n < 4000; n++)
        monitor_chaos_run(keys, make_up(keys, sizeof keys));
    struct monitor_chaos_reach r = monitor_chaos_reach();
    /* The generator is worth its name only if all of it happened, often. */
    ck_assert_uint_gt(r.to_guest, 50000);
    ck_assert_uint_gt(r.breaks, 500);
    ck_assert_uint_gt(r.turns, 2000);
    ck_assert_uint_gt(r.lines, 10000);
    ck_assert_uint_gt(r.quits, 500);
    monitor_chaos_fini();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("monitor_chaos");
    TCase *t = tcase_create("chaos");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, monitor_and_guest_each_get_their_keys, 0, 2);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
