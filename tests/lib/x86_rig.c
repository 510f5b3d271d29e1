// SPDX-License-Identifier: MIT
//
// See x86_rig.h.
#include "tests/lib/x86_rig.h"

#include <stdlib.h>
#include <string.h>

#define RAM_BYTES (16u << 20)

/* --- environment --- */

static uint64_t io_read(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque;
    return port + size;
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint64_t val)
{
    (void)opaque;
    (void)port;
    (void)size;
    (void)val;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    struct x86_rig *r = opaque;
    r->mmio_addr = gpa;
    r->mmio_size = size;
    r->mmio_reads++;
    return 0x1122334455667788;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
    struct x86_rig *r = opaque;
    r->mmio_addr = gpa;
    r->mmio_size = size;
    r->mmio_val = val;
    r->mmio_writes++;
}

static uint64_t tsc(void *opaque)
{
    struct x86_rig *r = opaque;
    return r->tsc;
}

static uint64_t utc_of_start(void *opaque)
{
    struct x86_rig *r = opaque;
    return r->utc_of_start;
}

static bool tscs_agree(void *opaque)
{
    struct x86_rig *r = opaque;
    return !r->tscs_differ;
}

static int apic_msr_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val)
{
    (void)opaque;
    (void)cpu;
    *val = 0x77;
    return msr == 0x802 ? 0 : -1;
}

static int apic_msr_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t val)
{
    (void)opaque;
    (void)cpu;
    (void)val;
    return msr == 0x1b ? 0 : -1;
}

static uint64_t cr8_read(void *opaque, unsigned cpu)
{
    struct x86_rig *r = opaque;
    (void)cpu;
    return r->cr8;
}

static void cr8_write(void *opaque, unsigned cpu, uint64_t val)
{
    struct x86_rig *r = opaque;
    (void)cpu;
    r->cr8 = val;
}

static bool page_has_code(void *opaque, gpa_t page)
{
    const struct x86_rig *r = opaque;
    return page == r->code_page;
}

static void code_written(void *opaque, gpa_t gpa, unsigned len)
{
    struct x86_rig *r = opaque;
    (void)gpa;
    (void)len;
    r->code_writes++;
}

static void code_mapping_changed(void *opaque)
{
    struct x86_rig *r = opaque;
    r->mapping_changes++;
}

/* --- memory --- */

void x86_rig_poke(struct x86_rig *r, gpa_t at, uint64_t val, unsigned size)
{
    if (gmem_write(&r->gm, at, &val, size))
        abort();
}

uint64_t x86_rig_peek(struct x86_rig *r, gpa_t at, unsigned size)
{
    uint64_t v = 0;
    if (gmem_read(&r->gm, at, &v, size))
        abort();
    return v;
}

void x86_rig_gdt(struct x86_rig *r, uint16_t sel, uint64_t desc)
{
    x86_rig_poke(r, RIG_GDT + (sel & ~7u), desc, 8);
}

void x86_rig_gate(struct x86_rig *r, unsigned vector, uint64_t gate)
{
    x86_rig_poke(r, RIG_IDT + vector * 8, gate, 8);
}

void x86_rig_gate64(struct x86_rig *r, unsigned vector, uint16_t sel, uint64_t off, uint8_t access,
                    unsigned ist)
{
    x86_rig_poke(r, RIG_IDT + vector * 16, GATE(sel, off, access) | (uint64_t)ist << 32, 8);
    x86_rig_poke(r, RIG_IDT + vector * 16 + 8, off >> 32, 8);
}

uint64_t x86_rig_handler(unsigned vector)
{
    return RIG_HANDLERS + vector * 16;
}

/* --- life --- */

struct x86_rig *x86_rig_new(void)
{
    struct x86_rig *r = aligned_alloc(64, (sizeof *r + 63) & ~63ul);
    struct err err;
    if (!r)
        abort();
    memset(r, 0, sizeof *r);
    if (gmem_init(&r->gm, RAM_BYTES, 3u << 30, 1ull << 32, &err))
        abort();
    r->code_page = ~0ull;
    r->env = (struct x86_env){
        .gmem = &r->gm,
        .opaque = r,
        .io_read = io_read,
        .io_write = io_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .tsc = tsc,
        .utc_of_start = utc_of_start,
        .tscs_agree = tscs_agree,
        .apic_msr_read = apic_msr_read,
        .apic_msr_write = apic_msr_write,
        .cr8_read = cr8_read,
        .cr8_write = cr8_write,
        .page_has_code = page_has_code,
        .code_written = code_written,
        .code_mapping_changed = code_mapping_changed,
        .phys_bits = 40,
        .ncpus = 2,
        .tsc_hz = 1000000000,
    };
    if (x86_cpu_init(&r->cpu, &r->env, 0, &err))
        abort();
    x86_reset(&r->cpu, true);
    r->cpu.seg[SEG_CS].sel = RIG_CODE >> 4;
    r->cpu.seg[SEG_CS].base = RIG_CODE;
    r->cpu.seg[SEG_SS].sel = RIG_CODE >> 4;
    r->cpu.seg[SEG_SS].base = RIG_CODE;
    r->cpu.rip = r->cpu.next_rip = 0;
    r->cpu.gpr[RSP] = 0x8000;
    x86_update_mode(&r->cpu);
    for (unsigned v = 0; v < 256; v++)
        x86_rig_poke(r, x86_rig_handler(v), 0xf4, 1);
    return r;
}

void x86_rig_free(struct x86_rig *r)
{
    x86_cpu_fini(&r->cpu);
    gmem_fini(&r->gm);
    free(r);
}

static void make_gdt(struct x86_rig *r)
{
    x86_rig_gdt(r, SEL_CODE, DESC(0, 0xfffff, 0x9b, 0xc));
    x86_rig_gdt(r, SEL_DATA, DESC(0, 0xfffff, 0x93, 0xc));
    x86_rig_gdt(r, SEL_USER_DATA, DESC(0, 0xfffff, 0xf3, 0xc));
    x86_rig_gdt(r, SEL_USER_CODE, DESC(0, 0xfffff, 0xfb, 0xc));
    x86_rig_gdt(r, SEL_CODE64, DESC(0, 0xfffff, 0x9b, 0xa));
    x86_rig_gdt(r, SEL_USER_CODE64, DESC(0, 0xfffff, 0xfb, 0xa));
    x86_rig_gdt(r, SEL_TSS, DESC(RIG_TSS, 0x1ff, 0x8b, 0)); /* busy: it is in TR */
    x86_rig_gdt(r, SEL_TSS_B, DESC(RIG_TSS_B, 0x67, 0x89, 0));
    r->cpu.gdt = (struct x86_dtable){RIG_GDT, 0x7ff};
}

static struct cpu_seg from_gdt(struct x86_rig *r, uint16_t sel)
{
    return seg_from_desc(sel, x86_rig_peek(r, RIG_GDT + (sel & ~7u), 8));
}

static void load_segs(struct x86_rig *r, uint16_t cs, uint16_t data)
{
    struct x86_cpu *cpu = &r->cpu;
    static const uint8_t segs[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    cpu->seg[SEG_CS] = from_gdt(r, cs);
    for (unsigned n = 0; n < sizeof segs; n++)
        cpu->seg[segs[n]] = from_gdt(r, data);
    cpu->cpl = cs & 3;
    cpu->rip = cpu->next_rip = RIG_CODE;
    cpu->gpr[RSP] = cpu->cpl ? RIG_USER_STACK : RIG_STACK;
    x86_update_mode(cpu);
}

void x86_rig_protected(struct x86_rig *r)
{
    struct x86_cpu *cpu = &r->cpu;
    make_gdt(r);
    for (unsigned v = 0; v < 256; v++)
        x86_rig_gate(r, v, GATE(SEL_CODE, x86_rig_handler(v), 0x8e));
    cpu->idt = (struct x86_dtable){RIG_IDT, 0x7ff};
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    cpu->seg[SEG_TR] = from_gdt(r, SEL_TSS);
    cpu->seg[SEG_LDTR].unusable = true;
    x86_rig_poke(r, RIG_TSS + 4, RIG_STACK, 4);
    x86_rig_poke(r, RIG_TSS + 8, SEL_DATA, 2);
    x86_rig_poke(r, RIG_TSS + 0x66, 0x88, 2);
    load_segs(r, SEL_CODE, SEL_DATA);
}

void x86_rig_long(struct x86_rig *r)
{
    struct x86_cpu *cpu = &r->cpu;
    make_gdt(r);
    for (unsigned v = 0; v < 256; v++)
        x86_rig_gate64(r, v, SEL_CODE64, x86_rig_handler(v), 0x8e, 0);
    cpu->idt = (struct x86_dtable){RIG_IDT, 0xfff};
    x86_rig_poke(r, RIG_PML4, RIG_PDPT | 7, 8);
    x86_rig_poke(r, RIG_PDPT, RIG_PD | 7, 8);
    x86_rig_poke(r, RIG_PD, RIG_PT | 7, 8);
    for (unsigned n = 0; n < 512; n++)
        x86_rig_poke(r, RIG_PT + n * 8, n << 12 | 7, 8);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_PGE;
    cpu->cr3 = RIG_PML4;
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->seg[SEG_TR] = from_gdt(r, SEL_TSS);
    cpu->seg[SEG_LDTR].unusable = true;
    x86_rig_poke(r, RIG_TSS + 4, RIG_STACK, 8);
    x86_rig_poke(r, RIG_TSS + 0x24, RIG_IST, 8);
    x86_rig_poke(r, RIG_TSS + 0x66, 0x88, 2);
    mmu_flush_all(cpu);
    load_segs(r, SEL_CODE64, SEL_DATA);
}

void x86_rig_user(struct x86_rig *r)
{
    load_segs(r, r->cpu.efer & EFER_LMA ? SEL_USER_CODE64 : SEL_USER_CODE, SEL_USER_DATA);
}

void x86_rig_v86(struct x86_rig *r, unsigned iopl)
{
    struct x86_cpu *cpu = &r->cpu;
    cpu->rflags = (cpu->rflags & ~(uint64_t)FL_IOPL) | FL_VM | (uint64_t)iopl << 12;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        cpu->seg[n] = seg_v86(RIG_CODE >> 4);
    cpu->cpl = 3;
    cpu->rip = cpu->next_rip = 0;
    cpu->gpr[RSP] = 0x8000;
    x86_update_mode(cpu);
}

/* --- running --- */

struct outcome x86_rig_fault(const struct x86_rig *r)
{
    return (struct outcome){r->cpu.exception.vector, r->cpu.exception.has_error,
                            r->cpu.exception.error};
}

static void put_code(struct x86_rig *r, const void *code, size_t len)
{
    struct x86_cpu *cpu = &r->cpu;
    gpa_t gpa;
    if (!mmu_peek(cpu, cpu->seg_base[SEG_CS] + cpu->next_rip, &gpa) ||
        gmem_write(&r->gm, gpa, code, len))
        abort();
}

struct outcome x86_rig_try(struct x86_rig *r, const void *code, size_t len)
{
    struct x86_cpu *cpu = &r->cpu;
    struct outcome o;
    put_code(r, code, len);
    cpu->rip = cpu->next_rip;
    CATCH(r, &o, {
        struct insn i;
        x86_fetch_insn(cpu, cpu->rip, &i);
        cpu->next_rip = cpu->gpr[REG_RIP] = cpu->rip + i.len;
        i.op(cpu, &i);
    });
    if (o.vector >= 0)
        cpu->next_rip = cpu->rip;
    return o;
}

void x86_rig_step(struct x86_rig *r, const void *code, size_t len)
{
    put_code(r, code, len);
    x86_step(&r->cpu);
}
