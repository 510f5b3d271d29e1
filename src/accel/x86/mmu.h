// SPDX-License-Identifier: MIT
//
// Paging: page walks and the caches of their results, in two levels.
//
// Level 1 is the direct-mapped table of host addresses that mem.h looks at. Its tags hold a 12-bit
// context number (cpu->tlb_context); a context is one address space at one privilege since its last
// flush. A flush takes new numbers, which costs nothing; when the numbers run out the table is
// cleared and counting begins anew.
//
// Level 2 is what hardware calls the TLB: set-associative, keyed by page and address-space id, or
// by page alone for global pages; it holds rights, not decisions. So WP, SMAP, AC and privilege are
// looked at when level 1 is filled, and global pages outlive CR3.
//
// Never in level 1: devices, pages with an enabled data breakpoint, and for writing pages with
// decoded code or a clear dirty bit. User pages that supervisor code reaches under SMAP are lent: a
// few, taken back when AC may have changed. mem.h has the access functions.
#pragma once

#include "cpu.h"
#include "err.h"
#include "gmem.h"

enum mmu_access { MMU_READ, MMU_WRITE, MMU_EXEC };

/* With whose rights. Implicit: descriptor tables, TSS; like supervisor, but RFLAGS.AC does not open
 * user pages. */
enum mmu_as { MMU_SUPERVISOR, MMU_USER, MMU_IMPLICIT };

int mmu_init(struct x86_cpu *cpu, struct err *err);
void mmu_fini(struct x86_cpu *cpu);

/*
 * Host address of the code byte at va and its physical address, or NULL when it is not RAM (then
 * *gpa is still right). Raises #PF and, for non-canonical addresses, #GP(0). Valid to the end of
 * the page.
 */
const uint8_t *mmu_fetch(struct x86_cpu *cpu, gva_t va, gpa_t *gpa);

/* Access with rights other than the present ones. */
void mmu_read_as(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size, enum mmu_as as);
void mmu_write_as(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size, enum mmu_as as);
/* Raise what writing `size` bytes with these rights would raise. */
void mmu_probe_as(struct x86_cpu *cpu, gva_t va, unsigned size, enum mmu_access access,
                  enum mmu_as as);

/* Where would an access go? No fault, no accessed bits. For debuggers and error reports. */
bool mmu_peek(struct x86_cpu *cpu, gva_t va, gpa_t *gpa);

/* --- flushes (SDM vol. 3 section 4.10.4) --- */

void mmu_flush_all(struct x86_cpu *cpu); /* global pages too */
void mmu_flush_rights(
    struct x86_cpu *cpu); /* WP, SMAP, breakpoints: translations stay, decisions are made anew */
void mmu_switch_space(struct x86_cpu *cpu, unsigned pcid, bool flush); /* CR3 was written */
void mmu_flush_page(struct x86_cpu *cpu, gva_t va);                    /* INVLPG */
void mmu_flush_pcid(struct x86_cpu *cpu, unsigned pcid);
void mmu_flush_pcid_page(struct x86_cpu *cpu, unsigned pcid, gva_t va);
void mmu_flush_not_global(struct x86_cpu *cpu); /* of all address spaces */

/* Level 1 forgets that it may write to this physical page: code was decoded there. Own thread. */
void mmu_protect_page(struct x86_cpu *cpu, gpa_t page);

/* Sets tlb_context from CPL. For x86_update_mode. */
void mmu_use_context(struct x86_cpu *cpu);

/* AC was cleared by other means than x86_update_mode. */
void mmu_end_user_access(struct x86_cpu *cpu);

/* PAE paging keeps the four top entries in registers: false (#GP) when one has reserved bits. */
bool mmu_load_pdptes(struct x86_cpu *cpu, uint64_t cr3);

/* How often context numbers began anew. */
uint64_t mmu_context_wraps(const struct x86_cpu *cpu);
