// SPDX-License-Identifier: MIT
//
// The interpreter with a debugger's plan: block by block instead of block after block. A block that
// holds a breakpoint anywhere but at its beginning is not entered but stepped through, so
// breakpoints need nothing in guest memory, and hold whatever is mapped there. Watched pages stay
// out of the fast table of translations; the access itself tells, and the block is left behind it.
// Without a plan none of this runs.
#include <errno.h>
#include <stdlib.h>

#include "src/accel/interp/interp_priv.h"
#include "src/accel/x86/mmu.h"

struct interp_debug {
    struct x86_watch watch;
    const struct debug_point *watched[DEBUG_POINTS_MAX]; /* by number of the range */
    struct vm_exit exit;                                 /* for interp_debug_tell */
};

static bool is_code(const struct debug_point *p)
{
    return p->kind == DEBUG_BREAK || p->kind == DEBUG_BREAK_HARD;
}

/* The first breakpoint in [va, va+len). */
static const struct debug_point *break_within(const struct interp_cpu *c, gva_t va, uint64_t len)
{
    const struct debug_plan *plan = c->in->a->debug;
    for (unsigned n = 0; n < plan->npoints; n++) {
        if (is_code(&plan->points[n]) && plan->points[n].address - va < len)
            return &plan->points[n];
    }
    return NULL;
}

static bool fits(const struct interp_cpu *c, const struct block *b)
{
    return b->n <= c->slice_end - c->cpu.icount &&
           !break_within(c, interp_next_address(&c->cpu), b->bytes);
}

static void on_hit(struct x86_cpu *cpu, unsigned which)
{
    struct interp_cpu *c = (struct interp_cpu *)cpu;
    if (!c->debug_hit)
        c->debug_hit = c->in->debug->watched[which];
    interp_leave_block_soon(c);
}

static bool tell(struct interp_cpu *c, const struct debug_point *hit)
{
    struct vm_exit *exit = &c->in->debug->exit;
    *exit = (struct vm_exit){.kind = EXIT_DEBUG, .debug = {.vcpu = c->vcpu, .stepped = !hit}};
    if (hit)
        exit->debug.point = *hit;
    c->debug_hit = NULL;
    return true;
}

void interp_debug_tell(struct interp *in, struct vm_exit *out)
{
    *out = in->debug->exit;
}

static bool step(struct interp_cpu *c)
{
    c->running = NULL;
    x86_step(&c->cpu);
    return !c->cpu.shutdown && tell(c, c->debug_hit);
}

bool interp_debug_run(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    c->exit = NULL;
    c->debug_hit = NULL;
    if (c->vcpu->debug_run == DEBUG_STEP)
        return step(c);
    while ((int64_t)(c->slice_end - cpu->icount) > 0 && interp_can_run(c)) {
        if (interp_is_asked(cpu) || atomic_load(&c->in->kicked))
            return false;
        const struct debug_point *here = break_within(c, interp_next_address(cpu), 1);
        if (here)
            return tell(c, here);
        interp_run_block_if(c, fits);
        if (c->debug_hit && !cpu->shutdown)
            return tell(c, c->debug_hit);
    }
    return false;
}

static void add_watch(struct interp_debug *d, const struct debug_point *p)
{
    unsigned n = d->watch.n++;
    d->watched[n] = p;
    d->watch.range[n].at = p->address;
    d->watch.range[n].len = p->len;
    d->watch.range[n].reads = p->kind != DEBUG_WRITE;
    d->watch.range[n].writes = p->kind != DEBUG_READ;
}

int interp_set_debug(struct accel *a, const struct debug_plan *plan, struct err *err)
{
    struct interp *in = a->priv;
    if (!in->debug)
        in->debug = calloc(1, sizeof *in->debug);
    if (!in->debug)
        return err_set(err, ENOMEM, "-accel interp: out of memory for the debugger");
    struct interp_debug *d = in->debug;
    d->watch = (struct x86_watch){.hit = on_hit};
    for (unsigned n = 0; plan && n < plan->npoints; n++) {
        if (!is_code(&plan->points[n]))
            add_watch(d, &plan->points[n]);
    }
    a->debug = plan;
    for (unsigned i = 0; i < in->ncpus; i++) {
        in->cpus[i]->cpu.watch = d->watch.n ? &d->watch : NULL;
        in->cpus[i]->debug_hit = NULL;
        mmu_flush_rights(&in->cpus[i]->cpu);
    }
    return 0;
}
