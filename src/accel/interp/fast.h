// SPDX-License-Identifier: MIT
//
// Direct threading: each decoded instruction lies in a slot with the handler that runs it; a handler
// ends with a jump to the next slot's. One handler calls any operation function as the core defines
// it (fast_call); the hottest forms have handlers of their own, by operand size and kind of operand.
//
// Those never fault and never say where they are: what cannot be done at once (a TLB miss, a device, a
// page with code, a target that is not canonical) they leave to fast_call before they changed
// anything. So rip has to be known only there: the block's address and insn.end tell it.
//
// The jump is a call in tail position; where a compiler makes it a real call, the depth is bounded by
// the length of a block.
#pragma once

#include "src/accel/x86/cpu.h"

struct slot;

typedef void fast_handler(struct x86_cpu *cpu, const struct slot *s);

struct slot {
    fast_handler *run;
    struct insn insn;
};

/* The last instruction's successor: rip goes on behind the block. insn.end is its length. */
fast_handler fast_end;

/* Any instruction; the same for one that sets next_rip itself and ends the block. */
fast_handler fast_call, fast_call_last;

/* Choose handlers for n slots with decoded instructions, and fill the one behind them. `branches`: the
 * last one sets next_rip. */
void fast_choose(struct slot *slots, unsigned n, enum x86_mode mode, bool branches);
