// SPDX-License-Identifier: MIT
//
// Hardware task switches with 16- and 32-bit TSS (SDM vol. 3 chapter 7). Everything that can fault
// in the context of the outgoing task is done first; from the commit point on, faults belong to the
// incoming one, whose rip is already in place.
#include <string.h>

#include "flags.h"
#include "mmu.h"
#include "sys.h"
#include "vec.h"

#define TSS16_BYTES 0x2c
#define TSS32_BYTES 0x68

static const uint8_t tss_segs[] = {SEG_ES, SEG_CS, SEG_SS,
                                   SEG_DS, SEG_FS, SEG_GS}; /* in the order of the TSS */

/* A TSS of either size, in one form. */
struct tss_image {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t sel[6], ldt, link;
    bool debug_trap;
};

static uint32_t get(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;
    memcpy(&v, p, bytes);
    return v;
}

static void put(uint8_t *p, uint32_t v, unsigned bytes)
{
    memcpy(p, &v, bytes);
}

static void read_bytes(struct x86_cpu *cpu, gva_t at, uint8_t *buf, unsigned len)
{
    for (unsigned done = 0; done < len; done += 4)
        mmu_read_system(cpu, at + done, buf + done, 4);
}

static struct tss_image read_tss(struct x86_cpu *cpu, gva_t at, bool wide)
{
    uint8_t b[TSS32_BYTES];
    struct tss_image t = {0};
    unsigned w = wide ? 4 : 2, regs = wide ? 0x20 : 0x0e;
    read_bytes(cpu, at, b, wide ? TSS32_BYTES : TSS16_BYTES);
    t.link = (uint16_t)get(b, 2);
    t.cr3 = wide ? get(b + 0x1c, 4) : 0;
    t.eip = get(b + regs, w);
    t.eflags = get(b + regs + w, w);
    for (unsigned n = 0; n < 8; n++)
        t.gpr[n] = get(b + regs + (2 + n) * w, w);
    for (unsigned n = 0; n < (wide ? 6u : 4u); n++)
        t.sel[n] = (uint16_t)get(b + regs + (10 + n) * w, 2);
    t.ldt = (uint16_t)get(b + (wide ? 0x60 : 0x2a), 2);
    t.debug_trap = wide && b[0x64] & 1;
    return t;
}

/* The changing part of the outgoing TSS: EIP to the segment selectors. */
static void save_tss(struct x86_cpu *cpu, uint64_t rip, uint64_t flags)
{
    const struct cpu_seg *tr = &cpu->seg[SEG_TR];
    bool wide = tr->type & 8;
    unsigned w = wide ? 4 : 2, at = wide ? 0x20 : 0x0e, nsegs = wide ? 6 : 4,
             len = (10 + nsegs) * w;
    uint8_t b[16 * 4];
    put(b, (uint32_t)rip, w);
    put(b + w, (uint32_t)flags, w);
    for (unsigned n = 0; n < 8; n++)
        put(b + (2 + n) * w, (uint32_t)cpu->gpr[n], w);
    for (unsigned n = 0; n < nsegs; n++)
        put(b + (10 + n) * w, cpu->seg[tss_segs[n]].sel, w);
    mmu_probe_as(cpu, tr->base + at, len, MMU_WRITE, MMU_IMPLICIT);
    for (unsigned done = 0; done < len; done += w)
        mmu_write_system(cpu, tr->base + at + done, b + done, w);
}

static void set_busy(struct x86_cpu *cpu, gva_t desc_at, bool busy)
{
    uint8_t type;
    mmu_read_system(cpu, desc_at + 5, &type, 1);
    type = (uint8_t)(busy ? type | 2 : type & ~2);
    mmu_write_system(cpu, desc_at + 5, &type, 1);
}

/* --- the incoming task --- */

static void load_ldt(struct x86_cpu *cpu, uint16_t sel)
{
    struct seg_desc d;
    if (sel_is_null(sel))
        return;
    if (sel & 4 || !desc_fetch(cpu, sel, &d) || d.seg.s || d.seg.type != SYS_LDT || !d.seg.present)
        seg_fault(cpu, X86_TS, sel);
    cpu->seg[SEG_LDTR] = d.seg;
}

static void load_cs(struct x86_cpu *cpu, uint16_t sel)
{
    struct seg_desc d;
    unsigned rpl = sel & 3;
    if (sel_is_null(sel))
        seg_fault(cpu, X86_TS, 0);
    desc_need(cpu, sel, &d, X86_TS);
    if (!desc_is_code(&d) || (desc_is_conforming(&d) ? d.seg.dpl > rpl : d.seg.dpl != rpl))
        seg_fault(cpu, X86_TS, sel);
    if (!d.seg.present)
        seg_fault(cpu, X86_NP, sel);
    desc_mark_accessed(cpu, &d);
    seg_set_cs(cpu, &d, sel, rpl);
}

static void load_ss(struct x86_cpu *cpu, uint16_t sel)
{
    struct seg_desc d;
    seg_check_stack(cpu, sel, cpu->cpl, X86_TS, &d);
    desc_mark_accessed(cpu, &d);
    cpu->seg[SEG_SS] = d.seg;
}

static void load_data(struct x86_cpu *cpu, unsigned seg, uint16_t sel)
{
    struct seg_desc d;
    if (sel_is_null(sel))
        return;
    desc_need(cpu, sel, &d, X86_TS);
    bool code = desc_is_code(&d), conforming = code && desc_is_conforming(&d);
    if (!d.seg.s || (code && !(d.seg.type & TYPE_RW)) ||
        (!conforming && (d.seg.dpl < cpu->cpl || d.seg.dpl < (sel & 3))))
        seg_fault(cpu, X86_TS, sel);
    if (!d.seg.present)
        seg_fault(cpu, X86_NP, sel);
    desc_mark_accessed(cpu, &d);
    cpu->seg[seg] = d.seg;
}

static void load_segments(struct x86_cpu *cpu, const struct tss_image *t)
{
    load_ldt(cpu, t->ldt);
    if (cpu->rflags & FL_VM) {
        for (unsigned n = 0; n < 6; n++)
            cpu->seg[tss_segs[n]] = seg_v86(t->sel[n]);
        return;
    }
    load_cs(cpu, t->sel[1]);
    load_ss(cpu, t->sel[2]);
    for (unsigned n = 0; n < 6; n++) {
        if (n != 1 && n != 2)
            load_data(cpu, tss_segs[n], t->sel[n]);
    }
}

/* Selectors without descriptors: what a fault in the middle of the loads sees. */
static void set_registers(struct x86_cpu *cpu, const struct tss_image *t, bool wide, bool nested)
{
    for (unsigned n = 0; n < 8; n++)
        cpu->gpr[n] = wide ? t->gpr[n] : (cpu->gpr[n] & 0xffff0000u) | t->gpr[n];
    for (unsigned n = 0; n < 6; n++)
        cpu->seg[tss_segs[n]] = seg_null(&cpu->seg[tss_segs[n]], t->sel[n]);
    cpu->seg[SEG_LDTR] = seg_null(&cpu->seg[SEG_LDTR], t->ldt);
    uint64_t flags = t->eflags | (nested ? FL_NT : 0u);
    uint64_t mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC |
                    FL_VIF | FL_VIP | FL_ID;
    cpu->rip = cpu->next_rip = t->eip;
    cpu->cpl = flags & FL_VM ? 3 : t->sel[1] & 3;
    x86_write_rflags(cpu, flags, mask);
    cpu->cr0 |= CR0_TS;
    vec_update_access(cpu);
    cpu->dr[7] &= ~0x155ull; /* local breakpoints */
}

static void load_cr3(struct x86_cpu *cpu, uint32_t cr3)
{
    if (!(cpu->cr0 & CR0_PG))
        return;
    if (cpu->cr4 & CR4_PAE && !mmu_load_pdptes(cpu, cr3))
        x86_raise_error(cpu, X86_GP, cpu->event_ext);
    cpu->cr3 = cr3;
    mmu_switch_space(cpu, 0, true);
}

static void push_error(struct x86_cpu *cpu, uint32_t error, bool wide)
{
    struct frame f = frame_here(cpu, wide ? 4 : 2);
    frame_push(cpu, &f, error);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
}

void task_switch(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *d, enum task_reason why,
                 const struct task_from *from)
{
    bool wide = d->seg.type & 8, nested = why == TASK_CALL;
    uint16_t old_sel = cpu->seg[SEG_TR].sel;
    uint64_t flags = why == TASK_IRET ? from->flags & ~(uint64_t)FL_NT : from->flags;
    struct seg_desc old;
    if (d->seg.limit < (wide ? TSS32_BYTES : TSS16_BYTES) - 1u)
        seg_fault(cpu, X86_TS, sel);
    struct tss_image t = read_tss(cpu, d->seg.base, wide);
    desc_need(cpu, old_sel, &old, X86_TS);
    mmu_probe_as(cpu, old.at + 5, 1, MMU_WRITE, MMU_IMPLICIT);
    mmu_probe_as(cpu, d->at + 5, 1, MMU_WRITE, MMU_IMPLICIT);
    if (nested)
        mmu_probe_as(cpu, d->seg.base, 2, MMU_WRITE, MMU_IMPLICIT);

    save_tss(cpu, from->rip, flags);
    if (!nested)
        set_busy(cpu, old.at, false);
    if (nested)
        mmu_write_system(cpu, d->seg.base, &old_sel, 2);
    set_busy(cpu, d->at, true);
    cpu->seg[SEG_TR] = d->seg;
    cpu->seg[SEG_TR].type |= 2;

    set_registers(cpu, &t, wide, nested);
    if (wide)
        load_cr3(cpu, t.cr3);
    load_segments(cpu, &t);
    x86_update_mode(cpu);
    if (from->has_error)
        push_error(cpu, from->error, wide);
    seg_check_entry(cpu, &cpu->seg[SEG_CS], t.eip);
    if (t.debug_trap)
        cpu->pending_db |= DR6_BT;
}

void task_return(struct x86_cpu *cpu)
{
    struct seg_desc d;
    uint16_t link;
    mmu_read_system(cpu, cpu->seg[SEG_TR].base, &link, 2);
    if (link & 4)
        seg_fault(cpu, X86_TS, link);
    desc_need(cpu, link, &d, X86_TS);
    if (d.seg.s || (d.seg.type != SYS_TSS_BUSY && d.seg.type != SYS_TSS16_BUSY))
        seg_fault(cpu, X86_TS, link);
    if (!d.seg.present)
        seg_fault(cpu, X86_NP, link);
    struct task_from from = {.rip = cpu->next_rip, .flags = rflags_get(cpu)};
    task_switch(cpu, link, &d, TASK_IRET, &from);
}

uint16_t task_gate_tss(struct x86_cpu *cpu, uint64_t gate, struct seg_desc *out)
{
    uint16_t sel = (uint16_t)(gate >> 16);
    if (sel & 4)
        seg_fault(cpu, X86_GP, sel);
    desc_need(cpu, sel, out, X86_GP);
    if (out->seg.s || (out->seg.type != SYS_TSS && out->seg.type != SYS_TSS16))
        seg_fault(cpu, X86_GP, sel);
    if (!out->seg.present)
        seg_fault(cpu, X86_NP, sel);
    return sel;
}
