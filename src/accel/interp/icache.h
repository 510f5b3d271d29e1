// SPDX-License-Identifier: MIT
//
// Decoded blocks: straight runs of instructions, found by the physical address and the mode they were decoded in, so that address spaces share
// them. A block never crosses a page and ends with an instruction that branches or changes what later bytes mean. Blocks lie
// in one arena that is emptied as a whole; a block whose bytes were written is dead: out of the tables, its handlers replaced
// by one that leaves the block, its memory valid until the arena is emptied.
// Thread: the engine's own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "gmem.h"
#include "src/accel/interp/fast.h"
#include "src/accel/x86/insn.h"

#define BLOCK_MAX_INSNS 64

struct block;

/* Where a linear address led last time: true while key (the engine's: vCPU, context, mode, generation) is the same. */
struct target {
    gva_t va;
    uint64_t key;
    struct block *block;
};

struct block {
    struct target next[2]; /* behind the block, and elsewhere */
    struct block *hash_next, *page_next;
    gpa_t pa;
    uint8_t mode;
    bool one_way;   /* it has not many successors, as a return has: `next` is worth a look */
    bool plain_end; /* ends in a near branch, or just ends: no mode, flag or shadow can have changed */
    uint16_t n;     /* instructions, at least 1 */
    uint16_t bytes; /* of code */
    struct slot slots[]; /* n, and the one of fast_end */
};

#define ICACHE_HASH_BITS 16

struct code_page;

struct icache {
    uint8_t *arena;
    size_t arena_size, used;
    struct block *hash[1u << ICACHE_HASH_BITS];
    struct code_page **pages; /* by physical page number; NULL: no code there */
    uint64_t npages;
    struct code_page *newest_page;
    fast_handler *leave;      /* what the instructions of a dead block become */
    unsigned max_insns;       /* of a block; BLOCK_MAX_INSNS unless told */
    uint64_t translations, flushes, invalidations;
};

/* ram_end: physical addresses below it can hold code. */
int icache_init(struct icache *ic, size_t arena_size, gpa_t ram_end, fast_handler *leave, struct err *err);
void icache_fini(struct icache *ic);

struct block *icache_find(const struct icache *ic, gpa_t pa, enum x86_mode mode);

/*
 * Decode a block from `avail` bytes of code at pa. NULL when its first instruction does not fit into them (it crosses a page). *new_page: the page
 * had no code before, so writers must be told. May empty the cache first: no block that was found before is valid then.
 */
struct block *icache_make(struct icache *ic, gpa_t pa, enum x86_mode mode, const uint8_t *code,
                          unsigned avail, bool *new_page);

bool icache_page_has_code(const struct icache *ic, gpa_t page);

/* Bytes were written: blocks that held them die. */
void icache_written(struct icache *ic, gpa_t pa, uint64_t len);

/* Forget everything. */
void icache_flush(struct icache *ic);
