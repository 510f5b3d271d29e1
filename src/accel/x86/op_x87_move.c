// SPDX-License-Identifier: MIT
//
// x87: loads and stores in every format, constants, FXCH, FCMOVcc. SDM vol. 1
// sections 8.2, 8.3.3, 8.3.4.
#include <stddef.h>

#include "ops.h"
#include "x87.h"

/* --- ten bytes of memory: two accesses where the second cannot fault after the first --- */

static void read_m80(struct x86_cpu *cpu, const struct insn *i, struct x87_reg *r)
{
    gva_t va = insn_linear(cpu, i, 10, false);
    if ((va & 0xfff) <= 0xff6) {
        r->mantissa = mem_read64(cpu, va);
        r->sign_exp = mem_read16(cpu, va + 8);
    } else {
        mmu_read(cpu, va, r, 10);
    }
}

static void write_m80(struct x86_cpu *cpu, gva_t va, const struct x87_reg *r)
{
    if ((va & 0xfff) <= 0xff6) {
        mem_write64(cpu, va, r->mantissa);
        mem_write16(cpu, va + 8, r->sign_exp);
    } else {
        mmu_write(cpu, va, r, 10);
    }
}

/* --- loads --- */

/* Room for a push: the register that becomes ST(0) must be empty. */
ALWAYS_INLINE bool is_full(const struct x86_cpu *cpu)
{
    return !x87_is_empty(cpu, 7);
}

/* Push what an instruction that raises no numeric exception brings. */
ALWAYS_INLINE void load_exact(struct x86_cpu *cpu, const struct insn *i, struct x87_reg r)
{
    x87_note(cpu, i);
    if (__builtin_expect(is_full(cpu), 0)) {
        if (x87_stack_fault(cpu, true))
            x87_push(cpu, X87_INDEFINITE);
        return;
    }
    x87_put_bits(cpu, X87_C1, 0);
    x87_push(cpu, r);
}

/* Signalling NaNs and denormals raise; denormals are loaded even so. */
ALWAYS_INLINE void load_float(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                              unsigned size)
{
    x87_enter(cpu);
    uint64_t b = mem_read(cpu, insn_linear(cpu, i, size, false), size);
    x87_note(cpu, i);
    struct x87_reg r = X87_INDEFINITE;
    bool commit;
    if (__builtin_expect(is_full(cpu), 0)) {
        commit = x87_stack_fault(cpu, true);
    } else {
        unsigned sw = x87_run(&cpu->x87, fn, &r, NULL, &b);
        x87_take(cpu, sw);
        commit = !(sw & ~(unsigned)cpu->x87.control & X87_IE);
    }
    if (commit)
        x87_push(cpu, r);
}

#define LOAD_FLOAT(op, mnemonic, size)                                                             \
    X87_HOST(op, mnemonic " (%[b])\n\t" X87_STATUS "fstpt (%[r])")                                 \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        load_float(cpu, i, host_##op, size);                                                       \
    }
LOAD_FLOAT(fld_m32, "flds", 4)
LOAD_FLOAT(fld_m64, "fldl", 8)

void op_fld_m80(struct x86_cpu *cpu, const struct insn *i)
{
    struct x87_reg r;
    x87_enter(cpu);
    read_m80(cpu, i, &r);
    load_exact(cpu, i, r);
}

void op_fld_sti(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter(cpu);
    unsigned n = i->rm & 7;
    if (__builtin_expect(x87_is_empty(cpu, n), 0)) {
        x87_note(cpu, i);
        if (x87_stack_fault(cpu, false))
            x87_push(cpu, X87_INDEFINITE);
        return;
    }
    load_exact(cpu, i, *x87_st(cpu, n));
}

ALWAYS_INLINE void load_integer(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    x87_enter(cpu);
    uint64_t v = sign_extend(mem_read(cpu, insn_linear(cpu, i, size, false), size), size);
    struct x87_reg r = {0};
    if (v) {
        bool negative = v >> 63;
        uint64_t m = negative ? 0 - v : v;
        unsigned zeros = (unsigned)__builtin_clzll(m);
        r.mantissa = m << zeros;
        r.sign_exp = (uint16_t)((negative ? 0x8000u : 0u) | (16383 + 63 - zeros));
    }
    load_exact(cpu, i, r);
}

#define LOAD_INTEGER(op, size)                                                                     \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        load_integer(cpu, i, size);                                                                \
    }
LOAD_INTEGER(fild_m16, 2)
LOAD_INTEGER(fild_m32, 4)
LOAD_INTEGER(fild_m64, 8)

X87_HOST(fbld, "fbld (%[b])\n\t" X87_STATUS "fstpt (%[r])")

/* Nibbles that are no digits give whatever the host makes of them. */
void op_fbld(struct x86_cpu *cpu, const struct insn *i)
{
    struct x87_reg b, r;
    x87_enter(cpu);
    read_m80(cpu, i, &b);
    host_fbld(&r, NULL, &b);
    load_exact(cpu, i, r);
}

/* Constants are rounded by the rounding control, without a flag. */
#define LOAD_CONSTANT(name)                                                                        \
    X87_HOST(name, #name "\n\t" X87_STATUS "fstpt (%[r])")                                         \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        struct x87_reg r;                                                                          \
        x87_enter(cpu);                                                                            \
        x87_run(&cpu->x87, host_##name, &r, NULL, NULL);                                           \
        load_exact(cpu, i, r);                                                                     \
    }
LOAD_CONSTANT(fld1)
LOAD_CONSTANT(fldz)
LOAD_CONSTANT(fldl2t)
LOAD_CONSTANT(fldl2e)
LOAD_CONSTANT(fldpi)
LOAD_CONSTANT(fldlg2)
LOAD_CONSTANT(fldln2)

/* --- stores --- */

/* What is not stored must be possible to store all the same. */
ALWAYS_INLINE void write_result_if(struct x86_cpu *cpu, bool stored, gva_t va,
                                   const struct x87_reg *r, unsigned size)
{
    if (__builtin_expect(!stored, 0))
        mmu_probe_write(cpu, va, size);
    else if (size == 10)
        write_m80(cpu, va, r);
    else
        mem_write(cpu, va, r->mantissa, size);
}

/*
 * Store ST(0) as the host converts it. An exception that is found before the result is there, and
 * overflow and underflow too when unmasked, store nothing and pop nothing: memory has no place for
 * an exponent out of range.
 */
ALWAYS_INLINE void store(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                         struct x87_reg indefinite, unsigned size, bool pop)
{
    x87_enter(cpu);
    gva_t va = insn_linear(cpu, i, size, true);
    if (__builtin_expect(x87_is_empty(cpu, 0), 0)) {
        write_result_if(cpu, cpu->x87.control & X87_IE, va, &indefinite, size);
        x87_note(cpu, i);
        if (x87_stack_fault(cpu, false) && pop)
            x87_pop(cpu);
        return;
    }
    struct x87_reg r = {0};
    unsigned sw = x87_run(&cpu->x87, fn, &r, x87_st(cpu, 0), NULL);
    bool stored = !(sw & ~(unsigned)cpu->x87.control & (X87_FLAGS ^ X87_PE));
    write_result_if(cpu, stored, va, &r, size);
    x87_note(cpu, i);
    x87_take(cpu, sw);
    if (stored && pop)
        x87_pop(cpu);
}

#define STORE(op, mnemonic, size, pop, indefinite)                                                 \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        store(cpu, i, host_##mnemonic,                                                             \
              (struct x87_reg){.mantissa = indefinite, .sign_exp = 0xffff}, size, pop);            \
    }

#define HOST_STORE(mnemonic)                                                                       \
    X87_HOST(mnemonic, "fldt (%[a])\n\t" #mnemonic " (%[r])\n\t" X87_STATUS "fstp %%st(0)")
HOST_STORE(fsts)
HOST_STORE(fstl)
HOST_STORE(fists)
HOST_STORE(fistl)
STORE(fst_m32, fsts, 4, false, 0xffc00000)
STORE(fstp_m32, fsts, 4, true, 0xffc00000)
STORE(fst_m64, fstl, 8, false, 0xfff8ull << 48)
STORE(fstp_m64, fstl, 8, true, 0xfff8ull << 48)
STORE(fist_m16, fists, 2, false, 0x8000)
STORE(fistp_m16, fists, 2, true, 0x8000)
STORE(fist_m32, fistl, 4, false, 0x80000000)
STORE(fistp_m32, fistl, 4, true, 0x80000000)

/* The host pops on these; what remains after an unmasked exception x87_run_careful drops. */
#define HOST_STORE_POP(mnemonic)                                                                   \
    X87_HOST(mnemonic, "fldt (%[a])\n\t" #mnemonic " (%[r])\n\t" X87_STATUS)
HOST_STORE_POP(fistpll)
HOST_STORE_POP(fisttps)
HOST_STORE_POP(fisttpl)
HOST_STORE_POP(fisttpll)
HOST_STORE_POP(fbstp)
STORE(fistp_m64, fistpll, 8, true, 1ull << 63)
STORE(fisttp_m16, fisttps, 2, true, 0x8000)
STORE(fisttp_m32, fisttpl, 4, true, 0x80000000)
STORE(fisttp_m64, fisttpll, 8, true, 1ull << 63)
STORE(fbstp, fbstp, 10, true, 3ull << 62)

void op_fstp_m80(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter(cpu);
    gva_t va = insn_linear(cpu, i, 10, true);
    bool empty = x87_is_empty(cpu, 0);
    struct x87_reg r = empty ? X87_INDEFINITE : *x87_st(cpu, 0);
    write_result_if(cpu, !empty || cpu->x87.control & X87_IE, va, &r, 10);
    x87_note(cpu, i);
    if (empty && !x87_stack_fault(cpu, false))
        return;
    x87_put_bits(cpu, X87_C1, 0);
    x87_pop(cpu);
}

/* The undocumented alias of FSTP ST(i) (D9 D8+i) pops an empty ST(0) without storing or
 * complaining. */
#define OPCODE_FSTPNCE 0xd9

ALWAYS_INLINE void store_register(struct x86_cpu *cpu, const struct insn *i, bool pop)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    struct x87_reg r = *x87_st(cpu, 0);
    bool empty = x87_is_empty(cpu, 0), just_pop = empty && i->opcode == OPCODE_FSTPNCE;
    if (__builtin_expect(empty && !just_pop, 0)) {
        if (!x87_stack_fault(cpu, false))
            return;
        r = X87_INDEFINITE;
    }
    x87_put_bits(cpu, X87_C1, 0);
    if (!just_pop)
        x87_set(cpu, i->rm & 7, r);
    if (pop)
        x87_pop(cpu);
}

void op_fst_sti(struct x86_cpu *cpu, const struct insn *i)
{
    store_register(cpu, i, false);
}

void op_fstp_sti(struct x86_cpu *cpu, const struct insn *i)
{
    store_register(cpu, i, true);
}

/* --- between registers --- */

void op_fxch(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    unsigned n = i->rm & 7;
    struct x87_reg a = *x87_st(cpu, 0), b = *x87_st(cpu, n);
    bool a_empty = x87_is_empty(cpu, 0), b_empty = x87_is_empty(cpu, n);
    x87_put_bits(cpu, X87_C1, 0);
    if (__builtin_expect((a_empty || b_empty) && !x87_stack_fault(cpu, false), 0))
        return;
    x87_set(cpu, 0, b_empty ? X87_INDEFINITE : b);
    x87_set(cpu, n, a_empty ? X87_INDEFINITE : a);
}

/* An empty register is a fault whether the condition holds or not. */
ALWAYS_INLINE void move_if(struct x86_cpu *cpu, const struct insn *i, unsigned condition)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    unsigned n = i->rm & 7;
    if (__builtin_expect(x87_is_empty(cpu, 0) || x87_is_empty(cpu, n), 0)) {
        if (x87_stack_fault(cpu, false))
            x87_set(cpu, 0, X87_INDEFINITE);
    } else if (flags_cond(cpu, condition)) {
        x87_set(cpu, 0, *x87_st(cpu, n));
    }
}

#define MOVE_IF(op, condition)                                                                     \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        move_if(cpu, i, condition);                                                                \
    }
MOVE_IF(fcmovb, 2)
MOVE_IF(fcmovnb, 3)
MOVE_IF(fcmove, 4)
MOVE_IF(fcmovne, 5)
MOVE_IF(fcmovbe, 6)
MOVE_IF(fcmovnbe, 7)
MOVE_IF(fcmovu, 10)
MOVE_IF(fcmovnu, 11)
