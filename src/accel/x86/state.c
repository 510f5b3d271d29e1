// SPDX-License-Identifier: MIT
//
// Life of a vCPU's state: set-up, RESET, INIT, SIPI, and conversion to and from the neutral struct
// cpu_state. SDM vol. 3 section 10.1 (values after reset and INIT), 10.4 (start of other
// processors).
#include <errno.h>
#include <string.h>

#include "core.h"
#include "cpuid.h"
#include "env.h"
#include "flags.h"
#include "mmu.h"
#include "sys.h"
#include "vec.h"

int x86_cpu_init(struct x86_cpu *cpu, struct x86_env *env, unsigned id, struct err *err)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->env = env;
    cpu->id = id;
    if (env->features)
        cpu->features = *env->features;
    else
        x86_emulated_features(env, &cpu->features);
    return mmu_init(cpu, err);
}

void x86_cpu_fini(struct x86_cpu *cpu)
{
    mmu_fini(cpu);
}

/* --- reset --- */

void x86_reset(struct x86_cpu *cpu, bool bootstrap)
{
    struct cpu_state s;
    uint32_t id[4];
    cpu_state_reset(&s, bootstrap);
    x86_cpuid(cpu, 1, 0, id);
    s.gpr[RDX] = id[0];
    cpu->exception.pending = false;
    cpu->event_ext = 0;
    cpu->pending_db = 0;
    cpu->shutdown = false;
    cpu->debug_shadow = false;
    x86_put_state(cpu, &s);
}

#define APIC_BASE_BOOTSTRAP 0x100u

void x86_init_ipi(struct x86_cpu *cpu)
{
    struct cpu_state old, s;
    x86_get_state(cpu, &old);
    bool bootstrap = old.apic_base & APIC_BASE_BOOTSTRAP;
    cpu_state_reset(&s, bootstrap);
    s.cr0 = (s.cr0 & ~(uint64_t)(CR0_CD | CR0_NW)) | (old.cr0 & (CR0_CD | CR0_NW));
    s.apic_base = old.apic_base;
    s.msr = old.msr;
    s.msr.kvm_system_time = 0; /* as KVM has it */
    s.xcr0 = old.xcr0;
    s.x87 = old.x87;
    memcpy(s.ymm, old.ymm, sizeof s.ymm);
    s.mxcsr = old.mxcsr;
    x86_put_state(cpu, &s);
    cpu->shutdown = false;
    cpu->pending_db = 0;
}

void x86_sipi(struct x86_cpu *cpu, uint8_t vector)
{
    if (!cpu->wait_for_sipi)
        return;
    cpu->seg[SEG_CS].sel = (uint16_t)(vector << 8);
    cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
    cpu->rip = cpu->next_rip = 0;
    cpu->wait_for_sipi = false;
    x86_update_mode(cpu);
}

/* --- x87 by stack position here, by physical register inside --- */

static void x87_out(const struct x87_state *in, struct cpu_x87 *out)
{
    out->control = in->control;
    out->status = (uint16_t)((in->status & ~0x3800u) | (in->top & 7u) << 11);
    out->opcode = in->opcode;
    out->cs = in->cs;
    out->ds = in->ds;
    out->empty = in->empty;
    out->ip = in->ip;
    out->dp = in->dp;
    for (unsigned n = 0; n < 8; n++) {
        const struct x87_reg *r = &in->st[(in->top + n) & 7];
        out->st[n].mantissa = r->mantissa;
        out->st[n].sign_exp = r->sign_exp;
    }
}

static void x87_in(const struct cpu_x87 *in, struct x87_state *out)
{
    *out = (struct x87_state){
        .control = in->control,
        .opcode = in->opcode,
        .cs = in->cs,
        .ds = in->ds,
        .empty = in->empty,
        .ip = in->ip,
        .dp = in->dp,
        .status = in->status & 0xc7ff,
        .top = in->status >> 11 & 7,
    };
    for (unsigned n = 0; n < 8; n++) {
        struct x87_reg *r = &out->st[(out->top + n) & 7];
        r->mantissa = in->st[n].mantissa;
        r->sign_exp = in->st[n].sign_exp;
    }
}

/* --- out --- */

static enum cpu_run run_of(const struct x86_cpu *cpu)
{
    if (cpu->wait_for_sipi)
        return CPU_WAIT_FOR_SIPI;
    return cpu->halted ? CPU_HALTED : CPU_RUNNING;
}

/* Field by field into cleared memory, so that equal states are equal bytes. */
void x86_get_state(struct x86_cpu *cpu, struct cpu_state *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->gpr, cpu->gpr, sizeof out->gpr);
    memcpy(out->seg, cpu->seg, sizeof out->seg);
    memcpy(out->dr, cpu->dr, sizeof out->dr);
    out->rip = cpu->next_rip;
    out->rflags = rflags_get(cpu);
    out->gdt.base = cpu->gdt.base;
    out->gdt.limit = cpu->gdt.limit;
    out->idt.base = cpu->idt.base;
    out->idt.limit = cpu->idt.limit;
    out->cr0 = cpu->cr0;
    out->cr2 = cpu->cr2;
    out->cr3 = cpu->cr3;
    out->cr4 = cpu->cr4;
    out->cr8 = cpu->env->cr8_read(cpu->env->opaque, cpu->id);
    out->efer = cpu->efer;
    out->apic_base = cpu->apic_base;
    out->run = run_of(cpu);
    out->xcr0 = cpu->xcr0;
    out->msr = cpu->msr;
    x87_out(&cpu->x87, &out->x87);
    for (unsigned n = 0; n < 16; n++)
        memcpy(out->ymm[n], cpu->ymm[n].u64, sizeof out->ymm[n]);
    out->mxcsr = vec_mxcsr_get(cpu);
    out->interrupt_shadow = cpu->interrupt_shadow;
    out->nmi_blocked = cpu->nmi_blocked;
    out->nmi_pending = cpu->nmi_pending;
}

/* --- in --- */

static bool is_possible(const struct x86_cpu *cpu, const struct cpu_state *s)
{
    bool pg = s->cr0 & CR0_PG, lma = s->efer & EFER_LMA;
    if ((pg && !(s->cr0 & CR0_PE)) || s->cr0 >> 32 || s->cr4 >> 32)
        return false;
    if (lma != (pg && s->efer & EFER_LME) || (lma && !(s->cr4 & CR4_PAE)))
        return false;
    if (s->cr3 >> cpu->env->phys_bits || !x86_canonical(s->gdt.base) || !x86_canonical(s->idt.base))
        return false;
    for (unsigned n = 0; n < SEGS; n++) {
        if (s->seg[n].type > 15 || s->seg[n].dpl > 3 || !x86_canonical(s->seg[n].base))
            return false;
    }
    return !(s->xcr0 & ~x86_xcr0_supported(cpu)) && s->xcr0 & 1 &&
           (unsigned)s->run <= CPU_WAIT_FOR_SIPI;
}

static uint8_t privilege(const struct cpu_state *s)
{
    if (!(s->cr0 & CR0_PE))
        return 0;
    return s->rflags & FL_VM ? 3 : s->seg[SEG_SS].dpl;
}

static void put_registers(struct x86_cpu *cpu, const struct cpu_state *in)
{
    memcpy(cpu->gpr, in->gpr, sizeof in->gpr);
    memcpy(cpu->seg, in->seg, sizeof cpu->seg);
    memcpy(cpu->dr, in->dr, sizeof cpu->dr);
    cpu->dr[6] = (cpu->dr[6] & 0xe00f) | DR6_ONES;
    cpu->dr[7] = (cpu->dr[7] & 0xffff23ff) | DR7_ONES;
    cpu->gpr[REG_NONE] = 0;
    cpu->rip = cpu->next_rip = in->rip;
    cpu->rflags = (in->rflags & ~(uint64_t)FL_ARITH) | 2;
    flags_put(cpu, (uint32_t)in->rflags);
    cpu->gdt = (struct x86_dtable){in->gdt.base, in->gdt.limit};
    cpu->idt = (struct x86_dtable){in->idt.base, in->idt.limit};
    cpu->cr0 = in->cr0 | CR0_ET;
    cpu->cr2 = in->cr2;
    cpu->cr3 = in->cr3;
    cpu->cr4 = in->cr4;
    cpu->efer = in->efer;
    cpu->apic_base = in->apic_base;
    cpu->msr = in->msr;
    cpu->xcr0 = in->xcr0;
    cpu->cpl = privilege(in);
}

int x86_put_state(struct x86_cpu *cpu, const struct cpu_state *in)
{
    if (!is_possible(cpu, in))
        return -EINVAL;
    put_registers(cpu, in);
    cpu->env->cr8_write(cpu->env->opaque, cpu->id, in->cr8 & 15);
    cpu->halted = in->run == CPU_HALTED;
    cpu->wait_for_sipi = in->run == CPU_WAIT_FOR_SIPI;
    cpu->interrupt_shadow = in->interrupt_shadow;
    cpu->nmi_blocked = in->nmi_blocked;
    cpu->nmi_pending = in->nmi_pending;
    for (unsigned n = 0; n < 16; n++)
        memcpy(cpu->ymm[n].u64, in->ymm[n], sizeof in->ymm[n]);
    x87_in(&in->x87, &cpu->x87);
    vec_mxcsr_set(cpu, in->mxcsr & MXCSR_VALID);
    vec_update_access(cpu);
    if (cpu->cr0 & CR0_PG && cpu->cr4 & CR4_PAE && !x86_long_mode(cpu) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        return -EINVAL;
    mmu_flush_all(cpu);
    mmu_switch_space(cpu, cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0, true);
    x86_update_mode(cpu);
    return 0;
}
