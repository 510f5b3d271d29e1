// SPDX-License-Identifier: MIT
//
// The architectural state of one x86 vCPU, in no engine's terms. Engines convert to and from it; reset, dumps and (later)
// snapshots, engine switching and comparison use nothing else. SDM vol. 3 section 10.1 gives the values after reset.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cpu_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPRS };
enum cpu_sreg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEGS };

struct cpu_seg {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint16_t sel;
    uint8_t type, dpl;                /* descriptor type (4 bits), privilege */
    bool s, present, avl, l, db, g, unusable;
};

struct cpu_table {
    uint64_t base;
    uint16_t limit;
};

enum cpu_run { CPU_RUNNING, CPU_HALTED, CPU_WAIT_FOR_SIPI };

struct cpu_state {
    uint64_t gpr[GPRS], rip, rflags;
    struct cpu_seg seg[SEGS];
    struct cpu_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
    enum cpu_run run;
};

/* State after power-on or RESET: real mode at F000:FFF0. The bootstrap processor runs, the others wait for SIPI. */
void cpu_state_reset(struct cpu_state *cpu, bool bootstrap);

/* A register dump of a few lines, as debuggers print it, into buf. */
void cpu_state_format(const struct cpu_state *cpu, char *buf, unsigned long len);
