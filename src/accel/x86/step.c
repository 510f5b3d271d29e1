// SPDX-License-Identifier: MIT
//
// One instruction at a time, with all that surrounds it: fetch across pages, instruction
// breakpoints, single-step and breakpoint traps, shadows. SDM vol. 3 sections 17.2 and 17.3; APM
// vol. 2 section 13.1. Engines take this way when speed does not matter; it is the reference for
// the fast ones.
#include <string.h>

#include "core.h"
#include "env.h"
#include "mmu.h"
#include "ops.h"
#include "sys.h"

/* --- fetching --- */

const uint8_t *x86_code_at(struct x86_cpu *cpu, uint64_t rip, gpa_t *gpa, unsigned *avail)
{
    seg_check_branch(cpu, rip);
    gva_t va = (cpu->seg_base[SEG_CS] + rip) & cpu->address_mask;
    uint64_t room = 0x1000 - (va & 0xfff);
    uint64_t left = cpu->mode == X86_MODE64 ? room : (uint64_t)cpu->seg[SEG_CS].limit - rip + 1;
    *avail = (unsigned)(left < room ? left : room);
    return mmu_fetch(cpu, va, gpa);
}

/*
 * Copy code bytes from rip on, devices included: as many of `want` as lie in one page, at least
 * one. Raises for the first byte.
 */
static unsigned fetch_bytes(struct x86_cpu *cpu, uint64_t rip, unsigned want, uint8_t *buf)
{
    gpa_t gpa;
    unsigned avail;
    const uint8_t *p = x86_code_at(cpu, rip, &gpa, &avail);
    unsigned n = want < avail ? want : avail;
    if (p) {
        memcpy(buf, p, n);
        return n;
    }
    for (unsigned b = 0; b < n; b++)
        buf[b] = (uint8_t)cpu->env->mmio_read(cpu->env->opaque, gpa + b, 1);
    return n;
}

void x86_fetch_insn(struct x86_cpu *cpu, uint64_t rip, struct insn *out)
{
    uint8_t bytes[15];
    unsigned n = fetch_bytes(cpu, rip, sizeof bytes, bytes);
    while (!x86_decode(out, bytes, n, cpu->mode)) /* it needs more: a fault there is the guest's */
        n += fetch_bytes(cpu, rip + n, (unsigned)sizeof bytes - n, bytes + n);
}

/* --- which segment was it --- */

static bool is_one_of(const struct insn *i, x86_op *const *list)
{
    for (; *list; list++) {
        if (i->op == *list)
            return true;
    }
    return false;
}

/* Without faults: the instruction runs, so its bytes are there. */
static bool decode_again(struct x86_cpu *cpu, struct insn *out)
{
    uint8_t bytes[15];
    gva_t va = cpu->seg_base[SEG_CS] + cpu->rip;
    gpa_t gpa;
    for (unsigned n = 0; n < sizeof bytes; n++) {
        const uint8_t *p = NULL;
        if (mmu_peek(cpu, va + n, &gpa))
            p = gmem_ptr(cpu->env->gmem, gpa, 1);
        if (!p)
            return n && x86_decode(out, bytes, n, cpu->mode);
        bytes[n] = *p;
    }
    return x86_decode(out, bytes, sizeof bytes, cpu->mode);
}

bool x86_is_stack_reference(struct x86_cpu *cpu, gva_t va)
{
    /* These have a memory operand and use the stack besides. */
    static x86_op *const both[] = {op_push_m, op_pop_m, op_call_m, op_call_far_m, NULL};
    /* These have no ModRM operand in memory, but do not use the stack. */
    static x86_op *const other[] = {
        op_movs,     op_cmps,       op_stos, op_lods,           op_scas,
        op_ins,      op_outs,       op_xlat, op_mov_load_moffs, op_mov_store_moffs,
        op_maskmovq, op_maskmovdqu, NULL};
    struct insn i;
    if (!decode_again(cpu, &i))
        return false;
    if (!(i.flags & INSN_MEM))
        return !is_one_of(&i, other);
    gva_t operand = cpu->seg_base[i.seg] + insn_offset(cpu, &i);
    if (is_one_of(&i, both) && va - operand >= 16)
        return true;
    return i.seg == SEG_SS;
}

/* --- debug events --- */

#define DEBUGCTL_BTF 2u

/* Instruction breakpoints at this address, as DR6 bits. */
static uint32_t code_breakpoints(const struct x86_cpu *cpu, gva_t va)
{
    uint32_t hit = 0;
    for (unsigned n = 0; n < 4; n++) {
        bool enabled = cpu->dr[7] >> (2 * n) & 3, code = !(cpu->dr[7] >> (16 + 4 * n) & 3);
        if (enabled && code && cpu->dr[n] == va)
            hit |= 1u << n;
    }
    return hit;
}

static void check_code_breakpoints(struct x86_cpu *cpu)
{
    if (!(cpu->dr[7] & DR7_ENABLES) || cpu->rflags & FL_RF || cpu->debug_shadow)
        return;
    uint32_t hit = code_breakpoints(cpu, (cpu->seg_base[SEG_CS] + cpu->rip) & cpu->address_mask);
    if (hit)
        x86_raise_debug(cpu, hit);
}

/* Was it a software interrupt that has taken TF away? Those are not single-stepped. */
static bool entered_handler(const struct x86_cpu *cpu, const struct insn *i)
{
    static x86_op *const soft[] = {op_int3, op_int_i, op_into, op_int1, NULL};
    return !(cpu->rflags & FL_TF) && is_one_of(i, soft);
}

static void debug_traps(struct x86_cpu *cpu, const struct insn *i, bool tf)
{
    if (tf && !entered_handler(cpu, i)) {
        bool branches_only = cpu->msr.debugctl & DEBUGCTL_BTF;
        if (!branches_only || cpu->next_rip != cpu->rip + i->len)
            cpu->pending_db |= DR6_BS;
    }
    if (cpu->debug_shadow) {
        cpu->pending_db &= ~(uint32_t)DR6_BS; /* breakpoints wait, a step is lost */
        return;
    }
    if (!cpu->pending_db)
        return;
    cpu->dr[6] = (cpu->dr[6] & ~15ull) | cpu->pending_db;
    cpu->pending_db = 0;
    cpu->msr.debugctl &= ~(uint64_t)DEBUGCTL_BTF;
    cpu->exception.vector = X86_DB;
    cpu->exception.has_error = false;
    cpu->exception.trap = true;
    x86_deliver_exception(cpu);
}

/* --- the step --- */

static void execute(struct x86_cpu *cpu, struct insn *i)
{
    cpu->rip = cpu->next_rip;
    check_code_breakpoints(cpu);
    cpu->rflags &= ~(uint64_t)FL_RF;
    x86_fetch_insn(cpu, cpu->rip, i);
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    cpu->next_rip = cpu->rip + i->len;
    if (cpu->mode != X86_MODE64)
        cpu->next_rip &= 0xffffffffu;
    cpu->gpr[REG_RIP] = cpu->next_rip;
    i->op(cpu, i);
    cpu->icount++;
}

void x86_step(struct x86_cpu *cpu)
{
    struct insn i;
    jmp_buf outer;
    bool tf = cpu->rflags & FL_TF;
    if (cpu->halted || cpu->wait_for_sipi || cpu->shutdown)
        return;
    memcpy(&outer, &cpu->fault_landing, sizeof outer);
    if (setjmp(cpu->fault_landing)) {
        x86_deliver_exception(cpu);
    } else {
        execute(cpu, &i);
        debug_traps(cpu, &i, tf);
    }
    memcpy(&cpu->fault_landing, &outer, sizeof outer);
}
