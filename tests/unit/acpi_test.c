// SPDX-License-Identifier: MIT
//
// The ACPI tables as a guest finds them in memory: it scans for the RSDP, follows pointers,
// checks sums. With iasl installed, all tables are taken apart and put together again by it as
// well.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/acpi/acpi.h"
#include "gmem.h"
#include "layout.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct gmem gm;
static struct err err;
static const struct acpi_config full = {
    .ncpus = 2,
    .nvirtio_mmio = VIRTIO_MMIO_SLOTS,
    .pci = true,
    .com1 = true,
    .com2 = true,
    .fw_cfg = true,
    .pvpanic = true,
};

static void setup(void)
{
    err = (struct err){{0}};
    ck_assert_int_eq(gmem_init(&gm, MIB(1), RAM_HOLE_START, RAM_HOLE_END, &err), 0);
}

static void teardown(void)
{
    gmem_fini(&gm);
}

static const uint8_t *at(uint64_t gpa, uint64_t len)
{
    const uint8_t *p = gmem_ptr(&gm, gpa, len);
    ck_assert_ptr_nonnull(p);
    return p;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;
    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

/* The table at gpa, checked as a guest would check it. */
static const uint8_t *table_at(uint64_t gpa)
{
    ck_assert_uint_ge(gpa, ACPI_TABLES);
    uint32_t len = load_le32(at(gpa, 36) + 4);
    ck_assert_uint_ge(len, 36);
    ck_assert(range_fits(gpa - ACPI_TABLES, len, ACPI_TABLES_SIZE));
    const uint8_t *table = at(gpa, len);
    ck_assert_uint_eq(sum(table, len), 0);
    return table;
}

static const uint8_t *build(const struct acpi_config *cfg)
{
    ck_assert_msg(acpi_build(cfg, &gm, &err) == 0, "%s", err.msg);
    return at(ACPI_TABLES, 36);
}

/* By signature through the XSDT; DSDT through the FADT; NULL when it is not there. */
static const uint8_t *find(const char *signature)
{
    const uint8_t *xsdt = table_at(load_le64(at(ACPI_TABLES, 36) + 24));
    if (!memcmp(signature, "XSDT", 4))
        return xsdt;
    if (!memcmp(signature, "DSDT", 4))
        return table_at(load_le32(find("FACP") + 40));
    for (uint32_t off = 36; off < load_le32(xsdt + 4); off += 8) {
        const uint8_t *table = table_at(load_le64(xsdt + off));
        if (!memcmp(table, signature, 4))
            return table;
    }
    return NULL;
}

/* Is this byte string somewhere in the DSDT? */
static bool dsdt_has(const void *bytes, size_t len)
{
    const uint8_t *dsdt = find("DSDT");
    return memmem(dsdt, load_le32(dsdt + 4), bytes, len) != NULL;
}

START_TEST(rsdp_is_found_by_scan_and_sums_up)
{
    const uint8_t *rsdp = build(&full);
    ck_assert_mem_eq(rsdp, "RSD PTR ", 8);
    ck_assert_uint_eq(ACPI_TABLES % 16, 0);
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    ck_assert_uint_eq(sum(rsdp, 36), 0);
    ck_assert_uint_eq(rsdp[15], 2);
    ck_assert_uint_eq(load_le32(rsdp + 20), 36);
    ck_assert_mem_eq(find("XSDT"), "XSDT", 4);
}
END_TEST

START_TEST(tables_follow_the_configuration)
{
    build(&full);
    ck_assert_ptr_nonnull(find("FACP"));
    ck_assert_ptr_nonnull(find("APIC"));
    ck_assert_ptr_nonnull(find("MCFG"));
    ck_assert(dsdt_has("PCI0", 4) && dsdt_has("COM1", 4) && dsdt_has("COM2", 4));
    ck_assert(dsdt_has("VR07", 4) && dsdt_has("C001", 4) && !dsdt_has("C002", 4));
    ck_assert(dsdt_has("QEMU0002", 9) && dsdt_has("QEMU0001", 9));
    build(&(struct acpi_config){.ncpus = 1, .nvirtio_mmio = 1});
    ck_assert_ptr_null(find("MCFG"));
    ck_assert(!dsdt_has("PCI0", 4) && !dsdt_has("COM1", 4) && !dsdt_has("COM2", 4));
    ck_assert(dsdt_has("VR00", 4) && !dsdt_has("VR01", 4) && !dsdt_has("C001", 4));
    ck_assert(!dsdt_has("QEMU0002", 9) && !dsdt_has("QEMU0001", 9));
}
END_TEST

/* A Generic Address Structure in I/O space against its 32-bit twin. */
static void check_block(const uint8_t *fadt, unsigned legacy, unsigned gas, uint32_t port,
                        unsigned len)
{
    ck_assert_uint_eq(load_le32(fadt + legacy), port);
    ck_assert_uint_eq(fadt[gas], 1);
    ck_assert_uint_eq(fadt[gas + 1], len * 8);
    ck_assert_uint_eq(fadt[gas + 2], 0);
    ck_assert_uint_eq(load_le64(fadt + gas + 4), port);
}

START_TEST(fadt_describes_the_fixed_hardware)
{
    build(&full);
    const uint8_t *fadt = find("FACP");
    ck_assert_uint_eq(load_le32(fadt + 4), 276);
    ck_assert_uint_eq(fadt[8], 6);
    ck_assert_uint_eq(load_le16(fadt + 46), IRQ_SCI);
    ck_assert_uint_eq(load_le32(fadt + 48), 0); /* SMI_CMD */
    check_block(fadt, 56, 148, PM_BASE, 4);
    check_block(fadt, 64, 172, PM_BASE + 4, 2);
    check_block(fadt, 76, 208, PM_BASE + 8, 4);
    check_block(fadt, 80, 220, PM_BASE + 0x20, 8);
    ck_assert_uint_eq(fadt[88], 4);
    ck_assert_uint_eq(fadt[89], 2);
    ck_assert_uint_eq(fadt[91], 4);
    ck_assert_uint_eq(fadt[92], 8);
    ck_assert_uint_eq(fadt[108], 0x32); /* century */
    ck_assert_uint_eq(load_le64(fadt + 120), RESET_PORT);
    ck_assert_uint_eq(fadt[116], 1);
    ck_assert_uint_eq(fadt[128], 6);
    uint32_t flags = load_le32(fadt + 112);
    ck_assert_uint_eq(flags & (1 << 0 | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 10),
                      1 << 0 | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 10);
    ck_assert_uint_eq(flags & (1 << 4 | 1 << 20), 0); /* fixed power button; full hardware */
    ck_assert_uint_eq(load_le16(fadt + 109), 0x0005); /* legacy devices, no VGA, no 8042, RTC */
    ck_assert_uint_eq(load_le64(fadt + 140), load_le32(fadt + 40)); /* X_DSDT */
}
END_TEST

START_TEST(facs_is_aligned_and_pointed_at_once)
{
    build(&full);
    const uint8_t *fadt = find("FACP");
    uint32_t gpa = load_le32(fadt + 36);
    ck_assert_uint_eq(gpa % 64, 0);
    ck_assert_uint_eq(load_le64(fadt + 132), 0);
    const uint8_t *facs = at(gpa, 64);
    ck_assert_mem_eq(facs, "FACS", 4);
    ck_assert_uint_eq(load_le32(facs + 4), 64);
    ck_assert_uint_eq(load_le32(facs + 16), 0); /* global lock free */
}
END_TEST

START_TEST(madt_lists_processors_and_routing)
{
    build(&(struct acpi_config){.ncpus = 3});
    const uint8_t *madt = find("APIC");
    ck_assert_uint_eq(load_le32(madt + 36), LAPIC_BASE);
    ck_assert_uint_eq(load_le32(madt + 40), 1);
    static const uint8_t want[] = {
        0, 8,  0, 0, 1, 0, 0, 0,                      /* processors: uid, id, enabled */
        0, 8,  1, 1, 1, 0, 0, 0,                      /* */
        0, 8,  2, 2, 1, 0, 0, 0,                      /* */
        1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0, /* IOAPIC at 0xFEC00000, GSI 0 */
        2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                /* ISA 0 is GSI 2 */
        2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0,             /* SCI: level, high */
        4, 6,  0xff, 0, 0, 1,                         /* NMI at LINT1 of all */
    };
    ck_assert_uint_eq(load_le32(madt + 4), 44 + sizeof want);
    ck_assert_mem_eq(madt + 44, want, sizeof want);
}
END_TEST

START_TEST(mcfg_is_one_bus_at_ecam_base)
{
    build(&full);
    const uint8_t *mcfg = find("MCFG");
    ck_assert_uint_eq(load_le32(mcfg + 4), 60);
    ck_assert_uint_eq(load_le64(mcfg + 44), ECAM_BASE);
    ck_assert_uint_eq(load_le64(mcfg + 52), 0); /* segment 0, buses 0 to 0 */
    static const uint8_t reserved[] = {0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0x10, 0};
    ck_assert(dsdt_has(reserved, sizeof reserved)); /* by the motherboard device too */
}
END_TEST

START_TEST(prt_routes_as_pci_slot_gsi_says)
{
    build(&full);
    static const uint8_t slot_0_intb[] = {0x12, 0x09, 4, 0x0b, 0xff, 0xff, 1, 0, 0x0a, 11};
    static const uint8_t slot_31_inta[] = {0x12, 0x0b, 4, 0x0c, 0xff, 0xff, 31, 0, 0, 0, 0x0a, 11};
    static const uint8_t slot_31_intd[] = {0x12, 0x0c, 4, 0x0c, 0xff, 0xff, 31,
                                           0,    0x0a, 3, 0,    0x0a, 10};
    ck_assert(dsdt_has(slot_0_intb, sizeof slot_0_intb));
    ck_assert(dsdt_has(slot_31_inta, sizeof slot_31_inta));
    ck_assert(dsdt_has(slot_31_intd, sizeof slot_31_intd));
}
END_TEST

START_TEST(soft_off_is_type_5)
{
    build(&full);
    static const uint8_t s5[] = {8, '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, 5, 0x0a, 5, 0, 0};
    ck_assert(dsdt_has(s5, sizeof s5));
}
END_TEST

START_TEST(largest_machine_fits)
{
    struct acpi_config cfg = full;
    cfg.ncpus = 255;
    build(&cfg);
    ck_assert_uint_eq(load_le32(find("APIC") + 4), 44 + 255 * 8 + 12 + 20 + 6);
    ck_assert(dsdt_has("C0FE", 4));
}
END_TEST

START_TEST(impossible_machines_are_refused)
{
    struct acpi_config cfg = full;
    cfg.ncpus = 256;
    ck_assert_int_lt(acpi_build(&cfg, &gm, &err), 0);
    cfg.ncpus = 0;
    ck_assert_int_lt(acpi_build(&cfg, &gm, &err), 0);
    cfg.ncpus = 1;
    cfg.nvirtio_mmio = VIRTIO_MMIO_SLOTS + 1;
    ck_assert_int_lt(acpi_build(&cfg, &gm, &err), 0);
    struct gmem tiny;
    err = (struct err){{0}};
    ck_assert_int_eq(gmem_init(&tiny, KIB(512), RAM_HOLE_START, RAM_HOLE_END, &err), 0);
    ck_assert_int_lt(acpi_build(&full, &tiny, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "more memory"));
    gmem_fini(&tiny);
}
END_TEST

START_TEST(building_again_gives_the_same_bytes)
{
    build(&full);
    uint8_t *first = malloc(ACPI_TABLES_SIZE);
    memcpy(first, at(ACPI_TABLES, ACPI_TABLES_SIZE), ACPI_TABLES_SIZE);
    gmem_fill(&gm, ACPI_TABLES + 0x40, 0x5a, 0x400); /* what a guest might do */
    build(&full);
    ck_assert_mem_eq(first, at(ACPI_TABLES, ACPI_TABLES_SIZE), 0x440);
    free(first);
}
END_TEST

/* --- iasl as a second opinion --- */

static char dir[] = "/tmp/acpi-test-XXXXXX";

static void iasl(const char *args)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "cd %s && iasl %s >iasl.log 2>&1", dir, args);
    int status = system(cmd);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        snprintf(cmd, sizeof cmd, "cat %s/iasl.log >&2", dir);
        ck_assert_msg(system(cmd) == 0 && false, "iasl %s failed", args);
    }
    snprintf(cmd, sizeof cmd,
             "! grep -iE 'warning|remark|error|invalid' %s/iasl.log"
             " | grep -v ' 0 Errors, 0 Warnings, 0 Remarks'",
             dir);
    ck_assert_msg(system(cmd) == 0, "iasl %s complains", args);
}

static void save(const uint8_t *table, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(table, 1, load_le32(table + 4), f), load_le32(table + 4));
    ck_assert_int_eq(fclose(f), 0);
}

/* The body after iasl took the table apart and put it together again is ours, byte for byte. */
static void round_trip(const char *signature)
{
    const uint8_t *table = find(signature);
    uint32_t len = load_le32(table + 4);
    save(table, "ours.aml");
    iasl("-d ours.aml");
    iasl("-p again ours.dsl");
    char path[64];
    snprintf(path, sizeof path, "%s/again.aml", dir);
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    uint8_t *again = malloc(len + 1);
    ck_assert_uint_eq(fread(again, 1, len + 1, f), len);
    fclose(f);
    ck_assert_mem_eq(again + 36, table + 36, len - 36);
    free(again);
}

START_TEST(iasl_reproduces_every_table)
{
    static const struct acpi_config lean = {.ncpus = 1};
    char cmd[64];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    build(&full);
    round_trip("DSDT");
    round_trip("FACP");
    round_trip("APIC");
    round_trip("MCFG");
    build(&lean);
    round_trip("DSDT");
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("acpi");
    TCase *tc = tcase_create("acpi");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, rsdp_is_found_by_scan_and_sums_up);
    tcase_add_test(tc, tables_follow_the_configuration);
    tcase_add_test(tc, fadt_describes_the_fixed_hardware);
    tcase_add_test(tc, facs_is_aligned_and_pointed_at_once);
    tcase_add_test(tc, madt_lists_processors_and_routing);
    tcase_add_test(tc, mcfg_is_one_bus_at_ecam_base);
    tcase_add_test(tc, prt_routes_as_pci_slot_gsi_says);
    tcase_add_test(tc, soft_off_is_type_5);
    tcase_add_test(tc, largest_machine_fits);
    tcase_add_test(tc, impossible_machines_are_refused);
    tcase_add_test(tc, building_again_gives_the_same_bytes);
    if (system("command -v iasl >/dev/null 2>&1") == 0)
        tcase_add_test(tc, iasl_reproduces_every_table);
    else
        printf("SKIP acpi: iasl_reproduces_every_table: iasl (acpica-tools) is not installed\n");
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
