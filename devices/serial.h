// SPDX-License-Identifier: MIT
//
// 16550A UART (Texas Instruments PC16550D data sheet), as the PC wires it: eight ports, one
// interrupt gated by OUT2. Thread: everything under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "chr.h"
#include "clock.h"
#include "device.h"
#include "err.h"
#include "irq.h"

#define SERIAL_FIFO 16
#define SERIAL_PORTS 8

struct serial_config {
    const char *name;
    struct bus *pio;
    uint16_t port; /* first of SERIAL_PORTS */
    struct irq_line irq;
    struct clock *clock;
    /* NULL: nothing is plugged in. Stays the caller's, who closes it after the device is gone. */
    struct chr *chr;
};

/* All that the guest can observe, directly or through later behaviour. */
struct serial_regs {
    uint8_t ier, fcr, lcr, mcr, msr, scr;
    uint8_t lsr; /* only the bits that stick until LSR is read: OE PE FE BI */
    uint16_t divisor;
    /*
     * Receiver FIFO: a ring. Each byte has its LSR error bits, and RX_FROM_LINE if it came from
     * the backend.
     */
    uint8_t rx_data[SERIAL_FIFO], rx_flags[SERIAL_FIFO];
    uint8_t rx_head, rx_count;
    /*
     * Bytes that a FIFO reset during set-up took back from the FIFO; they are received anew
     * before any other.
     */
    uint8_t held[SERIAL_FIFO];
    uint8_t held_count;
    /* Bytes that the backend could not take yet, oldest first. Empty means THRE. */
    uint8_t tx[SERIAL_FIFO];
    uint8_t tx_count;
    bool thr_pending;       /* "transmitter holding register empty" not yet reported */
    bool rx_timed_out;      /* character timeout not yet answered */
    bool lsr_polled;        /* the last access read LSR and found no data, transmitter idle */
    uint64_t rx_timeout_ns; /* when the character timeout falls due */
};

/* Create a port and register it on the bus; NULL with err set when its ports are taken. */
struct device *serial_create(const struct serial_config *cfg, struct err *err);
