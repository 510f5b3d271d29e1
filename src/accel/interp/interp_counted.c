// SPDX-License-Identifier: MIT
//
// The interpreter under counted time (-icount): guest time is a function of the instructions
// executed, and the run a function of the guest alone.
//
// - Instructions of all CPUs count together: they run in turn. One counts when it has retired; what
//   asks for the time in the middle of a block sees those before itself.
// - A turn ends after a fixed number of instructions, at PAUSE and at HLT. Within a turn the CPU
//   runs in slices. A slice ends exactly where the earliest timer is due; then this thread fires
//   timers and delivers posted events, as the event loop does under host time.
// - What a device access changes at once (an interrupt, a nearer timer, an event) is seen after
//   that very instruction, wherever in a block it stands: the next slot's handler is replaced by
//   the one that leaves the block. So the run does not depend on how blocks were cut.
// - When no CPU can run, time jumps to the earliest timer; without one the thread sleeps until the
//   outside world brings something.
// - Other threads set no attention bits: those would end a repeated string instruction early. They
//   store what they want and are seen when the slice ends.
#include "src/accel/interp/interp_priv.h"

#include "src/accel/x86/vec.h"

/*
 * Guest time of a turn, and its length at least: with large units a turn would take too long for
 * the others.
 */
#define TURN_NS 200000u
#define TURN_MIN 2000u

/* The engine that runs on this thread. */
static _Thread_local const struct interp *running_here;

static bool on_own_thread(const struct interp *in)
{
    return running_here == in;
}

/* --- the count --- */

uint64_t interp_count(void *opaque)
{
    const struct interp *in = opaque;
    const struct interp_cpu *c = in->current;
    if (!c)
        return 0; /* still being made */
    uint64_t in_block = c->running ? (uint64_t)(c->at - c->running->slots) : 0;
    return in->count_of_others + c->cpu.icount + in_block;
}

static void make_current(struct interp *in, struct interp_cpu *c)
{
    in->current = c;
    in->count_of_others = 0;
    for (unsigned i = 0; i < in->ncpus; i++)
        in->count_of_others += in->cpus[i] == c ? 0 : in->cpus[i]->cpu.icount;
}

/* --- ending a slice early --- */

/* Called from an operation: nothing of the block runs after it, nor of the blocks it leads to. */
void interp_leave_block_soon(struct interp_cpu *c)
{
    c->chain_end = 0;
    if (!c->running || c->replaced)
        return;
    /* there is one behind the last, too */
    c->replaced = &c->running->slots[c->at - c->running->slots + 1];
    c->replaced_run = c->replaced->run;
    c->replaced->run = interp_leave_block;
}

static void end_slice(struct interp *in)
{
    struct interp_cpu *c = in->current;
    c->slice_end = c->cpu.icount;
    interp_leave_block_soon(c);
}

/* Where the slice of the current CPU ends, by its own count. */
static uint64_t slice_end(const struct interp *in)
{
    uint64_t due = in->due > in->count_of_others ? in->due - in->count_of_others : 0;
    return due < in->turn_end ? due : in->turn_end;
}

void interp_rearmed(void *opaque, uint64_t deadline_ns)
{
    struct interp *in = opaque;
    struct interp_cpu *c = in->current;
    (void)deadline_ns;
    in->due = clock_due_count(in->a->clock);
    if (!on_own_thread(in) || !c->in_slice)
        return;
    uint64_t end = slice_end(in);
    if (end < c->slice_end)
        c->slice_end = end;
    if (end < c->chain_end)
        c->chain_end = end;
    if (c->running && c->slice_end < c->cpu.icount + c->running->n)
        interp_leave_block_soon(c);
}

void interp_notice(struct interp_cpu *c)
{
    if (on_own_thread(c->in) && c == c->in->current && c->in_slice)
        interp_leave_block_soon(c);
}

static void wake_thread(struct interp *in)
{
    if (on_own_thread(in)) {
        if (in->current->in_slice)
            end_slice(in);
        return;
    }
    pthread_mutex_lock(&in->sleep_lock);
    in->wake_flag = true;
    pthread_cond_signal(&in->woken);
    pthread_mutex_unlock(&in->sleep_lock);
}

void interp_look(struct accel *a)
{
    struct interp *in = a->priv;
    if (!in)
        return;
    atomic_store(&in->posted, true);
    wake_thread(in);
}

void interp_kick_counted(struct interp *in)
{
    atomic_store(&in->kicked, true);
    wake_thread(in);
}

/* --- turns --- */

static void begin_turn(struct interp *in)
{
    struct interp_cpu *c = in->cpus[in->turn];
    uint64_t length = TURN_NS >> in->a->clock->shift;
    length = length > TURN_MIN ? length : TURN_MIN;
    /*
     * Up to a 32nd more, not always as many, so that two CPUs cannot wait for each other's flags in
     * step for ever.
     */
    uint64_t more = (c->cpu.icount * 0x9e3779b97f4a7c15ull >> 32) * (length / 32) >> 32;
    make_current(in, c);
    in->turn_end = c->cpu.icount + length + more;
    in->turn_begun = true;
}

static void next_turn(struct interp *in)
{
    in->turn = (in->turn + 1) % in->ncpus;
    begin_turn(in);
}

/*
 * Events that were posted and timers that are due. True when there were: any CPU may have something
 * to do.
 */
static bool serve(struct interp *in)
{
    struct accel *a = in->a;
    bool posted = atomic_exchange(&in->posted, false);
    if (!posted && interp_count(in) < in->due)
        return false;
    pthread_mutex_lock(a->lock);
    event_queue_run(a->events);
    clock_fire_due(a->clock);
    in->due = clock_due_count(a->clock);
    pthread_mutex_unlock(a->lock);
    uint64_t next = interp_count(in) + 1;
    if (in->due < next)
        in->due = next; /* armed in the past by its own firing: the guest goes on all the same */
    return true;
}

static void wait_for_something(struct interp *in)
{
    pthread_mutex_lock(in->a->lock);
    bool armed = clock_skip(in->a->clock);
    pthread_mutex_unlock(in->a->lock);
    if (!armed)
        interp_sleep(in);
}

/* True: a debugger has to be told. */
static bool run_slice(struct interp *in, struct interp_cpu *c)
{
    bool told = false;
    c->slice_end = slice_end(in);
    c->in_slice = true;
    if (in->a->debug)
        told = interp_debug_run(c);
    else
        interp_run_slice(c);
    c->in_slice = false;
    c->running = NULL;
    vec_fp_release(&c->cpu);
    return told;
}

/* One slice of the CPU whose turn it is. True when it could run; *told: a debugger has to be. */
static bool take_slice(struct interp *in, bool *told)
{
    struct interp_cpu *c = in->current;
    bool yields = atomic_load(&c->cpu.attention) & ATT_YIELD;
    if (yields) {
        atomic_fetch_and(&c->cpu.attention, ~(unsigned)ATT_YIELD);
        next_turn(in);
        return true;
    }
    if (!interp_debug_steps(c) || !interp_can_run(c))
        interp_look_at_requests(c);
    bool stays = interp_debug_stays(c), can_run = interp_can_run(c) && !stays;
    if (can_run)
        *told = run_slice(in, c);
    if (stays || !interp_can_run(c) || c->cpu.icount >= in->turn_end)
        next_turn(in);
    return can_run;
}

void interp_run_counted(struct interp *in, struct vm_exit *out)
{
    unsigned idle = 0;
    running_here = in;
    out->kind = EXIT_INTR;
    if (!in->turn_begun)
        begin_turn(in);
    while (out->kind == EXIT_INTR && !atomic_exchange(&in->kicked, false)) {
        if (serve(in))
            idle = 0;
        if (atomic_load(&in->kicked))
            continue; /* by a timer or an event: not one instruction more */
        const struct interp_cpu *c = in->current;
        bool told = false;
        idle = take_slice(in, &told) ? 0 : idle + 1;
        if (told)
            interp_debug_tell(in, out);
        else if (c->cpu.shutdown)
            out->kind = EXIT_SHUTDOWN;
        else if (idle >= in->ncpus && !atomic_load(&in->posted))
            wait_for_something(in);
    }
    running_here = NULL;
}
