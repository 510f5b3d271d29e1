// SPDX-License-Identifier: MIT
//
// More RAM than fits below the hole: marks at the ends of both parts, each where it was put, none
// showing through elsewhere; nothing but all-ones in the hole; and e820 (as multiboot has it), CMOS
// and fw_cfg agreeing on the sizes. The command line says how much RAM there is (mib=). Touches a
// few pages only.
#include "guest.h"

#define MIB 20
#define LOW_END 0xc0000000ull
#define HIGH_START 0x100000000ull
#define WINDOW_GIB 4 /* mapped from 4 GiB up: 4 GiB by four more page directories */

extern uint64_t pdpt[512];
static uint64_t high_directories[WINDOW_GIB][512] __attribute__((aligned(4096)));

static void map_high(void)
{
    for (unsigned g = 0; g < WINDOW_GIB; g++) {
        for (unsigned i = 0; i < 512; i++)
            high_directories[g][i] = HIGH_START + ((uint64_t)g << 30) + ((uint64_t)i << 21) + 0x83;
        pdpt[4 + g] = (uintptr_t)high_directories[g] + 3;
    }
}

static volatile uint64_t *at(uint64_t address)
{
    return (volatile uint64_t *)address;
}

static uint64_t e820_ram_above(uint64_t from)
{
    uint64_t sum = 0;
    for (uintptr_t p = boot_info(48), end = p + boot_info(44); p < end; p += read32(p) + 4) {
        uint64_t base = *at(p + 4), size = *at(p + 12);
        if (read32(p + 20) == 1 && base >= from)
            sum += size;
    }
    return sum;
}

static uint64_t cmos_high(void)
{
    uint32_t units =
        cmos_read(0x5b) | (uint32_t)cmos_read(0x5c) << 8 | (uint32_t)cmos_read(0x5d) << 16;
    return (uint64_t)units << 16;
}

static uint64_t fw_cfg_size(void)
{
    uint64_t size = 0;
    outw(0x510, 3);
    for (unsigned i = 0; i < 64; i += 8)
        size |= (uint64_t)inb(0x511) << i;
    return size;
}

void guest_main(void)
{
    uint64_t size = (uint64_t)asked_number("mib=", 0) << MIB, high = size - LOW_END;
    CHECK(size > LOW_END && high <= (uint64_t)WINDOW_GIB << 30);
    CHECK(e820_ram_above(HIGH_START) == high);
    CHECK(e820_ram_above(0x100000) == size - 0x100000);
    CHECK(cmos_high() == high);
    CHECK(fw_cfg_size() == size);
    CHECK((cmos_read(0x34) | (uint32_t)cmos_read(0x35) << 8) == (LOW_END - (16 << MIB)) >> 16);
    print("%lu MiB in two parts\n", size >> MIB);

    map_high();
    const uint64_t marks[] = {0x600000,   LOW_END / 2,           LOW_END - 8,
                              HIGH_START, HIGH_START + high / 2, HIGH_START + high - 8};
    const unsigned n = sizeof marks / sizeof marks[0];
    for (unsigned i = 0; i < n; i++) {
        CHECK(*at(marks[i]) == 0);
        *at(marks[i]) = 0x1234567800000000 | i;
    }
    for (unsigned i = 0; i < n; i++)
        CHECK(*at(marks[i]) == (0x1234567800000000 | i));
    print("marks stay where they were put\n");

    *at(HIGH_START + high) = 0;
    CHECK(*at(HIGH_START + high) == ~0ull);
    CHECK(*at(LOW_END + 0x10000000) == ~0ull);
    CHECK(*at(0xfff00000) == ~0ull);
    print("nothing beyond\n");
}
