// SPDX-License-Identifier: MIT
//
// The local APIC's timer (SDM vol. 3 section 11.5.4): one-shot, periodic, TSC-deadline.
//
// The input clock is 1 GHz, so one count is `divide` nanoseconds of guest time. Nothing ticks: the
// count follows from the clock when somebody looks, and a periodic timer counts whole periods from
// its start, so it cannot drift. A late host gives one interrupt for all that it missed, and the
// next in phase. Periods below LAPIC_MIN_PERIOD_NS interrupt at the first multiple not below it, so
// that a guest cannot keep the host busy with a register write. While the entry is masked the host
// is not woken at all: only a deadline is kept, because its register shows that it has passed.
#include "devices/lapic_priv.h"

#define LAPIC_MIN_PERIOD_NS 50000u
#define LVT_MODE_SHIFT 17

static enum timer_mode mode_of(uint32_t lvt)
{
    return (enum timer_mode)(lvt >> LVT_MODE_SHIFT & 3);
}

static enum timer_mode timer_mode(const struct lapic *l)
{
    return mode_of(l->regs.lvt[LVT_TIMER]);
}

/* Bits 0, 1 and 3 count 2, 4, 8 ... 128, 1. */
static unsigned divide_shift(const struct lapic_timer_regs *t)
{
    unsigned code = (t->divide & 3u) | (t->divide >> 1 & 4u);
    return (code + 1) & 7;
}

static uint32_t count_at(const struct lapic *l, uint64_t now)
{
    const struct lapic_timer_regs *t = &l->regs.timer;
    uint64_t elapsed = (now - t->start_ns) >> divide_shift(t);
    if (elapsed < t->count)
        return (uint32_t)(t->count - elapsed);
    if (!t->count || !t->initial || timer_mode(l) != TIMER_PERIODIC)
        return 0;
    return (uint32_t)(t->initial - (elapsed - t->count) % t->initial);
}

/* Begin a new span of counting where the last one stands, without losing the part of a count. */
static void rebase(struct lapic *l, uint64_t now)
{
    struct lapic_timer_regs *t = &l->regs.timer;
    unsigned shift = divide_shift(t);
    t->count = count_at(l, now);
    t->start_ns += (now - t->start_ns) >> shift << shift;
}

/* The first time after `now` at which the count is reached, with short periods stretched. */
static uint64_t count_expiry(const struct lapic *l, uint64_t now)
{
    const struct lapic_timer_regs *t = &l->regs.timer;
    if (!t->count)
        return CLOCK_NEVER;
    uint64_t first = t->start_ns + ((uint64_t)t->count << divide_shift(t));
    if (first > now)
        return first;
    if (timer_mode(l) != TIMER_PERIODIC || !t->initial)
        return CLOCK_NEVER;
    uint64_t period = (uint64_t)t->initial << divide_shift(t);
    uint64_t next = first + ((now - first) / period + 1) * period;
    return period < LAPIC_MIN_PERIOD_NS ? next + (LAPIC_MIN_PERIOD_NS - 1) / period * period : next;
}

static uint64_t tsc_at(const struct lapic *l, uint64_t now)
{
    return l->wires->tsc.from_ns(l->wires->tsc.opaque, l->cpu, now);
}

static uint64_t deadline_expiry(const struct lapic *l, uint64_t now)
{
    const struct lapic_tsc *tsc = &l->wires->tsc;
    uint64_t deadline = l->regs.timer.deadline_tsc;
    if (!deadline)
        return CLOCK_NEVER;
    uint64_t ns = tsc->to_ns(tsc->opaque, l->cpu, deadline);
    return ns > now ? ns : now + 1; /* not reached yet, whatever rounding says */
}

static void rearm(struct lapic *l, uint64_t now)
{
    struct lapic_timer_regs *t = &l->regs.timer;
    if (timer_mode(l) == TIMER_DEADLINE)
        t->expiry_ns = deadline_expiry(l, now);
    else if (timer_mode(l) == TIMER_RESERVED || (l->regs.lvt[LVT_TIMER] & LVT_MASKED))
        t->expiry_ns = CLOCK_NEVER;
    else
        t->expiry_ns = count_expiry(l, now);
    if (t->expiry_ns == CLOCK_NEVER)
        timer_cancel(&l->timer);
    else
        timer_arm(&l->timer, t->expiry_ns);
}

/* True when a deadline has been reached; that disarms it. */
static bool take_deadline(struct lapic *l, uint64_t now)
{
    struct lapic_timer_regs *t = &l->regs.timer;
    if (!t->deadline_tsc || tsc_at(l, now) < t->deadline_tsc)
        return false;
    t->deadline_tsc = 0;
    return true;
}

/* Deliver what is due, once however late, and look for the next. */
static void catch_up(struct lapic *l, uint64_t now)
{
    if (l->regs.timer.expiry_ns > now)
        return;
    bool due = timer_mode(l) != TIMER_DEADLINE || take_deadline(l, now);
    rearm(l, now);
    if (due)
        lapic_local_interrupt(l, LVT_TIMER);
}

static uint64_t settled_now(struct lapic *l)
{
    uint64_t now = clock_now_ns(l->wires->clock);
    catch_up(l, now);
    return now;
}

static void fire(void *self)
{
    settled_now(self);
}

uint32_t lapic_timer_current(struct lapic *l)
{
    return count_at(l, clock_now_ns(l->wires->clock));
}

void lapic_timer_write_initial(struct lapic *l, uint32_t val)
{
    if (timer_mode(l) == TIMER_DEADLINE)
        return;
    struct lapic_timer_regs *t = &l->regs.timer;
    uint64_t now = settled_now(l);
    t->initial = t->count = val;
    t->start_ns = now;
    rearm(l, now);
}

void lapic_timer_write_divide(struct lapic *l, uint32_t val)
{
    uint64_t now = settled_now(l);
    rebase(l, now);
    l->regs.timer.divide = val & DIVIDE_WRITABLE;
    rearm(l, now);
}

/* Going to deadline mode or coming from it stops whatever ran. */
void lapic_timer_write_lvt(struct lapic *l, uint32_t val)
{
    struct lapic_timer_regs *t = &l->regs.timer;
    uint64_t now = settled_now(l);
    rebase(l, now);
    if ((mode_of(val) == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
        t->initial = t->count = 0;
        t->deadline_tsc = 0;
    }
    l->regs.lvt[LVT_TIMER] = val;
    rearm(l, now);
}

uint64_t lapic_timer_deadline(struct lapic *l)
{
    settled_now(l);
    return l->regs.timer.deadline_tsc;
}

/* A deadline that has passed interrupts at once. */
void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc)
{
    if (timer_mode(l) != TIMER_DEADLINE)
        return;
    uint64_t now = settled_now(l);
    l->regs.timer.deadline_tsc = tsc;
    bool due = take_deadline(l, now);
    rearm(l, now);
    if (due)
        lapic_local_interrupt(l, LVT_TIMER);
}

void lapic_tsc_changed(struct lapic *l)
{
    if (timer_mode(l) != TIMER_DEADLINE || !l->regs.timer.deadline_tsc)
        return;
    uint64_t now = clock_now_ns(l->wires->clock);
    l->regs.timer.expiry_ns = now; /* look again */
    catch_up(l, now);
}

void lapic_timer_reset(struct lapic *l)
{
    timer_cancel(&l->timer);
    l->regs.timer = (struct lapic_timer_regs){.expiry_ns = CLOCK_NEVER};
}

void lapic_timer_init(struct lapic *l)
{
    timer_init(&l->timer, l->wires->clock, fire, l);
}
