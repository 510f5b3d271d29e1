// SPDX-License-Identifier: MIT
//
// PCI: enumeration of bus 0, BAR sizing, configuration mechanism #1 and ECAM telling the same and
// writing to the same, empty slots, and memory decoding that follows the command register and the
// BAR.
#include "guest.h"

#define COMMAND 0x04
#define MEMORY 2u
#define BAR0 0x10

static uintptr_t ecam(unsigned slot, unsigned reg)
{
    return PCI_ECAM + slot * 0x8000u + reg;
}

static uint32_t bar_size(unsigned slot, unsigned n)
{
    unsigned reg = BAR0 + 4 * n;
    uint32_t old = pci_read(slot, reg);
    uint16_t command = pci_read16(slot, COMMAND);
    pci_write16(slot, COMMAND, (uint16_t)(command & ~MEMORY));
    pci_write(slot, reg, 0xffffffff);
    uint32_t mask = pci_read(slot, reg) & ~15u;
    pci_write(slot, reg, old);
    pci_write16(slot, COMMAND, command);
    CHECK(pci_read(slot, reg) == old);
    return mask ? ~mask + 1 : 0;
}

static void list(unsigned slot)
{
    uint32_t id = pci_read(slot, 0), class = pci_read(slot, 8);
    print("00:%x.0 %x:%x class %x", slot, id & 0xffff, id >> 16, class >> 8);
    for (unsigned n = 0; n < 6; n++) {
        uint32_t size = bar_size(slot, n), at = pci_read(slot, BAR0 + 4 * n);
        if (!size)
            continue;
        print(", BAR %u of %x", n, size);
        CHECK(at % size == 0 && at >= 0xc0000000u && at + size <= 0xe0000000u);
    }
    unsigned pin = pci_read(slot, 0x3c) >> 8 & 0xff;
    if (pin)
        print(", INT%c on %u", 'A' + (char)pin - 1, pci_read(slot, 0x3c) & 0xff);
    print("\n");
    for (unsigned reg = 0; reg < 256; reg += 4)
        CHECK(pci_read(slot, reg) == read32(ecam(slot, reg)));
    for (unsigned reg = 0; reg < 64; reg += 3) /* bytes, too */
        CHECK((uint8_t)(pci_read(slot, reg) >> (reg % 4 * 8)) == read8(ecam(slot, reg)));
    CHECK(read32(ecam(slot, 0x100)) == 0); /* no extended capabilities */
}

static void written_either_way(unsigned slot)
{
    pci_write(slot, 0x3c, (pci_read(slot, 0x3c) & ~0xffu) | 0x5a);
    CHECK(read8(ecam(slot, 0x3c)) == 0x5a);
    write8(ecam(slot, 0x3c), 0xa5);
    CHECK((pci_read(slot, 0x3c) & 0xff) == 0xa5);
    write32(ecam(slot, 0), 0x12345678); /* read-only */
    CHECK(pci_read(slot, 0) != 0x12345678);
    print("mechanism #1 and ECAM agree\n");
}

/* The virtio-blk at a slot: its number of queues, in the common configuration of BAR 0. */
static void decoding(unsigned slot)
{
    uint32_t bar = pci_read(slot, BAR0);
    uint16_t command = pci_read16(slot, COMMAND);
    uint16_t queues = read16(bar + 0x12);
    CHECK(queues >= 1 && queues < 0xffff);
    pci_write16(slot, COMMAND, (uint16_t)(command & ~MEMORY));
    CHECK(read16(bar + 0x12) == 0xffff);
    pci_write16(slot, COMMAND, command);
    CHECK(read16(bar + 0x12) == queues);
    pci_write(slot, BAR0, bar + 0x1000000);
    CHECK(read16(bar + 0x12) == 0xffff && read16(bar + 0x1000012) == queues);
    uint32_t image_bytes = read32(0x100012);
    pci_write(slot, BAR0, 0x100000); /* onto RAM: not forwarded */
    CHECK(read32(0x100000 + 0x12) == image_bytes);
    pci_write(slot, BAR0, bar);
    CHECK(read16(bar + 0x12) == queues);
    print("BARs move and switch\n");
}

void guest_main(void)
{
    unsigned found = 0;
    for (unsigned slot = 0; slot < 32; slot++) {
        if (pci_read(slot, 0) == 0xffffffff) {
            CHECK(read32(ecam(slot, 0)) == 0xffffffff);
            continue;
        }
        list(slot);
        found++;
    }
    CHECK(found == 3);
    outl(0xcf8, 0x00000000); /* not enabled */
    CHECK(inl(0xcfc) == 0xffffffff);
    outl(0xcf8, 0x80010000); /* bus 1 */
    CHECK(inl(0xcfc) == 0xffffffff);
    outl(0xcf8, 0x80000100); /* function 1 */
    CHECK(inl(0xcfc) == 0xffffffff);
    written_either_way(1);
    decoding(1);
}
