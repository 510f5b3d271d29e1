// SPDX-License-Identifier: MIT
//
// The fetch-decode-execute loop, with the decoding done once: find the block for rip, run its instructions, look up the next. What can change
// between two instructions of a block is nothing the loop must look at; after a block it looks at `attention`, and after a block
// that did not end in a plain branch also at shadows, stepping and HLT.
//
// Faults leave an operation by longjmp to the landing in interp_run_cpu. Which instruction it was follows from next_rip, which the loop sets before
// each operation, and the running block; the last instruction of a block, which alone may change rip, has cpu->rip set for it.
#include "src/accel/interp/interp_priv.h"

#include "src/accel/x86/mem.h"
#include "src/accel/x86/mmu.h"
#include "src/accel/x86/vec.h"

/* Instructions a CPU runs before the next one gets its turn. */
#define SLICE 200000

/* setjmp values: a fault is 1 (excp.c). */
#define LANDED_LEAVE 2

void interp_leave_block(struct x86_cpu *cpu, const struct insn *i)
{
    cpu->next_rip -= i->len;
    cpu->gpr[REG_RIP] = cpu->next_rip;
    longjmp(cpu->fault_landing, LANDED_LEAVE);
}

static inline struct target *target_at(struct interp_cpu *c, gva_t va)
{
    return &c->targets[(va ^ va >> TARGET_CACHE_BITS) & ((1u << TARGET_CACHE_BITS) - 1)];
}

static inline uint64_t target_key(const struct interp_cpu *c)
{
    return c->cpu.tlb_context | (uint64_t)c->cpu.mode << 14 | c->in->mapping_generation << 16;
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

/* NULL: this instruction has to be stepped (it crosses a page, or is not in RAM). May raise. */
static struct block *find_block(struct interp_cpu *c, gva_t va)
{
    struct x86_cpu *cpu = &c->cpu;
    struct interp *in = c->in;
    gpa_t pa;
    unsigned avail;
    cpu->rip = cpu->next_rip; /* fetching may fault */
    const uint8_t *code = x86_code_at(cpu, cpu->next_rip, &pa, &avail);
    if (!code)
        return NULL;
    struct block *b = icache_find(&in->icache, pa, cpu->mode);
    if (!b) {
        bool new_page = false;
        uint64_t flushes = in->icache.flushes;
        b = icache_make(&in->icache, pa, cpu->mode, code, avail, &new_page);
        if (in->icache.flushes != flushes)
            in->mapping_generation++;
        if (!b)
            return NULL;
        if (new_page)
            protect_page(in, pa);
    }
    if (!within_limit(cpu, cpu->next_rip, b))
        return NULL;
    *target_at(c, va) = (struct target){va, target_key(c), b};
    return b;
}

static inline struct block *next_block(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    gva_t va = (cpu->next_rip + cpu->seg_base[SEG_CS]) & cpu->address_mask;
    const struct target *t = target_at(c, va);
    if (__builtin_expect(t->va == va && t->key == target_key(c) && t->block->pa != ~0ull, 1) &&
        __builtin_expect(within_limit(cpu, cpu->next_rip, t->block), 1))
        return t->block;
    return find_block(c, va);
}

static inline void run_block(struct interp_cpu *c, struct block *b)
{
    struct x86_cpu *cpu = &c->cpu;
    const struct insn *i = b->insns, *last = i + b->n - 1;
    uint64_t rip = cpu->next_rip;
    c->running = b;
    c->running_rip = rip;
    c->in_last = false;
    for (; i != last; i++) {
        rip += i->len;
        cpu->next_rip = rip;
        cpu->gpr[REG_RIP] = rip;
        i->op(cpu, i);
    }
    cpu->rip = rip;
    rip += i->len;
    c->in_last = true;
    cpu->next_rip = rip;
    cpu->gpr[REG_RIP] = rip;
    i->op(cpu, i);
    cpu->icount += b->n;
}

/* A fault inside a block: count what ran before it, and say which instruction it was. */
static void locate_fault(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    const struct block *b = c->running;
    if (!b)
        return; /* not in a block: whoever raised has rip right */
    if (c->in_last) {
        cpu->icount += b->n - 1u;
        return;
    }
    uint64_t rip = c->running_rip;
    for (unsigned n = 0; n < b->n; n++) {
        uint64_t next = rip + b->insns[n].len;
        if (next == cpu->next_rip) {
            cpu->icount += n;
            break;
        }
        rip = next;
    }
    cpu->rip = rip;
}

static bool needs_step(const struct x86_cpu *cpu)
{
    return cpu->interrupt_shadow || x86_wants_steps(cpu);
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

/* An interrupt that waits only for IF need not end the loop at every block. */
static inline bool must_leave(const struct x86_cpu *cpu)
{
    unsigned a = atomic_load_explicit(&cpu->attention, memory_order_relaxed);
    return __builtin_expect(a, 0) && (a != ATT_IRQ || cpu->rflags & FL_IF);
}

static void step_once(struct interp_cpu *c)
{
    c->running = NULL;
    x86_step(&c->cpu);
}

void interp_run_cpu(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    uint64_t end = cpu->icount + SLICE;

    int landed = setjmp(cpu->fault_landing);
    if (landed == LANDED_LEAVE) {
        locate_fault(c); /* for the count */
    } else if (landed) {
        locate_fault(c);
        c->running = NULL;
        x86_deliver_exception(cpu);
    }
    c->running = NULL;
    if (cpu->shutdown || settle_after(cpu))
        return;
    while (!must_leave(cpu) && (int64_t)(end - cpu->icount) > 0) {
        c->running = NULL;
        struct block *b = next_block(c);
        if (!b) {
            step_once(c);
            if (settle_after(cpu))
                return;
            continue;
        }
        run_block(c, b);
        if (!b->plain_end && settle_after(cpu))
            return;
    }
}
