// SPDX-License-Identifier: MIT
//
// Decoded blocks: straight runs of instructions, found by the physical address and the mode they
// were decoded in, so that address spaces share them. A block never crosses a page and ends with an
// instruction that branches or changes what later bytes mean; forward branches on condition stand
// in the middle too. Behind the instructions lie the block's exits: where each branch led last
// time. Blocks lie in one arena that is emptied as a whole; it grows when it was filled too soon. A
// block whose bytes were written is dead: out of the tables, its handlers replaced by one that
// leaves the block, its memory valid until the arena is emptied.
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

struct block {
    struct block *hash_next, *page_next;
    gpa_t pa;
    /*
     * how many instructions may run when it is entered from another block: n, or too many when
     * it is dead
     */
    uint32_t need;
    uint16_t n;     /* instructions, at least 1 */
    uint16_t bytes; /* of code */
    uint8_t mode;
    /* ends in a near branch, or just ends: no mode, flag or shadow can have changed */
    bool plain_end;
    struct slot slots[]; /* n, the one behind them, and the exits */
};

#define BLOCK_DEAD 0x7fffffff

#define ICACHE_HASH_BITS 16

struct code_page;

struct icache {
    uint8_t *arena;
    size_t arena_size; /* reserved */
    size_t limit;      /* of what may be used now */
    size_t used;
    /* instructions decoded since it was full last time; the engine's count then */
    uint64_t decoded, looked_at;
    struct block *hash[1u << ICACHE_HASH_BITS];
    struct code_page **pages; /* by physical page number; NULL: no code there */
    uint64_t npages;
    struct code_page *newest_page;
    fast_handler *leave;      /* what the instructions of a dead block become */
    unsigned max_insns;       /* of a block; BLOCK_MAX_INSNS unless told */
    uint64_t blocks, killed, flushes; /* made, written to by the guest; all thrown away */
};

/*
 * ram_end: physical addresses below it can hold code. The arena is at most `arena_size`, at least 4
 * MiB.
 */
int icache_init(struct icache *ic, size_t arena_size, gpa_t ram_end, fast_handler *leave,
                struct err *err);
void icache_fini(struct icache *ic);

struct block *icache_find(const struct icache *ic, gpa_t pa, enum x86_mode mode);

/*
 * Decode a block from `avail` bytes of code at pa. NULL when its first instruction does not fit
 * into them (it crosses a page). *new_page: the page had no code before, so writers must be told.
 * May empty the cache first: no block that was found before is valid then. `count`: of instructions
 * run so far.
 */
struct block *icache_make(struct icache *ic, gpa_t pa, enum x86_mode mode, const uint8_t *code,
                          unsigned avail, uint64_t count, bool *new_page);

bool icache_page_has_code(const struct icache *ic, gpa_t page);

/* Bytes were written: blocks that held them die. */
void icache_written(struct icache *ic, gpa_t pa, uint64_t len);

/* Forget everything. */
void icache_flush(struct icache *ic);
