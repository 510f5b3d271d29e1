// SPDX-License-Identifier: MIT
//
// What is said about a difference: both register sets with marks, the last instructions, the last
// branches.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/accel/lockstep/disasm.h"
#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/x86/ops.h"
#include "util.h"

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

/* --- instructions --- */

static void put_insn(struct text *t, const struct fetched *f, const char *text)
{
    put(t, "  %016llx ", (unsigned long long)f->rip);
    if (!f->len) {
        put(t, "(no instruction can be read here)\n");
        return;
    }
    for (unsigned n = 0; n < f->len; n++)
        put(t, "%02x", f->bytes[n]);
    put(t, "%*s%s\n", f->len < 11 ? 2 * (11 - f->len) + 1 : 1, "",
        *text ? text : x86_insn_name(&f->insn));
}

static const struct fetched *executed(const struct lockstep *ls, unsigned ago)
{
    return &ls->last[(ls->count - ago) % LOCKSTEP_HISTORY];
}

static struct disasm_insn as_bytes(const struct fetched *f)
{
    unsigned bits = f->mode == X86_MODE64 ? 64 : f->mode == X86_MODE32 ? 32 : 16;
    struct disasm_insn out = {.bits = bits, .rip = f->rip, .len = f->len};
    memcpy(out.bytes, f->bytes, f->len);
    return out;
}

static void put_last_insns(struct text *t, const struct lockstep *ls)
{
    struct disasm_insn list[LOCKSTEP_HISTORY] = {0};
    char text[LOCKSTEP_HISTORY][DISASM_TEXT];
    unsigned n = (unsigned)(ls->count < LOCKSTEP_HISTORY ? ls->count : LOCKSTEP_HISTORY);
    for (unsigned i = 0; i < n; i++)
        list[i] = as_bytes(executed(ls, n - i));
    disassemble(list, n, text);
    put(t, "last instructions:\n");
    for (unsigned i = 0; i < n; i++)
        put_insn(t, executed(ls, n - i), text[i]);
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
    } names[] = {{FL_CF, "CF"}, {FL_PF, "PF"}, {FL_AF, "AF"}, {FL_ZF, "ZF"},
                 {FL_SF, "SF"}, {FL_TF, "TF"}, {FL_IF, "IF"}, {FL_DF, "DF"},
                 {FL_OF, "OF"}, {FL_NT, "NT"}, {FL_VM, "VM"}, {FL_AC, "AC"}};
    for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
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
