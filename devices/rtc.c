// SPDX-License-Identifier: MIT
//
// Motorola MC146818A real-time clock (datasheet: "Address map", "Registers", "Interrupts") with the
// PC's CMOS memory, century byte and memory size bytes.
//
// Nothing ticks here either: the time is computed from the clock's UTC when read, and the flags of
// register C from what has passed since they were last looked at. A timer runs only while an
// interrupt is enabled and none is pending: a guest that does not read register C costs no wakeups.
//
// When the guest writes to the time or stops it (SET, or the divider in reset), the bytes stand as
// written until the next update; only then do they become a new offset to UTC. So fields may be set
// one by one in any order, as on the chip. The time survives reset, as it does with a battery. The
// weekday always follows from the date.
//
// Left out: daylight saving (bit DSE), the square-wave pin, other crystals than 32768 Hz, the
// checksum over CMOS bytes.
#include "devices/rtc.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/rtc_time.h"
#include "devices/ticks.h"
#include "layout.h"

#define RTC_PORT 0x70
#define RTC_HZ 32768u
#define UIP_NS 244000u /* how long before an update the chip warns */

enum {
    REG_SECONDS,
    REG_SECONDS_ALARM,
    REG_MINUTES,
    REG_MINUTES_ALARM,
    REG_HOURS,
    REG_HOURS_ALARM,
    REG_WEEKDAY,
    REG_DAY,
    REG_MONTH,
    REG_YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,
};

#define A_UIP 0x80
#define A_DIVIDER 0x70
#define A_DIVIDER_RESET 0x60 /* both bits: the divider chain is held */
#define A_DIVIDER_32768 0x20
#define A_RATE 0x0f
#define A_RATE_1024_HZ 0x06

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24H 0x02

/* The flags of register C lie where their enables lie in B. */
#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define C_FLAGS (C_PF | C_AF | C_UF)

#define D_VRT 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xc0

struct rtc {
    struct device dev;
    struct rtc_regs regs;
    struct rtc_config cfg;
    struct timer timer;
    struct region region;
    bool irq; /* the level last driven */
    uint64_t now_ns, wall_ns; /* read once per access, so that one access sees one moment */
};

/* ---- Time ---- */

static bool is_updating(const struct rtc_regs *r)
{
    return !(r->cmos[REG_B] & B_SET) && (r->cmos[REG_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET;
}

static uint64_t second_fraction_ns(const struct rtc *rtc)
{
    return (rtc->wall_ns + rtc->regs.shift_ns) % NS_PER_S;
}

static uint64_t present_second(const struct rtc *rtc)
{
    uint64_t utc = (rtc->wall_ns + rtc->regs.shift_ns) / NS_PER_S;
    int64_t s = (int64_t)(utc + RTC_UNIX_EPOCH) + rtc->regs.offset_s;
    return s > 0 ? (uint64_t)s : 0;
}

static uint8_t encode(const struct rtc_regs *r, unsigned v)
{
    return (uint8_t)(r->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static uint8_t encode_hour(const struct rtc_regs *r, unsigned hour)
{
    if (r->cmos[REG_B] & B_24H)
        return encode(r, hour);
    unsigned h = hour % 12 ? hour % 12 : 12;
    return (uint8_t)(encode(r, h) | (hour >= 12 ? HOUR_PM : 0));
}

static unsigned decode(const struct rtc_regs *r, uint8_t raw)
{
    return r->cmos[REG_B] & B_BINARY ? raw : (raw >> 4) * 10u + (raw & 15u);
}

static unsigned decode_hour(const struct rtc_regs *r, uint8_t raw)
{
    if (r->cmos[REG_B] & B_24H)
        return decode(r, raw);
    return decode(r, raw & 0x7f) % 12 + (raw & HOUR_PM ? 12 : 0);
}

static uint8_t clamp(unsigned v, uint8_t lo, uint8_t hi)
{
    return v < lo ? lo : v > hi ? hi : (uint8_t)v;
}

/* The held bytes as a time, the nearest possible one where they make no sense. */
static uint64_t held_time(const struct rtc_regs *r)
{
    const uint8_t *c = r->cmos;
    struct rtc_time t = {
        .year = decode(r, c[RTC_CENTURY]) * 100 + decode(r, c[REG_YEAR]),
        .month = clamp(decode(r, c[REG_MONTH]), 1, 12),
        .day = clamp(decode(r, c[REG_DAY]), 1, 31),
        .hour = clamp(decode_hour(r, c[REG_HOURS]), 0, 23),
        .minute = clamp(decode(r, c[REG_MINUTES]), 0, 59),
        .second = clamp(decode(r, c[REG_SECONDS]), 0, 59),
    };
    return rtc_seconds_of(&t);
}

static void store_time(struct rtc_regs *r, uint64_t second)
{
    struct rtc_time t = rtc_time_of(second);
    r->cmos[REG_SECONDS] = encode(r, t.second);
    r->cmos[REG_MINUTES] = encode(r, t.minute);
    r->cmos[REG_HOURS] = encode_hour(r, t.hour);
    r->cmos[REG_WEEKDAY] = encode(r, t.weekday);
    r->cmos[REG_DAY] = encode(r, t.day);
    r->cmos[REG_MONTH] = encode(r, t.month);
    r->cmos[REG_YEAR] = encode(r, t.year % 100);
    r->cmos[RTC_CENTURY] = encode(r, t.year / 100);
}

static void hold_time(struct rtc *rtc)
{
    if (rtc->regs.held)
        return;
    rtc->regs.held = true;
    rtc->regs.held_second = present_second(rtc);
    store_time(&rtc->regs, rtc->regs.held_second);
}

/* ---- Alarm: one bit per second, minute and hour that it matches ---- */

static uint64_t alarm_mask(const struct rtc_regs *r, unsigned reg, unsigned n)
{
    uint8_t raw = r->cmos[reg];
    if ((raw & ALARM_ANY) == ALARM_ANY)
        return (1ull << n) - 1;
    for (unsigned v = 0; v < n; v++) {
        if (raw == (reg == REG_HOURS_ALARM ? encode_hour(r, v) : encode(r, v)))
            return 1ull << v;
    }
    return 0;
}

/*
 * The first second after `after` at which the alarm goes off; UINT64_MAX if it never does. At most
 * 150 steps.
 */
static uint64_t next_alarm(const struct rtc_regs *r, uint64_t after)
{
    uint64_t seconds = alarm_mask(r, REG_SECONDS_ALARM, 60);
    uint64_t minutes = alarm_mask(r, REG_MINUTES_ALARM, 60);
    uint64_t hours = alarm_mask(r, REG_HOURS_ALARM, 24);
    if (!seconds || !minutes || !hours)
        return UINT64_MAX;
    uint64_t t = after + 1;
    for (;;) {
        if (!(hours >> (t / 3600 % 24) & 1))
            t = (t / 3600 + 1) * 3600;
        else if (!(minutes >> (t / 60 % 60) & 1))
            t = (t / 60 + 1) * 60;
        else if (!(seconds >> (t % 60) & 1))
            t++;
        else
            return t;
    }
}

/* ---- Flags and interrupts ---- */

/* Ticks of the 32768 Hz crystal between periodic interrupts; 0 is none. */
static uint64_t period_ticks(const struct rtc_regs *r)
{
    unsigned rate = r->cmos[REG_A] & A_RATE;
    if (!rate || (r->cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET)
        return 0;
    return rate < 3 ? 64ull << rate : 1ull << (rate - 1);
}

static uint64_t present_period(const struct rtc *rtc)
{
    uint64_t ticks = period_ticks(&rtc->regs);
    return ticks ? ticks_from_ns(rtc->now_ns, RTC_HZ) / ticks : 0;
}

static bool irq_pending(const struct rtc_regs *r)
{
    return (r->cmos[REG_C] & r->cmos[REG_B] & C_FLAGS) != 0;
}

/* Bring the time and the flags up to now. */
static void rtc_sync(struct rtc *rtc)
{
    struct rtc_regs *r = &rtc->regs;
    rtc->now_ns = clock_now_ns(rtc->cfg.clock);
    rtc->wall_ns = clock_wall_ns(rtc->cfg.clock);
    uint64_t now = present_second(rtc);
    if (is_updating(r)) {
        if (r->held && now != r->held_second) { /* the first update goes on from what was written */
            r->seen_second = held_time(r);
            r->offset_s += (int64_t)(r->seen_second - r->held_second);
            r->held = false;
            now = present_second(rtc);
        }
        if (!r->held && now > r->seen_second) {
            r->cmos[REG_C] |= C_UF;
            if (next_alarm(r, r->seen_second) <= now)
                r->cmos[REG_C] |= C_AF;
        }
    }
    r->seen_second = now;

    uint64_t period = present_period(rtc);
    if (period != r->seen_period)
        r->cmos[REG_C] |= C_PF;
    r->seen_period = period;
}

static uint64_t next_event_ns(const struct rtc *rtc)
{
    const struct rtc_regs *r = &rtc->regs;
    uint64_t ticks = period_ticks(r), at = CLOCK_NEVER;
    if (ticks && r->cmos[REG_B] & B_PIE)
        at = ns_from_ticks((present_period(rtc) + 1) * ticks, RTC_HZ);
    if (!is_updating(r) || !(r->cmos[REG_B] & (B_UIE | B_AIE)))
        return at;

    uint64_t update = rtc->now_ns + (NS_PER_S - second_fraction_ns(rtc));
    if (!(r->cmos[REG_B] & B_UIE) && !r->held) { /* held time moves then */
        uint64_t alarm = next_alarm(r, r->seen_second);
        update = alarm == UINT64_MAX ? CLOCK_NEVER
                                     : update + (alarm - r->seen_second - 1) * NS_PER_S;
    }
    return update < at ? update : at;
}

/* After any change: drive the wire and set the timer for what comes next. */
static void rtc_settle(struct rtc *rtc)
{
    bool pending = irq_pending(&rtc->regs);
    if (pending != rtc->irq)
        irq_set(&rtc->cfg.irq, pending);
    rtc->irq = pending;
    uint64_t at = pending ? CLOCK_NEVER : next_event_ns(rtc);
    if (at == CLOCK_NEVER)
        timer_cancel(&rtc->timer);
    else
        timer_arm(&rtc->timer, at);
}

static void rtc_fire(void *self)
{
    struct rtc *rtc = self;
    rtc_sync(rtc);
    rtc_settle(rtc);
}

/* ---- Registers ---- */

static bool is_time_reg(unsigned reg)
{
    return reg >= REG_WEEKDAY ? reg <= REG_YEAR || reg == RTC_CENTURY : reg % 2 == 0;
}

/* A write to register A or B may stop the time or let it go. */
static void write_control(struct rtc *rtc, unsigned reg, uint8_t val)
{
    struct rtc_regs *r = &rtc->regs;
    bool was_reset = (r->cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
    bool was_updating = is_updating(r);
    uint8_t old = r->cmos[reg];
    r->cmos[reg] = val;
    if (was_updating && !is_updating(r)) {
        r->cmos[reg] = old; /* hold the time in the format that it had */
        hold_time(rtc);
        r->cmos[reg] = val;
    }
    bool is_reset = (r->cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
    if (was_reset && !is_reset) { /* the first update comes half a second later */
        uint64_t fraction = rtc->wall_ns % NS_PER_S;
        r->shift_ns = (NS_PER_S + NS_PER_S / 2 - fraction) % NS_PER_S;
    }
    if (!was_updating && is_updating(r))
        r->held_second = present_second(rtc);
    r->seen_second = present_second(rtc);
    r->seen_period = present_period(rtc);
}

static void cmos_write(struct rtc *rtc, unsigned reg, uint8_t val)
{
    struct rtc_regs *r = &rtc->regs;
    if (is_time_reg(reg)) {
        hold_time(rtc);
        r->cmos[reg] = val;
    } else if (reg == REG_A) {
        write_control(rtc, REG_A, val & (uint8_t)~A_UIP);
    } else if (reg == REG_B) {
        if (val & B_SET) /* SET takes the update interrupt with it */
            val &= (uint8_t)~B_UIE;
        write_control(rtc, REG_B, val);
    } else if (reg != REG_C && reg != REG_D) {
        r->cmos[reg] = val;
    }
}

static uint8_t cmos_read(struct rtc *rtc, unsigned reg)
{
    struct rtc_regs *r = &rtc->regs;
    uint8_t val = r->cmos[reg];
    if (reg == REG_A) {
        bool uip = is_updating(r) && second_fraction_ns(rtc) >= NS_PER_S - UIP_NS;
        return (uint8_t)(val | (uip ? A_UIP : 0));
    }
    if (reg == REG_C) {
        val |= irq_pending(r) ? C_IRQF : 0;
        r->cmos[REG_C] = 0;
        return val;
    }
    if (is_time_reg(reg) && !r->held) {
        store_time(r, r->seen_second);
        return r->cmos[reg];
    }
    return val;
}

static uint64_t rtc_read(void *self, uint64_t off, unsigned size)
{
    struct rtc *rtc = self;
    (void)size;
    if (off == 0)
        return 0xff; /* the index is write-only on a PC */
    rtc_sync(rtc);
    uint8_t val = cmos_read(rtc, rtc->regs.index);
    rtc_settle(rtc);
    return val;
}

static void rtc_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct rtc *rtc = self;
    (void)size;
    if (off == 0) {
        rtc->regs.index = val & 0x7f; /* bit 7 masks NMIs, of which there are none */
        return;
    }
    rtc_sync(rtc);
    cmos_write(rtc, rtc->regs.index, (uint8_t)val);
    rtc_settle(rtc);
}

static const struct io_ops rtc_io = {rtc_read, rtc_write, 1, 1};

/* ---- Set-up ---- */

static void store_size(uint8_t *cmos, unsigned bytes, uint64_t val)
{
    uint64_t max = size_mask(bytes);
    val = val < max ? val : max;
    for (unsigned i = 0; i < bytes; i++)
        cmos[i] = (uint8_t)(val >> (8 * i));
}

static uint64_t above(uint64_t size, uint64_t start)
{
    return size > start ? size - start : 0;
}

/* What firmware leaves in CMOS for those who look: memory sizes, CPUs, equipment. */
static void store_board(struct rtc *rtc)
{
    uint8_t *cmos = rtc->regs.cmos;
    uint64_t low = rtc->cfg.ram_size < RAM_HOLE_START ? rtc->cfg.ram_size : RAM_HOLE_START;
    cmos[0x0f] = 0;                                     /* no shutdown code */
    cmos[0x14] = 0x02;                                  /* equipment: FPU */
    store_size(cmos + 0x15, 2, 640);                    /* base memory, KiB */
    store_size(cmos + 0x17, 2, above(low, MIB(1)) >> 10); /* from 1 MiB, KiB */
    store_size(cmos + 0x30, 2, above(low, MIB(1)) >> 10);
    store_size(cmos + 0x34, 2, above(low, MIB(16)) >> 16); /* from 16 MiB, 64 KiB */
    store_size(cmos + 0x5b, 3, above(rtc->cfg.ram_size, low) >> 16); /* from 4 GiB, 64 KiB */
    store_size(cmos + 0x5f, 1, rtc->cfg.cpus ? rtc->cfg.cpus - 1 : 0);
}

/*
 * Reset clears enables and flags; the rest is what firmware does at every start. Time and other
 * memory have a battery.
 */
static void rtc_reset(struct device *dev)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    rtc_sync(rtc);
    rtc->regs.index = 0;
    write_control(rtc, REG_A, A_DIVIDER_32768 | A_RATE_1024_HZ);
    write_control(rtc, REG_B, B_24H);
    rtc->regs.cmos[REG_C] = 0;
    rtc->regs.cmos[REG_D] = D_VRT;
    store_board(rtc);
    rtc_settle(rtc);
}

static void rtc_fini(struct device *dev)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    timer_cancel(&rtc->timer);
    bus_remove(rtc->cfg.pio, &rtc->region);
    free(rtc);
}

static const struct device_ops rtc_ops = {rtc_reset, rtc_fini};

struct device *rtc_create(const struct rtc_config *cfg, struct err *err)
{
    struct rtc *rtc = calloc(1, sizeof *rtc);
    if (!rtc) {
        err_set(err, ENOMEM, "rtc: out of memory");
        return NULL;
    }
    rtc->dev = (struct device){.name = "rtc", .ops = &rtc_ops};
    rtc->cfg = *cfg;
    timer_init(&rtc->timer, cfg->clock, rtc_fire, rtc);
    rtc->region =
        (struct region){.name = "rtc", .base = RTC_PORT, .len = 2, .ops = &rtc_io, .self = rtc};
    rtc_reset(&rtc->dev);
    if (bus_add(cfg->pio, &rtc->region, err)) {
        rtc_fini(&rtc->dev);
        return NULL;
    }
    return &rtc->dev;
}
