// SPDX-License-Identifier: MIT
//
// Random instruction sequences and random states to start them from. Everything follows from the
// random number generator's state, so a seed tells the whole case.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "template.h"

/* Where the sequence lives, in the test program and in the software CPU alike. Below 2 GiB. */
#define CODE_BASE 0x20000000ull
#define CODE_SIZE 0x1000ull
#define SANDBOX_BASE 0x10000000ull
#define SANDBOX_SIZE 0x4000ull
#define SANDBOX_GUARD 0x10000ull /* on both sides: never mapped */
#define GS_BASE (SANDBOX_BASE + SANDBOX_SIZE / 2)

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *r);
/* 0 to n-1. */
uint32_t rng_below(struct rng *r, uint32_t n);
static inline bool rng_one_in(struct rng *r, uint32_t n)
{
    return rng_below(r, n) == 0;
}

/* What an instruction's bytes leave open until its place is known. */
enum fix_kind { FIX_NONE, FIX_BRANCH8, FIX_BRANCH32, FIX_PLACE, FIX_ADDRESS };

struct seq_insn {
    uint8_t bytes[16];
    uint8_t len;
    uint8_t fix, fix_at; /* enum fix_kind; offset of the displacement */
    uint8_t skip;        /* branches, FIX_PLACE: over how many instructions */
    uint32_t address;    /* FIX_ADDRESS: what the displacement shall reach */
};

#define SEQ_MAX 80

struct sequence {
    struct seq_insn insn[SEQ_MAX];
    unsigned n;
};

/* All state that user code can see. */
struct machine {
    uint64_t gpr[16], rip, rflags;
    uint64_t ymm[16][4];
    uint32_t mxcsr;
    uint16_t fcw, fsw; /* with TOP */
    uint8_t valid;     /* one bit per physical x87 register */
    uint8_t st[8][10]; /* ST(0) to ST(7) */
    int fault;         /* vector, or -1 */
    uint32_t error;
    uint64_t cr2;
    uint8_t mem[SANDBOX_SIZE];
};

/*
 * Parse all rows of the named family, or of all families (NULL), for 64- or 32-bit mode. False,
 * with a message, when a row is wrong or nothing is left.
 */
bool gen_init(const char *family, bool mode32);

/* A sequence of `length` template instructions (and what prepares them) and a state to run it from.
 */
void gen_case(struct rng *r, unsigned length, struct sequence *seq, struct machine *start);

/* Bytes of the whole sequence as it lies at CODE_BASE; offsets[k] is where instruction k begins,
 * offsets[n] the end. */
size_t seq_layout(const struct sequence *seq, uint8_t *out, uint16_t *offsets);
