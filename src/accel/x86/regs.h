// SPDX-License-Identifier: MIT
//
// Operands of the integer operations: registers by size, r/m operands, the stack, near branches.
// Every function takes the operand size in bytes; operation bodies are always-inline and are
// instantiated once per size by OP_SIZES, so that the size is a constant and the switches vanish.
#pragma once

#include "cpu.h"
#include "util.h"
#include "flags.h"
#include "mem.h"
#include "sys.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* --- sizes --- */

ALWAYS_INLINE uint64_t sign_extend(uint64_t v, unsigned size)
{
    return (uint64_t)((int64_t)(v << (64 - size * 8)) >> (64 - size * 8));
}

/* The operation function op_NAME from a body NAME(cpu, i, size), for 1, 2, 4, 8 bytes. */
#define OP_SIZES(name)                                                                             \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        switch (i->opsize) {                                                                       \
        case 1:                                                                                    \
            name(cpu, i, 1);                                                                       \
            break;                                                                                 \
        case 2:                                                                                    \
            name(cpu, i, 2);                                                                       \
            break;                                                                                 \
        case 4:                                                                                    \
            name(cpu, i, 4);                                                                       \
            break;                                                                                 \
        default:                                                                                   \
            name(cpu, i, 8);                                                                       \
            break;                                                                                 \
        }                                                                                          \
    }

/* The same without bytes: 2, 4, 8. */
#define OP_WORDS(name)                                                                             \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        switch (i->opsize) {                                                                       \
        case 2:                                                                                    \
            name(cpu, i, 2);                                                                       \
            break;                                                                                 \
        case 4:                                                                                    \
            name(cpu, i, 4);                                                                       \
            break;                                                                                 \
        default:                                                                                   \
            name(cpu, i, 8);                                                                       \
            break;                                                                                 \
        }                                                                                          \
    }

/* --- registers --- */

/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH: bits 8-15 of registers 0 to 3. */
ALWAYS_INLINE bool reg_is_high_byte(const struct insn *i, unsigned n)
{
    return n >= 4 && !(i->flags & INSN_REX);
}

ALWAYS_INLINE uint64_t reg_read(const struct x86_cpu *cpu, const struct insn *i, unsigned n,
                                unsigned size)
{
    if (size == 1) {
        if (reg_is_high_byte(i, n))
            return (uint8_t)(cpu->gpr[n - 4] >> 8);
        return (uint8_t)cpu->gpr[n];
    }
    return cpu->gpr[n] & size_mask(size);
}

/* For registers that are never AH..BH: accumulators, counters, pointers. */
ALWAYS_INLINE void gpr_write(struct x86_cpu *cpu, unsigned n, uint64_t v, unsigned size)
{
    if (size == 8)
        cpu->gpr[n] = v;
    else if (size == 4)
        cpu->gpr[n] = (uint32_t)v;
    else
        cpu->gpr[n] = (cpu->gpr[n] & ~size_mask(size)) | (v & size_mask(size));
}

ALWAYS_INLINE uint64_t gpr_read(const struct x86_cpu *cpu, unsigned n, unsigned size)
{
    return cpu->gpr[n] & size_mask(size);
}

ALWAYS_INLINE void reg_write(struct x86_cpu *cpu, const struct insn *i, unsigned n, uint64_t v,
                             unsigned size)
{
    if (size == 1 && reg_is_high_byte(i, n))
        cpu->gpr[n - 4] = (cpu->gpr[n - 4] & ~0xff00ull) | (v & 0xff) << 8;
    else
        gpr_write(cpu, n, v, size);
}

/* --- memory by size --- */

ALWAYS_INLINE uint64_t mem_read(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    switch (size) {
    case 1:
        return mem_read8(cpu, va);
    case 2:
        return mem_read16(cpu, va);
    case 4:
        return mem_read32(cpu, va);
    default:
        return mem_read64(cpu, va);
    }
}

ALWAYS_INLINE uint64_t mem_rmw(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    switch (size) {
    case 1:
        return mem_rmw8(cpu, va);
    case 2:
        return mem_rmw16(cpu, va);
    case 4:
        return mem_rmw32(cpu, va);
    default:
        return mem_rmw64(cpu, va);
    }
}

ALWAYS_INLINE void mem_write(struct x86_cpu *cpu, gva_t va, uint64_t v, unsigned size)
{
    switch (size) {
    case 1:
        mem_write8(cpu, va, (uint8_t)v);
        break;
    case 2:
        mem_write16(cpu, va, (uint16_t)v);
        break;
    case 4:
        mem_write32(cpu, va, (uint32_t)v);
        break;
    default:
        mem_write64(cpu, va, v);
        break;
    }
}

/* --- the r/m operand --- */

ALWAYS_INLINE uint64_t rm_read(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (i->flags & INSN_MEM)
        return mem_read(cpu, insn_linear(cpu, i, size, false), size);
    return reg_read(cpu, i, i->rm, size);
}

/* Store without a read before: may fault. */
ALWAYS_INLINE void rm_write(struct x86_cpu *cpu, const struct insn *i, uint64_t v, unsigned size)
{
    if (i->flags & INSN_MEM)
        mem_write(cpu, insn_linear(cpu, i, size, true), v, size);
    else
        reg_write(cpu, i, i->rm, v, size);
}

/* A read-modify-write in two steps: rm_load says where; rm_store then cannot fault. */
struct rm_place {
    gva_t va;
};

ALWAYS_INLINE uint64_t rm_load(struct x86_cpu *cpu, const struct insn *i, struct rm_place *place,
                               unsigned size)
{
    if (i->flags & INSN_MEM) {
        place->va = insn_linear(cpu, i, size, true);
        return mem_rmw(cpu, place->va, size);
    }
    place->va = 0;
    return reg_read(cpu, i, i->rm, size);
}

ALWAYS_INLINE void rm_store(struct x86_cpu *cpu, const struct insn *i,
                            const struct rm_place *place, uint64_t v, unsigned size)
{
    if (i->flags & INSN_MEM)
        mem_write(cpu, place->va, v, size);
    else
        reg_write(cpu, i, i->rm, v, size);
}

/* --- CF alone --- */

/* The other five stay; OF too, which is CF xor the carry into the sign bit. */
ALWAYS_INLINE void flag_set_cf(struct x86_cpu *cpu, bool cf)
{
    if (flag_cf(cpu) != cf)
        cpu->fl.carry ^= CARRY_CF | CARRY_IN_SIGN;
}

ALWAYS_INLINE void flag_set_of(struct x86_cpu *cpu, bool of)
{
    if (flag_of(cpu) != of)
        cpu->fl.carry ^= CARRY_IN_SIGN;
}

/* --- the stack --- */

/* Stack address size (SDM vol. 1 section 6.2.3): 64-bit mode, else SS.B. */
ALWAYS_INLINE unsigned stack_size(const struct x86_cpu *cpu)
{
    if (__builtin_expect(cpu->mode == X86_MODE64, 1))
        return 8;
    return cpu->seg[SEG_SS].db ? 4 : 2;
}

ALWAYS_INLINE gva_t stack_linear(struct x86_cpu *cpu, uint64_t sp, unsigned size, bool write)
{
    return seg_linear(cpu, SEG_SS, sp & size_mask(stack_size(cpu)), size, write);
}

/* Values by offset from the stack pointer; the pointer stays as it is. */
ALWAYS_INLINE uint64_t stack_read(struct x86_cpu *cpu, uint64_t off, unsigned size)
{
    return mem_read(cpu, stack_linear(cpu, cpu->gpr[RSP] + off, size, false), size);
}

ALWAYS_INLINE void stack_write(struct x86_cpu *cpu, uint64_t off, uint64_t v, unsigned size)
{
    mem_write(cpu, stack_linear(cpu, cpu->gpr[RSP] + off, size, true), v, size);
}

ALWAYS_INLINE void stack_set(struct x86_cpu *cpu, uint64_t sp)
{
    gpr_write(cpu, RSP, sp, stack_size(cpu));
}

ALWAYS_INLINE void stack_move(struct x86_cpu *cpu, uint64_t delta)
{
    stack_set(cpu, cpu->gpr[RSP] + delta);
}

ALWAYS_INLINE void stack_push(struct x86_cpu *cpu, uint64_t v, unsigned size)
{
    stack_write(cpu, 0 - (uint64_t)size, v, size);
    stack_move(cpu, 0 - (uint64_t)size);
}

/* --- near branches --- */

ALWAYS_INLINE void branch_to(struct x86_cpu *cpu, uint64_t target, unsigned size)
{
    target &= size_mask(size);
    seg_check_branch(cpu, target);
    cpu->next_rip = target;
}
