// SPDX-License-Identifier: MIT
//
// Entry states per boot protocol, from constant templates, with the GDT and page tables behind
// them. Descriptors are written once in the template; the GDT in guest memory is encoded from it,
// so that reloading a selector changes nothing. Specs: Linux Documentation/arch/x86/boot.rst
// (64-bit protocol), Xen docs/misc/pvh.pandoc (start-of-day), Multiboot 0.6.96 section 3.2, SDM
// vol. 3 chapters 3 and 4.
#include "entry.h"

#include <errno.h>

#include "layout.h"
#include "util.h"

#define CR0_PE 0x1ull
#define CR0_ET 0x10ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define RFLAGS_FIXED 0x2ull

#define PTE_PRESENT_WRITE 0x3ull
#define PTE_LARGE 0x80ull
#define LARGE_PAGE MIB(2)
#define MAPPED_GIB 4u
#define ENTRIES 512u /* of one table */

/* Selectors that Linux asks for by number; the other protocols leave them open. */
#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS 0x20 /* two slots in long mode */
#define GDT_ENTRIES 6

static const struct cpu_seg code32 = {
    .sel = SEL_CODE,
    .limit = 0xffffffff,
    .type = 0xb,
    .s = true,
    .present = true,
    .db = true,
    .g = true,
};
static const struct cpu_seg code64 = {
    .sel = SEL_CODE,
    .limit = 0xffffffff,
    .type = 0xb,
    .s = true,
    .present = true,
    .l = true,
    .g = true,
};
static const struct cpu_seg data32 = {
    .sel = SEL_DATA,
    .limit = 0xffffffff,
    .type = 0x3,
    .s = true,
    .present = true,
    .db = true,
    .g = true,
};
static const struct cpu_seg no_ldt = {.limit = 0xffff, .type = 0x2, .unusable = true};
/* Present and busy, as hardware wants it of a running CPU. */
static const struct cpu_seg tss = {.sel = SEL_TSS, .limit = 0x67, .type = 0xb, .present = true};

static uint64_t descriptor(const struct cpu_seg *seg)
{
    uint64_t limit = seg->g ? seg->limit >> 12 : seg->limit;
    uint64_t access = (uint64_t)seg->type | (uint64_t)seg->s << 4 | (uint64_t)seg->dpl << 5 |
                      (uint64_t)seg->present << 7;
    uint64_t flags = (uint64_t)seg->avl | (uint64_t)seg->l << 1 | (uint64_t)seg->db << 2 |
                     (uint64_t)seg->g << 3;

    return (limit & 0xffff) | (seg->base & 0xffffff) << 16 | access << 40 |
           (limit >> 16 & 0xf) << 48 | flags << 52 | (seg->base >> 24 & 0xff) << 56;
}

/* Segment registers, and the same descriptors in a GDT. */
static int set_segments(const struct boot_request *req, struct boot_plan *plan,
                        const struct cpu_seg *code, struct err *err)
{
    uint64_t *gdt = plan_alloc(plan, GDT_ENTRIES * sizeof *gdt, err);
    if (!gdt)
        return -ENOMEM;
    gdt[SEL_CODE / 8] = descriptor(code);
    gdt[SEL_DATA / 8] = descriptor(&data32);
    gdt[SEL_TSS / 8] = descriptor(&tss);

    struct cpu_state *cpu = &plan->cpu;
    for (unsigned i = 0; i < SEGS; i++)
        cpu->seg[i] = data32;
    cpu->seg[SEG_CS] = *code;
    cpu->seg[SEG_LDTR] = no_ldt;
    cpu->seg[SEG_TR] = tss;
    cpu->gdt = (struct cpu_table){.base = BOOT_GDT, .limit = GDT_ENTRIES * sizeof *gdt - 1};
    cpu->idt = (struct cpu_table){0}; /* any exception this early shall be a triple fault */
    return plan_add_data(plan, req->ram_size, "GDT", BOOT_GDT, gdt, GDT_ENTRIES * sizeof *gdt, err);
}

/* One PML4, one PDPT, four page directories: 4 GiB in 2 MiB pages, which every 64-bit CPU has. */
static int add_page_tables(const struct boot_request *req, struct boot_plan *plan, struct err *err)
{
    const gpa_t pdpt = BOOT_PAGE_TABLES + 0x1000, directories = BOOT_PAGE_TABLES + 0x2000;
    const size_t size = (2 + MAPPED_GIB) * ENTRIES * sizeof(uint64_t);
    uint64_t *tables = plan_alloc(plan, size, err);
    if (!tables)
        return -ENOMEM;

    tables[0] = pdpt | PTE_PRESENT_WRITE;
    for (unsigned i = 0; i < MAPPED_GIB; i++)
        tables[ENTRIES + i] = (directories + i * 0x1000ull) | PTE_PRESENT_WRITE;
    for (unsigned i = 0; i < MAPPED_GIB * ENTRIES; i++)
        tables[2 * ENTRIES + i] = i * LARGE_PAGE | PTE_LARGE | PTE_PRESENT_WRITE;
    return plan_add_data(plan, req->ram_size, "page tables", BOOT_PAGE_TABLES, tables, size, err);
}

int entry_long_mode(const struct boot_request *req, struct boot_plan *plan, gpa_t rip, gpa_t rsi,
                    struct err *err)
{
    struct cpu_state *cpu = &plan->cpu;
    cpu_state_reset(cpu, true);
    cpu->gpr[RDX] = 0;
    cpu->gpr[RSI] = rsi;
    cpu->gpr[RSP] = BOOT_STACK;
    cpu->rip = rip;
    cpu->rflags = RFLAGS_FIXED;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_PG;
    cpu->cr3 = BOOT_PAGE_TABLES;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    int ret = set_segments(req, plan, &code64, err);
    if (ret < 0)
        return ret;
    return add_page_tables(req, plan, err);
}

int entry_protected_mode(const struct boot_request *req, struct boot_plan *plan, uint32_t eip,
                         uint32_t eax, uint32_t ebx, struct err *err)
{
    struct cpu_state *cpu = &plan->cpu;
    cpu_state_reset(cpu, true);
    cpu->gpr[RDX] = 0;
    cpu->gpr[RAX] = eax;
    cpu->gpr[RBX] = ebx;
    cpu->rip = eip;
    cpu->rflags = RFLAGS_FIXED;
    cpu->cr0 = CR0_PE | CR0_ET;
    return set_segments(req, plan, &code32, err);
}

void entry_real_mode(struct boot_plan *plan, uint16_t offset)
{
    struct cpu_state *cpu = &plan->cpu;
    cpu_state_reset(cpu, true);
    cpu->seg[SEG_CS].sel = 0;
    cpu->seg[SEG_CS].base = 0;
    cpu->rip = offset;
    cpu->gpr[RSP] = offset; /* the stack grows down from the image */
    cpu->gpr[RDX] = 0x80;   /* DL: first hard disk, the customary boot drive */
    cpu->cr0 = CR0_ET;      /* a BIOS has turned the cache on: CD and NW clear */
}
