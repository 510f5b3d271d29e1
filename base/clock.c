// SPDX-License-Identifier: MIT
//
// Guest time and its timers: see include/clock.h. A machine has a dozen timers, so a sorted list is
// the whole structure.
#include "clock.h"

#include <stddef.h>
#include <time.h>

#include "util.h"

static uint64_t host_time_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t host_now_ns(const struct clock *clock)
{
    return clock->held ? clock->held_ns : host_time_ns(CLOCK_MONOTONIC) - clock->base_ns;
}

static uint64_t host_wall_ns(const struct clock *clock)
{
    (void)clock;
    return host_time_ns(CLOCK_REALTIME);
}

static void host_rearm(struct clock *clock)
{
    clock->rearmed(clock->opaque, clock->held ? CLOCK_NEVER : clock_next_deadline_ns(clock));
}

static const struct clock_ops host_ops = {host_now_ns, host_wall_ns, host_rearm};

void clock_hold(struct clock *clock)
{
    if (clock->ops != &host_ops || clock->held)
        return;
    clock->held_ns = host_now_ns(clock);
    clock->held = true;
    host_rearm(clock);
}

void clock_release(struct clock *clock)
{
    if (!clock->held)
        return;
    clock->base_ns = host_time_ns(CLOCK_MONOTONIC) - clock->held_ns;
    clock->held = false;
    host_rearm(clock);
}

void clock_init_host(struct clock *clock, void (*rearmed)(void *opaque, uint64_t deadline_ns),
                     void *opaque)
{
    *clock = (struct clock){
        .ops = &host_ops,
        .base_ns = host_time_ns(CLOCK_MONOTONIC),
        .rearmed = rearmed,
        .opaque = opaque,
    };
}

static uint64_t stepped_now_ns(const struct clock *clock)
{
    return clock->base_ns;
}

static uint64_t stepped_wall_ns(const struct clock *clock)
{
    return clock->wall_base_ns + clock->base_ns;
}

static const struct clock_ops stepped_ops = {stepped_now_ns, stepped_wall_ns, NULL};

void clock_init_stepped(struct clock *clock, uint64_t wall_ns)
{
    *clock = (struct clock){.ops = &stepped_ops, .wall_base_ns = wall_ns};
}

void clock_step(struct clock *clock, uint64_t ns)
{
    uint64_t end = clock->base_ns + ns;
    while (clock->timers && clock->timers->deadline_ns <= end) {
        if (clock->timers->deadline_ns > clock->base_ns)
            clock->base_ns = clock->timers->deadline_ns;
        clock_fire_due(clock);
    }
    clock->base_ns = end;
}

/* --- counted --- */

uint64_t clock_count(const struct clock *clock)
{
    return clock->count ? clock->count(clock->opaque) : 0;
}

static uint64_t counted_now_ns(const struct clock *clock)
{
    return clock->base_ns + (clock_count(clock) << clock->shift);
}

static uint64_t counted_wall_ns(const struct clock *clock)
{
    return clock->wall_base_ns + counted_now_ns(clock);
}

static void counted_rearm(struct clock *clock)
{
    if (clock->rearmed)
        clock->rearmed(clock->opaque, clock_next_deadline_ns(clock));
}

static const struct clock_ops counted_ops = {counted_now_ns, counted_wall_ns, counted_rearm};

void clock_init_counted(struct clock *clock, unsigned shift, uint64_t wall_ns)
{
    *clock = (struct clock){.ops = &counted_ops, .shift = shift, .wall_base_ns = wall_ns};
}

void clock_attach_counter(struct clock *clock, uint64_t (*count)(void *opaque),
                          void (*rearmed)(void *opaque, uint64_t deadline_ns), void *opaque)
{
    clock->count = count;
    clock->rearmed = rearmed;
    clock->opaque = opaque;
    counted_rearm(clock);
}

uint64_t clock_due_count(const struct clock *clock)
{
    uint64_t deadline = clock_next_deadline_ns(clock);
    if (deadline == CLOCK_NEVER)
        return CLOCK_NEVER;
    uint64_t ns = deadline > clock->base_ns ? deadline - clock->base_ns : 0;
    bool part = ns & ((1ull << clock->shift) - 1);
    return (ns >> clock->shift) + part;
}

bool clock_skip(struct clock *clock)
{
    uint64_t deadline = clock_next_deadline_ns(clock), now = clock_now_ns(clock);
    if (deadline == CLOCK_NEVER)
        return false;
    if (deadline > now)
        clock->base_ns += deadline - now;
    counted_rearm(clock); /* in counts, all deadlines have come nearer */
    return true;
}

/* --- timers --- */

static void unlink_timer(struct timer *timer)
{
    for (struct timer **p = &timer->clock->timers; *p; p = &(*p)->next) {
        if (*p == timer) {
            *p = timer->next;
            break;
        }
    }
    timer->armed = false;
}

/* Behind timers of the same deadline: equal deadlines fire in the order they were set. */
static void link_timer(struct timer *timer)
{
    struct timer **p = &timer->clock->timers;
    while (*p && (*p)->deadline_ns <= timer->deadline_ns)
        p = &(*p)->next;
    timer->next = *p;
    *p = timer;
    timer->armed = true;
    timer->armed_as = timer->clock->armings++;
}

static void tell_rearmed(struct clock *clock)
{
    if (clock->ops->rearm)
        clock->ops->rearm(clock);
}

/* The first timer that is due at `now` and was armed before the `limit`-th arming. */
static struct timer *find_due(const struct clock *clock, uint64_t now, uint64_t limit)
{
    for (struct timer *t = clock->timers; t && t->deadline_ns <= now; t = t->next) {
        if (t->armed_as < limit)
            return t;
    }
    return NULL;
}

void clock_fire_due(struct clock *clock)
{
    uint64_t now = clock_now_ns(clock);
    uint64_t limit = clock->armings;
    struct timer *t = find_due(clock, now, limit);
    if (!t)
        return;
    for (; t; t = find_due(clock, now, limit)) {
        unlink_timer(t);
        t->fire(t->self);
    }
    tell_rearmed(clock);
}

uint64_t clock_next_deadline_ns(const struct clock *clock)
{
    return clock->timers ? clock->timers->deadline_ns : CLOCK_NEVER;
}

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *self), void *self)
{
    *timer = (struct timer){.clock = clock, .fire = fire, .self = self};
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
    struct clock *clock = timer->clock;
    uint64_t before = clock_next_deadline_ns(clock);
    if (timer->armed)
        unlink_timer(timer);
    timer->deadline_ns = deadline_ns;
    link_timer(timer);
    if (clock_next_deadline_ns(clock) != before)
        tell_rearmed(clock);
}

void timer_cancel(struct timer *timer)
{
    if (!timer->armed)
        return;
    uint64_t before = clock_next_deadline_ns(timer->clock);
    unlink_timer(timer);
    if (clock_next_deadline_ns(timer->clock) != before)
        tell_rearmed(timer->clock);
}
