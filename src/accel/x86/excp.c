// SPDX-License-Identifier: MIT
//
// Exceptions and interrupts: raising, delivery through IVT and IDT in every mode, double and triple
// faults. SDM vol. 3 chapter 6, section 21.1.4 (real mode), 21.3 (v8086); APM vol. 2 chapter 8.
// IRET is in op_iret.c, breakpoints and single steps in step.c.
#include <string.h>

#include "core.h"
#include "env.h"
#include "flags.h"
#include "mmu.h"
#include "sys.h"
#include "vec.h"

/* Error code bits for faults about an IDT entry. */
#define ERR_IDT 2u

_Noreturn void x86_raise(struct x86_cpu *cpu, unsigned vector)
{
    cpu->exception.pending = true;
    cpu->exception.vector = (uint8_t)vector;
    cpu->exception.has_error = false;
    cpu->exception.error = 0;
    cpu->exception.trap = false;
    longjmp(cpu->fault_landing, 1);
}

_Noreturn void x86_raise_error(struct x86_cpu *cpu, unsigned vector, uint32_t error)
{
    cpu->exception.pending = true;
    cpu->exception.vector = (uint8_t)vector;
    cpu->exception.has_error = true;
    cpu->exception.error = error;
    cpu->exception.trap = false;
    longjmp(cpu->fault_landing, 1);
}

_Noreturn void x86_raise_debug(struct x86_cpu *cpu, uint64_t dr6_bits)
{
    cpu->dr[6] = (cpu->dr[6] & ~15ull) | dr6_bits;
    x86_raise(cpu, X86_DB);
}

/* --- one event on its way --- */

struct event {
    unsigned vector;
    bool has_error;
    uint32_t error;
    enum x86_event kind;
    uint64_t flags; /* image to save */
    uint64_t rip;   /* to return to */
};

struct gate {
    uint64_t off;
    uint16_t sel;
    unsigned type, dpl, ist;
    bool present;
    uint64_t raw;
};

static _Noreturn void idt_fault(struct x86_cpu *cpu, const struct event *ev, unsigned vector)
{
    x86_raise_error(cpu, vector, ev->vector << 3 | ERR_IDT | cpu->event_ext);
}

static bool is_soft(const struct event *ev)
{
    return ev->kind == EVENT_SOFT || ev->kind == EVENT_INT1;
}

static struct gate read_gate(struct x86_cpu *cpu, const struct event *ev)
{
    bool lma = x86_long_mode(cpu);
    unsigned size = lma ? 16 : 8;
    uint64_t raw[2] = {0, 0};
    if (ev->vector * size + size - 1 > cpu->idt.limit)
        idt_fault(cpu, ev, X86_GP);
    mmu_read_system(cpu, cpu->idt.base + ev->vector * size, raw, size);
    struct gate g = {
        .off = (raw[0] & 0xffff) | (raw[0] >> 32 & 0xffff0000),
        .sel = (uint16_t)(raw[0] >> 16),
        .type = raw[0] >> 40 & 31, /* with the S bit, which must be clear */
        .dpl = raw[0] >> 45 & 3,
        .present = raw[0] >> 47 & 1,
        .raw = raw[0],
    };
    bool ok = g.type == SYS_INT || g.type == SYS_TRAP;
    if (lma) {
        g.off |= raw[1] << 32;
        g.ist = raw[0] >> 32 & 7;
    } else {
        ok = ok || g.type == SYS_INT16 || g.type == SYS_TRAP16 || g.type == SYS_TASK_GATE;
    }
    if (!ok || (ev->kind == EVENT_SOFT && g.dpl < cpu->cpl))
        idt_fault(cpu, ev, X86_GP);
    if (!g.present)
        idt_fault(cpu, ev, X86_NP);
    if (g.type < 8)
        g.off &= 0xffff;
    return g;
}

/* The handler's code segment: at least as privileged as the present code. */
static void need_handler_cs(struct x86_cpu *cpu, const struct gate *g, struct seg_desc *cs)
{
    if (sel_is_null(g->sel))
        x86_raise_error(cpu, X86_GP, cpu->event_ext);
    desc_need(cpu, g->sel, cs, X86_GP);
    if (!desc_is_code(cs) || cs->seg.dpl > cpu->cpl)
        seg_fault(cpu, X86_GP, g->sel);
    if (x86_long_mode(cpu) && (!cs->seg.l || cs->seg.db))
        seg_fault(cpu, X86_GP, g->sel);
    if (!cs->seg.present)
        seg_fault(cpu, X86_NP, g->sel);
}

/* Flags the handler starts with. */
static void enter_flags(struct x86_cpu *cpu, bool interrupt_gate)
{
    bool v86 = cpu->rflags & FL_VM;
    cpu->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM);
    if (interrupt_gate)
        cpu->rflags &= ~(uint64_t)FL_IF;
    if (v86)
        vec_update_access(cpu);
}

static void enter(struct x86_cpu *cpu, uint64_t rip)
{
    cpu->rip = cpu->next_rip = rip;
    x86_update_mode(cpu);
}

/* What all frames end with, but those of real mode. */
static void push_event(struct x86_cpu *cpu, struct frame *f, const struct event *ev)
{
    frame_push(cpu, f, ev->flags);
    frame_push(cpu, f, cpu->seg[SEG_CS].sel);
    frame_push(cpu, f, ev->rip);
    if (ev->has_error)
        frame_push(cpu, f, ev->error);
}

/* --- long mode --- */

static void deliver_long(struct x86_cpu *cpu, const struct event *ev)
{
    struct gate g = read_gate(cpu, ev);
    struct seg_desc cs;
    need_handler_cs(cpu, &g, &cs);
    unsigned cpl = desc_is_conforming(&cs) ? cpu->cpl : cs.seg.dpl;
    uint64_t rsp = cpu->gpr[RSP];
    if (g.ist || cpl < cpu->cpl)
        rsp = tss_rsp(cpu, cpl, g.ist);
    seg_check_entry(cpu, &cs.seg, g.off);

    struct frame f = {.mask = ~0ull, .sp = rsp & ~15ull, .user = cpl == 3, .size = 8};
    frame_push(cpu, &f, cpu->seg[SEG_SS].sel);
    frame_push(cpu, &f, cpu->gpr[RSP]);
    push_event(cpu, &f, ev);

    desc_mark_accessed(cpu, &cs);
    cpu->gpr[RSP] = f.sp;
    if (cpl < cpu->cpl) {
        cpu->seg[SEG_SS] = seg_null(&cpu->seg[SEG_SS], (uint16_t)cpl);
        cpu->seg[SEG_SS].dpl = (uint8_t)cpl;
    }
    seg_set_cs(cpu, &cs, g.sel, cpl);
    enter_flags(cpu, g.type == SYS_INT);
    enter(cpu, g.off);
}

/* --- protected mode --- */

static void push_v86_segments(struct x86_cpu *cpu, struct frame *f)
{
    static const uint8_t order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    for (unsigned n = 0; n < sizeof order; n++)
        frame_push(cpu, f, cpu->seg[order[n]].sel);
}

static void drop_v86_segments(struct x86_cpu *cpu)
{
    static const uint8_t which[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    for (unsigned n = 0; n < sizeof which; n++)
        cpu->seg[which[n]] = seg_null(&cpu->seg[which[n]], 0);
}

static void deliver_task_gate(struct x86_cpu *cpu, const struct event *ev, const struct gate *g)
{
    struct seg_desc tss;
    uint16_t sel = task_gate_tss(cpu, g->raw, &tss);
    struct task_from from = {
        .rip = ev->rip, .flags = ev->flags, .has_error = ev->has_error, .error = ev->error};
    task_switch(cpu, sel, &tss, TASK_CALL, &from);
    cpu->rip = cpu->next_rip;
}

static void deliver_protected(struct x86_cpu *cpu, const struct event *ev)
{
    struct gate g = read_gate(cpu, ev);
    if (g.type == SYS_TASK_GATE) {
        deliver_task_gate(cpu, ev, &g);
        return;
    }
    struct seg_desc cs, ss;
    need_handler_cs(cpu, &g, &cs);
    bool v86 = cpu->rflags & FL_VM;
    bool inner = !desc_is_conforming(&cs) && cs.seg.dpl < cpu->cpl;
    unsigned cpl = inner ? cs.seg.dpl : cpu->cpl, size = g.type < 8 ? 2 : 4;
    /* From v8086 mode the handler must run in ring 0. */
    if (v86 && cpl != 0)
        seg_fault(cpu, X86_GP, g.sel);
    struct frame f = frame_here(cpu, size);
    struct tss_stack stack = {0};
    if (inner) {
        stack = tss_inner_stack(cpu, cpl);
        seg_check_stack(cpu, stack.ss, cpl, X86_TS, &ss);
        f = frame_on(&ss.seg, stack.sp, cpl, size);
    }
    seg_check_entry(cpu, &cs.seg, g.off);

    if (v86)
        push_v86_segments(cpu, &f);
    if (inner) {
        frame_push(cpu, &f, cpu->seg[SEG_SS].sel);
        frame_push(cpu, &f, cpu->gpr[RSP]);
    }
    push_event(cpu, &f, ev);

    desc_mark_accessed(cpu, &cs);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
    if (inner) {
        desc_mark_accessed(cpu, &ss);
        cpu->seg[SEG_SS] = ss.seg;
    }
    if (v86)
        drop_v86_segments(cpu);
    seg_set_cs(cpu, &cs, g.sel, cpl);
    enter_flags(cpu, g.type == SYS_INT || g.type == SYS_INT16);
    enter(cpu, g.off);
}

/* --- real mode, and software interrupts that VME sends to the v8086 task itself --- */

static void deliver_ivt(struct x86_cpu *cpu, const struct event *ev, gva_t table, uint64_t flags)
{
    uint32_t entry;
    mmu_read_as(cpu, table + ev->vector * 4, &entry, 4, cpu->cpl == 3 ? MMU_USER : MMU_SUPERVISOR);
    struct frame f = frame_here(cpu, 2);
    frame_push(cpu, &f, flags);
    frame_push(cpu, &f, cpu->seg[SEG_CS].sel);
    frame_push(cpu, &f, ev->rip);
    cpu->gpr[RSP] = frame_sp(cpu, &f);
    seg_set_real(cpu, SEG_CS, (uint16_t)(entry >> 16));
    enter(cpu, entry & 0xffff);
}

static void deliver_real(struct x86_cpu *cpu, const struct event *ev)
{
    if (ev->vector * 4 + 3 > cpu->idt.limit)
        idt_fault(cpu, ev, X86_GP);
    deliver_ivt(cpu, ev, cpu->idt.base, ev->flags);
    cpu->rflags &= ~(uint64_t)(FL_IF | FL_TF | FL_RF | FL_AC);
    x86_update_mode(cpu);
}

/* Does the redirection bitmap below the TSS's I/O map send INT n to the task's own handlers? (SDM
 * vol. 3 section 21.3.3.4) */
static bool vme_redirects(struct x86_cpu *cpu, unsigned vector)
{
    const struct cpu_seg *tr = &cpu->seg[SEG_TR];
    uint16_t map;
    uint8_t bits;
    if (tr->limit < 0x67)
        return false;
    mmu_read_system(cpu, tr->base + 0x66, &map, 2);
    uint32_t at = map - 32u + vector / 8;
    if (map < 32 || at > tr->limit)
        return false;
    mmu_read_system(cpu, tr->base + at, &bits, 1);
    return !(bits >> (vector & 7) & 1);
}

/* INT n in v8086 mode: true when it was handled inside the task. */
static bool deliver_v86_soft(struct x86_cpu *cpu, const struct event *ev)
{
    bool iopl3 = (cpu->rflags & FL_IOPL) == FL_IOPL;
    if (cpu->cr4 & CR4_VME && vme_redirects(cpu, ev->vector)) {
        /* Below IOPL 3 the task sees and changes VIF in the place of IF. */
        uint64_t flags = ev->flags;
        uint32_t clear = FL_TF | (iopl3 ? FL_IF : FL_VIF);
        if (!iopl3)
            flags = (flags & ~(uint64_t)FL_IF) | FL_IOPL | (flags & FL_VIF ? FL_IF : 0);
        deliver_ivt(cpu, ev, 0, flags);
        cpu->rflags &= ~(uint64_t)clear;
        return true;
    }
    if (!iopl3)
        x86_raise_error(cpu, X86_GP, 0);
    return false;
}

/* --- delivery --- */

void x86_deliver(struct x86_cpu *cpu, unsigned vector, bool has_error, uint32_t error,
                 enum x86_event kind)
{
    struct event ev = {.vector = vector,
                       .has_error = has_error,
                       .error = error,
                       .kind = kind,
                       .flags = rflags_get(cpu)};
    ev.rip = is_soft(&ev) ? cpu->next_rip : cpu->rip;
    if (kind == EVENT_FAULT)
        ev.flags |= FL_RF;
    if (!(cpu->cr0 & CR0_PE)) {
        deliver_real(cpu, &ev);
    } else if (x86_long_mode(cpu)) {
        deliver_long(cpu, &ev);
    } else {
        /* INT3, INTO and INT1 in v8086 mode always go through the IDT; the caller of INT n asked
         * for EVENT_SOFT with imm8. */
        deliver_protected(cpu, &ev);
    }
    cpu->interrupt_shadow = cpu->debug_shadow = false;
}

bool x86_deliver_int_n(struct x86_cpu *cpu, unsigned vector)
{
    struct event ev = {
        .vector = vector, .kind = EVENT_SOFT, .flags = rflags_get(cpu), .rip = cpu->next_rip};
    return cpu->rflags & FL_VM && deliver_v86_soft(cpu, &ev);
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(unsigned vector)
{
    switch (vector) {
    case X86_DE:
    case X86_TS:
    case X86_NP:
    case X86_SS:
    case X86_GP:
        return CONTRIBUTORY;
    case X86_PF:
        return PAGE_FAULT;
    case X86_DF:
        return DOUBLE_FAULT;
    default:
        return BENIGN;
    }
}

/* What delivering `first` and meeting `second` makes (SDM vol. 3 table 6-5). False: the second is
 * simply delivered. */
static bool makes_double_fault(enum fault_class first, enum fault_class second)
{
    return (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
           (first == PAGE_FAULT && second != BENIGN);
}

/* Deliver an event, and whatever faults come of it. Never raises. */
static void deliver_guarded(struct x86_cpu *cpu, unsigned vector, bool has_error, uint32_t error,
                            enum x86_event kind)
{
    struct {
        unsigned vector;
        bool has_error;
        uint32_t error;
        enum x86_event kind;
        enum fault_class class;
    } volatile ev = {vector, has_error, error, kind,
                     kind == EVENT_FAULT || kind == EVENT_TRAP ? class_of(vector) : BENIGN};
    jmp_buf outer;
    memcpy(&outer, &cpu->fault_landing, sizeof outer);
    cpu->event_ext = 1;
    if (setjmp(cpu->fault_landing)) {
        enum fault_class second = class_of(cpu->exception.vector);
        if (ev.class == DOUBLE_FAULT) {
            cpu->shutdown = true;
        } else if (makes_double_fault(ev.class, second)) {
            ev.vector = X86_DF;
            ev.has_error = true;
            ev.error = 0;
            ev.class = DOUBLE_FAULT;
        } else {
            ev.vector = cpu->exception.vector;
            ev.has_error = cpu->exception.has_error;
            ev.error = cpu->exception.error;
            ev.class = second;
        }
        ev.kind = EVENT_FAULT;
    }
    if (!cpu->shutdown)
        x86_deliver(cpu, ev.vector, ev.has_error && cpu->cr0 & CR0_PE, ev.error, ev.kind);
    cpu->event_ext = 0;
    cpu->exception.pending = false;
    memcpy(&cpu->fault_landing, &outer, sizeof outer);
}

void x86_deliver_exception(struct x86_cpu *cpu)
{
    enum x86_event kind = EVENT_FAULT;
    if (cpu->exception.trap) {
        cpu->rip = cpu->next_rip;
        kind = EVENT_TRAP;
    } else {
        cpu->pending_db = 0; /* of an instruction that will be done again */
    }
    if (cpu->exception.vector == X86_DB)
        cpu->dr[7] &= ~(uint64_t)DR7_GD;
    deliver_guarded(cpu, cpu->exception.vector, cpu->exception.has_error, cpu->exception.error,
                    kind);
}

void x86_interrupt(struct x86_cpu *cpu, uint8_t vector)
{
    cpu->halted = false;
    cpu->rip = cpu->next_rip;
    deliver_guarded(cpu, vector, false, 0, EVENT_EXTERNAL);
}

void x86_nmi(struct x86_cpu *cpu)
{
    cpu->halted = false;
    cpu->nmi_pending = false;
    cpu->nmi_blocked = true;
    cpu->rip = cpu->next_rip;
    deliver_guarded(cpu, X86_NMI, false, 0, EVENT_EXTERNAL);
}
