// SPDX-License-Identifier: MIT
//
// The stack: PUSH, POP, PUSHA, POPA, ENTER, LEAVE, PUSHF, POPF. SDM vol. 2; operand size and stack
// address size are independent (regs.h). The stack pointer changes last, so that whatever faults
// can be restarted. Segment registers are pushed and popped by system operations.
#include "ops.h"
#include "regs.h"

/* --- PUSH, POP --- */

/* PUSH rSP pushes the value before the instruction. */
void op_push_r(struct x86_cpu *cpu, const struct insn *i)
{
    stack_push(cpu, cpu->gpr[i->reg], i->opsize);
}

void op_push_m(struct x86_cpu *cpu, const struct insn *i)
{
    stack_push(cpu, rm_read(cpu, i, i->opsize), i->opsize);
}

void op_push_i(struct x86_cpu *cpu, const struct insn *i)
{
    stack_push(cpu, (uint64_t)i->imm, i->opsize);
}

/* POP rSP: the loaded value is written after the increment. */
void op_pop_r(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t v = stack_read(cpu, 0, i->opsize);
    stack_move(cpu, i->opsize);
    gpr_write(cpu, i->reg, v, i->opsize);
}

/* A destination addressed by rSP is computed with the incremented pointer. */
void op_pop_m(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t v = stack_read(cpu, 0, i->opsize);
    if (!(i->flags & INSN_MEM)) {
        stack_move(cpu, i->opsize);
        gpr_write(cpu, i->rm, v, i->opsize);
        return;
    }
    uint64_t old = cpu->gpr[RSP], off = insn_offset(cpu, i);
    stack_move(cpu, i->opsize);
    uint64_t new = cpu->gpr[RSP];
    cpu->gpr[RSP] = old; /* the store may fault */
    if (i->base == RSP)
        off = (off + new - old) & size_mask(i->adsize);
    mem_write(cpu, seg_linear(cpu, i->seg, off, i->opsize, true), v, i->opsize);
    cpu->gpr[RSP] = new;
}

/* rAX, rCX, rDX, rBX, the old rSP, rBP, rSI, rDI, downwards. */
void op_pusha(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned size = i->opsize;
    for (unsigned n = 0; n < 8; n++)
        stack_write(cpu, 0 - (uint64_t)size * (n + 1), cpu->gpr[n], size);
    stack_move(cpu, 0 - (uint64_t)size * 8);
}

/* The image of rSP is skipped. */
void op_popa(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned size = i->opsize;
    uint64_t v[8];
    for (unsigned n = 0; n < 8; n++)
        v[n] = stack_read(cpu, (uint64_t)size * (7 - n), size);
    stack_move(cpu, (uint64_t)size * 8);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            gpr_write(cpu, n, v[n], size);
}

/* --- frames --- */

/*
 * Pushes rBP; with levels also the frame pointers of the enclosing frames, found below the old rBP,
 * and the new frame pointer. A write at the final stack pointer must be possible, or the
 * instruction faults.
 */
void op_enter(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned size = i->opsize, level = i->imm2 & 31;
    uint64_t off = 0 - (uint64_t)size, bp = cpu->gpr[RBP];
    stack_write(cpu, off, bp, size);
    uint64_t frame = cpu->gpr[RSP] + off;
    if (stack_size(cpu) == 2)
        frame = (cpu->gpr[RSP] & ~0xffffull) | (frame & 0xffff);
    for (unsigned n = 1; n < level; n++) {
        bp -= size;
        off -= size;
        stack_write(cpu, off, mem_read(cpu, stack_linear(cpu, bp, size, false), size), size);
    }
    if (level) {
        off -= size;
        stack_write(cpu, off, frame, size);
    }
    off -= (uint64_t)i->imm;
    mmu_probe_write(cpu, stack_linear(cpu, cpu->gpr[RSP] + off, size, true), size);
    gpr_write(cpu, RBP, frame, size);
    stack_move(cpu, off);
}

void op_leave(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t bp = cpu->gpr[RBP];
    uint64_t v = mem_read(cpu, stack_linear(cpu, bp, i->opsize, false), i->opsize);
    stack_set(cpu, bp + i->opsize);
    gpr_write(cpu, RBP, v, i->opsize);
}

/* --- flags --- */

static bool v86_without_iopl(const struct x86_cpu *cpu)
{
    return (cpu->rflags & FL_VM) && (cpu->rflags & FL_IOPL) != FL_IOPL;
}

/* In v8086 mode below IOPL 3, 16-bit forms work on VIF in IF's place when CR4.VME allows, all else
 * is #GP(0). */
static void v86_flags_check(struct x86_cpu *cpu, const struct insn *i)
{
    if (!(cpu->cr4 & CR4_VME) || i->opsize != 2)
        x86_raise_error(cpu, X86_GP, 0);
}

void op_pushf(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t f = rflags_get(cpu) & ~(uint64_t)(FL_RF | FL_VM);
    if (v86_without_iopl(cpu)) {
        v86_flags_check(cpu, i);
        f = (f & ~(uint64_t)FL_IF) | FL_IOPL | (f & FL_VIF ? FL_IF : 0);
    }
    stack_push(cpu, f, i->opsize);
}

void op_popf(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t changes = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
    unsigned iopl = cpu->rflags >> 12 & 3;
    bool virtual_if = v86_without_iopl(cpu);
    if (virtual_if)
        v86_flags_check(cpu, i);
    uint64_t f = stack_read(cpu, 0, i->opsize);
    if (virtual_if) {
        if ((f & FL_TF) || ((f & FL_IF) && (cpu->rflags & FL_VIP)))
            x86_raise_error(cpu, X86_GP, 0);
        f = (f & ~(uint64_t)FL_VIF) | (f & FL_IF ? FL_VIF : 0);
    } else if (cpu->cpl <= iopl) {
        changes |= FL_IF;
    }
    if (cpu->cpl == 0)
        changes |= FL_IOPL;
    if (i->opsize == 2)
        changes &= 0xffff;
    changes |= FL_RF; /* cleared by all forms */
    if (virtual_if)
        changes |= FL_VIF;
    f &= ~(uint64_t)FL_RF;
    bool new_ac = (cpu->rflags ^ f) & changes & FL_AC;
    cpu->rflags = (cpu->rflags & ~changes) | (f & changes & ~(uint64_t)FL_ARITH) | 2;
    flags_put(cpu, (uint32_t)f & FL_ARITH);
    stack_move(cpu, i->opsize);
    if (new_ac) /* alignment checks, SMAP */
        x86_update_mode(cpu);
}
