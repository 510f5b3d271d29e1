// SPDX-License-Identifier: MIT
//
// The guests of the probe: where their things lie in 2 MiB of memory that is mapped one to one, and
// what they leave behind for the host to judge. The programs are in probe_guest.c.
#pragma once

#include <stdint.h>

#include "cpu_state.h"
#include "gmem.h"

/* Places in guest memory; the assembly knows them as numbers. */
enum {
    PROBE_GDT = 0x1000,
    PROBE_IDT = 0x2000,
    PROBE_TSS = 0x3000,
    PROBE_PML4 = 0x10000,
    PROBE_PDPT = 0x11000,
    PROBE_PD = 0x12000,
    PROBE_CODE = 0x20000,
    PROBE_STUBS = 0x28000, /* 16 bytes a vector */
    PROBE_SAW = 0x30000,
    PROBE_STACK = 0x40000,
    PROBE_USER_STACK = 0x50000,
    PROBE_UNMAPPED = 0x600000,
};

/* Ordered as SYSCALL and SYSRET want them. */
enum {
    PROBE_SEL_CODE = 0x08,
    PROBE_SEL_STACK = 0x10,
    PROBE_SEL_USER_STACK = 0x23,
    PROBE_SEL_USER_CODE = 0x2b,
    PROBE_SEL_TSS = 0x30,
};

#define PROBE_DONE_PORT 0x80 /* a write ends the guest */
#define PROBE_INT_VECTOR 0x40 /* INT that ring 3 may use */
#define PROBE_TRAPS 8

struct probe_trap {
    uint64_t vector, error, rip, cs, rflags, cr2;
};

/* At PROBE_SAW. */
struct probe_saw {
    uint64_t val[16]; /* each guest has its own list, see probe_checks.c */
    uint64_t ntraps;
    struct probe_trap trap[PROBE_TRAPS];
};

/* Entries, and addresses that the checks expect to see. */
extern const uint8_t probe_code[], probe_code_end[];
extern const uint8_t probe_runs[], probe_speed[], probe_syscall[], probe_flags[], probe_segments[],
    probe_exceptions[];
extern const uint8_t probe_trap_entry[], probe_syscall_return[], probe_ud_ring0[], probe_pf_ring0[],
    probe_ud_ring3[], probe_pf_ring3[], probe_after_int[];

#define PROBE_LOOP_INSNS 5 /* of one turn of probe_speed, which takes the turns in RCX */

/* Where a label of the code is for the guest. */
static inline uint64_t probe_address(const uint8_t *label)
{
    return PROBE_CODE + (uint64_t)((uintptr_t)label - (uintptr_t)probe_code);
}

/* Memory and registers for the guest that starts at `entry`. */
int probe_guest_load(struct gmem *gm, struct err *err);
void probe_guest_state(struct cpu_state *cpu, const uint8_t *entry, uint64_t rcx);
