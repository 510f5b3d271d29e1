// SPDX-License-Identifier: MIT
//
// Vector operations against the host's CPU: each instruction on the same random state natively and
// by its operation function, with special values, all rounding modes, and exceptions unmasked at
// times.
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/cpu_rig.h"
#include "src/accel/x86/fp_trap.h"
#include "src/accel/x86/vec.h"
#include "tests/lib/suite.h"

#define MEM_AT 0x4000 /* of the memory operand in guest RAM; [rdi] */
#define MEM_BYTES 64

static struct cpu_rig rig;
static uint64_t seed = 1;

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

static void start(enum x86_mode mode)
{
    cpu_rig_mode(&rig, mode);
    vec_update_access(&rig.cpu);
}

/* --- the same state for both --- */

struct vstate {
    union vec_reg v[4];
    uint8_t mem[MEM_BYTES] __attribute__((aligned(64)));
    uint64_t rax, rcx, rdx, rflags;
    uint32_t mxcsr;
    uint32_t trap; /* FP_TRAPPED and flags: the rest is then as before */
};

static uint8_t *native_code;

static void native_call(struct vstate *s)
{
    register uint8_t *code __asm__("r12") = native_code;
    register uint8_t *mem __asm__("rdi") = s->mem;
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n\t"
        "vmovaps (%%rbx), %%ymm0\n\tvmovaps 32(%%rbx), %%ymm1\n\t"
        "vmovaps 64(%%rbx), %%ymm2\n\tvmovaps 96(%%rbx), %%ymm3\n\t"
        "mov %c[rax](%%rbx), %%rax\n\tmov %c[rcx](%%rbx), %%rcx\n\tmov %c[rdx](%%rbx), %%rdx\n\t"
        "ldmxcsr %c[mxcsr](%%rbx)\n\tpushq %c[rflags](%%rbx)\n\tpopfq\n\t"
        "call *%%r12\n\t"
        "pushfq\n\tpopq %c[rflags](%%rbx)\n\tstmxcsr %c[mxcsr](%%rbx)\n\t"
        "mov %%rax, %c[rax](%%rbx)\n\tmov %%rcx, %c[rcx](%%rbx)\n\tmov %%rdx, %c[rdx](%%rbx)\n\t"
        "vmovaps %%ymm0, (%%rbx)\n\tvmovaps %%ymm1, 32(%%rbx)\n\t"
        "vmovaps %%ymm2, 64(%%rbx)\n\tvmovaps %%ymm3, 96(%%rbx)\n\tvzeroupper\n\t"
        "lea 128(%%rsp), %%rsp\n\tldmxcsr %[normal]"
        :
        : "b"(s), "r"(code), "r"(mem), [rax] "i"(offsetof(struct vstate, rax)),
          [rcx] "i"(offsetof(struct vstate, rcx)), [rdx] "i"(offsetof(struct vstate, rdx)),
          [rflags] "i"(offsetof(struct vstate, rflags)),
          [mxcsr] "i"(offsetof(struct vstate, mxcsr)), [normal] "m"((uint32_t){MXCSR_DEFAULT})
        : "rax", "rcx", "rdx", "memory", "cc", YMM_CLOBBERS);
}

static void run_native(struct vstate *s, const uint8_t *code, unsigned len)
{
    struct vstate before = *s;
    memcpy(native_code, code, len);
    native_code[len] = 0xc3;
    fp_trap_arm();
    native_call(s);
    uint32_t trap = fp_trap_disarm();
    if (trap & FP_TRAPPED) {
        *s = before;
        s->trap = trap;
        s->mxcsr |= trap & MXCSR_FLAGS;
    }
    s->rflags &= FL_ARITH;
}

static void load_state(const struct vstate *s)
{
    struct x86_cpu *cpu = &rig.cpu;
    memcpy(cpu->ymm, s->v, sizeof s->v);
    cpu->gpr[0] = s->rax;
    cpu->gpr[1] = s->rcx;
    cpu->gpr[2] = s->rdx;
    cpu->gpr[7] = MEM_AT;
    flags_put(cpu, (uint32_t)s->rflags);
    vec_mxcsr_set(cpu, s->mxcsr);
    gmem_write(&rig.gmem, MEM_AT, s->mem, sizeof s->mem);
}

static void run_ours(struct vstate *s, const uint8_t *code, unsigned len)
{
    struct x86_cpu *cpu = &rig.cpu;
    load_state(s);
    enum rig_end end = cpu_rig_exec(&rig, code, len);
    if (end == RIG_FAULT) {
        ck_assert_uint_eq(cpu->exception.vector, X86_XM);
        s->trap = FP_TRAPPED | (cpu->mxcsr & MXCSR_FLAGS);
    }
    memcpy(s->v, cpu->ymm, sizeof s->v);
    s->rax = cpu->gpr[0];
    s->rcx = cpu->gpr[1];
    s->rdx = cpu->gpr[2];
    s->rflags = flags_get(cpu);
    s->mxcsr = vec_mxcsr_get(cpu);
    gmem_read(&rig.gmem, MEM_AT, s->mem, sizeof s->mem);
}

/* --- random operands with a taste for corners --- */

static uint32_t rnd_float(void)
{
    static const uint32_t special[] = {0,          1,          0x7fffff,   0x800000,   0x3f800000,
                                       0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7fc12345, 0x7f800001,
                                       0x7fa00000, 0x4f000000, 0x5f000000, 0x3f000000, 0x3fc00000};
    unsigned kind = rnd_below(4);
    uint32_t sign = (uint32_t)rnd() & 0x80000000;
    if (kind == 0)
        return (uint32_t)rnd();
    if (kind == 1)
        return special[rnd_below(15)] | sign;
    return (uint32_t)rnd() % 0x800000 | (120 + rnd_below(16)) << 23 |
           sign; /* near 1: they interact */
}

static uint64_t rnd_double(void)
{
    static const uint64_t special[] = {0,
                                       1,
                                       0xfffffffffffff,
                                       0x10000000000000,
                                       0x3ff0000000000000,
                                       0x7fefffffffffffff,
                                       0x7ff0000000000000,
                                       0x7ff8000000000000,
                                       0x7ff8000000012345,
                                       0x7ff0000000000001,
                                       0x41e0000000000000,
                                       0x43e0000000000000,
                                       0x3fe0000000000000,
                                       0x36a0000000000001,
                                       0x47efffffe0000001};
    unsigned kind = rnd_below(4);
    uint64_t sign = rnd() & 1ull << 63;
    if (kind == 0)
        return rnd();
    if (kind == 1)
        return special[rnd_below(15)] | sign;
    return rnd() % (1ull << 52) | (uint64_t)(1018 + rnd_below(12)) << 52 | sign;
}

static void rnd_vector(void *out, unsigned bytes, bool doubles)
{
    for (unsigned n = 0; n < bytes / 8; n++) {
        uint64_t v = doubles ? rnd_double() : rnd_float() | (uint64_t)rnd_float() << 32;
        memcpy((uint8_t *)out + n * 8, &v, 8);
    }
}

static void rnd_state(struct vstate *s)
{
    bool doubles = rnd_below(2);
    memset(s, 0, sizeof *s);
    rnd_vector(s->v, sizeof s->v, doubles);
    rnd_vector(s->mem, sizeof s->mem, doubles);
    if (rnd_below(8) == 0)
        for (unsigned n = 0; n < 4; n++)
            s->v[2].u64[n] &= 0x1f; /* shift counts */
    s->rax = rnd_below(4) ? rnd_below(40) - 20u : rnd();
    s->rdx = rnd_below(4) ? rnd_below(40) - 20u : rnd();
    s->rcx = rnd();
    s->rflags = rnd() & FL_ARITH;
    s->mxcsr =
        (rnd_below(4) ? MXCSR_MASKS : (uint32_t)rnd() & MXCSR_MASKS) | ((uint32_t)rnd() & 0x3f);
    if (rnd_below(2))
        s->mxcsr |= (uint32_t)rnd() & 0xe040; /* rounding, FTZ, DAZ */
}

/* --- what there is: opcode rows --- */

enum {
    P_NP = 1,
    P_66 = 2,
    P_F3 = 4,
    P_F2 = 8,
    P_PS = P_NP | P_66,
    P_ALL = 15,
    LEGACY = 1,
    V3 = 2,
    V2 = 4,
    IMM = 8,
    NO_L = 16,
    NO_REG = 32,
    NO_MEM = 64,
    W_BOTH = 128,
    L_ONLY = 256,
    S3 = LEGACY | V3,
    S2 = LEGACY | V2,
    SLASH = 512,
    REX_W = 1024,
    IS4 = 2048, /* a register in the immediate */
};

struct row {
    uint8_t map; /* 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t first, last;
    uint8_t prefixes;
    uint16_t kind;
    uint8_t ext; /* with SLASH: ModRM.reg */
    uint32_t need;
};

static const struct row rows[] = {
    {1, 0x58, 0x59, P_ALL, S3, 0, 0},
    {1, 0x5c, 0x5f, P_ALL, S3, 0, 0},
    {1, 0x51, 0x51, P_PS, S2, 0, 0},
    {1, 0x51, 0x51, P_F3 | P_F2, S3 | NO_L, 0, 0},
    {1, 0x52, 0x53, P_NP, S2, 0, 0},
    {1, 0x52, 0x53, P_F3, S3 | NO_L, 0, 0},
    {1, 0x54, 0x57, P_PS, S3, 0, 0},
    {1, 0x5a, 0x5a, P_PS, S2, 0, 0},
    {1, 0x5a, 0x5a, P_F3 | P_F2, S3 | NO_L, 0, 0},
    {1, 0x5b, 0x5b, P_PS | P_F3, S2, 0, 0},
    {1, 0xe6, 0xe6, P_66 | P_F3 | P_F2, S2, 0, 0},
    {1, 0xc2, 0xc2, P_ALL, S3 | IMM, 0, 0},
    {1, 0x2e, 0x2f, P_PS, S2 | NO_L, 0, 0},
    {1, 0xd0, 0xd0, P_66 | P_F2, S3, 0, 0},
    {1, 0x7c, 0x7d, P_66 | P_F2, S3, 0, 0},
    {1, 0x2a, 0x2a, P_F3 | P_F2, S3 | NO_L | REX_W, 0, 0},
    {1, 0x2c, 0x2d, P_F3 | P_F2, S2 | NO_L | REX_W, 0, 0},
    {3, 0x08, 0x09, P_66, S2 | IMM, 0, 0},
    {3, 0x0a, 0x0b, P_66, S3 | IMM | NO_L, 0, 0},
    {3, 0x40, 0x40, P_66, S3 | IMM, 0, 0},
    {3, 0x41, 0x41, P_66, S3 | IMM | NO_L, 0, 0},
    {2, 0x96, 0x98, P_66, V3 | W_BOTH, 0, VEC_FMA},
    {2, 0x99, 0x99, P_66, V3 | W_BOTH | NO_L, 0, VEC_FMA},
    {2, 0x9a, 0x9f, P_66, V3 | W_BOTH, 0, VEC_FMA},
    {2, 0xa6, 0xaf, P_66, V3 | W_BOTH, 0, VEC_FMA},
    {2, 0xb6, 0xbf, P_66, V3 | W_BOTH, 0, VEC_FMA},
    {2, 0x13, 0x13, P_66, V2, 0, VEC_F16C},
    {3, 0x1d, 0x1d, P_66, V2 | IMM, 0, VEC_F16C},
    /* moves */
    {1, 0x10, 0x11, P_PS, S2, 0, 0},
    {1, 0x10, 0x11, P_F3 | P_F2, S2 | NO_L | NO_REG, 0, 0},
    {1, 0x10, 0x11, P_F3 | P_F2, S3 | NO_L | NO_MEM, 0, 0},
    {1, 0x12, 0x12, P_NP, S3 | NO_L, 0, 0},
    {1, 0x12, 0x12, P_66, S3 | NO_L | NO_REG, 0, 0},
    {1, 0x12, 0x12, P_F3 | P_F2, S2, 0, 0},
    {1, 0x13, 0x13, P_PS, S2 | NO_L | NO_REG, 0, 0},
    {1, 0x16, 0x16, P_NP, S3 | NO_L, 0, 0},
    {1, 0x16, 0x16, P_66, S3 | NO_L | NO_REG, 0, 0},
    {1, 0x16, 0x16, P_F3, S2, 0, 0},
    {1, 0x17, 0x17, P_PS, S2 | NO_L | NO_REG, 0, 0},
    {1, 0x28, 0x29, P_PS, S2, 0, 0},
    {1, 0x2b, 0x2b, P_PS, S2 | NO_REG, 0, 0},
    {1, 0xe7, 0xe7, P_66, S2 | NO_REG, 0, 0},
    {2, 0x2a, 0x2a, P_66, S2 | NO_REG, 0, 0},
    {1, 0x6f, 0x6f, P_66 | P_F3, S2, 0, 0},
    {1, 0x7f, 0x7f, P_66 | P_F3, S2, 0, 0},
    {1, 0xf0, 0xf0, P_F2, S2 | NO_REG, 0, 0},
    {1, 0x6e, 0x6e, P_66, S2 | NO_L | REX_W, 0, 0},
    {1, 0x7e, 0x7e, P_66, S2 | NO_L | REX_W, 0, 0},
    {1, 0x7e, 0x7e, P_F3, S2 | NO_L, 0, 0},
    {1, 0xd6, 0xd6, P_66, S2 | NO_L, 0, 0},
    {1, 0x50, 0x50, P_PS, S2 | NO_MEM, 0, 0},
    {1, 0xd7, 0xd7, P_66, S2 | NO_MEM, 0, 0},
    {1, 0xae, 0xae, P_NP, S2 | NO_L | NO_REG | SLASH, 3, 0},
    /* shuffles */
    {1, 0x14, 0x15, P_PS, S3, 0, 0},
    {1, 0xc6, 0xc6, P_PS, S3 | IMM, 0, 0},
    {1, 0x70, 0x70, P_66 | P_F3 | P_F2, S2 | IMM, 0, 0},
    {1, 0x60, 0x6d, P_66, S3, 0, 0},
    {2, 0x00, 0x0b, P_66, S3, 0, 0},
    {2, 0x28, 0x29, P_66, S3, 0, 0},
    {2, 0x2b, 0x2b, P_66, S3, 0, 0},
    {3, 0x0c, 0x0f, P_66, S3 | IMM, 0, 0},
    {2, 0x10, 0x10, P_66, LEGACY, 0, VEC_SSE41},
    {2, 0x14, 0x15, P_66, LEGACY, 0, VEC_SSE41},
    {3, 0x4a, 0x4c, P_66, V3 | IMM | IS4, 0, 0},
    {1, 0xc4, 0xc4, P_66, S3 | NO_L | IMM, 0, 0},
    {1, 0xc5, 0xc5, P_66, S2 | NO_L | IMM | NO_MEM, 0, 0},
    {3, 0x14, 0x15, P_66, S2 | NO_L | IMM, 0, 0},
    {3, 0x16, 0x16, P_66, S2 | NO_L | IMM | REX_W, 0, 0},
    {3, 0x17, 0x17, P_66, S2 | NO_L | IMM, 0, 0},
    {3, 0x20, 0x21, P_66, S3 | NO_L | IMM, 0, 0},
    {3, 0x22, 0x22, P_66, S3 | NO_L | IMM | REX_W, 0, 0},
    {2, 0x20, 0x25, P_66, S2, 0, 0},
    {2, 0x30, 0x35, P_66, S2, 0, 0},
    /* integers */
    {1, 0x74, 0x76, P_66, S3, 0, 0},
    {1, 0xd1, 0xd5, P_66, S3, 0, 0},
    {1, 0xd8, 0xe5, P_66, S3, 0, 0},
    {1, 0xe8, 0xef, P_66, S3, 0, 0},
    {1, 0xf1, 0xf6, P_66, S3, 0, 0},
    {1, 0xf8, 0xfe, P_66, S3, 0, 0},
    {2, 0x17, 0x17, P_66, S2, 0, 0},
    {2, 0x1c, 0x1e, P_66, S2, 0, 0},
    {2, 0x37, 0x40, P_66, S3, 0, 0},
    {2, 0x41, 0x41, P_66, S2 | NO_L, 0, 0},
    {3, 0x42, 0x42, P_66, S3 | IMM, 0, 0},
    {1, 0x71, 0x73, P_66, S3 | IMM | NO_MEM | SLASH, 2, 0},
    {1, 0x71, 0x72, P_66, S3 | IMM | NO_MEM | SLASH, 4, 0},
    {1, 0x71, 0x73, P_66, S3 | IMM | NO_MEM | SLASH, 6, 0},
    {1, 0x73, 0x73, P_66, S3 | IMM | NO_MEM | SLASH, 3, 0},
    {1, 0x73, 0x73, P_66, S3 | IMM | NO_MEM | SLASH, 7, 0},
    /* text, crypto */
    {3, 0x60, 0x61, P_66, S2 | NO_L | IMM | REX_W, 0, VEC_SSE42},
    {3, 0x62, 0x63, P_66, S2 | NO_L | IMM, 0, VEC_SSE42},
    {2, 0xdb, 0xdb, P_66, S2 | NO_L, 0, VEC_AES},
    {2, 0xdc, 0xdf, P_66, S3 | NO_L, 0, VEC_AES},
    {3, 0xdf, 0xdf, P_66, S2 | NO_L | IMM, 0, VEC_AES},
    {3, 0x44, 0x44, P_66, S3 | NO_L | IMM, 0, VEC_PCLMUL},
    {2, 0xc8, 0xcd, P_NP, LEGACY, 0, VEC_SHA},
    {3, 0xcc, 0xcc, P_NP, LEGACY | IMM, 0, VEC_SHA},
    /* AVX, AVX2 */
    {2, 0x18, 0x18, P_66, V2, 0, 0},
    {2, 0x19, 0x19, P_66, V2 | L_ONLY, 0, 0},
    {2, 0x1a, 0x1a, P_66, V2 | L_ONLY | NO_REG, 0, 0},
    {2, 0x5a, 0x5a, P_66, V2 | L_ONLY | NO_REG, 0, 0},
    {2, 0x58, 0x59, P_66, V2, 0, 0},
    {2, 0x78, 0x79, P_66, V2, 0, 0},
    {2, 0x0c, 0x0d, P_66, V3, 0, 0},
    {2, 0x0e, 0x0f, P_66, V2, 0, 0},
    {3, 0x04, 0x05, P_66, V2 | IMM, 0, 0},
    {3, 0x06, 0x06, P_66, V3 | IMM | L_ONLY, 0, 0},
    {3, 0x46, 0x46, P_66, V3 | IMM | L_ONLY, 0, 0},
    {2, 0x16, 0x16, P_66, V3 | L_ONLY, 0, 0},
    {2, 0x36, 0x36, P_66, V3 | L_ONLY, 0, 0},
    {3, 0x00, 0x01, P_66, V2 | IMM | L_ONLY | REX_W, 0, 0},
    {3, 0x18, 0x18, P_66, V3 | IMM | L_ONLY, 0, 0},
    {3, 0x38, 0x38, P_66, V3 | IMM | L_ONLY, 0, 0},
    {3, 0x19, 0x19, P_66, V2 | IMM | L_ONLY, 0, 0},
    {3, 0x39, 0x39, P_66, V2 | IMM | L_ONLY, 0, 0},
    {2, 0x2c, 0x2f, P_66, V3 | NO_REG, 0, 0},
    {2, 0x8c, 0x8c, P_66, V3 | NO_REG | W_BOTH, 0, 0},
    {2, 0x8e, 0x8e, P_66, V3 | NO_REG | W_BOTH, 0, 0},
    {3, 0x02, 0x02, P_66, V3 | IMM, 0, 0},
    {2, 0x45, 0x45, P_66, V3 | W_BOTH, 0, 0},
    {2, 0x46, 0x46, P_66, V3, 0, 0},
    {2, 0x47, 0x47, P_66, V3 | W_BOTH, 0, 0},
};

struct variant {
    const struct row *row;
    uint8_t opcode;
    uint8_t pp; /* 0 to 3: none, 66, F3, F2 */
    bool vex, l, w, mem;
};

/* reg = 1, vvvv = 3, r/m = 2 or [rdi]. */
static unsigned encode(const struct variant *v, uint8_t *out)
{
    static const uint8_t prefix[] = {0, 0x66, 0xf3, 0xf2};
    const struct row *r = v->row;
    unsigned n = 0;
    if (!v->vex) {
        if (v->pp)
            out[n++] = prefix[v->pp];
        if (v->w)
            out[n++] = 0x48;
        out[n++] = 0x0f;
        if (r->map > 1)
            out[n++] = r->map == 2 ? 0x38 : 0x3a;
    } else {
        unsigned vvvv = r->kind & V3 ? 12 : 15;
        out[n++] = 0xc4;
        out[n++] = (uint8_t)(0xe0 | r->map);
        out[n++] = (uint8_t)((v->w ? 0x80u : 0u) | vvvv << 3 | (v->l ? 4u : 0u) | v->pp);
    }
    out[n++] = v->opcode;
    unsigned reg = r->kind & SLASH ? r->ext : 1;
    out[n++] = (uint8_t)(reg << 3 | (v->mem ? 7 : 0xc2));
    if (r->kind & IMM)
        out[n++] =
            (uint8_t)((rnd_below(3) ? rnd() : rnd_below(20)) & (r->kind & IS4 ? 0x3f : 0xff));
    return n;
}

static void explain(const struct variant *v, const uint8_t *code, unsigned len,
                    const struct vstate *want, const struct vstate *got)
{
    fprintf(stderr, "map %u opcode %02x pp %u vex %d l %d w %d mem %d:", v->row->map, v->opcode,
            v->pp, v->vex, v->l, v->w, v->mem);
    for (unsigned n = 0; n < len; n++)
        fprintf(stderr, " %02x", code[n]);
    fprintf(stderr, "\n  mxcsr %04x/%04x trap %x/%x flags %x/%x rcx %lx/%lx rdx %lx/%lx\n",
            want->mxcsr, got->mxcsr, want->trap, got->trap, (unsigned)want->rflags,
            (unsigned)got->rflags, want->rcx, got->rcx, want->rdx, got->rdx);
    for (unsigned k = 0; k < 4; k++)
        for (unsigned n = 0; n < 4; n++)
            if (want->v[k].u64[n] != got->v[k].u64[n])
                fprintf(stderr, "  ymm%u[%u] %016lx/%016lx\n", k, n, want->v[k].u64[n],
                        got->v[k].u64[n]);
}

static void compare(const struct variant *v, unsigned times)
{
    for (unsigned k = 0; k < times; k++) {
        struct vstate want, got;
        uint8_t code[16];
        unsigned len = encode(v, code);
        rnd_state(&want);
        got = want;
        run_native(&want, code, len);
        run_ours(&got, code, len);
        if (memcmp(&want, &got, sizeof want)) {
            explain(v, code, len, &want, &got);
            ck_abort_msg("differs from the host (iteration %u)", k);
        }
    }
}

static void compare_encodings(struct variant v, unsigned times)
{
    unsigned kind = v.row->kind;
    if (kind & LEGACY)
        compare(&v, times);
    if (!(kind & (V2 | V3)) || !(x86_host_vector_level() & VEC_AVX2))
        return;
    v.vex = true;
    v.l = kind & L_ONLY;
    v.w = kind & L_ONLY && kind & REX_W;
    compare(&v, times);
    if (!(kind & (NO_L | L_ONLY)) &&
        !(v.pp >= 2 && v.row->map == 1 && v.opcode >= 0x50 && v.opcode < 0x60)) {
        v.l = true;
        compare(&v, times);
    }
    if (kind & W_BOTH || (kind & REX_W && kind & NO_L)) {
        v.w = true;
        compare(&v, times);
        v.l = false;
        compare(&v, times);
    }
}

static void compare_row(const struct row *row, unsigned times)
{
    if ((x86_host_vector_level() & row->need) != row->need)
        return;
    for (unsigned opcode = row->first; opcode <= row->last; opcode++)
        for (uint8_t pp = 0; pp < 4; pp++) {
            if (!(row->prefixes >> pp & 1))
                continue;
            struct variant v = {.row = row, .opcode = (uint8_t)opcode, .pp = pp};
            for (unsigned mem = 0; mem < 2; mem++) {
                if (row->kind & (mem ? NO_MEM : NO_REG))
                    continue;
                v.mem = mem;
                compare_encodings(v, times);
                if (row->kind & REX_W && row->kind & LEGACY) {
                    struct variant wide = v;
                    wide.w = true;
                    compare(&wide, times);
                }
            }
        }
}

START_TEST(vec_agrees_with_the_host)
{
    start(X86_MODE64);
    compare_row(&rows[_i], 200);
}
END_TEST

static void setup(void)
{
    native_code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(native_code, MAP_FAILED);
    cpu_rig_init(&rig, 1 << 20, 0x10000000, 0x10000);
}

static void teardown(void)
{
    cpu_rig_fini(&rig);
    munmap(native_code, 4096);
}

int main(void)
{
    Suite *suite = suite_create("x86_vec");
    TCase *tc = tcase_create("native");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, vec_agrees_with_the_host, 0, (int)(sizeof rows / sizeof rows[0]));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
