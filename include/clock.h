// SPDX-License-Identifier: MIT
//
// Guest time. Devices read time and set timers here and nowhere else, so that the same device runs
// on host time, on counted instructions, or on time that a test steps by hand. Times are
// nanoseconds of guest time since the machine was made; 2^64 ns is 584 years. Thread: under the
// device lock; clock_now_ns of a host clock from any thread, of a counted one on the engine's
// thread without the lock too.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock_ops {
    uint64_t (*now_ns)(const struct clock *clock);
    uint64_t (*wall_ns)(const struct clock *clock); /* UTC since 1970, what the RTC shows */
    void (*rearm)(struct clock *clock);             /* the earliest deadline changed; may be NULL */
};

struct timer {
    struct clock *clock;
    struct timer *next; /* in the clock's list, by deadline; NULL-terminated */
    uint64_t deadline_ns;
    bool armed;
    uint64_t armed_as; /* number of this arming, so that one pass fires a timer once */
    void (*fire)(void *self);
    void *self;
};

struct clock {
    const struct clock_ops *ops;
    struct timer *timers;
    uint64_t armings; /* timer_arm calls so far */
    /* host: host time that is guest time 0; stepped: the time itself; counted: time skipped */
    uint64_t base_ns;
    bool held; /* host: time stands still at held_ns */
    uint64_t held_ns;
    uint64_t wall_base_ns; /* stepped, counted: UTC at guest time 0 */
    unsigned shift;        /* counted */
    uint64_t (*count)(void *opaque); /* counted: units so far; NULL: none yet */
    /* Whoever fires the timers: the earliest deadline changed; CLOCK_NEVER: none. May be NULL */
    void (*rearmed)(void *opaque, uint64_t deadline_ns);
    void *opaque;
};

#define CLOCK_NEVER UINT64_MAX

/* Where the wall time of counted clocks starts in a machine: 2024-01-01T00:00:00Z. */
#define CLOCK_COUNTED_UTC_S 1704067200u
#define CLOCK_COUNTED_SHIFT_MAX 10

/* Host monotonic time. `rearmed` is called whenever the earliest deadline changes. */
void clock_init_host(struct clock *clock, void (*rearmed)(void *opaque, uint64_t deadline_ns),
                     void *opaque);

/* Let a host clock stand still, and go on from there: no timer becomes due meanwhile, and none is
 * late afterwards. The wall time goes on. Other clocks stand still by themselves when nothing
 * counts or steps. Nobody reads the time during either call. */
void clock_hold(struct clock *clock);
void clock_release(struct clock *clock);

/* Time that stands still until clock_step moves it; wall time starts at wall_ns. */
void clock_init_stepped(struct clock *clock, uint64_t wall_ns);

/* Move a stepped clock, firing each timer at its own deadline on the way, in order. */
void clock_step(struct clock *clock, uint64_t ns);

/*
 * Time that is counted: each unit of `count` (an executed instruction) is 2^shift ns. The counter
 * is attached by the engine and only grows; `rearmed` may be NULL. Nobody fires a counted clock's
 * timers but who counts, at clock_due_count.
 */
void clock_init_counted(struct clock *clock, unsigned shift, uint64_t wall_ns);
void clock_attach_counter(struct clock *clock, uint64_t (*count)(void *opaque),
                          void (*rearmed)(void *opaque, uint64_t deadline_ns), void *opaque);

/* The counter; 0 without one. */
uint64_t clock_count(const struct clock *clock);

/* The count at which the earliest deadline is reached, which may be past; CLOCK_NEVER. */
uint64_t clock_due_count(const struct clock *clock);

/* Nothing counts: let time jump to the earliest deadline. False when there is none. */
bool clock_skip(struct clock *clock);

static inline uint64_t clock_now_ns(const struct clock *clock)
{
    return clock->ops->now_ns(clock);
}

static inline uint64_t clock_wall_ns(const struct clock *clock)
{
    return clock->ops->wall_ns(clock);
}

/* Fire what is due now, in deadline order. A timer that re-arms itself in the past fires once per
 * call, not for ever. */
void clock_fire_due(struct clock *clock);

/* The earliest deadline, or CLOCK_NEVER. */
uint64_t clock_next_deadline_ns(const struct clock *clock);

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *self), void *self);

/* Fire once at deadline_ns (a past one: as soon as possible). An armed timer moves. Periodic
 * devices re-arm from their own deadline, not from now, so that they do not drift. */
void timer_arm(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer);
