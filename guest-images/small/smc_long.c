// SPDX-License-Identifier: MIT
//
// Code that changes: under the instruction that runs, in the same page and in others, copied about,
// written by a device, and mapped anew with INVLPG and CR3. SDM vol. 3 section 9.1.3: after the
// write a jump or a serializing instruction, and then the new code must run.
#include "virtio.h"

#define WINDOW 0x40000000ull /* 1 GiB up: two pages that are mapped here and there */
#define ROUNDS 2000

extern uint64_t pml4[512], pdpt[512];
static uint64_t directory[512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));
static uint8_t code[4][4096] __attribute__((aligned(4096)));

typedef uint32_t function(uint32_t);

static function *at(volatile void *p)
{
    return (function *)(uintptr_t)p;
}

static void serialize(void)
{
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

/* mov $value, %eax; ret */
static void put_answer(volatile uint8_t *p, uint32_t value)
{
    p[0] = 0xb8;
    for (unsigned i = 0; i < 4; i++)
        p[1 + i] = (uint8_t)(value >> (8 * i));
    p[5] = 0xc3;
}

/* --- writes to code that has run --- */

static void rewritten(void)
{
    for (uint32_t n = 0; n < ROUNDS; n++) {
        put_answer(code[0] + n % 64, n);
        serialize();
        CHECK(at(code[0] + n % 64)(0) == n);
    }
    print("rewritten functions answer anew\n");
}

/* The operand of an instruction some way down the same straight run of code: store, serialize, go
 * on into it. */
static void in_the_same_run(void)
{
    static const uint8_t body[] = {
        0x89, 0x3d, 15, 0, 0, 0,       /* mov %edi, operand */
        0x53,                          /* push %rbx */
        0x31, 0xc0, 0x31, 0xc9,        /* xor %eax, %eax; xor %ecx, %ecx */
        0x0f, 0xa2,                    /* cpuid */
        0x5b,                          /* pop %rbx */
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, /* nops; mov $operand, %eax */
        0xc3,
    };
    memcpy(code[0], body, sizeof body);
    for (uint32_t n = 1; n < ROUNDS; n++)
        CHECK(at(code[0])(n * 0x01010101u) == n * 0x01010101u);
    print("a run of code changes itself further down\n");
}

/* Without anything in between but a jump; and one that rewrites the jump's own target. */
static void behind_a_jump(void)
{
    static const uint8_t body[] = {
        0x89, 0x3d, 3, 0, 0, 0, /* mov %edi, operand */
        0xeb, 0,                /* jmp to the next one */
        0xb8, 0, 0, 0, 0,       /* mov $operand, %eax */
        0xc3,
    };
    memcpy(code[1], body, sizeof body);
    for (uint32_t n = 1; n < ROUNDS; n++)
        CHECK(at(code[1])(n * 0x10203u) == n * 0x10203u);
    print("code behind a jump is the one just written\n");
}

/* An instruction that lies in two pages, each half written in turn. */
static void across_pages(void)
{
    uint8_t *p = (uint8_t *)code + 4093;
    for (uint32_t n = 0; n < ROUNDS; n++) {
        put_answer(p, 0x11223344);
        serialize();
        CHECK(at(p)(0) == 0x11223344);
        code[1][0] = (uint8_t)n; /* third byte of the operand */
        serialize();
        CHECK(at(p)(0) == ((0x11003344u) | (n & 0xff) << 16));
        code[0][4095] = (uint8_t)n; /* second byte */
        serialize();
        CHECK(at(p)(0) == (0x11000044u | (n & 0xff) << 16 | (n & 0xff) << 8));
    }
    print("instructions across pages, either half\n");
}

/* Different code in the same place, by string instructions and over itself. */
static void copied(void)
{
    for (uint32_t n = 0; n < ROUNDS; n++) {
        uint8_t *to = code[n % 4] + n % 100 * 16;
        const uint8_t *from = code[(n + 1) % 4] + 2048;
        unsigned long count = 6;
        put_answer(code[(n + 1) % 4] + 2048, ~n);
        const uint8_t *source = from;
        uint8_t *dest = to;
        __asm__ volatile("rep movsb" : "+S"(source), "+D"(dest), "+c"(count) : : "memory");
        serialize();
        CHECK(at(to)(0) == ~n && at((uint8_t *)(uintptr_t)from)(0) == ~n);
    }
    for (unsigned p = 0; p < 4; p++)
        memset(code[p], 0xc3, sizeof code[p]); /* ret */
    serialize();
    for (unsigned i = 0; i < 4096; i += 61)
        at(code[3] + i)(0);
    print("copied code runs where it came to lie\n");
}

/* --- mappings --- */

static void map(unsigned page, volatile void *to, uint64_t flags)
{
    *(volatile uint64_t *)&table[page] = (uintptr_t)to | flags | 3;
}

static void invlpg(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void flush(void)
{
    uint64_t cr3;
    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

static void window(void)
{
    directory[0] = (uintptr_t)table + 3;
    pdpt[1] = (uintptr_t)directory + 3; /* in the place of large pages */
    for (unsigned i = 0; i < 4; i++)
        put_answer(code[i], 1000 + i);
    flush();
}

static void mapped_anew(void)
{
    window();
    for (uint32_t n = 0; n < ROUNDS; n++) {
        map(0, code[n % 4], 0);
        if (n & 4)
            invlpg(WINDOW);
        else
            flush();
        CHECK(at((void *)WINDOW)(0) == 1000 + n % 4);
    }
    print("INVLPG and CR3: the window shows the page that is mapped\n");
}

/* One page under two names: a write through one is seen through the other. */
static void two_names(void)
{
    map(0, code[2], 0);
    map(1, code[2], 0);
    flush();
    for (uint32_t n = 0; n < ROUNDS; n++) {
        put_answer((volatile uint8_t *)WINDOW + 4096 + n % 32 * 8, n);
        serialize();
        CHECK(at((void *)(WINDOW + n % 32 * 8))(0) == n);
        put_answer(code[2] + n % 32 * 8, ~n);
        serialize();
        CHECK(at((void *)(WINDOW + n % 32 * 8))(0) == ~n);
    }
    print("one page under several names\n");
}

/* An instruction that starts in one mapped page and ends in the next, which is exchanged. */
static void exchanged_end(void)
{
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 3; k++)
            code[i][k] = (uint8_t)(k < 2 ? i : 0xc3); /* upper half of the operand; ret */
    put_answer((uint8_t *)code + 4093, 0x5678); /* which writes code[1] too: 0, 0 and c3 */
    for (uint32_t n = 0; n < ROUNDS; n++) {
        unsigned end = n % 3 + 1;
        code[1][0] = code[1][1] = 1;
        map(0, code[0], 0);
        map(1, code[end], 0);
        invlpg(WINDOW + 4096);
        invlpg(WINDOW);
        CHECK(at((void *)(WINDOW + 4093))(0) == (0x5678u | end << 16 | end << 24));
    }
    print("the second half of an instruction is mapped anew\n");
}

/* --- a device writes code --- */

static struct vq rings[VQ_MAX];
static struct vblk disk;

static void read_from_disk(void)
{
    static uint8_t sector[SECTOR];
    vblk_find_pci(&disk, 1, rings);
    vblk_msix(&disk, 0, 0x40, lapic_id());
    vblk_start(&disk, 0, 1, 0);
    for (uint32_t n = 0; n < 20; n++) {
        put_answer(sector, n);
        CHECK(vblk_do(&disk, 0, BLK_OUT, n, sector, SECTOR) == BLK_OK);
    }
    for (uint32_t n = 0; n < 200; n++) {
        CHECK(vblk_do(&disk, 0, BLK_IN, n % 20, code[3] + 512, SECTOR) == BLK_OK);
        serialize();
        CHECK(at(code[3] + 512)(0) == n % 20);
    }
    print("code that a disk wrote\n");
}

void guest_main(void)
{
    irq_setup();
    lapic_enable();
    rewritten();
    in_the_same_run();
    behind_a_jump();
    across_pages();
    copied();
    mapped_anew();
    two_names();
    exchanged_end();
    read_from_disk();
}
