// SPDX-License-Identifier: MIT
//
// The DSDT's namespace: processors, PCI root, legacy devices a guest cannot find otherwise,
// virtio-mmio slots, soft-off. All of it is data, but for _OSC: nothing here has to be
// interpreted at run time.
// Left out: hot plug, thermal zones, PCI interrupt links (routing is fixed), PS/2 and PIT devices
// (absent, or found unasked).
#include <stdio.h>

#include "acpi.h"
#include "aml.h"
#include "devices/pm.h"
#include "layout.h"
#include "pci.h"

static void add_ids(struct aml *a, const char *hid, unsigned uid)
{
    aml_name(a, "_HID");
    aml_eisaid(a, hid);
    aml_name(a, "_UID");
    aml_int(a, uid);
}

static void add_crs(struct aml *a)
{
    aml_name(a, "_CRS");
    aml_resources(a);
}

static void add_processors(struct aml *a, unsigned ncpus)
{
    for (unsigned i = 0; i < ncpus; i++) {
        char name[5];
        snprintf(name, sizeof name, "C%03X", i & 0xfffu);
        aml_device(a, name);
        aml_name(a, "_HID");
        aml_string(a, "ACPI0007");
        aml_name(a, "_UID");
        aml_int(a, i);
        aml_close(a);
    }
}

/* Each pin of each slot to its GSI, without link devices. */
static void add_prt(struct aml *a)
{
    aml_name(a, "_PRT");
    aml_package(a, PCI_SLOTS * 4);
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_int(a, 0); /* no link: the next element is a GSI */
            aml_int(a, pci_slot_gsi(slot + pin));
            aml_close(a);
        }
    }
    aml_close(a);
}

/*
 * The OS may have every PCI Express feature it asks for, as there is no firmware that would want
 * one: the capability buffer goes back as it came. Under another UUID the answer has the
 * "unrecognized UUID" bit.
 */
static void add_osc(struct aml *a)
{
    /* 33db4d5b-1ff7-401c-9657-7441c03dd766, stored as ToUUID does */
    static const uint8_t pci_host_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                                              0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};
    aml_method(a, "_OSC", 4, true);
    aml_if(a);
    aml_op(a, AML_EQUAL);
    aml_op(a, AML_ARG0);
    aml_buffer(a, pci_host_uuid, sizeof pci_host_uuid);
    aml_op(a, AML_RETURN);
    aml_op(a, AML_ARG3);
    aml_close(a);
    aml_op(a, AML_CREATE_DWORD_FIELD);
    aml_op(a, AML_ARG3);
    aml_int(a, 0);
    aml_path(a, "STS0");
    aml_op(a, AML_OR);
    aml_path(a, "STS0");
    aml_int(a, 4);
    aml_path(a, "STS0");
    aml_op(a, AML_RETURN);
    aml_op(a, AML_ARG3);
    aml_close(a);
}

static void add_pci(struct aml *a)
{
    aml_device(a, "PCI0");
    add_ids(a, "PNP0A08", 0);
    aml_name(a, "_CID");
    aml_eisaid(a, "PNP0A03");
    aml_name(a, "_SEG");
    aml_int(a, 0);
    aml_name(a, "_BBN");
    aml_int(a, 0);
    add_crs(a);
    aml_res_bus_window(a, 0, 0);
    aml_res_io(a, 0xcf8, 8);
    aml_res_io_window(a, 0x0000, 0x0cf7);
    aml_res_io_window(a, 0x0d00, 0xffff);
    aml_res_memory_window(a, (uint32_t)PCI_WINDOW_BASE,
                          (uint32_t)(PCI_WINDOW_BASE + PCI_WINDOW_SIZE - 1));
    aml_close(a);
    add_prt(a);
    add_osc(a);
    aml_close(a);

    /* Linux uses ECAM only when a motherboard device, too, says that nothing else is there. */
    aml_device(a, "ECAM");
    add_ids(a, "PNP0C02", 0);
    add_crs(a);
    aml_res_memory32(a, (uint32_t)ECAM_BASE, (uint32_t)ECAM_SIZE);
    aml_close(a);
    aml_close(a);
}

static void add_isa_device(struct aml *a, const char *name, const char *hid, unsigned uid,
                           uint16_t port, uint8_t nports, unsigned irq)
{
    aml_device(a, name);
    add_ids(a, hid, uid);
    add_crs(a);
    aml_res_io(a, port, nports);
    aml_res_irq(a, irq);
    aml_close(a);
    aml_close(a);
}

static void add_fw_cfg(struct aml *a)
{
    aml_device(a, "FWCF");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0002");
    aml_name(a, "_STA");
    aml_int(a, 0x0b); /* present, enabled, functioning; not shown to the user */
    add_crs(a);
    aml_res_io(a, FW_CFG_PORT, 12);
    aml_close(a);
    aml_close(a);
}

static void add_pvpanic(struct aml *a)
{
    aml_device(a, "PEVT");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0001");
    aml_name(a, "_STA");
    aml_int(a, 0x0b); /* as fw_cfg */
    add_crs(a);
    aml_res_io(a, PVPANIC_PORT, 1);
    aml_close(a);
    aml_close(a);
}

static void add_virtio_mmio(struct aml *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[5];
        snprintf(name, sizeof name, "VR%02X", i & 0xffu);
        aml_device(a, name);
        aml_name(a, "_HID");
        aml_string(a, "LNRO0005");
        aml_name(a, "_UID");
        aml_int(a, i);
        add_crs(a);
        aml_res_memory32(a, (uint32_t)(VIRTIO_MMIO_BASE + i * VIRTIO_MMIO_STRIDE),
                         (uint32_t)VIRTIO_MMIO_STRIDE);
        aml_res_gsi_level_high(a, VIRTIO_MMIO_GSI + i);
        aml_close(a);
        aml_close(a);
    }
}

void acpi_dsdt_body(struct aml *a, const struct acpi_config *cfg)
{
    aml_scope(a, "_SB");
    add_processors(a, cfg->ncpus);
    if (cfg->pci)
        add_pci(a);
    if (cfg->com1)
        add_isa_device(a, "COM1", "PNP0501", 1, COM1_PORT, 8, IRQ_COM1);
    if (cfg->com2)
        add_isa_device(a, "COM2", "PNP0501", 2, COM2_PORT, 8, IRQ_COM2);
    add_isa_device(a, "RTC", "PNP0B00", 0, 0x70, 2, IRQ_RTC);
    if (cfg->fw_cfg)
        add_fw_cfg(a);
    if (cfg->pvpanic)
        add_pvpanic(a);
    add_virtio_mmio(a, cfg->nvirtio_mmio);
    aml_close(a);

    aml_name(a, "_S5");
    aml_package(a, 4);
    aml_int(a, PM_SLP_TYP_S5); /* PM1a */
    aml_int(a, PM_SLP_TYP_S5); /* PM1b */
    aml_int(a, 0);
    aml_int(a, 0);
    aml_close(a);
}
