// SPDX-License-Identifier: MIT
//
// Guest memory as operation functions see it: effective address, segment, software TLB, then a host
// load or store. The fast path is inline; whatever is not plain RAM within one page goes to mmu.c
// (page walk, faults, devices, page crossing, pages with decoded code). All of these may leave by
// x86_raise and change nothing before they do. A read-modify-write op checks writability with its
// read (mem_rmw_N), so that its store cannot fault.
#pragma once

#include "cpu.h"

/* --- effective addresses --- */

/* Offset of the memory operand, wrapped to the address size. */
static inline uint64_t insn_offset(const struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t off =
        cpu->gpr[i->base] + (cpu->gpr[i->index] << i->scale) + (uint64_t)(int64_t)i->disp;
    if (__builtin_expect(i->adsize != 8, 0))
        off &= i->adsize == 4 ? 0xffffffffu : 0xffffu;
    return off;
}

/*
 * Segment checks when the segment is not flat (seg.c): limit, type, null selector; raises #GP(0) or
 * #SS(0).
 */
void seg_check(struct x86_cpu *cpu, unsigned seg, uint64_t off, unsigned size, bool write);

static inline gva_t seg_linear(struct x86_cpu *cpu, unsigned seg, uint64_t off, unsigned size,
                               bool write)
{
    if (__builtin_expect(!(cpu->flat_segs >> seg & 1), 0))
        seg_check(cpu, seg, off, size, write);
    return (cpu->seg_base[seg] + off) & cpu->address_mask;
}

static inline gva_t insn_linear(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                                bool write)
{
    return seg_linear(cpu, i->seg, insn_offset(cpu, i), size, write);
}

/* --- access by linear address; user-mode rights by CPL --- */

/*
 * The lowest index bit is the lowest page bit alone, so that neighbouring pages never share an
 * entry: tlb_want depends on it.
 */
static inline struct tlb_entry *tlb_at(const struct x86_cpu *cpu, gva_t va)
{
    return &cpu->tlb[((va >> 12) + (va >> (12 + TLB_BITS)) * 2) & (TLB_SIZE - 1)];
}

/*
 * Tag that an aligned-enough access of `size` must match: an access that crosses a page never does.
 */
static inline uint64_t tlb_want(const struct x86_cpu *cpu, gva_t va, unsigned size)
{
    /* crossing: page of the last byte differs from the entry's */
    return ((va + (size - 1)) & ~0xfffull) ^ cpu->tlb_context;
}

/* Slow paths (mmu.c). size 1 to 32. */
void mmu_read(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size);
void mmu_write(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size);
void mmu_read_for_write(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size);
/*
 * The same with supervisor rights whatever the CPL: descriptor tables, TSS, IDT (SDM vol. 3 section
 * 4.6: implicit supervisor accesses).
 */
void mmu_read_system(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size);
void mmu_write_system(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size);
/*
 * Raise what a later write of `size` bytes would raise; then it cannot fault. For pushes of several
 * words, string ops, FXSAVE.
 */
void mmu_probe_write(struct x86_cpu *cpu, gva_t va, unsigned size);
void mmu_probe_read(struct x86_cpu *cpu, gva_t va, unsigned size);
/*
 * Host pointer to guest RAM at va for a span of whole bytes inside one page, or NULL when that page
 * is a device, has decoded code (writes) or is not mapped (then use the slow paths). *len is cut to
 * the end of the page. For string instructions by spans.
 */
uint8_t *mmu_span(struct x86_cpu *cpu, gva_t va, uint64_t *len, bool write);

#define DEFINE_MEM_ACCESS(bits, type)                                                              \
    static inline type mem_read##bits(struct x86_cpu *cpu, gva_t va)                               \
    {                                                                                              \
        const struct tlb_entry *e = tlb_at(cpu, va);                                               \
        type v;                                                                                    \
        if (__builtin_expect(e->read_tag == tlb_want(cpu, va, sizeof v), 1))                       \
            __builtin_memcpy(&v, (const void *)(va + e->addend), sizeof v);                        \
        else                                                                                       \
            mmu_read(cpu, va, &v, sizeof v);                                                       \
        return v;                                                                                  \
    }                                                                                              \
    static inline void mem_write##bits(struct x86_cpu *cpu, gva_t va, type v)                      \
    {                                                                                              \
        const struct tlb_entry *e = tlb_at(cpu, va);                                               \
        if (__builtin_expect(e->write_tag == tlb_want(cpu, va, sizeof v), 1))                      \
            __builtin_memcpy((void *)(va + e->addend), &v, sizeof v);                              \
        else                                                                                       \
            mmu_write(cpu, va, &v, sizeof v);                                                      \
    }                                                                                              \
    /* Read what will be written back: faults as a write would. */                                 \
    static inline type mem_rmw##bits(struct x86_cpu *cpu, gva_t va)                                \
    {                                                                                              \
        const struct tlb_entry *e = tlb_at(cpu, va);                                               \
        type v;                                                                                    \
        if (__builtin_expect(e->write_tag == tlb_want(cpu, va, sizeof v), 1))                      \
            __builtin_memcpy(&v, (const void *)(va + e->addend), sizeof v);                        \
        else                                                                                       \
            mmu_read_for_write(cpu, va, &v, sizeof v);                                             \
        return v;                                                                                  \
    }

DEFINE_MEM_ACCESS(8, uint8_t)
DEFINE_MEM_ACCESS(16, uint16_t)
DEFINE_MEM_ACCESS(32, uint32_t)
DEFINE_MEM_ACCESS(64, uint64_t)
