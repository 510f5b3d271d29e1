// SPDX-License-Identifier: MIT
//
// Segmentation: descriptor fetches, loads of segment registers with all their checks, limit checks,
// and the derived fields that the fast paths use. SDM vol. 3 chapters 3 and 5 (5.2 to 5.8), 21.1
// (real mode), 21.2 (v8086); APM vol. 2 chapter 4. Real-mode loads change selector and base only,
// so limits set in protected mode stay ("big real mode").
#include "sys.h"

#include "mmu.h"

_Noreturn void seg_fault(struct x86_cpu *cpu, unsigned vector, uint16_t sel)
{
    x86_raise_error(cpu, vector, (sel & 0xfffcu) | cpu->event_ext);
}

/* --- derived state --- */

/* Data segments that need no check at all; writable, growing upwards, all of 4 GiB. */
static bool seg_is_flat(const struct x86_cpu *cpu, unsigned n)
{
    const struct cpu_seg *s = &cpu->seg[n];
    if (s->limit != 0xffffffffu || s->unusable)
        return false;
    if (x86_real_or_v86(cpu))
        return true;
    return s->present && s->s && (s->type & (TYPE_CODE | TYPE_EXPAND_DOWN | TYPE_RW)) == TYPE_RW;
}

static void update_64(struct x86_cpu *cpu)
{
    cpu->mode = X86_MODE64;
    cpu->address_mask = ~0ull;
    cpu->flat_segs = ~0u;
    for (unsigned n = SEG_ES; n <= SEG_DS; n++)
        cpu->seg_base[n] = 0;
    cpu->seg_base[SEG_FS] = cpu->seg[SEG_FS].base;
    cpu->seg_base[SEG_GS] = cpu->seg[SEG_GS].base;
}

static void update_legacy(struct x86_cpu *cpu)
{
    cpu->mode = cpu->seg[SEG_CS].db ? X86_MODE32 : X86_MODE16;
    cpu->address_mask = 0xffffffffu;
    cpu->flat_segs = 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        cpu->seg_base[n] = cpu->seg[n].base;
        if (seg_is_flat(cpu, n))
            cpu->flat_segs |= 1u << n;
    }
}

void x86_update_mode(struct x86_cpu *cpu)
{
    if (x86_long_mode(cpu) && cpu->seg[SEG_CS].l)
        update_64(cpu);
    else
        update_legacy(cpu);
    cpu->seg_base[SEG_LDTR] = cpu->seg[SEG_LDTR].base;
    cpu->seg_base[SEG_TR] = cpu->seg[SEG_TR].base;
    mmu_use_context(cpu);
}

/* --- checks of accesses --- */

static _Noreturn void access_fault(struct x86_cpu *cpu, unsigned seg)
{
    x86_raise_error(cpu, seg == SEG_SS ? X86_SS : X86_GP, cpu->event_ext);
}

static bool within_limit(const struct cpu_seg *s, uint64_t off, unsigned size)
{
    uint64_t last = off + size - 1;
    if (s->s && (s->type & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN)
        return off > s->limit && last <= (s->db ? 0xffffffffu : 0xffffu);
    return last <= s->limit;
}

void seg_check(struct x86_cpu *cpu, unsigned seg, uint64_t off, unsigned size, bool write)
{
    const struct cpu_seg *s = &cpu->seg[seg];
    if (!x86_real_or_v86(cpu)) {
        bool code = s->type & TYPE_CODE;
        if (s->unusable || !s->present || (write && (code || !(s->type & TYPE_RW))) ||
            (!write && code && !(s->type & TYPE_RW)))
            access_fault(cpu, seg);
    }
    if (!within_limit(s, off, size))
        access_fault(cpu, seg);
}

void seg_check_entry(struct x86_cpu *cpu, const struct cpu_seg *cs, uint64_t off)
{
    bool to_64 = x86_long_mode(cpu) && cs->l;
    bool ok = to_64 ? x86_canonical(off) : off <= cs->limit;
    if (!ok)
        x86_raise_error(cpu, X86_GP, cpu->event_ext);
}

/* --- descriptors --- */

struct cpu_seg seg_from_desc(uint16_t sel, uint64_t raw)
{
    bool g = raw >> 55 & 1;
    uint32_t limit = (uint32_t)(raw & 0xffff) | (uint32_t)(raw >> 32 & 0xf0000);
    return (struct cpu_seg){
        .base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
        .limit = g ? limit << 12 | 0xfff : limit,
        .sel = sel,
        .type = raw >> 40 & 15,
        .s = raw >> 44 & 1,
        .dpl = raw >> 45 & 3,
        .present = raw >> 47 & 1,
        .avl = raw >> 52 & 1,
        .l = raw >> 53 & 1,
        .db = raw >> 54 & 1,
        .g = g,
    };
}

/* Table of a selector: false when there is none. */
static bool table_of(const struct x86_cpu *cpu, uint16_t sel, struct x86_dtable *out)
{
    if (!(sel & 4)) {
        *out = cpu->gdt;
        return true;
    }
    const struct cpu_seg *ldt = &cpu->seg[SEG_LDTR];
    *out = (struct x86_dtable){ldt->base, ldt->limit > 0xffff ? 0xffff : (uint16_t)ldt->limit};
    return !ldt->unusable && ldt->present;
}

bool desc_fetch(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *out)
{
    struct x86_dtable t;
    if (!table_of(cpu, sel, &t) || (sel | 7u) > t.limit)
        return false;
    out->at = t.base + (sel & 0xfff8u);
    mmu_read_system(cpu, out->at, &out->raw, 8);
    out->seg = seg_from_desc(sel, out->raw);
    return true;
}

void desc_need(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *out, unsigned vector)
{
    if (!desc_fetch(cpu, sel, out))
        seg_fault(cpu, vector, sel);
}

bool desc_upper(struct x86_cpu *cpu, uint16_t sel, gva_t at, uint64_t *upper)
{
    struct x86_dtable t;
    if (!table_of(cpu, sel, &t) || (sel | 7u) + 8 > t.limit)
        return false;
    mmu_read_system(cpu, at + 8, upper, 8);
    return true;
}

void desc_mark_accessed(struct x86_cpu *cpu, struct seg_desc *d)
{
    if (d->seg.type & TYPE_ACCESSED)
        return;
    uint8_t type = (uint8_t)(d->raw >> 40) | TYPE_ACCESSED;
    mmu_write_system(cpu, d->at + 5, &type, 1);
    d->seg.type |= TYPE_ACCESSED;
    d->raw |= (uint64_t)TYPE_ACCESSED << 40;
}

/* --- loads --- */

struct cpu_seg seg_v86(uint16_t sel)
{
    return (struct cpu_seg){.base = (uint64_t)sel << 4,
                            .limit = 0xffff,
                            .sel = sel,
                            .type = TYPE_RW | TYPE_ACCESSED,
                            .dpl = 3,
                            .s = true,
                            .present = true};
}

/* The base goes too, as on AMD processors that report so (CPUID 0x80000021, bit 6). */
struct cpu_seg seg_null(const struct cpu_seg *old, uint16_t sel)
{
    struct cpu_seg s = *old;
    s.sel = sel;
    s.base = 0;
    s.limit = 0;
    s.unusable = true;
    return s;
}

void seg_set_real(struct x86_cpu *cpu, unsigned seg, uint16_t sel)
{
    struct cpu_seg *s = &cpu->seg[seg];
    if (cpu->rflags & FL_VM) {
        *s = seg_v86(sel);
        return;
    }
    if (s->unusable || !s->present)
        *s = (struct cpu_seg){.limit = 0xffff, .type = TYPE_RW | TYPE_ACCESSED};
    s->s = s->present = true;
    s->unusable = false;
    s->sel = sel;
    s->base = (uint64_t)sel << 4;
}

void seg_check_stack(struct x86_cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector,
                     struct seg_desc *out)
{
    if (sel_is_null(sel))
        seg_fault(cpu, vector, 0);
    desc_need(cpu, sel, out, vector);
    if ((sel & 3u) != cpl || !desc_is_writable_data(out) || out->seg.dpl != cpl)
        seg_fault(cpu, vector, sel);
    if (!out->seg.present)
        seg_fault(cpu, X86_SS, sel);
}

static void load_ss(struct x86_cpu *cpu, uint16_t sel)
{
    struct seg_desc d;
    if (sel_is_null(sel) && cpu->mode == X86_MODE64 && cpu->cpl != 3 && (sel & 3) == cpu->cpl) {
        cpu->seg[SEG_SS] = seg_null(&cpu->seg[SEG_SS], sel);
        cpu->seg[SEG_SS].dpl = cpu->cpl;
        return;
    }
    seg_check_stack(cpu, sel, cpu->cpl, X86_GP, &d);
    desc_mark_accessed(cpu, &d);
    cpu->seg[SEG_SS] = d.seg;
}

static void load_data(struct x86_cpu *cpu, unsigned seg, uint16_t sel)
{
    struct seg_desc d;
    if (sel_is_null(sel)) {
        cpu->seg[seg] = seg_null(&cpu->seg[seg], sel);
        return;
    }
    desc_need(cpu, sel, &d, X86_GP);
    bool code = desc_is_code(&d);
    if (!d.seg.s || (code && !(d.seg.type & TYPE_RW)))
        seg_fault(cpu, X86_GP, sel);
    if (!(code && desc_is_conforming(&d)) && ((sel & 3) > d.seg.dpl || cpu->cpl > d.seg.dpl))
        seg_fault(cpu, X86_GP, sel);
    if (!d.seg.present)
        seg_fault(cpu, X86_NP, sel);
    desc_mark_accessed(cpu, &d);
    cpu->seg[seg] = d.seg;
}

void seg_load(struct x86_cpu *cpu, unsigned seg, uint16_t sel)
{
    if (x86_real_or_v86(cpu))
        seg_set_real(cpu, seg, sel);
    else if (seg == SEG_SS)
        load_ss(cpu, sel);
    else
        load_data(cpu, seg, sel);
    x86_update_mode(cpu);
}

void seg_set_cs(struct x86_cpu *cpu, struct seg_desc *d, uint16_t sel, unsigned cpl)
{
    cpu->seg[SEG_CS] = d->seg;
    cpu->seg[SEG_CS].sel = (uint16_t)((sel & 0xfffc) | cpl);
    cpu->cpl = (uint8_t)cpl;
}

void seg_drop_inner(struct x86_cpu *cpu)
{
    static const uint8_t data_segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned n = 0; n < sizeof data_segs; n++) {
        struct cpu_seg *s = &cpu->seg[data_segs[n]];
        bool conforming =
            (s->type & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);
        if (!s->unusable && !conforming && s->dpl < cpu->cpl)
            *s = seg_null(s, 0);
    }
}

/* --- stack pointers in the TSS --- */

struct tss_stack tss_inner_stack(struct x86_cpu *cpu, unsigned cpl)
{
    const struct cpu_seg *tr = &cpu->seg[SEG_TR];
    bool wide = tr->type & 8;
    uint32_t off = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
    if (tr->unusable || off + (wide ? 5u : 3u) > tr->limit)
        seg_fault(cpu, X86_TS, tr->sel);
    struct tss_stack s = {0};
    mmu_read_system(cpu, tr->base + off, &s.sp, wide ? 4 : 2);
    mmu_read_system(cpu, tr->base + off + (wide ? 4 : 2), &s.ss, 2);
    return s;
}

uint64_t tss_rsp(struct x86_cpu *cpu, unsigned cpl, unsigned ist)
{
    const struct cpu_seg *tr = &cpu->seg[SEG_TR];
    uint32_t off = ist ? 0x1c + 8 * ist : 4 + 8 * cpl;
    uint64_t rsp;
    if (tr->unusable || off + 7 > tr->limit)
        seg_fault(cpu, X86_TS, tr->sel);
    mmu_read_system(cpu, tr->base + off, &rsp, 8);
    return rsp;
}

/* --- I/O permission --- */

static void note_io_breakpoints(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    static const uint8_t lengths[] = {1, 2, 8, 4};
    for (unsigned n = 0; n < 4; n++) {
        unsigned kind = cpu->dr[7] >> (16 + 4 * n) & 3,
                 len = lengths[cpu->dr[7] >> (18 + 4 * n) & 3];
        uint64_t at = cpu->dr[n] & ~(uint64_t)(len - 1);
        if (kind == 2 && cpu->dr[7] >> (2 * n) & 3 && at < (uint64_t)port + size && port < at + len)
            cpu->pending_db |= 1u << n;
    }
}

static void check_io_bitmap(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    const struct cpu_seg *tr = &cpu->seg[SEG_TR];
    uint16_t map, bits;
    bool wide = (tr->type & ~2) == SYS_TSS;
    if (tr->unusable || !wide || tr->limit < 0x67)
        x86_raise_error(cpu, X86_GP, 0);
    mmu_read_system(cpu, tr->base + 0x66, &map, 2);
    uint32_t at = map + port / 8u;
    /* Two bytes are always read: a port range may straddle them. */
    if (at + 1 > tr->limit)
        x86_raise_error(cpu, X86_GP, 0);
    mmu_read_system(cpu, tr->base + at, &bits, 2);
    if ((unsigned)bits >> (port & 7) & ((1u << size) - 1))
        x86_raise_error(cpu, X86_GP, 0);
}

void io_check(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    unsigned iopl = cpu->rflags >> 12 & 3;
    if (cpu->cr0 & CR0_PE && (cpu->cpl > iopl || cpu->rflags & FL_VM))
        check_io_bitmap(cpu, port, size);
    if (cpu->dr[7] & DR7_ENABLES && cpu->cr4 & CR4_DE)
        note_io_breakpoints(cpu, port, size);
}

/* --- stack frames --- */

struct frame frame_on(const struct cpu_seg *ss, uint64_t sp, unsigned cpl, unsigned size)
{
    return (struct frame){.base = ss->base,
                          .mask = ss->db ? 0xffffffffu : 0xffffu,
                          .sp = sp,
                          .ss = ss,
                          .user = cpl == 3,
                          .size = size};
}

struct frame frame_here(const struct x86_cpu *cpu, unsigned size)
{
    if (cpu->mode == X86_MODE64)
        return (struct frame){
            .mask = ~0ull, .sp = cpu->gpr[RSP], .user = cpu->cpl == 3, .size = size};
    return frame_on(&cpu->seg[SEG_SS], cpu->gpr[RSP], cpu->cpl, size);
}

static gva_t frame_linear(struct x86_cpu *cpu, const struct frame *f, uint64_t sp)
{
    uint64_t off = sp & f->mask;
    bool ok = f->ss ? !f->ss->unusable && within_limit(f->ss, off, f->size) : x86_canonical(off);
    if (!ok)
        x86_raise_error(cpu, X86_SS, cpu->event_ext);
    return f->ss ? (f->base + off) & 0xffffffffu : off;
}

void frame_push(struct x86_cpu *cpu, struct frame *f, uint64_t v)
{
    uint64_t sp = f->sp - f->size;
    mmu_write_as(cpu, frame_linear(cpu, f, sp), &v, f->size, f->user ? MMU_USER : MMU_SUPERVISOR);
    f->sp = sp;
}

uint64_t frame_pop(struct x86_cpu *cpu, struct frame *f)
{
    uint64_t v = 0;
    mmu_read_as(cpu, frame_linear(cpu, f, f->sp), &v, f->size, f->user ? MMU_USER : MMU_SUPERVISOR);
    f->sp += f->size;
    return v;
}

uint64_t frame_sp(const struct x86_cpu *cpu, const struct frame *f)
{
    /* A 32-bit stack pointer clears what is above it; a 16-bit one leaves it. */
    if (f->mask == 0xffff)
        return (cpu->gpr[RSP] & ~0xffffull) | (f->sp & 0xffff);
    return f->sp & f->mask;
}
