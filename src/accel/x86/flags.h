// SPDX-License-Identifier: MIT
//
// Lazy arithmetic flags: see struct lazy_flags in cpu.h. An operation stores its result and its
// vector of carry-outs (bit n: carry or borrow out of bit n); each flag is computed when somebody
// asks. For a + b = r the carry-outs are (a & b) | ((a | b) & ~r); for a - b = r the borrows are
// (~a & b) | ((~a | b) & r): the majority function of a full adder, read backwards from the sum.
#pragma once

#include "cpu.h"

#define CARRY_CF (1ull << 63)
#define CARRY_IN_SIGN (1ull << 62)
#define CARRY_AF (1ull << 3)
#define CARRY_SF_FLIP (1ull << 0)
#define CARRY_PF_SHIFT 8

/* result: any bits above `bits` are ignored; carries: bit n = carry out of bit n. */
static inline void flags_set(struct x86_cpu *cpu, uint64_t result, uint64_t carries, unsigned bits)
{
    cpu->fl.result = (int64_t)(result << (64 - bits)) >> (64 - bits);
    cpu->fl.carry = ((carries << (64 - bits)) & (CARRY_CF | CARRY_IN_SIGN)) | (carries & CARRY_AF);
}

static inline void flags_add(struct x86_cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned bits)
{
    flags_set(cpu, r, (a & b) | ((a | b) & ~r), bits);
}

static inline void flags_sub(struct x86_cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned bits)
{
    flags_set(cpu, r, (~a & b) | ((~a | b) & r), bits);
}

/* CF = OF = AF = 0 (AF is undefined after logic operations; AMD and Intel clear it). */
static inline void flags_logic(struct x86_cpu *cpu, uint64_t r, unsigned bits)
{
    cpu->fl.result = (int64_t)(r << (64 - bits)) >> (64 - bits);
    cpu->fl.carry = 0;
}

static inline bool flag_cf(const struct x86_cpu *cpu)
{
    return cpu->fl.carry >> 63;
}

static inline bool flag_zf(const struct x86_cpu *cpu)
{
    return cpu->fl.result == 0;
}

static inline bool flag_sf(const struct x86_cpu *cpu)
{
    return ((uint64_t)cpu->fl.result >> 63) ^ (cpu->fl.carry & 1);
}

static inline bool flag_of(const struct x86_cpu *cpu)
{
    return (cpu->fl.carry >> 63 ^ cpu->fl.carry >> 62) & 1;
}

static inline bool flag_af(const struct x86_cpu *cpu)
{
    return cpu->fl.carry >> 3 & 1;
}

static inline bool flag_pf(const struct x86_cpu *cpu)
{
    return !__builtin_parity(
        ((uint32_t)cpu->fl.result ^ (uint32_t)(cpu->fl.carry >> CARRY_PF_SHIFT)) & 0xff);
}

/* All six as they stand in RFLAGS. */
static inline uint32_t flags_get(const struct x86_cpu *cpu)
{
    return (flag_cf(cpu) ? FL_CF : 0u) | (flag_pf(cpu) ? FL_PF : 0u) | (flag_af(cpu) ? FL_AF : 0u) |
           (flag_zf(cpu) ? FL_ZF : 0u) | (flag_sf(cpu) ? FL_SF : 0u) | (flag_of(cpu) ? FL_OF : 0u);
}

/* Any image of the six, also those that no result has. */
static inline void flags_put(struct x86_cpu *cpu, uint32_t f)
{
    bool cf = f & FL_CF, of = f & FL_OF, sf = f & FL_SF, zf = f & FL_ZF;
    /* result 0 or 1: its sign is 0, its parity byte is 0 (even) or 1 (odd). */
    cpu->fl.result = zf ? 0 : 1;
    bool pf = zf; /* of that byte: 0 is even, 1 is odd */
    cpu->fl.carry = (cf ? CARRY_CF : 0) | ((cf != of) ? CARRY_IN_SIGN : 0) |
                    (f & FL_AF ? CARRY_AF : 0) | (sf ? CARRY_SF_FLIP : 0) |
                    ((pf != !!(f & FL_PF)) ? 1ull << CARRY_PF_SHIFT : 0);
}

/* Condition code 0-15 as in Jcc (SDM vol. 1 appendix B). */
static inline bool flags_cond(const struct x86_cpu *cpu, unsigned cc)
{
    bool v;
    switch (cc >> 1) {
    case 0: v = flag_of(cpu); break;
    case 1: v = flag_cf(cpu); break;
    case 2: v = flag_zf(cpu); break;
    case 3: v = flag_cf(cpu) || flag_zf(cpu); break;
    case 4: v = flag_sf(cpu); break;
    case 5: v = flag_pf(cpu); break;
    case 6: v = flag_sf(cpu) != flag_of(cpu); break;
    default: v = flag_zf(cpu) || flag_sf(cpu) != flag_of(cpu); break;
    }
    return v ^ (cc & 1);
}

/* All of RFLAGS. */
static inline uint64_t rflags_get(const struct x86_cpu *cpu)
{
    return (cpu->rflags & ~(uint64_t)FL_ARITH) | flags_get(cpu) | 2;
}

/*
 * Flags that are undefined after `i`, and whether its result is; to be asked before it runs
 * (undefined.c).
 */
uint32_t x86_undefined_flags(const struct x86_cpu *cpu, const struct insn *i);
bool x86_undefined_result(const struct x86_cpu *cpu, const struct insn *i);
