// SPDX-License-Identifier: MIT
//
// The guest-physical memory map as boot protocols and fw_cfg tell it: RAM and reserved ranges by
// layout.h. Types are those of INT 15h E820h (ACPI 6.4, section 15), which the other protocols
// share.
#pragma once

#include <stdint.h>

#include "layout.h"

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2 };

struct memmap_entry {
    uint64_t base, size;
    enum memmap_type type;
};

#define MEMMAP_MAX 8

/* Ascending; ram_size in bytes. Returns the number of entries. */
unsigned memmap_make(uint64_t ram_size, struct memmap_entry map[static MEMMAP_MAX]);

/* End of RAM below the hole. */
static inline uint64_t ram_low_end(uint64_t ram_size)
{
    return ram_size < RAM_HOLE_START ? ram_size : RAM_HOLE_START;
}
