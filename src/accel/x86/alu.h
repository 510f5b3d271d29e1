// SPDX-License-Identifier: MIT
//
// The arithmetic of two-operand and one-operand instructions: compute, set the lazy flags, give the
// result. Shared by the operation functions and an engine's specialised variants.
#pragma once

#include "regs.h"

/* --- ADD OR ADC SBB AND SUB XOR CMP TEST: compute, set flags, give the result --- */

ALWAYS_INLINE uint64_t alu_add(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t r = a + b;
    flags_add(cpu, a, b, r, size * 8);
    return r;
}

ALWAYS_INLINE uint64_t alu_adc(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t r = a + b + flag_cf(cpu);
    flags_add(cpu, a, b, r, size * 8);
    return r;
}

ALWAYS_INLINE uint64_t alu_sub(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t r = a - b;
    flags_sub(cpu, a, b, r, size * 8);
    return r;
}

ALWAYS_INLINE uint64_t alu_sbb(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t r = a - b - flag_cf(cpu);
    flags_sub(cpu, a, b, r, size * 8);
    return r;
}

ALWAYS_INLINE uint64_t alu_or(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    flags_logic(cpu, a | b, size * 8);
    return a | b;
}

ALWAYS_INLINE uint64_t alu_and(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    flags_logic(cpu, a & b, size * 8);
    return a & b;
}

ALWAYS_INLINE uint64_t alu_xor(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    flags_logic(cpu, a ^ b, size * 8);
    return a ^ b;
}

/* --- one operand --- */

ALWAYS_INLINE uint64_t alu_inc(struct x86_cpu *cpu, uint64_t a, unsigned size)
{
    bool cf = flag_cf(cpu);
    uint64_t r = alu_add(cpu, a, 1, size);
    flag_set_cf(cpu, cf);
    return r;
}

ALWAYS_INLINE uint64_t alu_dec(struct x86_cpu *cpu, uint64_t a, unsigned size)
{
    bool cf = flag_cf(cpu);
    uint64_t r = alu_sub(cpu, a, 1, size);
    flag_set_cf(cpu, cf);
    return r;
}

ALWAYS_INLINE uint64_t alu_neg(struct x86_cpu *cpu, uint64_t a, unsigned size)
{
    return alu_sub(cpu, 0, a, size);
}

ALWAYS_INLINE uint64_t alu_not(struct x86_cpu *cpu, uint64_t a, unsigned size)
{
    (void)cpu, (void)size;
    return ~a;
}
