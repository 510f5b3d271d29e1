// SPDX-License-Identifier: MIT
//
// What the architecture leaves undefined after an instruction: flags, and in a few cases the
// result. Comparisons with a real CPU or with another engine mask it out. The operations themselves
// do what AMD processors do where that is known. SDM vol. 2; vol. 1 appendix A.
#include <stddef.h>

#include "flags.h"
#include "ops.h"

static const struct {
    x86_op *op;
    uint32_t flags;
} always[] = {
#define LOGIC(name) {op_##name, FL_AF}
    LOGIC(and_mr),
    LOGIC(and_rm),
    LOGIC(and_mi),
    LOGIC(or_mr),
    LOGIC(or_rm),
    LOGIC(or_mi),
    LOGIC(xor_mr),
    LOGIC(xor_rm),
    LOGIC(xor_mi),
    LOGIC(test_mr),
    LOGIC(test_mi),
#undef LOGIC
#define MULTIPLY(name) {op_##name, FL_SF | FL_ZF | FL_AF | FL_PF}
    MULTIPLY(mul),
    MULTIPLY(imul_m),
    MULTIPLY(imul_rm),
    MULTIPLY(imul_rmi),
#undef MULTIPLY
    {op_div, FL_ARITH},
    {op_idiv, FL_ARITH},
    {op_aam, FL_OF | FL_AF | FL_CF},
    {op_aad, FL_OF | FL_AF | FL_CF},
    {op_aaa, FL_OF | FL_SF | FL_ZF | FL_PF},
    {op_aas, FL_OF | FL_SF | FL_ZF | FL_PF},
    {op_daa, FL_OF},
    {op_das, FL_OF},
#define BIT(name)                                                                                  \
    {op_##name##_mr, FL_OF | FL_SF | FL_AF | FL_PF},                                               \
    {                                                                                              \
        op_##name##_mi, FL_OF | FL_SF | FL_AF | FL_PF                                              \
    }
    BIT(bt),
    BIT(bts),
    BIT(btr),
    BIT(btc),
#undef BIT
    {op_bsf, FL_CF | FL_OF | FL_SF | FL_AF | FL_PF},
    {op_bsr, FL_CF | FL_OF | FL_SF | FL_AF | FL_PF},
    {op_tzcnt, FL_OF | FL_SF | FL_AF | FL_PF},
    {op_lzcnt, FL_OF | FL_SF | FL_AF | FL_PF},
    {op_andn, FL_AF | FL_PF},
    {op_bextr, FL_AF | FL_PF | FL_SF},
    {op_blsi, FL_AF | FL_PF},
    {op_blsmsk, FL_AF | FL_PF},
    {op_blsr, FL_AF | FL_PF},
    {op_bzhi, FL_AF | FL_PF},
};

enum shift_kind { SHIFT_LOGIC, SHIFT_ARITHMETIC, SHIFT_ROTATE, SHIFT_DOUBLE };
enum count_from { COUNT_ONE, COUNT_CL, COUNT_IMM };

static const struct shift {
    x86_op *op;
    enum shift_kind kind;
    enum count_from from;
} shifts[] = {
#define SHIFT(name, kind)                                                                          \
    {op_##name##_m1, kind, COUNT_ONE}, {op_##name##_mcl, kind, COUNT_CL},                          \
    {                                                                                              \
        op_##name##_mi, kind, COUNT_IMM                                                            \
    }
    SHIFT(shl, SHIFT_LOGIC),
    SHIFT(shr, SHIFT_LOGIC),
    SHIFT(sar, SHIFT_ARITHMETIC),
    SHIFT(rol, SHIFT_ROTATE),
    SHIFT(ror, SHIFT_ROTATE),
    SHIFT(rcl, SHIFT_ROTATE),
    SHIFT(rcr, SHIFT_ROTATE),
#undef SHIFT
    {op_shld_mcl, SHIFT_DOUBLE, COUNT_CL},
    {op_shld_mi, SHIFT_DOUBLE, COUNT_IMM},
    {op_shrd_mcl, SHIFT_DOUBLE, COUNT_CL},
    {op_shrd_mi, SHIFT_DOUBLE, COUNT_IMM},
};

static const struct shift *find_shift(const struct insn *i)
{
    for (unsigned n = 0; n < sizeof shifts / sizeof *shifts; n++)
        if (shifts[n].op == i->op)
            return &shifts[n];
    return NULL;
}

static unsigned shift_count(const struct x86_cpu *cpu, const struct insn *i, enum count_from from)
{
    uint64_t n = from == COUNT_ONE ? 1 : from == COUNT_CL ? cpu->gpr[RCX] : (uint64_t)i->imm;
    return (unsigned)n & (i->opsize == 8 ? 63 : 31);
}

static uint32_t undefined_after_shift(const struct x86_cpu *cpu, const struct insn *i,
                                      const struct shift *s)
{
    unsigned count = shift_count(cpu, i, s->from), bits = i->opsize * 8u;
    uint32_t f = count > 1 ? FL_OF : 0;
    if (count == 0)
        return 0;
    if (s->kind != SHIFT_ROTATE)
        f |= FL_AF;
    if (s->kind == SHIFT_LOGIC && count >= bits)
        f |= FL_CF;
    if (s->kind == SHIFT_DOUBLE && count > bits)
        f |= FL_ARITH;
    return f;
}

uint32_t x86_undefined_flags(const struct x86_cpu *cpu, const struct insn *i)
{
    const struct shift *s = find_shift(i);
    if (s)
        return undefined_after_shift(cpu, i, s);
    for (unsigned n = 0; n < sizeof always / sizeof *always; n++)
        if (always[n].op == i->op)
            return always[n].flags;
    return 0;
}

bool x86_undefined_result(const struct x86_cpu *cpu, const struct insn *i)
{
    const struct shift *s = find_shift(i);
    if (s && s->kind == SHIFT_DOUBLE)
        return shift_count(cpu, i, s->from) > i->opsize * 8u;
    return i->op == op_bswap && i->opsize == 2;
}
