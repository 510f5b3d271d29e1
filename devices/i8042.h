// SPDX-License-Identifier: MIT
//
// PS/2 keyboard controller at ports 0x60 and 0x64 without keyboard and mouse, and the PS/2 system
// control port 0x92. What guests use of it: the reset pulse and A20. Thread: under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "device.h"
#include "err.h"
#include "irq.h"
#include "stop.h"

struct i8042_regs {
    uint8_t ram[32]; /* the controller's memory; byte 0 is the command byte */
    uint8_t status;  /* all but OBF, which is output_full */
    uint8_t output;  /* what port 0x60 gives */
    bool output_full;
    uint8_t command; /* the command that waits for its data byte, 0 if none */
    bool a20, fast_reset;
};

struct i8042_config {
    struct bus *pio;
    struct irq_line irq; /* IRQ1 */
    struct stop_sink stop;
};

/* NULL on error. */
struct device *i8042_create(const struct i8042_config *cfg, struct err *err);
