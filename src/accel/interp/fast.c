// SPDX-License-Identifier: MIT
//
// Choosing handlers for decoded instructions, and the handlers that do any instruction: see fast.h.
#include "src/accel/interp/fast.h"

#include "src/accel/interp/fast_op.h"
#include "src/accel/interp/interp_priv.h"

/* --- any instruction --- */

static inline void call_op(struct x86_cpu *cpu, const struct slot *s)
{
    uint64_t rip = fast_rip(cpu, &s->insn);
    ((struct interp_cpu *)cpu)->at = s;
    cpu->rip = rip - s->insn.len;
    cpu->next_rip = rip;
    cpu->gpr[REG_RIP] = rip;
    s->insn.op(cpu, &s->insn);
}

void fast_call(struct x86_cpu *cpu, const struct slot *s)
{
    call_op(cpu, s);
    fast_next(cpu, s);
}

void fast_call_last(struct x86_cpu *cpu, const struct slot *s)
{
    call_op(cpu, s);
}

void fast_end(struct x86_cpu *cpu, const struct slot *s)
{
    cpu->next_rip = fast_rip(cpu, &s->insn);
}

/* --- choosing --- */

static enum fast_form form_of(const struct insn *i)
{
    if (!(i->flags & INSN_MEM))
        return FORM_REG;
    if (i->seg == SEG_FS || i->seg == SEG_GS)
        return FORM_SEG;
    return i->index == REG_NONE ? FORM_BASE : FORM_INDEX;
}

static bool bytes_fit(const struct insn *i, unsigned bytes)
{
    bool rm_high = !(i->flags & INSN_MEM) && reg_is_high_byte(i, i->rm);
    if (bytes & BYTES_SOURCE && rm_high)
        return false;
    if (i->opsize != 1)
        return true;
    return !(bytes & BYTES_RM && rm_high) && !(bytes & BYTES_REG && reg_is_high_byte(i, i->reg));
}

static fast_handler *handler_in(const struct fast_row *rows, unsigned nrows, const struct insn *i)
{
    for (unsigned r = 0; r < nrows; r++) {
        if (rows[r].op == i->op)
            return bytes_fit(i, rows[r].bytes)
                       ? rows[r].handler[form_of(i)][__builtin_ctz(i->opsize)]
                       : NULL;
    }
    return NULL;
}

static fast_handler *conditional_handler(const struct insn *i)
{
    if (i->flags & INSN_MEM || (i->op == op_setcc && reg_is_high_byte(i, i->rm)))
        return NULL;
    for (unsigned r = 0; r < ARRAY_LEN(fast_cond_rows); r++) {
        if (fast_cond_rows[r].op == i->op)
            return fast_cond_rows[r].handler[i->opcode & 15][__builtin_ctz(i->opsize)];
    }
    return NULL;
}

/* NULL: it has none of its own. */
static fast_handler *handler_of(const struct insn *i)
{
    if (i->opsize > 8 || i->opsize == 0 || (i->flags & INSN_MEM && (i->adsize != 8 || i->base == REG_RIP)))
        return NULL;
    fast_handler *h = handler_in(fast_mov_rows, fast_mov_nrows, i);
    if (!h)
        h = handler_in(fast_alu_rows, fast_alu_nrows, i);
    if (!h)
        h = handler_in(fast_flow_rows, fast_flow_nrows, i);
    return h ? h : conditional_handler(i);
}

/* The block's address and a distance known now, in place of the instruction's end. */
static void make_block_relative(struct insn *i)
{
    int32_t disp;
    if (i->flags & INSN_MEM && i->base == REG_RIP && i->adsize == 8 &&
        !__builtin_add_overflow(i->disp, (int32_t)i->end, &disp)) {
        i->base = REG_BLOCK;
        i->disp = disp;
    }
}

static void fuse_compare(struct slot *compare, const struct insn *jcc)
{
    const struct insn *i = &compare->insn;
    if (jcc->op != op_jcc || compare->run == fast_call)
        return;
    fast_handler *h = fast_compare_jump(i, jcc, form_of(i));
    if (h)
        compare->run = h;
}

/* From the end, where flags are seen by what comes. */
static void drop_dead_flags(struct slot *slots, unsigned n)
{
    bool dead = false;
    for (unsigned k = n; k-- > 0;) {
        const struct insn *i = &slots[k].insn;
        fast_handler *h = NULL;
        if (dead && !(i->flags & INSN_MEM) && i->opsize <= 8)
            h = handler_in(fast_quiet_rows, fast_quiet_nrows, i);
        if (h)
            slots[k].run = h;
        dead = fast_flags_dead_before(i, dead);
    }
}

void fast_choose(struct slot *slots, unsigned n, enum x86_mode mode, bool branches)
{
    unsigned end = 0;
    for (unsigned k = 0; k < n; k++) {
        struct insn *i = &slots[k].insn;
        end += i->len;
        i->end = (uint16_t)end;
        slots[k].run = branches && k == n - 1 ? fast_call_last : fast_call;
        if (mode != X86_MODE64)
            continue;
        make_block_relative(i);
        fast_handler *h = handler_of(i);
        if (h)
            slots[k].run = h;
    }
    slots[n] = (struct slot){.run = fast_end, .insn = {.end = (uint16_t)end}};
    if (mode == X86_MODE64)
        drop_dead_flags(slots, n);
    if (mode == X86_MODE64 && n > 1 && branches)
        fuse_compare(&slots[n - 2], &slots[n - 1].insn);
}
