// SPDX-License-Identifier: MIT
//
// The board's address and interrupt map: the one place that ACPI, e820, PCI, loaders and the board
// itself read it from.
#pragma once

/* Guest-physical memory. RAM is [0, RAM_HOLE_START) and [RAM_HOLE_END, ...). */
#define RAM_HOLE_START 0xC0000000ull
#define RAM_HOLE_END 0x100000000ull

#define PCI_WINDOW_BASE 0xC0000000ull /* BARs */
#define PCI_WINDOW_SIZE 0x20000000ull
#define ECAM_BASE 0xE0000000ull /* one bus: 1 MiB */
#define ECAM_SIZE 0x100000ull
#define VIRTIO_MMIO_BASE 0xFEB00000ull
#define VIRTIO_MMIO_STRIDE 0x1000ull
#define VIRTIO_MMIO_SLOTS 8
#define IOAPIC_BASE 0xFEC00000ull
#define LAPIC_BASE 0xFEE00000ull
#define KVM_IDENTITY_BASE 0xFEFFC000ull /* KVM's TSS and identity map, 4 pages */

/*
 * PCI slots. Each kind of device has its own, so that what a guest calls an interface or a disk
 * stays when other devices come. Of several the first is here, and the others follow. A third share
 * and those after it take what is left, as guests know shares by their tags.
 */
#define PCI_SLOT_DISKS 1
#define PCI_SLOT_NICS 17
#define PCI_SLOT_RNG 25
#define PCI_SLOT_WATCHDOG 26
#define PCI_SLOT_CONSOLE 27
#define PCI_SLOT_BALLOON 28
#define PCI_SLOT_VSOCK 29
#define PCI_SLOT_SHARES 30

/* Low memory (first MiB), as boot protocols and tables use it. */
#define BOOT_GDT 0x500ull
#define BOOT_ZEROPAGE 0x7000ull
#define BOOT_PVH_INFO 0x6000ull
#define BOOT_STACK 0x8ff0ull
#define BOOT_PAGE_TABLES 0x9000ull /* up to 6 pages */
#define BOOT_CMDLINE 0x20000ull
#define BOOT_CMDLINE_MAX 0x10000ull
#define EBDA_START 0x9FC00ull   /* end of usable low RAM */
#define ACPI_TABLES                                                                                \
    0xE0000ull /* RSDP first, then the tables: readable by guests that scan for it */
#define ACPI_TABLES_SIZE 0x20000ull
#define HIGH_RAM_START 0x100000ull

/* Ports. */
#define COM1_PORT 0x3F8
#define COM2_PORT 0x2F8
#define PM_BASE 0x600       /* PM1a event block; control at +4, timer at +8, GPE0 at +0x20 */
#define FW_CFG_PORT 0x510
#define RESET_PORT 0xCF9
#define PVPANIC_PORT 0x505
#define DEBUG_EXIT_PORT 0x501 /* default iobase of isa-debug-exit */

/* Interrupts (GSIs). */
#define IRQ_PIT 0
#define IRQ_KEYBOARD 1
#define IRQ_COM2 3
#define IRQ_COM1 4
#define IRQ_RTC 8
#define IRQ_SCI 9
#define IRQ_PCI_FIRST 10 /* INTx of slot s, pin p: GSI 10 or 11, level, see pci.h */
#define VIRTIO_MMIO_GSI 16 /* slot n: GSI 16 + n */
#define GSI_COUNT 24
#define IOAPIC_ID 0
