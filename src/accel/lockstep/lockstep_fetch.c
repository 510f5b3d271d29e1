// SPDX-License-Identifier: MIT
//
// The instruction that comes next, from a neutral state and RAM alone: segment, page tables, bytes,
// decoding; and how it can be compared. No engine is asked, so it can be told before either runs
// it.
#include <string.h>

#include "src/accel/lockstep/lockstep_priv.h"
#include "src/accel/walk.h"
#include "src/accel/x86/ops.h"
#include "util.h"

static bool is_64(const struct cpu_state *s)
{
    return s->efer & EFER_LMA && s->seg[SEG_CS].l;
}

uint64_t lockstep_linear_rip(const struct cpu_state *s)
{
    return is_64(s) ? s->rip : (uint32_t)(s->seg[SEG_CS].base + s->rip);
}

bool lockstep_is_user(const struct cpu_state *s)
{
    return s->cr0 & CR0_PE && (s->rflags & FL_VM || s->seg[SEG_SS].dpl == 3);
}

void lockstep_fetch(const struct cpu_state *s, const struct gmem *gm, struct fetched *out)
{
    uint64_t first = lockstep_linear_rip(s);
    unsigned n = 0;
    gpa_t pa = 0;
    memset(out, 0, sizeof *out);
    out->rip = s->rip;
    out->mode = is_64(s) ? X86_MODE64 : s->seg[SEG_CS].db ? X86_MODE32 : X86_MODE16;
    for (; n < sizeof out->bytes; n++, pa++) {
        uint64_t va = is_64(s) ? first + n : (uint32_t)(first + n);
        bool page_begins = n == 0 || va % 0x1000 == 0;
        if (page_begins && !walk_linear(gm, s, va, &pa))
            break;
        if (gmem_read(gm, pa, &out->bytes[n], 1))
            break;
    }
    if (n)
        out->len = (uint8_t)x86_decode(&out->insn, out->bytes, n, out->mode);
}

/* --- kinds --- */

static const struct {
    x86_op *op;
    enum lockstep_class class;
} classes[] = {
    /* The engines' processors, clocks, interrupt controllers and devices are not the same. */
    {op_cpuid, CLASS_ALONE}, {op_rdtsc, CLASS_ALONE}, {op_rdtscp, CLASS_ALONE},
    {op_rdpmc, CLASS_ALONE}, {op_rdmsr, CLASS_ALONE}, {op_wrmsr, CLASS_ALONE},
    {op_rdrand, CLASS_ALONE}, {op_rdseed, CLASS_ALONE}, {op_hlt, CLASS_ALONE},
    {op_monitor, CLASS_ALONE}, {op_mwait, CLASS_ALONE}, {op_vmcall, CLASS_ALONE},
    {op_rsm, CLASS_ALONE}, {op_in_i, CLASS_ALONE}, {op_in_dx, CLASS_ALONE}, {op_out_i, CLASS_ALONE},
    {op_out_dx, CLASS_ALONE}, {op_ins, CLASS_ALONE}, {op_outs, CLASS_ALONE},
    /* Intercepted by a debugged KVM, or not passed on by all of them. */
    {op_mov_from_dr, CLASS_ALONE}, {op_mov_to_dr, CLASS_ALONE}, {op_xsetbv, CLASS_ALONE},
    /* whether the trap flag counts before or after it depends on the processor */
    {op_sysret, CLASS_ALONE},
    /* These see, store, load or clear the trap flag. */
    {op_popf, CLASS_UNTIL}, {op_iret, CLASS_UNTIL}, {op_syscall, CLASS_UNTIL},
    {op_sysenter, CLASS_UNTIL}, {op_sysexit, CLASS_UNTIL}, {op_int3, CLASS_UNTIL},
    {op_int_i, CLASS_UNTIL}, {op_into, CLASS_UNTIL}, {op_int1, CLASS_UNTIL},
    /* Pointers to the last x87 instruction; components that are in their initial state. */
    {op_fxsave, CLASS_IMAGE}, {op_xsave, CLASS_IMAGE}, {op_xsaveopt, CLASS_IMAGE},
    {op_xsavec, CLASS_IMAGE}, {op_xsaves, CLASS_IMAGE}, {op_fnstenv, CLASS_IMAGE},
    {op_fnsave, CLASS_IMAGE},
};

/*
 * No debug step ends with these: the trap waits for the next instruction, after STI on some
 * processors.
 */
static bool shadows_traps(const struct insn *i)
{
    return i->op == op_sti ||
           ((i->op == op_mov_to_sreg || i->op == op_pop_sreg) && i->reg == SEG_SS);
}

enum lockstep_class lockstep_classify(const struct cpu_state *s, const struct fetched *f)
{
    /* The guest's own steps and breakpoints: a debugged KVM has none. */
    if (s->rflags & FL_TF || s->dr[7] & DR7_ENABLES || s->run != CPU_RUNNING)
        return CLASS_ALONE;
    if (!f->len)
        return CLASS_PLAIN; /* it faults, or is no RAM */
    if (shadows_traps(&f->insn))
        return CLASS_ALONE;
    if (f->insn.op == op_pushf)
        /* a step in ring 3 is by the trap flag: kvm_step.c */
        return lockstep_is_user(s) ? CLASS_IMAGE : CLASS_UNTIL;
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++) {
        if (f->insn.op == classes[i].op)
            return classes[i].class;
    }
    return f->insn.flags & (INSN_REP | INSN_REPNE) ? CLASS_UNTIL : CLASS_PLAIN;
}
