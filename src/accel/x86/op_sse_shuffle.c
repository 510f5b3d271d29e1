// SPDX-License-Identifier: MIT
//
// Moving elements about: unpack, pack, shuffle, blend, insert, extract, extend. SSE to SSE4.1 with
// their AVX and AVX2 twins. SDM vol. 2.
#include "ops.h"
#include "vec.h"

/* --- two sources, fixed pattern --- */

OP_BITS(unpcklps, "unpcklps", 0)
OP_BITS(unpcklpd, "unpcklpd", 0)
OP_BITS(unpckhps, "unpckhps", 0)
OP_BITS(unpckhpd, "unpckhpd", 0)
OP_INT(punpcklbw, "punpcklbw", 0)
OP_INT(punpcklwd, "punpcklwd", 0)
OP_INT(punpckldq, "punpckldq", 0)
OP_INT(punpcklqdq, "punpcklqdq", 0)
OP_INT(punpckhbw, "punpckhbw", 0)
OP_INT(punpckhwd, "punpckhwd", 0)
OP_INT(punpckhdq, "punpckhdq", 0)
OP_INT(punpckhqdq, "punpckhqdq", 0)
OP_INT(packsswb, "packsswb", 0)
OP_INT(packssdw, "packssdw", 0)
OP_INT(packuswb, "packuswb", 0)
OP_INT(packusdw, "packusdw", VEC_SSE41)
OP_INT(pshufb, "pshufb", VEC_SSSE3)

/* --- pattern by immediate --- */

IMM_STUBS2(shufps, "shufps", 256)
OP_LANES_IMM(shufps, 0, 0, 0)
IMM_STUBS2(shufpd, "shufpd", 4)
OP_LANES_IMM(shufpd, 0, 0, 2)
IMM_STUBS2(pshufd, "pshufd", 256)
OP_LANES_IMM(pshufd, 0, VEC_AVX2, 0)
IMM_STUBS2(pshufhw, "pshufhw", 256)
OP_LANES_IMM(pshufhw, 0, VEC_AVX2, 0)
IMM_STUBS2(pshuflw, "pshuflw", 256)
OP_LANES_IMM(pshuflw, 0, VEC_AVX2, 0)
IMM_STUBS2(palignr, "palignr", 256)
OP_LANES_IMM(palignr, VEC_SSSE3, VEC_AVX2, 0)
IMM_STUBS2(blendps, "blendps", 16)
OP_LANES_IMM(blendps, VEC_SSE41, 0, 4)
IMM_STUBS2(blendpd, "blendpd", 4)
OP_LANES_IMM(blendpd, VEC_SSE41, 0, 2)
IMM_STUBS2(pblendw, "pblendw", 256)
OP_LANES_IMM(pblendw, VEC_SSE41, VEC_AVX2, 0)

/* The same moves of bits under other names. */
#define imm_vpblendd imm_blendps
OP_LANES_IMM(vpblendd, VEC_AVX2, 0, 4)

VEC_INLINE __m128i imm_vpermilps_rmi(__m128i a, __m128i b, unsigned imm)
{
    (void)a;
    return imm_pshufd(b, b, imm);
}
OP_LANES_IMM(vpermilps_rmi, 0, 0, 0)

VEC_INLINE __m128i imm_vpermilpd_rmi(__m128i a, __m128i b, unsigned imm)
{
    (void)a;
    return imm_shufpd(b, b, imm);
}
OP_LANES_IMM(vpermilpd_rmi, 0, 0, 2)

/* --- pattern by register --- */

LANE_ASM_VEX(vpermilps_rm, "vpermilps")
OP_LANES(vpermilps_rm, 0, 0, vpermilps_rm)
LANE_ASM_VEX(vpermilpd_rm, "vpermilpd")
OP_LANES(vpermilpd_rm, 0, 0, vpermilpd_rm)

typedef __m128i blend_lane(__m128i a, __m128i b, __m128i mask);

/* Legacy: the mask is XMM0; VEX: a fourth register. */
VEC_INLINE void blend_var(struct x86_cpu *cpu, const struct insn *i, uint32_t wide,
                          blend_lane *lane)
{
    vec_enter(cpu, i, VEC_SSE41, wide);
    const union vec_reg *mask = &cpu->ymm[vec_is_vex(i) ? (uint8_t)i->imm >> 4 : 0],
                        *a = &cpu->ymm[vec_src1(i)];
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        __m128i high = lane(a->x[1], b->x[1], mask->x[1]);
        cpu->ymm[i->reg].x[0] = lane(a->x[0], b->x[0], mask->x[0]);
        cpu->ymm[i->reg].x[1] = high;
    } else {
        __m128i b = vec_rm128(cpu, i, true);
        vec_put128(cpu, i, i->reg, lane(a->x[0], b, mask->x[0]));
    }
}

#define OP_BLEND_VAR(name, wide)                                                                   \
    VEC_INLINE __m128i blend_##name(__m128i a, __m128i b, __m128i mask)                            \
    {                                                                                              \
        __asm__(#name " %2, %1, %0" : "+x"(a) : "x"(b), "Yz"(mask));                               \
        return a;                                                                                  \
    }                                                                                              \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        blend_var(cpu, i, 0, blend_##name);                                                        \
    }                                                                                              \
    void op_v##name(struct x86_cpu *cpu, const struct insn *i)                                     \
    {                                                                                              \
        blend_var(cpu, i, wide, blend_##name);                                                     \
    }

OP_BLEND_VAR(blendvps, 0)
OP_BLEND_VAR(blendvpd, 0)
OP_BLEND_VAR(pblendvb, VEC_AVX2)

/* --- one element in or out --- */

VEC_INLINE uint64_t rm_element(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!(i->flags & INSN_MEM))
        return cpu->gpr[i->rm];
    return mem_read(cpu, insn_linear(cpu, i, size, false), size);
}

VEC_INLINE void insert(struct x86_cpu *cpu, const struct insn *i, uint32_t feature, unsigned size)
{
    vec_enter(cpu, i, feature, 0);
    uint64_t v = rm_element(cpu, i, size);
    union vec_reg r = {.x = {cpu->ymm[vec_src1(i)].x[0]}};
    memcpy(&r.u8[(i->imm & (16 / size - 1)) * size], &v, size);
    vec_put128(cpu, i, i->reg, r.x[0]);
}

/* To a general register: zero-extended. */
VEC_INLINE void extract(struct x86_cpu *cpu, const struct insn *i, uint32_t feature, unsigned size)
{
    vec_enter(cpu, i, feature, 0);
    uint64_t v = 0;
    memcpy(&v, &cpu->ymm[i->reg].u8[(i->imm & (16 / size - 1)) * size], size);
    if (!(i->flags & INSN_MEM)) {
        cpu->gpr[i->rm] = v;
        return;
    }
    mem_write(cpu, insn_linear(cpu, i, size, true), v, size);
}

void op_pinsrb(struct x86_cpu *cpu, const struct insn *i)
{
    insert(cpu, i, VEC_SSE41, 1);
}

void op_pinsrw(struct x86_cpu *cpu, const struct insn *i)
{
    insert(cpu, i, 0, 2);
}

void op_pinsrd(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->opsize == 8)
        insert(cpu, i, VEC_SSE41, 8);
    else
        insert(cpu, i, VEC_SSE41, 4);
}

void op_pextrb(struct x86_cpu *cpu, const struct insn *i)
{
    extract(cpu, i, VEC_SSE41, 1);
}

void op_pextrw_mr(struct x86_cpu *cpu, const struct insn *i)
{
    extract(cpu, i, VEC_SSE41, 2);
}

void op_pextrw_rm(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, 0, 0);
    cpu->gpr[i->reg] = cpu->ymm[i->rm].u16[i->imm & 7];
}

void op_pextrd(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->opsize == 8)
        extract(cpu, i, VEC_SSE41, 8);
    else
        extract(cpu, i, VEC_SSE41, 4);
}

void op_extractps(struct x86_cpu *cpu, const struct insn *i)
{
    extract(cpu, i, VEC_SSE41, 4);
}

IMM_STUBS2(insertps, "insertps", 256)

/* From memory there is only one element: the source selector does not count. */
void op_insertps(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, VEC_SSE41, 0);
    unsigned imm = i->flags & INSN_MEM ? i->imm & 0x3f : (uint8_t)i->imm;
    __m128i b = vec_rm_low(cpu, i, 4);
    vec_put128(cpu, i, i->reg, imm_insertps(cpu->ymm[vec_src1(i)].x[0], b, imm));
}

/* --- wider integers: 128 bits of result come from `size` bytes of source --- */

VEC_INLINE void extend(struct x86_cpu *cpu, const struct insn *i, unsigned size, vec_lane *lane)
{
    vec_enter(cpu, i, VEC_SSE41, VEC_AVX2);
    if (vec_is_256(i)) {
        __m128i b = size == 8 ? vec_rm128(cpu, i, false) : vec_rm_low(cpu, i, size * 2);
        __m128i upper = size == 8   ? _mm_srli_si128(b, 8)
                        : size == 4 ? _mm_srli_si128(b, 4)
                                    : _mm_srli_si128(b, 2);
        cpu->ymm[i->reg].x[0] = lane(b, b);
        cpu->ymm[i->reg].x[1] = lane(upper, upper);
    } else {
        __m128i b = vec_rm_low(cpu, i, size);
        vec_put128(cpu, i, i->reg, lane(b, b));
    }
}

#define OP_EXTEND(name, size)                                                                      \
    LANE_ASM1(name, #name)                                                                         \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        extend(cpu, i, size, lane_##name);                                                         \
    }

OP_EXTEND(pmovsxbw, 8)
OP_EXTEND(pmovsxbd, 4)
OP_EXTEND(pmovsxbq, 2)
OP_EXTEND(pmovsxwd, 8)
OP_EXTEND(pmovsxwq, 4)
OP_EXTEND(pmovsxdq, 8)
OP_EXTEND(pmovzxbw, 8)
OP_EXTEND(pmovzxbd, 4)
OP_EXTEND(pmovzxbq, 2)
OP_EXTEND(pmovzxwd, 8)
OP_EXTEND(pmovzxwq, 4)
OP_EXTEND(pmovzxdq, 8)
