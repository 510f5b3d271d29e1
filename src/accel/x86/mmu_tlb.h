// SPDX-License-Identifier: MIT
//
// The translation caches of one vCPU, between mmu.c (translation, flushes) and mmu_access.c (reads
// and writes).
#pragma once

#include "mem.h"
#include "mmu.h"
#include "mmu_walk.h"

#define SPACES 16
#define LEVEL2_BITS 10
#define LEVEL2_WAYS 4
#define LARGE_BITS 12
#define LENT_MAX 8

/* Each address space is looked at in three ways, each with a context number of its own. Under
 * alignment checks level 1 holds no data. */
enum view { VIEW_SUPERVISOR, VIEW_USER, VIEW_USER_ALIGNED, VIEWS };

struct space {
    bool used, has_contexts;
    uint16_t pcid;
    uint16_t first_context; /* + enum view */
    uint32_t id;            /* new with every flush */
    uint64_t last_use;
};

struct level2_entry {
    uint64_t page; /* linear */
    gpa_t gpa;
    uint8_t *host;   /* NULL: not RAM */
    uint32_t id;     /* of the address space, or of the global pages; 0: empty */
    uint16_t rights; /* XLAT_... */
    uint8_t space;   /* which slot had that id */
};

struct mmu {
    struct tlb_entry level1[TLB_SIZE];
    struct level2_entry level2[1 << LEVEL2_BITS][LEVEL2_WAYS];
    struct space space[SPACES];
    unsigned current;
    uint16_t next_context;
    uint32_t last_id, global_id;
    unsigned victim;
    /* entries of level 1 with user pages, while AC lets supervisor code reach them */
    uint16_t lent[LENT_MAX];
    unsigned nlent;
    uint64_t switches;
    uint64_t pdpte[4];
    /* Hashed sets that say "maybe". Regions of 4 MiB and 1 GiB with pieces of large pages in the
     * caches; physical pages with a write tag. */
    uint64_t large_4m[(1 << LARGE_BITS) / 64], large_1g[(1 << LARGE_BITS) / 64],
        written[(1 << LARGE_BITS) / 64];
    uint64_t context_wraps;
} __attribute__((aligned(64)));

/* Where an access goes: RAM, or a device at gpa. */
struct place {
    uint8_t *host;
    gpa_t gpa;
};

static inline enum mmu_as mmu_as_now(const struct x86_cpu *cpu)
{
    return cpu->cpl == 3 ? MMU_USER : MMU_SUPERVISOR;
}

static inline bool mmu_checks_alignment(const struct x86_cpu *cpu)
{
    return cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FL_AC;
}

/* False: page fault with *error. Fills level 1. */
bool mmu_translate(struct x86_cpu *cpu, gva_t va, enum mmu_access access, enum mmu_as as,
                   struct place *out, uint32_t *error);

/* Has this page an enabled data breakpoint? */
bool mmu_page_watched(const struct x86_cpu *cpu, gva_t va);
