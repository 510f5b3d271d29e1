// SPDX-License-Identifier: MIT
//
// Intel 8254 (datasheet 231164, "Programming the 8254" and "Mode definitions") as wired in a PC:
// channel 0's OUT is IRQ0, the gates of channels 0 and 1 are tied high, port 0x61 holds channel 2's
// gate and shows its OUT.
//
// Nothing ticks. A channel is a count and the tick at which it was taken, both in ticks of 1193182
// Hz since guest time 0, and every count and output level is computed from the clock when somebody
// looks. Only the rising edges of OUT 0 need a timer, one per edge.
//
// - The line to the interrupt controller is lowered and raised again at each rising edge and
//   lowered when a write makes OUT low. The falling edges of modes 2 and 3 are not driven:
//   edge-triggered inputs do not see them, and each would cost a wakeup.
// - A late host gives one edge for all that it missed, and the next at its proper tick: phase is
//   kept, lost ticks are lost.
// - Periods below PIT_MIN_PERIOD_TICKS interrupt at the first multiple not below it, so that a
//   guest cannot make the host wake half a million times a second. Counts and outputs are not
//   affected.
// - A periodic channel 0 costs wakeups even while IRQ0 is masked: the controller latches a masked
//   edge, so the device may not drop it, and it does not see the mask. It is not worth a wire: out
//   of reset channel 0 stands still, and kernels that do not want the PIT either never start it or
//   stop it with mode 0.
//
// Left out: sound, and the I/O check and parity bits of port 0x61 (no such errors here).
#include "devices/pit.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/ticks.h"

#define PIT_PORT 0x40
#define PIT_CONTROL 3 /* offset of the control word */
#define NMI_SC_PORT 0x61
#define NEVER UINT64_MAX

#define PIT_MIN_PERIOD_TICKS 60 /* 50 us */
#define REFRESH_TICKS 18        /* bit 4 of port 0x61 turns over every 15 us, as refresh did */

#define ACCESS_LSB 1
#define ACCESS_MSB 2
#define ACCESS_BOTH 3

#define STATUS_OUT 0x80
#define STATUS_NULL_COUNT 0x40

#define PORT61_GATE2 0x01
#define PORT61_WRITABLE 0x0f
#define PORT61_REFRESH 0x10
#define PORT61_OUT2 0x20

struct pit {
    struct device dev;
    struct pit_regs regs;
    struct pit_config cfg;
    struct timer timer;
    struct region counters, port61;
};

/*
 * ---- One channel. All functions take the present tick; pit_settle() comes before the rest. ----
 */

static unsigned channel_mode(const struct pit_channel_regs *ch)
{
    return ch->mode & 2 ? ch->mode & 3u : ch->mode;
}

static bool is_periodic(const struct pit_channel_regs *ch)
{
    return (ch->mode & 2) != 0;
}

/* Modes 1 and 5 start at a rising gate and do not care for its level. */
static bool is_triggered(const struct pit_channel_regs *ch)
{
    return (ch->mode & 3) == 1;
}

static uint32_t channel_modulus(const struct pit_channel_regs *ch)
{
    return ch->bcd ? 10000 : 0x10000;
}

static uint32_t bcd_value(uint16_t raw)
{
    return (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
}

static uint16_t bcd_digits(uint32_t v)
{
    return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/*
 * The count in ticks; 0 stands for the modulus. A count of 1 is illegal in modes 2 and 3 and acts
 * as 2.
 */
static uint32_t channel_count(const struct pit_channel_regs *ch)
{
    uint32_t n = ch->bcd ? bcd_value(ch->ce) : ch->ce;
    if (!n)
        n = channel_modulus(ch);
    return is_periodic(ch) && n < 2 ? 2 : n;
}

static uint64_t channel_elapsed(const struct pit_channel_regs *ch, uint64_t now)
{
    bool counting = ch->loaded && !ch->halted && (ch->gate || is_triggered(ch));
    return ch->elapsed + (counting ? now - ch->start_tick : 0);
}

/* Length of mode 3's high half; an odd count gives it the odd tick. */
static uint32_t high_half(uint32_t n)
{
    return (n + 1) / 2;
}

/* The counting element takes the count if its time has come. */
static void channel_settle(struct pit_channel_regs *ch, uint64_t now)
{
    if (!ch->load_pending || now < ch->load_tick)
        return;
    ch->ce = ch->cr;
    ch->elapsed = ch->load_low_half ? high_half(channel_count(ch)) : 0;
    ch->start_tick = ch->load_tick;
    ch->loaded = true;
    ch->halted = ch->load_pending = ch->load_low_half = ch->null_count = false;
}

static void channel_load_at(struct pit_channel_regs *ch, uint64_t tick)
{
    ch->load_pending = true;
    ch->load_low_half = false;
    ch->load_tick = tick;
}

/* Start a new span of counting, or end one, without changing the count. */
static void channel_rebase(struct pit_channel_regs *ch, uint64_t now)
{
    ch->elapsed = channel_elapsed(ch, now);
    ch->start_tick = now;
}

static bool channel_out(const struct pit_channel_regs *ch, uint64_t now)
{
    uint32_t n = channel_count(ch);
    uint64_t e = channel_elapsed(ch, now);
    unsigned mode = channel_mode(ch);
    if (mode == 0)
        return ch->loaded && !ch->halted && e >= n;
    if (!ch->loaded)
        return true;
    if (mode == 1)
        return e >= n;
    if (mode >= 4)
        return e != n;
    if (ch->halted || !ch->gate)
        return true;
    return mode == 2 ? e % n != n - 1 : e % n < high_half(n);
}

/* Mode 3 counts down by two, twice per period; odd counts start from the even number below. */
static uint32_t square_wave_value(uint32_t n, uint64_t e)
{
    uint64_t pos = e % n;
    if (pos >= high_half(n))
        pos -= high_half(n);
    return (uint32_t)((n & ~1u) - 2 * pos);
}

static uint16_t channel_value(const struct pit_channel_regs *ch, uint64_t now)
{
    if (!ch->loaded)
        return ch->idle_count;
    uint32_t n = channel_count(ch), modulus = channel_modulus(ch), value;
    uint64_t e = channel_elapsed(ch, now);
    if (channel_mode(ch) == 2)
        value = (uint32_t)(n - e % n);
    else if (channel_mode(ch) == 3)
        value = square_wave_value(n, e);
    else
        value = (uint32_t)(n + modulus - e % modulus); /* one-shots run on below zero */
    return ch->bcd ? bcd_digits(value % modulus) : (uint16_t)value;
}

/*
 * The first tick after `now` at which OUT rises if nothing is written, with short periods
 * stretched.
 */
static uint64_t running_rise(const struct pit_channel_regs *ch, uint64_t now)
{
    if (!ch->loaded || ch->halted || !(ch->gate || is_triggered(ch)))
        return NEVER;
    uint32_t n = channel_count(ch);
    uint64_t e = channel_elapsed(ch, now);
    if (is_periodic(ch)) {
        uint32_t skipped = n < PIT_MIN_PERIOD_TICKS ? (PIT_MIN_PERIOD_TICKS - 1) / n : 0;
        return now + (n - e % n) + (uint64_t)n * skipped;
    }
    uint64_t end = channel_mode(ch) >= 4 ? n + 1ull : n;
    return e < end ? now + (end - e) : NEVER;
}

static uint64_t channel_next_rise(const struct pit_channel_regs *ch, uint64_t now)
{
    if (!ch->load_pending)
        return running_rise(ch, now);
    /*
     * Nothing rises before the load: periodic modes load where OUT turns over, one-shots on the
     * next tick.
     */
    struct pit_channel_regs next = *ch;
    channel_settle(&next, ch->load_tick);
    if (!channel_out(ch, ch->load_tick - 1) && channel_out(&next, ch->load_tick))
        return ch->load_tick;
    return running_rise(&next, ch->load_tick);
}

/* A new count while modes 2 and 3 run is taken at the end of the period or of the half. */
static void periodic_load_at_turn(struct pit_channel_regs *ch, uint64_t now)
{
    uint32_t n = channel_count(ch), high = high_half(n);
    uint64_t pos = channel_elapsed(ch, now) % n;
    bool turns_low = channel_mode(ch) == 3 && pos < high;
    channel_load_at(ch, now + ((turns_low ? high : n) - pos));
    ch->load_low_half = turns_low;
}

static void channel_write_count(struct pit_channel_regs *ch, unsigned val, uint64_t now)
{
    ch->cr = (uint16_t)val;
    ch->cr_written = ch->null_count = true;
    if (is_triggered(ch))
        return;
    if (!is_periodic(ch) || (!ch->loaded && !ch->load_pending))
        channel_load_at(ch, now + 1);
    else if (!ch->load_pending && ch->gate)
        periodic_load_at_turn(ch, now);
}

static void channel_write(struct pit_channel_regs *ch, uint8_t val, uint64_t now)
{
    if (ch->access == ACCESS_LSB) {
        channel_write_count(ch, val, now);
    } else if (ch->access == ACCESS_MSB) {
        channel_write_count(ch, (unsigned)val << 8, now);
    } else if (ch->write_msb_next) {
        ch->write_msb_next = false;
        channel_write_count(ch, (unsigned)val << 8 | ch->write_lsb, now);
    } else {
        ch->write_lsb = val;
        ch->write_msb_next = true;
        if (channel_mode(ch) == 0) { /* the first of two bytes stops counting and lowers OUT */
            channel_rebase(ch, now);
            ch->halted = true;
            ch->load_pending = false;
        }
    }
}

static void channel_set_gate(struct pit_channel_regs *ch, bool gate, uint64_t now)
{
    channel_settle(ch, now);
    if (gate == ch->gate)
        return;
    channel_rebase(ch, now);
    ch->gate = gate;
    bool restarts = is_triggered(ch) || is_periodic(ch);
    if (gate && restarts && ch->cr_written) {
        ch->halted = is_periodic(ch);
        channel_load_at(ch, now + 1);
    } else if (!gate && is_periodic(ch) && ch->loaded) {
        ch->load_pending = false;
    }
}

static void channel_latch_count(struct pit_channel_regs *ch, uint64_t now)
{
    if (ch->count_latched)
        return;
    ch->count_latch = channel_value(ch, now);
    ch->count_latched = ch->access;
}

static void channel_latch_status(struct pit_channel_regs *ch, uint64_t now)
{
    if (ch->status_latched)
        return;
    ch->status_latched = true;
    ch->status_latch = (uint8_t)((channel_out(ch, now) ? STATUS_OUT : 0) |
                                 (ch->null_count ? STATUS_NULL_COUNT : 0) | ch->access << 4 |
                                 ch->mode << 1 | ch->bcd);
}

static void channel_set_mode(struct pit_channel_regs *ch, uint8_t control, uint64_t now)
{
    *ch = (struct pit_channel_regs){
        .access = control >> 4 & 3,
        .mode = control >> 1 & 7,
        .bcd = control & 1,
        .gate = ch->gate,
        .null_count = true,
        .idle_count = channel_value(ch, now),
    };
}

static uint8_t channel_read(struct pit_channel_regs *ch, uint64_t now)
{
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status_latch;
    }
    if (ch->count_latched & ACCESS_LSB) {
        ch->count_latched &= ACCESS_MSB;
        return (uint8_t)ch->count_latch;
    }
    if (ch->count_latched) {
        ch->count_latched = 0;
        return (uint8_t)(ch->count_latch >> 8);
    }
    bool msb = ch->access == ACCESS_MSB || (ch->access == ACCESS_BOTH && ch->read_msb_next);
    if (ch->access == ACCESS_BOTH)
        ch->read_msb_next = !ch->read_msb_next;
    return (uint8_t)(channel_value(ch, now) >> (msb ? 8 : 0));
}

/* ---- The chip ---- */

static uint64_t pit_now(const struct pit *pit)
{
    return ticks_from_ns(clock_now_ns(pit->cfg.clock), PIT_HZ);
}

static void raise_edge(struct pit *pit)
{
    irq_set(&pit->cfg.irq, false);
    irq_set(&pit->cfg.irq, true);
}

/* Set the timer for the next rising edge of OUT 0, or none. */
static void pit_rearm(struct pit *pit, uint64_t now)
{
    pit->regs.irq_tick = channel_next_rise(&pit->regs.channel[0], now);
    if (pit->regs.irq_tick == NEVER)
        timer_cancel(&pit->timer);
    else
        timer_arm(&pit->timer, ns_from_ticks(pit->regs.irq_tick, PIT_HZ));
}

/* Deliver an edge that is due, once however late, and look for the next. */
static void pit_catch_up(struct pit *pit, uint64_t now)
{
    channel_settle(&pit->regs.channel[0], now);
    if (pit->regs.irq_tick > now)
        return;
    raise_edge(pit);
    pit_rearm(pit, now);
}

static void pit_fire(void *self)
{
    struct pit *pit = self;
    pit_catch_up(pit, pit_now(pit));
}

/* After a write to channel 0: OUT was `before`. */
static void channel0_changed(struct pit *pit, bool before, uint64_t now)
{
    bool after = channel_out(&pit->regs.channel[0], now);
    if (!after)
        irq_set(&pit->cfg.irq, false);
    else if (!before)
        raise_edge(pit);
    pit_rearm(pit, now);
}

/* Bits 1-3 select channels; a clear bit 5 latches counts, a clear bit 4 the status. */
static void read_back(struct pit *pit, uint8_t val, uint64_t now)
{
    for (unsigned i = 0; i < PIT_CHANNELS; i++) {
        if (!(val & 2u << i))
            continue;
        if (!(val & 0x20))
            channel_latch_count(&pit->regs.channel[i], now);
        if (!(val & 0x10))
            channel_latch_status(&pit->regs.channel[i], now);
    }
}

static void control_write(struct pit *pit, uint8_t val, uint64_t now)
{
    unsigned select = val >> 6;
    if (select == 3) {
        read_back(pit, val, now);
        return;
    }
    struct pit_channel_regs *ch = &pit->regs.channel[select];
    if (!(val >> 4 & 3)) {
        channel_latch_count(ch, now);
        return;
    }
    bool before = channel_out(ch, now);
    channel_set_mode(ch, val, now);
    if (select == 0)
        channel0_changed(pit, before, now);
}

static uint64_t counters_read(void *self, uint64_t off, unsigned size)
{
    struct pit *pit = self;
    (void)size;
    if (off >= PIT_CHANNELS)
        return 0xff; /* the control word cannot be read: the chip leaves the bus alone */
    uint64_t now = pit_now(pit);
    channel_settle(&pit->regs.channel[off], now);
    return channel_read(&pit->regs.channel[off], now);
}

static void counters_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *pit = self;
    (void)size;
    uint64_t now = pit_now(pit);
    pit_catch_up(pit, now);
    for (unsigned i = 1; i < PIT_CHANNELS; i++)
        channel_settle(&pit->regs.channel[i], now);
    if (off >= PIT_CONTROL) {
        control_write(pit, (uint8_t)val, now);
        return;
    }
    struct pit_channel_regs *ch = &pit->regs.channel[off];
    bool before = channel_out(ch, now);
    channel_write(ch, (uint8_t)val, now);
    if (off == 0)
        channel0_changed(pit, before, now);
}

static uint64_t port61_read(void *self, uint64_t off, unsigned size)
{
    struct pit *pit = self;
    (void)off, (void)size;
    uint64_t now = pit_now(pit);
    struct pit_channel_regs *ch = &pit->regs.channel[2];
    channel_settle(ch, now);
    return pit->regs.port61 | (now / REFRESH_TICKS % 2 ? PORT61_REFRESH : 0u) |
           (channel_out(ch, now) ? PORT61_OUT2 : 0u);
}

static void port61_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *pit = self;
    (void)off, (void)size;
    pit->regs.port61 = val & PORT61_WRITABLE;
    channel_set_gate(&pit->regs.channel[2], val & PORT61_GATE2, pit_now(pit));
}

static const struct io_ops counters_io = {counters_read, counters_write, 1, 1};
static const struct io_ops port61_io = {port61_read, port61_write, 1, 1};

/*
 * The datasheet leaves power-on open. Here: mode 3 without a count, so that nothing runs and every
 * OUT is high.
 */
static void pit_reset(struct device *dev)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    timer_cancel(&pit->timer);
    irq_set(&pit->cfg.irq, false);
    pit->regs = (struct pit_regs){.irq_tick = NEVER};
    for (unsigned i = 0; i < PIT_CHANNELS; i++) {
        pit->regs.channel[i] = (struct pit_channel_regs){
            .access = ACCESS_BOTH, .mode = 3, .gate = i != 2, .null_count = true};
    }
}

static void pit_fini(struct device *dev)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    timer_cancel(&pit->timer);
    bus_remove(pit->cfg.pio, &pit->counters);
    bus_remove(pit->cfg.pio, &pit->port61);
    free(pit);
}

static const struct device_ops pit_ops = {pit_reset, pit_fini};

struct device *pit_create(const struct pit_config *cfg, struct err *err)
{
    struct pit *pit = calloc(1, sizeof *pit);
    if (!pit) {
        err_set(err, ENOMEM, "pit: out of memory");
        return NULL;
    }
    pit->dev = (struct device){.name = "pit", .ops = &pit_ops};
    pit->cfg = *cfg;
    timer_init(&pit->timer, cfg->clock, pit_fire, pit);
    pit->counters = (struct region){
        .name = "pit", .base = PIT_PORT, .len = 4, .ops = &counters_io, .self = pit};
    pit->port61 = (struct region){
        .name = "port61", .base = NMI_SC_PORT, .len = 1, .ops = &port61_io, .self = pit};
    pit_reset(&pit->dev);
    if (bus_add(cfg->pio, &pit->counters, err) || bus_add(cfg->pio, &pit->port61, err)) {
        pit_fini(&pit->dev);
        return NULL;
    }
    return &pit->dev;
}
