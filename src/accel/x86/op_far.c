// SPDX-License-Identifier: MIT
//
// Far JMP and CALL: to code segments, through call gates (16, 32 and 64 bits, with parameter copy
// and stack switch), through task gates and TSS selectors. SDM vol. 2 CALL and JMP, vol. 3
// section 5.8; APM vol. 2 sections 4.11 and 4.12. Far RET is beside IRET (op_iret.c).
#include "flags.h"
#include "mmu.h"
#include "ops.h"
#include "regs.h"
#include "sys.h"

enum transfer { JUMP, CALL };

struct call_gate {
    uint64_t off;
    uint16_t sel;
    unsigned params, size; /* size of pushes: 2, 4, 8 */
};

static void go(struct x86_cpu *cpu, struct seg_desc *cs, uint16_t sel, unsigned cpl, uint64_t off)
{
    seg_set_cs(cpu, cs, sel, cpl);
    cpu->next_rip = off;
    x86_update_mode(cpu);
}

/* Push the return address on the present stack, then go. */
static void transfer_here(struct x86_cpu *cpu, struct seg_desc *cs, uint16_t sel, uint64_t off,
                          enum transfer how, unsigned size)
{
    struct frame f = frame_here(cpu, size);
    seg_check_entry(cpu, &cs->seg, off);
    if (how == CALL) {
        frame_push(cpu, &f, cpu->seg[SEG_CS].sel);
        frame_push(cpu, &f, cpu->next_rip);
    }
    desc_mark_accessed(cpu, cs);
    if (how == CALL)
        cpu->gpr[RSP] = frame_sp(cpu, &f);
    go(cpu, cs, sel, cpu->cpl, off);
}

static void to_code(struct x86_cpu *cpu, struct seg_desc *cs, uint16_t sel, uint64_t off,
                    enum transfer how, unsigned size)
{
    bool ok = desc_is_conforming(cs) ? cs->seg.dpl <= cpu->cpl
                                     : (sel & 3) <= cpu->cpl && cs->seg.dpl == cpu->cpl;
    if (!ok || (x86_long_mode(cpu) && cs->seg.l && cs->seg.db))
        seg_fault(cpu, X86_GP, sel);
    if (!cs->seg.present)
        seg_fault(cpu, X86_NP, sel);
    transfer_here(cpu, cs, sel, off, how, size);
}

/* --- call gates --- */

static void call_inner_long(struct x86_cpu *cpu, const struct call_gate *g, struct seg_desc *cs)
{
    unsigned cpl = cs->seg.dpl;
    struct frame f = {.mask = ~0ull, .sp = tss_rsp(cpu, cpl, 0), .user = false, .size = 8};
    seg_check_entry(cpu, &cs->seg, g->off);
    frame_push(cpu, &f, cpu->seg[SEG_SS].sel);
    frame_push(cpu, &f, cpu->gpr[RSP]);
    frame_push(cpu, &f, cpu->seg[SEG_CS].sel);
    frame_push(cpu, &f, cpu->next_rip);
    desc_mark_accessed(cpu, cs);
    cpu->gpr[RSP] = f.sp;
    cpu->seg[SEG_SS] = seg_null(&cpu->seg[SEG_SS], (uint16_t)cpl);
    cpu->seg[SEG_SS].dpl = (uint8_t)cpl;
    go(cpu, cs, g->sel, cpl, g->off);
}

static void call_inner_legacy(struct x86_cpu *cpu, const struct call_gate *g, struct seg_desc *cs)
{
    unsigned cpl = cs->seg.dpl;
    struct tss_stack stack = tss_inner_stack(cpu, cpl);
    struct seg_desc ss;
    uint64_t params[32];
    seg_check_stack(cpu, stack.ss, cpl, X86_TS, &ss);
    struct frame outer = frame_here(cpu, g->size), f = frame_on(&ss.seg, stack.sp, cpl, g->size);
    seg_check_entry(cpu, &cs->seg, g->off);
    for (unsigned n = 0; n < g->params; n++)
        params[n] = frame_pop(cpu, &outer);
    frame_push(cpu, &f, cpu->seg[SEG_SS].sel);
    frame_push(cpu, &f, cpu->gpr[RSP]);
    for (unsigned n = g->params; n--;)
        frame_push(cpu, &f, params[n]);
    frame_push(cpu, &f, cpu->seg[SEG_CS].sel);
    frame_push(cpu, &f, cpu->next_rip);
    desc_mark_accessed(cpu, cs);
    desc_mark_accessed(cpu, &ss);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
    cpu->seg[SEG_SS] = ss.seg;
    go(cpu, cs, g->sel, cpl, g->off);
}

static struct call_gate read_call_gate(struct x86_cpu *cpu, const struct seg_desc *d, uint16_t sel)
{
    struct call_gate g = {
        .off = d->raw & 0xffff,
        .sel = (uint16_t)(d->raw >> 16),
        .params = d->raw >> 32 & 31,
        .size = d->seg.type == SYS_CALL16 ? 2 : 4,
    };
    if (g.size == 4)
        g.off |= d->raw >> 32 & 0xffff0000;
    if (x86_long_mode(cpu)) {
        uint64_t upper;
        if (!desc_upper(cpu, sel, d->at, &upper) || upper >> 40 & 31)
            seg_fault(cpu, X86_GP, sel);
        g.off |= upper << 32;
        g.size = 8;
        g.params = 0;
    }
    return g;
}

static void through_call_gate(struct x86_cpu *cpu, const struct seg_desc *d, uint16_t sel,
                              enum transfer how)
{
    bool lma = x86_long_mode(cpu);
    if (!d->seg.present)
        seg_fault(cpu, X86_NP, sel);
    struct call_gate g = read_call_gate(cpu, d, sel);
    struct seg_desc cs;
    if (sel_is_null(g.sel))
        x86_raise_error(cpu, X86_GP, 0);
    desc_need(cpu, g.sel, &cs, X86_GP);
    bool same = desc_is_conforming(&cs) || cs.seg.dpl == cpu->cpl;
    if (!desc_is_code(&cs) || cs.seg.dpl > cpu->cpl || (how == JUMP && !same) ||
        (lma && (!cs.seg.l || cs.seg.db)))
        seg_fault(cpu, X86_GP, g.sel);
    if (!cs.seg.present)
        seg_fault(cpu, X86_NP, g.sel);
    if (same)
        transfer_here(cpu, &cs, g.sel, g.off, how, g.size);
    else if (lma)
        call_inner_long(cpu, &g, &cs);
    else
        call_inner_legacy(cpu, &g, &cs);
}

/* --- system descriptors --- */

static void to_task(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *tss, enum transfer how)
{
    struct task_from from = {.rip = cpu->next_rip, .flags = rflags_get(cpu)};
    task_switch(cpu, sel, tss, how == CALL ? TASK_CALL : TASK_JMP, &from);
}

static void to_system(struct x86_cpu *cpu, struct seg_desc *d, uint16_t sel, enum transfer how)
{
    unsigned type = d->seg.type;
    bool lma = x86_long_mode(cpu), call = type == SYS_CALL || (type == SYS_CALL16 && !lma);
    bool task = !lma && (type == SYS_TASK_GATE || type == SYS_TSS || type == SYS_TSS16);
    if (!(call || task) || d->seg.dpl < cpu->cpl || d->seg.dpl < (sel & 3))
        seg_fault(cpu, X86_GP, sel);
    if (call) {
        through_call_gate(cpu, d, sel, how);
        return;
    }
    if (type != SYS_TASK_GATE) {
        if (sel & 4)
            seg_fault(cpu, X86_GP, sel);
        if (!d->seg.present)
            seg_fault(cpu, X86_NP, sel);
        to_task(cpu, sel, d, how);
        return;
    }
    if (!d->seg.present)
        seg_fault(cpu, X86_NP, sel);
    struct seg_desc tss;
    uint16_t tss_sel = task_gate_tss(cpu, d->raw, &tss);
    to_task(cpu, tss_sel, &tss, how);
}

static void transfer_real(struct x86_cpu *cpu, uint16_t sel, uint64_t off, enum transfer how,
                          unsigned size)
{
    struct frame f = frame_here(cpu, size);
    seg_check_entry(cpu, &cpu->seg[SEG_CS], off);
    if (how == CALL) {
        frame_push(cpu, &f, cpu->seg[SEG_CS].sel);
        frame_push(cpu, &f, cpu->next_rip);
        cpu->gpr[RSP] = frame_sp(cpu, &f);
    }
    seg_set_real(cpu, SEG_CS, sel);
    cpu->next_rip = off;
    x86_update_mode(cpu);
}

static void transfer(struct x86_cpu *cpu, uint16_t sel, uint64_t off, enum transfer how,
                     unsigned size)
{
    if (x86_real_or_v86(cpu)) {
        transfer_real(cpu, sel, off, how, size);
        return;
    }
    struct seg_desc d;
    if (sel_is_null(sel))
        x86_raise_error(cpu, X86_GP, 0);
    desc_need(cpu, sel, &d, X86_GP);
    if (desc_is_code(&d))
        to_code(cpu, &d, sel, off, how, size);
    else if (d.seg.s)
        seg_fault(cpu, X86_GP, sel);
    else
        to_system(cpu, &d, sel, how);
}

static void transfer_m(struct x86_cpu *cpu, const struct insn *i, enum transfer how)
{
    gva_t va = insn_linear(cpu, i, i->opsize + 2u, false);
    uint64_t off = mem_read(cpu, va, i->opsize);
    uint16_t sel = mem_read16(cpu, (va + i->opsize) & cpu->address_mask);
    transfer(cpu, sel, off, how, i->opsize);
}

void op_jmp_far_i(struct x86_cpu *cpu, const struct insn *i)
{
    transfer(cpu, i->imm2, (uint64_t)i->imm & size_mask(i->opsize), JUMP, i->opsize);
}

void op_jmp_far_m(struct x86_cpu *cpu, const struct insn *i)
{
    transfer_m(cpu, i, JUMP);
}

void op_call_far_i(struct x86_cpu *cpu, const struct insn *i)
{
    transfer(cpu, i->imm2, (uint64_t)i->imm & size_mask(i->opsize), CALL, i->opsize);
}

void op_call_far_m(struct x86_cpu *cpu, const struct insn *i)
{
    transfer_m(cpu, i, CALL);
}
