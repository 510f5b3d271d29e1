// SPDX-License-Identifier: MIT
//
// x87: the six arithmetic operations in all their forms, and comparisons. SDM vol. 1
// sections 8.3.5, 8.3.6, 8.5.
#include <stddef.h>

#include "ops.h"
#include "x87.h"

/* --- two registers --- */

#define HOST_REGISTERS(name, mnemonic)                                                             \
    X87_HOST(name, "fldt (%[b])\n\tfldt (%[a])\n\t" mnemonic "\n\t" X87_STATUS                     \
                   "fstpt (%[r])\n\tfstp %%st(0)")

HOST_REGISTERS(fadd, "fadd %%st(1), %%st")
HOST_REGISTERS(fmul, "fmul %%st(1), %%st")
HOST_REGISTERS(fsub, "fsub %%st(1), %%st")   /* a - b */
HOST_REGISTERS(fsubr, "fsubr %%st(1), %%st") /* b - a */
HOST_REGISTERS(fdiv, "fdiv %%st(1), %%st")
HOST_REGISTERS(fdivr, "fdivr %%st(1), %%st")

ALWAYS_INLINE void arith_registers(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                                   bool to_st0, bool pop)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    unsigned n = i->rm & 7;
    struct x87_reg r = X87_INDEFINITE;
    bool commit;
    if (__builtin_expect(x87_is_empty(cpu, 0) || x87_is_empty(cpu, n), 0))
        commit = x87_stack_fault(cpu, false);
    else
        commit = x87_take(cpu, x87_run(&cpu->x87, fn, &r, x87_st(cpu, 0), x87_st(cpu, n)));
    if (!commit)
        return;
    x87_set(cpu, to_st0 ? 0 : n, r);
    if (pop)
        x87_pop(cpu);
}

#define ARITH_REGISTERS(op, fn, to_st0, pop)                                                       \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        arith_registers(cpu, i, host_##fn, to_st0, pop);                                           \
    }

ARITH_REGISTERS(fadd_st0_sti, fadd, true, false)
ARITH_REGISTERS(fmul_st0_sti, fmul, true, false)
ARITH_REGISTERS(fsub_st0_sti, fsub, true, false)
ARITH_REGISTERS(fsubr_st0_sti, fsubr, true, false)
ARITH_REGISTERS(fdiv_st0_sti, fdiv, true, false)
ARITH_REGISTERS(fdivr_st0_sti, fdivr, true, false)
/* Here the destination is ST(i): FSUB is ST(i) - ST(0). */
ARITH_REGISTERS(fadd_sti_st0, fadd, false, false)
ARITH_REGISTERS(fmul_sti_st0, fmul, false, false)
ARITH_REGISTERS(fsub_sti_st0, fsubr, false, false)
ARITH_REGISTERS(fsubr_sti_st0, fsub, false, false)
ARITH_REGISTERS(fdiv_sti_st0, fdivr, false, false)
ARITH_REGISTERS(fdivr_sti_st0, fdiv, false, false)
ARITH_REGISTERS(faddp, fadd, false, true)
ARITH_REGISTERS(fmulp, fmul, false, true)
ARITH_REGISTERS(fsubp, fsubr, false, true)
ARITH_REGISTERS(fsubrp, fsub, false, true)
ARITH_REGISTERS(fdivp, fdivr, false, true)
ARITH_REGISTERS(fdivrp, fdiv, false, true)

/* --- register and memory --- */

ALWAYS_INLINE void arith_memory(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                                unsigned size)
{
    x87_enter(cpu);
    uint64_t b = mem_read(cpu, insn_linear(cpu, i, size, false), size);
    x87_note(cpu, i);
    struct x87_reg r = X87_INDEFINITE;
    bool commit;
    if (__builtin_expect(x87_is_empty(cpu, 0), 0))
        commit = x87_stack_fault(cpu, false);
    else
        commit = x87_take(cpu, x87_run(&cpu->x87, fn, &r, x87_st(cpu, 0), &b));
    if (commit)
        x87_set(cpu, 0, r);
}

#define ARITH_MEMORY(op, mnemonic, size)                                                           \
    X87_HOST(op, "fldt (%[a])\n\t" mnemonic " (%[b])\n\t" X87_STATUS "fstpt (%[r])")               \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        arith_memory(cpu, i, host_##op, size);                                                     \
    }
#define ARITH_MEMORY_ALL(op)                                                                       \
    ARITH_MEMORY(f##op##_m32, "f" #op "s", 4)                                                      \
    ARITH_MEMORY(f##op##_m64, "f" #op "l", 8)                                                      \
    ARITH_MEMORY(fi##op##_m16, "fi" #op "s", 2)                                                    \
    ARITH_MEMORY(fi##op##_m32, "fi" #op "l", 4)

ARITH_MEMORY_ALL(add)
ARITH_MEMORY_ALL(mul)
ARITH_MEMORY_ALL(sub)
ARITH_MEMORY_ALL(subr)
ARITH_MEMORY_ALL(div)
ARITH_MEMORY_ALL(divr)

/* --- comparisons: C3, C2, C0 --- */

#define X87_COMPARED (X87_C0 | X87_C2 | X87_C3)

/* *sw has the answer: "unordered" after an invalid operation, even an unmasked one, which only
 * keeps the pops away (false). */
ALWAYS_INLINE bool compare(struct x86_cpu *cpu, x87_host *fn, bool empty, const void *b,
                           unsigned *sw)
{
    *sw = X87_COMPARED;
    if (__builtin_expect(empty, 0))
        return x87_stack_fault(cpu, false);
    *sw = x87_run(&cpu->x87, fn, NULL, x87_st(cpu, 0), b);
    return x87_take(cpu, *sw);
}

ALWAYS_INLINE void compare_to_status(struct x86_cpu *cpu, x87_host *fn, bool empty, const void *b,
                                     unsigned pops)
{
    unsigned sw;
    bool commit = compare(cpu, fn, empty, b, &sw);
    x87_put_bits(cpu, X87_COMPARED, sw);
    while (commit && pops--)
        x87_pop(cpu);
}

ALWAYS_INLINE void compare_registers(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                                     unsigned n, unsigned pops)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    compare_to_status(cpu, fn, x87_is_empty(cpu, 0) || x87_is_empty(cpu, n), x87_st(cpu, n), pops);
}

#define HOST_COMPARE(name, mnemonic)                                                               \
    X87_HOST(name, "fldt (%[b])\n\tfldt (%[a])\n\t" mnemonic "\n\t" X87_STATUS                     \
                   "fstp %%st(0)\n\tfstp %%st(0)")
HOST_COMPARE(fcom, "fcom %%st(1)")
HOST_COMPARE(fucom, "fucom %%st(1)")

#define COMPARE_REGISTERS(op, fn, n, pops)                                                         \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        compare_registers(cpu, i, host_##fn, n, pops);                                             \
    }
COMPARE_REGISTERS(fcom_sti, fcom, i->rm & 7, 0)
COMPARE_REGISTERS(fcomp_sti, fcom, i->rm & 7, 1)
COMPARE_REGISTERS(fcompp, fcom, 1, 2)
COMPARE_REGISTERS(fucom, fucom, i->rm & 7, 0)
COMPARE_REGISTERS(fucomp, fucom, i->rm & 7, 1)
COMPARE_REGISTERS(fucompp, fucom, 1, 2)

ALWAYS_INLINE void compare_memory(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                                  unsigned size, unsigned pops)
{
    x87_enter(cpu);
    uint64_t b = mem_read(cpu, insn_linear(cpu, i, size, false), size);
    x87_note(cpu, i);
    compare_to_status(cpu, fn, x87_is_empty(cpu, 0), &b, pops);
}

#define COMPARE_MEMORY(op, mnemonic, size, pops)                                                   \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        compare_memory(cpu, i, host_##mnemonic, size, pops);                                       \
    }
#define HOST_COMPARE_MEMORY(mnemonic)                                                              \
    X87_HOST(mnemonic, "fldt (%[a])\n\t" #mnemonic " (%[b])\n\t" X87_STATUS "fstp %%st(0)")
HOST_COMPARE_MEMORY(fcoms)
HOST_COMPARE_MEMORY(fcoml)
HOST_COMPARE_MEMORY(ficoms)
HOST_COMPARE_MEMORY(ficoml)
COMPARE_MEMORY(fcom_m32, fcoms, 4, 0)
COMPARE_MEMORY(fcomp_m32, fcoms, 4, 1)
COMPARE_MEMORY(fcom_m64, fcoml, 8, 0)
COMPARE_MEMORY(fcomp_m64, fcoml, 8, 1)
COMPARE_MEMORY(ficom_m16, ficoms, 2, 0)
COMPARE_MEMORY(ficomp_m16, ficoms, 2, 1)
COMPARE_MEMORY(ficom_m32, ficoml, 4, 0)
COMPARE_MEMORY(ficomp_m32, ficoml, 4, 1)

X87_HOST(ftst, "fldt (%[a])\n\tftst\n\t" X87_STATUS "fstp %%st(0)")

void op_ftst(struct x86_cpu *cpu, const struct insn *i)
{
    compare_registers(cpu, i, host_ftst, 0, 0);
}

/* --- comparisons to RFLAGS: raise what FCOM and FUCOM raise; C0, C2, C3 are CF, PF, ZF --- */

ALWAYS_INLINE void compare_to_flags(struct x86_cpu *cpu, const struct insn *i, x87_host *fn,
                                    bool pop)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    unsigned n = i->rm & 7, sw, c1 = cpu->x87.status & X87_C1;
    bool empty = x87_is_empty(cpu, 0) || x87_is_empty(cpu, n);
    bool commit = compare(cpu, fn, empty, x87_st(cpu, n), &sw);
    if (!empty)
        x87_put_bits(cpu, X87_C1, c1); /* alone among comparisons, these leave it */
    flags_put(cpu,
              (sw & X87_C0 ? FL_CF : 0u) | (sw & X87_C2 ? FL_PF : 0u) | (sw & X87_C3 ? FL_ZF : 0u));
    if (commit && pop)
        x87_pop(cpu);
}

#define COMPARE_FLAGS(op, fn, pop)                                                                 \
    void op_##op(struct x86_cpu *cpu, const struct insn *i)                                        \
    {                                                                                              \
        compare_to_flags(cpu, i, host_##fn, pop);                                                  \
    }
COMPARE_FLAGS(fcomi, fcom, false)
COMPARE_FLAGS(fcomip, fcom, true)
COMPARE_FLAGS(fucomi, fucom, false)
COMPARE_FLAGS(fucomip, fucom, true)
