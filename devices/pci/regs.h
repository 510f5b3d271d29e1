// SPDX-License-Identifier: MIT
//
// What the host bridge (host.c) and the functions behind it (func.c) know of each other. Private
// to devices/pci.
#pragma once

#include "pci.h"

/* Type 0 header, section 6.1. */
enum {
    REG_VENDOR = 0x00,
    REG_DEVICE = 0x02,
    REG_COMMAND = 0x04,
    REG_STATUS = 0x06,
    REG_REVISION = 0x08,
    REG_CLASS = 0x09,
    REG_CACHE_LINE = 0x0c,
    REG_LATENCY = 0x0d,
    REG_BAR0 = 0x10,
    REG_SUBVENDOR = 0x2c,
    REG_SUBDEVICE = 0x2e,
    REG_CAPABILITIES = 0x34,
    REG_INTERRUPT_LINE = 0x3c,
    REG_INTERRUPT_PIN = 0x3d,
    CAPS_START = 0x40,
    CAPS_END = 0x100, /* pointers are one byte */
};

static inline unsigned bar_reg(unsigned n)
{
    return REG_BAR0 + 4 * n;
}

#define COMMAND_MEMORY 0x0002
#define COMMAND_BUS_MASTER 0x0004
#define COMMAND_PARITY 0x0040
#define COMMAND_SERR 0x0100
#define COMMAND_INTX_DISABLE 0x0400

struct pci_host {
    struct pci_func bridge; /* slot 0, so that the bus is never empty */
    struct pci_host_config cfg;
    struct region ports, ecam;
    uint32_t address;        /* CONFIG_ADDRESS at 0xCF8 */
    uint64_t next_bar;       /* first byte of PCI_WINDOW not given away */
    uint32_t intx_asserted;  /* one bit per slot */
    struct pci_func *slots[PCI_SLOTS];
};

/*
 * Bring the bus in step with the function's BAR and command registers; whoever waited for the
 * place may get it.
 */
void pci_bars_update(struct pci_func *func);
