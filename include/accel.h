// SPDX-License-Identifier: MIT
//
// The engine seam. An engine runs vCPUs and tells what it could not do itself as a neutral vm_exit;
// devices, loaders and board never learn which engine it is. One flat const table per engine,
// chosen from an explicit list in src/accel/accel.c.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "clock.h"
#include "cpu_state.h"
#include "doorbell.h"
#include "err.h"
#include "event.h"
#include "evloop.h"
#include "gmem.h"
#include "irq.h"

enum accel_cap {
    ACCEL_CAP_CPU = 1 << 0,       /* has a CPU at all */
    ACCEL_CAP_IRQCHIP = 1 << 1,   /* brings PIC, IOAPIC and local APICs */
    ACCEL_CAP_THREADS = 1 << 2,   /* one host thread per vCPU */
    ACCEL_CAP_DOORBELLS = 1 << 3, /* takes doorbell writes without an exit */
    ACCEL_CAP_NATIVE = 1 << 4,    /* guest code runs at the host's speed */
    /* lockstep: step() does all, devices and interrupts; tells stores */
    ACCEL_CAP_LEAD = 1 << 5,
    ACCEL_CAP_FOLLOW = 1 << 6,    /* lockstep: has step() */
    ACCEL_CAP_COUNTS = 1 << 7,    /* counts instructions: can be what guest time goes by */
};

/* What a debugger (src/gdb/) wants to be told of. */
#define DEBUG_POINTS_MAX 64

enum debug_kind {
    DEBUG_BREAK,      /* an instruction is about to run; the engine may write into guest memory */
    DEBUG_BREAK_HARD, /* the same without touching memory */
    DEBUG_WRITE,      /* data was accessed; told after the instruction */
    DEBUG_READ,
    DEBUG_ACCESS,
};

struct debug_point {
    enum debug_kind kind;
    uint64_t address; /* linear */
    uint64_t len;     /* bytes of data, at least 1 */
    bool mapped;      /* DEBUG_BREAK: the address is at gpa now */
    gpa_t gpa;
};

struct debug_plan {
    struct debug_point points[DEBUG_POINTS_MAX];
    unsigned npoints;
};

/*
 * What a vCPU does while a plan is set: runs; executes one instruction, without interrupts, then
 * tells; does not run.
 */
enum debug_run { DEBUG_GO, DEBUG_STEP, DEBUG_STAY };

struct accel;
struct cpu_choice;
struct cpu_features;
struct vcpu;

enum exit_kind {
    EXIT_PIO,
    EXIT_MMIO,
    EXIT_SHUTDOWN, /* triple fault; register state may be undefined */
    EXIT_INTR,     /* kicked, or a signal: look at pending requests and run again */
    EXIT_FAIL,     /* the engine cannot go on; `fail` says why */
    EXIT_DEBUG,   /* what a debugger waits for happened: `debug` */
    EXIT_STEP,     /* of step() alone: `step` says what it did */
    EXIT_KINDS,
};

/* Why run() came back. Pointers are valid until the next run(). Reads are answered by writing
 * through `data`. */
struct vm_exit {
    enum exit_kind kind;
    union {
        struct {
            uint16_t port;
            uint8_t size; /* 1, 2, 4 */
            bool write;
            uint32_t count; /* string I/O: this many accesses, data holds size*count bytes */
            void *data;
        } pio;
        struct {
            gpa_t addr;
            uint8_t size; /* 1 to 8, not always a power of two */
            bool write;
            void *data;
        } mmio;
        struct {
            char why[256]; /* one line: reason and hardware code */
        } fail;
        struct {
            struct vcpu *vcpu; /* need not be the one that run() was called for */
            bool stepped;      /* else `point` was hit */
            struct debug_point point;
        } debug;
        struct {
            /* An instruction; one with an exception, delivered by now; an interrupt or the like. */
            enum step_did { STEP_INSN, STEP_FAULT, STEP_EVENT } did;
        } step;
    };
};


/* Something that an engine counted by itself. */
struct accel_counter {
    char name[48];
    uint64_t value;
};

/* What the lockstep runner (src/accel/lockstep/) wants from an engine under it. */
struct accel_watch {
    bool plain; /* software engines: each instruction by its general operation, nothing prepared */
    /* Software engines: the guest stored to RAM, or the CPU did for it. May be NULL. */
    void (*stored)(void *opaque, gpa_t gpa, uint64_t len);
    /*
     * Software engines: the guest reached the engine's own local APIC (other devices are seen by
     * accel.io). May be NULL.
     */
    void (*apic)(void *opaque);
    /* What vCPUs of both engines show: narrowed by each vm_init, read by vcpu_init. */
    struct cpu_features *features;
    void *opaque;
};

/* Where a step of several instructions ends. */
struct step_target {
    uint64_t address; /* linear */
    bool user;        /* in ring 3 */
};

/* The two engines of engine lockstep. */
struct lockstep_config {
    const struct accel_ops *leader, *follower;
    unsigned every;       /* instructions from one comparison to the next */
    unsigned ns_per_insn; /* guest time of an instruction when the clock is a stepped one */
};

struct accel_ops {
    const char *name, *help;
    uint32_t caps;
    /* a->ops, gmem, loop and nvcpus are set. Creates the VM and maps all RAM slots.
     * Checks whatever it needs; where it cannot work here, the message says why and what to do. */
    int (*vm_init)(struct accel *a, struct err *err);
    void (*vm_fini)(struct accel *a);
    /* Engine-side half of a vCPU, as after power-on. v->id and v->accel are set. */
    int (*vcpu_init)(struct vcpu *v, struct err *err);
    void (*vcpu_fini)(struct vcpu *v);
    /* All vCPUs and interrupt controllers as after power-on. All vCPUs are stopped; devices were
     * reset before. */
    int (*reset)(struct accel *a, struct err *err);
    /* Run until something needs the VMM. Fills *out; engine errors are EXIT_FAIL, never a return
     * code. Own thread. */
    void (*run)(struct vcpu *v, struct vm_exit *out);
    /* Make the run() under way, or else the next one, return soon with EXIT_INTR. Any thread;
     * async-signal-safe. What the vCPU should see must be stored before the kick. */
    void (*kick)(struct vcpu *v);
    /* Under counted time: something is in a->events. Any thread. NULL without ACCEL_CAP_COUNTS. */
    void (*look)(struct accel *a);
    /* vCPU stopped, or its own thread between runs. */
    int (*get_state)(struct vcpu *v, struct cpu_state *out, struct err *err);
    int (*set_state)(struct vcpu *v, const struct cpu_state *in, struct err *err);
    /* Where the instruction is whose EXIT_PIO or EXIT_MMIO run() or accel.io tells; KVM: or the one
     * behind it. Own thread, until it is answered. */
    uint64_t (*rip)(struct vcpu *v);
    /* What the engine counted for this vCPU, at most `most` things; how many. As get_state. NULL:
     * nothing. */
    unsigned (*counters)(struct vcpu *v, struct accel_counter *out, unsigned most);
    /*
     * From now on tell of this plan's points, and of vCPUs whose debug_run is DEBUG_STEP; NULL: of
     * nothing. All vCPUs are stopped. The plan stays the caller's and as it is until the next call.
     * Without a plan, debugging costs nothing. -errno: the plan is more than the engine can do; no
     * plan is set then. NULL: cannot be debugged.
     */
    int (*set_debug)(struct accel *a, const struct debug_plan *plan, struct err *err);
    /*
     * Let the time that the engine itself keeps for the guest stand still, or go on from there
     * (TSC, timers and clocks of the host kernel). All vCPUs are stopped; under the device lock.
     * False: it cannot, and goes on. NULL: all time is the clock's.
     */
    bool (*hold_time)(struct accel *a, bool on);
    /*
     * Lockstep only, else NULL. step: one instruction, then EXIT_STEP. With `until`, as many as it
     * takes to come to that place: for instructions that a debug trap after them would change or
     * that are several by the engine's count.
     */
    void (*step)(struct vcpu *v, const struct step_target *until, struct vm_exit *out);
};

/* One VM as its engine sees it. Embedded in struct vm. */
struct accel {
    const struct accel_ops *ops;
    struct gmem *gmem;
    struct evloop *loop;

    /*
     * For engines that answer exits inside run(): the device lock, buses and time of the machine;
     * `io` takes the lock and answers a PIO or MMIO exit as the run loop would.
     */
    pthread_mutex_t *lock;
    struct bus *pio, *mmio;
    struct clock *clock;
    /*
     * Counted time (clock.h): the engine is the clock's counter, and runs these events and the
     * clock's timers itself, under the lock, between two instructions. NULL: host time; the event
     * loop does.
     */
    struct event_queue *events;
    uint64_t random_seed; /* counted time: RDRAND and RDSEED begin here */
    void (*io)(void *opaque, struct vcpu *v, struct vm_exit *exit);
    void *io_opaque;
    struct vcpu *vcpus; /* nvcpus of them, ids 0 up; owned by the machine */
    unsigned nvcpus;
    const struct cpu_choice *cpu;   /* -cpu (cpu_model.h); NULL: the engine's best */
    struct intc *intc;              /* set by vm_init of engines with IRQCHIP */
    struct switchboard switchboard; /* set by vm_init of engines with DOORBELLS */
    const struct lockstep_config *lockstep; /* for engine lockstep */
    const struct debug_plan *debug;         /* set by set_debug */
    const struct accel_watch *watch;        /* for the engines under it, else NULL */
    void *priv;
};

#define VCPU_MAX 255 /* xAPIC ids */

/* One vCPU as its engine sees it. */
struct vcpu {
    unsigned id; /* also its APIC id */
    struct accel *accel;
    enum debug_run debug_run; /* written while all vCPUs are stopped, before set_debug */
    uint64_t exits[EXIT_KINDS];
    struct profile *profile; /* the machine's (src/exits/); NULL: no -exits */
    const char *story; /* of EXIT_FAIL: lines in place of the registers, or NULL */
    void *priv;
};

/* All engines, NULL-terminated. */
extern const struct accel_ops *const accel_list[];

/*
 * For engines' vm_init: what vCPUs show where the engine can offer `can`, by -cpu and, under
 * lockstep, by what the other engine can.
 */
int accel_resolve_cpu(const struct accel *a, const struct cpu_features *can,
                      struct cpu_features *out, struct err *err);

/* What an engine's message says behind the option that would have chosen it. */
const char *accel_reason(const struct accel_ops *ops, const struct err *err);

/* By name; unknown names list the known ones. */
const struct accel_ops *accel_find(const char *name, struct err *err);
