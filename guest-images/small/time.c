// SPDX-License-Identifier: MIT
//
// Time for the small guests: the ACPI PM timer (ACPI 6.4 section 4.8.3.3) at the port where this
// board has it, 32 bits wide; and the CMOS registers.
#include "guest.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

uint32_t pm_now(void)
{
    return inl(PM_TIMER);
}

uint32_t pm_ms_since(uint32_t start)
{
    return (pm_now() - start) / (PM_HZ / 1000 + 1);
}

void wait_ms(uint32_t ms)
{
    uint32_t start = pm_now();
    while (pm_ms_since(start) < ms)
        ;
}

uint8_t cmos_read(uint8_t reg)
{
    outb(CMOS_INDEX, reg);
    return inb(CMOS_DATA);
}

void cmos_write(uint8_t reg, uint8_t val)
{
    outb(CMOS_INDEX, reg);
    outb(CMOS_DATA, val);
}
