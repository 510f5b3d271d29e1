// SPDX-License-Identifier: MIT
//
// What the interpreter's files share. All vCPUs run in turn on one host thread: the one that calls run(). Other threads only set attention
// bits, ring the doorbell of the sleeping engine, and queue pages that a device wrote.
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
enum { ATT_IRQ = 1, ATT_KICK = 2, ATT_DMA = 4, ATT_NMI = 8, ATT_INIT = 16, ATT_SIPI = 32, ATT_YIELD = 64 };

#define TARGET_CACHE_BITS 12
#define DMA_QUEUE 256

struct interp_cpu {
    struct x86_cpu cpu; /* first: an x86_cpu is its interp_cpu */
    struct interp *in;
    struct lapic *lapic;
    struct vcpu *vcpu;
    struct block *running;      /* for a fault: how many of its instructions ran? */
    const struct slot *at;      /* the one that runs, when it can fault (fast.c) */
    atomic_uint sipi_vector;
    uint64_t key;               /* of targets now; only what ends a block otherwise than plainly changes it */
    struct target targets[1u << TARGET_CACHE_BITS]; /* their blocks, if any, are in the cache */
};

struct interp {
    struct accel *a;
    struct x86_env env;
    struct cpu_features features; /* env points at them */
    struct interp_cpu **cpus;
    unsigned ncpus, turn;
    struct interp_cpu *current;
    struct icache icache;
    uint64_t mapping_generation; /* in targets' keys */
    struct intc *intc;

    pthread_mutex_t sleep_lock; /* a leaf */
    pthread_cond_t woken;
    bool wake_flag;
    atomic_bool kicked;

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

/* interp_loop.c: run the current CPU for a while; returns when something needs the engine. */
void interp_run_cpu(struct interp_cpu *c);
/* After the cache of decoded blocks was emptied. */
void interp_forget_targets(struct interp *in);
/* The handler of a dead block's instructions. */
fast_handler interp_leave_block;
