// SPDX-License-Identifier: MIT
//
// The architectural state of one x86 vCPU, in no engine's terms. Engines convert to and from it;
// reset, dumps and (later) snapshots, engine switching and comparison use nothing else. SDM vol. 3
// section 10.1 gives the values after reset.
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

/*
 * Model-specific registers that have state of their own (FS and GS base, EFER and APIC_BASE are
 * elsewhere).
 */
struct cpu_msrs {
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, tsc_adjust, xss, spec_ctrl, mcg_status, debugctl;
    uint64_t kvm_wall_clock, kvm_system_time;
    uint64_t mtrr_def_type, mtrr_fix[11], mtrr_var[16]; /* var: base, mask, base, mask ... */
};

/*
 * x87 as FNSAVE tells it: ST(0) to ST(7), status with TOP, one tag bit per physical register (1 =
 * empty).
 */
struct cpu_x87 {
    struct {
        uint64_t mantissa;
        uint16_t sign_exp;
    } st[8];
    uint16_t control, status, opcode, cs, ds;
    uint8_t empty;
    uint64_t ip, dp;
};

enum cpu_run { CPU_RUNNING, CPU_HALTED, CPU_WAIT_FOR_SIPI };

struct cpu_state {
    uint64_t gpr[GPRS], rip, rflags;
    struct cpu_seg seg[SEGS];
    struct cpu_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
    enum cpu_run run;

    uint64_t xcr0, dr[8]; /* 6 and 7 are DR6, DR7 */
    struct cpu_msrs msr;
    struct cpu_x87 x87;
    uint64_t ymm[16][4];
    uint32_t mxcsr;
    bool interrupt_shadow, nmi_blocked, nmi_pending;
};

/*
 * State after power-on or RESET: real mode at F000:FFF0. The bootstrap processor runs, the others
 * wait for SIPI.
 */
void cpu_state_reset(struct cpu_state *cpu, bool bootstrap);

/* A register dump of a few lines, as debuggers print it, into buf. */
void cpu_state_format(const struct cpu_state *cpu, char *buf, unsigned long len);
