// SPDX-License-Identifier: MIT
//
// Two states of one CPU, field by field. Not compared: flags that the architecture leaves
// undefined, RF, the pointers and opcode of the last x87 instruction and the contents of empty x87
// registers, parts of segments that mean nothing in the present mode, the accessed and busy bits of
// cached descriptors, interrupt shadow and NMI state, the local APIC's address, and MSRs that only
// WRMSR changes.
#include <stdio.h>
#include <string.h>

#include "src/accel/lockstep/lockstep_priv.h"
#include "util.h"

struct row {
    char name[12];
    uint16_t at;
    uint8_t size;
};

#define ROW(name, member)                                                                          \
    {                                                                                              \
        name, offsetof(struct cpu_state, member), sizeof(((struct cpu_state *)0)->member)          \
    }
#define SEG_ROWS(name, n)                                                                          \
    ROW(name, seg[n].sel), ROW(name ".base", seg[n].base), ROW(name ".limit", seg[n].limit),       \
        ROW(name ".type", seg[n].type), ROW(name ".dpl", seg[n].dpl),                              \
        ROW(name ".p", seg[n].present), ROW(name ".s", seg[n].s), ROW(name ".l", seg[n].l),        \
        ROW(name ".db", seg[n].db)
#define YMM_ROWS(name, n)                                                                          \
    ROW(name, ymm[n][0]), ROW(name "[1]", ymm[n][1]), ROW(name "[2]", ymm[n][2]),                  \
        ROW(name "[3]", ymm[n][3])
#define ST_ROWS(name, n) ROW(name, x87.st[n].mantissa), ROW(name ".exp", x87.st[n].sign_exp)

static const struct row rows[] = {
    ROW("RAX", gpr[RAX]),
    ROW("RCX", gpr[RCX]),
    ROW("RDX", gpr[RDX]),
    ROW("RBX", gpr[RBX]),
    ROW("RSP", gpr[RSP]),
    ROW("RBP", gpr[RBP]),
    ROW("RSI", gpr[RSI]),
    ROW("RDI", gpr[RDI]),
    ROW("R8", gpr[R8]),
    ROW("R9", gpr[R9]),
    ROW("R10", gpr[R10]),
    ROW("R11", gpr[R11]),
    ROW("R12", gpr[R12]),
    ROW("R13", gpr[R13]),
    ROW("R14", gpr[R14]),
    ROW("R15", gpr[R15]),
    ROW("RIP", rip),
    ROW("RFLAGS", rflags),
    ROW("CR0", cr0),
    ROW("CR2", cr2),
    ROW("CR3", cr3),
    ROW("CR4", cr4),
    ROW("CR8", cr8),
    ROW("EFER", efer),
    ROW("XCR0", xcr0),
    SEG_ROWS("CS", SEG_CS),
    SEG_ROWS("SS", SEG_SS),
    SEG_ROWS("DS", SEG_DS),
    SEG_ROWS("ES", SEG_ES),
    SEG_ROWS("FS", SEG_FS),
    SEG_ROWS("GS", SEG_GS),
    SEG_ROWS("LDT", SEG_LDTR),
    SEG_ROWS("TR", SEG_TR),
    ROW("GDT", gdt.base),
    ROW("GDT.limit", gdt.limit),
    ROW("IDT", idt.base),
    ROW("IDT.limit", idt.limit),
    ROW("DR0", dr[0]),
    ROW("DR1", dr[1]),
    ROW("DR2", dr[2]),
    ROW("DR3", dr[3]),
    ROW("DR6", dr[6]),
    ROW("DR7", dr[7]),
    ROW("KERNEL_GS", msr.kernel_gs_base),
    ROW("MXCSR", mxcsr),
    ROW("FCW", x87.control),
    ROW("FSW", x87.status),
    ROW("empty", x87.empty),
    ST_ROWS("ST0", 0),
    ST_ROWS("ST1", 1),
    ST_ROWS("ST2", 2),
    ST_ROWS("ST3", 3),
    ST_ROWS("ST4", 4),
    ST_ROWS("ST5", 5),
    ST_ROWS("ST6", 6),
    ST_ROWS("ST7", 7),
    YMM_ROWS("YMM0", 0),
    YMM_ROWS("YMM1", 1),
    YMM_ROWS("YMM2", 2),
    YMM_ROWS("YMM3", 3),
    YMM_ROWS("YMM4", 4),
    YMM_ROWS("YMM5", 5),
    YMM_ROWS("YMM6", 6),
    YMM_ROWS("YMM7", 7),
    YMM_ROWS("YMM8", 8),
    YMM_ROWS("YMM9", 9),
    YMM_ROWS("YMM10", 10),
    YMM_ROWS("YMM11", 11),
    YMM_ROWS("YMM12", 12),
    YMM_ROWS("YMM13", 13),
    YMM_ROWS("YMM14", 14),
    YMM_ROWS("YMM15", 15),
};
#define ROWS ARRAY_LEN(rows)

_Static_assert(ROWS <= sizeof((struct difference *)0)->field, "a flag for each row");

/* --- what is compared of each --- */

#define CODE_OR_DATA_ACCESSED 1u
#define TSS_BUSY 2u

static void keep_segment(struct cpu_state *s, unsigned n)
{
    struct cpu_seg *seg = &s->seg[n], keep;
    bool here = seg->present && !seg->unusable;
    bool in64 = s->efer & EFER_LMA && s->seg[SEG_CS].l;
    bool based = n == SEG_FS || n == SEG_GS;
    memset(&keep, 0, sizeof keep); /* so that equal ones are equal bytes */
    keep.sel = seg->sel;
    bool real = !(s->cr0 & CR0_PE) || s->rflags & FL_VM;
    if (in64 ? based || (here && n >= SEG_LDTR) : here || based)
        keep.base = seg->base;
    if (here && (n >= SEG_LDTR || !in64))
        keep.limit = seg->limit;
    if (here && !real && (!in64 || n == SEG_CS || n >= SEG_LDTR)) {
        keep.type = seg->type & (uint8_t) ~(seg->s ? CODE_OR_DATA_ACCESSED : TSS_BUSY);
        keep.dpl = n < SEG_LDTR ? seg->dpl : 0;
        keep.present = true;
        keep.s = seg->s;
        keep.l = seg->l;
        keep.db = n < SEG_LDTR ? seg->db : 0;
    }
    memcpy(seg, &keep, sizeof keep);
}

static void keep_x87(struct cpu_x87 *x)
{
    unsigned top = x->status >> 11 & 7;
    for (unsigned n = 0; n < 8; n++) {
        if (x->empty >> ((top + n) & 7) & 1) {
            x->st[n].mantissa = 0;
            x->st[n].sign_exp = 0;
        }
    }
}

static void keep_comparable(struct cpu_state *s, uint64_t undefined)
{
    static const enum cpu_sreg order[] = {SEG_ES, SEG_SS,   SEG_DS, SEG_FS,
                                          SEG_GS, SEG_LDTR, SEG_TR, SEG_CS};
    for (unsigned n = 0; n < SEGS; n++)
        keep_segment(s, order[n]); /* CS last: the mode is read from it */
    keep_x87(&s->x87);
    s->rflags &= ~(undefined | FL_RF);
    s->cr0 |= CR0_ET;
}

static uint64_t value(const struct cpu_state *s, const struct row *row)
{
    uint64_t val = 0;
    memcpy(&val, (const char *)s + row->at, row->size);
    return val;
}

#define EQUAL(member) (!memcmp(&a->member, &b->member, sizeof a->member))

/* All that the rows have, in a few large bites. */
static bool all_equal(const struct cpu_state *a, const struct cpu_state *b)
{
    bool equal = EQUAL(gpr) && a->rip == b->rip && a->rflags == b->rflags && EQUAL(seg) &&
                 EQUAL(ymm) && EQUAL(dr) && a->cr0 == b->cr0 && a->cr2 == b->cr2 &&
                 a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->cr8 == b->cr8 && a->efer == b->efer &&
                 a->xcr0 == b->xcr0 && a->gdt.base == b->gdt.base && a->gdt.limit == b->gdt.limit &&
                 a->idt.base == b->idt.base && a->idt.limit == b->idt.limit &&
                 a->msr.kernel_gs_base == b->msr.kernel_gs_base && a->mxcsr == b->mxcsr &&
                 a->x87.control == b->x87.control && a->x87.status == b->x87.status &&
                 a->x87.empty == b->x87.empty;
    for (unsigned n = 0; n < 8 && equal; n++)
        equal = a->x87.st[n].mantissa == b->x87.st[n].mantissa &&
                a->x87.st[n].sign_exp == b->x87.st[n].sign_exp;
    return equal;
}

static void add_name(struct difference *d, const char *name)
{
    size_t n = strlen(d->what);
    snprintf(d->what + n, sizeof d->what - n, "%s%s", n ? ", " : "", name);
}

bool lockstep_same(const struct cpu_state *leader, const struct cpu_state *follower,
                   uint64_t undefined, struct difference *out)
{
    struct cpu_state a = *leader, b = *follower;
    bool same = true;
    keep_comparable(&a, undefined);
    keep_comparable(&b, undefined);
    if (all_equal(&a, &b))
        return true;
    for (unsigned n = 0; n < ROWS; n++) {
        if (value(&a, &rows[n]) == value(&b, &rows[n]))
            continue;
        if (same)
            *out = (struct difference){0};
        same = false;
        out->field[n] = true;
        add_name(out, rows[n].name);
    }
    return same;
}

bool lockstep_row(unsigned n, const struct cpu_state *leader, const struct cpu_state *follower,
                  const struct difference *d, struct lockstep_row *out)
{
    if (n >= ROWS)
        return false;
    *out = (struct lockstep_row){
        .name = rows[n].name,
        .val = {value(leader, &rows[n]), value(follower, &rows[n])},
        .differs = d->field[n],
    };
    return true;
}
