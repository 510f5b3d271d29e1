// SPDX-License-Identifier: MIT
//
// What the files of the 16550A share: registers, the device, and one function group per file.
#pragma once

#include "serial.h"

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

/* serial_irq.c */
bool serial_fifos_on(const struct serial_regs *r);
bool serial_rx_at_trigger(const struct serial_regs *r);
uint8_t serial_irq_cause(const struct serial_regs *r);
void serial_irq_update(struct serial *s);

/* serial_rx.c */
void serial_rx_restart_timeout(struct serial *s);
void serial_rx_timeout(void *self);
void serial_rx_push(struct serial_regs *r, uint8_t data, uint8_t flags);
void serial_rx_fill(struct serial *s);
void serial_rx_fill_if_listening(struct serial *s);
void serial_rx_reset(struct serial_regs *r, bool hand_back);
void serial_rx_hand_back(struct serial_regs *r);
uint8_t serial_rx_read(struct serial *s);
