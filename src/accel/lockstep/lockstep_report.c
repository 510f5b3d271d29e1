// SPDX-License-Identifier: MIT
//
// What is said about a difference: both register sets with marks, the last instructions, the last branches. Operands are written as the core's
// decoder sees them (its table knows no printing forms): register numbers by name, memory, immediate; the bytes tell the rest.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/x86/ops.h"

struct text {
    char *buf;
    size_t len, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->used, t->len - t->used, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->used = t->used + (size_t)n < t->len ? t->used + (size_t)n : t->len - 1;
}

static const char *const reg_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9",
                                        "r10", "r11", "r12", "r13", "r14", "r15", "", "rip"};
static const char *const seg_names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* --- instructions --- */

static void put_memory(struct text *t, const struct insn *i)
{
    bool any = i->base != REG_NONE;
    put(t, " %s:[%s", i->seg <= SEG_GS ? seg_names[i->seg] : "?", reg_names[i->base]);
    if (i->index < REG_NONE) {
        put(t, "%s%s%s*%u", any ? "+" : "", i->flags & INSN_VSIB ? "v" : "", reg_names[i->index], 1u << i->scale);
        any = true;
    }
    if (i->disp || !any)
        put(t, "%s%#llx", i->disp < 0 ? "-" : any ? "+" : "",
            (unsigned long long)(i->disp < 0 ? -(long long)i->disp : i->disp));
    put(t, "]");
}

static bool is_relative(const struct insn *i)
{
    static x86_op *const ops[] = {op_jcc, op_jmp_i, op_call_i, op_loop, op_loope, op_loopne, op_jcxz};
    for (unsigned n = 0; n < sizeof ops / sizeof ops[0]; n++) {
        if (i->op == ops[n])
            return true;
    }
    return false;
}

static void put_operands(struct text *t, const struct fetched *f)
{
    const struct insn *i = &f->insn;
    if (is_relative(i)) {
        put(t, " %#llx", (unsigned long long)(f->rip + f->len + (uint64_t)i->imm));
        return;
    }
    if (i->op == op_jmp_far_i || i->op == op_call_far_i) {
        put(t, " %#x:%#llx", i->imm2, (unsigned long long)i->imm);
        return;
    }
    put(t, " (%u bits)", i->opsize * 8u);
    if (i->flags & INSN_MEM)
        put_memory(t, i);
    else
        put(t, " rm=%s", reg_names[i->rm & 15]);
    put(t, " reg=%s", reg_names[i->reg & 15]);
    if (i->imm)
        put(t, " imm=%#llx", (unsigned long long)i->imm);
}

static void put_insn(struct text *t, const struct fetched *f)
{
    const struct insn *i = &f->insn;
    put(t, "  %016llx ", (unsigned long long)f->rip);
    if (!f->len) {
        put(t, "(no instruction can be read here)\n");
        return;
    }
    for (unsigned n = 0; n < f->len; n++)
        put(t, "%02x", f->bytes[n]);
    put(t, "%*s%s%s%s", f->len < 11 ? 2 * (11 - f->len) + 1 : 1, "", i->flags & INSN_LOCK ? "lock " : "",
        i->flags & (INSN_REP | INSN_REPNE) ? "rep " : "", x86_insn_name(i));
    put_operands(t, f);
    put(t, "\n");
}

static void put_last_insns(struct text *t, const struct lockstep *ls)
{
    put(t, "last instructions:\n");
    uint64_t n = ls->count < LOCKSTEP_HISTORY ? ls->count : LOCKSTEP_HISTORY;
    for (; n > 0; n--)
        put_insn(t, &ls->last[(ls->count - n) % LOCKSTEP_HISTORY]);
}

static void put_branches(struct text *t, const struct lockstep *ls)
{
    put(t, "last branches:\n");
    uint64_t n = ls->nbranches < LOCKSTEP_HISTORY ? ls->nbranches : LOCKSTEP_HISTORY;
    for (; n > 0; n--) {
        const struct branch *b = &ls->branches[(ls->nbranches - n) % LOCKSTEP_HISTORY];
        put(t, "  %016llx -> %016llx\n", (unsigned long long)b->from, (unsigned long long)b->to);
    }
}

/* --- registers --- */

#define FIRST_ROWS 25u /* general registers to XCR0: always shown */

static void put_flags(struct text *t, uint64_t flags)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{FL_CF, "CF"}, {FL_PF, "PF"}, {FL_AF, "AF"}, {FL_ZF, "ZF"}, {FL_SF, "SF"}, {FL_TF, "TF"},
                 {FL_IF, "IF"}, {FL_DF, "DF"}, {FL_OF, "OF"}, {FL_NT, "NT"}, {FL_VM, "VM"}, {FL_AC, "AC"}};
    for (unsigned n = 0; n < sizeof names / sizeof names[0]; n++) {
        if (flags & names[n].bit)
            put(t, " %s", names[n].name);
    }
}

static void put_registers(struct text *t, const struct lockstep *ls)
{
    struct lockstep_row row, before;
    const char *leader = ls->lead.ops->name, *follower = ls->follow.ops->name;
    put(t, "%-11s %-16s   %-16s   %-16s\n", "register", "before", leader,
        strcmp(leader, follower) ? follower : "the other");
    for (unsigned n = 0; lockstep_row(n, &ls->after, &ls->theirs, &ls->difference, &row); n++) {
        if (n >= FIRST_ROWS && !row.differs)
            continue;
        lockstep_row(n, &ls->before, &ls->before, &ls->difference, &before);
        put(t, "%-11s %016llx   %016llx %c %016llx%s", row.name, (unsigned long long)before.val[0],
            (unsigned long long)row.val[0], row.differs ? '#' : ' ', (unsigned long long)row.val[1],
            row.differs ? " <- differs" : "");
        if (row.differs && !strcmp(row.name, "RFLAGS")) {
            put(t, ":");
            put_flags(t, row.val[0] ^ row.val[1]);
        }
        put(t, "\n");
    }
}

void lockstep_tell(struct lockstep *ls)
{
    struct text t = {.buf = ls->story, .len = sizeof ls->story};
    put_registers(&t, ls);
    put_last_insns(&t, ls);
    put_branches(&t, ls);
}
