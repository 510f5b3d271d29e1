// SPDX-License-Identifier: MIT
//
// The bus: see include/bus.h. Regions lie in an array sorted by base; lookup is a binary search. An
// access is served in pieces, each inside one region (or outside all) and of a width that the
// region takes.
#include "bus.h"

#include <errno.h>

#include "log.h"
#include "util.h"

void bus_init(struct bus *bus, const char *name, uint64_t space)
{
    *bus = (struct bus){.name = name, .space = space};
}

/* Index of the first region whose base is above addr. */
static unsigned upper_bound(const struct bus *bus, uint64_t addr)
{
    unsigned lo = 0, hi = bus->nregions;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (bus->regions[mid]->base <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int check_range(const struct bus *bus, const struct region *r, struct err *err)
{
    uint64_t last = r->base + (r->len - 1);
    if (!r->len || last < r->base || (bus->space && last >= bus->space))
        return err_set(err, EINVAL, "%s bus: region '%s' at %#llx, length %#llx, does not fit",
                       bus->name, r->name, (unsigned long long)r->base, (unsigned long long)r->len);
    return 0;
}

int bus_add(struct bus *bus, struct region *region, struct err *err)
{
    int rc = check_range(bus, region, err);
    if (rc)
        return rc;
    if (bus->nregions == BUS_MAX_REGIONS)
        return err_set(err, ENOSPC, "%s bus: no room for region '%s' (%d at most)", bus->name,
                       region->name, BUS_MAX_REGIONS);

    uint64_t last = region->base + (region->len - 1);
    unsigned at = upper_bound(bus, last);
    if (at) {
        const struct region *below = bus->regions[at - 1];
        if (below->base + (below->len - 1) >= region->base)
            return err_set(
                err, EEXIST,
                "%s bus: region '%s' (%#llx, length %#llx) overlaps '%s' (%#llx, length %#llx)",
                bus->name, region->name, (unsigned long long)region->base,
                (unsigned long long)region->len, below->name, (unsigned long long)below->base,
                (unsigned long long)below->len);
    }
    memmove(&bus->regions[at + 1], &bus->regions[at],
            (bus->nregions - at) * sizeof bus->regions[0]);
    bus->regions[at] = region;
    bus->nregions++;
    return 0;
}

void bus_remove(struct bus *bus, struct region *region)
{
    for (unsigned i = 0; i < bus->nregions; i++) {
        if (bus->regions[i] != region)
            continue;
        bus->nregions--;
        memmove(&bus->regions[i], &bus->regions[i + 1],
                (bus->nregions - i) * sizeof bus->regions[0]);
        return;
    }
}

struct region *bus_find(const struct bus *bus, uint64_t addr)
{
    unsigned at = upper_bound(bus, addr);
    if (!at)
        return NULL;
    struct region *r = bus->regions[at - 1];
    return addr - r->base < r->len ? r : NULL;
}

/* A narrow access that reaches into the next register. */
static bool straddles(uint64_t off, unsigned size, unsigned min)
{
    return size < min && off / min != (off + size - 1) / min;
}

/* The next piece of an access: at most `left` bytes at addr, within one region and of a width that
 * it takes. */
static unsigned piece_size(const struct region *r, uint64_t addr, unsigned left)
{
    unsigned size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (!r)
        return 1;
    uint64_t off = addr - r->base;
    while (size > 1 &&
           (size > r->ops->max || size > r->len - off || straddles(off, size, r->ops->min)))
        size /= 2;
    return size;
}

static uint64_t read_piece(struct region *r, uint64_t off, unsigned size)
{
    unsigned min = r->ops->min;
    r->reads++;
    if (size >= min)
        return r->ops->read(r->self, off, size) & size_mask(size);
    uint64_t start = align_down(off, min);
    if (!range_fits(start, min, r->len))
        return size_mask(size);
    return r->ops->read(r->self, start, min) >> ((off - start) * 8) & size_mask(size);
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size)
{
    uint64_t val = 0;
    for (unsigned done = 0; done < size;) {
        struct region *r = bus_find(bus, addr + done);
        unsigned n = piece_size(r, addr + done, size - done);
        uint64_t part = size_mask(n);
        if (r)
            part = read_piece(r, addr + done - r->base, n);
        else
            bus->unclaimed_reads++;
        val |= part << (done * 8);
        done += n;
        if (!r && done == size)
            log_guest("%s: read of %u bytes at %#llx, where no device is", bus->name, size,
                      (unsigned long long)addr);
    }
    return val;
}

static void write_piece(struct bus *bus, struct region *r, uint64_t off, unsigned size,
                        uint64_t val)
{
    r->writes++;
    if (size < r->ops->min) {
        bus->bad_width++;
        log_guest("%s: write of %u bytes to '%s' at offset %#llx dropped: it takes no less than %u",
                  bus->name, size, r->name, (unsigned long long)off, r->ops->min);
        return;
    }
    r->ops->write(r->self, off, size, val & size_mask(size));
}

void bus_write(struct bus *bus, uint64_t addr, unsigned size, uint64_t val)
{
    for (unsigned done = 0; done < size;) {
        struct region *r = bus_find(bus, addr + done);
        unsigned n = piece_size(r, addr + done, size - done);
        if (r)
            write_piece(bus, r, addr + done - r->base, n, val >> (done * 8));
        else
            bus->unclaimed_writes++;
        done += n;
        if (!r && done == size)
            log_guest("%s: write of %u bytes (%#llx) at %#llx, where no device is", bus->name, size,
                      (unsigned long long)val, (unsigned long long)addr);
    }
}

void bus_read_string(struct bus *bus, uint64_t addr, unsigned size, unsigned count, void *buf)
{
    uint8_t *p = buf;
    for (unsigned i = 0; i < count; i++, p += size) {
        uint64_t val = bus_read(bus, addr, size);
        memcpy(p, &val, size);
    }
}

void bus_write_string(struct bus *bus, uint64_t addr, unsigned size, unsigned count,
                      const void *buf)
{
    const uint8_t *p = buf;
    for (unsigned i = 0; i < count; i++, p += size) {
        uint64_t val = 0;
        memcpy(&val, p, size);
        bus_write(bus, addr, size, val);
    }
}
