// SPDX-License-Identifier: MIT
//
// ACPI tables for the board: what is there, told to a guest that knows nothing else (ACPI 6.4).
// The tables say what layout.h and this configuration say; the devices behind them (PM block,
// reset port ...) are other files'.
#pragma once

#include <stdbool.h>

#include "err.h"
#include "gmem.h"

struct aml;

struct acpi_config {
    unsigned ncpus;        /* APIC ids 0 to ncpus - 1; at most 255 */
    unsigned nvirtio_mmio; /* slots 0 to n - 1 of VIRTIO_MMIO_BASE; at most VIRTIO_MMIO_SLOTS */
    bool pci;              /* host bridge, ECAM and _PRT */
    bool com1, com2;
    bool fw_cfg;           /* as the device QEMU0002 */
    bool pvpanic;          /* as the device QEMU0001 */
};

/*
 * Write RSDP (at ACPI_TABLES) and all tables into guest RAM. Again at every machine reset: the
 * guest may have changed them.
 */
int acpi_build(const struct acpi_config *cfg, struct gmem *gm, struct err *err);

/* The body of the DSDT (dsdt.c). */
void acpi_dsdt_body(struct aml *a, const struct acpi_config *cfg);
