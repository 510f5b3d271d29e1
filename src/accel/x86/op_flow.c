// SPDX-License-Identifier: MIT
//
// Near control flow: JMP, Jcc, CALL, RET, LOOP and JCXZ. SDM vol. 2. A target is cut to the operand
// size and checked before anything changes (seg_check_branch). Far transfers, interrupts and
// returns from them are system operations.
#include "ops.h"
#include "regs.h"

/* Relative to the end of the instruction. */
static inline uint64_t relative_target(const struct x86_cpu *cpu, const struct insn *i)
{
    return cpu->next_rip + (uint64_t)i->imm;
}

void op_jmp_i(struct x86_cpu *cpu, const struct insn *i)
{
    branch_to(cpu, relative_target(cpu, i), i->opsize);
}

void op_jmp_m(struct x86_cpu *cpu, const struct insn *i)
{
    branch_to(cpu, rm_read(cpu, i, i->opsize), i->opsize);
}

void op_jcc(struct x86_cpu *cpu, const struct insn *i)
{
    if (flags_cond(cpu, i->opcode & 15))
        branch_to(cpu, relative_target(cpu, i), i->opsize);
}

/* The return address is pushed only when the target is good. */
ALWAYS_INLINE void call_to(struct x86_cpu *cpu, uint64_t target, unsigned size)
{
    target &= size_mask(size);
    seg_check_branch(cpu, target);
    stack_push(cpu, cpu->next_rip, size);
    cpu->next_rip = target;
}

void op_call_i(struct x86_cpu *cpu, const struct insn *i)
{
    call_to(cpu, relative_target(cpu, i), i->opsize);
}

void op_call_m(struct x86_cpu *cpu, const struct insn *i)
{
    call_to(cpu, rm_read(cpu, i, i->opsize), i->opsize);
}

void op_ret(struct x86_cpu *cpu, const struct insn *i)
{
    branch_to(cpu, stack_read(cpu, 0, i->opsize), i->opsize);
    stack_move(cpu, i->opsize);
}

void op_ret_i(struct x86_cpu *cpu, const struct insn *i)
{
    branch_to(cpu, stack_read(cpu, 0, i->opsize), i->opsize);
    stack_move(cpu, i->opsize + (uint64_t)i->imm);
}

/* The counter is rCX by address size; a target that faults leaves it as it was. */
ALWAYS_INLINE void loop_if(struct x86_cpu *cpu, const struct insn *i, bool condition)
{
    uint64_t count = (cpu->gpr[RCX] - 1) & size_mask(i->adsize);
    if (count && condition)
        branch_to(cpu, relative_target(cpu, i), i->opsize);
    gpr_write(cpu, RCX, count, i->adsize);
}

void op_loop(struct x86_cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, true);
}

void op_loope(struct x86_cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, flag_zf(cpu));
}

void op_loopne(struct x86_cpu *cpu, const struct insn *i)
{
    loop_if(cpu, i, !flag_zf(cpu));
}

void op_jcxz(struct x86_cpu *cpu, const struct insn *i)
{
    if (gpr_read(cpu, RCX, i->adsize) == 0)
        branch_to(cpu, relative_target(cpu, i), i->opsize);
}
