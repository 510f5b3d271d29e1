// SPDX-License-Identifier: MIT
//
// Vector moves of SSE to SSE4.1 with their AVX twins, and MXCSR itself. SDM vol. 2, MOV*, LDDQU,
// MASKMOVDQU, LDMXCSR, STMXCSR. Non-temporal hints mean nothing here. Aligned moves need alignment
// in their VEX forms too, of 32 bytes for 256 bits.
#include "ops.h"
#include "vec.h"

/* --- whole registers --- */

VEC_INLINE __m128i load_128(struct x86_cpu *cpu, const struct insn *i, bool aligned)
{
    if (!(i->flags & INSN_MEM))
        return cpu->ymm[i->rm].x[0];
    const __m128i_u *p = vec_host(cpu, i, 16, false, aligned);
    return p ? _mm_loadu_si128(p) : vec_load128_slow(cpu, i, aligned);
}

VEC_INLINE void load_whole(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                           uint32_t wide, bool aligned)
{
    if (!vec_is_vex(i)) {
        vec_need(cpu, VEC_SSE | feature);
        cpu->ymm[i->reg].x[0] = load_128(cpu, i, aligned);
        return;
    }
    vec_enter(cpu, i, feature, wide);
    if (!vec_is_256(i)) {
        __m128i v = load_128(cpu, i, aligned);
        vec_put128(cpu, i, i->reg, v);
        return;
    }
    if (aligned && i->flags & INSN_MEM)
        vec_addr(cpu, i, 32, false, true);
    cpu->ymm[i->reg] = *vec_rm256(cpu, i);
}

VEC_INLINE void store_128(struct x86_cpu *cpu, const struct insn *i, bool aligned)
{
    __m128i_u *p = vec_host(cpu, i, 16, true, aligned);
    if (p)
        _mm_storeu_si128(p, cpu->ymm[i->reg].x[0]);
    else
        vec_store128_slow(cpu, i, i->reg, aligned);
}

VEC_INLINE void store_whole(struct x86_cpu *cpu, const struct insn *i, bool aligned)
{
    vec_need(cpu, vec_is_vex(i) ? VEC_AVX : VEC_SSE);
    if (!(i->flags & INSN_MEM)) {
        if (vec_is_256(i))
            cpu->ymm[i->rm] = cpu->ymm[i->reg];
        else
            vec_put128(cpu, i, i->rm, cpu->ymm[i->reg].x[0]);
    } else if (vec_is_256(i)) {
        vec_store256(cpu, i, i->reg, aligned);
    } else {
        store_128(cpu, i, aligned);
    }
}

#define OP_LOAD(name, feature, wide, aligned)                                                      \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        load_whole(cpu, i, feature, wide, aligned);                                                \
    }
#define OP_STORE(name, aligned)                                                                    \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        store_whole(cpu, i, aligned);                                                              \
    }

OP_LOAD(movups_rm, 0, 0, false)
OP_LOAD(movupd_rm, 0, 0, false)
OP_LOAD(movdqu_rm, 0, 0, false)
OP_LOAD(lddqu, VEC_SSE3, 0, false)
OP_LOAD(movaps_rm, 0, 0, true)
OP_LOAD(movapd_rm, 0, 0, true)
OP_LOAD(movdqa_rm, 0, 0, true)
OP_LOAD(movntdqa, VEC_SSE41, VEC_AVX2, true)
OP_STORE(movups_mr, false)
OP_STORE(movupd_mr, false)
OP_STORE(movdqu_mr, false)
OP_STORE(movaps_mr, true)
OP_STORE(movapd_mr, true)
OP_STORE(movdqa_mr, true)
OP_STORE(movntps, true)
OP_STORE(movntpd, true)
OP_STORE(movntdq, true)

/* --- single elements and halves --- */

/* Low element from b, the rest from a. */
VEC_INLINE __m128i merge_low(__m128i a, __m128i b, unsigned size)
{
    if (size == 8)
        return (__m128i)_mm_move_sd((__m128d)a, (__m128d)b);
    return (__m128i)_mm_move_ss((__m128)a, (__m128)b);
}

/* From memory the rest becomes zero. */
VEC_INLINE void load_low(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    vec_enter(cpu, i, 0, 0);
    __m128i b = vec_rm_low(cpu, i, size);
    if (!(i->flags & INSN_MEM))
        b = merge_low(cpu->ymm[vec_src1(i)].x[0], b, size);
    vec_put128(cpu, i, i->reg, b);
}

VEC_INLINE void store_low(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    vec_enter(cpu, i, 0, 0);
    const union vec_reg *src = &cpu->ymm[i->reg];
    if (!(i->flags & INSN_MEM)) {
        unsigned rest = vec_is_vex(i) ? i->vvvv : i->rm;
        vec_put128(cpu, i, i->rm, merge_low(cpu->ymm[rest].x[0], src->x[0], size));
        return;
    }
    gva_t va = insn_linear(cpu, i, size, true);
    if (size == 8)
        mem_write64(cpu, va, src->u64[0]);
    else
        mem_write32(cpu, va, src->u32[0]);
}

void op_movss_rm(struct x86_cpu *cpu, const struct insn *i)
{
    load_low(cpu, i, 4);
}

void op_movsd_rm(struct x86_cpu *cpu, const struct insn *i)
{
    load_low(cpu, i, 8);
}

void op_movss_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_low(cpu, i, 4);
}

void op_movsd_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_low(cpu, i, 8);
}

void op_movlps_rm(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    __m128i b = vec_rm_low(cpu, i, 8);
    vec_put128(cpu, i, i->reg, merge_low(cpu->ymm[vec_src1(i)].x[0], b, 8));
}

void op_movhps_rm(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    __m128i b = vec_rm_low(cpu, i, 8);
    vec_put128(cpu, i, i->reg, _mm_unpacklo_epi64(cpu->ymm[vec_src1(i)].x[0], b));
}

VEC_INLINE void store_half(struct x86_cpu *cpu, const struct insn *i, unsigned half)
{
    vec_enter(cpu, i, 0, 0);
    mem_write64(cpu, insn_linear(cpu, i, 8, true), cpu->ymm[i->reg].u64[half]);
}

void op_movlps_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_half(cpu, i, 0);
}

void op_movhps_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_half(cpu, i, 1);
}

void op_movlpd_rm(struct x86_cpu *cpu, const struct insn *i)
{
    op_movlps_rm(cpu, i);
}

void op_movhpd_rm(struct x86_cpu *cpu, const struct insn *i)
{
    op_movhps_rm(cpu, i);
}

void op_movlpd_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_half(cpu, i, 0);
}

void op_movhpd_mr(struct x86_cpu *cpu, const struct insn *i)
{
    store_half(cpu, i, 1);
}

void op_movlhps(struct x86_cpu *cpu, const struct insn *i)
{
    op_movhps_rm(cpu, i); /* the register form of the same opcode */
}

void op_movhlps(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    __m128i a = cpu->ymm[vec_src1(i)].x[0];
    vec_put128(cpu, i, i->reg, _mm_unpackhi_epi64(cpu->ymm[i->rm].x[0], a));
}

void op_movq_rm(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    vec_put128(cpu, i, i->reg, _mm_move_epi64(vec_rm_low(cpu, i, 8)));
}

void op_movq_mr(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->flags & INSN_MEM) {
        store_half(cpu, i, 0);
        return;
    }
    vec_enter(cpu, i, 0, 0);
    vec_put128(cpu, i, i->rm, _mm_move_epi64(cpu->ymm[i->reg].x[0]));
}

void op_movd_rm(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    uint64_t v;
    if (!(i->flags & INSN_MEM))
        v = i->opsize == 8 ? cpu->gpr[i->rm] : (uint32_t)cpu->gpr[i->rm];
    else if (i->opsize == 8)
        v = mem_read64(cpu, insn_linear(cpu, i, 8, false));
    else
        v = mem_read32(cpu, insn_linear(cpu, i, 4, false));
    vec_put128(cpu, i, i->reg, _mm_cvtsi64_si128((int64_t)v));
}

void op_movd_mr(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    const union vec_reg *src = &cpu->ymm[i->reg];
    if (!(i->flags & INSN_MEM))
        cpu->gpr[i->rm] = i->opsize == 8 ? src->u64[0] : src->u32[0];
    else if (i->opsize == 8)
        mem_write64(cpu, insn_linear(cpu, i, 8, true), src->u64[0]);
    else
        mem_write32(cpu, insn_linear(cpu, i, 4, true), src->u32[0]);
}

/* --- duplicating moves --- */

LANE_ASM1(movsldup, "movsldup")
OP_LANES(movsldup, VEC_SSE3, 0, movsldup)
LANE_ASM1(movshdup, "movshdup")
OP_LANES(movshdup, VEC_SSE3, 0, movshdup)

void op_movddup(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, VEC_SSE3, 0);
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        __m128i high = _mm_unpacklo_epi64(b->x[1], b->x[1]);
        cpu->ymm[i->reg].x[0] = _mm_unpacklo_epi64(b->x[0], b->x[0]);
        cpu->ymm[i->reg].x[1] = high;
    } else {
        __m128i b = vec_rm_low(cpu, i, 8);
        vec_put128(cpu, i, i->reg, _mm_unpacklo_epi64(b, b));
    }
}

/* --- masks --- */

void op_movmskps(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    const union vec_reg *b = &cpu->ymm[i->rm];
    int mask = _mm_movemask_ps((__m128)b->x[0]);
    if (vec_is_256(i))
        mask |= _mm_movemask_ps((__m128)b->x[1]) << 4;
    cpu->gpr[i->reg] = (uint32_t)mask;
}

void op_movmskpd(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    const union vec_reg *b = &cpu->ymm[i->rm];
    int mask = _mm_movemask_pd((__m128d)b->x[0]);
    if (vec_is_256(i))
        mask |= _mm_movemask_pd((__m128d)b->x[1]) << 2;
    cpu->gpr[i->reg] = (uint32_t)mask;
}

/*
 * Bytes whose mask has bit 7, to [rDI]; no alignment. All 16 bytes must be writable, as AMD has it
 * (the manuals leave that to the implementation), but what is not selected is not written.
 */
void op_maskmovdqu(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    uint64_t off = cpu->gpr[7];
    if (i->adsize != 8)
        off &= i->adsize == 4 ? 0xffffffffu : 0xffffu;
    gva_t va = seg_linear(cpu, i->seg, off, 16, true);
    unsigned mask = (unsigned)_mm_movemask_epi8(cpu->ymm[i->rm].x[0]);
    mmu_probe_write(cpu, va, 16);
    for (unsigned n = 0; n < 16; n++)
        if (mask >> n & 1)
            mem_write8(cpu, (va + n) & cpu->address_mask, cpu->ymm[i->reg].u8[n]);
}

/* --- MXCSR --- */

void op_ldmxcsr(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    uint32_t v = mem_read32(cpu, insn_linear(cpu, i, 4, false));
    if (v & ~MXCSR_VALID)
        x86_raise_error(cpu, X86_GP, 0);
    vec_mxcsr_set(cpu, v);
}

void op_stmxcsr(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    mem_write32(cpu, insn_linear(cpu, i, 4, true), vec_mxcsr_get(cpu));
}
