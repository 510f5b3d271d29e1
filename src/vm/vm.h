// SPDX-License-Identifier: MIT
//
// One virtual machine: everything that the configuration made, and its life from creation to exit
// status. Private to src/: devices, loaders and engines never see it.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "accel.h"
#include "block.h"
#include "bus.h"
#include "chr.h"
#include "clock.h"
#include "config.h"
#include "device.h"
#include "event.h"
#include "evloop.h"
#include "gmem.h"
#include "loader.h"
#include "net.h"
#include "devices/reset_port.h"
#include "devices/virtio/rng.h"
#include "pci.h"
#include "share.h"
#include "src/vm/auto_boot.h"
#include "src/vm/fatal.h"
#include "stop.h"

struct vsock;

struct vcpu_thread {
    pthread_t thread;
    atomic_int tid; /* 0: not started */
    struct vm *vm;
    struct vcpu *vcpu;
    char fatal_stack[FATAL_STACK_BYTES];
};

/* Guest time under engine lockstep, which is far too slow for the host's. */
#define LOCKSTEP_NS_PER_INSN 200

struct vm {
    const struct config *cfg;

    /* Taken around every device access, event and timer; the outermost lock. Recursive under engine
     * lockstep, which holds it while the leader executes an instruction. */
    pthread_mutex_t lock;

    struct gmem gmem;
    struct bus pio, mmio;
    struct clock clock;
    struct evloop loop;
    struct event_queue events;
    struct fd_watch timer_watch, signal_watch, timeout_watch;

    struct accel accel;
    struct lockstep_config lockstep; /* when that is the engine */
    struct vcpu *vcpus; /* cfg->smp of them; none without a CPU */
    struct auto_boot auto_boot;
    struct boot_plan plan;

    /* Backends, closed after the devices that use them. */
    struct chr *chrs[CONFIG_MAX_SERIALS];
    struct chr *port_chrs[CONFIG_MAX_PORTS];
    struct block *blocks[CONFIG_MAX_DISKS];
    struct fs *shares[CONFIG_MAX_SHARES];
    struct net *nets[CONFIG_MAX_NICS];
    struct vsock *vsock;

    /* The board's (machine_pc.c). */
    struct device *devices; /* newest first, which is the order of teardown */
    struct pci_host *pci;
    struct reset_port reset_port;
    struct pm *pm;
    struct entropy_seeded seeded;
    struct virtio *balloon; /* NULL: none */
    unsigned nvirtio_mmio;

    /* vCPU threads (vcpu.c). Guarded by gate_lock, a leaf, except the atomics. */
    struct vcpu_thread *threads;
    unsigned nthreads, parked;
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_opened, all_parked;
    atomic_bool hold;    /* vCPUs go to the gate and wait there */
    atomic_bool leaving; /* ... and end */

    atomic_uint stop; /* 0 while running; else cause | code << 8; see vm_claim_stop */
    atomic_uint brakes; /* of enum vm_brake; it may run when there is none */
    bool stands; /* pause.c; the event loop's thread: stopped by a brake, and everybody was told */
    struct event power; /* somebody pressed the power button */
    struct control *control; /* src/control/; NULL: nobody asked for it */
    struct gdb *gdb;    /* NULL: no -gdb */
    struct exits *exits; /* src/exits/; NULL: no -exits */
    bool pidfile_made;
    /* Device lock held. */
    unsigned restarts, panics, watchdogs;
};

/*
 * Build the machine. Order: engine and VM, RAM, buses, board array, boot plan, vCPUs; failures
 * unwind backwards through vm_destroy.
 */
int vm_create(struct vm *vm, const struct config *cfg, struct err *err);

/* Boot and serve until something ends the machine. Returns the exit status; on set-up failure
 * -errno and err. */
int vm_run(struct vm *vm, struct err *err);

void vm_destroy(struct vm *vm);

/*
 * Any thread. The first request wins, but for a pending restart, which gives way to an end from
 * outside (signal, user, timeout): these come once. True when this one won.
 */
bool vm_claim_stop(struct vm *vm, enum stop_cause cause, unsigned code);

/* The same for stop_sink. */
void vm_request_stop(void *opaque, enum stop_cause cause, unsigned code);
struct stop_sink vm_stop_sink(struct vm *vm);

bool stop_is_restart(const struct vm *vm, unsigned stop);

/* Codes of STOP_RESET and STOP_QUIT: who wanted it. */
enum { STOP_BY_MACHINE, STOP_BY_CONTROL };

static inline enum stop_cause stop_cause_of(unsigned stop)
{
    return stop & 0xff;
}

/* engine.c: the first engine of the configuration that can run the plan; its VM is made. */
int vm_open_engine(struct vm *vm, struct err *err);

/* A debugger lets others run, and engines with a thread for each vCPU leave it to the gate. */
static inline bool vcpu_stays(const struct vcpu *v)
{
    return v->debug_run == DEBUG_STAY && v->accel->ops->caps & ACCEL_CAP_THREADS;
}

/* gate.c */
bool gate_pass(
    struct vm *vm,
    const struct vcpu *v);      /* on a vCPU's thread: wait while held; false when it should end */
void vcpus_hold(struct vm *vm); /* ask all to come to the gate; any thread; does not wait */
void vcpus_wait_held(struct vm *vm); /* wait until all are there; not on a vCPU thread */
void vcpus_release(struct vm *vm); /* nothing while there is a brake, an end or a restart: these let
                                      them go in their time */
void gate_open_to_leave(struct vm *vm);

/*
 * pause.c, on the event loop's thread: stop all vCPUs where they are, and let them go on when
 * nobody else wants them to stay. -S counts as whoever comes first. False: that one's brake was so
 * before. While they are stopped guest time stands still where the engine can let it.
 */
enum vm_brake {
    BRAKE_START = 1,
    BRAKE_CONTROL = 2,
    BRAKE_GDB = 4
}; /* -S; QMP and monitor; the debugger */
bool vm_pause(struct vm *vm, enum vm_brake whose);
bool vm_resume(struct vm *vm, enum vm_brake whose);
void vm_begin(struct vm *vm); /* the first start; vCPUs are at the gate */
void vm_brake(struct vm *vm,
              enum vm_brake whose); /* any thread: vCPUs stop soon; vm_pause must follow */
/* In QMP's words: running, paused, prelaunch (-S), debug (gdb alone holds it). */
const char *vm_status(const struct vm *vm);
/* Hold the vCPUs for a look at their state; vm_look_end lets them go on unless the machine is
 * stopped. Short: the guest waits. */
void vm_look_begin(struct vm *vm);
void vm_look_end(struct vm *vm);
void vm_power_init(struct vm *vm);
/* Any thread. */
void vm_press_power(struct vm *vm);

/* vcpu.c: the threads. Created at the gate (paused). */
int vcpus_start(struct vm *vm, struct err *err);
void vcpus_end(struct vm *vm); /* hold, end, join */

/* watch.c */
int watches_open(struct vm *vm, struct err *err); /* the event loop, timers, -timeout */
int watch_signals(struct vm *vm, struct err *err);
void watches_close(struct vm *vm);

/* action.c: what -action says of panics and watchdogs. Device lock held. */
void vm_panicked(void *opaque, unsigned bits);
void vm_watchdog_expired(void *opaque);

/* exit.c: answer one exit. On the vCPU's thread. */
void exit_handle(struct vm *vm, struct vcpu *v, struct vm_exit *exit);

/* machine_pc.c */
int machine_create(struct vm *vm, struct err *err);
int machine_write_tables(struct vm *vm,
                         struct err *err); /* firmware tables into guest RAM, at each boot */
void machine_reset(struct vm *vm);
void machine_destroy(struct vm *vm);

/* report_icount.c: count, guest time and digest under -icount -d icount; vCPUs have ended. */
void report_icount(struct vm *vm);
