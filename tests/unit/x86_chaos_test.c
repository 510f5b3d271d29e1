// SPDX-License-Identifier: MIT
//
// Random bytes as code, in all modes: the x86 core and the interpreter's loop survive them and
// agree. tests/fuzz/cpu_fuzz.c looks for more of the same.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/suite.h"
#include "tests/lib/x86_chaos.h"

#define CASES 20000

START_TEST(chaos_step_and_loop_agree)
{
    struct chaos *ch = chaos_new();
    const char *first = getenv("CHAOS_SEED"), *many = getenv("CHAOS_CASES");
    uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
    uint64_t cases = many ? strtoull(many, NULL, 0) : CASES;
    unsigned bad = 0;
    for (uint64_t n = 0; n < cases && bad < 20; n++) {
        uint8_t data[CHAOS_MAX];
        size_t len = chaos_make(seed + n, data);
        if (chaos_run(ch, data, len))
            continue;
        bad++;
        printf("CHAOS_SEED=%llu CHAOS_CASES=1, mode %u: %s\n", (unsigned long long)(seed + n),
               data[0] % CHAOS_MODES, chaos_why(ch));
    }
    struct chaos_counts c = chaos_counts(ch);
    printf("%llu cases, %llu compared; %llu instructions stepped, %llu looped\n",
           (unsigned long long)c.cases, (unsigned long long)c.compared,
           (unsigned long long)c.stepped, (unsigned long long)c.looped);
    ck_assert_uint_eq(bad, 0);
    ck_assert_uint_ge(c.compared, cases / 4);
    chaos_free(ch);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_chaos");
    TCase *t = tcase_create("chaos");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, chaos_step_and_loop_agree);
    suite_add_tcase(s, t);
    return suite_run(s);
}
