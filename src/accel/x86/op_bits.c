// SPDX-License-Identifier: MIT
//
// Single bits and bit fields: BT/BTS/BTR/BTC, BSF/BSR, LZCNT, TZCNT, POPCNT, CRC32, and BMI1/BMI2
// (VEX). SDM vol. 2. Flags that the manuals leave undefined are kept or computed as AMD processors
// do (undefined.c).
#include "ops.h"
#include "regs.h"

/* --- bit tests --- */

enum bit_action { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

ALWAYS_INLINE uint64_t bit_apply(enum bit_action action, uint64_t v, uint64_t bit)
{
    switch (action) {
    case BIT_SET:
        return v | bit;
    case BIT_RESET:
        return v & ~bit;
    case BIT_COMPLEMENT:
        return v ^ bit;
    default:
        return v;
    }
}

/*
 * A register bit number is signed and reaches beyond a memory operand: the operand-sized word that
 * holds the bit is the one accessed. Immediate numbers stay inside.
 */
ALWAYS_INLINE void bit_op(struct x86_cpu *cpu, const struct insn *i, enum bit_action action,
                          bool immediate, unsigned size)
{
    unsigned bits = size * 8;
    uint64_t n = immediate ? (uint64_t)i->imm : sign_extend(cpu->gpr[i->reg], size);
    uint64_t bit = 1ull << (n & (bits - 1)), v;
    if (!(i->flags & INSN_MEM)) {
        v = gpr_read(cpu, i->rm, size);
        if (action != BIT_TEST)
            gpr_write(cpu, i->rm, bit_apply(action, v, bit), size);
    } else {
        uint64_t off = insn_offset(cpu, i);
        if (!immediate)
            off = (off + (uint64_t)((int64_t)n >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * size) &
                  size_mask(i->adsize);
        gva_t va = seg_linear(cpu, i->seg, off, size, action != BIT_TEST);
        if (action == BIT_TEST) {
            v = mem_read(cpu, va, size);
        } else {
            v = mem_rmw(cpu, va, size);
            mem_write(cpu, va, bit_apply(action, v, bit), size);
        }
    }
    flag_set_cf(cpu, v & bit);
}

#define BIT_OP(name, action)                                                                       \
    ALWAYS_INLINE void name##_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)         \
    {                                                                                              \
        bit_op(cpu, i, action, false, size);                                                       \
    }                                                                                              \
    ALWAYS_INLINE void name##_mi(struct x86_cpu *cpu, const struct insn *i, unsigned size)         \
    {                                                                                              \
        bit_op(cpu, i, action, true, size);                                                        \
    }                                                                                              \
    OP_WORDS(name##_mr)                                                                            \
    OP_WORDS(name##_mi)

BIT_OP(bt, BIT_TEST)
BIT_OP(bts, BIT_SET)
BIT_OP(btr, BIT_RESET)
BIT_OP(btc, BIT_COMPLEMENT)

/* --- scans and counts --- */

/* ZF tells a zero source; the others follow the result, but SF, OF, AF and CF are clear. */
ALWAYS_INLINE void flags_scan(struct x86_cpu *cpu, bool zero, uint64_t index)
{
    cpu->fl.result = zero ? 0 : (int64_t)(index | 0x100); /* not zero, and PF that of the index */
    cpu->fl.carry = 0;
}

/* CF tells a zero source, ZF a zero result; OF stays, the others are clear. */
ALWAYS_INLINE void flags_count(struct x86_cpu *cpu, bool zero, uint64_t r)
{
    bool of = flag_of(cpu);
    cpu->fl.result = r ? 1 : 0; /* odd: PF clear */
    cpu->fl.carry = (zero ? CARRY_CF : 0) | (zero != of ? CARRY_IN_SIGN : 0) |
                    (r ? 0 : 1ull << CARRY_PF_SHIFT);
}

/* A zero source leaves the destination as it is, a 32-bit one in its upper half too. */
ALWAYS_INLINE void bsf(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size), r = v ? (uint64_t)__builtin_ctzll(v) : 0;
    if (v)
        gpr_write(cpu, i->reg, r, size);
    flags_scan(cpu, v == 0, r);
}

ALWAYS_INLINE void bsr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size), r = v ? 63u - (uint64_t)__builtin_clzll(v) : 0;
    if (v)
        gpr_write(cpu, i->reg, r, size);
    flags_scan(cpu, v == 0, r);
}

ALWAYS_INLINE void tzcnt(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    uint64_t r = v ? (uint64_t)__builtin_ctzll(v) : size * 8;
    gpr_write(cpu, i->reg, r, size);
    flags_count(cpu, v == 0, r);
}

ALWAYS_INLINE void lzcnt(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    uint64_t r = v ? (uint64_t)__builtin_clzll(v) - (64 - size * 8) : size * 8;
    gpr_write(cpu, i->reg, r, size);
    flags_count(cpu, v == 0, r);
}

ALWAYS_INLINE void popcnt(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    gpr_write(cpu, i->reg, (uint64_t)__builtin_popcountll(v), size);
    flags_put(cpu, v ? 0 : FL_ZF);
}

OP_WORDS(bsf)
OP_WORDS(bsr)
OP_WORDS(tzcnt)
OP_WORDS(lzcnt)
OP_WORDS(popcnt)

/* --- CRC32C (Castagnoli), bits reflected: polynomial 0x11EDC6F41 --- */

#define CRC_STEP(c) ((c) & 1 ? (c) >> 1 ^ 0x82f63b78u : (c) >> 1)

static uint32_t crc32c_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = CRC_STEP(crc);
    return crc;
}

ALWAYS_INLINE void crc32(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    uint32_t crc = (uint32_t)cpu->gpr[i->reg];
    for (unsigned n = 0; n < size; n++)
        crc = crc32c_byte(crc, (uint8_t)(v >> n * 8));
    cpu->gpr[i->reg] = crc;
}

OP_SIZES(crc32)

/* --- BMI1, BMI2: 32 or 64 bits --- */

/* VEX is unknown in real and v8086 mode. */
ALWAYS_INLINE void vex_check(struct x86_cpu *cpu)
{
    if (__builtin_expect(x86_real_or_v86(cpu), 0))
        x86_raise(cpu, X86_UD);
}

#define OP_BMI(name)                                                                               \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vex_check(cpu);                                                                            \
        if (i->opsize == 8)                                                                        \
            name(cpu, i, 8);                                                                       \
        else                                                                                       \
            name(cpu, i, 4);                                                                       \
    }

ALWAYS_INLINE void andn(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t r = rm_read(cpu, i, size) & ~gpr_read(cpu, i->vvvv, size);
    gpr_write(cpu, i->reg, r, size);
    flags_logic(cpu, r, size * 8);
}

ALWAYS_INLINE void bextr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size), control = cpu->gpr[i->vvvv];
    unsigned start = control & 0xff, length = control >> 8 & 0xff;
    uint64_t r = start < 64 ? v >> start : 0;
    if (length < 64)
        r &= (1ull << length) - 1;
    gpr_write(cpu, i->reg, r, size);
    flags_logic(cpu, r, size * 8);
    cpu->fl.carry = CARRY_AF; /* as after shifts */
}

/* The three that work on the lowest set bit: result, and CF. */
ALWAYS_INLINE void lowest_bit(struct x86_cpu *cpu, const struct insn *i, uint64_t r, bool cf,
                              unsigned size)
{
    gpr_write(cpu, i->vvvv, r, size);
    flags_logic(cpu, r, size * 8);
    flag_set_cf(cpu, cf);
}

ALWAYS_INLINE void blsi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    lowest_bit(cpu, i, v & -v, v != 0, size);
}

ALWAYS_INLINE void blsmsk(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    lowest_bit(cpu, i, v ^ (v - 1), v == 0, size);
}

ALWAYS_INLINE void blsr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    lowest_bit(cpu, i, v & (v - 1), v == 0, size);
}

ALWAYS_INLINE void bzhi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    unsigned n = cpu->gpr[i->vvvv] & 0xff;
    bool beyond = n >= size * 8;
    uint64_t r = beyond ? v : v & ((1ull << n) - 1);
    gpr_write(cpu, i->reg, r, size);
    flags_logic(cpu, r, size * 8);
    flag_set_cf(cpu, beyond);
}

/* The high half is written last: it wins when both destinations are the same. */
ALWAYS_INLINE void mulx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned __int128 r =
        (unsigned __int128)rm_read(cpu, i, size) * gpr_read(cpu, RDX, size);
    gpr_write(cpu, i->vvvv, (uint64_t)r, size);
    gpr_write(cpu, i->reg, (uint64_t)(r >> (size * 8)), size);
}

ALWAYS_INLINE void pdep(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t mask = rm_read(cpu, i, size), v = gpr_read(cpu, i->vvvv, size), r = 0;
    for (; mask; mask &= mask - 1, v >>= 1)
        if (v & 1)
            r |= mask & -mask;
    gpr_write(cpu, i->reg, r, size);
}

ALWAYS_INLINE void pext(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t mask = rm_read(cpu, i, size), v = gpr_read(cpu, i->vvvv, size), r = 0;
    for (uint64_t bit = 1; mask; mask &= mask - 1, bit <<= 1)
        if (v & mask & -mask)
            r |= bit;
    gpr_write(cpu, i->reg, r, size);
}

ALWAYS_INLINE void rorx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned bits = size * 8, n = (unsigned)i->imm & (bits - 1);
    uint64_t v = rm_read(cpu, i, size);
    gpr_write(cpu, i->reg, v >> n | v << ((bits - n) & (bits - 1)), size);
}

ALWAYS_INLINE void sarx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    int64_t v = (int64_t)sign_extend(rm_read(cpu, i, size), size);
    gpr_write(cpu, i->reg, (uint64_t)(v >> (cpu->gpr[i->vvvv] & (size * 8 - 1))), size);
}

ALWAYS_INLINE void shlx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    gpr_write(cpu, i->reg, v << (cpu->gpr[i->vvvv] & (size * 8 - 1)), size);
}

ALWAYS_INLINE void shrx(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t v = rm_read(cpu, i, size);
    gpr_write(cpu, i->reg, v >> (cpu->gpr[i->vvvv] & (size * 8 - 1)), size);
}

OP_BMI(andn)
OP_BMI(bextr)
OP_BMI(blsi)
OP_BMI(blsmsk)
OP_BMI(blsr)
OP_BMI(bzhi)
OP_BMI(mulx)
OP_BMI(pdep)
OP_BMI(pext)
OP_BMI(rorx)
OP_BMI(sarx)
OP_BMI(shlx)
OP_BMI(shrx)
