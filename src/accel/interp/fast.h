// SPDX-License-Identifier: MIT
//
// Direct threading: each decoded instruction lies in a slot with the handler that runs it; a
// handler ends with a jump to the next slot's. One handler calls any operation function as the core
// defines it (fast_call); the hottest forms have handlers of their own, by operand size and kind of
// operand.
//
// Those never fault and never say where they are: what cannot be done at once (a TLB miss, a
// device, a page with code, a target that is not canonical) they leave to fast_call before they
// changed anything. So rip has to be known only there: the block's address and insn.end tell it.
//
// A branch looks up its exit and goes on in the next block at once, when that is known, alive, fits
// into what the loop allows (chain_end) and nothing wants attention; else it returns to the loop
// with next_rip set, which finds the block and fills the exit. A branch within its page needs no
// look at the mapping: its block runs, so the page is mapped here. Others hold for one address and
// key.
//
// Instructions count when a block is left: each exit knows how many ran up to it.
//
// The jump is a call in tail position; where a compiler makes it a real call, the depth is bounded
// by chain_end.
#pragma once

#include "src/accel/x86/cpu.h"

struct slot;

typedef void fast_handler(struct x86_cpu *cpu, const struct slot *s);

struct slot {
    fast_handler *run;
    struct insn insn;
};

/*
 * Where a branch led last time. Of a branch within the page: the block. Else true while address and
 * key (the engine's: vCPU, context, mode, generation) are the same. `to` is never NULL in the exit
 * of a block.
 */
struct block;
struct exit {
    struct block *to;
    gva_t va;
    uint64_t key;
};

/* Any instruction; the same for one that sets next_rip itself and ends the block. */
fast_handler fast_call, fast_call_last;

/*
 * Does it end a block? String instructions with a repeat prefix do, they stay at their own rip
 * between steps.
 */
static inline bool insn_ends_block(const struct insn *i)
{
    return i->flags & (INSN_ENDS_BLOCK | INSN_REP | INSN_REPNE);
}

/* May a block go on behind it? Behind forward branches on condition it may. */
bool fast_goes_on(const struct insn *i, enum x86_mode mode);

/*
 * Choose handlers for n slots with decoded instructions, fill the one behind them, and behind that
 * the exits; how many. The block begins at `offset` of its page.
 */
unsigned fast_choose(struct slot *slots, unsigned n, enum x86_mode mode, unsigned offset);
