// SPDX-License-Identifier: MIT
//
// What the files of the lockstep runner share.
#pragma once

#include <pthread.h>

#include "accel.h"
#include "cpu_model.h"
#include "src/accel/lockstep/watchdog.h"
#include "src/accel/x86/cpu.h"

#define LOCKSTEP_HISTORY 16 /* DISASM_MOST at most */

/* How an instruction is compared. */
enum lockstep_class {
    CLASS_PLAIN, /* the follower does one debug step */
    /*
     * it runs until it is where the leader is: a debug step would show in its result, or is not
     * one instruction
     */
    CLASS_UNTIL,
    CLASS_IMAGE, /* like plain, but what it stores differs between processors */
    CLASS_ALONE, /* the leader executes it, the follower gets the result */
};

struct range {
    gpa_t gpa;
    uint64_t len;
};

/* Of guest RAM, in the order they came; `all`: there were too many. */
struct ranges {
    struct range list[4096];
    unsigned n;
    bool all;
};

struct fetched {
    uint64_t rip;
    uint8_t bytes[15], len; /* 0: not readable */
    uint8_t mode;
    struct insn insn;
};

struct branch {
    uint64_t from, to;
};

struct difference {
    char what[160]; /* names of the fields that differ, or what else does */
    bool field[256]; /* by row of the table in lockstep_compare.c */
};

struct lockstep {
    struct accel *a; /* the machine's */
    const struct lockstep_config *cfg;
    struct accel lead, follow;
    struct vcpu lead_cpu, follow_cpu;
    struct accel_watch lead_watch, follow_watch;
    struct cpu_features features; /* of both engines' vCPUs */
    struct vcpu *outer;

    /* The follower's own machine: RAM, and buses with nobody on them. */
    struct gmem ram;
    struct bus pio, mmio;
    struct clock clock;
    pthread_mutex_t follow_lock;

    struct cpu_state before, after; /* the leader's */
    struct cpu_state theirs;        /* the follower's, when last read */
    uint64_t follow_apic_base;
    struct fetched now;
    struct ranges stored; /* since the last comparison */
    unsigned stored_before; /* of these, by instructions before the present one */
    /* written by devices, not yet in the follower's RAM; under the device lock */
    struct ranges dma;
    void (*wrote)(void *opaque, gpa_t gpa, uint64_t len); /* the leader's own interest in that */
    void *wrote_opaque;
    bool must_sync; /* state was set from outside */
    bool faulted;   /* the present instruction raised an exception */
    bool resumes;   /* the present instruction has begun before */
    bool accessed;  /* the present step reached a device */
    unsigned unchecked; /* instructions since the last comparison */
    struct x86_cpu *scratch; /* for questions about instructions */

    uint64_t count, compared, alone, events;
    struct branch branches[LOCKSTEP_HISTORY]; /* the last one is at nbranches - 1 */
    uint64_t nbranches;
    struct fetched last[LOCKSTEP_HISTORY]; /* executed, by count */
    bool failed;
    struct difference difference;
    char why[256], story[16384];
    uint8_t *suspect; /* pages that differed at the last look at all of RAM */

    struct watchdog watchdog;
};

/* lockstep_step.c: one step of both. False: *out says why to stop, or ls->why if ls->failed. */
bool lockstep_step_both(struct lockstep *ls, struct vm_exit *out);

/* lockstep_follower.c. False: the run has failed. */
bool lockstep_read_follower(struct lockstep *ls);
/* Nothing of the state reaches the follower's interrupt handling, which is asleep. */
bool lockstep_set_follower(struct lockstep *ls, const struct cpu_state *s);
bool lockstep_step_follower(struct lockstep *ls, const struct step_target *until);
/* After a step: now or later. image: what it stored is copied, not compared. */
bool lockstep_compare(struct lockstep *ls, uint64_t undefined, bool image);
/* The leader alone did this. What came before it in the follower is looked at first. */
bool lockstep_copy_to_follower(struct lockstep *ls);
void lockstep_forget_stores(struct lockstep *ls);
void lockstep_fail_with(struct lockstep *ls, const char *what); /* an engine's own error */

/* lockstep_fetch.c: the instruction at the state's rip, and what kind it is. */
void lockstep_fetch(const struct cpu_state *s, const struct gmem *gm, struct fetched *out);
enum lockstep_class lockstep_classify(const struct cpu_state *s, const struct fetched *f);
uint64_t lockstep_linear_rip(const struct cpu_state *s);
bool lockstep_is_user(const struct cpu_state *s);

/* lockstep_compare.c. undefined: flags that are not compared. */
bool lockstep_same(const struct cpu_state *leader, const struct cpu_state *follower,
                   uint64_t undefined, struct difference *out);
/* Rows of the table for the report: false behind the last. */
struct lockstep_row {
    const char *name;
    uint64_t val[2];
    bool differs;
};
bool lockstep_row(unsigned n, const struct cpu_state *leader, const struct cpu_state *follower,
                  const struct difference *d, struct lockstep_row *out);

/* lockstep_ram.c */
void ranges_add(struct ranges *r, gpa_t gpa, uint64_t len);
void lockstep_take_dma(struct lockstep *ls);
/* Stores of the leader in [first, last) of ls->stored. */
bool lockstep_same_ram(struct lockstep *ls, unsigned last);
void lockstep_copy_stores(struct lockstep *ls, unsigned first);
/* All of RAM: copied; compared (what differs twice in a row is a difference). */
void lockstep_copy_ram(struct lockstep *ls);
bool lockstep_same_all_ram(struct lockstep *ls);

/* lockstep_report.c: fills ls->story. */
void lockstep_tell(struct lockstep *ls);
