// SPDX-License-Identifier: MIT
//
// Guest RAM: see include/gmem.h. One anonymous reservation, cut into the slots below and above the
// hole.
#include "gmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "util.h"

#define HUGE_PAGE MIB(2)

static void add_slot(struct gmem *gm, gpa_t base, uint64_t size, uint8_t *host)
{
    gm->slots[gm->nslots++] = (struct ram_slot){base, size, host};
}

/* More than the host has is a mistake that would otherwise show as an OOM kill minutes later. */
static int check_host_memory(uint64_t size, struct err *err)
{
    struct sysinfo info;
    if (sysinfo(&info))
        return 0;
    uint64_t have = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    if (size > have)
        return err_set(
            err, ENOMEM,
            "-m: guest RAM of %llu MiB exceeds this host's memory and swap (%llu MiB); give less",
            (unsigned long long)(size >> 20), (unsigned long long)(have >> 20));
    return 0;
}

int gmem_init(struct gmem *gm, uint64_t size, gpa_t hole_start, gpa_t hole_end, struct err *err)
{
    *gm = (struct gmem){.size = size};
    int rc = check_host_memory(size, err);
    if (rc)
        return rc;
    gm->map_size = size + HUGE_PAGE;
    void *map = mmap(NULL, gm->map_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return err_set_errno(err, errno, "-m: reserve %llu MiB of guest RAM",
                             (unsigned long long)(size >> 20));
    gm->map = map;

    /* Huge pages save most of the faults and half of nested paging's walks; they need equal
     * alignment on both sides. */
    uint8_t *ram = (uint8_t *)align_up((uintptr_t)map, HUGE_PAGE);
    madvise(ram, size, MADV_HUGEPAGE);

    uint64_t low = size < hole_start ? size : hole_start;
    add_slot(gm, 0, low, ram);
    if (size > low)
        add_slot(gm, hole_end, size - low, ram + low);
    return 0;
}

void gmem_fini(struct gmem *gm)
{
    if (gm->map)
        munmap(gm->map, gm->map_size);
    *gm = (struct gmem){0};
}

uint8_t *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
    for (unsigned i = 0; i < gm->nslots; i++) {
        const struct ram_slot *slot = &gm->slots[i];
        if (gpa >= slot->base && len && range_fits(gpa - slot->base, len, slot->size))
            return slot->host + (gpa - slot->base);
    }
    return NULL;
}

int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, size_t len)
{
    const uint8_t *p = gmem_ptr(gm, gpa, len);
    if (!p)
        return -EFAULT;
    memcpy(buf, p, len);
    return 0;
}

int gmem_write(struct gmem *gm, gpa_t gpa, const void *buf, size_t len)
{
    uint8_t *p = gmem_ptr(gm, gpa, len);
    if (!p)
        return -EFAULT;
    memcpy(p, buf, len);
    gmem_wrote(gm, gpa, len);
    return 0;
}

int gmem_fill(struct gmem *gm, gpa_t gpa, uint8_t byte, uint64_t len)
{
    uint8_t *p = gmem_ptr(gm, gpa, len);
    if (!p)
        return -EFAULT;
    memset(p, byte, len);
    gmem_wrote(gm, gpa, len);
    return 0;
}

void gmem_wrote(struct gmem *gm, gpa_t gpa, uint64_t len)
{
    if (gm->wrote)
        gm->wrote(gm->wrote_opaque, gpa, len);
}

uint64_t gmem_discard(struct gmem *gm, gpa_t gpa, uint64_t len)
{
    uint8_t *p = gmem_ptr(gm, gpa, len);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!p)
        return 0;
    uintptr_t first = align_up((uintptr_t)p, page);
    uintptr_t end = align_down((uintptr_t)p + len, page);
    if (first >= end || madvise((void *)first, end - first, MADV_DONTNEED))
        return 0;
    gmem_wrote(gm, gpa + (first - (uintptr_t)p), end - first);
    return end - first;
}

void gmem_zero(struct gmem *gm)
{
    madvise(gm->map, gm->map_size, MADV_DONTNEED);
    for (unsigned i = 0; i < gm->nslots; i++)
        gmem_wrote(gm, gm->slots[i].base, gm->slots[i].size);
}
