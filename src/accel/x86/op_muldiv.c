// SPDX-License-Identifier: MIT
//
// Multiplication and division, and decimal adjustment (AAM AAD AAA AAS DAA DAS). SDM vol. 2.
// Multiplications set CF and OF; SF, ZF, AF and PF are undefined then and stay as they were, as on
// AMD processors. All six are undefined after a division; here they stay.
#include "ops.h"
#include "regs.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

/* --- the double-width accumulator: AX, DX:AX, EDX:EAX, RDX:RAX --- */

ALWAYS_INLINE u128 wide_read(const struct x86_cpu *cpu, unsigned size)
{
    if (size == 1)
        return (uint16_t)cpu->gpr[RAX];
    return (u128)gpr_read(cpu, RDX, size) << (size * 8) | gpr_read(cpu, RAX, size);
}

/* Halves as DIV leaves them: quotient and remainder, or low and high. */
ALWAYS_INLINE void wide_write(struct x86_cpu *cpu, uint64_t low, uint64_t high, unsigned size)
{
    if (size == 1) {
        gpr_write(cpu, RAX, (low & 0xff) | (high & 0xff) << 8, 2);
        return;
    }
    gpr_write(cpu, RAX, low, size);
    gpr_write(cpu, RDX, high, size);
}

static inline void mul_flags(struct x86_cpu *cpu, bool overflow)
{
    cpu->fl.carry = (cpu->fl.carry & ~(CARRY_CF | CARRY_IN_SIGN)) | (overflow ? CARRY_CF : 0);
}

/* --- MUL, IMUL --- */

ALWAYS_INLINE void mul(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    u128 r = (u128)rm_read(cpu, i, size) * gpr_read(cpu, RAX, size);
    uint64_t high = (uint64_t)(r >> (size * 8));
    mul_flags(cpu, high != 0);
    wide_write(cpu, (uint64_t)r, high, size);
}

/* Signed product; says whether it does not fit `size` bytes. */
ALWAYS_INLINE i128 multiply_signed(uint64_t a, uint64_t b, unsigned size, bool *overflow)
{
    i128 r = (i128)(int64_t)sign_extend(a, size) * (int64_t)sign_extend(b, size);
    *overflow = r != (int64_t)sign_extend((uint64_t)r, size);
    return r;
}

ALWAYS_INLINE void imul_m(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    bool overflow;
    i128 r = multiply_signed(rm_read(cpu, i, size), gpr_read(cpu, RAX, size), size, &overflow);
    mul_flags(cpu, overflow);
    wide_write(cpu, (uint64_t)r, (uint64_t)(r >> (size * 8)), size);
}

ALWAYS_INLINE void imul_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    bool overflow;
    i128 r = multiply_signed(rm_read(cpu, i, size), gpr_read(cpu, i->reg, size), size, &overflow);
    mul_flags(cpu, overflow);
    gpr_write(cpu, i->reg, (uint64_t)r, size);
}

ALWAYS_INLINE void imul_rmi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    bool overflow;
    i128 r = multiply_signed(rm_read(cpu, i, size), (uint64_t)i->imm, size, &overflow);
    mul_flags(cpu, overflow);
    gpr_write(cpu, i->reg, (uint64_t)r, size);
}

OP_SIZES(mul)
OP_SIZES(imul_m)
OP_WORDS(imul_rm)
OP_WORDS(imul_rmi)

/* --- DIV, IDIV: #DE when the divisor is zero or the quotient does not fit --- */

ALWAYS_INLINE void div(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t d = rm_read(cpu, i, size);
    u128 n = wide_read(cpu, size);
    if (d == 0 || (uint64_t)(n >> (size * 8)) >= d)
        x86_raise(cpu, X86_DE);
    if (size == 8 && n >> 64) {
        wide_write(cpu, (uint64_t)(n / d), (uint64_t)(n % d), size);
        return;
    }
    uint64_t n64 = (uint64_t)n;
    wide_write(cpu, n64 / d, n64 % d, size);
}

/* On magnitudes, so that no intermediate result can overflow. */
ALWAYS_INLINE void idiv(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned bits = size * 8;
    uint64_t d = sign_extend(rm_read(cpu, i, size), size);
    u128 n = wide_read(cpu, size);
    bool n_negative = n >> (2 * bits - 1) & 1, d_negative = d >> 63;
    u128 n_abs = n_negative ? -n : n;
    if (size < 8)
        n_abs &= ((u128)1 << 2 * bits) - 1;
    uint64_t d_abs = d_negative ? -d : d;
    uint64_t limit =
        (1ull << (bits - 1)) - (n_negative == d_negative); /* of the quotient's magnitude */
    if (d_abs == 0 || (uint64_t)(n_abs >> bits) >= d_abs)
        x86_raise(cpu, X86_DE);
    uint64_t q, r;
    if (size == 8 && n_abs >> 64) {
        q = (uint64_t)(n_abs / d_abs);
        r = (uint64_t)(n_abs % d_abs);
    } else {
        q = (uint64_t)n_abs / d_abs;
        r = (uint64_t)n_abs % d_abs;
    }
    if (q > limit)
        x86_raise(cpu, X86_DE);
    wide_write(cpu, n_negative != d_negative ? -q : q, n_negative ? -r : r, size);
}

OP_SIZES(div)
OP_SIZES(idiv)

/* --- decimal --- */

void op_aam(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t base = (uint8_t)i->imm, al = (uint8_t)cpu->gpr[RAX];
    if (base == 0)
        x86_raise(cpu, X86_DE);
    uint8_t r = al % base;
    gpr_write(cpu, RAX, (uint64_t)(al / base) << 8 | r, 2);
    flags_logic(cpu, r, 8);
}

void op_aad(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t ax = cpu->gpr[RAX];
    uint8_t r = (uint8_t)(ax + (ax >> 8 & 0xff) * (uint8_t)i->imm);
    gpr_write(cpu, RAX, r, 2);
    flags_logic(cpu, r, 8);
}

/* Result flags of AL, with CF and AF given and OF clear. */
static void decimal_flags(struct x86_cpu *cpu, uint8_t al, bool cf, bool af)
{
    flags_logic(cpu, al, 8);
    cpu->fl.carry = (cf ? CARRY_CF | CARRY_IN_SIGN : 0) | (af ? CARRY_AF : 0);
}

/* AAA and AAS: one digit in AL, the carry goes to AH. `adjust` is 0x106 or its negative. */
static void ascii_adjust(struct x86_cpu *cpu, uint64_t adjust)
{
    uint64_t ax = cpu->gpr[RAX];
    bool carry = (ax & 15) > 9 || flag_af(cpu);
    if (carry)
        ax += adjust;
    gpr_write(cpu, RAX, ax & 0xff0f, 2);
    decimal_flags(cpu, (uint8_t)(ax & 0x0f), carry, carry);
}

void op_aaa(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    ascii_adjust(cpu, 0x106);
}

void op_aas(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    ascii_adjust(cpu, 0 - 0x106ull);
}

/* DAA and DAS: two packed digits in AL. */
static void decimal_adjust(struct x86_cpu *cpu, bool subtract)
{
    uint8_t old = (uint8_t)cpu->gpr[RAX];
    unsigned adjust = 0;
    bool old_cf = flag_cf(cpu), cf = false, af = (old & 15) > 9 || flag_af(cpu);
    if (af) {
        adjust = 6;
        cf = old_cf || (subtract ? old < 6 : old > 0xff - 6);
    }
    if (old > 0x99 || old_cf) {
        adjust += 0x60;
        cf = true;
    }
    uint8_t al = (uint8_t)(subtract ? old - adjust : old + adjust);
    gpr_write(cpu, RAX, al, 1);
    decimal_flags(cpu, al, cf, af);
}

void op_daa(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    decimal_adjust(cpu, false);
}

void op_das(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    decimal_adjust(cpu, true);
}
