// SPDX-License-Identifier: MIT
//
// The cache of decoded blocks: see icache.h.
#include "src/accel/interp/icache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "src/accel/x86/ops.h"
#include "util.h"

#define PAGE 4096u
#define CHUNK 64u /* bytes that one bit of a page's map stands for */

/*
 * The arena's limit at first, and how often an instruction must have run on average for the limit
 * to be good enough.
 */
#define FIRST_LIMIT MIB(4)
#define WORTHWHILE_RUNS 200u

/* A page with code. In the arena, as the blocks. */
struct code_page {
    struct code_page *older; /* all of them, from ic->newest_page on */
    uint64_t number;
    struct block *blocks;
    uint64_t map; /* which chunks hold code */
};

/* Instructions after which nothing but rip differs. */
static x86_op *const plain_branches[] = {
    op_jcc,   op_jmp_i, op_jmp_m, op_call_i, op_call_m, op_ret,
    op_ret_i, op_loop,  op_loope, op_loopne, op_jcxz,
};

int icache_init(struct icache *ic, size_t arena_size, gpa_t ram_end, fast_handler *leave,
                struct err *err)
{
    *ic = (struct icache){.arena_size = arena_size,
                          .limit = FIRST_LIMIT,
                          .npages = ram_end / PAGE,
                          .leave = leave,
                          .max_insns = BLOCK_MAX_INSNS};
    ic->arena = mmap(NULL, arena_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ic->pages = calloc(ic->npages, sizeof ic->pages[0]);
    if (ic->arena != MAP_FAILED && ic->pages)
        return 0;
    if (ic->arena == MAP_FAILED)
        ic->arena = NULL;
    icache_fini(ic);
    return err_set(err, ENOMEM, "-accel interp: no memory for the cache of decoded blocks");
}

void icache_fini(struct icache *ic)
{
    if (ic->arena)
        munmap(ic->arena, ic->arena_size);
    free(ic->pages);
    *ic = (struct icache){0};
}

static unsigned hash_of(gpa_t pa, enum x86_mode mode)
{
    return (unsigned)((pa ^ pa >> ICACHE_HASH_BITS ^ (uint64_t)mode << 7) &
                      ((1u << ICACHE_HASH_BITS) - 1));
}

struct block *icache_find(const struct icache *ic, gpa_t pa, enum x86_mode mode)
{
    for (struct block *b = ic->hash[hash_of(pa, mode)]; b; b = b->hash_next) {
        if (b->pa == pa && b->mode == mode)
            return b;
    }
    return NULL;
}

void icache_flush(struct icache *ic)
{
    memset(ic->hash, 0, sizeof ic->hash);
    for (struct code_page *page = ic->newest_page; page; page = page->older)
        ic->pages[page->number] = NULL;
    ic->newest_page = NULL;
    ic->used = 0;
    ic->flushes++;
}

static void *arena_take(struct icache *ic, size_t bytes)
{
    void *p = ic->arena + ic->used;
    ic->used += align_up(bytes, 16);
    return p;
}

static bool is_plain_branch(x86_op *op)
{
    for (unsigned i = 0; i < ARRAY_LEN(plain_branches); i++) {
        if (plain_branches[i] == op)
            return true;
    }
    return false;
}

static unsigned decode_run(struct slot *slots, unsigned max, enum x86_mode mode,
                           const uint8_t *code, unsigned avail, unsigned *bytes)
{
    unsigned n = 0, at = 0;
    while (n < max && at < avail) {
        unsigned left = avail - at < 15 ? avail - at : 15;
        unsigned len = x86_decode(&slots[n].insn, code + at, left, mode);
        if (!len)
            break;
        at += len;
        if (!fast_goes_on(&slots[n++].insn, mode))
            break;
    }
    *bytes = at;
    return n;
}

static uint64_t chunk_mask(unsigned off, unsigned len)
{
    unsigned first = off / CHUNK, last = (off + len - 1) / CHUNK;
    return (~0ull >> (63 - (last - first))) << first;
}

static void register_block(struct icache *ic, struct block *b, bool *new_page)
{
    unsigned h = hash_of(b->pa, b->mode);
    b->hash_next = ic->hash[h];
    ic->hash[h] = b;

    struct code_page **page = &ic->pages[b->pa / PAGE];
    *new_page = !*page;
    if (!*page) {
        *page = arena_take(ic, sizeof **page);
        **page = (struct code_page){.older = ic->newest_page, .number = b->pa / PAGE};
        ic->newest_page = *page;
    }
    b->page_next = (*page)->blocks;
    (*page)->blocks = b;
    (*page)->map |= chunk_mask(b->pa % PAGE, b->bytes);
}

/* Decoding again what was thrown away costs as much as running it some dozen times. */
static void make_room(struct icache *ic, uint64_t count)
{
    int64_t run = (int64_t)(count - ic->looked_at);
    bool too_soon = run < (int64_t)(ic->decoded * WORTHWHILE_RUNS);
    if (too_soon && ic->limit * 2 <= ic->arena_size)
        ic->limit *= 2;
    else
        icache_flush(ic);
    ic->decoded = 0;
    ic->looked_at = count;
}

struct block *icache_make(struct icache *ic, gpa_t pa, enum x86_mode mode, const uint8_t *code,
                          unsigned avail, uint64_t count, bool *new_page)
{
    size_t worst = sizeof(struct block) +
                   (BLOCK_MAX_INSNS + 1) * (sizeof(struct slot) + sizeof(struct exit)) +
                   sizeof(struct code_page) + 64;
    if (ic->used + worst > ic->limit)
        make_room(ic, count);
    struct block *b = (struct block *)(void *)(ic->arena + ic->used);
    unsigned bytes;
    unsigned n = decode_run(b->slots, ic->max_insns, mode, code, avail, &bytes);
    if (!n)
        return NULL;
    b->pa = pa;
    b->mode = (uint8_t)mode;
    b->n = (uint16_t)n;
    b->need = n;
    b->bytes = (uint16_t)bytes;
    const struct insn *last = &b->slots[n - 1].insn;
    b->plain_end = !insn_ends_block(last) || is_plain_branch(last->op) ||
                   !(last->flags & INSN_ENDS_BLOCK); /* a repeated string instruction */
    unsigned exits = fast_choose(b->slots, n, mode, pa % PAGE);
    arena_take(ic, sizeof *b + (n + 1) * sizeof b->slots[0] + exits * sizeof(struct exit));
    register_block(ic, b, new_page);
    ic->blocks++;
    ic->decoded += n;
    return b;
}

bool icache_page_has_code(const struct icache *ic, gpa_t page)
{
    return page / PAGE < ic->npages && ic->pages[page / PAGE];
}

static void unhash(struct icache *ic, struct block *b)
{
    for (struct block **p = &ic->hash[hash_of(b->pa, b->mode)]; *p; p = &(*p)->hash_next) {
        if (*p == b) {
            *p = b->hash_next;
            return;
        }
    }
}

/* It may be running: what it still holds must not run. */
static void kill_block(struct icache *ic, struct block *b)
{
    unhash(ic, b);
    b->pa = ~0ull;
    for (unsigned i = 0; i < b->n; i++)
        b->slots[i].run = ic->leave;
    b->need = BLOCK_DEAD;
    ic->killed++;
}

static void written_in_page(struct icache *ic, struct code_page *page, unsigned off, unsigned len)
{
    if (!(page->map & chunk_mask(off, len)))
        return;
    page->map = 0;
    for (struct block **p = &page->blocks; *p;) {
        struct block *b = *p;
        if (ranges_overlap(b->pa % PAGE, b->bytes, off, len)) {
            *p = b->page_next;
            kill_block(ic, b);
        } else {
            page->map |= chunk_mask(b->pa % PAGE, b->bytes);
            p = &b->page_next;
        }
    }
}

void icache_written(struct icache *ic, gpa_t pa, uint64_t len)
{
    while (len) {
        unsigned off = pa % PAGE;
        unsigned n = PAGE - off < len ? PAGE - off : (unsigned)len;
        struct code_page *page = pa / PAGE < ic->npages ? ic->pages[pa / PAGE] : NULL;
        if (page)
            written_in_page(ic, page, off, n);
        pa += n;
        len -= n;
    }
}
