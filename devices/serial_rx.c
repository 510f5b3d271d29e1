// SPDX-License-Identifier: MIT
//
// The 16550A's receiver.
//
// Receiving never outruns the guest: bytes are pulled from the backend when the FIFO has room and
// the guest listens. Input is often there before the guest is (a script on stdin), and drivers
// clear FIFOs and read RBR blindly while they set up. So a guest counts as listening when it
// enabled the data interrupt, or when it reads LSR twice in a row with the transmitter idle,
// which is how a polling reader waits and how nobody sets up a port. And a FIFO reset that is
// part of set-up (FIFOs switched on or off, or data interrupt disabled) hands unread bytes of the
// line back to be received again; a reset under a listening driver discards them, as the data
// sheet says. Overrun can therefore only happen in loopback.
#include <string.h>

#include "serial_priv.h"

static uint64_t char_time_ns(const struct serial_regs *r)
{
    unsigned data_bits = 5 + (r->lcr & LCR_WLS);
    unsigned half_bits = 2 * (1 + data_bits + !!(r->lcr & LCR_PEN)) + 2;
    if (r->lcr & LCR_STB)
        half_bits += data_bits == 5 ? 1 : 2;
    /* Divisor 0 stops a real chip; ours goes on at full speed. */
    unsigned divisor = r->divisor ? r->divisor : 1;
    return half_bits * (16ull * 1000000000 / 2) * divisor / BAUD_CLOCK_HZ;
}

/*
 * The FIFO was just filled or read: the character timeout counts from now. The timer is left
 * where it is when it would only move later, and re-armed when it fires early: most bytes are
 * read long before, and arming costs more than looking.
 */
void serial_rx_restart_timeout(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    if (!serial_fifos_on(r) || !(r->ier & IER_ERBFI) || r->rx_count == 0 || serial_rx_at_trigger(r))
        return;
    r->rx_timeout_ns = clock_now_ns(s->clock) + TIMEOUT_CHARS * char_time_ns(r);
    if (!s->timeout.armed || s->timeout.deadline_ns > r->rx_timeout_ns)
        timer_arm(&s->timeout, r->rx_timeout_ns);
}

void serial_rx_timeout(void *self)
{
    struct serial *s = self;
    struct serial_regs *r = &s->regs;
    if (!serial_fifos_on(r) || r->rx_count == 0)
        return;
    if (clock_now_ns(s->clock) < r->rx_timeout_ns) {
        timer_arm(&s->timeout, r->rx_timeout_ns);
        return;
    }
    r->rx_timed_out = true;
    serial_irq_update(s);
}

/* Error bits of a character show in LSR when it comes to the top of the FIFO. */
static void rx_expose_top(struct serial_regs *r)
{
    uint8_t *flags = &r->rx_flags[r->rx_head];
    r->lsr |= *flags & LSR_CHAR_ERRORS;
    *flags &= RX_FROM_LINE;
}

static unsigned rx_room(const struct serial_regs *r)
{
    unsigned capacity = serial_fifos_on(r) ? SERIAL_FIFO : 1;
    return r->rx_count < capacity ? capacity - r->rx_count : 0;
}

void serial_rx_push(struct serial_regs *r, uint8_t data, uint8_t flags)
{
    if (rx_room(r) == 0) {
        r->lsr |= LSR_OE;
        if (serial_fifos_on(r))
            return;      /* the FIFO keeps what it has */
        r->rx_count = 0; /* the holding register is overwritten */
    }
    unsigned slot = (r->rx_head + r->rx_count) % SERIAL_FIFO;
    r->rx_data[slot] = data;
    r->rx_flags[slot] = flags;
    if (r->rx_count++ == 0)
        rx_expose_top(r);
}

/* Bytes that were handed back come first. */
static size_t line_read(struct serial *s, uint8_t *buf, size_t len)
{
    struct serial_regs *r = &s->regs;
    size_t n = r->held_count < len ? r->held_count : len;
    memcpy(buf, r->held, n);
    r->held_count = (uint8_t)(r->held_count - n);
    memmove(r->held, r->held + n, r->held_count);
    if (n < len && s->chr)
        n += chr_read(s->chr, buf + n, len - n);
    return n;
}

/* Fill the FIFO from the line. */
void serial_rx_fill(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    unsigned room = rx_room(r);
    if (room == 0 || (r->mcr & MCR_LOOP))
        return;
    uint8_t buf[SERIAL_FIFO];
    size_t n = line_read(s, buf, room);
    for (size_t i = 0; i < n; i++)
        serial_rx_push(r, buf[i], RX_FROM_LINE);
    if (n)
        serial_rx_restart_timeout(s);
}

void serial_rx_fill_if_listening(struct serial *s)
{
    if (s->regs.ier & IER_ERBFI)
        serial_rx_fill(s);
}

/*
 * Hand unread bytes of the line back. Never more than held[] has room for: the line is not asked
 * while it has any.
 */
void serial_rx_hand_back(struct serial_regs *r)
{
    uint8_t back[SERIAL_FIFO];
    unsigned n = 0;
    for (unsigned i = 0; i < r->rx_count; i++) {
        unsigned slot = (r->rx_head + i) % SERIAL_FIFO;
        if (r->rx_flags[slot] == RX_FROM_LINE)
            back[n++] = r->rx_data[slot];
    }
    for (unsigned i = 0; i < r->held_count && n < SERIAL_FIFO; i++)
        back[n++] = r->held[i];
    memcpy(r->held, back, n);
    r->held_count = (uint8_t)n;
}

void serial_rx_reset(struct serial_regs *r, bool hand_back)
{
    if (hand_back)
        serial_rx_hand_back(r);
    r->rx_head = r->rx_count = 0;
    r->rx_timed_out = false;
}

uint8_t serial_rx_read(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    if (r->rx_count == 0)
        return 0;
    uint8_t data = r->rx_data[r->rx_head];
    r->rx_head = (uint8_t)((r->rx_head + 1u) % SERIAL_FIFO);
    r->rx_timed_out = false;
    if (--r->rx_count)
        rx_expose_top(r);
    /*
     * The line falls before more data lifts it again: a handler that reads only so much needs the
     * new edge.
     */
    serial_irq_update(s);
    if (!serial_rx_at_trigger(r))
        serial_rx_fill_if_listening(s);
    serial_rx_restart_timeout(s);
    serial_irq_update(s);
    return data;
}
