// SPDX-License-Identifier: MIT
//
// Integer vector arithmetic, logic, comparison and shifts: SSE2 to SSE4.2 with their AVX and AVX2
// twins. SDM vol. 2, P.
#include "flags.h"
#include "ops.h"
#include "vec.h"

/* --- arithmetic --- */

OP_INT(paddb, "paddb", 0)
OP_INT(paddw, "paddw", 0)
OP_INT(paddd, "paddd", 0)
OP_INT(paddq, "paddq", 0)
OP_INT(paddsb, "paddsb", 0)
OP_INT(paddsw, "paddsw", 0)
OP_INT(paddusb, "paddusb", 0)
OP_INT(paddusw, "paddusw", 0)
OP_INT(psubb, "psubb", 0)
OP_INT(psubw, "psubw", 0)
OP_INT(psubd, "psubd", 0)
OP_INT(psubq, "psubq", 0)
OP_INT(psubsb, "psubsb", 0)
OP_INT(psubsw, "psubsw", 0)
OP_INT(psubusb, "psubusb", 0)
OP_INT(psubusw, "psubusw", 0)
OP_INT(pmullw, "pmullw", 0)
OP_INT(pmulld, "pmulld", VEC_SSE41)
OP_INT(pmulhw, "pmulhw", 0)
OP_INT(pmulhuw, "pmulhuw", 0)
OP_INT(pmulhrsw, "pmulhrsw", VEC_SSSE3)
OP_INT(pmuludq, "pmuludq", 0)
OP_INT(pmuldq, "pmuldq", VEC_SSE41)
OP_INT(pmaddwd, "pmaddwd", 0)
OP_INT(pmaddubsw, "pmaddubsw", VEC_SSSE3)
OP_INT(psadbw, "psadbw", 0)
OP_INT(pavgb, "pavgb", 0)
OP_INT(pavgw, "pavgw", 0)
OP_INT(phaddw, "phaddw", VEC_SSSE3)
OP_INT(phaddd, "phaddd", VEC_SSSE3)
OP_INT(phaddsw, "phaddsw", VEC_SSSE3)
OP_INT(phsubw, "phsubw", VEC_SSSE3)
OP_INT(phsubd, "phsubd", VEC_SSSE3)
OP_INT(phsubsw, "phsubsw", VEC_SSSE3)
OP_INT(psignb, "psignb", VEC_SSSE3)
OP_INT(psignw, "psignw", VEC_SSSE3)
OP_INT(psignd, "psignd", VEC_SSSE3)
OP_INT1(pabsb, "pabsb", VEC_SSSE3)
OP_INT1(pabsw, "pabsw", VEC_SSSE3)
OP_INT1(pabsd, "pabsd", VEC_SSSE3)
OP_INT1(phminposuw, "phminposuw", VEC_SSE41)

IMM_STUBS2(mpsadbw, "mpsadbw", 8)
OP_LANES_IMM(mpsadbw, VEC_SSE41, VEC_AVX2, 3)

/* --- minimum, maximum, comparison --- */

OP_INT(pminub, "pminub", 0)
OP_INT(pminuw, "pminuw", VEC_SSE41)
OP_INT(pminud, "pminud", VEC_SSE41)
OP_INT(pminsb, "pminsb", VEC_SSE41)
OP_INT(pminsw, "pminsw", 0)
OP_INT(pminsd, "pminsd", VEC_SSE41)
OP_INT(pmaxub, "pmaxub", 0)
OP_INT(pmaxuw, "pmaxuw", VEC_SSE41)
OP_INT(pmaxud, "pmaxud", VEC_SSE41)
OP_INT(pmaxsb, "pmaxsb", VEC_SSE41)
OP_INT(pmaxsw, "pmaxsw", 0)
OP_INT(pmaxsd, "pmaxsd", VEC_SSE41)
OP_INT(pcmpeqb, "pcmpeqb", 0)
OP_INT(pcmpeqw, "pcmpeqw", 0)
OP_INT(pcmpeqd, "pcmpeqd", 0)
OP_INT(pcmpeqq, "pcmpeqq", VEC_SSE41)
OP_INT(pcmpgtb, "pcmpgtb", 0)
OP_INT(pcmpgtw, "pcmpgtw", 0)
OP_INT(pcmpgtd, "pcmpgtd", 0)
OP_INT(pcmpgtq, "pcmpgtq", VEC_SSE42)

/* --- logic --- */

OP_INT(pand, "pand", 0)
OP_INT(pandn, "pandn", 0)
OP_INT(por, "por", 0)
OP_INT(pxor, "pxor", 0)
OP_BITS(andps, "andps", 0)
OP_BITS(andpd, "andpd", 0)
OP_BITS(andnps, "andnps", 0)
OP_BITS(andnpd, "andnpd", 0)
OP_BITS(orps, "orps", 0)
OP_BITS(orpd, "orpd", 0)
OP_BITS(xorps, "xorps", 0)
OP_BITS(xorpd, "xorpd", 0)

static bool is_zero(__m128i v)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(v, vec_zero())) == 0xffff;
}

/* ZF: a & b is zero; CF: ~a & b is zero; both over the bits of `mask`. */
static void test_bits(struct x86_cpu *cpu, const struct insn *i, uint32_t feature, __m128i mask)
{
    vec_enter(cpu, i, feature, 0);
    const union vec_reg *a = &cpu->ymm[i->reg];
    __m128i b0, b1 = vec_zero();
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        b0 = b->x[0];
        b1 = _mm_and_si128(b->x[1], mask);
    } else {
        b0 = vec_rm128(cpu, i, true);
    }
    b0 = _mm_and_si128(b0, mask);
    bool zf = is_zero(_mm_or_si128(_mm_and_si128(a->x[0], b0), _mm_and_si128(a->x[1], b1)));
    bool cf = is_zero(_mm_or_si128(_mm_andnot_si128(a->x[0], b0), _mm_andnot_si128(a->x[1], b1)));
    flags_put(cpu, (zf ? FL_ZF : 0u) | (cf ? FL_CF : 0u));
}

void op_ptest(struct x86_cpu *cpu, const struct insn *i)
{
    test_bits(cpu, i, VEC_SSE41, _mm_set1_epi32(-1));
}

void op_vtestps(struct x86_cpu *cpu, const struct insn *i)
{
    test_bits(cpu, i, 0, _mm_set1_epi32(INT32_MIN));
}

void op_vtestpd(struct x86_cpu *cpu, const struct insn *i)
{
    test_bits(cpu, i, 0, _mm_set1_epi64x(INT64_MIN));
}

void op_pmovmskb(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, VEC_AVX2);
    const union vec_reg *b = &cpu->ymm[i->rm];
    uint32_t mask = (uint32_t)_mm_movemask_epi8(b->x[0]);
    if (vec_is_256(i))
        mask |= (uint32_t)_mm_movemask_epi8(b->x[1]) << 16;
    cpu->gpr[i->reg] = mask;
}

/* --- shifts by one count for all elements: from the low quadword of r/m (128 bits also for 256-bit
 * operations), or immediate --- */

VEC_INLINE void shift_rm(struct x86_cpu *cpu, const struct insn *i, vec_lane *lane)
{
    vec_enter(cpu, i, 0, VEC_AVX2);
    __m128i count = vec_rm128(cpu, i, true);
    const union vec_reg *a = &cpu->ymm[vec_src1(i)];
    __m128i low = lane(a->x[0], count), high = lane(a->x[1], count);
    vec_put128(cpu, i, i->reg, low);
    if (vec_is_256(i))
        cpu->ymm[i->reg].x[1] = high;
}

VEC_INLINE void shift_imm(struct x86_cpu *cpu, const struct insn *i, vec_lane_imm *lane)
{
    vec_enter(cpu, i, 0, VEC_AVX2);
    const union vec_reg *a = &cpu->ymm[i->rm];
    unsigned dst = vec_is_vex(i) ? i->vvvv : i->rm;
    __m128i low = lane(a->x[0], a->x[0], (uint8_t)i->imm),
            high = lane(a->x[1], a->x[1], (uint8_t)i->imm);
    vec_put128(cpu, i, dst, low);
    if (vec_is_256(i))
        cpu->ymm[dst].x[1] = high;
}

#define OP_SHIFT(name)                                                                             \
    LANE_ASM(name, #name)                                                                          \
    VEC_INLINE __m128i imm_##name(__m128i a, __m128i b, unsigned imm)                              \
    {                                                                                              \
        (void)b;                                                                                   \
        return lane_##name(a, _mm_cvtsi32_si128((int)imm));                                        \
    }                                                                                              \
    void op_##name##_rm(struct x86_cpu *cpu, const struct insn *i)                                 \
    {                                                                                              \
        shift_rm(cpu, i, lane_##name);                                                             \
    }                                                                                              \
    void op_##name##_mi(struct x86_cpu *cpu, const struct insn *i)                                 \
    {                                                                                              \
        shift_imm(cpu, i, imm_##name);                                                             \
    }

OP_SHIFT(psrlw)
OP_SHIFT(psrld)
OP_SHIFT(psrlq)
OP_SHIFT(psraw)
OP_SHIFT(psrad)
OP_SHIFT(psllw)
OP_SHIFT(pslld)
OP_SHIFT(psllq)

/* Bytes of each 128-bit lane; 16 and more give zero. */
#define OP_SHIFT_BYTES(name)                                                                       \
    IMM_STUBS(name, 32, 8, #name " $stub_imm, %xmm0")                                              \
    VEC_INLINE __m128i imm_##name(__m128i a, __m128i b, unsigned imm)                              \
    {                                                                                              \
        return ((vec_imm *)(uintptr_t)(stubs_##name + (imm > 16 ? 16 : imm) * 8))(a, b);           \
    }                                                                                              \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        shift_imm(cpu, i, imm_##name);                                                             \
    }

OP_SHIFT_BYTES(psrldq)
OP_SHIFT_BYTES(pslldq)

/* --- AVX2: a count per element --- */

#define OP_SHIFT_EACH(name) LANE_ASM_VEX(name, #name) OP_LANES(name, VEC_AVX2, 0, name)

OP_SHIFT_EACH(vpsllvd)
OP_SHIFT_EACH(vpsllvq)
OP_SHIFT_EACH(vpsrlvd)
OP_SHIFT_EACH(vpsrlvq)
OP_SHIFT_EACH(vpsravd)
