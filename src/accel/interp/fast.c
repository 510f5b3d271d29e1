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

/* Its own handler may stand in another place: not all branches have an exit. */
void fast_call_last(struct x86_cpu *cpu, const struct slot *s)
{
    const struct interp_cpu *c = (struct interp_cpu *)cpu;
    call_op(cpu, s);
    cpu->icount += (uint64_t)(s - c->running->slots) + 1;
}

/* The last instruction's successor: rip goes on behind the block. insn.end is its length. */
static void fast_end(struct x86_cpu *cpu, const struct slot *s)
{
    cpu->next_rip = fast_rip(cpu, &s->insn);
    cpu->icount += s->insn.count;
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
    if (i->opsize > 8 || i->opsize == 0 ||
        (i->flags & INSN_MEM && (i->adsize != 8 || i->base == REG_RIP)))
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

/* Only with branches within the page. */
static void fuse_compare(struct slot *compare, const struct slot *jcc)
{
    const struct insn *i = &compare->insn;
    if (jcc->insn.op != op_jcc || compare->run == fast_call ||
        jcc->run != fast_direct(&jcc->insn, true))
        return;
    fast_handler *h = fast_compare_jump(i, &jcc->insn, form_of(i));
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

/* --- exits --- */

/* No block, and too long for every budget. */
static struct block nowhere = {.need = BLOCK_DEAD};

static bool is_direct(const struct insn *i)
{
    return i->op == op_jcc || i->op == op_jmp_i || i->op == op_call_i;
}

bool fast_goes_on(const struct insn *i, enum x86_mode mode)
{
    if (!insn_ends_block(i))
        return true;
    return mode == X86_MODE64 && i->op == op_jcc && i->opsize == 8 && i->imm > 0;
}

/* The k-th slot leaves the block for `target`, counted from the block's beginning. */
static void give_exit(struct slot *s, unsigned k, struct exit *e, int64_t target)
{
    *e = (struct exit){.to = &nowhere};
    s->insn.exit = (uint16_t)((uintptr_t)e - (uintptr_t)s);
    s->insn.count = (uint8_t)(k + 1);
    s->insn.disp = (int32_t)target;
}

static bool within_page(int64_t target, unsigned offset)
{
    return target + offset >= 0 && target + offset < 0x1000;
}

static unsigned give_exits(struct slot *slots, unsigned n, unsigned offset)
{
    struct exit *first = (struct exit *)(void *)&slots[n + 1], *e = first;
    for (unsigned k = 0; k < n; k++) {
        struct insn *i = &slots[k].insn;
        if (!insn_ends_block(i) || slots[k].run == fast_call_last)
            continue;
        i->count = (uint8_t)(k + 1);
        if (!is_direct(i))
            continue;
        int64_t target = i->end + i->imm;
        slots[k].run = fast_direct(i, within_page(target, offset));
        give_exit(&slots[k], k, e++, target);
    }
    if (fast_goes_on(&slots[n - 1].insn, X86_MODE64) || slots[n - 1].insn.op == op_jcc) {
        unsigned end = slots[n].insn.end;
        slots[n].run = within_page(end, offset) ? fast_end_near : fast_end_far;
        give_exit(&slots[n], n - 1, e++, end);
    }
    return (unsigned)(e - first);
}

unsigned fast_choose(struct slot *slots, unsigned n, enum x86_mode mode, unsigned offset)
{
    unsigned end = 0;
    for (unsigned k = 0; k < n; k++) {
        struct insn *i = &slots[k].insn;
        end += i->len;
        i->end = (uint16_t)end;
        slots[k].run = insn_ends_block(i) ? fast_call_last : fast_call;
        if (mode != X86_MODE64)
            continue;
        make_block_relative(i);
        fast_handler *h = handler_of(i);
        if (h)
            slots[k].run = h;
    }
    slots[n] = (struct slot){.run = fast_end, .insn = {.end = (uint16_t)end, .count = (uint8_t)n}};
    if (mode != X86_MODE64)
        return 0;
    unsigned exits = give_exits(slots, n, offset);
    drop_dead_flags(slots, n);
    for (unsigned k = 0; k + 1 < n; k++)
        fuse_compare(&slots[k], &slots[k + 1]);
    return exits;
}
