// SPDX-License-Identifier: MIT
//
// Moves: MOV in its general forms, widening, exchanging, address computation, byte order, XLAT, on
// condition (CMOVcc, SETcc), and the sign extensions of the accumulator. SDM vol. 2. Moves of
// segment, control and debug registers are elsewhere.
#include "ops.h"
#include "regs.h"

ALWAYS_INLINE void mov_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    rm_write(cpu, i, reg_read(cpu, i, i->reg, size), size);
}

ALWAYS_INLINE void mov_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    reg_write(cpu, i, i->reg, rm_read(cpu, i, size), size);
}

ALWAYS_INLINE void mov_mi(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    rm_write(cpu, i, (uint64_t)i->imm, size);
}

OP_SIZES(mov_mr)
OP_SIZES(mov_rm)
OP_SIZES(mov_mi)

/* A0-A3: the accumulator and an absolute offset. */
ALWAYS_INLINE gva_t moffs_linear(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                                 bool write)
{
    return seg_linear(cpu, i->seg, (uint64_t)i->imm & size_mask(i->adsize), size, write);
}

ALWAYS_INLINE void mov_load_moffs(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    gpr_write(cpu, RAX, mem_read(cpu, moffs_linear(cpu, i, size, false), size), size);
}

ALWAYS_INLINE void mov_store_moffs(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    mem_write(cpu, moffs_linear(cpu, i, size, true), cpu->gpr[RAX], size);
}

OP_SIZES(mov_load_moffs)
OP_SIZES(mov_store_moffs)

/* --- widening; opsize is the destination's --- */

void op_movzx8(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg, rm_read(cpu, i, 1), i->opsize);
}

void op_movzx16(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg, rm_read(cpu, i, 2), i->opsize);
}

void op_movsx8(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg, sign_extend(rm_read(cpu, i, 1), 1), i->opsize);
}

void op_movsx16(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg, sign_extend(rm_read(cpu, i, 2), 2), i->opsize);
}

/* With a 16-bit operand size only 16 bits are read. */
void op_movsxd(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->opsize == 2)
        gpr_write(cpu, i->reg, rm_read(cpu, i, 2), 2);
    else
        gpr_write(cpu, i->reg, sign_extend(rm_read(cpu, i, 4), 4), i->opsize);
}

void op_cbw(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, RAX, sign_extend(cpu->gpr[RAX], i->opsize / 2u), i->opsize);
}

void op_cwd(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, RDX, sign_extend(cpu->gpr[RAX], i->opsize) >> 63 ? ~0ull : 0, i->opsize);
}

/* --- exchange, order of bytes --- */

ALWAYS_INLINE void xchg(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    struct rm_place place;
    uint64_t a = rm_load(cpu, i, &place, size);
    uint64_t b = reg_read(cpu, i, i->reg, size);
    rm_store(cpu, i, &place, b, size);
    reg_write(cpu, i, i->reg, a, size);
}

OP_SIZES(xchg)

/* Of 16 bits: undefined; processors clear the word. */
void op_bswap(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t v = cpu->gpr[i->reg];
    if (i->opsize == 8)
        cpu->gpr[i->reg] = __builtin_bswap64(v);
    else if (i->opsize == 4)
        cpu->gpr[i->reg] = __builtin_bswap32((uint32_t)v);
    else
        gpr_write(cpu, i->reg, 0, 2);
}

ALWAYS_INLINE uint64_t swap_bytes(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - size * 8);
}

ALWAYS_INLINE void movbe_rm(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    gpr_write(cpu, i->reg, swap_bytes(rm_read(cpu, i, size), size), size);
}

ALWAYS_INLINE void movbe_mr(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    rm_write(cpu, i, swap_bytes(gpr_read(cpu, i->reg, size), size), size);
}

OP_WORDS(movbe_rm)
OP_WORDS(movbe_mr)

ALWAYS_INLINE void movnti(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    rm_write(cpu, i, gpr_read(cpu, i->reg, size), size);
}

OP_WORDS(movnti)

/* --- addresses --- */

void op_lea(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->reg, insn_offset(cpu, i), i->opsize);
}

void op_xlat(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t off = (cpu->gpr[RBX] + (uint8_t)cpu->gpr[RAX]) & size_mask(i->adsize);
    gpr_write(cpu, RAX, mem_read8(cpu, seg_linear(cpu, i->seg, off, 1, false)), 1);
}

/* --- on condition --- */

void op_setcc(struct x86_cpu *cpu, const struct insn *i)
{
    rm_write(cpu, i, flags_cond(cpu, i->opcode & 15), 1);
}

/* The source is read whatever the condition; a 32-bit destination is zero-extended even when not
 * moved. */
ALWAYS_INLINE void cmovcc(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t b = rm_read(cpu, i, size);
    if (!flags_cond(cpu, i->opcode & 15))
        b = gpr_read(cpu, i->reg, size);
    gpr_write(cpu, i->reg, b, size);
}

OP_WORDS(cmovcc)
