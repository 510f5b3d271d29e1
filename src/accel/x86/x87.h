// SPDX-License-Identifier: MIT
//
// What the x87 operations (op_x87_*.c) and those that save its state (op_xsave.c) share: status,
// the register stack, running one instruction on the host's FPU. SDM vol. 1 chapter 8, APM vol. 1
// chapter 6.
//
// Arithmetic is the host's own: the operands are loaded on the host's (empty) register stack, the
// instruction runs with the guest's control word, result and status word are taken. So every
// rounding, NaN and transcendental bit is the hardware's. Stack faults, tags, TOP and what an
// unmasked exception leaves undone are decided here.
//
// struct x87_state: `status` has ES and B always right (set exactly while an unmasked exception is
// pending), TOP is apart. Instruction and data pointers and the opcode are noted by every
// non-control instruction and stored by every image, exception or not (as processors with CPUID
// Fn8000_0008_EBX[XSaveErPtr] do). A pending exception raises #MF whatever CR0.NE says: no FERR#
// wire is modelled, as none is under virtualisation.
#pragma once

#include "mem.h"
#include "regs.h"

/* Status word. The low six are also the masks of the control word. */
enum {
    X87_IE = 1 << 0,
    X87_DE = 1 << 1,
    X87_ZE = 1 << 2,
    X87_OE = 1 << 3,
    X87_UE = 1 << 4,
    X87_PE = 1 << 5,
    X87_SF = 1 << 6,
    X87_ES = 1 << 7,
    X87_C0 = 1 << 8,
    X87_C1 = 1 << 9,
    X87_C2 = 1 << 10,
    X87_C3 = 1 << 14,
    X87_B = 1 << 15,
};
#define X87_FLAGS 0x3fu
#define X87_CONTROL_DEFAULT 0x37fu
#define X87_CONTROL_VALID 0x1f3fu /* bit 6 always reads as one */

/* --- may it run? --- */

/* Non-waiting instructions: #NM alone. */
ALWAYS_INLINE void x87_enter_no_wait(struct x86_cpu *cpu)
{
    if (__builtin_expect(cpu->cr0 & (CR0_EM | CR0_TS), 0))
        x86_raise(cpu, X86_NM);
}

ALWAYS_INLINE void x87_enter(struct x86_cpu *cpu)
{
    x87_enter_no_wait(cpu);
    if (__builtin_expect(cpu->x87.status & X87_ES, 0))
        x86_raise(cpu, X86_MF);
}

/* Remember where the last non-control instruction and its memory operand were. After the last
 * possible fault. */
ALWAYS_INLINE void x87_note(struct x86_cpu *cpu, const struct insn *i)
{
    struct x87_state *x = &cpu->x87;
    x->ip = cpu->rip;
    x->cs = cpu->seg[SEG_CS].sel;
    x->opcode = (uint16_t)((i->opcode & 7) << 8 | i->modrm);
    if (i->flags & INSN_MEM) {
        x->dp = insn_offset(cpu, i);
        x->ds = cpu->seg[i->seg].sel;
    }
}

/* --- the register stack --- */

#define X87_INDEFINITE ((struct x87_reg){.mantissa = 3ull << 62, .sign_exp = 0xffff})

ALWAYS_INLINE struct x87_reg *x87_st(struct x86_cpu *cpu, unsigned n)
{
    return &cpu->x87.st[(cpu->x87.top + n) & 7];
}

ALWAYS_INLINE bool x87_is_empty(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->x87.empty >> ((cpu->x87.top + n) & 7) & 1;
}

ALWAYS_INLINE void x87_set(struct x86_cpu *cpu, unsigned n, struct x87_reg r)
{
    unsigned at = (cpu->x87.top + n) & 7;
    cpu->x87.st[at].mantissa = r.mantissa;
    cpu->x87.st[at].sign_exp = r.sign_exp;
    cpu->x87.empty &= (uint8_t) ~(1u << at);
}

ALWAYS_INLINE void x87_push(struct x86_cpu *cpu, struct x87_reg r)
{
    cpu->x87.top = (cpu->x87.top - 1) & 7;
    x87_set(cpu, 0, r);
}

ALWAYS_INLINE void x87_pop(struct x86_cpu *cpu)
{
    cpu->x87.empty |= (uint8_t)(1u << cpu->x87.top);
    cpu->x87.top = (cpu->x87.top + 1) & 7;
}

/* --- status --- */

ALWAYS_INLINE void x87_put_bits(struct x86_cpu *cpu, unsigned which, unsigned bits)
{
    cpu->x87.status = (uint16_t)((cpu->x87.status & ~which) | (bits & which));
}

/* ES and B follow flags and masks. */
ALWAYS_INLINE void x87_update_es(struct x86_cpu *cpu)
{
    struct x87_state *x = &cpu->x87;
    bool pending = x->status & ~x->control & X87_FLAGS;
    x87_put_bits(cpu, X87_ES | X87_B, pending ? X87_ES | X87_B : 0);
}

/* Stack underflow or overflow. True: masked, go on with the indefinite value; false: leave
 * everything as it is. */
ALWAYS_INLINE bool x87_stack_fault(struct x86_cpu *cpu, bool overflow)
{
    x87_put_bits(cpu, X87_IE | X87_SF | X87_C1, X87_IE | X87_SF | (overflow ? X87_C1 : 0));
    x87_update_es(cpu);
    return cpu->x87.control & X87_IE;
}

/* Take the flags of an operation. False: an unmasked exception keeps the destination (and the
 * stack) as they are. */
ALWAYS_INLINE bool x87_take(struct x86_cpu *cpu, unsigned sw)
{
    struct x87_state *x = &cpu->x87;
    x->status = (uint16_t)((x->status & ~(unsigned)X87_C1) | (sw & (X87_FLAGS | X87_C1)));
    if (__builtin_expect(!(x->status & ~x->control & X87_FLAGS), 1))
        return true;
    x->status |= X87_ES | X87_B;
    return !(sw & ~x->control & (X87_IE | X87_DE | X87_ZE));
}

/* --- the host's FPU --- */

/*
 * One instruction on the host: `a` is ST(0), `b` the other operand (a register or what memory
 * holds), results go to *r. Returns the status word. Leaves the host's stack empty, unless an
 * exception was unmasked: x87_run_careful cleans up.
 */
typedef uint16_t x87_host(void *r, const struct x87_reg *a, const void *b);

/* Status to AX; with an unmasked exception pending, let the following stores pass. */
#define X87_STATUS "fnstsw %%ax\n\ttestb $0x80, %%al\n\tjz 1f\n\tfnclex\n1:\n\t"

#define X87_HOST(name, body)                                                                       \
    ALWAYS_INLINE uint16_t host_##name(void *r, const struct x87_reg *a, const void *b)            \
    {                                                                                              \
        uint16_t sw;                                                                               \
        __asm__ volatile(body                                                                      \
                         : "=&a"(sw)                                                               \
                         : [r] "r"(r), [a] "r"(a), [b] "r"(b)                                      \
                         : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",      \
                           "st(6)", "st(7)");                                                      \
        return sw;                                                                                 \
    }

/* With the guest's control word, from clean flags. */
uint16_t x87_run_careful(const struct x87_state *x, x87_host *fn, void *r, const struct x87_reg *a,
                         const void *b);

ALWAYS_INLINE void x87_host_control(uint16_t control)
{
    __asm__ volatile("fldcw %0" : : "m"(control));
}

/*
 * With everything masked the host's sticky flags need no clearing (which is slow) as long as they
 * are set in the guest's status too. A flag that the guest has not may be a leftover: then run it
 * again from clean flags.
 */
ALWAYS_INLINE uint16_t x87_run(const struct x87_state *x, x87_host *fn, void *r,
                               const struct x87_reg *a, const void *b)
{
    uint16_t control = x->control;
    if (__builtin_expect((control & X87_FLAGS) != X87_FLAGS, 0))
        return x87_run_careful(x, fn, r, a, b);
    bool same = control == X87_CONTROL_DEFAULT;
    if (!same)
        x87_host_control(control);
    uint16_t sw = fn(r, a, b);
    if (!same)
        x87_host_control(X87_CONTROL_DEFAULT);
    if (__builtin_expect(sw & ~x->status & X87_FLAGS, 0))
        sw = x87_run_careful(x, fn, r, a, b);
    return sw;
}

/* --- images (op_x87_control.c) --- */

uint16_t x87_status_word(const struct x86_cpu *cpu); /* with TOP */
void x87_set_words(struct x86_cpu *cpu, uint16_t control,
                   uint16_t status); /* any values: ES follows, TOP from status */
void x87_init(struct x86_cpu *cpu);  /* FNINIT */
/* Raise what accessing an image of at most a page would raise. Like hardware it looks at its two
 * ends: CR2 tells. */
void x87_probe_image(struct x86_cpu *cpu, gva_t va, unsigned size, bool write);
