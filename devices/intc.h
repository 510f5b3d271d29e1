// SPDX-License-Identifier: MIT
//
// The interrupt controllers of software engines: a pair of 8259A, an I/O APIC and a local APIC per
// CPU, behind one struct intc for the board's wires and MSI. An engine makes it in vm_init, gives
// each CPU its local APIC (lapic.h), and hears through the sink.
// Thread: under the device lock.
#pragma once

#include "bus.h"
#include "clock.h"
#include "device.h"
#include "devices/lapic.h"
#include "err.h"
#include "irq.h"

struct intc_soft_config {
    struct bus *pio, *mmio; /* PIC and IOAPIC lie here; APIC pages do not, they are per CPU */
    struct clock *clock;
    unsigned ncpus;     /* 1 to 255; CPU n has APIC id n, CPU 0 is the bootstrap processor */
    unsigned phys_bits; /* of physical addresses: 32 to 52 */
    struct lapic_sink sink;
    struct lapic_tsc tsc;
};

/* NULL on error. The sink may be called from here on: during reset too. */
struct intc *intc_soft_create(const struct intc_soft_config *cfg, struct err *err);

/* For the list of devices: reset to power-on, fini. */
struct device *intc_soft_device(struct intc *intc);

struct lapic *intc_soft_lapic(struct intc *intc, unsigned cpu);
