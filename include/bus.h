// SPDX-License-Identifier: MIT
//
// The way from a guest address to a device, for ports and for memory-mapped registers. The bus owns
// lookup, overlap refusal, splitting to the widths a device declares, string I/O, the answer where
// nobody listens (reads all-ones, writes nothing), and the counters. A device sees an offset, never
// an address. Thread: everything here under the device lock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct io_ops {
    /* size is a power of two in [min, max] and off + size <= region length; natural alignment is
     * not promised. */
    uint64_t (*read)(void *self, uint64_t off, unsigned size);
    void (*write)(void *self, uint64_t off, unsigned size, uint64_t val);
    /*
     * Access widths in bytes. Wider accesses are split, low part first (as the ISA bus and PCI
     * bridges do). Narrower reads become one read of `min` bytes at the aligned offset, of which
     * the wanted bytes are taken; narrower writes are dropped and counted as bad.
     */
    uint8_t min, max;
};

struct region {
    const char *name;
    uint64_t base, len;
    const struct io_ops *ops;
    void *self;
    uint64_t reads, writes; /* kept by the bus */
};

#define BUS_MAX_REGIONS 128

struct bus {
    const char *name; /* "pio", "mmio" */
    uint64_t space;   /* number of addresses: 65536 for ports; 0 means 2^64 */
    unsigned nregions;
    struct region *regions[BUS_MAX_REGIONS]; /* ascending by base */
    uint64_t unclaimed_reads, unclaimed_writes, bad_width;
};

void bus_init(struct bus *bus, const char *name, uint64_t space);

/* Register a region; the caller keeps the struct alive until bus_remove. Refuses empty, wrapping
 * and overlapping ranges, naming both. */
int bus_add(struct bus *bus, struct region *region, struct err *err);
void bus_remove(struct bus *bus, struct region *region); /* nothing happens if it is not there */

/* The region that covers addr, or NULL. */
struct region *bus_find(const struct bus *bus, uint64_t addr);

/* One access of 1, 2, 4 or 8 bytes (any alignment). Bytes that no region claims read as ones;
 * writes to them are dropped. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, uint64_t addr, unsigned size, uint64_t val);

/* String I/O: `count` accesses of `size` bytes to one address, from or to a buffer of count*size
 * bytes. */
void bus_read_string(struct bus *bus, uint64_t addr, unsigned size, unsigned count, void *buf);
void bus_write_string(struct bus *bus, uint64_t addr, unsigned size, unsigned count,
                      const void *buf);
