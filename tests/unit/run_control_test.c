// SPDX-License-Identifier: MIT
//
// The control channel and the kernel console of minivmm run against guests that play by the rules
// and guests that do not.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/run.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct run *run;
static struct event_queue events;
static struct chr_env env;
static struct err err;
static unsigned stops, readable;

static void on_stop(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque, (void)code;
    ck_assert_int_eq(cause, STOP_QUIT);
    stops++;
}

static void on_readable(void *self)
{
    (void)self;
    readable++;
}

static void setup(void)
{
    run = calloc(1, sizeof *run);
    event_queue_init(&events, NULL, NULL);
    env = (struct chr_env){.events = &events};
    run->stop = (struct stop_sink){on_stop, NULL};
    run->out.run = run->err.run = run;
    ck_assert_ptr_nonnull(run_control_open(run, &env, &err));
    run->control.chr.client.readable = on_readable;
    stops = readable = 0;
}

static void teardown(void)
{
    chr_close(&run->control.chr);
    event_queue_fini(&events);
    free(run);
}

static void guest_says(const char *text)
{
    size_t len = strlen(text);
    ck_assert_uint_eq(chr_write(&run->control.chr, (const uint8_t *)text, len), len);
}

START_TEST(machine_ends_when_all_bytes_have_arrived)
{
    guest_says("start\n");
    ck_assert(run->started);
    guest_says("exit 7 10 3\n");
    ck_assert(run->exited);
    ck_assert_int_eq(run->status, 7);
    ck_assert_uint_eq(stops, 0);
    run->out.total = 10;
    run_check_complete(run);
    ck_assert_uint_eq(stops, 0);
    run->err.total = 3;
    run_check_complete(run);
    ck_assert_uint_eq(stops, 1);
}
END_TEST

START_TEST(lines_may_come_in_pieces)
{
    guest_says("sta");
    guest_says("rt\nexit 0");
    ck_assert(run->started && !run->exited);
    guest_says(" 0 0\nsta");
    ck_assert(run->exited);
    ck_assert_uint_eq(stops, 1);
}
END_TEST

START_TEST(impossible_endings_are_ignored)
{
    static const char *const lines[] = {
        "exit\n", "exit 0\n", "exit 0 0\n", "exit 256 0 0\n", "exit -1 0 0\n", "exit 0 0 0 0\n",
        "exit 0 0 0x\n", "EXIT 0 0 0\n", "exec 0\n", "exec -2\n", "exec 5000\n", "exec x\n",
        "start now\n", "\n", "exit 0 0 0 \n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        guest_says(lines[i]);
    ck_assert(!run->exited && !run->started && !run->refused);
    ck_assert_uint_eq(stops, 0);
}
END_TEST

START_TEST(second_ending_changes_nothing)
{
    guest_says("start\nexit 3 5 0\nexit 0 0 0\n");
    ck_assert_int_eq(run->status, 3);
    ck_assert_uint_eq(run->out_bytes, 5);
    ck_assert_uint_eq(stops, 0);
}
END_TEST

START_TEST(command_that_runs_cannot_be_refused)
{
    guest_says("start\nexec 2\nfail nonsense\n");
    ck_assert(!run->refused);
    ck_assert_str_eq(run->failure, "");
    ck_assert_uint_eq(stops, 0);
}
END_TEST

START_TEST(refusal_and_failure_end_the_machine)
{
    guest_says("exec 13\n");
    ck_assert(run->refused);
    ck_assert_int_eq(run->exec_errno, 13);
    guest_says("fail no \x1b[2Jroot\n");
    ck_assert_str_eq(run->failure, "no ?[2Jroot");
    ck_assert_uint_eq(stops, 2);
}
END_TEST

START_TEST(endless_line_is_dropped_whole)
{
    char long_line[4096];
    memset(long_line, 's', sizeof long_line);
    long_line[sizeof long_line - 1] = '\0';
    guest_says(long_line);
    guest_says("\nstart\n");
    ck_assert(run->started);
    /* a line whose last 511 bytes would be an order */
    guest_says(long_line);
    guest_says("exit 0 0 0\n");
    ck_assert(!run->exited);
}
END_TEST

START_TEST(zero_bytes_hide_nothing)
{
    chr_write(&run->control.chr, (const uint8_t *)"start\0x\n", 8);
    ck_assert(!run->started);
}
END_TEST

START_TEST(words_for_a_guest_that_takes_none_are_bounded)
{
    uint8_t buf[1024];
    for (unsigned i = 0; i < 1000; i++)
        run_control_send(run, "size 24 80\n");
    event_queue_run(&events);
    ck_assert_uint_eq(readable, 1);
    size_t n = chr_read(&run->control.chr, buf, sizeof buf);
    ck_assert_uint_le(n, sizeof run->control.out);
    ck_assert_uint_eq(n % strlen("size 24 80\n"), 0);
    ck_assert_uint_eq(chr_read(&run->control.chr, buf, sizeof buf), 0);
}
END_TEST

START_TEST(panic_is_seen_in_the_kernels_messages)
{
    struct chr *chr = run_console_open(run, &env, &err);
    static const char text[] = "[    1.0] Kernel panic - not syncing: x\r\n";
    uint8_t noise[RUN_TAIL_BYTES];
    ck_assert_ptr_nonnull(chr);
    memset(noise, 'x', sizeof noise);
    chr_write(chr, noise, sizeof noise);
    chr_write(chr, (const uint8_t *)"\n", 1);
    ck_assert(!run->console.panicked);
    for (size_t i = 0; text[i]; i++)
        chr_write(chr, (const uint8_t *)&text[i], 1);
    ck_assert(run->console.panicked);
    ck_assert_uint_eq(run->console.total, sizeof noise + sizeof text);
    chr_close(chr);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_control");
    TCase *tc = tcase_create("control");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, machine_ends_when_all_bytes_have_arrived);
    tcase_add_test(tc, lines_may_come_in_pieces);
    tcase_add_test(tc, impossible_endings_are_ignored);
    tcase_add_test(tc, second_ending_changes_nothing);
    tcase_add_test(tc, command_that_runs_cannot_be_refused);
    tcase_add_test(tc, refusal_and_failure_end_the_machine);
    tcase_add_test(tc, endless_line_is_dropped_whole);
    tcase_add_test(tc, zero_bytes_hide_nothing);
    tcase_add_test(tc, words_for_a_guest_that_takes_none_are_bounded);
    tcase_add_test(tc, panic_is_seen_in_the_kernels_messages);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
