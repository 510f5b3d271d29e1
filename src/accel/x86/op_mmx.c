// SPDX-License-Identifier: MIT
//
// MMX, and what SSE to SSSE3 added for MMX registers. SDM vol. 1 chapter 9, vol. 3 chapter 12. The
// work is done by the SSE twin of each instruction on the low halves of its registers. Conversions
// to and from floating point are in op_sse_cvt.c.
//
// Every MMX instruction but EMMS makes all x87 registers valid and TOP zero; writing sets the
// exponent to ones.
#include "ops.h"
#include "vec.h"
#include "x87.h"

/* --- may it run --- */

ALWAYS_INLINE void mmx_begin(struct x86_cpu *cpu, uint32_t feature)
{
    if (__builtin_expect(cpu->cr0 & (CR0_EM | CR0_TS) || cpu->vec_blocked & feature, 0))
        x86_raise(cpu, cpu->cr0 & CR0_EM || cpu->vec_blocked & feature ? X86_UD : X86_NM);
    mmx_check(cpu);
}

/* After the last possible fault. */
ALWAYS_INLINE void mmx_commit(struct x86_cpu *cpu, unsigned reg, uint64_t v)
{
    mmx_enter(cpu);
    mmx_put(cpu, reg, v);
}

ALWAYS_INLINE uint64_t mmx_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (i->flags & INSN_MEM)
        return mem_read(cpu, insn_linear(cpu, i, size, false), size);
    return mmx_reg(cpu, i->rm);
}

/* --- mm <- mm op mm/m64 --- */

ALWAYS_INLINE void mmx_lanes(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                             unsigned size, vec_lane *lane)
{
    mmx_begin(cpu, feature);
    __m128i b = _mm_cvtsi64_si128((int64_t)mmx_rm(cpu, i, size));
    __m128i a = _mm_cvtsi64_si128((int64_t)mmx_reg(cpu, i->reg));
    mmx_commit(cpu, i->reg, (uint64_t)_mm_cvtsi128_si64(lane(a, b)));
}

#define OP_MMX(op, feature, size)                                                                  \
    void op_##op##_mmx(struct x86_cpu *cpu, const struct insn *i)                                  \
    {                                                                                              \
        mmx_lanes(cpu, i, feature, size, lane_##op);                                               \
    }
#define MMX(name) LANE_ASM(name, #name) OP_MMX(name, 0, 8)
#define MMX_SSSE3(name) LANE_ASM(name, #name) OP_MMX(name, VEC_SSSE3, 8)
#define MMX_SSSE3_UNARY(name) LANE_ASM1(name, #name) OP_MMX(name, VEC_SSSE3, 8)

// clang-format off
MMX(pcmpgtb) MMX(pcmpgtw) MMX(pcmpgtd) MMX(pcmpeqb) MMX(pcmpeqw) MMX(pcmpeqd)
MMX(paddb) MMX(paddw) MMX(paddd) MMX(paddq) MMX(paddsb) MMX(paddsw) MMX(paddusb) MMX(paddusw)
MMX(psubb) MMX(psubw) MMX(psubd) MMX(psubq) MMX(psubsb) MMX(psubsw) MMX(psubusb) MMX(psubusw)
MMX(pmullw) MMX(pmulhw) MMX(pmulhuw) MMX(pmuludq) MMX(pmaddwd) MMX(psadbw) MMX(pavgb) MMX(pavgw)
MMX(pminub) MMX(pmaxub) MMX(pminsw) MMX(pmaxsw) MMX(pand) MMX(pandn) MMX(por) MMX(pxor)
MMX_SSSE3(pmaddubsw) MMX_SSSE3(pmulhrsw) MMX_SSSE3(psignb) MMX_SSSE3(psignw) MMX_SSSE3(psignd)
MMX_SSSE3_UNARY(pabsb) MMX_SSSE3_UNARY(pabsw) MMX_SSSE3_UNARY(pabsd)

/* The low ones read four bytes of memory; their twins make the result of the high ones too. */
#define MMX_UNPACK(size)                                                                           \
    LANE_ASM(punpckl##size, "punpckl" #size)                                                       \
    VEC_INLINE __m128i lane_punpckh##size(__m128i a, __m128i b)                                    \
    {                                                                                              \
        __m128i both = lane_punpckl##size(a, b);                                                   \
        return _mm_unpackhi_epi64(both, both);                                                     \
    }                                                                                              \
    OP_MMX(punpckl##size, 0, 4)                                                                    \
    OP_MMX(punpckh##size, 0, 8)
MMX_UNPACK(bw) MMX_UNPACK(wd) MMX_UNPACK(dq)

/* Low results come from the destination, high ones from the source: both in one register. */
#define MMX_JOINED(name, feature)                                                                  \
    LANE_ASM(joined_##name, #name)                                                                 \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __m128i both = _mm_unpacklo_epi64(a, b);                                                   \
        return lane_joined_##name(both, both);                                                     \
    }                                                                                              \
    OP_MMX(name, feature, 8)
MMX_JOINED(packsswb, 0) MMX_JOINED(packssdw, 0) MMX_JOINED(packuswb, 0)
MMX_JOINED(phaddw, VEC_SSSE3) MMX_JOINED(phaddd, VEC_SSSE3) MMX_JOINED(phaddsw, VEC_SSSE3)
MMX_JOINED(phsubw, VEC_SSSE3) MMX_JOINED(phsubd, VEC_SSSE3) MMX_JOINED(phsubsw, VEC_SSSE3)

LANE_ASM(wide_pshufb, "pshufb")

/* Three bits of index, not four. */
VEC_INLINE __m128i lane_pshufb(__m128i a, __m128i b)
{
    return lane_wide_pshufb(a, _mm_and_si128(b, _mm_set1_epi8((char)0x87)));
}
OP_MMX(pshufb, VEC_SSSE3, 8)
// clang-format on

/* --- shifts --- */

ALWAYS_INLINE void mmx_shift_imm(struct x86_cpu *cpu, const struct insn *i, vec_lane *lane)
{
    mmx_begin(cpu, 0);
    __m128i v =
        lane(_mm_cvtsi64_si128((int64_t)mmx_reg(cpu, i->rm)), _mm_cvtsi64_si128(i->imm & 0xff));
    mmx_commit(cpu, i->rm, (uint64_t)_mm_cvtsi128_si64(v));
}

#define MMX_SHIFT(name)                                                                            \
    LANE_ASM(name, #name)                                                                          \
    void op_##name##_rm_mmx(struct x86_cpu *cpu, const struct insn *i)                             \
    {                                                                                              \
        mmx_lanes(cpu, i, 0, 8, lane_##name);                                                      \
    }                                                                                              \
    void op_##name##_mi_mmx(struct x86_cpu *cpu, const struct insn *i)                             \
    {                                                                                              \
        mmx_shift_imm(cpu, i, lane_##name);                                                        \
    }
MMX_SHIFT(psrlw)
MMX_SHIFT(psrld)
MMX_SHIFT(psrlq)
MMX_SHIFT(psraw)
MMX_SHIFT(psrad)
MMX_SHIFT(psllw)
MMX_SHIFT(pslld)
MMX_SHIFT(psllq)

/* --- shuffles with an immediate --- */

void op_pshufw(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    uint64_t b = mmx_rm(cpu, i, 8), r = 0;
    for (unsigned n = 0; n < 4; n++)
        r |= (b >> (i->imm >> n * 2 & 3) * 16 & 0xffff) << n * 16;
    mmx_commit(cpu, i->reg, r);
}

void op_palignr_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, VEC_SSSE3);
    uint64_t b = mmx_rm(cpu, i, 8);
    unsigned __int128 both = (unsigned __int128)mmx_reg(cpu, i->reg) << 64 | b;
    unsigned bytes = (uint8_t)i->imm;
    mmx_commit(cpu, i->reg, bytes < 16 ? (uint64_t)(both >> bytes * 8) : 0);
}

void op_pinsrw_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    uint64_t v = rm_read(cpu, i, 2);
    unsigned at = (i->imm & 3) * 16;
    mmx_commit(cpu, i->reg, (mmx_reg(cpu, i->reg) & ~(0xffffull << at)) | v << at);
}

void op_pextrw_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    mmx_enter(cpu);
    cpu->gpr[i->reg] = mmx_reg(cpu, i->rm) >> (i->imm & 3) * 16 & 0xffff;
}

void op_pmovmskb_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    mmx_enter(cpu);
    cpu->gpr[i->reg] = (unsigned)_mm_movemask_epi8(_mm_cvtsi64_si128((int64_t)mmx_reg(cpu, i->rm)));
}

/* --- moves --- */

void op_movd_rm_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    mmx_commit(cpu, i->reg, i->opsize == 8 ? rm_read(cpu, i, 8) : rm_read(cpu, i, 4));
}

void op_movd_mr_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    rm_write(cpu, i, mmx_reg(cpu, i->reg), i->opsize == 8 ? 8 : 4);
    mmx_enter(cpu);
}

void op_movq_rm_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    mmx_commit(cpu, i->reg, mmx_rm(cpu, i, 8));
}

void op_movq_mr_mmx(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    uint64_t v = mmx_reg(cpu, i->reg);
    if (i->flags & INSN_MEM) {
        mem_write64(cpu, insn_linear(cpu, i, 8, true), v);
        mmx_enter(cpu);
    } else {
        mmx_commit(cpu, i->rm, v);
    }
}

void op_movntq(struct x86_cpu *cpu, const struct insn *i)
{
    op_movq_mr_mmx(cpu, i);
}

/*
 * Bytes of reg whose mask byte in rm has its top bit go to DS:rDI. Whether it faults does not
 * depend on the mask, and the x87 state is an MMX one even then, as on AMD (SDM vol. 2 leaves both
 * to the implementation).
 */
void op_maskmovq(struct x86_cpu *cpu, const struct insn *i)
{
    mmx_begin(cpu, 0);
    uint64_t off = gpr_read(cpu, RDI, i->adsize);
    gva_t va = seg_linear(cpu, i->seg, off, 8, true);
    uint64_t mask = mmx_reg(cpu, i->rm), v = mmx_reg(cpu, i->reg);
    mmx_enter(cpu);
    mmu_probe_write(cpu, va, 8);
    for (unsigned n = 0; n < 8; n++)
        if (mask >> (n * 8 + 7) & 1)
            mem_write8(cpu, (va + n) & cpu->address_mask, (uint8_t)(v >> n * 8));
}

void op_movq2dq(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_SSE);
    mmx_check(cpu);
    mmx_enter(cpu);
    cpu->ymm[i->reg].u64[0] = mmx_reg(cpu, i->rm);
    cpu->ymm[i->reg].u64[1] = 0;
}

void op_movdq2q(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_SSE);
    mmx_check(cpu);
    mmx_commit(cpu, i->reg, cpu->ymm[i->rm].u64[0]);
}

void op_emms(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    mmx_begin(cpu, 0);
    cpu->x87.top = 0;
    cpu->x87.empty = 0xff;
}
