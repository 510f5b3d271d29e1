// SPDX-License-Identifier: MIT
//
// ACPI (version 6.4) as an operating system meets it: the root pointer found by scanning, every
// table's checksum, CPUs in the MADT, the PM timer going forward, and the end by what the FADT
// says: power-off with the value of _S5, or with "reset" on the command line the reset register.
#include "guest.h"

#define SCAN_FROM 0xe0000u
#define SCAN_TO 0x100000u
#define SCI_EN 1u
#define SLP_TYP_SHIFT 10
#define SLP_EN 0x2000u

/* Offsets in the FADT, section 5.2.9. */
enum {
    FADT_DSDT = 40,
    FADT_SCI_INT = 46,
    FADT_SMI_CMD = 48,
    FADT_PM1A_EVT = 56,
    FADT_PM1A_CNT = 64,
    FADT_PM_TMR = 76,
    FADT_PM_TMR_LEN = 91,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
};

static uint8_t sum(uintptr_t at, uint32_t len)
{
    uint8_t total = 0;
    for (uint32_t i = 0; i < len; i++)
        total = (uint8_t)(total + read8(at + i));
    return total;
}

static bool has_signature(uintptr_t at, const char *signature)
{
    return !memcmp((const void *)at, signature, 4);
}

static uintptr_t find_rsdp(void)
{
    for (uintptr_t at = SCAN_FROM; at < SCAN_TO; at += 16) {
        if (has_signature(at, "RSD ") && has_signature(at + 4, "PTR "))
            return at;
    }
    CHECK(!"no root pointer");
    return 0;
}

static uintptr_t check_table(uintptr_t at)
{
    uint32_t len = read32(at + 4);
    CHECK(len >= 36 && len < 0x10000);
    CHECK(sum(at, len) == 0);
    print("table %c%c%c%c\n", read8(at), read8(at + 1), read8(at + 2), read8(at + 3));
    return at;
}

static unsigned processors(uintptr_t madt)
{
    unsigned n = 0, ioapics = 0;
    uintptr_t end = madt + read32(madt + 4);
    CHECK(read32(madt + 36) == LAPIC);
    for (uintptr_t at = madt + 44; at < end; at += read8(at + 1)) {
        CHECK(read8(at + 1) >= 2 && at + read8(at + 1) <= end);
        if (read8(at) == 0 && (read32(at + 4) & 1)) {
            CHECK(read8(at + 3) == n);
            n++;
        } else if (read8(at) == 1) {
            CHECK(read32(at + 4) == IOAPIC);
            ioapics++;
        }
    }
    CHECK(ioapics == 1);
    return n;
}

/* The sleep type of soft-off: the first element of the package _S5. */
static uint8_t soft_off_type(uintptr_t dsdt)
{
    uintptr_t end = dsdt + read32(dsdt + 4);
    for (uintptr_t at = dsdt + 36; at + 8 < end; at++) {
        if (!has_signature(at, "_S5_"))
            continue;
        CHECK(read8(at - 1) == 0x08 && read8(at + 4) == 0x12); /* Name, Package */
        uint8_t prefix = read8(at + 7);
        return prefix == 0x0a ? read8(at + 8) : prefix;
    }
    CHECK(!"no _S5");
    return 0;
}

static void pm_timer(uintptr_t fadt)
{
    uint16_t port = read16(fadt + FADT_PM_TMR);
    CHECK(read8(fadt + FADT_PM_TMR_LEN) == 4);
    CHECK(read32(fadt + FADT_FLAGS) & 1u << 8); /* 32 bits wide */
    uint32_t last = inl(port), first = last;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t now = inl(port);
        CHECK(now - last < 0x80000000u);
        last = now;
    }
    CHECK(last != first);
    print("the PM timer goes forward\n");
}

static void fixed_registers(uintptr_t fadt)
{
    uint16_t evt = read16(fadt + FADT_PM1A_EVT), cnt = read16(fadt + FADT_PM1A_CNT);
    CHECK(read32(fadt + FADT_SMI_CMD) == 0 && (inw(cnt) & SCI_EN)); /* always in ACPI mode */
    outw(evt, 0xffff);
    CHECK((inw(evt) & 0x0720) == 0);
    outw((uint16_t)(evt + 2), 0x0100);
    CHECK(inw((uint16_t)(evt + 2)) == 0x0100);
    outw((uint16_t)(evt + 2), 0);
    outw(cnt, 3u << SLP_TYP_SHIFT | SLP_EN); /* S3 is not offered */
    CHECK(!(inw(cnt) & SLP_EN));
    print("fixed registers behave\n");
}

static void end(uintptr_t fadt, uint8_t type)
{
    if (asked("reset")) {
        CHECK(read32(fadt + FADT_FLAGS) & 1u << 10);
        CHECK(read8(fadt + FADT_RESET_REG) == 1); /* system I/O */
        print("reset\n");
        outb(read16(fadt + FADT_RESET_REG + 4), read8(fadt + FADT_RESET_VALUE));
    } else {
        print("power off\n");
        outw(read16(fadt + FADT_PM1A_CNT), (uint16_t)(type << SLP_TYP_SHIFT | SLP_EN));
    }
    for (unsigned i = 0; i < 1000; i++)
        outb(0x80, 0);
    print("FAILED: still here\n");
    finish(FAIL);
}

void guest_main(void)
{
    uintptr_t rsdp = find_rsdp(), fadt = 0, madt = 0;
    CHECK(sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0 && read8(rsdp + 15) >= 2);
    CHECK(read32(rsdp + 28) == 0);
    uintptr_t xsdt = check_table(read32(rsdp + 24));
    for (uintptr_t at = xsdt + 36; at < xsdt + read32(xsdt + 4); at += 8) {
        CHECK(read32(at + 4) == 0);
        uintptr_t table = check_table(read32(at));
        if (has_signature(table, "FACP"))
            fadt = table;
        if (has_signature(table, "APIC"))
            madt = table;
    }
    CHECK(fadt && madt);
    uintptr_t dsdt = check_table(read32(fadt + FADT_DSDT));
    print("%u processors\n", processors(madt));
    pm_timer(fadt);
    fixed_registers(fadt);
    end(fadt, soft_off_type(dsdt));
}
