// SPDX-License-Identifier: MIT
//
// PCI configuration space of bus 0 by mechanism #1 (PCI Local Bus 3.0 section 3.2.2.3.2).
#include "guest.h"

#define ADDRESS 0xcf8
#define DATA 0xcfc
#define STATUS_CAPABILITIES 0x10

static void select_reg(unsigned slot, unsigned reg)
{
    outl(ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfcu));
}

uint32_t pci_read(unsigned slot, unsigned reg)
{
    select_reg(slot, reg);
    return inl(DATA);
}

void pci_write(unsigned slot, unsigned reg, uint32_t val)
{
    select_reg(slot, reg);
    outl(DATA, val);
}

uint16_t pci_read16(unsigned slot, unsigned reg)
{
    select_reg(slot, reg);
    return inw((uint16_t)(DATA + (reg & 2)));
}

void pci_write16(unsigned slot, unsigned reg, uint16_t val)
{
    select_reg(slot, reg);
    outw((uint16_t)(DATA + (reg & 2)), val);
}

unsigned pci_capability(unsigned slot, uint8_t id, unsigned n)
{
    if (!(pci_read16(slot, 6) & STATUS_CAPABILITIES))
        return 0;
    unsigned at = pci_read(slot, 0x34) & 0xfc;
    for (unsigned steps = 0; at && steps < 48; steps++) {
        uint32_t header = pci_read(slot, at);
        if ((header & 0xff) == id && !n--)
            return at;
        at = header >> 8 & 0xfc;
    }
    return 0;
}
