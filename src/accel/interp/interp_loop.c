// SPDX-License-Identifier: MIT
//
// The fetch-decode-execute loop, with the decoding done once: find the block for rip, run its
// instructions, look up the next. What can change between two instructions of a block is nothing
// the loop must look at; after a block it looks at `attention`, and after a block that did not end
// in a plain branch also at shadows, stepping and HLT.
//
// Faults leave an operation by longjmp to the landing in interp_run_cpu; rip is right then
// (fast.h).
#include "src/accel/interp/interp_priv.h"

#include <string.h>

#include "src/accel/x86/mem.h"
#include "src/accel/x86/mmu.h"
#include "src/accel/x86/vec.h"

/*
 * Instructions a CPU runs before the next one gets its turn; up to 4095 more, not always as many,
 * so that two CPUs cannot wait for each other's flags in step for ever.
 */
#define SLICE 200000

/*
 * Blocks lead to each other for so many instructions; then they return to the loop. A bound on the
 * depth of the stack where a compiler makes no jumps of calls in tail position.
 */
#define CHAIN_MOST 2048

/* In the middle of a dead block, or at its beginning. */
void interp_leave_block(struct x86_cpu *cpu, const struct slot *s)
{
    struct interp_cpu *c = (struct interp_cpu *)cpu;
    cpu->icount += (uint64_t)(s - c->running->slots);
    cpu->next_rip = cpu->gpr[REG_BLOCK] + s->insn.end - s->insn.len;
}

static inline uint64_t target_key(const struct interp_cpu *c)
{
    return c->cpu.tlb_context | (uint64_t)c->cpu.mode << 14 | (uint64_t)c->cpu.id << 16 |
           c->in->mapping_generation << 24;
}

/* Code limit of legacy modes: a block may have been decoded under another one. */
static inline bool within_limit(const struct x86_cpu *cpu, uint64_t rip, const struct block *b)
{
    return cpu->mode == X86_MODE64 || rip + b->bytes - 1 <= cpu->seg[SEG_CS].limit;
}

static void protect_page(struct interp *in, gpa_t pa)
{
    for (unsigned i = 0; i < in->ncpus; i++)
        mmu_protect_page(&in->cpus[i]->cpu, pa & ~0xfffull);
}

void interp_forget_targets(struct interp *in)
{
    for (unsigned i = 0; i < in->ncpus; i++)
        memset(in->cpus[i]->targets, 0, sizeof in->cpus[i]->targets);
}

static struct block *decode_block(struct interp_cpu *c, gpa_t pa, const uint8_t *code,
                                  unsigned avail)
{
    struct interp *in = c->in;
    bool new_page = false;
    uint64_t flushes = in->icache.flushes;
    struct block *b =
        icache_make(&in->icache, pa, c->cpu.mode, code, avail, c->cpu.icount, &new_page);
    if (in->icache.flushes != flushes)
        interp_forget_targets(in);
    if (b && new_page)
        protect_page(in, pa);
    return b;
}

/* NULL: this instruction has to be stepped (it crosses a page, or is not in RAM). May raise. */
static struct block *find_block(struct interp_cpu *c, gva_t va)
{
    struct x86_cpu *cpu = &c->cpu;
    struct exit *t = interp_target_at(c, va);
    gpa_t pa;
    unsigned avail;
    cpu->rip = cpu->next_rip; /* fetching may fault */
    c->running = NULL;
    const uint8_t *code = x86_code_at(cpu, cpu->next_rip, &pa, &avail);
    if (!code)
        return NULL;
    struct block *b = t->to; /* often only the context is another */
    if (!b || b->pa != pa || b->mode != cpu->mode)
        b = icache_find(&c->in->icache, pa, cpu->mode);
    if (!b)
        b = decode_block(c, pa, code, avail);
    if (!b || !within_limit(cpu, cpu->next_rip, b))
        return NULL;
    *t = (struct exit){b, va, c->key};
    unsigned h = interp_fetched_hash(va);
    c->in->fetched[h / 64] |= 1ull << h % 64;
    return b;
}

static inline struct block *next_block(struct interp_cpu *c)
{
    gva_t va = interp_next_address(&c->cpu);
    const struct exit *t = interp_target_at(c, va);
    if (t->va == va && t->key == c->key && t->to->need != BLOCK_DEAD &&
        within_limit(&c->cpu, c->cpu.next_rip, t->to))
        return t->to;
    return find_block(c, va);
}

/*
 * A branch within a page must stay within the physical page too: this mapping may be another than
 * the one that its block was found by.
 */
static bool may_link(const struct interp_cpu *c, const struct block *from, const struct block *to)
{
    bool near = !((c->cpu.next_rip ^ c->cpu.gpr[REG_BLOCK]) >> 12);
    return !near || !((from->pa ^ to->pa) >> 12);
}

/* The block for next_rip; the exit that led to it is told. */
static struct block *following_block(struct interp_cpu *c)
{
    struct exit *exit = c->exit;
    if (!exit)
        return next_block(c);
    const struct block *from = c->running;
    uint64_t flushes = c->in->icache.flushes;
    c->exit = NULL;
    struct block *to = next_block(c);
    /* else the exit is gone, or no exit for this */
    if (to && c->in->icache.flushes == flushes && may_link(c, from, to))
        *exit = (struct exit){to, c->cpu.next_rip, c->key};
    return to;
}

/* And those it leads to, `left` instructions at most. */
static inline void run_blocks(struct interp_cpu *c, struct block *b, uint64_t left)
{
    struct x86_cpu *cpu = &c->cpu;
    c->running = b;
    c->chain_end = cpu->icount + (left < CHAIN_MOST ? left : CHAIN_MOST);
    cpu->gpr[REG_BLOCK] = cpu->next_rip;
    b->slots[0].run(cpu, b->slots);
}

/* A fault inside a block: count what ran before it. */
static void count_before_fault(struct interp_cpu *c)
{
    if (c->running) /* else not in a block */
        c->cpu.icount += (uint64_t)(c->at - c->running->slots);
    c->running = NULL;
}

/* RF alone matters to nothing but breakpoints. */
static bool needs_step(const struct x86_cpu *cpu)
{
    return x86_wants_steps(cpu) && (cpu->rflags & FL_TF || cpu->dr[7] & DR7_ENABLES ||
                                    cpu->pending_db || cpu->debug_shadow);
}

/* After a block that may have changed anything. True: leave the loop. */
static bool settle_after(struct x86_cpu *cpu)
{
    while (needs_step(cpu) && !cpu->halted && !cpu->shutdown) {
        x86_step(cpu);
        if (atomic_load_explicit(&cpu->attention, memory_order_relaxed) && !cpu->interrupt_shadow)
            return true;
    }
    return cpu->halted || cpu->shutdown;
}

/* What was not a plain branch may have changed anything. False: leave the loop. */
static bool settle(struct interp_cpu *c)
{
    c->running = NULL;
    c->exit = NULL;
    if (settle_after(&c->cpu))
        return false;
    c->key = target_key(c);
    return true;
}

/*
 * The one instruction that a shadow or RF is for now runs: as interrupts come only between blocks,
 * nothing comes before it.
 */
static inline void begin_instruction(struct x86_cpu *cpu)
{
    cpu->interrupt_shadow = false;
    cpu->rflags &= ~(uint64_t)FL_RF;
}

static void step_once(struct interp_cpu *c)
{
    c->running = NULL;
    x86_step(&c->cpu);
}

void interp_run_cpu(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    uint64_t end = cpu->icount + SLICE + (cpu->icount * 0x9e3779b97f4a7c15ull >> 52);

    if (setjmp(cpu->fault_landing)) {
        count_before_fault(c);
        x86_deliver_exception(cpu);
    }
    bool plain = false;
    while ((int64_t)(end - cpu->icount) > 0) {
        if (!plain && !settle(c))
            return;
        if (interp_is_asked(cpu))
            return;
        if (!plain)
            begin_instruction(cpu);
        struct block *b = following_block(c);
        if (!b)
            step_once(c);
        else if (b->n <= end - cpu->icount)
            run_blocks(c, b, end - cpu->icount);
        else
            return; /* what is left of the slice is too short for a whole block */
        plain = b && c->running->plain_end;
    }
}

/*
 * Where an interrupt or a comparison may come behind each instruction, a shadow or RF ends there
 * too.
 */
static bool needs_exact_step(const struct x86_cpu *cpu)
{
    return cpu->interrupt_shadow || x86_wants_steps(cpu);
}

/* --- counted time --- */

/* Back from a block that was to be left early, whether it was or ended there anyhow. */
static inline void put_back_replaced(struct interp_cpu *c)
{
    if (__builtin_expect(c->replaced != NULL, 0)) {
        c->replaced->run = c->replaced_run;
        c->replaced = NULL;
    }
}

/* --- block by block --- */

bool interp_run_block_if(struct interp_cpu *c,
                         bool (*fits)(const struct interp_cpu *c, const struct block *b))
{
    struct x86_cpu *cpu = &c->cpu;
    uint64_t before = cpu->icount;
    if (setjmp(cpu->fault_landing)) {
        put_back_replaced(c);
        count_before_fault(c);
        x86_deliver_exception(cpu);
        return cpu->icount != before;
    }
    c->running = NULL;
    c->key = target_key(c);
    struct block *b = needs_exact_step(cpu) ? NULL : next_block(c);
    if (b && fits && !fits(c, b))
        b = NULL;
    if (b)
        run_blocks(c, b, 0);
    else
        step_once(c);
    put_back_replaced(c);
    c->running = NULL;
    return cpu->icount != before;
}

bool interp_run_block(struct interp_cpu *c)
{
    return interp_run_block_if(c, NULL);
}

/* --- slices of counted time --- */

static inline bool slice_goes_on(const struct interp_cpu *c)
{
    const struct x86_cpu *cpu = &c->cpu;
    return (int64_t)(c->slice_end - cpu->icount) > 0 && !interp_is_asked(cpu) && !cpu->halted &&
           !cpu->shutdown;
}

/*
 * What does not fit into the slice as a whole block is stepped: an instruction is an instruction,
 * either way.
 */
static void run_within_slice(struct interp_cpu *c)
{
    struct block *b = needs_exact_step(&c->cpu) ? NULL : following_block(c);
    uint64_t left = c->slice_end - c->cpu.icount;
    bool whole = b && b->n <= left;
    if (whole)
        run_blocks(c, b, left);
    else
        step_once(c);
    put_back_replaced(c);
    if (!whole || !c->running->plain_end) {
        c->exit = NULL;
        c->key = target_key(c);
    }
}

void interp_run_slice(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    bool faulted = setjmp(cpu->fault_landing);
    put_back_replaced(c);
    if (faulted) {
        count_before_fault(c);
        x86_deliver_exception(cpu);
    }
    c->running = NULL;
    c->exit = NULL;
    if (faulted && atomic_load(&c->in->kicked))
        return; /* a fault that leads to itself executes nothing, so it does not end the slice */
    c->key = target_key(c);
    while (slice_goes_on(c))
        run_within_slice(c);
}
