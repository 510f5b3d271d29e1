// SPDX-License-Identifier: MIT
//
// The arithmetic of shifts and plain rotates, with their lazy flags (op_shift.c tells what they
// do). Shared by the operation functions and an engine's specialised variants.
#pragma once

#include "regs.h"

/* Result flags of a shift, with CF and OF given; AF set, as AMD processors leave it. */
ALWAYS_INLINE void shift_flags(struct x86_cpu *cpu, uint64_t r, bool cf, bool of, unsigned size)
{
    flags_logic(cpu, r, size * 8);
    cpu->fl.carry = CARRY_AF | (cf ? CARRY_CF : 0) | (cf != of ? CARRY_IN_SIGN : 0);
}

/* A rotate changes CF and OF only. */
ALWAYS_INLINE void rotate_flags(struct x86_cpu *cpu, bool cf, bool of)
{
    cpu->fl.carry = (cpu->fl.carry & ~(CARRY_CF | CARRY_IN_SIGN)) | (cf ? CARRY_CF : 0) |
                    (cf != of ? CARRY_IN_SIGN : 0);
}

ALWAYS_INLINE bool msb(uint64_t v, unsigned size)
{
    return v >> (size * 8 - 1) & 1;
}

/* Each takes a (zero-extended) and a count of 1 to 63 after masking. */
ALWAYS_INLINE uint64_t shift_shl(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    bool cf = n <= size * 8 && (a >> (size * 8 - n) & 1);
    uint64_t r = (a << n) & size_mask(size);
    shift_flags(cpu, r, cf, msb(r, size) != cf, size);
    return r;
}

ALWAYS_INLINE uint64_t shift_shr(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    uint64_t last = a >> (n - 1);
    uint64_t r = last >> 1;
    shift_flags(cpu, r, last & 1, msb(last, size), size);
    return r;
}

ALWAYS_INLINE uint64_t shift_sar(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    int64_t last = (int64_t)sign_extend(a, size) >> (n - 1);
    uint64_t r = (uint64_t)(last >> 1);
    shift_flags(cpu, r, last & 1, false, size);
    return r;
}

ALWAYS_INLINE uint64_t shift_rol(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    unsigned bits = size * 8, k = n & (bits - 1);
    uint64_t r = k ? ((a << k) | (a >> (bits - k))) & size_mask(size) : a;
    bool cf = r & 1;
    rotate_flags(cpu, cf, msb(r, size) != cf);
    return r;
}

ALWAYS_INLINE uint64_t shift_ror(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    unsigned bits = size * 8, k = n & (bits - 1);
    uint64_t r = k ? ((a >> k) | (a << (bits - k))) & size_mask(size) : a;
    bool cf = msb(r, size);
    rotate_flags(cpu, cf, cf != (r >> (bits - 2) & 1));
    return r;
}
