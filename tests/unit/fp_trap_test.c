// SPDX-License-Identifier: MIT
//
// SIGFPE has two meanings: an exception of a guest's instruction, which fp_trap.c takes, and a signal
// that somebody sent or a bug of ours raised, which is the earlier handler's.
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <xmmintrin.h>

#include "src/accel/x86/fp_trap.h"

#define ALL_MASKS 0x1f80u
#define DIVIDE_BY_ZERO 0x04u

static volatile sig_atomic_t earlier;

static void on_earlier(int sig)
{
    earlier = sig;
}

static void setup(void)
{
    earlier = 0;
    signal(SIGFPE, on_earlier);
    fp_trap_init();
}

START_TEST(fp_trap_gives_a_sent_signal_to_the_earlier_handler)
{
    raise(SIGFPE);
    ck_assert_int_eq(earlier, SIGFPE);
}
END_TEST

/* It came between two instructions of ours, not from the guest's. */
START_TEST(fp_trap_gives_a_sent_signal_to_the_earlier_handler_while_armed)
{
    fp_trap_arm();
    raise(SIGFPE);
    ck_assert_int_eq(earlier, SIGFPE);
    ck_assert(!(fp_trap_disarm() & FP_TRAPPED));
}
END_TEST

START_TEST(fp_trap_notes_the_flags_of_an_exception_while_armed)
{
    volatile float zero = 0, one = 1, sum;
    unsigned mxcsr = _mm_getcsr();
    fp_trap_arm();
    _mm_setcsr(mxcsr & ~ALL_MASKS);
    sum = one / zero;
    (void)sum;
    uint32_t seen = fp_trap_disarm();
    _mm_setcsr(mxcsr);
    ck_assert_uint_eq(seen, FP_TRAPPED | DIVIDE_BY_ZERO);
    ck_assert_int_eq(earlier, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fp_trap");
    TCase *tc = tcase_create("fp_trap");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, fp_trap_gives_a_sent_signal_to_the_earlier_handler);
    tcase_add_test(tc, fp_trap_gives_a_sent_signal_to_the_earlier_handler_while_armed);
    tcase_add_test(tc, fp_trap_notes_the_flags_of_an_exception_while_armed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
