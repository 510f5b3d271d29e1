// SPDX-License-Identifier: MIT
//
// Port I/O: IN, OUT, INS, OUTS. SDM vol. 1 chapter 19. Permission (CPL, IOPL, TSS bitmap) comes
// first, then the checks of memory, then the access to the port: a port is never touched by an
// instruction that faults.
#include "env.h"
#include "ops.h"
#include "rep.h"

static void port_in(struct x86_cpu *cpu, const struct insn *i, uint16_t port)
{
    io_check(cpu, port, i->opsize);
    gpr_write(cpu, RAX, cpu->env->io_read(cpu->env->opaque, port, i->opsize), i->opsize);
}

static void port_out(struct x86_cpu *cpu, const struct insn *i, uint16_t port)
{
    io_check(cpu, port, i->opsize);
    cpu->env->io_write(cpu->env->opaque, port, i->opsize, gpr_read(cpu, RAX, i->opsize));
}

void op_in_i(struct x86_cpu *cpu, const struct insn *i)
{
    port_in(cpu, i, (uint8_t)i->imm);
}

void op_in_dx(struct x86_cpu *cpu, const struct insn *i)
{
    port_in(cpu, i, (uint16_t)cpu->gpr[RDX]);
}

void op_out_i(struct x86_cpu *cpu, const struct insn *i)
{
    port_out(cpu, i, (uint8_t)i->imm);
}

void op_out_dx(struct x86_cpu *cpu, const struct insn *i)
{
    port_out(cpu, i, (uint16_t)cpu->gpr[RDX]);
}

/* --- strings --- */

/* The destination is known to take the value before the port is read. */
ALWAYS_INLINE void ins(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint16_t port = (uint16_t)cpu->gpr[RDX];
    if (!rep_begin(cpu, i))
        return;
    do {
        io_check(cpu, port, size);
        gva_t va = string_dest(cpu, i, size, true);
        mmu_probe_write(cpu, va, size);
        mem_write(cpu, va, cpu->env->io_read(cpu->env->opaque, port, size), size);
        string_advance(cpu, i, RDI, string_step(cpu, size));
    } while (rep_next(cpu, i, 1));
}

ALWAYS_INLINE void outs(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint16_t port = (uint16_t)cpu->gpr[RDX];
    if (!rep_begin(cpu, i))
        return;
    do {
        io_check(cpu, port, size);
        uint64_t v = mem_read(cpu, string_source(cpu, i, size), size);
        cpu->env->io_write(cpu->env->opaque, port, size, v);
        string_advance(cpu, i, RSI, string_step(cpu, size));
    } while (rep_next(cpu, i, 1));
}

OP_SIZES(ins)
OP_SIZES(outs)
