// SPDX-License-Identifier: MIT
//
// fw_cfg (QEMU's docs/specs/fw_cfg describes the interface): signature, RAM size, CPU count, the
// file directory, etc/e820 byte by byte and by DMA, and DMA requests that must fail.
#include "guest.h"

#define SELECTOR 0x510
#define DATA 0x511
#define DMA_HIGH 0x514
#define DMA_LOW 0x518
enum { KEY_SIGNATURE = 0, KEY_ID = 1, KEY_RAM_SIZE = 3, KEY_CPUS = 5, KEY_DIRECTORY = 0x19 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
#define E820_ENTRY 20

static struct {
    uint32_t control, length;
    uint32_t addr_high, addr_low;
} request __attribute__((aligned(16)));
static uint8_t bytes[256];

static void read_item(uint16_t key, void *to, unsigned len)
{
    uint8_t *p = to;
    outw(SELECTOR, key);
    for (unsigned i = 0; i < len; i++)
        p[i] = inb(DATA);
}

static uint32_t dma(uint32_t control, uint32_t addr, uint32_t length)
{
    request.control = __builtin_bswap32(control);
    request.length = __builtin_bswap32(length);
    request.addr_high = 0;
    request.addr_low = __builtin_bswap32(addr);
    outl(DMA_HIGH, 0);
    outl(DMA_LOW, __builtin_bswap32((uint32_t)(uintptr_t)&request));
    while (__builtin_bswap32(*(volatile uint32_t *)&request.control) & ~(uint32_t)DMA_ERROR)
        ;
    return __builtin_bswap32(request.control);
}

/* Key and size of a file; 0: not there. */
static uint16_t find_file(const char *name, size_t name_len, uint32_t *size)
{
    uint8_t count[4], entry[64];
    read_item(KEY_DIRECTORY, count, 4);
    CHECK(!count[0] && !count[1] && !count[2]);
    print("%u files\n", count[3]);
    for (unsigned i = 0; i < count[3]; i++) {
        for (unsigned j = 0; j < sizeof entry; j++)
            entry[j] = inb(DATA);
        if (memcmp(entry + 8, name, name_len))
            continue;
        *size = (uint32_t)entry[2] << 8 | entry[3];
        return (uint16_t)(entry[4] << 8 | entry[5]);
    }
    return 0;
}

void guest_main(void)
{
    char signature[4];
    uint32_t id, ram[2], size = 0;
    uint16_t cpus;
    read_item(KEY_SIGNATURE, signature, sizeof signature);
    CHECK(!memcmp(signature, "QEMU", 4));
    read_item(KEY_ID, &id, sizeof id);
    CHECK((id & 3) == 3);
    read_item(KEY_RAM_SIZE, ram, sizeof ram);
    read_item(KEY_CPUS, &cpus, sizeof cpus);
    print("%u MiB, %u CPUs\n", ram[0] >> 20, cpus);
    CHECK(ram[1] == 0);
    CHECK(inl(DMA_HIGH) == 0x554d4551 && inl(DMA_LOW) == 0x47464320); /* "QEMU CFG" */

    uint16_t key = find_file("etc/e820", sizeof "etc/e820", &size);
    CHECK(key >= 0x20 && size && size % E820_ENTRY == 0 && size <= sizeof bytes / 2);
    read_item(key, bytes, size);
    CHECK(inb(DATA) == 0); /* past the end */
    for (unsigned i = 0; i < size; i += E820_ENTRY) {
        const uint32_t *e = (const uint32_t *)(const void *)(bytes + i);
        print("%x to %x type %u\n", e[0], e[0] + e[2], e[4]);
    }

    uint8_t *copy = bytes + sizeof bytes / 2;
    uint32_t at = (uint32_t)(uintptr_t)copy;
    CHECK(dma((uint32_t)key << 16 | DMA_SELECT | DMA_READ, at, size) == 0);
    CHECK(!memcmp(bytes, copy, size));
    CHECK(dma((uint32_t)key << 16 | DMA_SELECT | DMA_SKIP, 0, E820_ENTRY) == 0);
    CHECK(dma(DMA_READ, at, 8) == 0);
    CHECK(!memcmp(bytes + E820_ENTRY, copy, 8));
    print("DMA reads agree\n");

    CHECK(dma(DMA_READ, 0xfee00000u, 8) == DMA_ERROR);
    CHECK(dma((uint32_t)key << 16 | DMA_SELECT | DMA_READ, (48u << 20) - 4, 8) == DMA_ERROR);
    CHECK(dma((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE, at, 8) == DMA_ERROR);
    CHECK(dma(DMA_READ, 0xfffffff8u, 0xfffffff8u) == DMA_ERROR);
    print("bad DMA fails\n");
}
