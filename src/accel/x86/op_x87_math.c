// SPDX-License-Identifier: MIT
//
// x87: functions of one and two operands. SDM vol. 1 sections 8.3.5 to 8.3.7.
#include <stddef.h>

#include "ops.h"
#include "x87.h"

/* --- sign and class: nothing to compute --- */

ALWAYS_INLINE void change_sign(struct x86_cpu *cpu, const struct insn *i, unsigned keep,
                               unsigned flip)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    struct x87_reg r = *x87_st(cpu, 0);
    if (__builtin_expect(x87_is_empty(cpu, 0), 0)) {
        if (x87_stack_fault(cpu, false))
            x87_set(cpu, 0, X87_INDEFINITE);
        return;
    }
    x87_put_bits(cpu, X87_C1, 0);
    r.sign_exp = (uint16_t)((r.sign_exp & keep) ^ flip);
    x87_set(cpu, 0, r);
}

void op_fchs(struct x86_cpu *cpu, const struct insn *i)
{
    change_sign(cpu, i, 0xffff, 0x8000);
}

void op_fabs(struct x86_cpu *cpu, const struct insn *i)
{
    change_sign(cpu, i, 0x7fff, 0);
}

X87_HOST(fxam, "fldt (%[a])\n\tfxam\n\t" X87_STATUS "fstp %%st(0)")

void op_fxam(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    const struct x87_reg *a = x87_st(cpu, 0);
    unsigned sw = X87_C3 | X87_C0 | (a->sign_exp >> 15 ? X87_C1 : 0u);
    if (!x87_is_empty(cpu, 0))
        sw = host_fxam(NULL, a, NULL);
    x87_put_bits(cpu, X87_C0 | X87_C1 | X87_C2 | X87_C3, sw);
}

/* --- ST(0) from ST(0), and from ST(0) and ST(1) --- */

static bool is_nan(const struct x87_reg *r)
{
    return (r->sign_exp & 0x7fff) == 0x7fff && r->mantissa << 1;
}

/* `bits`: condition codes beyond C1 that the instruction defines; a stack fault clears C2. */
ALWAYS_INLINE void one_result(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                              bool two_operands, unsigned bits)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    struct x87_reg r = X87_INDEFINITE;
    bool commit;
    if (__builtin_expect(x87_is_empty(cpu, 0) || (two_operands && x87_is_empty(cpu, 1)), 0)) {
        commit = x87_stack_fault(cpu, false);
        x87_put_bits(cpu, bits & X87_C2, 0);
    } else {
        unsigned sw = x87_run(&cpu->x87, fn, &r, x87_st(cpu, 0), x87_st(cpu, 1));
        commit = x87_take(cpu, sw);
        x87_put_bits(cpu, commit && !is_nan(&r) ? bits : bits & X87_C2,
                     sw); /* else there is no quotient */
    }
    if (commit)
        x87_set(cpu, 0, r);
}

#define ONE_OPERAND(name, bits)                                                                    \
    X87_HOST(name, "fldt (%[a])\n\t" #name "\n\t" X87_STATUS "fstpt (%[r])")                       \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        one_result(cpu, i, host_##name, false, bits);                                              \
    }
ONE_OPERAND(fsqrt, 0)
ONE_OPERAND(frndint, 0)
ONE_OPERAND(f2xm1, 0)
ONE_OPERAND(fsin, X87_C2)
ONE_OPERAND(fcos, X87_C2)

#define TWO_OPERANDS(name, bits)                                                                   \
    X87_HOST(name, "fldt (%[b])\n\tfldt (%[a])\n\t" #name "\n\t" X87_STATUS                        \
                   "fstpt (%[r])\n\tfstp %%st(0)")                                                 \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        one_result(cpu, i, host_##name, true, bits);                                               \
    }
TWO_OPERANDS(fprem, X87_C0 | X87_C2 | X87_C3)
TWO_OPERANDS(fprem1, X87_C0 | X87_C2 | X87_C3)
TWO_OPERANDS(fscale, 0)

/* --- ST(1) from both, then pop --- */

ALWAYS_INLINE void result_and_pop(struct x86_cpu *cpu, const struct insn *i, x87_host *fn)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    struct x87_reg r = X87_INDEFINITE;
    bool commit;
    if (__builtin_expect(x87_is_empty(cpu, 0) || x87_is_empty(cpu, 1), 0))
        commit = x87_stack_fault(cpu, false);
    else
        commit = x87_take(cpu, x87_run(&cpu->x87, fn, &r, x87_st(cpu, 0), x87_st(cpu, 1)));
    if (!commit)
        return;
    x87_set(cpu, 1, r);
    x87_pop(cpu);
}

#define RESULT_AND_POP(name)                                                                       \
    X87_HOST(name, "fldt (%[b])\n\tfldt (%[a])\n\t" #name "\n\t" X87_STATUS "fstpt (%[r])")        \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        result_and_pop(cpu, i, host_##name);                                                       \
    }
RESULT_AND_POP(fpatan)
RESULT_AND_POP(fyl2x)
RESULT_AND_POP(fyl2xp1)

/* --- two results: ST(0) replaced, then a push. With C2 set (argument out of range) neither. --- */

ALWAYS_INLINE void two_results(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                               unsigned bits)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    struct x87_reg r[2] = {X87_INDEFINITE, X87_INDEFINITE}; /* new ST(0), new ST(1) */
    bool underflow = x87_is_empty(cpu, 0), overflow = !x87_is_empty(cpu, 7), commit;
    if (__builtin_expect(underflow || overflow, 0)) {
        commit = x87_stack_fault(cpu, !underflow);
        x87_put_bits(cpu, bits, 0);
    } else {
        unsigned sw = x87_run(&cpu->x87, fn, r, x87_st(cpu, 0), NULL);
        commit = x87_take(cpu, sw);
        x87_put_bits(cpu, bits, sw);
        commit = commit && !(sw & bits);
    }
    if (!commit)
        return;
    x87_set(cpu, 0, r[1]);
    x87_push(cpu, r[0]);
}

#define TWO_RESULTS(name, bits, skip)                                                              \
    X87_HOST(name,                                                                                 \
             "fldt (%[a])\n\t" #name "\n\t" X87_STATUS skip "fstpt (%[r])\n2:\tfstpt 16(%[r])")    \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        two_results(cpu, i, host_##name, bits);                                                    \
    }
#define SKIP_IF_C2 "testb $4, %%ah\n\tjnz 2f\n\t"
TWO_RESULTS(fptan, X87_C2, SKIP_IF_C2)
TWO_RESULTS(fsincos, X87_C2, SKIP_IF_C2)
TWO_RESULTS(fxtract, 0, "")
