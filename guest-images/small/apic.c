// SPDX-License-Identifier: MIT
//
// Local APIC in xAPIC mode and IOAPIC, as far as the small guests need them: see guest.h.
#include "guest.h"

#define SVR_ENABLE 0x1ff /* spurious vector 0xff */
#define ICR_PENDING 0x1000
#define IOAPIC_SELECT IOAPIC
#define IOAPIC_WINDOW (IOAPIC + 0x10)
#define IOAPIC_TABLE 0x10

uint32_t lapic_read(unsigned reg)
{
    return read32(LAPIC + reg);
}

void lapic_write(unsigned reg, uint32_t val)
{
    write32(LAPIC + reg, val);
}

unsigned lapic_id(void)
{
    return lapic_read(LAPIC_ID) >> 24;
}

void lapic_enable(void)
{
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_SVR, SVR_ENABLE);
}

void ipi_send(unsigned apic_id, uint32_t command)
{
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR_LOW, command);
    while (lapic_read(LAPIC_ICR_LOW) & ICR_PENDING)
        ;
}

uint32_t ioapic_read(unsigned reg)
{
    write32(IOAPIC_SELECT, reg);
    return read32(IOAPIC_WINDOW);
}

void ioapic_write(unsigned reg, uint32_t val)
{
    write32(IOAPIC_SELECT, reg);
    write32(IOAPIC_WINDOW, val);
}

void ioapic_route(unsigned pin, unsigned vector, unsigned apic_id, uint32_t flags)
{
    ioapic_write(IOAPIC_TABLE + 2 * pin, IOAPIC_MASKED);
    ioapic_write(IOAPIC_TABLE + 2 * pin + 1, apic_id << 24);
    ioapic_write(IOAPIC_TABLE + 2 * pin, vector | flags);
}
