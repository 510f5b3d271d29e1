// SPDX-License-Identifier: MIT
//
// x87, MMX and XSAVE operations against the host's CPU: the same instruction on the same state,
// natively and by the operation function; everything architectural but the instruction and data
// pointers must agree.
#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#undef REG_RIP /* <signal.h> has one too */

#include "src/accel/x86/mmu.h"
#include "src/accel/x86/ops.h"
#include "src/accel/x86/sys.h"
#include "src/accel/x86/vec.h"
#include "src/accel/x86/x87.h"
#include "tests/lib/cpu_rig.h"
#include "tests/lib/suite.h"

/* --- random operands with a taste for corners --- */

static uint64_t seed;
static unsigned differences;

static uint64_t rnd(void)
{
    seed += 0x9e3779b97f4a7c15ull;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned rnd_below(unsigned n)
{
    return (unsigned)(rnd() % n);
}

#define TOP_BIT (1ull << 63)

static struct x87_reg rnd_reg(void)
{
    static const struct x87_reg special[] = {
        {.mantissa = 0, .sign_exp = 0},
        {.mantissa = TOP_BIT, .sign_exp = 0x3fff},    /* 1 */
        {.mantissa = TOP_BIT, .sign_exp = 0x7fff},    /* infinity */
        {.mantissa = 3ull << 62, .sign_exp = 0x7fff}, /* quiet NaN */
        {.mantissa = 3ull << 62 | 77, .sign_exp = 0x7fff},
        {.mantissa = TOP_BIT | 1, .sign_exp = 0x7fff}, /* signalling NaN */
        {.mantissa = TOP_BIT | 99, .sign_exp = 0x7fff},
        {.mantissa = 1, .sign_exp = 0}, /* denormal */
        {.mantissa = TOP_BIT - 1, .sign_exp = 0},
        {.mantissa = TOP_BIT | 5, .sign_exp = 0},     /* pseudo-denormal */
        {.mantissa = 5ull << 60, .sign_exp = 0x4001}, /* unnormal */
        {.mantissa = 0, .sign_exp = 0x7fff},          /* pseudo-infinity */
        {.mantissa = 1ull << 62, .sign_exp = 0x7fff}, /* pseudo-NaN */
        {.mantissa = ~0ull, .sign_exp = 0x7ffe},      /* largest */
        {.mantissa = TOP_BIT, .sign_exp = 1},         /* smallest normal */
        {.mantissa = ~0ull, .sign_exp = 0x407e},      /* about the largest float */
        {.mantissa = ~0ull, .sign_exp = 0x43fe},      /* about the largest double */
    };
    struct x87_reg r;
    unsigned kind = rnd_below(8);
    if (kind < 2) {
        r = special[rnd_below(sizeof special / sizeof special[0])];
    } else {
        r.mantissa = rnd() | TOP_BIT;
        if (rnd_below(2)) /* few significant bits: exact results and ties */
            r.mantissa &= ~0ull << rnd_below(64);
        static const uint16_t middle[] = {0x3fff, 0x3fff, 0x3ffe, 0x403e, 0x3f80,
                                          0x407e, 0x3c00, 0x43fe, 0x4020};
        r.sign_exp = (uint16_t)(middle[rnd_below(9)] + rnd_below(9) - 4);
        if (kind == 2)
            r.sign_exp = (uint16_t)(rnd() & 0x7fff);
        if (kind == 3)
            r.sign_exp = (uint16_t)((rnd_below(2) ? 0x7f00 : 0) + rnd_below(255) + 1);
    }
    r.sign_exp |= (uint16_t)(rnd() & 0x8000);
    return r;
}

static uint16_t rnd_control(void)
{
    static const uint16_t usual[] = {0x37f, 0x27f, 0x07f, 0xf7f, 0xb7f, 0x77f};
    unsigned kind = rnd_below(8);
    if (kind < 3)
        return usual[rnd_below(6)];
    uint16_t c = (uint16_t)((rnd() & 0x1f3f) | 0x40);
    return kind < 6 ? c | 0x3f : c;
}

/* Memory operands: floats of every class, decimal digits, whatever. */
static void rnd_memory(uint8_t *mem, unsigned size)
{
    for (unsigned n = 0; n < size; n += 8) {
        uint64_t v = rnd();
        memcpy(mem + n, &v, 8);
    }
    uint64_t v = rnd();
    switch (rnd_below(6)) {
    case 0:
        v = (v & 0x800000000000ffffull) | (uint64_t)(0x7ff0 + rnd_below(16)) << 48 << 0;
        break;
    case 1:
        v = (v & 0x8000ffff) | (rnd_below(2) ? 0x7f800000u : 0u) | (uint64_t)rnd_below(2) << 22;
        break;
    case 2:
        v &= 0x000fffffffffffffull;
        break;
    case 3:
        v = (v & 0x80ffffffu) | (0x3f000000u + (rnd_below(8) << 20));
        break;
    case 4:
        v = (v & 0x9999999999999999ull) | (v >> 1 & 0x4444444444444444ull & ~(v >> 3 | v << 2));
        memset(mem + 8, (int)rnd_below(10), 1);
        mem[9] = rnd_below(2) ? 0x80 : 0;
        break;
    default:
        break;
    }
    memcpy(mem, &v, 8);
}

/* --- the guest: flat 64-bit mode; an arena that the native instructions use too, at the host's
 * address of it --- */

#define ARENA_AT 0x10000u
#define ARENA_SIZE 8192u

static struct cpu_rig rig;
static struct x86_cpu *const cpu = &rig.cpu;
static uint8_t *arena;
static uint8_t *code; /* native stubs */

static void setup(void)
{
    cpu_rig_init(&rig, 1 << 20, 1ull << 32, 4096);
    cpu_rig_mode(&rig, X86_MODE64);
    vec_update_access(cpu);
    x87_init(cpu);
    arena = gmem_ptr(&rig.gmem, ARENA_AT, ARENA_SIZE);
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_nonnull(arena);
    ck_assert_ptr_ne(code, MAP_FAILED);
    seed = 1;
    differences = 0;
}

static void teardown(void)
{
    munmap(code, 4096);
    cpu_rig_fini(&rig);
}

/* Run the operation; the vector it raised, or -1. */
static int run(const struct insn *i)
{
    cpu->exception.pending = false;
    cpu->rip = 0x1000;
    cpu->next_rip = cpu->rip + i->len;
    cpu->gpr[REG_RIP] = cpu->next_rip;
    if (setjmp(cpu->fault_landing))
        return cpu->exception.vector;
    i->op(cpu, i);
    return -1;
}

/* --- what the native stub works on --- */

struct fsave {
    uint32_t control, status, tags, ip, cs_opcode, dp, ds;
    uint8_t st[8][10];
} __attribute__((packed));

struct native {
    struct fsave fpu;
    uint64_t mem, flags, rax; /* mem: address for RBX */
} __attribute__((packed));

/* stub(struct native *): load FPU, RFLAGS, RBX, RAX; one instruction; store them. */
static void native_run(struct native *n, const uint8_t *bytes, unsigned len)
{
    static const uint8_t head[] = {
        0x53, /* push rbx */
        0xdd,
        0x27, /* frstor [rdi] */
        0x48,
        0x8b,
        0x5f,
        sizeof(struct fsave), /* mov rbx, [rdi + mem] */
        0x48,
        0x8b,
        0x47,
        sizeof(struct fsave) + 16, /* mov rax, [rdi + rax] */
        0xff,
        0x77,
        sizeof(struct fsave) + 8, /* push [rdi + flags] */
        0x9d,                     /* popf */
    };
    static const uint8_t tail[] = {
        0x9c, /* pushf */
        0x8f,
        0x47,
        sizeof(struct fsave) + 8, /* pop [rdi + flags] */
        0x48,
        0x89,
        0x47,
        sizeof(struct fsave) + 16, /* mov [rdi + rax], rax */
        0xdd,
        0x37, /* fnsave [rdi] */
        0x5b,
        0xc3, /* pop rbx; ret */
    };
    uint8_t *p = code;
    memcpy(p, head, sizeof head);
    p += sizeof head;
    memcpy(p, bytes, len);
    p += len;
    memcpy(p, tail, sizeof tail);
    ((void (*)(struct native *))(uintptr_t)code)(n);
}

static void fpu_to_image(struct fsave *f)
{
    unsigned tags = 0;
    for (unsigned n = 0; n < 8; n++) {
        memcpy(f->st[n], x87_st(cpu, n), 10);
        tags |= cpu->x87.empty >> n & 1 ? 3u << n * 2 : 0;
    }
    f->control = cpu->x87.control;
    f->status = x87_status_word(cpu);
    f->tags = tags;
    f->ip = f->cs_opcode = f->dp = f->ds = 0;
}

static void fpu_randomise(void)
{
    x87_init(cpu);
    for (unsigned n = 0; n < 8; n++)
        cpu->x87.st[n] = rnd_reg();
    switch (rnd_below(4)) {
    case 0:
        cpu->x87.empty = (uint8_t)rnd();
        break;
    case 1:
        cpu->x87.empty = 0;
        break;
    default:
        cpu->x87.empty = 0xf0;
    }
    uint16_t control = rnd_control();
    uint16_t status = (uint16_t)rnd();
    status = (uint16_t)(status & ~(~control & 0x3f)); /* nothing pending */
    if (rnd_below(2))
        status &= 0xff00;
    x87_set_words(cpu, control, status);
    if (cpu->x87.empty == 0xf0) /* four operands, room for four */
        cpu->x87.empty =
            (uint8_t)(0xf0f0u >> (4 - (cpu->x87.top & 3)) >> (cpu->x87.top & 4 ? 4 : 0));
}

static const char *describe(const uint8_t *bytes, unsigned len)
{
    static char text[64];
    for (unsigned n = 0; n < len; n++)
        snprintf(text + n * 3, 4, "%02x ", bytes[n]);
    return text;
}

static void print_bytes(const uint8_t *p, unsigned size)
{
    for (unsigned n = size; n-- > 0;)
        printf("%02x%s", p[n], n ? "" : "\n");
}

static bool same(const char *what, const uint8_t *bytes, unsigned len, const struct fsave *before,
                 const void *want, const void *got, unsigned size)
{
    if (!memcmp(want, got, size))
        return true;
    differences++;
    static uint16_t last;
    static unsigned shown;
    uint16_t now = (uint16_t)(bytes[0] << 8 | bytes[1]);
    shown = now == last ? shown + 1 : 0;
    last = now;
    if (shown < 2) {
        printf("%s: %s differs; control %04x status %04x tags %04x top %u\n", describe(bytes, len),
               what, before->control, before->status, before->tags, before->status >> 11 & 7);
        printf("  before:");
        for (unsigned n = 0; n < 3; n++)
            printf(" %02x%02x.%016lx", before->st[n][9], before->st[n][8],
                   *(const uint64_t *)(const void *)before->st[n]);
        printf("\n  host ");
        print_bytes(want, size);
        printf("  here ");
        print_bytes(got, size);
    }
    return false;
}

/* Images that FNSTENV and FNSAVE store hold pointers: not compared. */
static void hide_pointers(const struct insn *i, uint8_t *mem)
{
    if (i->op != op_fnstenv && i->op != op_fnsave)
        return;
    if (i->opsize == 2)
        memset(mem + 6, 0, 8);
    else
        memset(mem + 12, 0, 14);
}

static void compare_once(const struct insn *i, const uint8_t *bytes, unsigned len)
{
    uint8_t before_mem[128], host_mem[128];
    struct native n;
    fpu_randomise();
    rnd_memory(arena, 128);
    memcpy(before_mem, arena, 128);
    uint32_t flags = (uint32_t)rnd() & FL_ARITH;
    flags_put(cpu, flags);
    cpu->gpr[RBX] = ARENA_AT;
    cpu->gpr[RAX] = rnd();
    fpu_to_image(&n.fpu);
    n.mem = (uintptr_t)arena;
    n.flags = flags | 0x202;
    n.rax = cpu->gpr[RAX];
    struct fsave before = n.fpu;
    native_run(&n, bytes, len);
    memcpy(host_mem, arena, 128);
    memcpy(arena, before_mem, 128);
    int vector = run(i);
    ck_assert_msg(vector == -1, "%s raised %d", describe(bytes, len), vector);

    struct native here = {0};
    uint8_t here_mem[128];
    fpu_to_image(&here.fpu);
    memcpy(here_mem, arena, 128);
    hide_pointers(i, here_mem);
    hide_pointers(i, host_mem);
    uint16_t host_sw = (uint16_t)n.fpu.status, here_sw = (uint16_t)here.fpu.status;
    uint16_t host_cw = (uint16_t)n.fpu.control, here_cw = (uint16_t)here.fpu.control;
    uint8_t host_empty = 0;
    for (unsigned k = 0; k < 8; k++)
        host_empty |= (uint8_t)((n.fpu.tags >> k * 2 & 3) == 3 ? 1u << k : 0);
    uint64_t host_rax = n.rax;
    uint32_t host_flags = (uint32_t)n.flags & FL_ARITH, here_flags = flags_get(cpu);
    if (!same("control", bytes, len, &before, &host_cw, &here_cw, 2) ||
        !same("status", bytes, len, &before, &host_sw, &here_sw, 2) ||
        !same("tags", bytes, len, &before, &host_empty, &cpu->x87.empty, 1) ||
        !same("registers", bytes, len, &before, n.fpu.st, here.fpu.st, 80) ||
        !same("memory", bytes, len, &before, host_mem, here_mem, 128) ||
        !same("flags", bytes, len, &before, &host_flags, &here_flags, 4) ||
        !same("rax", bytes, len, &before, &host_rax, &cpu->gpr[RAX], 8))
        return;
}

static unsigned rounds(unsigned usual)
{
    const char *more = getenv("FPU_ROUNDS");
    return more ? usual * (unsigned)atoi(more) : usual;
}

/* --- x87 --- */

static void compare_opcode(uint8_t opcode)
{
    for (unsigned m = 0; m < 256; m++) {
        if (m < 0xc0 && (m & 0xc7) != 3) /* of memory forms, [rbx] */
            continue;
        uint8_t bytes[16] = {opcode, (uint8_t)m};
        struct insn i;
        ck_assert_uint_eq(x86_decode(&i, bytes, 15, X86_MODE64), 2);
        if (i.op == op_ud)
            continue;
        for (unsigned k = rounds(m < 0xc0 ? 400 : 100); k > 0; k--)
            compare_once(&i, bytes, 2);
    }
}

START_TEST(x87_instructions_do_what_the_host_does)
{
    compare_opcode((uint8_t)(0xd8 + _i));
    fflush(stdout);
    ck_assert_uint_eq(differences, 0);
}
END_TEST

/* --- MMX: same frame; the registers are the x87's --- */

static bool is_one_of(const struct insn *i, x86_op *const *ops, unsigned n)
{
    while (n--)
        if (i->op == ops[n])
            return true;
    return false;
}

static bool is_mmx(const struct insn *i)
{
#define POINTER(name) op_##name,
    static x86_op *const ops[] = {OPS_MMX(POINTER)};
    return is_one_of(i, ops, sizeof ops / sizeof ops[0]);
}

/* The frame gives instructions RAX and [RBX] alone, and no vector register. */
static bool fits_frame(const struct insn *i)
{
    static x86_op *const to_general[] = {op_pextrw_mmx, op_pmovmskb_mmx};
    static x86_op *const rm_general[] = {op_movd_rm_mmx, op_movd_mr_mmx, op_pinsrw_mmx};
    static x86_op *const others[] = {op_movq2dq, op_movdq2q, op_maskmovq};
    if (is_one_of(i, others, 3) || (is_one_of(i, to_general, 2) && i->reg))
        return false;
    return i->flags & INSN_MEM || !is_one_of(i, rm_general, 3) || !i->rm;
}

static unsigned compare_mmx(const uint8_t *head, unsigned head_len, bool has_modrm)
{
    unsigned found = 0;
    for (unsigned m = 0; m < (has_modrm ? 256 : 1); m++) {
        uint8_t bytes[16] = {0};
        struct insn i;
        if (has_modrm && m < 0xc0 && (m & 0xc7) != 3)
            continue;
        memcpy(bytes, head, head_len);
        bytes[head_len] = (uint8_t)m;
        bytes[head_len + 1] = (uint8_t)(rnd_below(2) ? rnd() : rnd_below(17));
        unsigned len = x86_decode(&i, bytes, 15, X86_MODE64);
        if (!is_mmx(&i) || !fits_frame(&i))
            continue;
        found++;
        for (unsigned k = rounds(m < 0xc0 ? 50 : 10); k > 0; k--)
            compare_once(&i, bytes, len);
    }
    return found;
}

START_TEST(mmx_instructions_do_what_the_host_does)
{
    unsigned found = 0;
    for (unsigned op = 0; op < 256; op++) {
        if (op != 0x38 && op != 0x3a) { /* escapes */
            found += compare_mmx((const uint8_t[]){0x0f, (uint8_t)op}, 2, op != 0x77);
            found += compare_mmx((const uint8_t[]){0x48, 0x0f, (uint8_t)op}, 3, op != 0x77);
        }
        found += compare_mmx((const uint8_t[]){0x0f, 0x38, (uint8_t)op}, 3, true);
        found += compare_mmx((const uint8_t[]){0x0f, 0x3a, (uint8_t)op}, 3, true);
    }
    fflush(stdout);
    ck_assert_uint_gt(found, 5000);
    ck_assert_uint_eq(differences, 0);
}
END_TEST

static int run_bytes(const uint8_t *bytes, struct insn *i)
{
    x86_decode(i, bytes, 15, cpu->mode);
    return run(i);
}
#define RUN(...) run_bytes((const uint8_t[16]){__VA_ARGS__}, &(struct insn){0})

START_TEST(maskmovq_stores_chosen_bytes)
{
    cpu->gpr[RDI] = ARENA_AT + 3;
    cpu->x87.st[1].mantissa = 0x1122334455667788;
    cpu->x87.st[2].mantissa = 0x80007fff00ff0080;
    ck_assert_int_eq(RUN(0x0f, 0xf7, 0xca), -1); /* maskmovq mm1, mm2 */
    static const uint8_t want[12] = {0, 0, 0, 0x88, 0, 0x66, 0, 0x44, 0, 0, 0x11};
    ck_assert_mem_eq(arena, want, sizeof want);
    ck_assert_uint_eq(cpu->x87.empty, 0);
}
END_TEST

START_TEST(movq2dq_and_movdq2q_move_between_files)
{
    cpu->x87.st[5].mantissa = 0x0123456789abcdef;
    memset(&cpu->ymm[9], 0xff, 32);
    ck_assert_int_eq(RUN(0xf3, 0x44, 0x0f, 0xd6, 0xcd), -1); /* movq2dq xmm9, mm5 */
    ck_assert_uint_eq(cpu->ymm[9].u64[0], 0x0123456789abcdef);
    ck_assert_uint_eq(cpu->ymm[9].u64[1], 0);
    ck_assert_uint_eq(cpu->ymm[9].u64[2], ~0ull);
    ck_assert_int_eq(RUN(0xf2, 0x41, 0x0f, 0xd6, 0xf1), -1); /* movdq2q mm6, xmm9 */
    ck_assert_uint_eq(cpu->x87.st[6].mantissa, 0x0123456789abcdef);
    ck_assert_uint_eq(cpu->x87.st[6].sign_exp, 0xffff);
}
END_TEST

/* --- faults --- */

#define FADD 0xd8, 0xc1
#define FNINIT 0xdb, 0xe3
#define FWAIT 0x9b
#define PADDB 0x0f, 0xfc, 0xc1
#define EMMS 0x0f, 0x77
#define FXSAVE 0x0f, 0xae, 0x03 /* [rbx] */
#define XSAVE 0x0f, 0xae, 0x23
#define XRSTOR 0x0f, 0xae, 0x2b

START_TEST(availability_follows_cr0)
{
    uint64_t cr0 = cpu->cr0;
    cpu->gpr[RBX] = ARENA_AT;
    cpu->cr0 = cr0 | CR0_EM;
    ck_assert_int_eq(RUN(FADD), X86_NM);
    ck_assert_int_eq(RUN(FNINIT), X86_NM);
    ck_assert_int_eq(RUN(FXSAVE), X86_NM);
    ck_assert_int_eq(RUN(PADDB), X86_UD);
    ck_assert_int_eq(RUN(EMMS), X86_UD);
    ck_assert_int_eq(RUN(FWAIT), -1);
    cpu->cr0 = cr0 | CR0_TS;
    ck_assert_int_eq(RUN(FADD), X86_NM);
    ck_assert_int_eq(RUN(PADDB), X86_NM);
    ck_assert_int_eq(RUN(XSAVE), X86_NM);
    ck_assert_int_eq(RUN(FWAIT), X86_NM);
    cpu->cr0 = (cr0 | CR0_TS) & ~(uint64_t)CR0_MP;
    ck_assert_int_eq(RUN(FWAIT), -1);
    cpu->cr0 = cr0;
    cpu->cr4 &= ~(uint64_t)CR4_OSXSAVE;
    ck_assert_int_eq(RUN(XSAVE), X86_UD);
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd0), X86_UD); /* xgetbv */
}
END_TEST

START_TEST(an_unmasked_exception_waits_for_the_next_waiting_instruction)
{
    cpu->gpr[RBX] = ARENA_AT;
    x87_set_words(cpu, 0x37e, 0);    /* invalid operation unmasked */
    ck_assert_int_eq(RUN(FADD), -1); /* empty stack */
    ck_assert_uint_eq(x87_status_word(cpu), X87_B | X87_ES | X87_SF | X87_IE);
    ck_assert_uint_eq(cpu->x87.empty, 0xff);
    ck_assert_int_eq(RUN(FADD), X86_MF);
    ck_assert_int_eq(RUN(FWAIT), X86_MF);
    ck_assert_int_eq(RUN(PADDB), X86_MF);
    ck_assert_int_eq(RUN(EMMS), X86_MF);
    ck_assert_int_eq(RUN(0xd9, 0x2b), X86_MF); /* fldcw */
    ck_assert_int_eq(RUN(0xdf, 0xe0), -1);     /* fnstsw ax */
    ck_assert_int_eq(RUN(FXSAVE), -1);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x0b), -1); /* fxrstor */
    ck_assert_int_eq(RUN(FWAIT), X86_MF);
    ck_assert_int_eq(RUN(0xdb, 0xe2), -1); /* fnclex */
    ck_assert_int_eq(RUN(FWAIT), -1);
}
END_TEST

/* Page tables for the first 2 MiB, one to one, in which the page behind the arena is missing. */
static void enable_paging(void)
{
    static const uint32_t tables = 0x20000;
    uint64_t *t = (void *)gmem_ptr(&rig.gmem, tables, 4 * 4096);
    memset(t, 0, 4 * 4096);
    for (unsigned level = 0; level < 3; level++)
        t[level * 512] = (tables + (level + 1) * 4096) | 7;
    for (unsigned page = 0; page < 512; page++)
        t[3 * 512 + page] = page * 4096 == ARENA_AT + ARENA_SIZE ? 0 : page * 4096 | 7;
    cpu->cr3 = tables;
    cpu->cr4 |= CR4_PAE;
    cpu->cr0 |= CR0_PG;
    x86_update_mode(cpu);
    mmu_flush_all(cpu);
}

START_TEST(a_store_that_faults_changes_nothing)
{
    enable_paging();
    cpu->gpr[RBX] = ARENA_AT + ARENA_SIZE - 4;
    x87_push(cpu, (struct x87_reg){.mantissa = TOP_BIT, .sign_exp = 0x3fff});
    struct x87_state before = cpu->x87;
    memset(arena, 0x55, ARENA_SIZE);
    ck_assert_int_eq(RUN(0xdb, 0x3b), X86_PF); /* fstp m80 */
    ck_assert_int_eq(RUN(0xdd, 0x1b), X86_PF); /* fstp m64 */
    ck_assert_int_eq(RUN(0xdd, 0x33), X86_PF); /* fnsave */
    ck_assert_int_eq(RUN(0xd9, 0x33), X86_PF); /* fnstenv */
    ck_assert_uint_eq(cpu->cr2, cpu->gpr[RBX] + 27);
    cpu->gpr[RBX] = ARENA_AT + ARENA_SIZE - 64;
    ck_assert_int_eq(RUN(FXSAVE), X86_PF);
    ck_assert_uint_eq(cpu->cr2, cpu->gpr[RBX] + 511);
    ck_assert_int_eq(RUN(XSAVE), X86_PF);
    ck_assert_mem_eq(&before, &cpu->x87, sizeof before);
    for (unsigned n = 0; n < ARENA_SIZE; n++)
        ck_assert_uint_eq(arena[n], 0x55);
}
END_TEST

START_TEST(environment_in_real_mode_has_linear_pointers)
{
    cpu_rig_mode(&rig, X86_MODE16);
    cpu->gpr[RBX] = 0x100;
    cpu->x87.ip = 0x2345;
    cpu->x87.cs = 0xf000;
    cpu->x87.dp = 0x6789;
    cpu->x87.ds = 0xe000;
    cpu->x87.opcode = 0x7ab;
    ck_assert_int_eq(RUN(0xd9, 0x37), -1); /* fnstenv [bx] */
    const uint16_t *env = (const void *)gmem_ptr(&rig.gmem, 0x100, 28);
    ck_assert_uint_eq(env[3], 0x2345);
    ck_assert_uint_eq(env[4], 0xf7ab);
    ck_assert_uint_eq(env[5], 0x6789);
    ck_assert_uint_eq(env[6], 0xe000);
    ck_assert_int_eq(RUN(0xd9, 0x27), -1); /* fldenv [bx] */
    ck_assert_uint_eq(cpu->x87.ip, 0xf2345);
    ck_assert_uint_eq(cpu->x87.opcode, 0x7ab);
}
END_TEST

/* --- XSAVE: restore a random image here and on the host, save it in every way --- */

#define X_SIZE 832u
struct x_area {
    uint8_t bytes[1024];
} __attribute__((aligned(64)));

enum x_form { FX, FX64, X_, X64, XOPT64, XC64, X_FORMS };

#define HOST_SAVE(insn)                                                                            \
    __asm__ volatile("xrstor64 %1\n\tmov %2, %%eax\n\t" insn                                       \
                     " %0\n\tfninit\n\tvzeroupper\n\tldmxcsr %3"                                   \
                     : "+m"(*out)                                                                  \
                     : "m"(*in), "m"(mask), "m"(mxcsr), "a"(7), "d"(0)                             \
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",   \
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

static void host_save(enum x_form form, const struct x_area *in, struct x_area *out, uint32_t mask)
{
    uint32_t mxcsr = 0x1f80;
    switch (form) {
    case FX:
        HOST_SAVE("fxsave");
        break;
    case FX64:
        HOST_SAVE("fxsave64");
        break;
    case X_:
        HOST_SAVE("xsave");
        break;
    case X64:
        HOST_SAVE("xsave64");
        break;
    case XOPT64:
        HOST_SAVE("xsaveopt64");
        break;
    default:
        HOST_SAVE("xsavec64");
    }
}

static const uint8_t save_bytes[X_FORMS][8] = {
    [FX] = {0x0f, 0xae, 0x03},           [FX64] = {0x48, 0x0f, 0xae, 0x03},
    [X_] = {0x0f, 0xae, 0x23},           [X64] = {0x48, 0x0f, 0xae, 0x23},
    [XOPT64] = {0x48, 0x0f, 0xae, 0x33}, [XC64] = {0x48, 0x0f, 0xc7, 0x23},
};

static void put16(uint8_t *at, unsigned v)
{
    memcpy(at, &(uint16_t){(uint16_t)v}, 2);
}

static void put64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, 8);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, 8);
    return v;
}

/* No component is at its initial values unless the header says so: hardware may then still call it
 * in use. */
static void rnd_image(struct x_area *x, bool compact)
{
    memset(x, 0, sizeof *x);
    for (unsigned n = 0; n < 832; n += 8)
        put64(x->bytes + n, n >= 512 && n < 576 ? 0 : rnd());
    unsigned control = rnd_control();
    put16(x->bytes, control);
    put16(x->bytes + 2, (unsigned)rnd() & ~(~control & 0x3f));
    x->bytes[5] = 0;
    x->bytes[7] &= 7;
    for (unsigned n = 8; n < 24; n++)
        x->bytes[n] = 0; /* pointers */
    for (unsigned n = 0; n < 8; n++) {
        struct x87_reg r = rnd_reg();
        memcpy(x->bytes + 32 + 16 * n, &r, 10);
    }
    uint32_t mxcsr = (uint32_t)rnd() & 0xffff;
    memcpy(x->bytes + 24, &mxcsr, 4);
    put64(x->bytes + 512, rnd() & 7);
    if (compact)
        put64(x->bytes + 520, 7 | TOP_BIT);
}

static bool all_zero(const uint8_t *bytes, unsigned len)
{
    for (unsigned n = 0; n < len; n++) {
        if (bytes[n])
            return false;
    }
    return true;
}

/* A processor may call a component in use that has its initial values (SDM vol. 1, 13.6); ours has been
 * seen to after the host was interrupted between the two instructions. */
static void forgive_in_use(struct x_area *host, const struct x_area *here)
{
    static const struct {
        unsigned at, len;
    } parts[] = {{32, 128}, {160, 256}, {576, 256}};
    static const uint8_t initial_control[6] = {0x7f, 0x03};
    uint64_t more = get64(host->bytes + 512) & ~get64(here->bytes + 512) & 7;
    for (unsigned part = 0; part < 3; part++) {
        if (!(more >> part & 1) || !all_zero(host->bytes + parts[part].at, parts[part].len) ||
            (part == 0 && memcmp(host->bytes, initial_control, sizeof initial_control)))
            continue;
        memcpy(host->bytes + parts[part].at, here->bytes + parts[part].at, parts[part].len);
        if (part == 0)
            memcpy(host->bytes, here->bytes, sizeof initial_control);
        host->bytes[512] &= (uint8_t)~(1u << part);
    }
}

/* Where processors may differ. The rest must agree to the byte. */
static void hide_freedom(struct x_area *host, struct x_area *here)
{
    memset(host->bytes + 28, 0, 4); /* MXCSR_MASK */
    memset(here->bytes + 28, 0, 4);
    memset(host->bytes + 6, 0, 18); /* opcode, pointers */
    memset(here->bytes + 6, 0, 18);
    forgive_in_use(host, here);
}

static void compare_saves(bool compact_input)
{
    static struct x_area in, host, here, before;
    for (unsigned k = rounds(1500); k > 0; k--) {
        enum x_form form = rnd_below(X_FORMS);
        uint32_t mask = (uint32_t)rnd() & 7;
        rnd_image(&in, compact_input);
        memset(&before, 0xa5, sizeof before);
        memset(before.bytes + 512, 0, 64);
        put64(before.bytes + 512, rnd() & 7);
        host = before;
        host_save(form, &in, &host, mask);

        memcpy(arena, &in, sizeof in);
        memcpy(arena + 1024, &before, sizeof before);
        cpu->gpr[RAX] = 7;
        cpu->gpr[RDX] = 0;
        cpu->gpr[RBX] = ARENA_AT;
        ck_assert_int_eq(RUN(0x48, XRSTOR), -1);
        cpu->gpr[RAX] = mask;
        cpu->gpr[RBX] = ARENA_AT + 1024;
        ck_assert_int_eq(run_bytes(save_bytes[form], &(struct insn){0}), -1);
        memcpy(&here, arena + 1024, sizeof here);
        hide_freedom(&host, &here);
        for (unsigned n = 0; n < sizeof host; n++)
            ck_assert_msg(host.bytes[n] == here.bytes[n],
                          "form %u mask %x bv %lx: byte %u host %02x here %02x", form, mask,
                          get64(in.bytes + 512), n, host.bytes[n], here.bytes[n]);
    }
}

START_TEST(saved_images_are_the_hosts)
{
    compare_saves(false);
    compare_saves(true);
}
END_TEST

/* Restores one over another: components that are not asked for stay, those that are initial become
 * so. */
START_TEST(partial_restores_do_what_the_host_does)
{
    static struct x_area first, second, host, here;
    for (unsigned k = rounds(1500); k > 0; k--) {
        uint32_t mask = (uint32_t)rnd() & 7, mxcsr = 0x1f80;
        rnd_image(&first, false);
        rnd_image(&second, rnd_below(2));
        memset(&host, 0, sizeof host);
        __asm__ volatile("xrstor64 %1\n\tmov %3, %%eax\n\txrstor64 %2\n\tmov $7, %%eax\n\txsave64 "
                         "%0\n\tfninit\n\tvzeroupper\n\t"
                         "ldmxcsr %4"
                         : "+m"(host)
                         : "m"(first), "m"(second), "m"(mask), "m"(mxcsr), "a"(7), "d"(0)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        memcpy(arena, &first, sizeof first);
        memcpy(arena + 1024, &second, sizeof second);
        memset(arena + 2048, 0, 1024);
        cpu->gpr[RDX] = 0;
        cpu->gpr[RAX] = 7;
        cpu->gpr[RBX] = ARENA_AT;
        ck_assert_int_eq(RUN(0x48, XRSTOR), -1);
        cpu->gpr[RAX] = mask;
        cpu->gpr[RBX] = ARENA_AT + 1024;
        ck_assert_int_eq(RUN(0x48, XRSTOR), -1);
        cpu->gpr[RAX] = 7;
        cpu->gpr[RBX] = ARENA_AT + 2048;
        ck_assert_int_eq(RUN(0x48, XSAVE), -1);
        memcpy(&here, arena + 2048, sizeof here);
        hide_freedom(&host, &here);
        for (unsigned n = 0; n < sizeof host; n++)
            ck_assert_msg(host.bytes[n] == here.bytes[n],
                          "mask %x second bv %lx %s: byte %u host %02x here %02x", mask,
                          get64(second.bytes + 512), get64(second.bytes + 520) ? "compact" : "", n,
                          host.bytes[n], here.bytes[n]);
    }
}
END_TEST

static sigjmp_buf host_fault;

static void on_segv(int sig)
{
    (void)sig;
    siglongjmp(host_fault, 1);
}

static bool host_refuses(const struct x_area *x, uint32_t mask)
{
    uint32_t mxcsr = 0x1f80;
    if (sigsetjmp(host_fault, 1))
        return true;
    __asm__ volatile("xrstor64 %0\n\tfninit\n\tvzeroupper\n\tldmxcsr %1"
                     :
                     : "m"(*x), "m"(mxcsr), "a"(mask), "d"(0)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return false;
}

/* One bit of header or MXCSR wrong. Bits of components that only the host has are left alone. */
START_TEST(xrstor_refuses_what_the_host_refuses)
{
    static struct x_area x;
    struct sigaction sa = {.sa_handler = on_segv}, old;
    sigaction(SIGSEGV, &sa, &old);
    unsigned refused = 0;
    for (unsigned k = rounds(3000); k > 0; k--) {
        uint32_t mask = (uint32_t)rnd() & 7;
        rnd_image(&x, rnd_below(2));
        unsigned at = rnd_below(5) ? 512 + rnd_below(64) : 24 + rnd_below(4), bit = rnd_below(8);
        bool host_only = ((at == 512 || at == 520) && bit > 2) || at == 513 || at == 521 ||
                         (at == 26 && bit == 1);
        if (host_only)
            continue;
        x.bytes[at] ^= (uint8_t)(1u << bit);
        bool want = host_refuses(&x, mask);
        memcpy(arena, &x, sizeof x);
        cpu->gpr[RAX] = mask;
        cpu->gpr[RDX] = 0;
        cpu->gpr[RBX] = ARENA_AT;
        int got = RUN(0x48, XRSTOR);
        refused += want;
        ck_assert_msg(got == (want ? X86_GP : -1), "mask %x byte %u bit %u: host %s, here %d", mask,
                      at, bit, want ? "refuses" : "takes it", got);
    }
    sigaction(SIGSEGV, &old, NULL);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

START_TEST(misaligned_areas_are_refused)
{
    cpu->gpr[RBX] = ARENA_AT + 8;
    ck_assert_int_eq(RUN(FXSAVE), X86_GP);
    cpu->gpr[RBX] = ARENA_AT + 32;
    ck_assert_int_eq(RUN(FXSAVE), -1);
    ck_assert_int_eq(RUN(XSAVE), X86_GP);
    ck_assert_int_eq(RUN(XRSTOR), X86_GP);
}
END_TEST

#define XSETBV 0x0f, 0x01, 0xd1

START_TEST(xsetbv_takes_only_possible_sets)
{
    cpu->gpr[RAX] = 3;
    ck_assert_int_eq(RUN(XSETBV), X86_GP); /* CPL 3 */
    cpu->cpl = 0;
    ck_assert_int_eq(RUN(XSETBV), -1);
    ck_assert_uint_eq(cpu->xcr0, 3);
    static const uint8_t bad[] = {0, 2, 4, 5, 6, 9, 0xff};
    for (unsigned n = 0; n < sizeof bad; n++) {
        cpu->gpr[RAX] = bad[n];
        ck_assert_int_eq(RUN(XSETBV), X86_GP);
    }
    cpu->gpr[RAX] = 1;
    cpu->gpr[RCX] = 1;
    ck_assert_int_eq(RUN(XSETBV), X86_GP);
    cpu->gpr[RCX] = 0;
    cpu->gpr[RDX] = 1;
    ck_assert_int_eq(RUN(XSETBV), X86_GP);
    ck_assert_uint_eq(cpu->xcr0, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_fpu");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, x87_instructions_do_what_the_host_does, 0, 8);
    tcase_add_test(t, mmx_instructions_do_what_the_host_does);
    tcase_add_test(t, maskmovq_stores_chosen_bytes);
    tcase_add_test(t, movq2dq_and_movdq2q_move_between_files);
    tcase_add_test(t, availability_follows_cr0);
    tcase_add_test(t, an_unmasked_exception_waits_for_the_next_waiting_instruction);
    tcase_add_test(t, a_store_that_faults_changes_nothing);
    tcase_add_test(t, environment_in_real_mode_has_linear_pointers);
    tcase_add_test(t, saved_images_are_the_hosts);
    tcase_add_test(t, partial_restores_do_what_the_host_does);
    tcase_add_test(t, xrstor_refuses_what_the_host_refuses);
    tcase_add_test(t, misaligned_areas_are_refused);
    tcase_add_test(t, xsetbv_takes_only_possible_sets);
    suite_add_tcase(s, t);
    return suite_run(s);
}
