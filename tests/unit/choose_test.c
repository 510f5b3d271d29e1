// SPDX-License-Identifier: MIT
//
// Which engine is chosen and what is said of it, with engines made up for the purpose; how the
// probe's guests are judged; and the probe of the one engine that works on every host.
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/accel/choose.h"
#include "src/accel/interp/interp.h"
#include "src/accel/probe/probe_checks.h"
#include "tests/lib/suite.h"
#include "util.h"

static const struct accel_ops native = {.name = "native", .caps = ACCEL_CAP_CPU | ACCEL_CAP_NATIVE};
static const struct accel_ops soft = {.name = "soft", .caps = ACCEL_CAP_CPU};
static const struct accel_ops deaf = {.name = "deaf"};
static const struct accel_ops *const list[] = {&deaf, &native, &soft, NULL};

/* --- verdicts --- */

static struct probe_result all_right(double mips)
{
    struct probe_result p = {.opened = true, .mips = mips};
    for (unsigned i = 0; i < PROBE_CHECKS; i++)
        p.check[i].answer = PROBE_OK;
    return p;
}

START_TEST(native_engine_that_is_right_and_fast_is_usable)
{
    struct probe_result p = all_right(1500);
    struct verdict v;
    choose_judge(&native, &p, &v);
    ck_assert(v.usable);
    ck_assert_str_eq(v.reason, "1500 MIPS in supervisor mode, all checks right");
}
END_TEST

START_TEST(native_engine_with_any_wrong_or_missing_answer_is_not)
{
    static const enum probe_answer bad[] = {PROBE_WRONG, PROBE_NOT_RUN};
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        for (unsigned b = 0; b < ARRAY_LEN(bad); b++) {
            struct probe_result p = all_right(1500);
            struct verdict v;
            p.check[i].answer = bad[b];
            choose_judge(&native, &p, &v);
            ck_assert(!v.usable);
            ck_assert_ptr_nonnull(strstr(v.reason, probe_names[i]));
            ck_assert_ptr_nonnull(strstr(v.reason, probe_answers[bad[b]]));
            ck_assert_ptr_null(strstr(v.reason, "all checks right"));
        }
    }
}
END_TEST

START_TEST(native_engine_is_slow_below_the_limit_only)
{
    struct probe_result p = all_right(CHOOSE_MIN_MIPS - 0.1);
    struct verdict v;
    choose_judge(&native, &p, &v);
    ck_assert(!v.usable);
    p.mips = CHOOSE_MIN_MIPS;
    choose_judge(&native, &p, &v);
    ck_assert(v.usable);
}
END_TEST

START_TEST(reason_names_the_speed_and_every_wrong_check)
{
    struct probe_result p = all_right(1.62);
    struct verdict v;
    p.check[PROBE_SYSCALL].answer = PROBE_WRONG;
    p.check[PROBE_FLAGS].answer = PROBE_NOT_RUN;
    choose_judge(&native, &p, &v);
    ck_assert_str_eq(v.reason, "1.6 MIPS in supervisor mode, SYSCALL wrong, PUSHF/POPF not run");
}
END_TEST

START_TEST(soft_engine_may_be_slow)
{
    struct probe_result p = all_right(2);
    struct verdict v;
    choose_judge(&soft, &p, &v);
    ck_assert(v.usable);
}
END_TEST

START_TEST(engine_that_does_not_open_says_why_without_its_option)
{
    struct probe_result p = {0};
    struct verdict v;
    err_set(&p.err, ENOENT, "-accel native: no such thing");
    choose_judge(&native, &p, &v);
    ck_assert(!v.usable);
    ck_assert_str_eq(v.reason, "no such thing");
}
END_TEST

/* --- the choice --- */

static bool native_usable;
static const struct accel_ops *opens[3]; /* those that do */
static unsigned opened;

static void rate(const struct accel_ops *ops, struct verdict *out)
{
    ck_assert_ptr_ne(ops, &deaf);
    *out = (struct verdict){.usable = ops != &native || native_usable};
    snprintf(out->reason, sizeof out->reason, "%s", out->usable ? "good" : "bad");
}

static int open_it(void *opaque, const struct accel_ops *ops, struct err *err)
{
    (void)opaque;
    opened++;
    for (unsigned i = 0; i < ARRAY_LEN(opens); i++) {
        if (opens[i] == ops)
            return 0;
    }
    return err_set(err, EACCES, "-accel %s: locked", ops->name);
}

static const struct chooser chooser = {rate, open_it, NULL};

static int choose(char why[256], struct err *err)
{
    opened = 0;
    err->msg[0] = '\0';
    return choose_engine(list, &chooser, why, 256, err);
}

static void open_all(void)
{
    opens[0] = &native;
    opens[1] = &soft;
    native_usable = true;
}

START_TEST(best_usable_engine_is_opened_and_no_other)
{
    char why[256];
    struct err err;
    ck_assert_int_eq(choose(why, &err), 0);
    ck_assert_str_eq(why, "native (good)");
    ck_assert_uint_eq(opened, 1);
}
END_TEST

START_TEST(engine_that_is_unfit_is_not_even_opened)
{
    char why[256];
    struct err err;
    native_usable = false;
    ck_assert_int_eq(choose(why, &err), 0);
    ck_assert_str_eq(why, "soft (native: bad)");
    ck_assert_uint_eq(opened, 1);
}
END_TEST

START_TEST(engine_that_fails_to_open_gives_way_with_its_words)
{
    char why[256];
    struct err err;
    opens[0] = NULL;
    ck_assert_int_eq(choose(why, &err), 0);
    ck_assert_str_eq(why, "soft (native: locked)");
}
END_TEST

START_TEST(no_engine_at_all_is_an_error_that_names_each)
{
    char why[256];
    struct err err;
    opens[0] = opens[1] = NULL;
    native_usable = false;
    ck_assert_int_eq(choose(why, &err), -EACCES);
    ck_assert_str_eq(err.msg, "-accel auto: no engine works here (native: bad; soft: locked)");
}
END_TEST

/* --- what the guests must have seen --- */

START_TEST(trap_that_was_not_expected_is_wrong)
{
    struct probe_saw saw = {.val = {0x600d}};
    struct probe_check check;
    probe_judge(PROBE_RUNS, &saw, &check);
    ck_assert_int_eq(check.answer, PROBE_OK);
    saw.ntraps = 1;
    saw.trap[0] = (struct probe_trap){.vector = 13, .rip = 0x1234};
    probe_judge(PROBE_RUNS, &saw, &check);
    ck_assert_int_eq(check.answer, PROBE_WRONG);
    ck_assert_str_eq(check.why, "unexpected exception 13, error code 0, at 0x1234");
}
END_TEST

START_TEST(guest_that_stored_nothing_is_wrong)
{
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        struct probe_saw saw = {0};
        struct probe_check check;
        probe_judge(i, &saw, &check);
        ck_assert_int_eq(check.answer, i == PROBE_SPEED ? PROBE_OK : PROBE_WRONG);
    }
}
END_TEST

START_TEST(count_of_traps_from_a_hostile_engine_is_not_believed)
{
    struct probe_saw saw = {.ntraps = UINT64_MAX};
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        struct probe_check check;
        probe_judge(i, &saw, &check);
        ck_assert_int_eq(check.answer, PROBE_WRONG);
    }
}
END_TEST

START_TEST(interpreter_passes_every_check)
{
    struct probe_result p;
    probe_engine(&interp_accel, 6000, &p); /* sanitizers and loaded machines are slow */
    ck_assert_msg(p.opened, "%s", p.err.msg);
    for (unsigned i = 0; i < PROBE_CHECKS; i++)
        ck_assert_msg(p.check[i].answer == PROBE_OK, "%s %s: %s", probe_names[i],
                      probe_answers[p.check[i].answer], p.check[i].why);
    ck_assert(p.mips > 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        native_engine_that_is_right_and_fast_is_usable,
        native_engine_with_any_wrong_or_missing_answer_is_not,
        native_engine_is_slow_below_the_limit_only,
        reason_names_the_speed_and_every_wrong_check,
        soft_engine_may_be_slow,
        engine_that_does_not_open_says_why_without_its_option,
        best_usable_engine_is_opened_and_no_other,
        engine_that_is_unfit_is_not_even_opened,
        engine_that_fails_to_open_gives_way_with_its_words,
        no_engine_at_all_is_an_error_that_names_each,
        trap_that_was_not_expected_is_wrong,
        guest_that_stored_nothing_is_wrong,
        count_of_traps_from_a_hostile_engine_is_not_believed,
        interpreter_passes_every_check,
    };
    return suite_run_tests("choose", open_all, NULL, tests, ARRAY_LEN(tests));
}
