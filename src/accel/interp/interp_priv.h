// SPDX-License-Identifier: MIT
//
// What the interpreter's files share. All vCPUs run in turn on one host thread: the one that calls
// run(). Other threads only set attention bits, ring the doorbell of the sleeping engine, and queue
// pages that a device wrote.
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "accel.h"
#include "devices/intc.h"
#include "src/accel/interp/icache.h"
#include "src/accel/x86/core.h"
#include "src/accel/x86/cpu.h"
#include "src/accel/x86/env.h"

/* Bits of cpu->attention. */
enum {
    ATT_IRQ = 1,
    ATT_KICK = 2,
    ATT_DMA = 4,
    ATT_NMI = 8,
    ATT_INIT = 16,
    ATT_SIPI = 32,
    ATT_YIELD = 64
};

#define TARGET_CACHE_BITS 12
#define FETCHED_BITS 12
#define DMA_QUEUE 256

struct interp_cpu {
    struct x86_cpu cpu; /* first: an x86_cpu is its interp_cpu */
    struct interp *in;
    struct lapic *lapic;
    struct vcpu *vcpu;
    struct block *running;      /* for a fault: how many of its instructions ran? */
    const struct slot *at;      /* the one that runs, when it can fault (fast.c) */
    /* Counted time (interp_counted.c). */
    uint64_t slice_end;         /* of cpu.icount */
    bool in_slice;
    struct slot *replaced;      /* its handler leaves the block, in place of replaced_run */
    fast_handler *replaced_run;
    const struct debug_point *debug_hit; /* of the instruction that runs or ran (interp_debug.c) */
    atomic_uint sipi_vector;
    /* of icount: no block may be entered from another one that would lead beyond */
    uint64_t chain_end;
    /* the block was left here for next_rip, and `to` is not what it ought to be */
    struct exit *exit;
    /* of exits now; only what ends a block otherwise than plainly changes it; never 0 */
    uint64_t key;
    /* of returns and indirect branches; their blocks are in the cache */
    struct exit targets[1u << TARGET_CACHE_BITS];
};

/* Linear address of the instruction that comes next. */
static inline gva_t interp_next_address(const struct x86_cpu *cpu)
{
    return (cpu->next_rip + cpu->seg_base[SEG_CS]) & cpu->address_mask;
}

/*
 * Something that the CPU can take before its next instruction. What waits only for IF is nothing.
 */
static inline bool interp_is_asked(const struct x86_cpu *cpu)
{
    unsigned a = atomic_load_explicit(&cpu->attention, memory_order_relaxed);
    return __builtin_expect(a, 0) && (a != ATT_IRQ || cpu->rflags & FL_IF) &&
           !cpu->interrupt_shadow;
}

static inline unsigned interp_fetched_hash(gva_t va)
{
    return (unsigned)(va >> 12 ^ va >> (12 + FETCHED_BITS)) & ((1u << FETCHED_BITS) - 1);
}

static inline struct exit *interp_target_at(struct interp_cpu *c, gva_t va)
{
    return &c->targets[(va ^ va >> TARGET_CACHE_BITS) & ((1u << TARGET_CACHE_BITS) - 1)];
}

struct interp {
    struct accel *a;
    struct x86_env env;
    struct cpu_features features; /* env points at them */
    struct interp_cpu **cpus;
    unsigned ncpus, turn;
    struct interp_cpu *current;
    struct icache icache;
    uint64_t mapping_generation; /* in the keys of exits */
    /* a hashed set that says "maybe": pages that exits of this generation lead to */
    uint64_t fetched[(1u << FETCHED_BITS) / 64];
    struct intc *intc;
    struct interp_debug *debug;  /* NULL: no debugger ever came */

    pthread_mutex_t sleep_lock; /* a leaf */
    pthread_cond_t woken;
    bool wake_flag;
    atomic_bool kicked;

    /* Counted time (interp_counted.c). */
    atomic_bool posted;       /* the event queue is worth a look */
    bool turn_begun;
    uint64_t turn_end;        /* of the icount of the CPU whose turn it is */
    uint64_t count_of_others; /* instructions of all CPUs but `current` */
    uint64_t due;             /* count at which the earliest timer is due */

    /* Pages written by DMA that held code; filled under the device lock, emptied by the engine. */
    pthread_mutex_t dma_lock; /* a leaf */
    struct {
        gpa_t pa;
        uint64_t len;
    } dma[DMA_QUEUE];
    unsigned ndma;
    bool dma_overflow;
};

/* interp_env.c: memory, ports, time and local APIC as the CPU core sees them. */
int interp_env_init(struct interp *in, struct err *err);
void interp_env_fini(struct interp *in);
void interp_wake(struct interp_cpu *c, unsigned attention);

/* interp.c */
void interp_look_at_requests(struct interp_cpu *c);
bool interp_can_run(const struct interp_cpu *c);
void interp_sleep(struct interp *in); /* until woken or kicked */

/* interp_step.c: for the lockstep runner. */
void interp_step(struct vcpu *v, const struct step_target *until, struct vm_exit *out);

/* interp_counted.c: counted time. */
static inline bool interp_is_counted(const struct interp *in)
{
    return in->a->events != NULL;
}
void interp_run_counted(struct interp *in, struct vm_exit *out);
void interp_kick_counted(struct interp *in);
void interp_notice(struct interp_cpu *c); /* its attention changed */
void interp_look(struct accel *a);
/* From an operation: what comes behind it waits for another entry. */
void interp_leave_block_soon(struct interp_cpu *c);
/* For the clock. */
uint64_t interp_count(void *opaque);
void interp_rearmed(void *opaque, uint64_t deadline_ns);

/*
 * interp_debug.c: with a debugger's plan in a->debug. True: something to tell it is in in->debug.
 */
struct interp_debug;
int interp_set_debug(struct accel *a, const struct debug_plan *plan, struct err *err);
bool interp_debug_run(struct interp_cpu *c); /* up to slice_end */
void interp_debug_tell(struct interp *in, struct vm_exit *out);
/* Interrupts do not come between the instructions that a debugger steps. */
static inline bool interp_debug_steps(const struct interp_cpu *c)
{
    return c->in->a->debug && c->vcpu->debug_run == DEBUG_STEP;
}
static inline bool interp_debug_stays(const struct interp_cpu *c)
{
    return c->in->a->debug && c->vcpu->debug_run == DEBUG_STAY;
}

/* interp_loop.c: run the current CPU for a while; returns when something needs the engine. */
void interp_run_cpu(struct interp_cpu *c);
/* The same under counted time: to slice_end, exactly, or until something needs the engine. */
void interp_run_slice(struct interp_cpu *c);
/* One block, or its fault's delivery: false. */
bool interp_run_block(struct interp_cpu *c);
/* The same, but of a block that does not fit its first instruction alone. */
bool interp_run_block_if(struct interp_cpu *c,
                         bool (*fits)(const struct interp_cpu *c, const struct block *b));
/* After the cache of decoded blocks was emptied. */
void interp_forget_targets(struct interp *in);
/* The handler of a dead block's instructions. */
fast_handler interp_leave_block;
