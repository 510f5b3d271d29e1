// SPDX-License-Identifier: MIT
//
// Who may stop a machine and who lets it go: brakes of -S, control clients and gdb in any order, with time and the gate. The machine is an empty
// one: no vCPU thread, nobody to tell.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "src/vm/vm.h"

static struct vm vm;
static struct accel_ops engine;

static void no_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque, (void)deadline_ns;
}

static void make(unsigned brakes)
{
    vm = (struct vm){.brakes = brakes, .accel.ops = &engine};
    engine = (struct accel_ops){.caps = 0};
    pthread_mutex_init(&vm.lock, NULL);
    pthread_mutex_init(&vm.gate_lock, NULL);
    pthread_cond_init(&vm.gate_opened, NULL);
    pthread_cond_init(&vm.all_parked, NULL);
    clock_init_host(&vm.clock, no_deadline, NULL);
    atomic_store(&vm.hold, true); /* as vcpus_start leaves it */
    vm_begin(&vm);
}

/* Gate, time and status say the same. */
static void is(const char *status)
{
    bool runs = !strcmp(status, "running");
    ck_assert_str_eq(vm_status(&vm), status);
    ck_assert_int_eq(atomic_load(&vm.hold), !runs);
    ck_assert_int_eq(vm.clock.held, !runs);
    ck_assert_int_eq(vm.stands, !runs);
}

START_TEST(pause_of_one_is_undone_by_the_same)
{
    make(0);
    is("running");
    ck_assert(!vm_resume(&vm, BRAKE_CONTROL)); /* it did not stop it */
    ck_assert(vm_pause(&vm, BRAKE_CONTROL));
    ck_assert(!vm_pause(&vm, BRAKE_CONTROL));
    is("paused");
    ck_assert(vm_resume(&vm, BRAKE_CONTROL));
    is("running");
    ck_assert(vm_pause(&vm, BRAKE_GDB));
    is("debug");
    ck_assert(vm_resume(&vm, BRAKE_GDB));
    is("running");
}
END_TEST

START_TEST(pause_of_two_needs_both_to_let_go)
{
    make(0);
    vm_pause(&vm, BRAKE_GDB);
    ck_assert(vm_pause(&vm, BRAKE_CONTROL));
    is("paused");
    ck_assert(vm_resume(&vm, BRAKE_CONTROL));
    is("debug");
    ck_assert(!vm_resume(&vm, BRAKE_CONTROL)); /* not its own */
    is("debug");
    vm_pause(&vm, BRAKE_CONTROL);
    ck_assert(vm_resume(&vm, BRAKE_GDB)); /* continue, or detach */
    is("paused");
    vm_resume(&vm, BRAKE_CONTROL);
    is("running");
}
END_TEST

START_TEST(pause_at_start_is_undone_by_anybody)
{
    make(BRAKE_START);
    is("prelaunch");
    ck_assert(vm_resume(&vm, BRAKE_CONTROL));
    is("running");
    make(BRAKE_START);
    ck_assert(vm_resume(&vm, BRAKE_GDB));
    is("running");
    make(BRAKE_START);
    vm_pause(&vm, BRAKE_GDB); /* gdb connects */
    is("prelaunch");
    ck_assert(vm_resume(&vm, BRAKE_CONTROL));
    is("debug");
    vm_resume(&vm, BRAKE_GDB);
    is("running");
}
END_TEST

START_TEST(pause_survives_a_look_and_a_stop_that_is_under_way)
{
    make(0);
    vm_brake(&vm, BRAKE_GDB); /* a vCPU met a breakpoint; the event loop has not heard of it yet */
    vm_look_begin(&vm);
    vm_look_end(&vm);
    ck_assert(atomic_load(&vm.hold));
    vm_pause(&vm, BRAKE_GDB);
    is("debug");
    vm_look_begin(&vm);
    vm_look_end(&vm);
    is("debug");
    vm_resume(&vm, BRAKE_GDB);
    vm_look_begin(&vm);
    ck_assert(atomic_load(&vm.hold));
    vm_look_end(&vm);
    is("running");
}
END_TEST

START_TEST(pause_let_go_waits_for_a_restart)
{
    make(0);
    vm_pause(&vm, BRAKE_CONTROL);
    atomic_store(&vm.stop, STOP_RESET);
    vm_resume(&vm, BRAKE_CONTROL);
    ck_assert(atomic_load(&vm.hold)); /* life.c opens the gate when RAM is filled anew */
    atomic_store(&vm.stop, 0);
    vcpus_release(&vm);
    is("running");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pause");
    TCase *tc = tcase_create("brakes");
    tcase_add_test(tc, pause_of_one_is_undone_by_the_same);
    tcase_add_test(tc, pause_of_two_needs_both_to_let_go);
    tcase_add_test(tc, pause_at_start_is_undone_by_anybody);
    tcase_add_test(tc, pause_survives_a_look_and_a_stop_that_is_under_way);
    tcase_add_test(tc, pause_let_go_waits_for_a_restart);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
