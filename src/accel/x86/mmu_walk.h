// SPDX-License-Identifier: MIT
//
// Between mmu.c (caches, accesses) and mmu_walk.c (page tables).
#pragma once

#include "mmu.h"

/* Rights as the page tables give them, over all levels. */
enum {
    XLAT_WRITE = 1 << 0,
    XLAT_USER = 1 << 1,
    XLAT_NX = 1 << 2,
    XLAT_DIRTY = 1 << 3, /* the leaf's dirty bit is set */
    XLAT_GLOBAL = 1 << 4,
    XLAT_2M = 1 << 5, /* part of a 2 or 4 MiB page */
    XLAT_1G = 1 << 6,
};

enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16 };

struct xlat {
    gpa_t page; /* physical address of the 4 KiB page */
    uint32_t rights;
};

/* May this access happen, given these rights? (SDM vol. 3 section 4.6.1) */
bool mmu_allowed(const struct x86_cpu *cpu, uint32_t rights, enum mmu_access access,
                 enum mmu_as as);

/*
 * Walk the page tables for va. On success accessed and dirty bits are set. False: *error is the #PF
 * error code. pdpte: the four registers of PAE paging. `touch` false: no bits are set (debuggers).
 */
bool mmu_walk(struct x86_cpu *cpu, const uint64_t pdpte[4], gva_t va, enum mmu_access access,
              enum mmu_as as, bool touch, struct xlat *out, uint32_t *error);
