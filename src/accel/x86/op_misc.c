// SPDX-License-Identifier: MIT
//
// What fits nowhere else: NOP, PAUSE, fences, cache line flushes, BOUND, random numbers, and the
// instructions that only fault. SDM vol. 2. One vCPU sees its own memory in order, so fences do
// nothing here.
#include "env.h"
#include "ops.h"
#include "regs.h"

void op_nop(struct x86_cpu *cpu, const struct insn *i)
{
    (void)cpu, (void)i;
}

void op_pause(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if (cpu->env->pause)
        cpu->env->pause(cpu->env->opaque, cpu->id);
}

void op_fence(struct x86_cpu *cpu, const struct insn *i)
{
    (void)cpu, (void)i;
}

void op_clflush(struct x86_cpu *cpu, const struct insn *i)
{
    mmu_probe_read(cpu, insn_linear(cpu, i, 1, false), 1);
}

/* Signed index against two signed bounds in memory: #BR outside. */
void op_bound(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned size = i->opsize;
    uint64_t off = insn_offset(cpu, i);
    int64_t low = (int64_t)sign_extend(
        mem_read(cpu, seg_linear(cpu, i->seg, off, size, false), size), size);
    off = (off + size) & size_mask(i->adsize);
    int64_t high = (int64_t)sign_extend(
        mem_read(cpu, seg_linear(cpu, i->seg, off, size, false), size), size);
    int64_t index = (int64_t)sign_extend(cpu->gpr[i->reg], size);
    if (index < low || index > high)
        x86_raise(cpu, X86_BR);
}

/*
 * A generator whose whole state is in the CPU (splitmix64): with a seed from the host it is good
 * enough for guests, who mix it with other sources; with a fixed seed a run can be repeated.
 */
static uint64_t next_random(struct x86_cpu *cpu)
{
    uint64_t z = cpu->random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* Always successful: CF set, the others clear. */
void op_rdrand(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->rm, next_random(cpu), i->opsize);
    flags_put(cpu, FL_CF);
}

void op_rdseed(struct x86_cpu *cpu, const struct insn *i)
{
    op_rdrand(cpu, i);
}

_Noreturn void op_ud(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_raise(cpu, X86_UD);
}

_Noreturn void op_too_long(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_raise_error(cpu, X86_GP, 0);
}
