// SPDX-License-Identifier: MIT
//
// Shifts and rotates: SHL SHR SAR ROL ROR RCL RCR by one, by CL and by an immediate; SHLD and SHRD.
// SDM vol. 2. The count is taken modulo 32 (64 for 64-bit operands); zero leaves all flags alone
// but is still a write of the destination. What the manuals leave undefined (OF for counts above
// one, AF) follows AMD processors; undefined.c lists it.
#include "ops.h"
#include "regs.h"
#include "shift.h"

/* Through CF: a rotate of bits + 1 bits, so 8- and 16-bit counts go modulo 9 and 17. */
ALWAYS_INLINE unsigned rotate_count_carry(unsigned n, unsigned size)
{
    return size <= 2 ? n % (size * 8 + 1) : n;
}

ALWAYS_INLINE uint64_t shift_rcl(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    unsigned bits = size * 8, k = rotate_count_carry(n, size);
    bool cf = flag_cf(cpu);
    uint64_t r = a;
    if (k) {
        r = (k < 64 ? a << k : 0) | (uint64_t)cf << (k - 1);
        if (k > 1)
            r |= a >> (bits + 1 - k);
        cf = a >> (bits - k) & 1;
        r &= size_mask(size);
    }
    rotate_flags(cpu, cf, msb(r, size) != cf);
    return r;
}

ALWAYS_INLINE uint64_t shift_rcr(struct x86_cpu *cpu, uint64_t a, unsigned n, unsigned size)
{
    unsigned bits = size * 8, k = rotate_count_carry(n, size);
    bool cf = flag_cf(cpu);
    uint64_t r = a;
    if (k) {
        r = a >> (k - 1) >> 1 | (uint64_t)cf << (bits - k);
        if (k > 1)
            r |= a << (bits + 1 - k);
        cf = a >> (k - 1) & 1;
        r &= size_mask(size);
    }
    rotate_flags(cpu, cf, msb(r, size) != (r >> (bits - 2) & 1));
    return r;
}

/* Operation op_NAME_SUFFIX: NAME_by with a count from one place. */
#define BY_COUNT(name, suffix, count, sizes)                                                       \
    ALWAYS_INLINE void name##_##suffix(struct x86_cpu *cpu, const struct insn *i, unsigned size)   \
    {                                                                                              \
        name##_by(cpu, i, count, size);                                                            \
    }                                                                                              \
    sizes(name##_##suffix)

#define SHIFT(name)                                                                                \
    ALWAYS_INLINE void name##_by(struct x86_cpu *cpu, const struct insn *i, unsigned count,        \
                                 unsigned size)                                                    \
    {                                                                                              \
        struct rm_place place;                                                                     \
        uint64_t a = rm_load(cpu, i, &place, size);                                                \
        count &= size == 8 ? 63 : 31;                                                              \
        if (count)                                                                                 \
            a = shift_##name(cpu, a, count, size);                                                 \
        rm_store(cpu, i, &place, a, size);                                                         \
    }                                                                                              \
    BY_COUNT(name, m1, 1, OP_SIZES)                                                                \
    BY_COUNT(name, mcl, (uint8_t)cpu->gpr[RCX], OP_SIZES)                                          \
    BY_COUNT(name, mi, (uint8_t)i->imm, OP_SIZES)

SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)

/* --- double shifts --- */

/*
 * 16-bit operands with counts above 16 are undefined; here the source comes once more, as on AMD
 * processors.
 */
ALWAYS_INLINE uint64_t double_left(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned n,
                                   unsigned size)
{
    unsigned bits = size * 8;
    uint64_t r;
    bool cf;
    if (size == 2) {
        uint64_t all = a << 32 | b << 16 | b;
        r = all << n >> 32 & 0xffff;
        cf = all >> (48 - n) & 1;
    } else {
        r = ((a << n) | (b >> (bits - n))) & size_mask(size);
        cf = a >> (bits - n) & 1;
    }
    shift_flags(cpu, r, cf, msb(r, size) != cf, size);
    return r;
}

ALWAYS_INLINE uint64_t double_right(struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned n,
                                    unsigned size)
{
    unsigned bits = size * 8;
    uint64_t r;
    bool cf;
    if (size == 2) {
        uint64_t all = b << 32 | b << 16 | a;
        r = all >> n & 0xffff;
        cf = all >> (n - 1) & 1;
    } else {
        r = ((a >> n) | (b << (bits - n))) & size_mask(size);
        cf = a >> (n - 1) & 1;
    }
    shift_flags(cpu, r, cf, msb(r, size) != (r >> (bits - 2) & 1), size);
    return r;
}

#define DOUBLE_SHIFT(name, compute)                                                                \
    ALWAYS_INLINE void name##_by(struct x86_cpu *cpu, const struct insn *i, unsigned count,        \
                                 unsigned size)                                                    \
    {                                                                                              \
        struct rm_place place;                                                                     \
        uint64_t a = rm_load(cpu, i, &place, size);                                                \
        count &= size == 8 ? 63 : 31;                                                              \
        if (count)                                                                                 \
            a = compute(cpu, a, gpr_read(cpu, i->reg, size), count, size);                         \
        rm_store(cpu, i, &place, a, size);                                                         \
    }                                                                                              \
    BY_COUNT(name, mcl, (uint8_t)cpu->gpr[RCX], OP_WORDS)                                          \
    BY_COUNT(name, mi, (uint8_t)i->imm, OP_WORDS)

DOUBLE_SHIFT(shld, double_left)
DOUBLE_SHIFT(shrd, double_right)
