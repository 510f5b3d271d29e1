// SPDX-License-Identifier: MIT
//
// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SSE4.2): SDM vol. 2 section 4.1. All four go through
// one host instruction, PCMPESTRM in its bit-mask form: implicit lengths are found first, the index
// and the byte mask follow from the bits.
#include "flags.h"
#include "ops.h"
#include "vec.h"

/* Lengths in edi and edx, strings in xmm0 and xmm1, mask to *rsi; returns RFLAGS. */
typedef uint64_t compare_fn(uint32_t len1, __m128i *mask, uint32_t len2, __m128i a, __m128i b);

IMM_STUBS(pcmpestrm, 64, 24,
          "movl %edi, %eax\n\tpcmpestrm $stub_imm, %xmm1, %xmm0\n\tmovaps %xmm0, "
          "(%rsi)\n\tpushfq\n\tpopq %rax")

/* Elements before the first zero. */
static uint32_t implicit_length(__m128i v, bool words)
{
    __m128i eq = words ? _mm_cmpeq_epi16(v, vec_zero()) : _mm_cmpeq_epi8(v, vec_zero());
    unsigned mask = (unsigned)_mm_movemask_epi8(eq) | 1u << 16;
    return (uint32_t)__builtin_ctz(mask) >> words;
}

/* The magnitude of a register counts, up to the number of elements. */
static uint32_t explicit_length(const struct insn *i, uint64_t reg)
{
    int64_t v = i->flags & INSN_REXW ? (int64_t)reg : (int32_t)reg;
    return v > 16 || v < -16 ? 16 : (uint32_t)(v < 0 ? -v : v);
}

/* IntRes2, one bit per element. Sets RFLAGS. */
static uint32_t compare(struct x86_cpu *cpu, const struct insn *i, bool explicit)
{
    vec_enter(cpu, i, VEC_SSE42, 0);
    unsigned imm = (uint8_t)i->imm;
    bool words = imm & 1;
    __m128i a = cpu->ymm[i->reg].x[0], b = vec_rm128(cpu, i, false), mask;
    uint32_t len1 = explicit ? explicit_length(i, cpu->gpr[0]) : implicit_length(a, words);
    uint32_t len2 = explicit ? explicit_length(i, cpu->gpr[2]) : implicit_length(b, words);
    compare_fn *fn = (compare_fn *)(uintptr_t)(stubs_pcmpestrm + (imm & 63) * 24);
    uint64_t flags = fn(len1, &mask, len2, a, b);
    flags_put(cpu, (uint32_t)flags & FL_ARITH);
    return (uint32_t)_mm_cvtsi128_si32(mask);
}

static void put_index(struct x86_cpu *cpu, const struct insn *i, uint32_t bits)
{
    unsigned none = i->imm & 1 ? 8 : 16;
    if (!bits)
        cpu->gpr[1] = none;
    else
        cpu->gpr[1] = (unsigned)(i->imm & 0x40 ? 31 - __builtin_clz(bits) : __builtin_ctz(bits));
}

static void put_mask(struct x86_cpu *cpu, const struct insn *i, uint32_t bits)
{
    union vec_reg r = {.u32 = {bits}};
    if (i->imm & 0x40)
        for (unsigned n = 0; n < 16; n++)
            r.u8[n] = bits >> (i->imm & 1 ? n / 2 : n) & 1 ? 0xff : 0;
    vec_put128(cpu, i, 0, r.x[0]);
}

void op_pcmpestri(struct x86_cpu *cpu, const struct insn *i)
{
    put_index(cpu, i, compare(cpu, i, true));
}

void op_pcmpestrm(struct x86_cpu *cpu, const struct insn *i)
{
    put_mask(cpu, i, compare(cpu, i, true));
}

void op_pcmpistri(struct x86_cpu *cpu, const struct insn *i)
{
    put_index(cpu, i, compare(cpu, i, false));
}

void op_pcmpistrm(struct x86_cpu *cpu, const struct insn *i)
{
    put_mask(cpu, i, compare(cpu, i, false));
}
