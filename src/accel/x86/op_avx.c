// SPDX-License-Identifier: MIT
//
// What only AVX and AVX2 have: clearing, broadcasts, permutations and halves across lanes, masked
// moves. VEX encoding only. SDM vol. 2, V*. Gathers are in op_avx_gather.c, variable shifts in
// op_sse_int.c, in-lane permutations in op_sse_shuffle.c.
#include "ops.h"
#include "vec.h"

void op_vzeroupper(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    vec_need(cpu, VEC_AVX);
    unsigned n = cpu->mode == X86_MODE64 ? 16 : 8;
    for (unsigned r = 0; r < n; r++)
        cpu->ymm[r].x[1] = vec_zero();
}

void op_vzeroall(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    vec_need(cpu, VEC_AVX);
    unsigned n = cpu->mode == X86_MODE64 ? 16 : 8;
    memset(cpu->ymm, 0, n * sizeof cpu->ymm[0]);
}

/* --- broadcasts: from the low element of r/m; register sources came with AVX2 --- */

VEC_INLINE void put_both(struct x86_cpu *cpu, const struct insn *i, __m128i v)
{
    cpu->ymm[i->reg].x[0] = v;
    cpu->ymm[i->reg].x[1] = vec_is_256(i) ? v : vec_zero();
}

VEC_INLINE uint32_t float_broadcast_need(const struct insn *i)
{
    return VEC_AVX | (i->flags & INSN_MEM ? 0 : VEC_AVX2);
}

VEC_INLINE void broadcast32(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    put_both(cpu, i, _mm_shuffle_epi32(vec_rm_low(cpu, i, 4), 0));
}

VEC_INLINE void broadcast64(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    put_both(cpu, i, _mm_shuffle_epi32(vec_rm_low(cpu, i, 8), 0x44));
}

VEC_INLINE void broadcast128(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    put_both(cpu, i, vec_rm128(cpu, i, false));
}

void op_vbroadcastss(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast32(cpu, i, float_broadcast_need(i));
}

void op_vbroadcastsd(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast64(cpu, i, float_broadcast_need(i));
}

void op_vbroadcastf128(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast128(cpu, i, VEC_AVX);
}

void op_vbroadcasti128(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast128(cpu, i, VEC_AVX | VEC_AVX2);
}

void op_vpbroadcastd(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast32(cpu, i, VEC_AVX | VEC_AVX2);
}

void op_vpbroadcastq(struct x86_cpu *cpu, const struct insn *i)
{
    broadcast64(cpu, i, VEC_AVX | VEC_AVX2);
}

void op_vpbroadcastb(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_AVX | VEC_AVX2);
    uint8_t v =
        i->flags & INSN_MEM ? mem_read8(cpu, insn_linear(cpu, i, 1, false)) : cpu->ymm[i->rm].u8[0];
    put_both(cpu, i, _mm_set1_epi8((char)v));
}

void op_vpbroadcastw(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_AVX | VEC_AVX2);
    uint16_t v = i->flags & INSN_MEM ? mem_read16(cpu, insn_linear(cpu, i, 2, false))
                                     : cpu->ymm[i->rm].u16[0];
    put_both(cpu, i, _mm_set1_epi16((short)v));
}

/* --- permutations across lanes (256 bits only) --- */

/* Each half of the result: one of the four source halves, or zero. */
VEC_INLINE void permute_halves(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    const union vec_reg *a = &cpu->ymm[i->vvvv], *b = vec_rm256(cpu, i);
    __m128i from[4] = {a->x[0], a->x[1], b->x[0], b->x[1]};
    for (unsigned half = 0; half < 2; half++) {
        unsigned control = (unsigned)i->imm >> (half * 4);
        cpu->ymm[i->reg].x[half] = control & 8 ? vec_zero() : from[control & 3];
    }
}

void op_vperm2f128(struct x86_cpu *cpu, const struct insn *i)
{
    permute_halves(cpu, i, VEC_AVX);
}

void op_vperm2i128(struct x86_cpu *cpu, const struct insn *i)
{
    permute_halves(cpu, i, VEC_AVX | VEC_AVX2);
}

void op_vpermd(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_AVX | VEC_AVX2);
    union vec_reg from = *vec_rm256(cpu, i), index = cpu->ymm[i->vvvv];
    for (unsigned n = 0; n < 8; n++)
        cpu->ymm[i->reg].u32[n] = from.u32[index.u32[n] & 7];
}

void op_vpermps(struct x86_cpu *cpu, const struct insn *i)
{
    op_vpermd(cpu, i);
}

void op_vpermq(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_AVX | VEC_AVX2);
    union vec_reg from = *vec_rm256(cpu, i);
    for (unsigned n = 0; n < 4; n++)
        cpu->ymm[i->reg].u64[n] = from.u64[(unsigned)i->imm >> (n * 2) & 3];
}

void op_vpermpd(struct x86_cpu *cpu, const struct insn *i)
{
    op_vpermq(cpu, i);
}

/* --- halves --- */

VEC_INLINE void insert_half(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    __m128i b = vec_rm128(cpu, i, false);
    cpu->ymm[i->reg] = cpu->ymm[i->vvvv];
    cpu->ymm[i->reg].x[i->imm & 1] = b;
}

VEC_INLINE void extract_half(struct x86_cpu *cpu, const struct insn *i, uint32_t need)
{
    vec_need(cpu, need);
    __m128i v = cpu->ymm[i->reg].x[i->imm & 1];
    if (i->flags & INSN_MEM)
        mem_write128(cpu, vec_addr(cpu, i, 16, true, false), v);
    else
        vec_put128(cpu, i, i->rm, v);
}

void op_vinsertf128(struct x86_cpu *cpu, const struct insn *i)
{
    insert_half(cpu, i, VEC_AVX);
}

void op_vinserti128(struct x86_cpu *cpu, const struct insn *i)
{
    insert_half(cpu, i, VEC_AVX | VEC_AVX2);
}

void op_vextractf128(struct x86_cpu *cpu, const struct insn *i)
{
    extract_half(cpu, i, VEC_AVX);
}

void op_vextracti128(struct x86_cpu *cpu, const struct insn *i)
{
    extract_half(cpu, i, VEC_AVX | VEC_AVX2);
}

/* --- masked moves: elements whose mask in vvvv has its top bit; the others are not touched, so
 * cannot fault, and load as zero --- */

VEC_INLINE bool selected(const union vec_reg *mask, unsigned n, unsigned size)
{
    return size == 8 ? mask->u64[n] >> 63 : mask->u32[n] >> 31;
}

VEC_INLINE gva_t element_addr(const struct x86_cpu *cpu, gva_t va, unsigned n, unsigned size)
{
    return (va + n * size) & cpu->address_mask;
}

VEC_INLINE void masked_load(struct x86_cpu *cpu, const struct insn *i, uint32_t need, unsigned size)
{
    vec_need(cpu, need);
    unsigned bytes = vec_is_256(i) ? 32 : 16;
    const union vec_reg *mask = &cpu->ymm[i->vvvv];
    gva_t va = insn_linear(cpu, i, bytes, false);
    union vec_reg r = {.u64 = {0}};
    for (unsigned n = 0; n < bytes / size; n++) {
        if (!selected(mask, n, size))
            continue;
        if (size == 8)
            r.u64[n] = mem_read64(cpu, element_addr(cpu, va, n, size));
        else
            r.u32[n] = mem_read32(cpu, element_addr(cpu, va, n, size));
    }
    cpu->ymm[i->reg] = r;
}

VEC_INLINE void masked_store(struct x86_cpu *cpu, const struct insn *i, uint32_t need,
                             unsigned size)
{
    vec_need(cpu, need);
    unsigned bytes = vec_is_256(i) ? 32 : 16;
    const union vec_reg *mask = &cpu->ymm[i->vvvv], *v = &cpu->ymm[i->reg];
    gva_t va = insn_linear(cpu, i, bytes, true);
    for (unsigned n = 0; n < bytes / size; n++)
        if (selected(mask, n, size))
            mmu_probe_write(cpu, element_addr(cpu, va, n, size), size);
    for (unsigned n = 0; n < bytes / size; n++) {
        if (!selected(mask, n, size))
            continue;
        if (size == 8)
            mem_write64(cpu, element_addr(cpu, va, n, size), v->u64[n]);
        else
            mem_write32(cpu, element_addr(cpu, va, n, size), v->u32[n]);
    }
}

#define OP_MASKED(name, need, size)                                                                \
    void op_##name##_rm(struct x86_cpu *cpu, const struct insn *i)                                 \
    {                                                                                              \
        masked_load(cpu, i, need, size);                                                           \
    }                                                                                              \
    void op_##name##_mr(struct x86_cpu *cpu, const struct insn *i)                                 \
    {                                                                                              \
        masked_store(cpu, i, need, size);                                                          \
    }

OP_MASKED(vmaskmovps, VEC_AVX, 4)
OP_MASKED(vmaskmovpd, VEC_AVX, 8)
OP_MASKED(vpmaskmovd, VEC_AVX | VEC_AVX2, 4)
OP_MASKED(vpmaskmovq, VEC_AVX | VEC_AVX2, 8)
