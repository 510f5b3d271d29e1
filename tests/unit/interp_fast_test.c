// SPDX-License-Identifier: MIT
//
// The interpreter's handlers (src/accel/interp/fast_*.c) beside the operation functions they stand for: random blocks of the instructions
// that have handlers of their own, run both ways from the same state. Registers, flags, memory, rip and faults must be the same.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/interp/interp_priv.h"
#include "tests/lib/suite.h"
#include "tests/lib/x86_rig.h"
#include "util.h"

#define BLOCKS 60000
#define MOST 8
#define WINDOW 0x20000u /* bytes from RIG_DATA on, where pointers point to */

static uint64_t random_state = 0x1234567;

static uint32_t rnd(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % below;
}

static struct x86_rig *rig;
static struct interp_cpu *c;
static uint8_t *window;
static uint8_t before[WINDOW], expected[WINDOW];

/* Nothing but the window: what else is written would have to be restored too. */
static void unmap_others(void)
{
    for (unsigned n = 0; n < 512; n++) {
        if (n)
            x86_rig_poke(rig, RIG_PD + n * 8, 0, 8);
        if (n * 4096 < RIG_DATA || n * 4096 >= RIG_DATA + WINDOW)
            x86_rig_poke(rig, RIG_PT + n * 8, 0, 8);
    }
}

static void setup(void)
{
    rig = x86_rig_new();
    x86_rig_long(rig);
    unmap_others();
    c = aligned_alloc(64, align_up(sizeof *c, 64));
    memset(c, 0, sizeof *c);
    memcpy(&c->cpu, &rig->cpu, sizeof rig->cpu);
    c->cpu.seg_base[SEG_FS] = 0x1000;
    c->key = 1; /* no exit has it */
    window = gmem_ptr(&rig->gm, RIG_DATA, WINDOW);
}

static void teardown(void)
{
    memcpy(&rig->cpu, &c->cpu, sizeof rig->cpu);
    x86_rig_free(rig);
    free(c);
}

/* --- random blocks --- */

static const uint8_t plain[] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0a, 0x0b, 0x11, 0x13, 0x19, 0x1b, 0x20, 0x21,
    0x23, 0x28, 0x29, 0x2a, 0x2b, 0x2d, 0x30, 0x31, 0x33, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x50,
    0x54, 0x58, 0x5c, 0x63, 0x68, 0x69, 0x6a, 0x6b, 0x80, 0x81, 0x83, 0x84, 0x85, 0x88, 0x89, 0x8a,
    0x8b, 0x8d, 0x90, 0x98, 0x99, 0xa8, 0xa9, 0xb0, 0xb7, 0xb8, 0xbf, 0xc0, 0xc1, 0xc6, 0xc7, 0xc9,
    0xd0, 0xd1, 0xd3, 0xf6, 0xf7, 0xfe, 0xff,
};
static const uint8_t behind_0f[] = {0x1f, 0x40, 0x42, 0x44, 0x46, 0x4c, 0x4f, 0x90, 0x92, 0x93,
                                    0x95, 0x96, 0x9a, 0x9d, 0xaf, 0xb6, 0xb7, 0xbe, 0xbf};
static const uint8_t ends[] = {0x70, 0x72, 0x74, 0x75, 0x76, 0x77, 0x78, 0x7a, 0x7c,
                               0x7d, 0x7e, 0x7f, 0xe8, 0xe9, 0xeb, 0xc3, 0xff};

#define PICK(list) (list)[rnd(ARRAY_LEN(list))]

static void random_bytes(uint8_t *b, bool end)
{
    unsigned n = 0;
    if (rnd(8) == 0)
        b[n++] = 0x66;
    if (rnd(16) == 0)
        b[n++] = 0x64;
    if (rnd(32) == 0)
        b[n++] = 0x67;
    if (rnd(2))
        b[n++] = (uint8_t)(0x40 + rnd(16));
    if (end) {
        b[n++] = PICK(ends);
    } else if (rnd(4) == 0) {
        b[n++] = 0x0f;
        b[n++] = PICK(behind_0f);
    } else {
        b[n++] = PICK(plain);
    }
    uint8_t modrm = (uint8_t)rnd(256);
    if (rnd(2))
        modrm |= 0xc0;
    else if (modrm >> 6 == 2)
        modrm ^= 0xc0; /* 8 bits of displacement */
    b[n++] = modrm;
    for (unsigned k = 0; k < 8; k++)
        b[n + k] = (uint8_t)rnd(256);
    if (modrm >> 6 == 0) /* where a displacement of 32 bits is likely: into the window */
        memcpy(b + n, &(uint32_t){0x48000 + rnd(0x1000)}, 4);
}

static void random_state_of(struct x86_cpu *cpu)
{
    for (unsigned r = 0; r < 16; r++) {
        static const uint64_t odd[] = {0, 1, ~0ull, 0x7fffffff, 0x80000000, 1ull << 63, 0x800000000000};
        uint64_t any = (uint64_t)rnd(0x7fffffff) << 33 ^ rnd(0x7fffffff);
        unsigned kind = rnd(8);
        cpu->gpr[r] = kind < 5 ? RIG_DATA + WINDOW / 4 + rnd(WINDOW / 2) : kind < 6 ? PICK(odd) : kind < 7 ? any : rnd(64);
    }
    if (rnd(16))
        cpu->gpr[RSP] = RIG_DATA + WINDOW / 2 + rnd(4096);
    flags_put(cpu, rnd(1u << 12) & FL_ARITH);
    cpu->next_rip = cpu->rip = RIG_CODE;
}

/* Slots with instructions that have handlers; how many. Branches on condition may stand in the middle. */
static unsigned random_block(struct slot *slots)
{
    unsigned want = 1 + rnd(MOST - 1), n = 0;
    bool branches = rnd(2);
    while (n < want) {
        uint8_t b[16];
        struct slot *s = &slots[n];
        bool last = branches && n == want - 1, middle = n < want - 1 && rnd(6) == 0;
        random_bytes(b, last || middle);
        if (!x86_decode(&s->insn, b, 15, X86_MODE64) || !!(s->insn.flags & INSN_ENDS_BLOCK) != (last || middle) ||
            s->insn.flags & (INSN_REP | INSN_REPNE) || (middle && !fast_goes_on(&s->insn, X86_MODE64)))
            continue;
        struct slot alone[3] = {*s};
        fast_choose(alone, 1, X86_MODE64, RIG_CODE % 4096);
        if (alone[0].run == fast_call || alone[0].run == fast_call_last)
            continue;
        n++;
    }
    return n;
}

/* --- both ways --- */

static struct block *block_of(const struct slot *slots)
{
    return (struct block *)((uintptr_t)slots - offsetof(struct block, slots));
}

struct result {
    uint64_t gpr[16], next_rip, rip, count;
    uint32_t flags;
    int vector;
    uint64_t error, cr2;
};

static struct result result_now(bool fault)
{
    struct x86_cpu *cpu = &c->cpu;
    struct result r = {.flags = flags_get(cpu), .vector = -1, .count = fault ? 0 : cpu->icount};
    memcpy(r.gpr, cpu->gpr, sizeof r.gpr);
    r.next_rip = cpu->next_rip;
    if (fault) {
        r.vector = cpu->exception.vector;
        r.error = cpu->exception.has_error ? cpu->exception.error : 0;
        r.cr2 = cpu->cr2;
        r.rip = cpu->rip;
    }
    return r;
}

static struct result run_ops(const struct slot *slots, unsigned n)
{
    struct x86_cpu *cpu = &c->cpu;
    if (setjmp(cpu->fault_landing))
        return result_now(true);
    for (unsigned k = 0; k < n; k++) {
        cpu->rip = cpu->next_rip;
        cpu->next_rip += slots[k].insn.len;
        cpu->gpr[REG_RIP] = cpu->next_rip;
        slots[k].insn.op(cpu, &slots[k].insn);
        cpu->icount++;
        if (cpu->next_rip != cpu->gpr[REG_RIP])
            break; /* a branch that was taken */
    }
    return result_now(false);
}

/* In a block of its own; no exit leads anywhere, so it comes back at the first branch that is taken. */
static struct result run_handlers(const struct slot *slots)
{
    struct x86_cpu *cpu = &c->cpu;
    c->running = block_of(slots);
    if (setjmp(cpu->fault_landing))
        return result_now(true);
    cpu->gpr[REG_BLOCK] = cpu->next_rip;
    slots[0].run(cpu, slots);
    return result_now(false);
}

static void say_block(const struct slot *slots, unsigned n, const struct result *want, const struct result *got)
{
    for (unsigned k = 0; k < n; k++) {
        const struct insn *i = &slots[k].insn;
        printf("%-8s opsize %u reg %u rm %u flags %x base %u index %u imm %llx disp %x opcode %x\n", x86_insn_name(i), i->opsize,
               i->reg, i->rm, i->flags, i->base, i->index, (unsigned long long)i->imm, (unsigned)i->disp, i->opcode);
    }
    for (unsigned r = 0; r < 16; r++) {
        if (want->gpr[r] != got->gpr[r])
            printf("gpr %u: %llx, not %llx\n", r, (unsigned long long)got->gpr[r], (unsigned long long)want->gpr[r]);
    }
    printf("%u instructions, want %u; flags %x, want %x; vector %d, want %d; rip %llx, want %llx\n", (unsigned)got->count,
           (unsigned)want->count, got->flags, want->flags, got->vector, want->vector,
           (unsigned long long)got->next_rip, (unsigned long long)want->next_rip);
}

START_TEST(handlers_do_what_operations_do)
{
    struct x86_cpu *cpu = &c->cpu;
    struct block *block = malloc(sizeof *block + (2 * MOST + 1) * sizeof block->slots[0]);
    struct slot *slots = block->slots;
    unsigned faults = 0;
    for (unsigned k = 0; k < WINDOW; k++)
        window[k] = (uint8_t)rnd(256);
    for (unsigned round = 0; round < BLOCKS; round++) {
        unsigned n = random_block(slots);
        uint64_t gpr[ARRAY_LEN(cpu->gpr)];
        random_state_of(cpu);
        memcpy(gpr, cpu->gpr, sizeof gpr);
        struct lazy_flags fl = cpu->fl;
        memcpy(before, window, WINDOW);
        cpu->icount = 0;
        struct result want = run_ops(slots, n);
        memcpy(expected, window, WINDOW);

        memcpy(window, before, WINDOW);
        memcpy(cpu->gpr, gpr, sizeof gpr);
        cpu->fl = fl;
        cpu->rip = cpu->next_rip = RIG_CODE;
        if (rnd(8) == 0)
            mmu_flush_all(cpu);
        fast_choose(slots, n, X86_MODE64, RIG_CODE % 4096);
        cpu->icount = 0;
        struct result got = run_handlers(slots);
        if (memcmp(&want, &got, sizeof want)) {
            say_block(slots, n, &want, &got);
            ck_abort_msg("round %u: another state", round);
        }
        ck_assert_mem_eq(window, expected, WINDOW);
        faults += want.vector >= 0;
    }
    ck_assert_uint_gt(faults, BLOCKS / 100); /* not only good blocks, not only bad ones */
    ck_assert_uint_lt(faults, BLOCKS / 2);
    free(block);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("interp_fast");
    TCase *t = tcase_create("handlers");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, handlers_do_what_operations_do);
    suite_add_tcase(s, t);
    return suite_run(s);
}
