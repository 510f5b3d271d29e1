// SPDX-License-Identifier: MIT
//
// Software interrupts and IRET in all modes: real, v8086 (with VME), protected to the same and to
// an outer ring, to v8086, nested tasks, 64-bit. SDM vol. 2 INT n and IRET; vol. 3 sections 6.12
// to 6.14; APM vol. 3 the same.
#include "flags.h"
#include "mmu.h"
#include "ops.h"
#include "regs.h"
#include "sys.h"
#include "vec.h"

void op_int3(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_deliver(cpu, X86_BP, false, 0, EVENT_SOFT);
}

void op_into(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if (flag_of(cpu))
        x86_deliver(cpu, X86_OF, false, 0, EVENT_SOFT);
}

void op_int1(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_deliver(cpu, X86_DB, false, 0, EVENT_INT1);
}

void op_int_i(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned vector = (uint8_t)i->imm;
    if (!x86_deliver_int_n(cpu, vector))
        x86_deliver(cpu, vector, false, 0, EVENT_SOFT);
}

/* --- flags --- */

void x86_write_rflags(struct x86_cpu *cpu, uint64_t value, uint64_t mask)
{
    uint64_t old = rflags_get(cpu), now = (old & ~mask) | (value & mask);
    cpu->rflags = (now & ~(uint64_t)FL_ARITH) | 2;
    flags_put(cpu, (uint32_t)now);
    if ((old ^ now) & FL_VM)
        vec_update_access(cpu);
    if ((old ^ now) & (FL_VM | FL_AC))
        x86_update_mode(cpu);
}

/* Flags that IRET at the present privilege may change, of an image of `size` bytes. */
static uint64_t iret_flags_mask(const struct x86_cpu *cpu, unsigned size)
{
    uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    if (size > 2)
        mask |= FL_AC | FL_ID;
    if (cpu->cpl == 0)
        mask |= FL_IOPL;
    if (cpu->cpl <= (cpu->rflags >> 12 & 3))
        mask |= FL_IF;
    return mask;
}

/* --- IRET --- */

struct return_frame {
    uint64_t rip, flags, rsp;
    uint16_t cs, ss;
};

static void done(struct x86_cpu *cpu)
{
    cpu->nmi_blocked = false;
    x86_update_mode(cpu);
}

static struct return_frame pop_inner(struct x86_cpu *cpu, struct frame *f)
{
    struct return_frame r = {0};
    r.rip = frame_pop(cpu, f);
    r.cs = (uint16_t)frame_pop(cpu, f);
    r.flags = frame_pop(cpu, f);
    return r;
}

/* Real mode, and v8086 mode at IOPL 3. */
static void iret_real(struct x86_cpu *cpu, unsigned size)
{
    bool v86 = cpu->rflags & FL_VM;
    struct frame f = frame_here(cpu, size);
    struct return_frame r = pop_inner(cpu, &f);
    seg_check_entry(cpu, &cpu->seg[SEG_CS], r.rip);
    uint64_t mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_NT | (v86 ? 0 : FL_IOPL) |
                    (size > 2 ? FL_AC | FL_ID | FL_RF : 0);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
    seg_set_real(cpu, SEG_CS, r.cs);
    cpu->next_rip = r.rip;
    x86_write_rflags(cpu, r.flags, mask);
    done(cpu);
}

/* v8086 mode below IOPL 3 with VME: VIF stands for IF. */
static void iret_vme(struct x86_cpu *cpu)
{
    struct frame f = frame_here(cpu, 2);
    struct return_frame r = pop_inner(cpu, &f);
    if (r.flags & FL_TF || (r.flags & FL_IF && cpu->rflags & FL_VIP))
        x86_raise_error(cpu, X86_GP, 0);
    seg_check_entry(cpu, &cpu->seg[SEG_CS], r.rip);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
    seg_set_real(cpu, SEG_CS, r.cs);
    cpu->next_rip = r.rip;
    if (r.flags & FL_IF)
        r.flags |= FL_VIF;
    x86_write_rflags(cpu, r.flags, FL_ARITH | FL_TF | FL_DF | FL_NT | FL_VIF);
    done(cpu);
}

static void iret_v86(struct x86_cpu *cpu, unsigned size)
{
    if ((cpu->rflags & FL_IOPL) == FL_IOPL)
        iret_real(cpu, size);
    else if (cpu->cr4 & CR4_VME && size == 2)
        iret_vme(cpu);
    else
        x86_raise_error(cpu, X86_GP, 0);
}

/* From ring 0 into a v8086 task: six more words. */
static void iret_to_v86(struct x86_cpu *cpu, const struct return_frame *r, struct frame *f)
{
    static const uint8_t order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint64_t sp = frame_pop(cpu, f);
    uint16_t ss = (uint16_t)frame_pop(cpu, f), data[4];
    for (unsigned n = 0; n < 4; n++)
        data[n] = (uint16_t)frame_pop(cpu, f);
    if (r->rip > 0xffff)
        x86_raise_error(cpu, X86_GP, 0);

    x86_write_rflags(cpu, r->flags,
                     FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC |
                         FL_VIF | FL_VIP | FL_ID);
    cpu->seg[SEG_CS] = seg_v86(r->cs);
    cpu->seg[SEG_SS] = seg_v86(ss);
    for (unsigned n = 0; n < 4; n++)
        cpu->seg[order[n]] = seg_v86(data[n]);
    cpu->cpl = 3;
    cpu->gpr[RSP] = (uint32_t)sp;
    cpu->next_rip = r->rip & 0xffff;
    done(cpu);
}

/* The code segment that RET and IRET return to: same or outer ring. */
static void need_return_cs(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *cs)
{
    if (sel_is_null(sel))
        x86_raise_error(cpu, X86_GP, 0);
    desc_need(cpu, sel, cs, X86_GP);
    unsigned rpl = sel & 3;
    bool dpl_ok = desc_is_conforming(cs) ? cs->seg.dpl <= rpl : cs->seg.dpl == rpl;
    if (!desc_is_code(cs) || rpl < cpu->cpl || !dpl_ok ||
        (x86_long_mode(cpu) && cs->seg.l && cs->seg.db))
        seg_fault(cpu, X86_GP, sel);
    if (!cs->seg.present)
        seg_fault(cpu, X86_NP, sel);
}

/* The stack segment that goes with it; null is right for 64-bit code above ring 3. */
static void need_return_ss(struct x86_cpu *cpu, uint16_t sel, const struct seg_desc *cs,
                           unsigned cpl, struct seg_desc *ss)
{
    bool to_64 = x86_long_mode(cpu) && cs->seg.l;
    if (sel_is_null(sel) && to_64 && cpl != 3 && (sel & 3) == cpl) {
        *ss = (struct seg_desc){.seg = seg_null(&cpu->seg[SEG_SS], sel)};
        ss->seg.dpl = (uint8_t)cpl;
        return;
    }
    seg_check_stack(cpu, sel, cpl, X86_GP, ss);
}

/* What remains of a return once everything is popped. skip: bytes that RET n leaves out of the
 * caller's stack. */
static void return_to(struct x86_cpu *cpu, const struct return_frame *r, struct seg_desc *cs,
                      bool new_stack, uint64_t skip)
{
    unsigned cpl = r->cs & 3;
    bool outer = cpl > cpu->cpl;
    struct seg_desc ss;
    if (new_stack)
        need_return_ss(cpu, r->ss, cs, cpl, &ss);
    seg_check_entry(cpu, &cs->seg, r->rip);
    desc_mark_accessed(cpu, cs);
    if (new_stack && !ss.seg.unusable)
        desc_mark_accessed(cpu, &ss);

    seg_set_cs(cpu, cs, r->cs, cpl);
    if (new_stack) {
        uint64_t sp = r->rsp + skip;
        cpu->seg[SEG_SS] = ss.seg;
        if (x86_long_mode(cpu) && cs->seg.l)
            cpu->gpr[RSP] = sp;
        else if (ss.seg.db)
            cpu->gpr[RSP] = (uint32_t)sp;
        else
            cpu->gpr[RSP] = (cpu->gpr[RSP] & ~0xffffull) | (sp & 0xffff);
    }
    if (outer)
        seg_drop_inner(cpu);
    cpu->next_rip = r->rip;
}

static void iret_protected(struct x86_cpu *cpu, unsigned size)
{
    if (cpu->rflags & FL_NT) {
        if (x86_long_mode(cpu))
            x86_raise_error(cpu, X86_GP, 0);
        task_return(cpu);
        cpu->nmi_blocked = false;
        return;
    }
    struct frame f = frame_here(cpu, size);
    struct return_frame r = pop_inner(cpu, &f);
    if (size == 4 && r.flags & FL_VM && cpu->cpl == 0 && !x86_long_mode(cpu)) {
        iret_to_v86(cpu, &r, &f);
        return;
    }
    struct seg_desc cs;
    need_return_cs(cpu, r.cs, &cs);
    bool new_stack = cpu->mode == X86_MODE64 || (r.cs & 3) > cpu->cpl;
    if (new_stack) {
        r.rsp = frame_pop(cpu, &f);
        r.ss = (uint16_t)frame_pop(cpu, &f);
    }
    uint64_t mask = iret_flags_mask(cpu, size) | (size > 2 ? FL_RF : 0);
    if (size > 2 && cpu->cpl == 0)
        mask |= FL_VIF | FL_VIP;
    uint64_t sp = frame_sp(cpu, &f);
    return_to(cpu, &r, &cs, new_stack, 0);
    if (!new_stack)
        cpu->gpr[RSP] = sp;
    x86_write_rflags(cpu, r.flags, mask);
    done(cpu);
}

void op_iret(struct x86_cpu *cpu, const struct insn *i)
{
    if (!(cpu->cr0 & CR0_PE))
        iret_real(cpu, i->opsize);
    else if (cpu->rflags & FL_VM)
        iret_v86(cpu, i->opsize);
    else
        iret_protected(cpu, i->opsize);
}

/* --- far RET --- */

static void ret_far(struct x86_cpu *cpu, unsigned size, uint64_t skip)
{
    struct frame f = frame_here(cpu, size);
    struct return_frame r = {0};
    struct seg_desc cs;
    r.rip = frame_pop(cpu, &f);
    r.cs = (uint16_t)frame_pop(cpu, &f);
    if (x86_real_or_v86(cpu)) {
        seg_check_entry(cpu, &cpu->seg[SEG_CS], r.rip);
        f.sp += skip;
        cpu->gpr[RSP] = frame_sp(cpu, &f);
        seg_set_real(cpu, SEG_CS, r.cs);
        cpu->next_rip = r.rip;
        x86_update_mode(cpu);
        return;
    }
    need_return_cs(cpu, r.cs, &cs);
    f.sp += skip;
    bool outer = (r.cs & 3) > cpu->cpl;
    if (outer) {
        r.rsp = frame_pop(cpu, &f);
        r.ss = (uint16_t)frame_pop(cpu, &f);
    }
    uint64_t sp = frame_sp(cpu, &f);
    return_to(cpu, &r, &cs, outer, skip);
    if (!outer)
        cpu->gpr[RSP] = sp;
    x86_update_mode(cpu);
}

void op_ret_far(struct x86_cpu *cpu, const struct insn *i)
{
    ret_far(cpu, i->opsize, 0);
}

void op_ret_far_i(struct x86_cpu *cpu, const struct insn *i)
{
    ret_far(cpu, i->opsize, (uint16_t)i->imm);
}
