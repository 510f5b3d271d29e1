// SPDX-License-Identifier: MIT
//
// Clocks, timers and the event queue: order, cancellation, no endless firing.
#include <check.h>

#include "clock.h"
#include "event.h"
#include "tests/lib/suite.h"

static struct clock clk;
static unsigned fired[8], nfired;
static uint64_t fired_at[8];

struct probe {
    struct timer timer;
    unsigned id;
    uint64_t again_ns; /* re-arm this much after the deadline */
    struct timer *cancels;
};

static void on_fire(void *self)
{
    struct probe *p = self;
    fired_at[nfired % 8] = clock_now_ns(&clk);
    fired[nfired++ % 8] = p->id;
    if (p->again_ns)
        timer_arm(&p->timer, p->timer.deadline_ns + p->again_ns);
    if (p->cancels)
        timer_cancel(p->cancels);
}

static void setup_probe(struct probe *p, unsigned id)
{
    *p = (struct probe){.id = id};
    timer_init(&p->timer, &clk, on_fire, p);
}

static void setup(void)
{
    clock_init_stepped(&clk, 1000);
    nfired = 0;
}

START_TEST(clock_fires_in_deadline_order_at_the_deadline)
{
    struct probe a, b;
    setup_probe(&a, 1);
    setup_probe(&b, 2);
    timer_arm(&a.timer, 200);
    timer_arm(&b.timer, 100);
    clock_step(&clk, 99);
    ck_assert_uint_eq(nfired, 0);
    clock_step(&clk, 500);
    ck_assert_uint_eq(nfired, 2);
    ck_assert_uint_eq(fired[0], 2);
    ck_assert_uint_eq(fired_at[0], 100);
    ck_assert_uint_eq(fired_at[1], 200);
    ck_assert_uint_eq(clock_now_ns(&clk), 599);
    ck_assert_uint_eq(clock_wall_ns(&clk), 1599);
}
END_TEST

START_TEST(clock_equal_deadlines_fire_in_arming_order)
{
    struct probe a, b;
    setup_probe(&a, 1);
    setup_probe(&b, 2);
    timer_arm(&b.timer, 50);
    timer_arm(&a.timer, 50);
    clock_step(&clk, 50);
    ck_assert_uint_eq(fired[0], 2);
    ck_assert_uint_eq(fired[1], 1);
}
END_TEST

START_TEST(clock_periodic_timer_does_not_drift)
{
    struct probe p;
    setup_probe(&p, 1);
    p.again_ns = 7;
    timer_arm(&p.timer, 7);
    clock_step(&clk, 7000);
    ck_assert_uint_eq(nfired, 1000);
    ck_assert_uint_eq(p.timer.deadline_ns, 7007);
}
END_TEST

START_TEST(clock_one_pass_fires_a_past_timer_once)
{
    struct probe p;
    setup_probe(&p, 1);
    clock_step(&clk, 1000);
    p.again_ns = 1; /* still in the past */
    timer_arm(&p.timer, 10);
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 1);
    ck_assert(p.timer.armed);
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 2);
}
END_TEST

START_TEST(clock_handler_may_cancel_another_due_timer)
{
    struct probe a, b;
    setup_probe(&a, 1);
    setup_probe(&b, 2);
    a.cancels = &b.timer;
    timer_arm(&a.timer, 10);
    timer_arm(&b.timer, 10);
    clock_step(&clk, 10);
    ck_assert_uint_eq(nfired, 1);
    ck_assert_uint_eq(clock_next_deadline_ns(&clk), CLOCK_NEVER);
}
END_TEST

START_TEST(clock_moving_an_armed_timer_leaves_one_deadline)
{
    struct probe a;
    setup_probe(&a, 1);
    timer_arm(&a.timer, 10);
    timer_arm(&a.timer, 30);
    clock_step(&clk, 20);
    ck_assert_uint_eq(nfired, 0);
    clock_step(&clk, 20);
    ck_assert_uint_eq(nfired, 1);
}
END_TEST

/* --- counted --- */

static uint64_t executed, told_ns;

static uint64_t count(void *opaque)
{
    ck_assert_ptr_eq(opaque, &executed);
    return executed;
}

static void on_rearmed(void *opaque, uint64_t deadline_ns)
{
    ck_assert_ptr_eq(opaque, &executed);
    told_ns = deadline_ns;
}

static void setup_counted(unsigned shift)
{
    executed = 0;
    clock_init_counted(&clk, shift, 5000);
    clock_attach_counter(&clk, count, on_rearmed, &executed);
}

START_TEST(clock_counted_time_is_the_count_shifted)
{
    clock_init_counted(&clk, 3, 5000);
    ck_assert_uint_eq(clock_now_ns(&clk), 0); /* nobody counts yet */
    setup_counted(3);
    executed = 100;
    ck_assert_uint_eq(clock_now_ns(&clk), 800);
    ck_assert_uint_eq(clock_wall_ns(&clk), 5800);
    setup_counted(0);
    executed = 1ull << 63;
    ck_assert_uint_eq(clock_now_ns(&clk), 1ull << 63);
}
END_TEST

START_TEST(clock_counted_deadline_is_the_first_count_not_before_it)
{
    struct probe p;
    setup_counted(4);
    setup_probe(&p, 1);
    ck_assert_uint_eq(clock_due_count(&clk), CLOCK_NEVER);
    ck_assert_uint_eq(told_ns, CLOCK_NEVER);
    static const uint64_t cases[][2] = {{0, 0}, {1, 1}, {16, 1}, {17, 2}, {160, 10}, {CLOCK_NEVER - 1, 1ull << 60}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        timer_arm(&p.timer, cases[i][0]);
        ck_assert_uint_eq(clock_due_count(&clk), cases[i][1]);
        ck_assert_uint_eq(told_ns, cases[i][0]);
    }
    timer_arm(&p.timer, 170);
    executed = 10;
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 0);
    executed = 11;
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 1);
    ck_assert_uint_eq(fired_at[0], 176);
}
END_TEST

START_TEST(clock_counted_skips_to_the_earliest_deadline)
{
    struct probe a, b;
    setup_counted(2);
    setup_probe(&a, 1);
    setup_probe(&b, 2);
    ck_assert(!clock_skip(&clk));
    executed = 10;
    timer_arm(&a.timer, 1001);
    timer_arm(&b.timer, 1041);
    ck_assert(clock_skip(&clk));
    ck_assert_uint_eq(clock_now_ns(&clk), 1001);
    ck_assert_uint_eq(clock_due_count(&clk), 10);
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 1);
    ck_assert_uint_eq(clock_due_count(&clk), 20); /* 40 ns later */
    timer_arm(&a.timer, 5); /* past: no way back */
    ck_assert(clock_skip(&clk));
    ck_assert_uint_eq(clock_now_ns(&clk), 1001);
    executed = 20;
    clock_fire_due(&clk);
    ck_assert_uint_eq(nfired, 3);
}
END_TEST

static struct event_queue queue;
static unsigned wakes, events_seen;

static void on_wake(void *opaque)
{
    (void)opaque;
    wakes++;
}

static void on_event(void *self)
{
    (void)self;
    events_seen++;
}

static void post_again(void *self)
{
    events_seen++;
    event_post(self);
}

static uint64_t told_ns;

static void note_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque;
    told_ns = deadline_ns;
}

START_TEST(clock_held_stands_still_and_goes_on_from_there)
{
    struct clock host;
    struct timer timer;
    const struct timespec pause = {.tv_nsec = 5000000};
    clock_init_host(&host, note_deadline, NULL);
    timer_init(&timer, &host, on_fire, NULL);
    clock_hold(&host);
    uint64_t then = clock_now_ns(&host), base = host.base_ns;
    timer_arm(&timer, then + 1000);
    ck_assert(told_ns == CLOCK_NEVER);
    nanosleep(&pause, NULL);
    ck_assert_uint_eq(clock_now_ns(&host), then);
    clock_fire_due(&host);
    ck_assert(timer.armed);
    clock_hold(&host); /* again changes nothing */
    clock_release(&host);
    ck_assert_uint_eq(told_ns, then + 1000);
    ck_assert_uint_ge(host.base_ns - base, 5000000);
    ck_assert_uint_ge(clock_now_ns(&host), then);
    clock_release(&host);
    ck_assert_uint_ge(host.base_ns - base, 5000000);
    timer_cancel(&timer);
}
END_TEST

START_TEST(event_posted_twice_fires_once)
{
    struct event ev;
    wakes = events_seen = 0;
    event_queue_init(&queue, on_wake, NULL);
    event_init(&ev, &queue, on_event, NULL);
    event_post(&ev);
    event_post(&ev);
    ck_assert_uint_eq(wakes, 1);
    ck_assert_uint_eq(event_queue_run(&queue), 1);
    ck_assert_uint_eq(event_queue_run(&queue), 0);
    event_post(&ev);
    ck_assert_uint_eq(event_queue_run(&queue), 1);
    event_queue_fini(&queue);
}
END_TEST

START_TEST(event_that_posts_itself_waits_for_the_next_run)
{
    struct event ev;
    events_seen = 0;
    event_queue_init(&queue, on_wake, NULL);
    event_init(&ev, &queue, post_again, &ev);
    event_post(&ev);
    ck_assert_uint_eq(event_queue_run(&queue), 1);
    ck_assert_uint_eq(events_seen, 1);
    event_cancel(&ev);
    ck_assert_uint_eq(event_queue_run(&queue), 0);
    event_queue_fini(&queue);
}
END_TEST

START_TEST(event_cancel_of_the_last_keeps_the_queue_whole)
{
    struct event a, b, c;
    events_seen = 0;
    event_queue_init(&queue, on_wake, NULL);
    event_init(&a, &queue, on_event, NULL);
    event_init(&b, &queue, on_event, NULL);
    event_init(&c, &queue, on_event, NULL);
    event_post(&a);
    event_post(&b);
    event_cancel(&b);
    event_post(&c);
    ck_assert_uint_eq(event_queue_run(&queue), 2);
    event_queue_fini(&queue);
}
END_TEST

static void post_other(void *self)
{
    event_post(self);
}

/* A post to a queue that is not empty does not wake; the run that leaves it behind must. */
START_TEST(event_posted_during_a_run_wakes_again)
{
    struct event poster, last, late;
    event_queue_init(&queue, on_wake, NULL);
    event_init(&poster, &queue, post_other, &late);
    event_init(&last, &queue, on_event, NULL);
    event_init(&late, &queue, on_event, NULL);
    event_post(&poster);
    event_post(&last);
    wakes = 0;
    ck_assert_uint_eq(event_queue_run(&queue), 2);
    ck_assert_uint_ge(wakes, 1);
    ck_assert_uint_eq(event_queue_run(&queue), 1);
    wakes = 0;
    ck_assert_uint_eq(event_queue_run(&queue), 0);
    ck_assert_uint_eq(wakes, 0);
    event_queue_fini(&queue);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("clock and events");
    TCase *t = tcase_create("clock");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, clock_fires_in_deadline_order_at_the_deadline);
    tcase_add_test(t, clock_equal_deadlines_fire_in_arming_order);
    tcase_add_test(t, clock_periodic_timer_does_not_drift);
    tcase_add_test(t, clock_one_pass_fires_a_past_timer_once);
    tcase_add_test(t, clock_handler_may_cancel_another_due_timer);
    tcase_add_test(t, clock_moving_an_armed_timer_leaves_one_deadline);
    tcase_add_test(t, clock_counted_time_is_the_count_shifted);
    tcase_add_test(t, clock_counted_deadline_is_the_first_count_not_before_it);
    tcase_add_test(t, clock_counted_skips_to_the_earliest_deadline);
    tcase_add_test(t, clock_held_stands_still_and_goes_on_from_there);
    tcase_add_test(t, event_posted_twice_fires_once);
    tcase_add_test(t, event_that_posts_itself_waits_for_the_next_run);
    tcase_add_test(t, event_cancel_of_the_last_keeps_the_queue_whole);
    tcase_add_test(t, event_posted_during_a_run_wakes_again);
    suite_add_tcase(s, t);
    return suite_run(s);
}
