// SPDX-License-Identifier: MIT
//
// ACPI fixed hardware: power management event, control and timer registers and GPE block 0, at
// PM_BASE. Always in ACPI mode: the FADT's SMI_CMD is 0. The offsets below are what the FADT adds
// to PM_BASE. Thread: under the device lock.
#pragma once

#include <stdint.h>

#include "bus.h"
#include "clock.h"
#include "device.h"
#include "err.h"
#include "irq.h"
#include "stop.h"

#define PM1_EVT_OFFSET 0x00
#define PM1_EVT_LEN 4
#define PM1_CNT_OFFSET 0x04
#define PM1_CNT_LEN 2
#define PM_TMR_OFFSET 0x08
#define PM_TMR_LEN 4 /* all 32 bits count: set TMR_VAL_EXT */
#define GPE0_OFFSET 0x20
#define GPE0_LEN 8
#define PM_REGION_LEN (GPE0_OFFSET + GPE0_LEN)

#define PM_TMR_HZ 3579545u

/* SLP_TYP of soft off, for the \_S5 package. */
#define PM_SLP_TYP_S5 5

struct pm_regs {
    uint16_t pm1_sts, pm1_en, pm1_cnt;
    uint8_t gpe0[GPE0_LEN]; /* status, then enables */
    uint64_t seen_half;     /* turns of the timer's bit 31 already seen */
};

struct pm_config {
    struct bus *pio;
    struct clock *clock;
    struct irq_line sci; /* level */
    struct stop_sink stop;
};

struct pm;

/* NULL on error. */
struct device *pm_create(const struct pm_config *cfg, struct err *err);

/* The PM block behind a device that pm_create() made. */
struct pm *pm_of(struct device *dev);

/* Somebody presses the power button: PWRBTN_STS, and an SCI if the guest listens. */
void pm_power_button(struct pm *pm);
