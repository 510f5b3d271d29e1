// SPDX-License-Identifier: MIT
//
// AVX2 gathers: an element for each mask element whose top bit is set, from base + index * scale +
// disp. SDM vol. 2, VPGATHER*, VGATHER*. Elements are done from the lowest; each one done or passed
// over clears its mask element, so that after a fault the instruction goes on where it stopped.
#include "ops.h"
#include "vec.h"

VEC_INLINE uint64_t element_offset(const struct x86_cpu *cpu, const struct insn *i, unsigned n,
                                   unsigned index_size)
{
    const union vec_reg *index = &cpu->ymm[i->index];
    uint64_t x = index_size == 8 ? index->u64[n] : (uint64_t)(int32_t)index->u32[n];
    uint64_t off = cpu->gpr[i->base] + (x << i->scale) + (uint64_t)(int64_t)i->disp;
    return i->adsize == 8 ? off : i->adsize == 4 ? (uint32_t)off : (uint16_t)off;
}

/* INSN_VEX_L is about the wider of index and element; the other vector is half of it when sizes
 * differ. */
VEC_INLINE void gather(struct x86_cpu *cpu, const struct insn *i, unsigned index_size,
                       unsigned size)
{
    vec_need(cpu, VEC_AVX | VEC_AVX2);
    if (i->reg == i->index || i->reg == i->vvvv || i->index == i->vvvv)
        x86_raise(cpu, X86_UD);
    unsigned count = (vec_is_256(i) ? 32 : 16) / (index_size > size ? index_size : size);
    union vec_reg *dst = &cpu->ymm[i->reg], *mask = &cpu->ymm[i->vvvv];
    for (unsigned n = 0; n < count; n++) {
        bool selected = size == 8 ? mask->u64[n] >> 63 : mask->u32[n] >> 31;
        if (selected) {
            gva_t va = seg_linear(cpu, i->seg, element_offset(cpu, i, n, index_size), size, false);
            if (size == 8)
                dst->u64[n] = mem_read64(cpu, va);
            else
                dst->u32[n] = mem_read32(cpu, va);
        }
        if (size == 8)
            mask->u64[n] = 0;
        else
            mask->u32[n] = 0;
    }
    memset(mask, 0, sizeof *mask);
    memset(&dst->u8[count * size], 0, sizeof *dst - count * size);
}

#define OP_GATHER(name, index_size, size)                                                          \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        gather(cpu, i, index_size, size);                                                          \
    }

OP_GATHER(vpgatherdd, 4, 4)
OP_GATHER(vpgatherdq, 4, 8)
OP_GATHER(vpgatherqd, 8, 4)
OP_GATHER(vpgatherqq, 8, 8)
OP_GATHER(vgatherdps, 4, 4)
OP_GATHER(vgatherdpd, 4, 8)
OP_GATHER(vgatherqps, 8, 4)
OP_GATHER(vgatherqpd, 8, 8)
