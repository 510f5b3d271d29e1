// SPDX-License-Identifier: MIT
//
// Repetition of string instructions (SDM vol. 1 section 7.3.9): rCX, rSI and rDI by address size,
// direction, and the places where a repetition may stop to be continued later. Registers always
// tell exactly how far it came: a fault or an interruption leaves rip at the instruction, and
// running it again goes on.
#pragma once

#include "env.h"
#include "regs.h"

/* A long repetition pauses each time its count passes a multiple of this, so that no instruction
 * keeps the host's thread to itself. */
#define REP_STRETCH_BITS 16

static inline bool rep_prefixed(const struct insn *i)
{
    return i->flags & (INSN_REP | INSN_REPNE);
}

static inline uint64_t rep_count(const struct x86_cpu *cpu, const struct insn *i)
{
    return cpu->gpr[RCX] & size_mask(i->adsize);
}

/* Is there a first element? */
static inline bool rep_begin(const struct x86_cpu *cpu, const struct insn *i)
{
    return !rep_prefixed(i) || rep_count(cpu, i) != 0;
}

/* Another CPU's turn, should there be one; true. */
bool rep_pause(struct x86_cpu *cpu);

/*
 * After `done` elements: is there another one to do now? Stops when something wants attention, at
 * the end of a stretch, after an element at a data breakpoint, and after each while
 * single-stepping.
 */
static inline bool rep_next(struct x86_cpu *cpu, const struct insn *i, uint64_t done)
{
    if (!rep_prefixed(i))
        return false;
    uint64_t before = cpu->gpr[RCX];
    gpr_write(cpu, RCX, before - done, i->adsize);
    if (rep_count(cpu, i) == 0)
        return false;
    if (atomic_load_explicit(&cpu->attention, memory_order_relaxed) || (cpu->rflags & FL_TF) ||
        cpu->pending_db ||
        ((before ^ cpu->gpr[RCX]) >> REP_STRETCH_BITS && rep_pause(cpu))) {
        cpu->next_rip = cpu->rip;
        return false;
    }
    return true;
}

/* Distance from one element to the next. */
ALWAYS_INLINE uint64_t string_step(const struct x86_cpu *cpu, unsigned size)
{
    return cpu->rflags & FL_DF ? 0 - (uint64_t)size : size;
}

ALWAYS_INLINE void string_advance(struct x86_cpu *cpu, const struct insn *i, unsigned reg,
                                  uint64_t delta)
{
    gpr_write(cpu, reg, cpu->gpr[reg] + delta, i->adsize);
}

/* Source: rSI in DS or the override. Destination: rDI in ES, always. */
ALWAYS_INLINE gva_t string_source(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    return seg_linear(cpu, i->seg, cpu->gpr[RSI] & size_mask(i->adsize), size, false);
}

ALWAYS_INLINE gva_t string_dest(struct x86_cpu *cpu, const struct insn *i, unsigned size,
                                bool write)
{
    return seg_linear(cpu, SEG_ES, cpu->gpr[RDI] & size_mask(i->adsize), size, write);
}
