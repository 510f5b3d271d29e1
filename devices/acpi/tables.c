// SPDX-License-Identifier: MIT
//
// The ACPI data tables (ACPI 6.4 chapter 5): RSDP, XSDT, FADT, MADT, MCFG, DSDT header, FACS.
// Built in an image that lies at ACPI_TABLES, then copied into guest RAM.
// Left out: RSDT (32-bit operating systems before ACPI 2.0), SRAT, HPET, SSDTs.
#include "acpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "devices/pm.h"
#include "devices/reset_port.h"
#include "devices/rtc.h"
#include "layout.h"
#include "util.h"

#define OEM_ID "MINIVM"
#define OEM_TABLE_ID "MINIVMM "
#define CREATOR_ID "MVMM"
#define REVISION 1

#define RSDP_BYTES 36
#define RSDP_V1_BYTES 20
#define HEADER_BYTES 36
enum { HEADER_LENGTH = 4, HEADER_CHECKSUM = 9 };

#define MAX_CPUS 255

/* --- pieces --- */

static void skip(struct aml *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        aml_u8(a, 0);
}

static void align(struct aml *a, size_t to)
{
    skip(a, (to - a->len % to) % to);
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    return (uint8_t)-sum;
}

/* Start a table; returns its offset in the image. */
static size_t table_begin(struct aml *a, const char *signature, uint8_t revision)
{
    align(a, 16);
    size_t at = a->len;
    aml_bytes(a, signature, 4);
    aml_u32(a, 0); /* length */
    aml_u8(a, revision);
    aml_u8(a, 0); /* checksum */
    aml_bytes(a, OEM_ID, 6);
    aml_bytes(a, OEM_TABLE_ID, 8);
    aml_u32(a, REVISION);
    aml_bytes(a, CREATOR_ID, 4);
    aml_u32(a, REVISION);
    return at;
}

static void table_end(struct aml *a, size_t at)
{
    if (a->failed)
        return;
    uint8_t *table = a->buf + at;
    store_le32(table + HEADER_LENGTH, (uint32_t)(a->len - at));
    table[HEADER_CHECKSUM] = checksum(table, a->len - at);
}

/* Guest-physical address of an offset in the image; 0 stays 0: no table. */
static uint64_t address_of(size_t off)
{
    return off ? ACPI_TABLES + off : 0;
}

/* Generic Address Structure in I/O space. */
enum gas_access { GAS_BYTE = 1, GAS_WORD = 2, GAS_DWORD = 3 };

static void gas_io(struct aml *a, uint16_t port, unsigned nbytes, enum gas_access access)
{
    aml_u8(a, 1); /* system I/O */
    aml_u8(a, (uint8_t)(8 * nbytes));
    aml_u8(a, 0);
    aml_u8(a, (uint8_t)access);
    aml_u64(a, port);
}

/* --- tables --- */

enum fadt_flag {
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    /* PWR_BUTTON, bit 4, is clear: the power button is in the fixed registers. */
    FADT_SLP_BUTTON = 1 << 5, /* the sleep button is not; there is none */
    FADT_FIX_RTC = 1 << 6,    /* RTC wake-up is not in the fixed registers */
    FADT_TMR_VAL_EXT = 1 << 8,
    FADT_RESET_REG_SUP = 1 << 10,
};

enum fadt_boot_arch { /* IAPC_BOOT_ARCH: bit 1 (8042 present) and bit 5 (no CMOS RTC) are clear */
    BOOT_LEGACY_DEVICES = 1 << 0,
    BOOT_NO_VGA = 1 << 2,
};

static size_t add_fadt(struct aml *a, size_t facs, size_t dsdt)
{
    size_t at = table_begin(a, "FACP", 6);
    aml_u32(a, (uint32_t)address_of(facs)); /* and X_FIRMWARE_CTRL must be 0 */
    aml_u32(a, (uint32_t)address_of(dsdt));
    aml_u8(a, 0);
    aml_u8(a, 0); /* preferred profile: unspecified */
    aml_u16(a, IRQ_SCI);
    aml_u32(a, 0);   /* SMI_CMD: no SMM, always in ACPI mode */
    skip(a, 4);      /* ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
    aml_u32(a, PM_BASE + PM1_EVT_OFFSET);
    aml_u32(a, 0); /* PM1b event */
    aml_u32(a, PM_BASE + PM1_CNT_OFFSET);
    aml_u32(a, 0); /* PM1b control */
    aml_u32(a, 0); /* PM2 control */
    aml_u32(a, PM_BASE + PM_TMR_OFFSET);
    aml_u32(a, PM_BASE + GPE0_OFFSET);
    aml_u32(a, 0); /* GPE1 */
    aml_u8(a, PM1_EVT_LEN);
    aml_u8(a, PM1_CNT_LEN);
    aml_u8(a, 0); /* PM2 control */
    aml_u8(a, PM_TMR_LEN);
    aml_u8(a, GPE0_LEN);
    aml_u8(a, 0);      /* GPE1 length */
    aml_u8(a, 0);      /* GPE1 base */
    aml_u8(a, 0);      /* CST_CNT */
    aml_u16(a, 0xfff); /* worst C2 latency: above 100, so no C2 */
    aml_u16(a, 0xfff); /* C3: above 1000 */
    skip(a, 4);        /* flush size and stride: WBINVD works */
    skip(a, 2);        /* duty offset and width */
    skip(a, 2);        /* RTC day alarm, month alarm: not there */
    aml_u8(a, RTC_CENTURY);
    aml_u16(a, BOOT_LEGACY_DEVICES | BOOT_NO_VGA);
    aml_u8(a, 0);
    aml_u32(a, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
                   FADT_RESET_REG_SUP);
    gas_io(a, RESET_PORT, 1, GAS_BYTE);
    aml_u8(a, RESET_PORT_ACPI_VALUE);
    aml_u16(a, 0); /* ARM boot flags */
    aml_u8(a, 4);  /* minor version: 6.4 */
    aml_u64(a, 0); /* X_FIRMWARE_CTRL */
    aml_u64(a, address_of(dsdt));
    gas_io(a, PM_BASE + PM1_EVT_OFFSET, PM1_EVT_LEN, GAS_WORD);
    skip(a, 12); /* PM1b event */
    gas_io(a, PM_BASE + PM1_CNT_OFFSET, PM1_CNT_LEN, GAS_WORD);
    skip(a, 12); /* PM1b control */
    skip(a, 12); /* PM2 control */
    gas_io(a, PM_BASE + PM_TMR_OFFSET, PM_TMR_LEN, GAS_DWORD);
    gas_io(a, PM_BASE + GPE0_OFFSET, GPE0_LEN, GAS_BYTE);
    skip(a, 12); /* GPE1 */
    skip(a, 24); /* sleep control and status: hardware-reduced only */
    aml_bytes(a, OEM_TABLE_ID, 8); /* hypervisor vendor */
    table_end(a, at);
    return at;
}

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4 };
#define MPS_CONFORMS 0x0
#define MPS_LEVEL_HIGH 0xd

static void madt_override(struct aml *a, uint8_t isa_irq, uint32_t gsi, uint16_t flags)
{
    aml_u8(a, MADT_OVERRIDE);
    aml_u8(a, 10);
    aml_u8(a, 0); /* ISA */
    aml_u8(a, isa_irq);
    aml_u32(a, gsi);
    aml_u16(a, flags);
}

static size_t add_madt(struct aml *a, unsigned ncpus)
{
    size_t at = table_begin(a, "APIC", 5);
    aml_u32(a, (uint32_t)LAPIC_BASE);
    aml_u32(a, 1); /* PCAT_COMPAT: there is an 8259 pair too */
    for (unsigned i = 0; i < ncpus; i++) {
        aml_u8(a, MADT_LAPIC);
        aml_u8(a, 8);
        aml_u8(a, (uint8_t)i); /* _UID in the DSDT */
        aml_u8(a, (uint8_t)i); /* APIC id */
        aml_u32(a, 1);         /* enabled */
    }
    aml_u8(a, MADT_IOAPIC);
    aml_u8(a, 12);
    aml_u8(a, IOAPIC_ID);
    aml_u8(a, 0);
    aml_u32(a, (uint32_t)IOAPIC_BASE);
    aml_u32(a, 0); /* first GSI */
    madt_override(a, IRQ_PIT, 2, MPS_CONFORMS);
    madt_override(a, IRQ_SCI, IRQ_SCI, MPS_LEVEL_HIGH);
    aml_u8(a, MADT_LAPIC_NMI);
    aml_u8(a, 6);
    aml_u8(a, 0xff); /* all processors */
    aml_u16(a, MPS_CONFORMS);
    aml_u8(a, 1); /* LINT1 */
    table_end(a, at);
    return at;
}

static size_t add_mcfg(struct aml *a)
{
    size_t at = table_begin(a, "MCFG", 1);
    skip(a, 8);
    aml_u64(a, ECAM_BASE);
    aml_u16(a, 0); /* segment */
    aml_u8(a, 0);  /* first bus */
    aml_u8(a, 0);  /* last bus */
    skip(a, 4);
    table_end(a, at);
    return at;
}

static size_t add_dsdt(struct aml *a, const struct acpi_config *cfg)
{
    size_t at = table_begin(a, "DSDT", 2);
    acpi_dsdt_body(a, cfg);
    table_end(a, at);
    return at;
}

/* No header, no checksum; 64-byte aligned. */
static size_t add_facs(struct aml *a)
{
    align(a, 64);
    size_t at = a->len;
    aml_bytes(a, "FACS", 4);
    aml_u32(a, 64);
    skip(a, 24); /* hardware signature, waking vectors, global lock, flags */
    aml_u8(a, 2);
    skip(a, 31);
    return at;
}

static void put_rsdp(uint8_t *p, size_t xsdt)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, OEM_ID, 6);
    p[15] = 2; /* revision: XSDT */
    store_le32(p + 20, RSDP_BYTES);
    store_le64(p + 24, address_of(xsdt));
    p[8] = checksum(p, RSDP_V1_BYTES);
    p[32] = checksum(p, RSDP_BYTES);
}

/* All tables behind room for the RSDP, which comes last as it points at them. */
static void build_image(struct aml *a, const struct acpi_config *cfg)
{
    skip(a, RSDP_BYTES);
    size_t facs = add_facs(a);
    size_t dsdt = add_dsdt(a, cfg);
    size_t fadt = add_fadt(a, facs, dsdt);
    size_t madt = add_madt(a, cfg->ncpus);
    size_t mcfg = cfg->pci ? add_mcfg(a) : 0;

    size_t xsdt = table_begin(a, "XSDT", 1);
    aml_u64(a, address_of(fadt));
    aml_u64(a, address_of(madt));
    if (mcfg)
        aml_u64(a, address_of(mcfg));
    table_end(a, xsdt);
    if (!a->failed)
        put_rsdp(a->buf, xsdt);
}

int acpi_build(const struct acpi_config *cfg, struct gmem *gm, struct err *err)
{
    if (!cfg->ncpus || cfg->ncpus > MAX_CPUS)
        return err_set(err, EINVAL, "acpi: %u processors cannot be described (1 to %u can)",
                       cfg->ncpus, MAX_CPUS);
    if (cfg->nvirtio_mmio > VIRTIO_MMIO_SLOTS)
        return err_set(err, EINVAL, "acpi: %u virtio-mmio devices, but there are %u slots",
                       cfg->nvirtio_mmio, VIRTIO_MMIO_SLOTS);
    uint8_t *image = malloc(ACPI_TABLES_SIZE);
    if (!image)
        return err_set(err, ENOMEM, "acpi: no memory to build the tables");
    struct aml a;
    aml_init(&a, image, ACPI_TABLES_SIZE);
    build_image(&a, cfg);
    int ret = 0;
    if (a.failed || a.depth)
        ret = err_set(err, ENOSPC, "acpi: the tables do not fit in %llu bytes",
                      (unsigned long long)ACPI_TABLES_SIZE);
    else if (gmem_write(gm, ACPI_TABLES, image, a.len))
        ret = err_set(err, EFAULT, "acpi: no guest RAM at 0x%llx for the tables; give more memory",
                      (unsigned long long)ACPI_TABLES);
    free(image);
    return ret;
}
