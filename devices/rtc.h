// SPDX-License-Identifier: MIT
//
// MC146818 real-time clock and CMOS memory at ports 0x70 and 0x71. Thread: under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "clock.h"
#include "device.h"
#include "err.h"
#include "irq.h"

#define RTC_CENTURY 0x32 /* the FADT names this byte */

struct rtc_regs {
    uint8_t index;     /* the byte that port 0x71 shows */
    /* The time bytes count only while `held`. Registers A and B as written, C has the flags. */
    uint8_t cmos[128];

    /* RTC seconds are those of wall time, shifted by shift_ns (below one second), plus offset_s. */
    int64_t offset_s;
    uint64_t shift_ns;

    /*
     * The guest wrote to the time or stopped it: cmos[] has it, and it goes on at the first update
     * after held_second.
     */
    bool held;
    uint64_t held_second;

    /* What the flags of register C already tell. */
    uint64_t seen_second, seen_period;
};

struct rtc_config {
    struct bus *pio;
    struct clock *clock;
    struct irq_line irq;
    uint64_t ram_size; /* bytes, for the memory size bytes */
    unsigned cpus;
};

/* NULL on error. */
struct device *rtc_create(const struct rtc_config *cfg, struct err *err);
