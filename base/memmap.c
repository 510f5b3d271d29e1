// SPDX-License-Identifier: MIT
//
// The memory map: see include/memmap.h.
#include "memmap.h"

static unsigned add(struct memmap_entry *map, unsigned n, uint64_t start, uint64_t end,
                    enum memmap_type type)
{
    if (end <= start)
        return n;
    map[n] = (struct memmap_entry){.base = start, .size = end - start, .type = type};
    return n + 1;
}

unsigned memmap_make(uint64_t ram_size, struct memmap_entry map[static MEMMAP_MAX])
{
    uint64_t low = ram_low_end(ram_size);
    unsigned n = 0;

    n = add(map, n, 0, low < EBDA_START ? low : EBDA_START, MEMMAP_RAM);
    n = add(map, n, EBDA_START, HIGH_RAM_START, MEMMAP_RESERVED);
    n = add(map, n, HIGH_RAM_START, low, MEMMAP_RAM);
    n = add(map, n, ECAM_BASE, ECAM_BASE + ECAM_SIZE, MEMMAP_RESERVED);
    n = add(map, n, RAM_HOLE_END, RAM_HOLE_END + (ram_size - low), MEMMAP_RAM);
    return n;
}
