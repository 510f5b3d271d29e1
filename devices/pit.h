// SPDX-License-Identifier: MIT
//
// Intel 8254 interval timer at ports 0x40-0x43, and the PC's port 0x61, which holds channel 2's
// gate and shows its output. Thread: under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "clock.h"
#include "device.h"
#include "err.h"
#include "irq.h"

#define PIT_HZ 1193182u
#define PIT_CHANNELS 3

struct pit_channel_regs {
    /*
     * The control word: access is 1 (LSB), 2 (MSB) or 3 (LSB then MSB); mode as written, 6 and 7
     * mean 2 and 3.
     */
    uint8_t access, mode;
    bool bcd;
    bool gate;

    /* Byte order and latches. */
    bool write_msb_next, read_msb_next;
    uint8_t write_lsb;
    uint8_t count_latched; /* bytes still to be read: bit 0 the LSB, bit 1 the MSB */
    uint16_t count_latch;
    bool status_latched;
    uint8_t status_latch;

    /*
     * Count register: what the guest wrote last. null_count until the counting element has taken
     * it.
     */
    uint16_t cr;
    bool cr_written, null_count;

    /*
     * Counting element. It took the count `ce` and has since counted `elapsed` ticks up to
     * start_tick, and one more with every tick after that while it counts. `load_tick` is when it
     * takes cr next, if load_pending.
     */
    bool loaded, halted;
    bool load_pending, load_low_half;
    uint16_t ce;
    uint16_t idle_count; /* what it shows until loaded */
    uint64_t elapsed, start_tick, load_tick;
};

struct pit_regs {
    struct pit_channel_regs channel[PIT_CHANNELS];
    uint8_t port61;    /* bits 0-3 as written */
    uint64_t irq_tick; /* when OUT 0 rises next; UINT64_MAX: not without a write */
};

struct pit_config {
    struct bus *pio;
    struct clock *clock;
    struct irq_line irq;
};

/* NULL on error. */
struct device *pit_create(const struct pit_config *cfg, struct err *err);
