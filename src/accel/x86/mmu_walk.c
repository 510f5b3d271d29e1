// SPDX-License-Identifier: MIT
//
// Page walks: 32-bit paging with 4 MiB pages and PSE-36, PAE, four and five levels with 2 MiB and 1
// GiB pages (SDM vol. 3 sections 4.3 to 4.8; APM vol. 2 section 5). Tables are read from RAM only:
// an entry elsewhere reads as all ones, which has reserved bits set. Accessed and dirty bits are
// set when the whole access is allowed, by compare-and-exchange, since other processors may change
// the entry meanwhile. Left out: protection keys, shadow stacks.
#include "env.h"
#include "mmu_walk.h"

enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX (1ull << 63)
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))
#define MAX_LEVELS 5

/* One of the entries a walk went through. */
struct step {
    gpa_t at;
    uint64_t val;
};

struct path {
    struct step step[MAX_LEVELS];
    unsigned n;
    unsigned entry_bytes;
};

static uint64_t entry_read(const struct x86_cpu *cpu, gpa_t at, unsigned bytes)
{
    const uint8_t *p = gmem_ptr(cpu->env->gmem, at, bytes);
    if (!p)
        return ~0ull;
    if (bytes == 4)
        return __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED);
    return __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED);
}

/* Set bits in an entry; false when it has changed since it was read. */
static bool entry_set(struct x86_cpu *cpu, const struct step *s, uint64_t bits, unsigned bytes)
{
    uint8_t *p = gmem_ptr(cpu->env->gmem, s->at, bytes);
    uint64_t old = s->val;
    uint32_t old32 = (uint32_t)old;
    if (!p)
        return true;
    bool ok = bytes == 4 ? __atomic_compare_exchange_n((uint32_t *)(void *)p, &old32,
                                                       old32 | (uint32_t)bits, false,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)
                         : __atomic_compare_exchange_n((uint64_t *)(void *)p, &old, old | bits,
                                                       false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    if (ok && cpu->env->page_has_code(cpu->env->opaque, s->at & ~0xfffull))
        cpu->env->code_written(cpu->env->opaque, s->at, bytes);
    return ok;
}

bool mmu_allowed(const struct x86_cpu *cpu, uint32_t rights, enum mmu_access access, enum mmu_as as)
{
    if (access == MMU_EXEC) {
        if (rights & XLAT_NX)
            return false;
        return as == MMU_USER ? rights & XLAT_USER : !(rights & XLAT_USER && cpu->cr4 & CR4_SMEP);
    }
    if (as == MMU_USER)
        return rights & XLAT_USER && (access == MMU_READ || rights & XLAT_WRITE);
    if (rights & XLAT_USER && cpu->cr4 & CR4_SMAP && (as == MMU_IMPLICIT || !(cpu->rflags & FL_AC)))
        return false;
    return access == MMU_READ || rights & XLAT_WRITE || !(cpu->cr0 & CR0_WP);
}

static uint32_t error_code(const struct x86_cpu *cpu, uint32_t why, enum mmu_access access,
                           enum mmu_as as)
{
    uint32_t code = why;
    if (access == MMU_WRITE)
        code |= PF_WRITE;
    if (as == MMU_USER)
        code |= PF_USER;
    /* The fetch bit exists only where fetches have rights of their own. */
    bool nx = cpu->efer & EFER_NXE && cpu->cr4 & CR4_PAE;
    if (access == MMU_EXEC && (nx || cpu->cr4 & CR4_SMEP))
        code |= PF_FETCH;
    return code;
}

/* Reserved bits of an entry with 8 bytes. shift: the span the entry stands for; leaf: it maps a
 * page. */
static uint64_t reserved_bits(const struct x86_cpu *cpu, unsigned shift, bool leaf)
{
    bool lma = x86_long_mode(cpu);
    uint64_t r = BITS(51, cpu->env->phys_bits) & BITS(51, 0);
    if (cpu->env->phys_bits >= 52)
        r = 0;
    if (!lma)
        r |= BITS(62, 52);
    if (!(cpu->efer & EFER_NXE))
        r |= PTE_NX;
    if (shift >= 39)
        r |= PTE_PS;
    if (leaf && shift > 12)
        r |= BITS(shift - 1, 13);
    return r;
}

/* Levels of PAE, 4- and 5-level paging below the root or the PDPTE. */
static bool walk_long(struct x86_cpu *cpu, gpa_t table, unsigned shift, gva_t va, struct path *path,
                      struct xlat *out, uint32_t *why)
{
    uint64_t addr_mask = BITS(51, 12);
    uint32_t rights = XLAT_WRITE | XLAT_USER;
    for (;; shift -= 9) {
        struct step *s = &path->step[path->n++];
        s->at = table + (va >> shift & 511) * 8;
        s->val = entry_read(cpu, s->at, 8);
        if (!(s->val & PTE_P))
            return *why = 0, false;
        bool leaf = shift == 12 || (s->val & PTE_PS && shift <= 30);
        if (s->val & reserved_bits(cpu, shift, leaf))
            return *why = PF_PRESENT | PF_RESERVED, false;
        if (!(s->val & PTE_W))
            rights &= ~(uint32_t)XLAT_WRITE;
        if (!(s->val & PTE_U))
            rights &= ~(uint32_t)XLAT_USER;
        if (s->val & PTE_NX)
            rights |= XLAT_NX;
        table = s->val & addr_mask;
        if (leaf)
            break;
    }
    const struct step *leaf = &path->step[path->n - 1];
    rights |= leaf->val & PTE_D ? XLAT_DIRTY : 0u;
    rights |= leaf->val & PTE_G && cpu->cr4 & CR4_PGE ? XLAT_GLOBAL : 0u;
    rights |= shift == 21 ? XLAT_2M : 0u;
    rights |= shift == 30 ? XLAT_1G : 0u;
    uint64_t inside = BITS(shift - 1, 0) & ~0xfffull;
    if (shift == 12)
        inside = 0;
    *out = (struct xlat){(table & ~(BITS(shift - 1, 0))) | (va & inside), rights};
    return true;
}

/* Two levels of 4-byte entries. */
static bool walk_32(struct x86_cpu *cpu, gva_t va, struct path *path, struct xlat *out,
                    uint32_t *why)
{
    struct step *pde = &path->step[0], *pte = &path->step[1];
    path->n = 1;
    pde->at = (cpu->cr3 & BITS(31, 12)) + (va >> 22 & 1023) * 4;
    pde->val = entry_read(cpu, pde->at, 4);
    if (!(pde->val & PTE_P))
        return *why = 0, false;
    uint64_t both = pde->val, leaf = pde->val;
    uint32_t large = 0;
    if (pde->val & PTE_PS && cpu->cr4 & CR4_PSE) {
        /* PSE-36: bits 13-20 are address bits 32-39; what is above the model's physical width is
         * reserved, as is bit 21. */
        unsigned high = cpu->env->phys_bits < 40 ? cpu->env->phys_bits - 32 : 8;
        if (pde->val & BITS(21, 13 + high))
            return *why = PF_PRESENT | PF_RESERVED, false;
        out->page = (pde->val & BITS(31, 22)) | (pde->val >> 13 & 0xff) << 32 | (va & BITS(21, 12));
        large = XLAT_2M;
    } else {
        path->n = 2;
        pte->at = (pde->val & BITS(31, 12)) + (va >> 12 & 1023) * 4;
        pte->val = entry_read(cpu, pte->at, 4);
        if (!(pte->val & PTE_P))
            return *why = 0, false;
        both &= pte->val;
        leaf = pte->val;
        out->page = pte->val & BITS(31, 12);
    }
    out->rights = (both & PTE_W ? XLAT_WRITE : 0u) | (both & PTE_U ? XLAT_USER : 0u) |
                  (leaf & PTE_D ? XLAT_DIRTY : 0u) |
                  (leaf & PTE_G && cpu->cr4 & CR4_PGE ? XLAT_GLOBAL : 0u) | large;
    return true;
}

static bool walk_once(struct x86_cpu *cpu, const uint64_t pdpte[4], gva_t va, struct path *path,
                      struct xlat *out, uint32_t *why)
{
    path->n = 0;
    path->entry_bytes = 8;
    if (x86_long_mode(cpu))
        return walk_long(cpu, cpu->cr3 & BITS(51, 12), cpu->cr4 & CR4_LA57 ? 48 : 39, va, path, out,
                         why);
    if (cpu->cr4 & CR4_PAE) {
        uint64_t top = pdpte[va >> 30 & 3];
        if (!(top & PTE_P))
            return *why = 0, false;
        return walk_long(cpu, top & BITS(51, 12), 21, va, path, out, why);
    }
    path->entry_bytes = 4;
    return walk_32(cpu, va, path, out, why);
}

/* Accessed bits of all entries, dirty bit of the leaf. False: an entry changed under us, walk
 * again. */
static bool set_bits(struct x86_cpu *cpu, const struct path *path, bool write)
{
    for (unsigned n = 0; n < path->n; n++) {
        uint64_t want = PTE_A | (write && n == path->n - 1 ? PTE_D : 0u);
        if ((path->step[n].val & want) != want &&
            !entry_set(cpu, &path->step[n], want, path->entry_bytes))
            return false;
    }
    return true;
}

bool mmu_walk(struct x86_cpu *cpu, const uint64_t pdpte[4], gva_t va, enum mmu_access access,
              enum mmu_as as, bool touch, struct xlat *out, uint32_t *error)
{
    for (;;) {
        struct path path;
        uint32_t why;
        if (!walk_once(cpu, pdpte, va, &path, out, &why)) {
            *error = error_code(cpu, why, access, as);
            return false;
        }
        if (!touch)
            return true;
        if (!mmu_allowed(cpu, out->rights, access, as)) {
            *error = error_code(cpu, PF_PRESENT, access, as);
            return false;
        }
        if (set_bits(cpu, &path, access == MMU_WRITE)) {
            if (access == MMU_WRITE)
                out->rights |= XLAT_DIRTY;
            return true;
        }
    }
}
