// SPDX-License-Identifier: MIT
//
// How a unit test program ends: it runs its suite and says, in its status, whether all of it passed. Check's environment variables hold
// (CK_RUN_CASE, CK_VERBOSITY ...).
#pragma once

#include <check.h>
#include <stddef.h>

static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* A case of the suite; BEFORE and AFTER, each of which may be NULL, are run around every test. */
static inline TCase *suite_case(Suite *suite, const char *name, SFun before, SFun after)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, before, after);
    suite_add_tcase(suite, tc);
    return tc;
}

/* A suite of one case, all of it. */
static inline int suite_run_tests(const char *name, SFun before, SFun after, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tc = suite_case(suite, name, before, after);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tc, tests[i]);
    return suite_run(suite);
}
