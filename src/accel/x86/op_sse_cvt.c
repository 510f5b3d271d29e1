// SPDX-License-Identifier: MIT
//
// Conversions between floating-point formats, integers, MMX registers and half precision (F16C).
// SDM vol. 2, CVT*, VCVT*. MOVQ2DQ and MOVDQ2Q are with MMX. The MMX forms go by way of the SSE
// ones: the two elements that are not there are zero and raise nothing.
#include "ops.h"
#include "vec.h"

/* --- vector to vector --- */

#define OP_CONVERT(name, wide, reg)                                                                \
    LANE_FP1(name, #name)                                                                          \
    WIDE_FP1_TO(name, wide, reg)                                                                   \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_fp_packed(cpu, i, 0, lane_##name, wide_##name);                                        \
    }

OP_CONVERT(cvtdq2ps, "vcvtdq2ps", "ymm0")
OP_CONVERT(cvtps2dq, "vcvtps2dq", "ymm0")
OP_CONVERT(cvttps2dq, "vcvttps2dq", "ymm0")
/* These narrow: xmm0 is written, and with it the upper half of ymm0 zeroed. */
OP_CONVERT(cvtpd2ps, "vcvtpd2psy", "xmm0")
OP_CONVERT(cvtpd2dq, "vcvtpd2dqy", "xmm0")
OP_CONVERT(cvttpd2dq, "vcvttpd2dqy", "xmm0")

/* Source half as wide as the result. */
VEC_INLINE void widen(struct x86_cpu *cpu, const struct insn *i, uint32_t feature, vec_lane *lane,
                      vec_wide *wide)
{
    vec_enter(cpu, i, feature, 0);
    if (vec_is_256(i)) {
        cpu->vec_scratch.x[0] = vec_rm128(cpu, i, false);
        fp_begin(cpu);
        wide(&cpu->vec_scratch, NULL, &cpu->vec_scratch);
        fp_end(cpu);
        cpu->ymm[i->reg] = cpu->vec_scratch;
    } else {
        __m128i b = vec_rm_low(cpu, i, 8);
        fp_begin(cpu);
        __m128i r = lane(b, b);
        fp_end(cpu);
        vec_put128(cpu, i, i->reg, r);
    }
}

#define OP_WIDEN(name, mnemonic, wide, feature)                                                    \
    LANE_FP1(name, mnemonic)                                                                       \
    WIDE_FP1(name, wide)                                                                           \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        widen(cpu, i, feature, lane_##name, wide_##name);                                          \
    }

OP_WIDEN(cvtps2pd, "cvtps2pd", "vcvtps2pd", 0)
OP_WIDEN(cvtdq2pd, "cvtdq2pd", "vcvtdq2pd", 0)
OP_WIDEN(vcvtph2ps, "vcvtph2ps", "vcvtph2ps", VEC_F16C)

OP_SCALAR(cvtss2sd, "cvtss2sd", 4)
OP_SCALAR(cvtsd2ss, "cvtsd2ss", 8)

/* To half precision: the destination is r/m, half as wide as the source. */
IMM_STUBS(vcvtps2ph, 8, 8, "vcvtps2ph $stub_imm, %xmm0, %xmm0")
IMM_STUBS_WIDE(vcvtps2ph, "vmovups (%rsi), %ymm0\n\tvcvtps2ph $stub_imm, %ymm0, %xmm0", 8)

void op_vcvtps2ph(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_AVX | VEC_F16C);
    unsigned imm = i->imm & 7, size = vec_is_256(i) ? 16 : 8;
    const union vec_reg *a = &cpu->ymm[i->reg];
    union vec_reg *r = &cpu->vec_scratch;
    gva_t va = 0;
    if (i->flags & INSN_MEM) {
        va = insn_linear(cpu, i, size, true);
        mmu_probe_write(cpu, va, size); /* no flag may be set when the store faults */
    }
    fp_begin(cpu);
    if (size == 16)
        imm_wide_vcvtps2ph(r, a, a, imm);
    else
        r->x[0] = ((vec_imm *)(uintptr_t)(stubs_vcvtps2ph + imm * 8))(a->x[0], a->x[0]);
    fp_end(cpu);
    if (!(i->flags & INSN_MEM))
        vec_put128(cpu, i, i->rm, size == 16 ? r->x[0] : _mm_move_epi64(r->x[0]));
    else if (size == 16)
        mem_write128(cpu, va, r->x[0]);
    else
        mem_write64(cpu, va, r->u64[0]);
}

/* --- general registers --- */

VEC_INLINE uint64_t rm_int(struct x86_cpu *cpu, const struct insn *i)
{
    if (!(i->flags & INSN_MEM))
        return cpu->gpr[i->rm];
    return i->opsize == 8 ? mem_read64(cpu, insn_linear(cpu, i, 8, false))
                          : mem_read32(cpu, insn_linear(cpu, i, 4, false));
}

#define OP_FROM_INT(name)                                                                          \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_enter(cpu, i, 0, 0);                                                                   \
        uint64_t b = rm_int(cpu, i);                                                               \
        __m128i a = cpu->ymm[vec_src1(i)].x[0];                                                    \
        fp_begin(cpu);                                                                             \
        if (i->opsize == 8)                                                                        \
            __asm__ volatile(#name "q %1, %0" : "+x"(a) : "r"(b));                                 \
        else                                                                                       \
            __asm__ volatile(#name "l %k1, %0" : "+x"(a) : "r"(b));                                \
        fp_end(cpu);                                                                               \
        vec_put128(cpu, i, i->reg, a);                                                             \
    }
#define OP_TO_INT(name, size)                                                                      \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_enter(cpu, i, 0, 0);                                                                   \
        __m128i b = vec_rm_low(cpu, i, size);                                                      \
        uint64_t r;                                                                                \
        fp_begin(cpu);                                                                             \
        if (i->opsize == 8)                                                                        \
            __asm__ volatile(#name " %1, %0" : "=r"(r) : "x"(b));                                  \
        else                                                                                       \
            __asm__ volatile(#name " %1, %k0" : "=r"(r) : "x"(b)); /* zero-extends */              \
        fp_end(cpu);                                                                               \
        cpu->gpr[i->reg] = r;                                                                      \
    }

OP_FROM_INT(cvtsi2ss)
OP_FROM_INT(cvtsi2sd)
OP_TO_INT(cvtss2si, 4)
OP_TO_INT(cvttss2si, 4)
OP_TO_INT(cvtsd2si, 8)
OP_TO_INT(cvttsd2si, 8)

/* --- MMX registers. Only register operands make the x87 enter MMX state or wait for its exceptions
 * --- */

VEC_INLINE __m128i rm_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_SSE);
    if (i->flags & INSN_MEM)
        return vec_rm_low(cpu, i, 8);
    mmx_check(cpu);
    return _mm_cvtsi64_si128((int64_t)mmx_reg(cpu, i->rm));
}

void op_cvtpi2ps(struct x86_cpu *cpu, const struct insn *i)
{
    __m128i b = rm_mmx(cpu, i);
    fp_begin(cpu);
    __m128i r = lane_cvtdq2ps(b, b);
    fp_end(cpu);
    if (!(i->flags & INSN_MEM))
        mmx_enter(cpu);
    cpu->ymm[i->reg].u64[0] = (uint64_t)_mm_cvtsi128_si64(r);
}

void op_cvtpi2pd(struct x86_cpu *cpu, const struct insn *i)
{
    __m128i b = rm_mmx(cpu, i);
    __m128i r = lane_cvtdq2pd(b, b); /* exact: no flags, no MXCSR */
    if (!(i->flags & INSN_MEM))
        mmx_enter(cpu);
    cpu->ymm[i->reg].x[0] = r;
}

VEC_INLINE void to_mmx(struct x86_cpu *cpu, const struct insn *i, unsigned size, vec_lane *lane)
{
    vec_need(cpu, VEC_SSE);
    mmx_check(cpu);
    __m128i b = size == 8 ? _mm_move_epi64(vec_rm_low(cpu, i, 8)) : vec_rm128(cpu, i, true);
    fp_begin(cpu);
    __m128i r = lane(b, b);
    fp_end(cpu);
    mmx_enter(cpu);
    mmx_put(cpu, i->reg, (uint64_t)_mm_cvtsi128_si64(r));
}

void op_cvtps2pi(struct x86_cpu *cpu, const struct insn *i)
{
    to_mmx(cpu, i, 8, lane_cvtps2dq);
}

void op_cvttps2pi(struct x86_cpu *cpu, const struct insn *i)
{
    to_mmx(cpu, i, 8, lane_cvttps2dq);
}

void op_cvtpd2pi(struct x86_cpu *cpu, const struct insn *i)
{
    to_mmx(cpu, i, 16, lane_cvtpd2dq);
}

void op_cvttpd2pi(struct x86_cpu *cpu, const struct insn *i)
{
    to_mmx(cpu, i, 16, lane_cvttpd2dq);
}
