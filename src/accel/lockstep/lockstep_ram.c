// SPDX-License-Identifier: MIT
//
// Two copies of guest RAM. What the leader stores is told by its engine, and compared as bytes;
// what devices write is copied at the next instruction boundary. Stores of the follower to other
// places show when all of RAM is looked at, now and then. A word of 4 or 8 bytes that differs in
// bits 5 and 6 alone is taken for a page table entry: processors set accessed and dirty bits at
// moments of their own. So it is with the accessed bit of descriptors and RF in the flags that an
// exception pushes, which emulated processors do not always set.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/walk.h"
#include "util.h"

#define PAGE 0x1000u
#define ACCESSED_DIRTY 0x60u
#define DESCRIPTOR_ACCESSED 1u
#define DESCRIPTOR_ACCESS_BYTE 5u

void ranges_add(struct ranges *r, gpa_t gpa, uint64_t len)
{
    struct range *last = r->n ? &r->list[r->n - 1] : NULL;
    if (last && gpa == last->gpa + last->len && last->len < PAGE) {
        last->len += len;
        return;
    }
    if (r->n == ARRAY_LEN(r->list)) {
        r->all = true;
        return;
    }
    r->list[r->n++] = (struct range){gpa, len};
}

static void copy_range(struct lockstep *ls, gpa_t gpa, uint64_t len)
{
    const uint8_t *from = gmem_ptr(ls->a->gmem, gpa, len);
    uint8_t *to = gmem_ptr(&ls->ram, gpa, len);
    if (!from || !to)
        return;
    memcpy(to, from, len);
    gmem_wrote(&ls->ram, gpa, len);
}

/* A machine's reset empties its RAM slot by slot; then it is cheaper not to touch each page. */
static bool is_whole_slot(const struct lockstep *ls, const struct range *r)
{
    for (unsigned i = 0; i < ls->ram.nslots; i++) {
        if (r->gpa == ls->ram.slots[i].base && r->len == ls->ram.slots[i].size)
            return true;
    }
    return false;
}

void lockstep_take_dma(struct lockstep *ls)
{
    struct ranges *dma = &ls->dma;
    for (unsigned i = 0; i < dma->n && !dma->all; i++) {
        if (is_whole_slot(ls, &dma->list[i]))
            dma->all = true;
        else
            copy_range(ls, dma->list[i].gpa, dma->list[i].len);
    }
    if (dma->all)
        lockstep_copy_ram(ls);
    dma->n = 0;
    dma->all = false;
}

/* --- the leader's stores --- */

static bool differ_as_page_tables_may(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if ((a[i] ^ b[i]) & (i % 4 ? 0xffu : (uint8_t)~ACCESSED_DIRTY))
            return false;
    }
    return true;
}

/* Present, code or data. */
static bool differ_as_descriptors_may(uint8_t a, uint8_t b)
{
    return (a ^ b) == DESCRIPTOR_ACCESSED && (a & 0x90) == 0x90;
}

/*
 * Is this the byte of RF in the flags that an exception has just pushed? Behind RIP and CS, perhaps
 * an error code.
 */
static bool is_pushed_rf(const struct lockstep *ls, gpa_t gpa)
{
    static const unsigned flags_at[] = {16, 24, 8, 12}; /* frames of 8 and 4 bytes a word */
    const struct cpu_state *s = &ls->after;
    for (unsigned i = 0; ls->faulted && i < ARRAY_LEN(flags_at); i++) {
        gpa_t pa;
        uint64_t va = s->gpr[RSP] + flags_at[i] + 2;
        if (!(s->efer & EFER_LMA))
            va = (uint32_t)(va + s->seg[SEG_SS].base);
        if (walk_linear(ls->a->gmem, s, va, &pa) && pa == gpa)
            return true;
    }
    return false;
}

static bool overlaps_later(const struct lockstep *ls, const struct range *r, unsigned last)
{
    for (unsigned i = last; i < ls->stored.n; i++) {
        const struct range *o = &ls->stored.list[i];
        if (r->gpa < o->gpa + o->len && o->gpa < r->gpa + r->len)
            return true;
    }
    return false;
}

static bool same_range(struct lockstep *ls, gpa_t gpa, uint64_t len)
{
    const uint8_t *a = gmem_ptr(ls->a->gmem, gpa, len), *b = gmem_ptr(&ls->ram, gpa, len);
    if (!a || !b || !memcmp(a, b, len))
        return true;
    if (len == 1 && gpa % 8 == DESCRIPTOR_ACCESS_BYTE && differ_as_descriptors_may(*a, *b)) {
        copy_range(ls, gpa, len);
        return true;
    }
    if ((len == 4 || len == 8) && differ_as_page_tables_may(a, b, len)) {
        copy_range(ls, gpa, len);
        return true;
    }
    uint64_t i = 0;
    while (a[i] == b[i])
        i++;
    if ((a[i] ^ b[i]) == 1 && is_pushed_rf(ls, gpa + i)) {
        copy_range(ls, gpa + i, 1);
        return same_range(ls, gpa, len);
    }
    char bytes[2][3 * 8 + 1] = {"", ""};
    for (uint64_t n = 0; n < 8 && i + n < len; n++) {
        snprintf(bytes[0] + 3 * n, 4, " %02x", a[i + n]);
        snprintf(bytes[1] + 3 * n, 4, " %02x", b[i + n]);
    }
    ls->difference = (struct difference){0};
    snprintf(ls->difference.what, sizeof ls->difference.what, "RAM at %#llx:%s and%s",
             (unsigned long long)(gpa + i), bytes[0], bytes[1]);
    return false;
}

bool lockstep_same_ram(struct lockstep *ls, unsigned last)
{
    bool same = true;
    for (unsigned i = 0; i < last && same; i++) {
        const struct range *r = &ls->stored.list[i];
        if (!overlaps_later(ls, r, last))
            same = same_range(ls, r->gpa, r->len);
    }
    if (same && ls->stored.all)
        same = lockstep_same_all_ram(ls);
    return same;
}

void lockstep_copy_stores(struct lockstep *ls, unsigned first)
{
    if (ls->stored.all)
        lockstep_copy_ram(ls);
    for (unsigned i = first; i < ls->stored.n; i++)
        copy_range(ls, ls->stored.list[i].gpa, ls->stored.list[i].len);
}

/* --- all of it --- */

/*
 * Calls `page` for each page of RAM that is there in either copy and differs, until it says false.
 */
static bool each_different_page(struct lockstep *ls, bool (*page)(struct lockstep *, gpa_t))
{
    uint8_t here[2][512];
    for (unsigned n = 0; n < ls->ram.nslots; n++) {
        uint8_t *a = ls->a->gmem->slots[n].host, *b = ls->ram.slots[n].host;
        uint64_t size = ls->ram.slots[n].size;
        for (uint64_t at = 0; at < size; at += PAGE) {
            uint64_t i = at / PAGE % sizeof here[0];
            uint64_t chunk = size - at < PAGE * sizeof here[0] ? size - at : PAGE * sizeof here[0];
            if (i == 0 && (mincore(a + at, chunk, here[0]) || mincore(b + at, chunk, here[1])))
                memset(here, 1, sizeof here);
            bool there = (here[0][i] | here[1][i]) & 1;
            if (there && memcmp(a + at, b + at, PAGE) && !page(ls, ls->ram.slots[n].base + at))
                return false;
        }
    }
    return true;
}

static bool copy_page(struct lockstep *ls, gpa_t gpa)
{
    copy_range(ls, gpa, PAGE);
    return true;
}

void lockstep_copy_ram(struct lockstep *ls)
{
    each_different_page(ls, copy_page);
}

/* Disk data may be on its way into the leader's RAM: only what stays is a difference. */
static bool judge_page(struct lockstep *ls, gpa_t gpa)
{
    uint64_t number = gpa / PAGE;
    for (unsigned at = 0; at < PAGE; at += 8) {
        const uint8_t *a = gmem_ptr(ls->a->gmem, gpa + at, 8), *b = gmem_ptr(&ls->ram, gpa + at, 8);
        if (!memcmp(a, b, 8))
            continue;
        if (differ_as_page_tables_may(a, b, 8)) {
            copy_range(ls, gpa + at, 8);
            continue;
        }
        if (ls->suspect[number])
            return same_range(ls, gpa, PAGE);
        ls->suspect[number] = 2;
        return true;
    }
    return true;
}

bool lockstep_same_all_ram(struct lockstep *ls)
{
    uint64_t pages =
        (ls->ram.slots[ls->ram.nslots - 1].base + ls->ram.slots[ls->ram.nslots - 1].size) / PAGE;
    if (!each_different_page(ls, judge_page))
        return false;
    for (uint64_t i = 0; i < pages; i++)
        ls->suspect[i] >>= 1; /* 2: this time; 1: last time */
    return true;
}
