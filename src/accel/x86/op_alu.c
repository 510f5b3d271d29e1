// SPDX-License-Identifier: MIT
//
// Two-operand arithmetic and logic, INC/DEC/NEG/NOT, the exchanging forms (XADD, CMPXCHG and its
// wide sisters), ADCX/ADOX, and the instructions on single flags. SDM vol. 2; flags are lazy
// (flags.h).
#include "alu.h"
#include "ops.h"
#include "regs.h"

/* The three operand forms of an operation that writes its destination. */
#define ALU(name)                                                                                  \
    ALWAYS_INLINE void name##_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)         \
    {                                                                                              \
        struct rm_place place;                                                                     \
        uint64_t a = rm_load(cpu, i, &place, size);                                                \
        uint64_t b = reg_read(cpu, i, i->reg, size);                                               \
        rm_store(cpu, i, &place, alu_##name(cpu, a, b, size), size);                               \
    }                                                                                              \
    ALWAYS_INLINE void name##_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)         \
    {                                                                                              \
        uint64_t b = rm_read(cpu, i, size);                                                        \
        uint64_t a = reg_read(cpu, i, i->reg, size);                                               \
        reg_write(cpu, i, i->reg, alu_##name(cpu, a, b, size), size);                              \
    }                                                                                              \
    ALWAYS_INLINE void name##_mi(struct x86_cpu *cpu, const struct insn *i, unsigned size)         \
    {                                                                                              \
        struct rm_place place;                                                                     \
        uint64_t a = rm_load(cpu, i, &place, size);                                                \
        uint64_t b = (uint64_t)i->imm & size_mask(size);                                           \
        rm_store(cpu, i, &place, alu_##name(cpu, a, b, size), size);                               \
    }                                                                                              \
    OP_SIZES(name##_mr)                                                                            \
    OP_SIZES(name##_rm)                                                                            \
    OP_SIZES(name##_mi)

ALU(add)
ALU(or)
ALU(adc)
ALU(sbb)
ALU(and)
ALU(sub)
ALU(xor)

ALWAYS_INLINE void cmp_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    alu_sub(cpu, rm_read(cpu, i, size), reg_read(cpu, i, i->reg, size), size);
}

ALWAYS_INLINE void cmp_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    alu_sub(cpu, reg_read(cpu, i, i->reg, size), rm_read(cpu, i, size), size);
}

ALWAYS_INLINE void cmp_mi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    alu_sub(cpu, rm_read(cpu, i, size), (uint64_t)i->imm & size_mask(size), size);
}

ALWAYS_INLINE void test_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    alu_and(cpu, rm_read(cpu, i, size), reg_read(cpu, i, i->reg, size), size);
}

ALWAYS_INLINE void test_mi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    alu_and(cpu, rm_read(cpu, i, size), (uint64_t)i->imm & size_mask(size), size);
}

OP_SIZES(cmp_mr)
OP_SIZES(cmp_rm)
OP_SIZES(cmp_mi)
OP_SIZES(test_mr)
OP_SIZES(test_mi)

/* --- one operand --- */

#define ALU_ONE(name)                                                                              \
    ALWAYS_INLINE void name(struct x86_cpu *cpu, const struct insn *i, unsigned size)              \
    {                                                                                              \
        struct rm_place place;                                                                     \
        uint64_t a = rm_load(cpu, i, &place, size);                                                \
        rm_store(cpu, i, &place, alu_##name(cpu, a, size), size);                                  \
    }                                                                                              \
    OP_SIZES(name)

ALU_ONE(inc)
ALU_ONE(dec)
ALU_ONE(neg)
ALU_ONE(not)

/* --- exchange and add or compare --- */

ALWAYS_INLINE void xadd(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    struct rm_place place;
    uint64_t a = rm_load(cpu, i, &place, size);
    uint64_t b = reg_read(cpu, i, i->reg, size);
    uint64_t r = alu_add(cpu, a, b, size);
    reg_write(cpu, i, i->reg, a, size);
    rm_store(cpu, i, &place, r, size); /* last: XADD AX, AX leaves the sum */
}

/*
 * The destination is written in both cases, with its old value when the comparison fails; a 32-bit
 * register destination is then left alone, the upper half too, while EAX is zero-extended.
 */
ALWAYS_INLINE void cmpxchg(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    struct rm_place place;
    uint64_t a = rm_load(cpu, i, &place, size);
    uint64_t acc = gpr_read(cpu, RAX, size);
    uint64_t b = reg_read(cpu, i, i->reg, size);
    alu_sub(cpu, acc, a, size);
    if (acc == a) {
        rm_store(cpu, i, &place, b, size);
        return;
    }
    if (i->flags & INSN_MEM)
        mem_write(cpu, place.va, a, size);
    gpr_write(cpu, RAX, a, size);
}

OP_SIZES(xadd)
OP_SIZES(cmpxchg)

static void flag_set_zf(struct x86_cpu *cpu, bool zf)
{
    uint32_t f = flags_get(cpu);
    flags_put(cpu, zf ? f | FL_ZF : f & ~(uint32_t)FL_ZF);
}

void op_cmpxchg8b(struct x86_cpu *cpu, const struct insn *i)
{
    gva_t va = insn_linear(cpu, i, 8, true);
    uint64_t old = mem_rmw64(cpu, va);
    uint64_t want = (cpu->gpr[RDX] << 32) | (uint32_t)cpu->gpr[RAX];
    bool equal = old == want;
    mem_write64(cpu, va, equal ? (cpu->gpr[RCX] << 32) | (uint32_t)cpu->gpr[RBX] : old);
    if (!equal) {
        cpu->gpr[RAX] = (uint32_t)old;
        cpu->gpr[RDX] = old >> 32;
    }
    flag_set_zf(cpu, equal);
}

void op_cmpxchg16b(struct x86_cpu *cpu, const struct insn *i)
{
    gva_t va = insn_linear(cpu, i, 16, true);
    if (va & 15)
        x86_raise_error(cpu, X86_GP, 0);
    uint64_t low = mem_rmw64(cpu, va), high = mem_rmw64(cpu, va + 8); /* aligned: one page */
    bool equal = low == cpu->gpr[RAX] && high == cpu->gpr[RDX];
    mem_write64(cpu, va, equal ? cpu->gpr[RBX] : low);
    mem_write64(cpu, va + 8, equal ? cpu->gpr[RCX] : high);
    if (!equal) {
        cpu->gpr[RAX] = low;
        cpu->gpr[RDX] = high;
    }
    flag_set_zf(cpu, equal);
}

/* --- two carry chains: ADCX uses CF alone, ADOX uses OF alone --- */

ALWAYS_INLINE uint64_t add_with_carry(uint64_t a, uint64_t b, bool *carry, unsigned size)
{
    unsigned __int128 r = (unsigned __int128)a + b + *carry;
    *carry = r >> (size * 8) & 1;
    return (uint64_t)r;
}

ALWAYS_INLINE void adcx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t b = rm_read(cpu, i, size);
    bool carry = flag_cf(cpu);
    gpr_write(cpu, i->reg, add_with_carry(gpr_read(cpu, i->reg, size), b, &carry, size), size);
    flag_set_cf(cpu, carry);
}

ALWAYS_INLINE void adox(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t b = rm_read(cpu, i, size);
    bool carry = flag_of(cpu);
    gpr_write(cpu, i->reg, add_with_carry(gpr_read(cpu, i->reg, size), b, &carry, size), size);
    flag_set_of(cpu, carry);
}

OP_WORDS(adcx)
OP_WORDS(adox)

/* --- flags by themselves --- */

void op_lahf(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    uint64_t low = (flags_get(cpu) & 0xffu) | 2;
    cpu->gpr[RAX] = (cpu->gpr[RAX] & ~0xff00ull) | low << 8;
}

void op_sahf(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    uint32_t low = (uint32_t)(cpu->gpr[RAX] >> 8) & (FL_ARITH & 0xff);
    flags_put(cpu, low | (flags_get(cpu) & FL_OF));
}

void op_cmc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    flag_set_cf(cpu, !flag_cf(cpu));
}

void op_clc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    flag_set_cf(cpu, false);
}

void op_stc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    flag_set_cf(cpu, true);
}

void op_cld(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    cpu->rflags &= ~(uint64_t)FL_DF;
}

void op_std(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    cpu->rflags |= FL_DF;
}

/* Not in the manuals, in all processors: AL becomes all CF. */
void op_salc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    gpr_write(cpu, RAX, flag_cf(cpu) ? 0xff : 0, 1);
}
