// SPDX-License-Identifier: MIT
//
// Guest RAM: a few memslots of host memory, found by guest-physical address. Loaders, devices and
// software engines reach guest memory through these functions only; each checks that the whole
// range is RAM, so DMA can never hit a device. Thread: the slot list is fixed once vCPUs run;
// contents are shared with the guest, which may change them at any moment, so copy once and check
// the copy.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

typedef uint64_t gpa_t;

struct ram_slot {
    gpa_t base;
    uint64_t size;
    uint8_t *host;
};

#define GMEM_MAX_SLOTS 4

struct gmem {
    unsigned nslots;
    struct ram_slot slots[GMEM_MAX_SLOTS]; /* ascending, disjoint */
    void *map;                             /* one reservation holds all slots */
    uint64_t map_size;
    uint64_t size; /* bytes of RAM in all slots */

    /* Told of every write that did not come from a vCPU, for engines that cache decoded code. May
     * be NULL. */
    void (*wrote)(void *opaque, gpa_t gpa, uint64_t len);
    void *wrote_opaque;
};

/*
 * Reserve `size` bytes of RAM (a multiple of 4 KiB): up to `hole_start` from address 0, the rest
 * from `hole_end` up. Memory is demand-zero and not reserved in swap; a size the host could never
 * back is refused. Owner: the caller, gmem_fini frees.
 */
int gmem_init(struct gmem *gm, uint64_t size, gpa_t hole_start, gpa_t hole_end, struct err *err);
void gmem_fini(struct gmem *gm);

/* Host address of [gpa, gpa+len), or NULL unless the whole range lies in one slot. len 0 gives
 * NULL. */
uint8_t *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len);

/* Copy out of or into RAM; -EFAULT, and nothing copied, unless the whole range is RAM. */
int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, size_t len);
int gmem_write(struct gmem *gm, gpa_t gpa, const void *buf, size_t len);
int gmem_fill(struct gmem *gm, gpa_t gpa, uint8_t byte, uint64_t len);

/* Call after writing through a gmem_ptr() pointer, e.g. when a disk read has landed. */
void gmem_wrote(struct gmem *gm, gpa_t gpa, uint64_t len);

/*
 * Give the whole host pages within [gpa, gpa+len) back to the host; they read as zero again, or
 * keep what they hold if the host does not take them. Returns bytes given back: 0 also where the
 * range is not RAM.
 */
uint64_t gmem_discard(struct gmem *gm, gpa_t gpa, uint64_t len);

/* Give all RAM back to the host; it reads as zero again. For a machine reset. */
void gmem_zero(struct gmem *gm);
