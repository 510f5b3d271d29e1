// SPDX-License-Identifier: MIT
//
// What the system part (segments, exceptions, tasks, modes) offers to operation functions and to
// itself. Engines use core.h instead.
#pragma once

#include "cpu.h"
#include "mem.h"

/* --- for everybody --- */

/* May IN, OUT touch this port? CPL against IOPL, then the TSS bitmap; #GP(0). Also notes I/O
 * breakpoints. Call it on every port access. */
void io_check(struct x86_cpu *cpu, uint16_t port, unsigned size);

/* Linear addresses have 48 bits; the walker knows 57, but the model does not offer them. */
static inline bool x86_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* Would a near branch to this rip be right? Code segment limit, canonical form; #GP(0). `target` is
 * already cut to the operand size. */
static inline void seg_check_branch(struct x86_cpu *cpu, uint64_t target)
{
    bool ok = cpu->mode == X86_MODE64 ? x86_canonical(target) : target <= cpu->seg[SEG_CS].limit;
    if (__builtin_expect(!ok, 0))
        x86_raise_error(cpu, X86_GP, 0);
}

/*
 * Bring the derived fields (mode, seg_base, flat_segs, address_mask, tlb_context) up to date. To be
 * called after any change of a segment register, CPL, CR0, CR4, EFER or of RFLAGS.VM or AC. POPF:
 * only when AC changed.
 */
void x86_update_mode(struct x86_cpu *cpu);

/* Write the bits in `mask` of RFLAGS, arithmetic ones too; no privilege checks. Does
 * x86_update_mode itself where needed. */
void x86_write_rflags(struct x86_cpu *cpu, uint64_t value, uint64_t mask);

/* --- descriptors and segments (seg.c) --- */

enum { /* types of system descriptors (SDM vol. 3 table 3-2) */
       SYS_TSS16 = 1,
       SYS_LDT = 2,
       SYS_TSS16_BUSY = 3,
       SYS_CALL16 = 4,
       SYS_TASK_GATE = 5,
       SYS_INT16 = 6,
       SYS_TRAP16 = 7,
       SYS_TSS = 9,
       SYS_TSS_BUSY = 11,
       SYS_CALL = 12,
       SYS_INT = 14,
       SYS_TRAP = 15,
};
enum { TYPE_ACCESSED = 1, TYPE_RW = 2, TYPE_CONFORMING = 4, TYPE_EXPAND_DOWN = 4, TYPE_CODE = 8 };

struct seg_desc {
    struct cpu_seg seg; /* as the segment register would hold it; system types too. base: 32 bits
                           but for 16-byte system descriptors */
    uint64_t raw;
    gva_t at; /* linear address in the table; of no meaning for a null selector */
};

static inline bool sel_is_null(uint16_t sel)
{
    return !(sel & ~3);
}

static inline bool desc_is_code(const struct seg_desc *d)
{
    return d->seg.s && d->seg.type & TYPE_CODE;
}

static inline bool desc_is_conforming(const struct seg_desc *d)
{
    return d->seg.type & TYPE_CONFORMING;
}

static inline bool desc_is_writable_data(const struct seg_desc *d)
{
    return d->seg.s && !(d->seg.type & TYPE_CODE) && d->seg.type & TYPE_RW;
}

/* Raise with the selector as error code (RPL replaced by EXT). */
_Noreturn void seg_fault(struct x86_cpu *cpu, unsigned vector, uint16_t sel);

/* Fetch a descriptor. False when it lies outside its table (or there is none). Fetching may raise
 * #PF. */
bool desc_fetch(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *out);
/* The same, or #vector(selector). */
void desc_need(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *out, unsigned vector);
/*
 * Upper 8 bytes of a 16-byte descriptor at `at` (long mode): false when outside the table of `sel`.
 */
bool desc_upper(struct x86_cpu *cpu, uint16_t sel, gva_t at, uint64_t *upper);
void desc_mark_accessed(struct x86_cpu *cpu, struct seg_desc *d);
struct cpu_seg seg_from_desc(uint16_t sel, uint64_t raw);
struct cpu_seg seg_v86(uint16_t sel);
struct cpu_seg seg_null(const struct cpu_seg *old, uint16_t sel);

/* MOV to ES, SS, DS, FS, GS with all checks of the present mode. */
void seg_load(struct x86_cpu *cpu, unsigned seg, uint16_t sel);
/* Check a stack segment for privilege `cpl`, raising `vector` where its contents are wrong, #SS
 * where it is not present. */
void seg_check_stack(struct x86_cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector,
                     struct seg_desc *out);
/* Take a checked code segment with this privilege. */
void seg_set_cs(struct x86_cpu *cpu, struct seg_desc *d, uint16_t sel, unsigned cpl);
void seg_set_real(struct x86_cpu *cpu, unsigned seg, uint16_t sel);
/* A return to an outer ring makes data segments null that it may not use. Call with cpu->cpl
 * already new. */
void seg_drop_inner(struct x86_cpu *cpu);

/* Can execution go on at `off` in this code segment? #GP(EXT) else. */
void seg_check_entry(struct x86_cpu *cpu, const struct cpu_seg *cs, uint64_t off);

/* --- TSS (seg.c, task.c) --- */

struct tss_stack {
    uint64_t sp;
    uint16_t ss;
};
/* Stack pointer for an inner ring from a 16- or 32-bit TSS. */
struct tss_stack tss_inner_stack(struct x86_cpu *cpu, unsigned cpl);
/* 64-bit TSS: RSP of a ring, or of interrupt stack 1-7 when ist is not 0. */
uint64_t tss_rsp(struct x86_cpu *cpu, unsigned cpl, unsigned ist);

enum task_reason { TASK_JMP, TASK_CALL, TASK_IRET };
struct task_from { /* what the outgoing task's TSS keeps, and a task gate's error code, which goes
                      onto the new stack */
    uint64_t rip, flags;
    bool has_error;
    uint32_t error;
};
/* Switch to the task whose TSS descriptor was fetched into `d`; sets next_rip. */
void task_switch(struct x86_cpu *cpu, uint16_t sel, struct seg_desc *d, enum task_reason why,
                 const struct task_from *from);
/* TSS back link of a nested task, then the switch: IRET with NT. */
void task_return(struct x86_cpu *cpu);
/* The TSS a task gate names, checked; #GP, #NP. */
uint16_t task_gate_tss(struct x86_cpu *cpu, uint64_t gate, struct seg_desc *out);

/* --- building and taking apart stack frames with a stack pointer of one's own --- */

struct frame {
    uint64_t base, mask; /* of the stack segment; the mask is the stack address size */
    uint64_t sp;
    const struct cpu_seg *ss; /* NULL: 64-bit, no limit */
    bool user;                /* accesses have user rights */
    unsigned size;            /* bytes of a push or pop */
};

/* On the present stack. */
struct frame frame_here(const struct x86_cpu *cpu, unsigned size);
/* On a stack that is to become the present one, for privilege `cpl`. */
struct frame frame_on(const struct cpu_seg *ss, uint64_t sp, unsigned cpl, unsigned size);
void frame_push(struct x86_cpu *cpu, struct frame *f, uint64_t v);
uint64_t frame_pop(struct x86_cpu *cpu, struct frame *f);
/* The value the stack pointer register gets: bits outside the mask stay. */
uint64_t frame_sp(const struct x86_cpu *cpu, const struct frame *f);

/* --- exceptions (excp.c) --- */

enum x86_event {
    EVENT_FAULT,    /* exception; returns to cpu->rip, RF set in the saved flags */
    EVENT_TRAP,     /* exception after the instruction: the caller has put next_rip into rip */
    EVENT_EXTERNAL, /* interrupt or NMI, likewise */
    EVENT_SOFT,     /* INT n, INT3, INTO: privilege check of the gate; returns to next_rip */
    EVENT_INT1,     /* the same without privilege check */
};
/* Go through the IDT; on return rip and next_rip are the handler's. Faults on the way are raised,
 * with nothing changed. */
void x86_deliver(struct x86_cpu *cpu, unsigned vector, bool has_error, uint32_t error,
                 enum x86_event kind);
/* INT n in v8086 mode by the rules of IOPL and VME: true when the task itself got it, false:
 * x86_deliver. */
bool x86_deliver_int_n(struct x86_cpu *cpu, unsigned vector);

/* A #DB that is a fault: instruction breakpoint, access to a debug register under DR7.GD. */
_Noreturn void x86_raise_debug(struct x86_cpu *cpu, uint64_t dr6_bits);

/* --- control registers and model (op_sys.c, msr.c, cpuid.c) --- */

static inline void require_cpl0(struct x86_cpu *cpu)
{
    if (cpu->cpl)
        x86_raise_error(cpu, X86_GP, 0);
}

void x86_write_cr0(struct x86_cpu *cpu, uint64_t val);
void x86_write_cr3(struct x86_cpu *cpu, uint64_t val);
void x86_write_cr4(struct x86_cpu *cpu, uint64_t val);
/* False: #GP. */
bool msr_read(struct x86_cpu *cpu, uint32_t n, uint64_t *val);
bool msr_write(struct x86_cpu *cpu, uint32_t n, uint64_t val);
uint64_t x86_tsc(const struct x86_cpu *cpu);

/* Was the access to va by the running instruction one through SS? Decodes it once more: faults on
 * non-canonical addresses ask. */
bool x86_is_stack_reference(struct x86_cpu *cpu, gva_t va);
