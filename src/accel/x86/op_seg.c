// SPDX-License-Identifier: MIT
//
// Instructions about segments and descriptors: moves of segment registers, LDS to LGS, LGDT to STR,
// LAR, LSL, VERR, VERW, ARPL, FS and GS base. SDM vol. 2 by mnemonic; UMIP: vol. 3 section 2.5.
#include "flags.h"
#include "mmu.h"
#include "ops.h"
#include "regs.h"
#include "sys.h"

/* --- segment registers --- */

void op_mov_from_sreg(struct x86_cpu *cpu, const struct insn *i)
{
    uint16_t sel = cpu->seg[i->reg].sel;
    if (i->flags & INSN_MEM)
        mem_write16(cpu, insn_linear(cpu, i, 2, true), sel);
    else
        gpr_write(cpu, i->rm, sel, i->opsize);
}

/* Nothing may come between the load of SS and that of SP. */
static void stack_segment_shadow(struct x86_cpu *cpu)
{
    cpu->interrupt_shadow = cpu->debug_shadow = true;
}

void op_mov_to_sreg(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->reg == SEG_CS)
        x86_raise(cpu, X86_UD);
    seg_load(cpu, i->reg, (uint16_t)rm_read(cpu, i, 2));
    if (i->reg == SEG_SS)
        stack_segment_shadow(cpu);
}

void op_push_sreg(struct x86_cpu *cpu, const struct insn *i)
{
    stack_push(cpu, cpu->seg[i->reg].sel, i->opsize);
}

void op_pop_sreg(struct x86_cpu *cpu, const struct insn *i)
{
    uint16_t sel = (uint16_t)stack_read(cpu, 0, i->opsize);
    unsigned width = stack_size(cpu); /* of the stack popped from */
    seg_load(cpu, i->reg, sel);
    gpr_write(cpu, RSP, cpu->gpr[RSP] + i->opsize, width);
    if (i->reg == SEG_SS)
        stack_segment_shadow(cpu);
}

void op_load_far(struct x86_cpu *cpu, const struct insn *i)
{
    gva_t va = insn_linear(cpu, i, i->opsize + 2u, false);
    uint64_t off = mem_read(cpu, va, i->opsize);
    uint16_t sel = mem_read16(cpu, (va + i->opsize) & cpu->address_mask);
    seg_load(cpu, i->imm2, sel);
    gpr_write(cpu, i->reg, off, i->opsize);
    if (i->imm2 == SEG_SS)
        stack_segment_shadow(cpu);
}

/* --- tables --- */

static void check_umip(struct x86_cpu *cpu)
{
    if (cpu->cr4 & CR4_UMIP && cpu->cpl)
        x86_raise_error(cpu, X86_GP, 0);
}

static void require_protected(struct x86_cpu *cpu)
{
    if (x86_real_or_v86(cpu))
        x86_raise(cpu, X86_UD);
}

static void store_table(struct x86_cpu *cpu, const struct insn *i, const struct x86_dtable *t)
{
    unsigned bytes = cpu->mode == X86_MODE64 ? 8 : 4;
    check_umip(cpu);
    gva_t va = insn_linear(cpu, i, 2 + bytes, true);
    mmu_probe_write(cpu, va, 2 + bytes);
    mem_write16(cpu, va, t->limit);
    mem_write(cpu, (va + 2) & cpu->address_mask, t->base, bytes);
}

void op_sgdt(struct x86_cpu *cpu, const struct insn *i)
{
    store_table(cpu, i, &cpu->gdt);
}

void op_sidt(struct x86_cpu *cpu, const struct insn *i)
{
    store_table(cpu, i, &cpu->idt);
}

static void load_table(struct x86_cpu *cpu, const struct insn *i, struct x86_dtable *t)
{
    unsigned bytes = cpu->mode == X86_MODE64 ? 8 : 4;
    require_cpl0(cpu);
    gva_t va = insn_linear(cpu, i, 2 + bytes, false);
    uint16_t limit = mem_read16(cpu, va);
    uint64_t base = mem_read(cpu, (va + 2) & cpu->address_mask, bytes);
    if (!x86_canonical(base))
        x86_raise_error(cpu, X86_GP, 0);
    if (i->opsize == 2)
        base &= 0xffffff;
    *t = (struct x86_dtable){base, limit};
}

void op_lgdt(struct x86_cpu *cpu, const struct insn *i)
{
    load_table(cpu, i, &cpu->gdt);
}

void op_lidt(struct x86_cpu *cpu, const struct insn *i)
{
    load_table(cpu, i, &cpu->idt);
}

static void store_selector(struct x86_cpu *cpu, const struct insn *i, uint16_t sel)
{
    require_protected(cpu);
    check_umip(cpu);
    if (i->flags & INSN_MEM)
        mem_write16(cpu, insn_linear(cpu, i, 2, true), sel);
    else
        gpr_write(cpu, i->rm, sel, i->opsize);
}

void op_sldt(struct x86_cpu *cpu, const struct insn *i)
{
    store_selector(cpu, i, cpu->seg[SEG_LDTR].sel);
}

void op_str(struct x86_cpu *cpu, const struct insn *i)
{
    store_selector(cpu, i, cpu->seg[SEG_TR].sel);
}

/* LDT and TSS descriptors: in the GDT, 16 bytes in long mode. */
static void need_system(struct x86_cpu *cpu, uint16_t sel, bool type_ok(unsigned type),
                        struct seg_desc *d)
{
    if (sel & 4)
        seg_fault(cpu, X86_GP, sel);
    desc_need(cpu, sel, d, X86_GP);
    if (d->seg.s || !type_ok(d->seg.type))
        seg_fault(cpu, X86_GP, sel);
    if (x86_long_mode(cpu)) {
        uint64_t upper;
        if (!desc_upper(cpu, sel, d->at, &upper) || upper >> 40 & 31)
            seg_fault(cpu, X86_GP, sel);
        d->seg.base |= upper << 32;
        if (!x86_canonical(d->seg.base))
            seg_fault(cpu, X86_GP, sel);
    }
    if (!d->seg.present)
        seg_fault(cpu, X86_NP, sel);
}

static bool is_ldt(unsigned type)
{
    return type == SYS_LDT;
}

static bool is_free_tss(unsigned type)
{
    return type == SYS_TSS || type == SYS_TSS16;
}

static bool is_free_tss64(unsigned type)
{
    return type == SYS_TSS;
}

void op_lldt(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    require_protected(cpu);
    require_cpl0(cpu);
    uint16_t sel = (uint16_t)rm_read(cpu, i, 2);
    if (sel_is_null(sel)) {
        cpu->seg[SEG_LDTR] = seg_null(&cpu->seg[SEG_LDTR], sel);
        return;
    }
    need_system(cpu, sel, is_ldt, &d);
    cpu->seg[SEG_LDTR] = d.seg;
}

void op_ltr(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    require_protected(cpu);
    require_cpl0(cpu);
    uint16_t sel = (uint16_t)rm_read(cpu, i, 2);
    if (sel_is_null(sel))
        x86_raise_error(cpu, X86_GP, 0);
    need_system(cpu, sel, x86_long_mode(cpu) ? is_free_tss64 : is_free_tss, &d);
    uint8_t busy = (uint8_t)(d.raw >> 40 | 2);
    mmu_write_system(cpu, d.at + 5, &busy, 1);
    d.seg.type |= 2;
    cpu->seg[SEG_TR] = d.seg;
}

/* --- questions about descriptors --- */

/* Visible at this privilege? Conforming code is to everybody. */
static bool is_visible(const struct x86_cpu *cpu, uint16_t sel, const struct seg_desc *d)
{
    bool conforming = desc_is_code(d) && desc_is_conforming(d);
    return conforming || (d->seg.dpl >= cpu->cpl && d->seg.dpl >= (sel & 3));
}

/* One bit for each type of system descriptor that LAR and LSL know; long mode has fewer. */
#define LAR_TYPES                                                                                  \
    (1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY | 1u << SYS_CALL16 |                   \
     1u << SYS_TASK_GATE | 1u << SYS_TSS | 1u << SYS_TSS_BUSY | 1u << SYS_CALL)
#define LAR_TYPES_LONG (1u << SYS_LDT | 1u << SYS_TSS | 1u << SYS_TSS_BUSY | 1u << SYS_CALL)
#define LSL_TYPES                                                                                  \
    (1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY | 1u << SYS_TSS | 1u << SYS_TSS_BUSY)
#define LSL_TYPES_LONG (1u << SYS_LDT | 1u << SYS_TSS | 1u << SYS_TSS_BUSY)

static bool look_up(struct x86_cpu *cpu, const struct insn *i, uint32_t types, uint32_t types_long,
                    struct seg_desc *d)
{
    require_protected(cpu);
    uint16_t sel = (uint16_t)rm_read(cpu, i, 2);
    uint32_t known = x86_long_mode(cpu) ? types_long : types;
    if (sel_is_null(sel) || !desc_fetch(cpu, sel, d))
        return false;
    return (d->seg.s || known >> d->seg.type & 1) && is_visible(cpu, sel, d);
}

static void put_zf(struct x86_cpu *cpu, bool zf)
{
    flags_put(cpu, (flags_get(cpu) & ~(uint32_t)FL_ZF) | (zf ? FL_ZF : 0u));
}

void op_lar(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    bool ok = look_up(cpu, i, LAR_TYPES, LAR_TYPES_LONG, &d);
    if (ok)
        gpr_write(cpu, i->reg, d.raw >> 32 & 0xf0ff00, i->opsize);
    put_zf(cpu, ok);
}

void op_lsl(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    bool ok = look_up(cpu, i, LSL_TYPES, LSL_TYPES_LONG, &d);
    if (ok)
        gpr_write(cpu, i->reg, d.seg.limit, i->opsize);
    put_zf(cpu, ok);
}

void op_verr(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    put_zf(cpu, look_up(cpu, i, 0, 0, &d) && !(d.seg.type & TYPE_CODE && !(d.seg.type & TYPE_RW)));
}

void op_verw(struct x86_cpu *cpu, const struct insn *i)
{
    struct seg_desc d;
    put_zf(cpu, look_up(cpu, i, 0, 0, &d) && desc_is_writable_data(&d));
}

void op_arpl(struct x86_cpu *cpu, const struct insn *i)
{
    require_protected(cpu);
    struct rm_place place;
    uint16_t dest = (uint16_t)rm_load(cpu, i, &place, 2), source = (uint16_t)cpu->gpr[i->reg];
    bool raise = (dest & 3) < (source & 3);
    if (raise)
        rm_store(cpu, i, &place, (dest & ~3u) | (source & 3), 2);
    put_zf(cpu, raise);
}

/* --- FS and GS base --- */

static void check_fsgsbase(struct x86_cpu *cpu)
{
    if (cpu->mode != X86_MODE64 || !(cpu->cr4 & CR4_FSGSBASE))
        x86_raise(cpu, X86_UD);
}

static void read_base(struct x86_cpu *cpu, const struct insn *i, unsigned seg)
{
    check_fsgsbase(cpu);
    gpr_write(cpu, i->rm, cpu->seg[seg].base, i->opsize);
}

static void write_base(struct x86_cpu *cpu, const struct insn *i, unsigned seg)
{
    check_fsgsbase(cpu);
    uint64_t base = gpr_read(cpu, i->rm, i->opsize);
    if (!x86_canonical(base))
        x86_raise_error(cpu, X86_GP, 0);
    cpu->seg[seg].base = cpu->seg_base[seg] = base;
}

void op_rdfsbase(struct x86_cpu *cpu, const struct insn *i)
{
    read_base(cpu, i, SEG_FS);
}

void op_rdgsbase(struct x86_cpu *cpu, const struct insn *i)
{
    read_base(cpu, i, SEG_GS);
}

void op_wrfsbase(struct x86_cpu *cpu, const struct insn *i)
{
    write_base(cpu, i, SEG_FS);
}

void op_wrgsbase(struct x86_cpu *cpu, const struct insn *i)
{
    write_base(cpu, i, SEG_GS);
}

void op_swapgs(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if (cpu->mode != X86_MODE64)
        x86_raise(cpu, X86_UD);
    require_cpl0(cpu);
    uint64_t user = cpu->seg[SEG_GS].base;
    cpu->seg[SEG_GS].base = cpu->seg_base[SEG_GS] = cpu->msr.kernel_gs_base;
    cpu->msr.kernel_gs_base = user;
}
