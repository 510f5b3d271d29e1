// SPDX-License-Identifier: MIT
//
// The state of one vCPU inside software engines, and what operation functions may do with it.
// Everything architectural is here or reachable from here; conversion to the neutral struct
// cpu_state is in state.c.
// Thread: the vCPU's own, except `attention`.
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu_state.h"
#include "insn.h"
#include "cpu_model.h"

typedef uint64_t gva_t; /* linear (virtual) address */

/* RFLAGS */
enum {
    FL_CF = 1 << 0, FL_PF = 1 << 2, FL_AF = 1 << 4, FL_ZF = 1 << 6, FL_SF = 1 << 7, FL_TF = 1 << 8,
    FL_IF = 1 << 9, FL_DF = 1 << 10, FL_OF = 1 << 11, FL_IOPL = 3 << 12, FL_NT = 1 << 14,
    FL_RF = 1 << 16, FL_VM = 1 << 17, FL_AC = 1 << 18, FL_VIF = 1 << 19, FL_VIP = 1 << 20,
    FL_ID = 1 << 21,
};
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Exception vectors (SDM vol. 3 table 6-1). */
enum {
    X86_DE = 0, X86_DB = 1, X86_NMI = 2, X86_BP = 3, X86_OF = 4, X86_BR = 5, X86_UD = 6, X86_NM = 7,
    X86_DF = 8, X86_TS = 10, X86_NP = 11, X86_SS = 12, X86_GP = 13, X86_PF = 14, X86_MF = 16,
    X86_AC = 17, X86_XM = 19,
};

/* CR0, CR4, EFER bits by their manual names. */
enum {
    CR0_PE = 1u << 0, CR0_MP = 1u << 1, CR0_EM = 1u << 2, CR0_TS = 1u << 3, CR0_ET = 1u << 4,
    CR0_NE = 1u << 5, CR0_WP = 1u << 16, CR0_AM = 1u << 18, CR0_NW = 1u << 29, CR0_CD = 1u << 30,
    CR0_PG = 1u << 31,
};
enum {
    CR4_VME = 1u << 0, CR4_PVI = 1u << 1, CR4_TSD = 1u << 2, CR4_DE = 1u << 3, CR4_PSE = 1u << 4,
    CR4_PAE = 1u << 5, CR4_MCE = 1u << 6, CR4_PGE = 1u << 7, CR4_PCE = 1u << 8,
    CR4_OSFXSR = 1u << 9, CR4_OSXMMEXCPT = 1u << 10, CR4_UMIP = 1u << 11, CR4_LA57 = 1u << 12,
    CR4_FSGSBASE = 1u << 16, CR4_PCIDE = 1u << 17, CR4_OSXSAVE = 1u << 18, CR4_SMEP = 1u << 20,
    CR4_SMAP = 1u << 21,
};
enum {
    EFER_SCE = 1u << 0, EFER_LME = 1u << 8, EFER_LMA = 1u << 10, EFER_NXE = 1u << 11,
    EFER_FFXSR = 1u << 14,
};

/*
 * DR6 (which breakpoint; why) and DR7. Bits 16-31 of DR6 but 16 read as one, as does bit 10 of DR7.
 */
enum { DR6_BD = 1u << 13, DR6_BS = 1u << 14, DR6_BT = 1u << 15, DR6_ONES = 0xffff0ff0u };
enum { DR7_ENABLES = 0xff, DR7_GD = 1u << 13, DR7_ONES = 1u << 10 };

/*
 * Arithmetic flags are lazy: two words from which each flag follows (flags.h has the formulas and
 * the setters). `result` is the result sign-extended to 64 bits; `carry` holds carry-outs by bit
 * position (63: CF, 62: carry into the sign bit, 3: AF) and two corrections for flag images that no
 * result has (bit 0: SF is inverted; bits 8-15: xor-ed into the byte whose parity is PF).
 */
struct lazy_flags {
    int64_t result;
    uint64_t carry;
};

/* what SSE intrinsics take */
typedef long long vec_half __attribute__((vector_size(16), may_alias));

union vec_reg { /* YMM register; XMM is the low half */
    uint8_t u8[32];
    uint16_t u16[16];
    uint32_t u32[8];
    uint64_t u64[4];
    float f32[8];
    double f64[4];
    vec_half x[2];
} __attribute__((aligned(32)));

/*
 * x87: 80-bit registers as they lie in memory. MMX registers are the mantissas (SDM vol. 1 section
 * 9.2).
 */
struct x87_reg {
    uint64_t mantissa;
    uint16_t sign_exp;
    uint16_t pad[3];
};

struct x87_state {
    struct x87_reg st[8]; /* physical registers; ST(i) is st[(top + i) & 7] */
    uint16_t control, status; /* status with TOP kept in `top` */
    uint8_t top;
    uint8_t empty; /* one bit per physical register: 1 = empty */
    uint16_t opcode, cs, ds;
    uint64_t ip, dp;
};

/*
 * Software TLB: direct-mapped, one table. An entry answers for one 4 KiB page in one context (see
 * mmu.h): tags are page address | context bits; a tag of -1 never matches. host = linear address +
 * addend.
 */
#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)

struct tlb_entry {
    uint64_t read_tag, write_tag, exec_tag;
    uintptr_t addend;
};

struct x86_dtable {
    uint64_t base;
    uint16_t limit;
};

/* Data that a debugger outside the guest watches. */
struct x86_cpu;
struct x86_watch {
    unsigned n;
    struct {
        gva_t at;
        uint64_t len; /* at least 1 */
        bool reads, writes;
    } range[64];
    void (*hit)(struct x86_cpu *cpu, unsigned which); /* the instruction goes on */
};

struct x86_env; /* what surrounds the CPU: memory, buses, clock, APIC; env.h */

struct x86_cpu {
    /* --- hot: first cache lines --- */
    /*
     * by encoding; [REG_NONE] is 0, [REG_RIP] is valid while an instruction with a rip-relative
     * operand runs; [REG_BLOCK]: insn.h
     */
    uint64_t gpr[19];
    struct lazy_flags fl;
    /*
     * of the instruction that runs (set by the engine before each op that may fault, branch or
     * look at it)
     */
    uint64_t rip;
    uint64_t next_rip;          /* where execution goes on; ops that branch store here */
    uint64_t rflags;            /* all but FL_ARITH, which is in fl; bit 1 set */
    /* effective base by enum cpu_sreg: in 64-bit mode 0 for ES, CS, SS, DS */
    uint64_t seg_base[SEGS];
    /*
     * bit per segment: no limit or type check can fail for ordinary reads and writes (or 64-bit
     * mode)
     */
    uint32_t flat_segs;
    /* of linear addresses: 32 bits outside 64-bit mode (A20 is always on) */
    uint64_t address_mask;
    uint64_t tlb_context;       /* or-ed into tags: address space, privilege (mmu.h) */
    struct tlb_entry *tlb;      /* owned by `mmu` */
    /* non-zero: leave the fast loop and look (interrupt, kick, timer, stop) */
    atomic_uint attention;
    uint8_t cpl;
    uint8_t mode;               /* enum x86_mode */
    bool fp_live;               /* the host's MXCSR is this vCPU's (vec.h) */
    uint32_t vec_blocked;       /* enum vec_need: vector instructions that have to fault (vec.h) */
    /* after STI, MOV SS, POP SS: for one instruction; the engine clears it after that */
    bool interrupt_shadow;
    bool debug_shadow;          /* after MOV SS, POP SS: no debug trap either */
    bool halted;
    bool wait_for_sipi;

    /* --- system state --- */
    struct cpu_seg seg[SEGS];   /* architectural descriptors caches */
    struct x86_dtable gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t dr[8];             /* 6 and 7 are DR6, DR7 */
    struct cpu_msrs msr;       /* those with state (msr.c knows the numbers) */
    uint64_t apic_base;

    /* --- x87, vectors --- */
    union vec_reg ymm[16];
    union vec_reg vec_scratch;  /* memory operands and results on their way (vec.h) */
    uint32_t mxcsr;
    struct x87_state x87;

    /* --- faults --- */
    jmp_buf fault_landing;      /* x86_raise goes here */
    struct {
        bool pending;
        uint8_t vector;
        bool has_error;
        uint32_t error;
        bool trap;              /* reported after the instruction: saved rip is next_rip */
    } exception;
    /* while an event is delivered: 1 sets EXT in the error codes of faults met on the way */
    uint8_t event_ext;
    bool nmi_pending, nmi_blocked;
    /* DR6 bits for a #DB after this instruction: data and I/O breakpoints, task switch */
    uint32_t pending_db;
    bool shutdown;              /* triple fault */

    struct mmu *mmu;            /* translation caches (mmu.c) */
    unsigned id;
    uint64_t icount;            /* instructions retired */
    struct cpu_features features; /* what CPUID offers */
    uint64_t random_state;      /* of RDRAND and RDSEED: seeded by the engine */
    struct x86_env *env;
    const struct x86_watch *watch; /* NULL: none; mmu_flush_rights after a change */
};

/*
 * Raise an exception for the running instruction: does not return. Nothing of the instruction may
 * be visible yet.
 */
_Noreturn void x86_raise(struct x86_cpu *cpu, unsigned vector);
_Noreturn void x86_raise_error(struct x86_cpu *cpu, unsigned vector, uint32_t error);

static inline bool x86_long_mode(const struct x86_cpu *cpu) /* EFER.LMA: compatibility or 64-bit */
{
    return cpu->efer & EFER_LMA;
}

static inline bool x86_real_or_v86(const struct x86_cpu *cpu)
{
    return !(cpu->cr0 & CR0_PE) || (cpu->rflags & FL_VM);
}
