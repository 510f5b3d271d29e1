// SPDX-License-Identifier: MIT
//
// Prints every CPUID leaf, so that a model can be seen to be the same on every engine; and reads the MSRs that every
// model has.
#include "guest.h"

struct regs {
    uint32_t a, b, c, d;
};

static struct regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct regs r = {leaf, 0, subleaf, 0};
    __asm__ volatile("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}

static void show(uint32_t leaf, uint32_t subleaf)
{
    struct regs r = cpuid(leaf, subleaf);
    if (leaf == 0x80000008) { /* the host may have fewer physical address bits than the model */
        CHECK((r.a & 0xff) >= 36 && (r.a & 0xff) <= 40);
        r.a &= ~0xffu;
    }
    if (r.a | r.b | r.c | r.d || !subleaf)
        print("%x.%x: %x %x %x %x\n", leaf, subleaf, r.a, r.b, r.c, r.d);
}

static void show_range(uint32_t first)
{
    uint32_t last = cpuid(first, 0).a;
    CHECK(last >= first && last < first + 0x100);
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        bool indexed = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
        for (uint32_t sub = 0; sub < (indexed ? 8 : 1); sub++)
            show(leaf, sub);
    }
}

/* The architectural registers of every model; reading one that is not there would end in a triple fault. */
static void read_msrs(void)
{
    static const uint32_t msrs[] = {0x10,  0x1b,  0x3b,  0xfe,  0x174, 0x175, 0x176, 0x179, 0x1a0, 0x200, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f,
                                    0x277, 0x2ff, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                                    0xc0000101, 0xc0000102};
    for (unsigned i = 0; i < sizeof msrs / sizeof msrs[0]; i++) {
        uint32_t low, high;
        __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msrs[i]));
    }
    print("%u MSRs\n", (uint32_t)(sizeof msrs / sizeof msrs[0]));
}

void guest_main(void)
{
    show_range(0);
    show_range(0x40000000);
    show_range(0x80000000);
    read_msrs();
}
