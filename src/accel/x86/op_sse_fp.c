// SPDX-License-Identifier: MIT
//
// Floating-point vector arithmetic and comparison: SSE to SSE4.1 with their AVX twins. SDM vol. 1
// chapter 11 (exceptions), vol. 2. RCP and RSQRT are estimates: they are those of the host.
#include "flags.h"
#include "ops.h"
#include "vec.h"

/* --- arithmetic --- */

#define OP_ARITH(what)                                                                             \
    OP_PACKED(what##ps, #what "ps", 0)                                                             \
    OP_PACKED(what##pd, #what "pd", 0)                                                             \
    OP_SCALAR(what##ss, #what "ss", 4)                                                             \
    OP_SCALAR(what##sd, #what "sd", 8)

OP_ARITH(add)
OP_ARITH(sub)
OP_ARITH(mul)
OP_ARITH(div)
OP_ARITH(min)
OP_ARITH(max)

OP_PACKED1(sqrtps, "sqrtps", 0)
OP_PACKED1(sqrtpd, "sqrtpd", 0)
OP_SCALAR(sqrtss, "sqrtss", 4)
OP_SCALAR(sqrtsd, "sqrtsd", 8)
OP_PACKED1(rsqrtps, "rsqrtps", 0)
OP_SCALAR(rsqrtss, "rsqrtss", 4)
OP_PACKED1(rcpps, "rcpps", 0)
OP_SCALAR(rcpss, "rcpss", 4)

OP_PACKED(addsubps, "addsubps", VEC_SSE3)
OP_PACKED(addsubpd, "addsubpd", VEC_SSE3)
OP_PACKED(haddps, "haddps", VEC_SSE3)
OP_PACKED(haddpd, "haddpd", VEC_SSE3)
OP_PACKED(hsubps, "hsubps", VEC_SSE3)
OP_PACKED(hsubpd, "hsubpd", VEC_SSE3)

/* --- with an immediate --- */

typedef void vec_wide_imm(union vec_reg *r, const union vec_reg *a, const union vec_reg *b,
                          unsigned imm);

/* `legacy` and `vex` differ where VEX knows more immediates. */
VEC_INLINE void packed_imm(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                           vec_lane_imm *legacy, vec_lane_imm *vex, vec_wide_imm *wide)
{
    vec_enter(cpu, i, feature, 0);
    unsigned imm = (uint8_t)i->imm;
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        fp_begin(cpu);
        wide(&cpu->vec_scratch, &cpu->ymm[i->vvvv], b, imm);
        fp_end(cpu);
        cpu->ymm[i->reg] = cpu->vec_scratch;
    } else {
        __m128i a = cpu->ymm[vec_src1(i)].x[0], b = vec_rm128(cpu, i, true);
        fp_begin(cpu);
        __m128i v = vec_is_vex(i) ? vex(a, b, imm) : legacy(a, b, imm);
        fp_end(cpu);
        vec_put128(cpu, i, i->reg, v);
    }
}

VEC_INLINE void scalar_imm(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                           unsigned size, vec_lane_imm *legacy, vec_lane_imm *vex)
{
    vec_enter(cpu, i, feature, 0);
    unsigned imm = (uint8_t)i->imm;
    __m128i a = cpu->ymm[vec_src1(i)].x[0], b = vec_rm_low(cpu, i, size);
    fp_begin(cpu);
    __m128i v = vec_is_vex(i) ? vex(a, b, imm) : legacy(a, b, imm);
    fp_end(cpu);
    vec_put128(cpu, i, i->reg, v);
}

#define OP_PACKED_IMM(name, feature, vex)                                                          \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        packed_imm(cpu, i, feature, imm_##name, imm_##vex, imm_wide_##name);                       \
    }
#define OP_SCALAR_IMM(name, feature, size, vex)                                                    \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        scalar_imm(cpu, i, feature, size, imm_##name, imm_##vex);                                  \
    }

/* Comparison: 8 predicates, 32 with VEX; bits above those are ignored. */
#define CMP_STUBS(name)                                                                            \
    IMM_STUBS2(name, #name, 8)                                                                     \
    IMM_STUBS(v##name, 32, 8, "v" #name " $stub_imm, %xmm1, %xmm0, %xmm0")                         \
    VEC_INLINE __m128i imm_v##name(__m128i a, __m128i b, unsigned imm)                             \
    {                                                                                              \
        return ((vec_imm *)(uintptr_t)(stubs_v##name + (imm & 31) * 8))(a, b);                     \
    }
#define OP_CMP_PACKED(name)                                                                        \
    CMP_STUBS(name)                                                                                \
    IMM_STUBS_WIDE(name, "vmovups (%rsi), %ymm0\n\tv" #name " $stub_imm, (%rdx), %ymm0, %ymm0",    \
                   32)                                                                             \
    OP_PACKED_IMM(name, 0, v##name)
#define OP_CMP_SCALAR(name, size)                                                                  \
    CMP_STUBS(name)                                                                                \
    OP_SCALAR_IMM(name, 0, size, v##name)

OP_CMP_PACKED(cmpps)
OP_CMP_PACKED(cmppd)
OP_CMP_SCALAR(cmpss, 4)
OP_CMP_SCALAR(cmpsd, 8)

/* Rounding: mode, current mode, inexact suppressed: 4 bits. */
#define OP_ROUND_PACKED(name)                                                                      \
    IMM_STUBS2(name, #name, 16)                                                                    \
    IMM_STUBS_WIDE(name, "v" #name " $stub_imm, (%rdx), %ymm0", 16)                                \
    OP_PACKED_IMM(name, VEC_SSE41, name)
#define OP_ROUND_SCALAR(name, size)                                                                \
    IMM_STUBS2(name, #name, 16)                                                                    \
    OP_SCALAR_IMM(name, VEC_SSE41, size, name)

OP_ROUND_PACKED(roundps)
OP_ROUND_PACKED(roundpd)
OP_ROUND_SCALAR(roundss, 4)
OP_ROUND_SCALAR(roundsd, 8)

/* Dot products. DPPD has no 256-bit form. */
IMM_STUBS2(dpps, "dpps", 256)
IMM_STUBS_WIDE(dpps, "vmovups (%rsi), %ymm0\n\tvdpps $stub_imm, (%rdx), %ymm0, %ymm0", 256)
OP_PACKED_IMM(dpps, VEC_SSE41, dpps)

IMM_STUBS2(dppd, "dppd", 256)
void op_dppd(struct x86_cpu *cpu, const struct insn *i)
{
    packed_imm(cpu, i, VEC_SSE41, imm_dppd, imm_dppd, imm_wide_dpps);
}

/* --- comparison into RFLAGS --- */

#define OP_COMPARE(name, size)                                                                     \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_enter(cpu, i, 0, 0);                                                                   \
        bool z, p, c;                                                                              \
        __m128i a = cpu->ymm[i->reg].x[0], b = vec_rm_low(cpu, i, size);                           \
        fp_begin(cpu);                                                                             \
        __asm__ volatile(#name " %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(a), "x"(b));   \
        fp_end(cpu);                                                                               \
        flags_put(cpu, (z ? FL_ZF : 0u) | (p ? FL_PF : 0u) | (c ? FL_CF : 0u));                    \
    }

OP_COMPARE(ucomiss, 4)
OP_COMPARE(ucomisd, 8)
OP_COMPARE(comiss, 4)
OP_COMPARE(comisd, 8)
