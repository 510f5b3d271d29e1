// SPDX-License-Identifier: MIT
//
// 82093AA I/O APIC at IOAPIC_BASE. Embedded in the interrupt controller of software engines
// (intc.h). Thread: under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "devices/apic_msg.h"
#include "err.h"

#define IOAPIC_PINS 24

struct ioapic_regs {
    uint8_t select; /* IOREGSEL */
    uint8_t id;
    uint32_t lines; /* levels of the inputs */
    uint64_t redir[IOAPIC_PINS];
};

/* To the local APICs; true when one took it. */
struct ioapic_out {
    bool (*send)(void *opaque, const struct apic_msg *msg);
    void *opaque;
};

struct ioapic {
    struct ioapic_regs regs;
    struct ioapic_out out;
    struct bus *mmio;
    struct region window;
};

int ioapic_init(struct ioapic *io, struct bus *mmio, struct ioapic_out out, struct err *err);
void ioapic_fini(struct ioapic *io);

/* Power-on state; the levels of the inputs stay, they belong to the devices. */
void ioapic_reset(struct ioapic *io);

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool level);

/* A local APIC tells the end of a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);
