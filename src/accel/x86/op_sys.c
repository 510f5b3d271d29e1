// SPDX-License-Identifier: MIT
//
// System instructions: control and debug registers, cache and TLB invalidation, time stamps,
// interrupt flag, HLT. SDM vol. 2 by mnemonic, vol. 3 section 2.5 (control registers), 4.10.4
// (invalidation), 10.8.5 (long mode), 17.2 (debug registers), 21.4 (PVI, VME). MONITOR, MWAIT, RSM,
// VMCALL and VMMCALL are undefined: CPUID does not offer what they belong to.
#include "cpuid.h"
#include "env.h"
#include "flags.h"
#include "mmu.h"
#include "ops.h"
#include "regs.h"
#include "sys.h"
#include "vec.h"

#define CR0_BITS                                                                                   \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)
#define CR4_BITS                                                                                   \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |      \
     CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP |  \
     CR4_SMAP)
#define CR3_NO_FLUSH (1ull << 63)

static _Noreturn void gp0(struct x86_cpu *cpu)
{
    x86_raise_error(cpu, X86_GP, 0);
}

/* --- CR0 --- */

/* Rules for going into and out of long mode by PG. */
static void check_paging_switch(struct x86_cpu *cpu, uint64_t val)
{
    if (val & CR0_PG) {
        bool bad_tss = !cpu->seg[SEG_TR].unusable && !(cpu->seg[SEG_TR].type & 8);
        if (cpu->efer & EFER_LME && (!(cpu->cr4 & CR4_PAE) || cpu->seg[SEG_CS].l || bad_tss))
            gp0(cpu);
    } else if (cpu->cr4 & CR4_PCIDE || cpu->mode == X86_MODE64) {
        gp0(cpu);
    }
}

static bool uses_pdptes(const struct x86_cpu *cpu, uint64_t cr0, uint64_t cr4)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(cpu->efer & EFER_LME);
}

void x86_write_cr0(struct x86_cpu *cpu, uint64_t val)
{
    uint64_t changed = (cpu->cr0 ^ val) & CR0_BITS;
    if (val >> 32 || (val & CR0_PG && !(val & CR0_PE)) || (val & CR0_NW && !(val & CR0_CD)))
        gp0(cpu);
    if (changed & CR0_PG)
        check_paging_switch(cpu, val);
    if (changed & (CR0_PG | CR0_CD | CR0_NW) && uses_pdptes(cpu, val, cpu->cr4) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        gp0(cpu);
    cpu->cr0 = (val & CR0_BITS) | CR0_ET;
    if (changed & CR0_PG) {
        cpu->efer &= ~(uint64_t)EFER_LMA;
        if (val & CR0_PG && cpu->efer & EFER_LME)
            cpu->efer |= EFER_LMA;
    }
    if (changed & (CR0_PG | CR0_PE))
        mmu_flush_all(cpu);
    else if (changed & (CR0_WP | CR0_AM))
        mmu_flush_rights(cpu);
    vec_update_access(cpu);
    x86_update_mode(cpu);
}

/* --- CR3, CR4 --- */

void x86_write_cr3(struct x86_cpu *cpu, uint64_t val)
{
    bool pcide = cpu->cr4 & CR4_PCIDE, keep = pcide && val & CR3_NO_FLUSH;
    if (pcide)
        val &= ~CR3_NO_FLUSH;
    if (val >> cpu->env->phys_bits)
        gp0(cpu);
    if (uses_pdptes(cpu, cpu->cr0, cpu->cr4) && !mmu_load_pdptes(cpu, val))
        gp0(cpu);
    cpu->cr3 = val;
    mmu_switch_space(cpu, pcide ? val & 0xfff : 0, !keep);
}

void x86_write_cr4(struct x86_cpu *cpu, uint64_t val)
{
    uint64_t changed = cpu->cr4 ^ val;
    if (val & (~(uint64_t)CR4_BITS | x86_cr4_withheld(cpu)))
        gp0(cpu);
    if (x86_long_mode(cpu) && !(val & CR4_PAE))
        gp0(cpu);
    if (changed & val & CR4_PCIDE && (!x86_long_mode(cpu) || cpu->cr3 & 0xfff))
        gp0(cpu);
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) && uses_pdptes(cpu, cpu->cr0, val) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        gp0(cpu);
    cpu->cr4 = val;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE))
        mmu_flush_all(cpu);
    else if (changed & (CR4_SMEP | CR4_SMAP))
        mmu_flush_rights(cpu);
    vec_update_access(cpu);
    x86_update_mode(cpu);
}

static uint64_t cr_operand(const struct x86_cpu *cpu, unsigned reg)
{
    return cpu->mode == X86_MODE64 ? cpu->gpr[reg] : (uint32_t)cpu->gpr[reg];
}

void op_mov_to_cr(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t val = cr_operand(cpu, i->rm);
    require_cpl0(cpu);
    switch (i->reg) {
    case 0:
        x86_write_cr0(cpu, val);
        break;
    case 2:
        cpu->cr2 = val;
        break;
    case 3:
        x86_write_cr3(cpu, val);
        break;
    case 4:
        x86_write_cr4(cpu, val);
        break;
    case 8:
        if (val >> 4)
            gp0(cpu);
        cpu->env->cr8_write(cpu->env->opaque, cpu->id, val);
        break;
    default:
        x86_raise(cpu, X86_UD);
    }
}

void op_mov_from_cr(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t val;
    require_cpl0(cpu);
    switch (i->reg) {
    case 0:
        val = cpu->cr0;
        break;
    case 2:
        val = cpu->cr2;
        break;
    case 3:
        val = cpu->cr3;
        break;
    case 4:
        val = cpu->cr4;
        break;
    case 8:
        val = cpu->env->cr8_read(cpu->env->opaque, cpu->id);
        break;
    default:
        x86_raise(cpu, X86_UD);
    }
    gpr_write(cpu, i->rm, val, cpu->mode == X86_MODE64 ? 8 : 4);
}

void op_clts(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_cpl0(cpu);
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    vec_update_access(cpu);
}

void op_lmsw(struct x86_cpu *cpu, const struct insn *i)
{
    require_cpl0(cpu);
    uint64_t val = rm_read(cpu, i, 2) & 15;
    uint64_t sticky = cpu->cr0 & CR0_PE; /* protected mode cannot be left this way */
    x86_write_cr0(cpu, (cpu->cr0 & ~15ull) | val | sticky);
}

void op_smsw(struct x86_cpu *cpu, const struct insn *i)
{
    if (cpu->cr4 & CR4_UMIP && cpu->cpl)
        gp0(cpu);
    if (i->flags & INSN_MEM)
        mem_write16(cpu, insn_linear(cpu, i, 2, true), (uint16_t)cpu->cr0);
    else
        gpr_write(cpu, i->rm, cpu->cr0, i->opsize);
}

/* --- debug registers --- */

/* What KVM answers to a hypercall from ring 3, and to one that it does not have. */
#define KVM_EPERM 1
#define KVM_ENOSYS 1000

#define DR6_WRITABLE 0xe00full
#define DR7_WRITABLE 0xffff23ffull

static unsigned check_dr(struct x86_cpu *cpu, unsigned n)
{
    if ((n == 4 || n == 5) && cpu->cr4 & CR4_DE)
        x86_raise(cpu, X86_UD);
    require_cpl0(cpu);
    if (cpu->dr[7] & DR7_GD)
        x86_raise_debug(cpu, DR6_BD);
    return n == 4 || n == 5 ? n + 2 : n;
}

void op_mov_from_dr(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned n = check_dr(cpu, i->reg);
    gpr_write(cpu, i->rm, cpu->dr[n], cpu->mode == X86_MODE64 ? 8 : 4);
}

void op_mov_to_dr(struct x86_cpu *cpu, const struct insn *i)
{
    unsigned n = check_dr(cpu, i->reg);
    uint64_t val = cr_operand(cpu, i->rm);
    if (n >= 6 && val >> 32)
        gp0(cpu);
    /*
     * Addresses are not checked: what no access can have never matches (SDM vol. 3 section 17.2).
     */
    if (n == 6)
        val = (val & DR6_WRITABLE) | DR6_ONES;
    if (n == 7)
        val = (val & DR7_WRITABLE) | DR7_ONES;
    cpu->dr[n] = val;
    mmu_flush_rights(cpu); /* watched pages leave the fast table */
}

/* --- caches and translations --- */

void op_invlpg(struct x86_cpu *cpu, const struct insn *i)
{
    require_cpl0(cpu);
    /* No limit check, no fault: the operand is an address, not an access. */
    gva_t va = (cpu->seg_base[i->seg] + insn_offset(cpu, i)) & cpu->address_mask;
    if (x86_canonical(va))
        mmu_flush_page(cpu, va);
}

enum { INVPCID_PAGE, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_NOT_GLOBAL };

void op_invpcid(struct x86_cpu *cpu, const struct insn *i)
{
    require_cpl0(cpu);
    uint64_t type = cr_operand(cpu, i->reg);
    gva_t at = insn_linear(cpu, i, 16, false);
    uint64_t pcid = mem_read64(cpu, at), va = mem_read64(cpu, (at + 8) & cpu->address_mask);
    bool one = type == INVPCID_PAGE || type == INVPCID_CONTEXT;
    if (type > INVPCID_NOT_GLOBAL || pcid >> 12 || (one && pcid && !(cpu->cr4 & CR4_PCIDE)) ||
        (type == INVPCID_PAGE && !x86_canonical(va)))
        gp0(cpu);
    if (type == INVPCID_PAGE)
        mmu_flush_pcid_page(cpu, (unsigned)pcid, va);
    else if (type == INVPCID_CONTEXT)
        mmu_flush_pcid(cpu, (unsigned)pcid);
    else if (type == INVPCID_ALL)
        mmu_flush_all(cpu);
    else
        mmu_flush_not_global(cpu);
}

void op_invd(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_cpl0(cpu);
}

void op_wbinvd(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_cpl0(cpu);
}

/* --- model-specific registers, time, identity --- */

static void put_pair(struct x86_cpu *cpu, uint64_t val)
{
    cpu->gpr[RAX] = (uint32_t)val;
    cpu->gpr[RDX] = val >> 32;
}

void op_rdmsr(struct x86_cpu *cpu, const struct insn *i)
{
    uint64_t val;
    (void)i;
    require_cpl0(cpu);
    if (!msr_read(cpu, (uint32_t)cpu->gpr[RCX], &val))
        gp0(cpu);
    put_pair(cpu, val);
}

void op_wrmsr(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_cpl0(cpu);
    uint64_t val = (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
    if (!msr_write(cpu, (uint32_t)cpu->gpr[RCX], val))
        gp0(cpu);
}

uint64_t x86_tsc(const struct x86_cpu *cpu)
{
    return cpu->env->tsc(cpu->env->opaque) + cpu->msr.tsc_adjust;
}

static void check_tsd(struct x86_cpu *cpu)
{
    if (cpu->cr4 & CR4_TSD && cpu->cpl)
        gp0(cpu);
}

void op_rdtsc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    check_tsd(cpu);
    put_pair(cpu, x86_tsc(cpu));
}

void op_rdtscp(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    check_tsd(cpu);
    put_pair(cpu, x86_tsc(cpu));
    cpu->gpr[RCX] = (uint32_t)cpu->msr.tsc_aux;
}

/* There are no performance counters to name. */
void op_rdpmc(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    gp0(cpu);
}

void op_rdpid(struct x86_cpu *cpu, const struct insn *i)
{
    gpr_write(cpu, i->rm, cpu->msr.tsc_aux, cpu->mode == X86_MODE64 ? 8 : 4);
}

void op_cpuid(struct x86_cpu *cpu, const struct insn *i)
{
    uint32_t r[4];
    (void)i;
    x86_cpuid(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX], r);
    cpu->gpr[RAX] = r[0];
    cpu->gpr[RBX] = r[1];
    cpu->gpr[RCX] = r[2];
    cpu->gpr[RDX] = r[3];
}

/* --- flags and HLT --- */

enum if_rule { IF_REAL, IF_VIRTUAL, IF_DENIED };

/* Does CLI, STI touch IF, or VIF in its place (VME in v8086 mode, PVI at ring 3)? */
static enum if_rule if_rule(const struct x86_cpu *cpu)
{
    bool v86 = cpu->rflags & FL_VM;
    if (!(cpu->cr0 & CR0_PE) || cpu->cpl <= (cpu->rflags >> 12 & 3))
        return IF_REAL;
    return cpu->cpl == 3 && cpu->cr4 & (v86 ? CR4_VME : CR4_PVI) ? IF_VIRTUAL : IF_DENIED;
}

void op_cli(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    enum if_rule rule = if_rule(cpu);
    if (rule == IF_DENIED)
        gp0(cpu);
    cpu->rflags &= ~(uint64_t)(rule == IF_REAL ? FL_IF : FL_VIF);
}

void op_sti(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    enum if_rule rule = if_rule(cpu);
    if (rule == IF_DENIED || (rule == IF_VIRTUAL && cpu->rflags & FL_VIP))
        gp0(cpu);
    if (rule == IF_VIRTUAL) {
        cpu->rflags |= FL_VIF;
        return;
    }
    if (!(cpu->rflags & FL_IF))
        cpu->interrupt_shadow = true;
    cpu->rflags |= FL_IF;
}

/* At ring 0 AC decides about user pages under SMAP only. */
static void set_ac(struct x86_cpu *cpu, bool on)
{
    if (cpu->cpl || cpu->rflags & FL_VM)
        x86_raise(cpu, X86_UD);
    cpu->rflags = on ? cpu->rflags | FL_AC : cpu->rflags & ~(uint64_t)FL_AC;
    mmu_end_user_access(cpu);
}

void op_clac(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    set_ac(cpu, false);
}

void op_stac(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    set_ac(cpu, true);
}

void op_hlt(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_cpl0(cpu);
    cpu->halted = true;
}

/* --- what this model does not have --- */

void op_monitor(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_raise(cpu, X86_UD);
}

void op_mwait(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_raise(cpu, X86_UD);
}

void op_rsm(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x86_raise(cpu, X86_UD);
}

/* A guest that sees KVM's name may call it: there is no call that it is offered. */
void op_vmcall(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    int64_t answer = cpu->cpl ? -KVM_EPERM : -KVM_ENOSYS;
    if (!cpu_has(&cpu->features, CPU_H0_EAX, CPU_H0_KVM))
        x86_raise(cpu, X86_UD);
    gpr_write(cpu, RAX, (uint64_t)answer, cpu->mode == X86_MODE64 ? 8 : 4);
}
