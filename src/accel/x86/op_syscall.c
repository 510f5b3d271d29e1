// SPDX-License-Identifier: MIT
//
// SYSCALL, SYSRET, SYSENTER, SYSEXIT as AMD processors do them, since the model is one (APM vol. 2
// section 6.1, vol. 3): SYSCALL works in all protected modes, SYSENTER is undefined in long mode,
// SYSRET does not look at rip (the fetch at ring 3 faults). One difference: SYSRET loads the
// attributes of SS, where AMD keeps old ones; software that copes with those copes with these.
#include "flags.h"
#include "mmu.h"
#include "ops.h"
#include "sys.h"

enum code_kind { CODE_32, CODE_64 };

/* Flat segments with fixed contents: no descriptor is read. */
static void set_flat(struct x86_cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl,
                     enum code_kind kind)
{
    cpu->seg[SEG_CS] = (struct cpu_seg){
        .limit = 0xffffffff,
        .sel = cs,
        .type = TYPE_CODE | TYPE_RW | TYPE_ACCESSED,
        .dpl = (uint8_t)cpl,
        .s = true,
        .present = true,
        .l = kind == CODE_64,
        .db = kind == CODE_32,
        .g = true,
    };
    cpu->seg[SEG_SS] = (struct cpu_seg){
        .limit = 0xffffffff,
        .sel = ss,
        .type = TYPE_RW | TYPE_ACCESSED,
        .dpl = (uint8_t)cpl,
        .s = true,
        .present = true,
        .db = true,
        .g = true,
    };
    cpu->cpl = (uint8_t)cpl;
}

static void require_sce(struct x86_cpu *cpu)
{
    if (!(cpu->efer & EFER_SCE))
        x86_raise(cpu, X86_UD);
}

void op_syscall(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    require_sce(cpu);
    uint16_t cs = cpu->msr.star >> 32 & 0xfffc;
    cpu->gpr[RCX] = cpu->next_rip;
    if (x86_long_mode(cpu)) {
        uint64_t flags = rflags_get(cpu) & ~(uint64_t)FL_RF;
        cpu->gpr[R11] = flags;
        cpu->next_rip = cpu->mode == X86_MODE64 ? cpu->msr.lstar : cpu->msr.cstar;
        set_flat(cpu, cs, (uint16_t)(cs + 8), 0, CODE_64);
        x86_write_rflags(cpu, flags & ~cpu->msr.sfmask, ~0ull);
    } else {
        cpu->gpr[RCX] &= 0xffffffffu;
        cpu->next_rip = (uint32_t)cpu->msr.star;
        set_flat(cpu, cs, (uint16_t)(cs + 8), 0, CODE_32);
        x86_write_rflags(cpu, 0, FL_IF | FL_VM | FL_RF);
    }
    x86_update_mode(cpu);
}

void op_sysret(struct x86_cpu *cpu, const struct insn *i)
{
    require_sce(cpu);
    if (!(cpu->cr0 & CR0_PE))
        x86_raise_error(cpu, X86_GP, 0);
    require_cpl0(cpu);
    bool to_64 = cpu->mode == X86_MODE64 && i->flags & INSN_REXW;
    uint16_t base = (uint16_t)(cpu->msr.star >> 48);
    cpu->next_rip = to_64 ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];
    set_flat(cpu, (uint16_t)((base + (to_64 ? 16 : 0)) | 3), (uint16_t)((base + 8) | 3), 3,
             to_64 ? CODE_64 : CODE_32);
    if (x86_long_mode(cpu))
        x86_write_rflags(cpu, cpu->gpr[R11],
                         FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_VIF |
                             FL_VIP | FL_ID);
    else
        cpu->rflags |= FL_IF;
    x86_update_mode(cpu);
}

/* Neither instruction exists in long mode or real mode, nor without a code segment to go to. */
static uint16_t sysenter_cs(struct x86_cpu *cpu)
{
    if (x86_long_mode(cpu))
        x86_raise(cpu, X86_UD);
    uint16_t cs = cpu->msr.sysenter_cs & 0xfffc;
    if (!(cpu->cr0 & CR0_PE) || !cs)
        x86_raise_error(cpu, X86_GP, 0);
    return cs;
}

void op_sysenter(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    uint16_t cs = sysenter_cs(cpu);
    x86_write_rflags(cpu, 0, FL_IF | FL_VM | FL_RF);
    set_flat(cpu, cs, (uint16_t)(cs + 8), 0, CODE_32);
    cpu->gpr[RSP] = (uint32_t)cpu->msr.sysenter_esp;
    cpu->next_rip = (uint32_t)cpu->msr.sysenter_eip;
    x86_update_mode(cpu);
}

void op_sysexit(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    uint16_t cs = sysenter_cs(cpu);
    require_cpl0(cpu);
    set_flat(cpu, (uint16_t)((cs + 16) | 3), (uint16_t)((cs + 24) | 3), 3, CODE_32);
    cpu->gpr[RSP] = (uint32_t)cpu->gpr[RCX];
    cpu->next_rip = (uint32_t)cpu->gpr[RDX];
    x86_update_mode(cpu);
}
