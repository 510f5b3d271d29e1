// SPDX-License-Identifier: MIT
//
// Handlers of the interpreter for moves, widening, LEA, and the stack: see fast.h.
#include "src/accel/interp/fast_op.h"

#define MOVE_TO_RM(name, source)                                                                   \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        uint8_t *host;                                                                             \
        if (form == FORM_REG) {                                                                    \
            gpr_write(cpu, i->rm, source, size);                                                   \
            return true;                                                                           \
        }                                                                                          \
        if (!fast_writable(cpu, fast_address(cpu, i, form), size, &host))                          \
            return false;                                                                          \
        fast_store(host, source, size);                                                            \
        return true;                                                                               \
    }

MOVE_TO_RM(mov_mr, cpu->gpr[i->reg])
MOVE_TO_RM(mov_mi, (uint64_t)i->imm)
FAST_SIZES(mov_mr)
FAST_SIZES(mov_mi)

/* Loads of `from` bytes, widened or not. */
#define MOVE_TO_REG(name, from, widen)                                                             \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        uint64_t v;                                                                                \
        if (!fast_rm_read(cpu, i, from, form, &v))                                                 \
            return false;                                                                          \
        gpr_write(cpu, i->reg, widen, size);                                                       \
        return true;                                                                               \
    }

MOVE_TO_REG(mov_rm, size, v)
MOVE_TO_REG(movzx8, 1, v)
MOVE_TO_REG(movzx16, 2, v)
MOVE_TO_REG(movsx8, 1, sign_extend(v, 1))
MOVE_TO_REG(movsx16, 2, sign_extend(v, 2))
MOVE_TO_REG(movsxd, 4, sign_extend(v, 4))
FAST_SIZES(mov_rm)
FAST_WORDS(movzx8)
FAST_WORDS(movzx16)
FAST_WORDS(movsx8)
FAST_WORDS(movsx16)
FAST_WORDS(movsxd)

/* The address is computed without its segment: FORM_SEG has none. */
ALWAYS_INLINE bool lea(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                       enum fast_form form)
{
    gpr_write(cpu, i->reg, fast_address(cpu, i, form), size);
    return true;
}
FAST(lea, 4, FORM_BASE)
FAST(lea, 8, FORM_BASE)
FAST(lea, 4, FORM_INDEX)
FAST(lea, 8, FORM_INDEX)

/* Both forms: operand sizes as ever, no memory operand. */
ALWAYS_INLINE bool nop(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                       enum fast_form form)
{
    (void)cpu, (void)i, (void)size, (void)form;
    return true;
}
FAST(nop, 8, FORM_REG)

ALWAYS_INLINE bool cbw(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                       enum fast_form form)
{
    (void)i, (void)form;
    gpr_write(cpu, RAX, sign_extend(cpu->gpr[RAX], size / 2), size);
    return true;
}

ALWAYS_INLINE bool cwd(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                       enum fast_form form)
{
    (void)i, (void)form;
    gpr_write(cpu, RDX, sign_extend(cpu->gpr[RAX], size) >> 63 ? ~0ull : 0, size);
    return true;
}
FAST_REGS(cbw)
FAST_REGS(cwd)

/* --- the stack --- */

ALWAYS_INLINE bool push(struct x86_cpu *cpu, uint64_t v)
{
    uint8_t *host;
    gva_t va = cpu->gpr[RSP] - 8;
    if (!fast_writable(cpu, va, 8, &host))
        return false;
    fast_store(host, v, 8);
    cpu->gpr[RSP] = va;
    return true;
}

#define PUSH(name, source)                                                                         \
    ALWAYS_INLINE bool name(struct x86_cpu *cpu, const struct insn *i, unsigned size,              \
                            enum fast_form form)                                                   \
    {                                                                                              \
        (void)size, (void)form;                                                                    \
        return push(cpu, source);                                                                  \
    }

PUSH(push_r, cpu->gpr[i->reg])
PUSH(push_i, (uint64_t)i->imm)
FAST(push_r, 8, FORM_REG)
FAST(push_i, 8, FORM_REG)

ALWAYS_INLINE bool pop_r(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                         enum fast_form form)
{
    uint8_t *host;
    (void)form;
    if (!fast_readable(cpu, cpu->gpr[RSP], size, &host))
        return false;
    uint64_t v = fast_load(host, size);
    cpu->gpr[RSP] += size;
    cpu->gpr[i->reg] = v;
    return true;
}
FAST(pop_r, 8, FORM_REG)

ALWAYS_INLINE bool leave(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                         enum fast_form form)
{
    uint8_t *host;
    uint64_t bp = cpu->gpr[RBP];
    (void)i, (void)form;
    if (!fast_readable(cpu, bp, size, &host))
        return false;
    cpu->gpr[RBP] = fast_load(host, size);
    cpu->gpr[RSP] = bp + size;
    return true;
}
FAST(leave, 8, FORM_REG)

#define ROW_8(name) {op_##name, BYTES_NONE, {[FORM_REG] = {[3] = fast_##name##_8_FORM_REG}}}
#define NOP_FORM(form)                                                                             \
    [form] = {fast_nop_8_FORM_REG, fast_nop_8_FORM_REG, fast_nop_8_FORM_REG, fast_nop_8_FORM_REG}

const struct fast_row fast_mov_rows[] = {
    ROW_SIZES(mov_mr, BYTES_REG | BYTES_RM),
    ROW_SIZES(mov_rm, BYTES_REG | BYTES_RM),
    ROW_SIZES(mov_mi, BYTES_RM),
    ROW_WORDS(movzx8, BYTES_SOURCE),
    ROW_WORDS(movzx16, BYTES_NONE),
    ROW_WORDS(movsx8, BYTES_SOURCE),
    ROW_WORDS(movsx16, BYTES_NONE),
    ROW_WORDS(movsxd, BYTES_NONE),
    {op_lea, BYTES_NONE, {ROW_FORM_WORDS(lea, FORM_BASE), ROW_FORM_WORDS(lea, FORM_INDEX)}},
    ROW_REGS(cbw),
    ROW_REGS(cwd),
    ROW_8(push_r),
    ROW_8(push_i),
    ROW_8(pop_r),
    ROW_8(leave),
    {op_nop, BYTES_NONE, {NOP_FORM(FORM_REG), NOP_FORM(FORM_BASE), NOP_FORM(FORM_INDEX)}},
};
const unsigned fast_mov_nrows = ARRAY_LEN(fast_mov_rows);
