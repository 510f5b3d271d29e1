// SPDX-License-Identifier: MIT
//
// 16550A UART, after the PC16550D data sheet; 16450 behaviour while the FIFOs are off.
//
// Sending takes no time: a byte written to THR goes to the backend at once, so a polled byte
// costs the guest the THR write and one look at LSR. What the backend cannot take waits in a
// 16-byte FIFO, and THRE is low as long as it waits.
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
#include "serial_priv.h"

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
    serial_irq_update(s); /* the line falls, so that the next THRE is an edge */
    if (r->mcr & MCR_LOOP) {
        serial_rx_push(r, val, 0);
        serial_rx_restart_timeout(s);
        r->thr_pending = r->tx_count == 0;
    } else if (r->tx_count == SERIAL_FIFO) {
        log_guest("%s: byte written to a full transmitter is lost", s->dev.name);
    } else {
        r->tx[r->tx_count++] = val;
        tx_drain(s);
    }
    serial_irq_update(s);
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
        serial_rx_fill(s);
        serial_rx_restart_timeout(s);
    }
    serial_irq_update(s);
}

static void fcr_write(struct serial *s, uint8_t val)
{
    struct serial_regs *r = &s->regs;
    bool toggled = (val ^ r->fcr) & FCR_ENABLE;
    if (!(val & FCR_ENABLE))
        val = 0; /* the other bits are only taken together with this one */
    if (toggled || (val & FCR_RESET_RX))
        serial_rx_reset(r, toggled || !(r->ier & IER_ERBFI));
    if (toggled || (val & FCR_RESET_TX))
        tx_reset(r);
    r->fcr = val & FCR_KEPT;
    serial_irq_update(s); /* emptied: the line falls before more data lifts it */
    serial_rx_fill_if_listening(s);
    serial_rx_restart_timeout(s);
    serial_irq_update(s);
}

static void mcr_write(struct serial *s, uint8_t val)
{
    s->regs.mcr = val & MCR_MASK;
    msr_update(s);
    serial_rx_fill_if_listening(s); /* leaving loopback reconnects the line */
    serial_irq_update(s);
}

static uint8_t iir_read(struct serial *s)
{
    struct serial_regs *r = &s->regs;
    uint8_t cause = serial_irq_cause(r);
    if (cause == IIR_THR) {
        r->thr_pending = false;
        serial_irq_update(s);
    }
    return cause | (serial_fifos_on(r) ? IIR_FIFOS : 0);
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
        serial_rx_fill(s);
    uint8_t val = r->lsr;
    if (r->rx_count)
        val |= LSR_DR;
    if (r->tx_count == 0)
        val |= LSR_THRE | LSR_TEMT;
    if (serial_fifos_on(r) && rx_has_error(r))
        val |= LSR_FIFO_ERROR;
    r->lsr = 0;
    r->lsr_polled = (val & (LSR_DR | LSR_THRE)) == LSR_THRE;
    serial_irq_update(s);
    return val;
}

static uint8_t msr_read(struct serial *s)
{
    uint8_t val = s->regs.msr;
    s->regs.msr &= (uint8_t)~MSR_DELTAS;
    serial_irq_update(s);
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
        return dlab ? r->divisor & 0xFFu : serial_rx_read(s);
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
    serial_rx_fill_if_listening(s);
    serial_irq_update(s);
}

static void serial_writable(void *self)
{
    struct serial *s = self;
    tx_drain(s);
    serial_irq_update(s);
}

/* A break arrives as one zero character with BI set; in loopback the line is cut off. */
static void serial_break(void *self)
{
    struct serial *s = self;
    if (s->regs.mcr & MCR_LOOP)
        return;
    serial_rx_push(&s->regs, 0, LSR_BI);
    serial_rx_restart_timeout(s);
    serial_irq_update(s);
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
    serial_rx_hand_back(r);
    memcpy(fresh.held, r->held, r->held_count);
    fresh.held_count = r->held_count;
    *r = fresh;
    r->msr = modem_lines(s);
    serial_irq_update(s);
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
    timer_init(&s->timeout, s->clock, serial_rx_timeout, s);
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
