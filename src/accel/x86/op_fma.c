// SPDX-License-Identifier: MIT
//
// FMA3: three operand orders (132, 213, 231: which of destination, VEX.vvvv and r/m are multiplied)
// of each kind. VEX only. SDM vol. 2, VFM*.
#include "ops.h"
#include "vec.h"

#define OP_FMA_PACKED(name)                                                                        \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_need(cpu, VEC_AVX | VEC_FMA);                                                          \
        if (vec_is_256(i)) {                                                                       \
            const union vec_reg *b = vec_rm256(cpu, i);                                            \
            fp_begin(cpu);                                                                         \
            __asm__ volatile("vmovups %1, %%ymm0\n\tvmovups %2, %%ymm1\n\t" #name                  \
                             " %3, %%ymm1, %%ymm0\n\tvmovups %%ymm0, %0\n\tvzeroupper"             \
                             : "=m"(cpu->vec_scratch)                                              \
                             : "m"(cpu->ymm[i->reg]), "m"(cpu->ymm[i->vvvv]), "m"(*b)              \
                             : YMM_CLOBBERS);                                                      \
            fp_end(cpu);                                                                           \
            cpu->ymm[i->reg] = cpu->vec_scratch;                                                   \
        } else {                                                                                   \
            fma_low(cpu, i, vec_rm128(cpu, i, true), low_##name);                                  \
        }                                                                                          \
    }
#define OP_FMA_SCALAR(name, size)                                                                  \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_need(cpu, VEC_AVX | VEC_FMA);                                                          \
        fma_low(cpu, i, vec_rm_low(cpu, i, size), low_##name);                                     \
    }
#define FMA_LOW(name)                                                                              \
    VEC_INLINE __m128i low_##name(__m128i dst, __m128i a, __m128i b)                               \
    {                                                                                              \
        __asm__ volatile(#name " %2, %1, %0" : "+x"(dst) : "x"(a), "x"(b));                        \
        return dst;                                                                                \
    }

typedef __m128i fma_lane(__m128i dst, __m128i a, __m128i b);

VEC_INLINE void fma_low(struct x86_cpu *cpu, const struct insn *i, __m128i b, fma_lane *lane)
{
    fp_begin(cpu);
    __m128i r = lane(cpu->ymm[i->reg].x[0], cpu->ymm[i->vvvv].x[0], b);
    fp_end(cpu);
    vec_put128(cpu, i, i->reg, r);
}

#define OPS_PACKED(kind, order)                                                                    \
    FMA_LOW(v##kind##order##ps)                                                                    \
    OP_FMA_PACKED(v##kind##order##ps)                                                              \
    FMA_LOW(v##kind##order##pd)                                                                    \
    OP_FMA_PACKED(v##kind##order##pd)
#define OPS_BOTH(kind, order)                                                                      \
    OPS_PACKED(kind, order)                                                                        \
    FMA_LOW(v##kind##order##ss)                                                                    \
    OP_FMA_SCALAR(v##kind##order##ss, 4)                                                           \
    FMA_LOW(v##kind##order##sd)                                                                    \
    OP_FMA_SCALAR(v##kind##order##sd, 8)

OPS_BOTH(fmadd, 132)
OPS_BOTH(fmadd, 213)
OPS_BOTH(fmadd, 231)
OPS_BOTH(fmsub, 132)
OPS_BOTH(fmsub, 213)
OPS_BOTH(fmsub, 231)
OPS_BOTH(fnmadd, 132)
OPS_BOTH(fnmadd, 213)
OPS_BOTH(fnmadd, 231)
OPS_BOTH(fnmsub, 132)
OPS_BOTH(fnmsub, 213)
OPS_BOTH(fnmsub, 231)
OPS_PACKED(fmaddsub, 132)
OPS_PACKED(fmaddsub, 213)
OPS_PACKED(fmaddsub, 231)
OPS_PACKED(fmsubadd, 132)
OPS_PACKED(fmsubadd, 213)
OPS_PACKED(fmsubadd, 231)
