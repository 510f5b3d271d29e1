// SPDX-License-Identifier: MIT
//
// A CPU test as a guest in long mode: descriptor tables, pages with user rights, FPU and vector state on as CPUID offers, then ring 3 (or 0
// for sys_<topic>.S). guest-images/small has the way in and the console.
#include "guest-images/small/guest.h"

#include "cpu_guest.h"
#include "report.h"

extern uint64_t pml4[512], pdpt[512];
extern uint8_t user_stack_top[];

uint64_t guest_gdt[32] __attribute__((aligned(16))) = {
    [SEL_CODE / 8] = 0x00af9b000000ffff,        [SEL_CODE_DATA / 8] = 0x00cf93000000ffff,
    [SEL_USER_CODE32 / 8] = 0x00cffb000000ffff, [SEL_USER_DATA / 8] = 0x00cff3000000ffff,
    [SEL_USER_CODE / 8] = 0x00affb000000ffff,
};
uint64_t guest_idt[256][2] __attribute__((aligned(16)));
struct tss {
    uint32_t reserved;
    uint64_t rsp[3], reserved2, ist[7], reserved3;
    uint16_t reserved4, bitmap;
    uint8_t rest[8];
} __attribute__((packed));
struct tss guest_tss __attribute__((aligned(128)));
uint64_t guest_return_rsp; /* sys_ tests: the stack of ring 0 while they are in ring 3 */
static uint8_t trap_stack[8192] __attribute__((aligned(16)));
uint64_t window_table[512] __attribute__((aligned(4096)));
uint8_t window_pages[9][4096] __attribute__((aligned(4096)));

/* --- the world for report.c --- */

_Noreturn void world_end(const char *text, unsigned len, bool good)
{
    if (cpu_ring == 3) {
        guest_service(text, len, good);
        __builtin_unreachable();
    }
    print("%s", text);
    finish(good ? PASS : FAIL);
}

bool world_is_wrong(const char *name)
{
    char word[40] = "wrong=";
    unsigned n = 6;
    while (*name && n < sizeof word - 1)
        word[n++] = *name++;
    word[n] = 0;
    return asked(word);
}

void guest_trap(struct trap_frame *f)
{
    uint64_t cr2;
    if (f->vector == 6 && f->rip == (uintptr_t)guest_service_at) {
        print("%s", (const char *)f->di);
        finish(f->dx & 0xff ? PASS : FAIL);
    }
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    uint64_t resume = cpu_fault.resume;
    cpu_fault = (struct cpu_fault){0, f->vector, f->error, cr2, f->rip, f->rflags, f->rsp, f->cs};
    if (!resume) {
        *(volatile uint32_t *)(uintptr_t)&cpu_ring = 0; /* we are in ring 0 for good */
        report_unexpected(&cpu_fault);
    }
    f->rip = resume;
    if (!cpu_ring && f->cs & 3) {
        f->cs = SEL_CODE;
        f->ss = SEL_CODE_DATA;
        f->rsp = guest_return_rsp;
    }
    f->rflags &= ~0x10100ull; /* RF, TF */
}

/* --- making it --- */

static void map_pages(void)
{
    static const uint8_t mapped[][2] = {{0, 3}, {1, 3}, {3, 3}, {4, 1}, {5, 3}, {7, 3}, {8, 3}};
    uint64_t *directory = (uint64_t *)(uintptr_t)(pdpt[0] & ~0xfffull);
    uint64_t user = 4;
    pml4[0] |= user;
    for (unsigned n = 0; n < 4; n++)
        pdpt[n] |= user;
    for (unsigned n = 0; n < 2048; n++)
        directory[n] |= user;
    for (unsigned n = 0; n < sizeof mapped / sizeof mapped[0]; n++) {
        unsigned page = mapped[n][0];
        window_table[page] = (uintptr_t)window_pages[page] | mapped[n][1] | user | (page < 7 ? 1ull << 63 : 0); /* NX */
    }
    for (unsigned n = 0; n < 4096; n++)
        window_pages[4][n] = (uint8_t)n;
    directory[0x10000000 >> 21] = (uintptr_t)window_table | 3 | user;
    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

static void make_tables(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdt = {sizeof guest_gdt - 1, (uintptr_t)guest_gdt},
                              idt = {sizeof guest_idt - 1, (uintptr_t)guest_idt};
    uint64_t tss = (uintptr_t)&guest_tss;
    guest_gdt[SEL_TSS / 8] = (tss & 0xffffff) << 16 | (sizeof guest_tss - 1) | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
    guest_gdt[SEL_TSS / 8 + 1] = tss >> 32;
    guest_tss.rsp[0] = guest_tss.ist[0] = (uintptr_t)(trap_stack + sizeof trap_stack);
    guest_tss.bitmap = sizeof guest_tss;
    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (uintptr_t)trap_stubs[v], dpl = v == 3 || v == 4 ? 3 : 0;
        guest_idt[v][0] = (at & 0xffff) | SEL_CODE << 16 | (cpu_ring ? 0ull : 1ull) << 32 | (0x8e | dpl << 5) << 40 |
                          (at >> 16 & 0xffff) << 48;
    }
    reload_segments(&gdt);
    __asm__ volatile("lidt %0; ltr %w1" : : "m"(idt), "r"(SEL_TSS));
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

/* As Linux sets a CPU up for its programs. */
static void set_control(void)
{
    uint64_t cr0, cr4;
    uint32_t one[4], seven[4] = {0}, xsave[4], root[4];
    cpuid(0, 0, root);
    cpuid(1, 0, one);
    if (root[0] >= 7)
        cpuid(7, 0, seven);
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"((cr0 & ~0xcull) | 0x50032)); /* EM, TS off; MP ET NE WP AM */
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    cr4 |= (one[2] >> 26 & 1) << 18 | (seven[1] & 1) << 16 | (seven[2] >> 2 & 1) << 11;
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    if (one[2] >> 26 & 1) {
        cpuid(0xd, 0, xsave);
        __asm__ volatile("xsetbv" : : "a"(xsave[0] & 7), "d"(0), "c"(0));
    }
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080u));
    __asm__ volatile("wrmsr" : : "a"(low | 0x801), "d"(high), "c"(0xc0000080u)); /* NXE, SCE */
    __asm__ volatile("fninit");
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void guest_main(void)
{
    set_control();
    make_tables();
    map_pages();
    if (cpu_ring)
        enter_ring3();
    enter_ring0();
}
