// SPDX-License-Identifier: MIT
//
// Handlers of the interpreter that set no flags, and when they may stand in: behind the
// instruction, in the same block, all flags are set anew before anything can look at them. Looking
// are also faults (the handler's stack has RFLAGS) and leaving the block, so between the two may
// only be instructions on registers.
#include "src/accel/interp/fast_op.h"

#define QUIET(name, destination, other, expression)                                                \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        (void)form;                                                                                \
        uint64_t a = gpr_read(cpu, i->destination, size), b = other;                               \
        gpr_write(cpu, i->destination, expression, size);                                          \
        return true;                                                                               \
    }                                                                                              \
    FAST_REGS(name)

#define IN_REG gpr_read(cpu, i->reg, size)
#define IN_RM gpr_read(cpu, i->rm, size)
#define COUNT ((uint64_t)i->imm & (size == 8 ? 63 : 31))
#define BITS (size * 8)

#define QUIET_ALU(name, operator)                                                                  \
    QUIET(name##_mr, rm, IN_REG, a operator b)                                                     \
    QUIET(name##_rm, reg, IN_RM, a operator b)                                                     \
    QUIET(name##_mi, rm, (uint64_t)i->imm, a operator b)

QUIET_ALU(add, +)
QUIET_ALU(sub, -)
QUIET_ALU(and, &)
QUIET_ALU(or, |)
QUIET_ALU(xor, ^)
QUIET(shl_mi, rm, COUNT, a << b)
QUIET(shr_mi, rm, COUNT, a >> b)
QUIET(sar_mi, rm, COUNT, (uint64_t)((int64_t)sign_extend(a, size) >> b))
QUIET(rol_mi, rm, COUNT, (a << b | a >> ((BITS - b) & (BITS - 1))))
QUIET(ror_mi, rm, COUNT, (a >> b | a << ((BITS - b) & (BITS - 1))))
QUIET(imul_rm, reg, IN_RM, a * b)

#define ROWS_ALU(name) ROW_REGS(name##_mr), ROW_REGS(name##_rm), ROW_REGS(name##_mi)

const struct fast_row fast_quiet_rows[] = {
    ROWS_ALU(add),    ROWS_ALU(sub),    ROWS_ALU(and),    ROWS_ALU(or),     ROWS_ALU(xor),
    ROW_REGS(shl_mi), ROW_REGS(shr_mi), ROW_REGS(sar_mi), ROW_REGS(rol_mi), ROW_REGS(ror_mi),
    ROW_REGS(imul_rm),
};
const unsigned fast_quiet_nrows = ARRAY_LEN(fast_quiet_rows);

/* --- what instructions do to flags --- */

/* Set all six, whatever they were. */
static x86_op *const setting[] = {
    op_add_mr, op_add_rm, op_add_mi, op_sub_mr, op_sub_rm, op_sub_mi, op_and_mr,  op_and_rm,
    op_and_mi, op_or_mr,  op_or_rm,  op_or_mi,  op_xor_mr, op_xor_rm, op_xor_mi,  op_cmp_mr,
    op_cmp_rm, op_cmp_mi, op_neg,    op_shl_m1, op_shr_m1, op_sar_m1, op_test_mr, op_test_mi,
};

/* The same, when the count is not 0. */
static x86_op *const setting_by_count[] = {op_shl_mi, op_shr_mi, op_sar_mi};

/* Do nothing with them, or change some and show none. */
static x86_op *const passing[] = {
    op_mov_mr, op_mov_rm, op_mov_mi, op_movzx8, op_movzx16, op_movsx8,  op_movsx16,
    op_movsxd, op_cbw,    op_cwd,    op_not,    op_bswap,   op_xchg,    op_rol_mi,
    op_ror_mi, op_inc,    op_dec,    op_nop,    op_imul_rm, op_imul_rmi,
};

static bool is_in(x86_op *op, x86_op *const *list, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (list[k] == op)
            return true;
    }
    return false;
}

bool fast_flags_dead_before(const struct insn *i, bool dead_behind)
{
    if (i->op == op_lea)
        return dead_behind;
    if (i->flags & INSN_MEM)
        return false;
    if (is_in(i->op, setting, ARRAY_LEN(setting)) ||
        (is_in(i->op, setting_by_count, ARRAY_LEN(setting_by_count)) && i->imm & 31))
        return true;
    return dead_behind && is_in(i->op, passing, ARRAY_LEN(passing));
}
