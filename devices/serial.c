// SPDX-License-Identifier: MIT
//
// 16550A UART, after the PC16550D data sheet; 16450 behaviour while the FIFOs are off.
//
// Sending takes no time: a byte written to THR goes to the backend at once, so a polled byte
// costs the guest the THR write and one look at LSR. What the backend cannot take waits in a
// 16-byte FIFO, and THRE is low as long as it waits.
//
// Receiving never outruns the guest: bytes are pulled from the backend when the FIFO has room and
// the guest listens. Input is often there before the guest is (a script on stdin), and drivers
// clear FIFOs and read RBR blindly while they set up. So a guest counts as listening when it
// enabled the data interrupt, or when it reads LSR twice in a row with the transmitter idle,
// which is how a polling reader waits and how nobody sets up a port. And a FIFO reset that is
// part of set-up (FIFOs switched on or off, or data interrupt disabled) hands unread bytes of the
// line back to be received again; a reset under a listening driver discards them, as the data
// sheet says. Overrun can therefore only happen in loopback.
//
// OUT2 gates the interrupt in loopback mode too. Left out: word length masking (all characters
// have 8 bits), parity and framing errors, sending a break, baud pacing (only the character
// timeout knows the baud rate), DMA pins.
#include "serial.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_ERBFI 0x01u
#define IER_ETBEI 0x02u
#define IER_ELSI 0x04u
#define IER_EDSSI 0x08u
#define IER_MASK 0x0Fu

#define IIR_MODEM 0x00u
#define IIR_NONE 0x01u
#define IIR_THR 0x02u
#define IIR_DATA 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0Cu
#define IIR_FIFOS 0xC0u

#define FCR_ENABLE 0x01u
#define FCR_RESET_RX 0x02u
#define FCR_RESET_TX 0x04u
#define FCR_KEPT 0xC9u /* enable, DMA mode, trigger: the bits that are state */
#define FCR_TRIGGER_SHIFT 6

#define LCR_WLS 0x03u
#define LCR_STB 0x04u
#define LCR_PEN 0x08u
#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1Fu

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_PE 0x04u
#define LSR_FE 0x08u
#define LSR_BI 0x10u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define LSR_FIFO_ERROR 0x80u
#define LSR_CHAR_ERRORS (LSR_PE | LSR_FE | LSR_BI)
#define RX_FROM_LINE 0x01u /* in rx_flags, beside LSR_CHAR_ERRORS */

#define MSR_DCTS 0x01u
#define MSR_DDSR 0x02u
#define MSR_TERI 0x04u
#define MSR_DDCD 0x08u
#define MSR_DELTAS 0x0Fu
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u

#define BAUD_CLOCK_HZ 1843200u
#define BAUD_DIVISOR_RESET 12 /* 9600 baud, what PC firmware leaves behind */
#define TIMEOUT_CHARS 4

struct serial {
    struct device dev;
    struct serial_regs regs;
    bool irq_level;
    struct bus *pio;
    struct region region;
    struct irq_line irq;
    struct clock *clock;
    struct timer timeout;
    struct chr *chr;
};

/* ---- interrupts ---- */

static bool fifos_on(const struct serial_regs *r)
{
    return r->fcr & FCR_ENABLE;
}

static bool rx_at_trigger(const struct serial_regs *r)
{
    static const uint8_t triggers[] = {1, 4, 8, 14};
    return r->rx_count >= (fifos_on(r) ? triggers[r->fcr >> FCR_TRIGGER_SHIFT] : 1);
}

/* The pending interrupt of highest priority, as IIR bits 3-0. */
static uint8_t irq_cause(const struct serial_regs *r)
{
    if ((r->ier & IER_ELSI) && r->lsr)
        return IIR_LINE;
    if ((r->ier & IER_ERBFI) && rx_at_trigger(r))
        return IIR_DATA;
    if ((r->ier & IER_ERBFI) && r->rx_timed_out)
        return IIR_TIMEOUT;
    if ((r->ier & IER_ETBEI) && r->thr_pending)
        return IIR_THR;
    if ((r->ier & IER_EDSSI) && (r->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void irq_update(struct serial *s)
{
    bool level = (s->regs.mcr & MCR_OUT2) && irq_cause(&s->regs) != IIR_NONE;
    if (level == s->irq_level)
        return;
    s->irq_level = level;
    irq_set(&s->irq, level);
}

/* ---- receiver ---- */

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
static void rx_restart_timeout(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    if (!fifos_on(r) || !(r->ier & IER_ERBFI) || r->rx_count == 0 || rx_at_trigger(r))
        return;
    r->rx_timeout_ns = clock_now_ns(s->clock) + TIMEOUT_CHARS * char_time_ns(r);
    if (!s->timeout.armed || s->timeout.deadline_ns > r->rx_timeout_ns)
        timer_arm(&s->timeout, r->rx_timeout_ns);
}

static void rx_timeout_fire(void *self)
{
    struct serial *s = self;
    struct serial_regs *r = &s->regs;
    if (!fifos_on(r) || r->rx_count == 0)
        return;
    if (clock_now_ns(s->clock) < r->rx_timeout_ns) {
        timer_arm(&s->timeout, r->rx_timeout_ns);
        return;
    }
    r->rx_timed_out = true;
    irq_update(s);
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
    unsigned capacity = fifos_on(r) ? SERIAL_FIFO : 1;
    return r->rx_count < capacity ? capacity - r->rx_count : 0;
}

static void rx_push(struct serial_regs *r, uint8_t data, uint8_t flags)
{
    if (rx_room(r) == 0) {
        r->lsr |= LSR_OE;
        if (fifos_on(r))
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
static void rx_fill(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    unsigned room = rx_room(r);
    if (room == 0 || (r->mcr & MCR_LOOP))
        return;
    uint8_t buf[SERIAL_FIFO];
    size_t n = line_read(s, buf, room);
    for (size_t i = 0; i < n; i++)
        rx_push(r, buf[i], RX_FROM_LINE);
    if (n)
        rx_restart_timeout(s);
}

static void rx_fill_if_listening(struct serial *s)
{
    if (s->regs.ier & IER_ERBFI)
        rx_fill(s);
}

/*
 * Hand unread bytes of the line back. Never more than held[] has room for: the line is not asked
 * while it has any.
 */
static void rx_hand_back(struct serial_regs *r)
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

static void rx_reset(struct serial_regs *r, bool hand_back)
{
    if (hand_back)
        rx_hand_back(r);
    r->rx_head = r->rx_count = 0;
    r->rx_timed_out = false;
}

static uint8_t rbr_read(struct serial *s)
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
    irq_update(s);
    if (!rx_at_trigger(r))
        rx_fill_if_listening(s);
    rx_restart_timeout(s);
    irq_update(s);
    return data;
}

/* ---- transmitter ---- */

/* Give the backend what waits. The THRE interrupt is raised by the last byte's going. */
static void tx_drain(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    if (r->tx_count == 0)
        return;
    size_t n = s->chr ? chr_write(s->chr, r->tx, r->tx_count) : r->tx_count;
    r->tx_count = (uint8_t)(r->tx_count - n);
    memmove(r->tx, r->tx + n, r->tx_count);
    if (r->tx_count == 0)
        r->thr_pending = true;
}

static void tx_reset(struct serial_regs *r)
{
    if (r->tx_count)
        r->thr_pending = true;
    r->tx_count = 0;
}

static void thr_write(struct serial *s, uint8_t val)
{
    struct serial_regs *r = &s->regs;
    r->thr_pending = false;
    irq_update(s); /* the line falls, so that the next THRE is an edge */
    if (r->mcr & MCR_LOOP) {
        rx_push(r, val, 0);
        rx_restart_timeout(s);
        r->thr_pending = r->tx_count == 0;
    } else if (r->tx_count == SERIAL_FIFO) {
        log_guest("%s: byte written to a full transmitter is lost", s->dev.name);
    } else {
        r->tx[r->tx_count++] = val;
        tx_drain(s);
    }
    irq_update(s);
}

/* ---- modem lines ---- */

static uint8_t modem_lines(const struct serial *s)
{
    uint8_t mcr = s->regs.mcr, lines = 0;
    if (!(mcr & MCR_LOOP))
        return s->chr ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
    if (mcr & MCR_RTS)
        lines |= MSR_CTS;
    if (mcr & MCR_DTR)
        lines |= MSR_DSR;
    if (mcr & MCR_OUT1)
        lines |= MSR_RI;
    if (mcr & MCR_OUT2)
        lines |= MSR_DCD;
    return lines;
}

static void msr_update(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    uint8_t lines = modem_lines(s);
    uint8_t changed = (uint8_t)(lines ^ (r->msr & ~MSR_DELTAS));
    uint8_t deltas = r->msr & MSR_DELTAS;
    if (changed & MSR_CTS)
        deltas |= MSR_DCTS;
    if (changed & MSR_DSR)
        deltas |= MSR_DDSR;
    if ((changed & MSR_RI) && !(lines & MSR_RI)) /* only the trailing edge counts */
        deltas |= MSR_TERI;
    if (changed & MSR_DCD)
        deltas |= MSR_DDCD;
    r->msr = lines | deltas;
}

/* ---- registers ---- */

static void ier_write(struct serial *s, uint8_t val)
{
    struct serial_regs *r = &s->regs;
    uint8_t rising = (uint8_t)(val & ~r->ier);
    r->ier = val & IER_MASK;
    if ((rising & IER_ETBEI) && r->tx_count == 0)
        r->thr_pending = true;
    if (rising & IER_ERBFI) {
        rx_fill(s);
        rx_restart_timeout(s);
    }
    irq_update(s);
}

static void fcr_write(struct serial *s, uint8_t val)
{
    struct serial_regs *r = &s->regs;
    bool toggled = (val ^ r->fcr) & FCR_ENABLE;
    if (!(val & FCR_ENABLE))
        val = 0; /* the other bits are only taken together with this one */
    if (toggled || (val & FCR_RESET_RX))
        rx_reset(r, toggled || !(r->ier & IER_ERBFI));
    if (toggled || (val & FCR_RESET_TX))
        tx_reset(r);
    r->fcr = val & FCR_KEPT;
    irq_update(s); /* emptied: the line falls before more data lifts it */
    rx_fill_if_listening(s);
    rx_restart_timeout(s);
    irq_update(s);
}

static void mcr_write(struct serial *s, uint8_t val)
{
    s->regs.mcr = val & MCR_MASK;
    msr_update(s);
    rx_fill_if_listening(s); /* leaving loopback reconnects the line */
    irq_update(s);
}

static uint8_t iir_read(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    uint8_t cause = irq_cause(r);
    if (cause == IIR_THR) {
        r->thr_pending = false;
        irq_update(s);
    }
    return cause | (fifos_on(r) ? IIR_FIFOS : 0);
}

static bool rx_has_error(const struct serial_regs *r)
{
    uint8_t any = r->lsr;
    for (unsigned i = 0; i < r->rx_count; i++)
        any |= r->rx_flags[(r->rx_head + i) % SERIAL_FIFO];
    return any & LSR_CHAR_ERRORS;
}

static uint8_t lsr_read(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    if (r->lsr_polled)
        rx_fill(s);
    uint8_t val = r->lsr;
    if (r->rx_count)
        val |= LSR_DR;
    if (r->tx_count == 0)
        val |= LSR_THRE | LSR_TEMT;
    if (fifos_on(r) && rx_has_error(r))
        val |= LSR_FIFO_ERROR;
    r->lsr = 0;
    r->lsr_polled = (val & (LSR_DR | LSR_THRE)) == LSR_THRE;
    irq_update(s);
    return val;
}

static uint8_t msr_read(struct serial *s)
{
    uint8_t val = s->regs.msr;
    s->regs.msr &= (uint8_t)~MSR_DELTAS;
    irq_update(s);
    return val;
}

static uint64_t serial_read(void *self, uint64_t off, unsigned size)
{
    struct serial *s = self;
    struct serial_regs *r = &s->regs;
    (void)size;
    if (off == LSR)
        return lsr_read(s);
    r->lsr_polled = false;
    bool dlab = r->lcr & LCR_DLAB;
    switch (off) {
    case RBR_THR:
        return dlab ? r->divisor & 0xFFu : rbr_read(s);
    case IER:
        return dlab ? r->divisor >> 8 : r->ier;
    case IIR_FCR:
        return iir_read(s);
    case LCR:
        return r->lcr;
    case MCR:
        return r->mcr;
    case MSR:
        return msr_read(s);
    default:
        return r->scr;
    }
}

static void serial_write(void *self, uint64_t off, unsigned size, uint64_t val64)
{
    struct serial *s = self;
    struct serial_regs *r = &s->regs;
    uint8_t val = (uint8_t)val64;
    (void)size;
    r->lsr_polled = false;
    bool dlab = r->lcr & LCR_DLAB;
    switch (off) {
    case RBR_THR:
        if (dlab)
            r->divisor = (uint16_t)((r->divisor & 0xFF00u) | val);
        else
            thr_write(s, val);
        break;
    case IER:
        if (dlab)
            r->divisor = (uint16_t)((r->divisor & 0xFFu) | (unsigned)val << 8);
        else
            ier_write(s, val);
        break;
    case IIR_FCR:
        fcr_write(s, val);
        break;
    case LCR:
        r->lcr = val;
        break;
    case MCR:
        mcr_write(s, val);
        break;
    case SCR:
        r->scr = val;
        break;
    default: /* LSR and MSR: writes are for factory testing */
        break;
    }
}

/* ---- the backend's side ---- */

static void serial_readable(void *self)
{
    struct serial *s = self;
    rx_fill_if_listening(s);
    irq_update(s);
}

static void serial_writable(void *self)
{
    struct serial *s = self;
    tx_drain(s);
    irq_update(s);
}

/* A break arrives as one zero character with BI set; in loopback the line is cut off. */
static void serial_break(void *self)
{
    struct serial *s = self;
    if (s->regs.mcr & MCR_LOOP)
        return;
    rx_push(&s->regs, 0, LSR_BI);
    rx_restart_timeout(s);
    irq_update(s);
}

/* ---- life cycle ---- */

/* Power-on state; bytes that the guest did not read are still on the line. */
static void serial_reset(struct device *dev)
{
    struct serial *s = (struct serial *)dev;
    struct serial_regs *r = &s->regs;
    struct serial_regs fresh = {.divisor = BAUD_DIVISOR_RESET};
    timer_cancel(&s->timeout);
    tx_drain(s);
    rx_hand_back(r);
    memcpy(fresh.held, r->held, r->held_count);
    fresh.held_count = r->held_count;
    *r = fresh;
    r->msr = modem_lines(s);
    irq_update(s);
}

static void serial_fini(struct device *dev)
{
    struct serial *s = (struct serial *)dev;
    timer_cancel(&s->timeout);
    tx_drain(s);
    bus_remove(s->pio, &s->region);
    if (s->chr)
        s->chr->client = (struct chr_client){0};
    free(s);
}

static const struct io_ops serial_io = {
    .read = serial_read,
    .write = serial_write,
    .min = 1,
    .max = 1,
};

static const struct device_ops serial_ops = {
    .reset = serial_reset,
    .fini = serial_fini,
};

struct device *serial_create(const struct serial_config *cfg, struct err *err)
{
    struct serial *s = calloc(1, sizeof *s);
    if (!s) {
        err_set_errno(err, ENOMEM, "create serial port '%s'", cfg->name);
        return NULL;
    }
    s->dev = (struct device){.name = cfg->name, .ops = &serial_ops};
    s->pio = cfg->pio;
    s->irq = cfg->irq;
    s->clock = cfg->clock;
    s->chr = cfg->chr;
    s->region = (struct region){
        .name = cfg->name,
        .base = cfg->port,
        .len = SERIAL_PORTS,
        .ops = &serial_io,
        .self = s,
    };
    if (bus_add(s->pio, &s->region, err)) {
        free(s);
        return NULL;
    }
    timer_init(&s->timeout, s->clock, rx_timeout_fire, s);
    if (s->chr)
        s->chr->client = (struct chr_client){
            .readable = serial_readable,
            .writable = serial_writable,
            .break_seen = serial_break,
            .self = s,
        };
    serial_reset(&s->dev);
    return &s->dev;
}
