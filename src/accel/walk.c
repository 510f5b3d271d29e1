// SPDX-License-Identifier: MIT
//
// Page tables read from outside: no paging, 32-bit paging with PSE, PAE, four and five levels (SDM
// vol. 3 sections 4.3 to 4.5). Present bits and large pages count; rights, reserved bits and
// accessed bits do not. PAE's four top entries are read from memory, where a guest that changed
// them without loading CR3 would have others than the processor.
#include "src/accel/walk.h"

#include "src/accel/x86/cpu.h"

#define PRESENT 1u
#define LARGE (1u << 7)
#define ADDRESS 0xffffffffff000ull /* bits 12 to 51 */

static bool walk_32(const struct gmem *gm, const struct cpu_state *cpu, uint64_t va, gpa_t *gpa)
{
    uint32_t pde, pte;
    if (gmem_read(gm, (cpu->cr3 & 0xfffff000) + (va >> 22 & 1023) * 4, &pde, 4) || !(pde & PRESENT))
        return false;
    if (pde & LARGE && cpu->cr4 & CR4_PSE) {
        *gpa = (pde & 0xffc00000) | (uint64_t)(pde >> 13 & 0xff) << 32 | (va & 0x3fffff);
        return true;
    }
    if (gmem_read(gm, (pde & 0xfffff000) + (va >> 12 & 1023) * 4, &pte, 4) || !(pte & PRESENT))
        return false;
    *gpa = (pte & 0xfffff000) | (va & 0xfff);
    return true;
}

/* Tables of 512 entries of 8 bytes, from the one whose entries stand for 1 << shift bytes. */
static bool walk_long(const struct gmem *gm, gpa_t table, unsigned shift, uint64_t va, gpa_t *gpa)
{
    for (;; shift -= 9) {
        uint64_t entry;
        if (gmem_read(gm, table + (va >> shift & 511) * 8, &entry, 8) || !(entry & PRESENT))
            return false;
        if (shift == 12 || (shift <= 30 && entry & LARGE)) {
            uint64_t inside = (1ull << shift) - 1;
            *gpa = (entry & ADDRESS & ~inside) | (va & inside);
            return true;
        }
        table = entry & ADDRESS;
    }
}

static bool canonical(uint64_t va, unsigned bits)
{
    uint64_t top = va >> (bits - 1);
    return !top || top == ~0ull >> (bits - 1);
}

bool walk_linear(const struct gmem *gm, const struct cpu_state *cpu, uint64_t va, gpa_t *gpa)
{
    if (cpu->efer & EFER_LMA) {
        bool la57 = cpu->cr4 & CR4_LA57;
        return canonical(va, la57 ? 57 : 48) &&
               walk_long(gm, cpu->cr3 & ADDRESS, la57 ? 48 : 39, va, gpa);
    }
    if (va >> 32)
        return false;
    *gpa = va;
    if (!(cpu->cr0 & CR0_PG))
        return true;
    if (!(cpu->cr4 & CR4_PAE))
        return walk_32(gm, cpu, va, gpa);
    uint64_t top;
    if (gmem_read(gm, (cpu->cr3 & 0xffffffe0) + (va >> 30) * 8, &top, 8) || !(top & PRESENT))
        return false;
    return walk_long(gm, top & ADDRESS, 21, va, gpa);
}
