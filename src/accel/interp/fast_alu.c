// SPDX-License-Identifier: MIT
//
// Handlers of the interpreter for arithmetic, logic, shifts and products: see fast.h. The
// arithmetic itself is the core's (alu.h, shift.h).
#include "src/accel/interp/fast_op.h"
#include "src/accel/x86/alu.h"
#include "src/accel/x86/shift.h"

/* Destination r/m: b comes from a register or is the immediate. */
#define ALU_TO_RM(name, compute, source)                                                           \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        uint8_t *host;                                                                             \
        if (form == FORM_REG) {                                                                    \
            uint64_t a = gpr_read(cpu, i->rm, size);                                               \
            gpr_write(cpu, i->rm, compute(cpu, a, source, size), size);                            \
            return true;                                                                           \
        }                                                                                          \
        if (!fast_writable(cpu, fast_address(cpu, i, form), size, &host))                          \
            return false;                                                                          \
        fast_store(host, compute(cpu, fast_load(host, size), source, size), size);                 \
        return true;                                                                               \
    }

/* Destination register. */
#define ALU_TO_REG(name, compute)                                                                  \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        uint64_t b;                                                                                \
        if (!fast_rm_read(cpu, i, size, form, &b))                                                 \
            return false;                                                                          \
        gpr_write(cpu, i->reg, compute(cpu, gpr_read(cpu, i->reg, size), b, size), size);          \
        return true;                                                                               \
    }

#define IN_REG gpr_read(cpu, i->reg, size)
#define IN_IMM ((uint64_t)i->imm & size_mask(size))

#define ALU(name)                                                                                  \
    ALU_TO_RM(name##_mr, alu_##name, IN_REG)                                                       \
    ALU_TO_RM(name##_mi, alu_##name, IN_IMM)                                                       \
    ALU_TO_REG(name##_rm, alu_##name)

ALU(add)
ALU(or)
ALU(and)
ALU(sub)
ALU(xor)
ALU(adc)
ALU(sbb)

/* Compares: the r/m operand and another one, in this order or reversed. */
#define COMPARE(name, expression)                                                                  \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        uint64_t a;                                                                                \
        if (!fast_rm_read(cpu, i, size, form, &a))                                                 \
            return false;                                                                          \
        expression;                                                                                \
        return true;                                                                               \
    }

COMPARE(cmp_mr, alu_sub(cpu, a, IN_REG, size))
COMPARE(cmp_rm, alu_sub(cpu, IN_REG, a, size))
COMPARE(cmp_mi, alu_sub(cpu, a, IN_IMM, size))
COMPARE(test_mr, alu_and(cpu, a, IN_REG, size))
COMPARE(test_mi, alu_and(cpu, a, IN_IMM, size))

/* One operand: a second one that is ignored. */
#define ALU_ONE(name)                                                                              \
    ALWAYS_INLINE uint64_t one_##name(struct x86_cpu *cpu, uint64_t a, unsigned b, unsigned size)  \
    {                                                                                              \
        (void)b;                                                                                   \
        return alu_##name(cpu, a, size);                                                           \
    }                                                                                              \
    ALU_TO_RM(name, one_##name, 0)

ALU_ONE(inc)
ALU_ONE(dec)
ALU_ONE(neg)
ALU_ONE(not)

#define SHIFT(name)                                                                                \
    ALWAYS_INLINE uint64_t name##_count(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)\
    {                                                                                              \
        n &= size == 8 ? 63 : 31;                                                                  \
        return n ? shift_##name(cpu, a, n, size) : a;                                              \
    }                                                                                              \
    ALU_TO_RM(name##_m1, name##_count, 1)                                                          \
    ALU_TO_RM(name##_mi, name##_count, (uint8_t)i->imm)                                            \
    ALU_TO_RM(name##_mcl, name##_count, (uint8_t)cpu->gpr[RCX])                                    \
    FAST_REGS(name##_m1)                                                                           \
    FAST_REGS(name##_mi)                                                                           \
    FAST_REGS(name##_mcl)

SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)

/* CF and OF say that the product does not fit; the other flags stay (op_muldiv.c). */
ALWAYS_INLINE bool multiply(struct x86_cpu *cpu, const struct insn *i, uint64_t a, uint64_t b,
                            unsigned size)
{
    int64_t r;
    bool overflow = __builtin_mul_overflow((int64_t)sign_extend(a, size),
                                           (int64_t)sign_extend(b, size), &r);
    if (size < 8)
        overflow = r != (int64_t)sign_extend((uint64_t)r, size);
    cpu->fl.carry =
        (cpu->fl.carry & ~(CARRY_CF | CARRY_IN_SIGN)) | (overflow ? CARRY_CF : 0);
    gpr_write(cpu, i->reg, (uint64_t)r, size);
    return true;
}

ALWAYS_INLINE bool imul_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                           enum fast_form form)
{
    uint64_t b;
    return fast_rm_read(cpu, i, size, form, &b) && multiply(cpu, i, IN_REG, b, size);
}

ALWAYS_INLINE bool imul_rmi(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                            enum fast_form form)
{
    uint64_t b;
    return fast_rm_read(cpu, i, size, form, &b) && multiply(cpu, i, IN_IMM, b, size);
}

#define EACH_ALU(X)                                                                                \
    X(add_mr, 3) X(add_rm, 3) X(add_mi, 2) X(or_mr, 3) X(or_rm, 3) X(or_mi, 2) X(and_mr, 3)        \
    X(and_rm, 3) X(and_mi, 2) X(sub_mr, 3) X(sub_rm, 3) X(sub_mi, 2) X(xor_mr, 3) X(xor_rm, 3)     \
    X(xor_mi, 2) X(cmp_mr, 3) X(cmp_rm, 3) X(cmp_mi, 2) X(test_mr, 3) X(test_mi, 2)
#define EACH_ALU_WORDS(X)                                                                          \
    X(adc_mr, 0) X(adc_rm, 0) X(adc_mi, 0) X(sbb_mr, 0) X(sbb_rm, 0) X(sbb_mi, 0) X(inc, 0)        \
    X(dec, 0) X(neg, 0) X(not, 0) X(imul_rm, 0) X(imul_rmi, 0)

#define DEFINE_SIZES(name, bytes) FAST_SIZES(name)
#define DEFINE_WORDS(name, bytes) FAST_WORDS(name)
EACH_ALU(DEFINE_SIZES)
EACH_ALU_WORDS(DEFINE_WORDS)

#define LIST_SIZES(name, bytes) ROW_SIZES(name, bytes),
#define LIST_WORDS(name, bytes) ROW_WORDS(name, bytes),
const struct fast_row fast_alu_rows[] = {
    EACH_ALU(LIST_SIZES)
    EACH_ALU_WORDS(LIST_WORDS)
    ROW_REGS(shl_m1), ROW_REGS(shl_mi), ROW_REGS(shl_mcl), ROW_REGS(shr_m1), ROW_REGS(shr_mi),
    ROW_REGS(shr_mcl), ROW_REGS(sar_m1), ROW_REGS(sar_mi), ROW_REGS(sar_mcl), ROW_REGS(rol_m1),
    ROW_REGS(rol_mi), ROW_REGS(rol_mcl), ROW_REGS(ror_m1), ROW_REGS(ror_mi), ROW_REGS(ror_mcl),
};
const unsigned fast_alu_nrows = ARRAY_LEN(fast_alu_rows);
