// SPDX-License-Identifier: MIT
//
// Model-specific registers: one table of number, storage, writable bits and rule (SDM vol. 4; APM
// vol. 2 appendix A). What is not in it is #GP. Registers that AMD kernels read without asking
// first exist and are inert. APIC registers belong to the environment.
#include <stddef.h>

#include "cpuid.h"
#include "env.h"
#include "mmu.h"
#include "pvclock.h"
#include "sys.h"
#include "util.h"

#define ALL (~0ull)
#define FIELD(member) offsetof(struct x86_cpu, member)

enum rule {
    PLAIN,     /* stored as written */
    CANONICAL, /* an address */
    MEMTYPES,  /* bytes that are memory types: PAT, fixed MTRRs */
    CONSTANT,  /* read only: `value` */
    IGNORED,   /* reads `value`, writes vanish */
    SPECIAL,   /* functions below */
};

struct msr_row {
    uint32_t first, last;
    enum rule rule;
    size_t field; /* PLAIN, CANONICAL, MEMTYPES: of struct x86_cpu; a range has consecutive words */
    uint64_t writable; /* other bits set: #GP */
    uint64_t value;
};

#define ROW(n, rule, member, mask)                                                                 \
    {                                                                                              \
        (n), (n), (rule), FIELD(member), (mask), 0                                                 \
    }
#define ROWS(a, b, rule, member, mask)                                                             \
    {                                                                                              \
        (a), (b), (rule), FIELD(member), (mask), 0                                                 \
    }
#define FIXED(a, b, rule, value)                                                                   \
    {                                                                                              \
        (a), (b), (rule), 0, 0, (value)                                                            \
    }

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_PRED_CMD = 0x49,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
    MSR_KVM_WALL_CLOCK = 0x4b564d00,
    MSR_KVM_SYSTEM_TIME = 0x4b564d01,
};
#define MSR_EFER 0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static const struct msr_row rows[] = {
    FIXED(0x00, 0x01, IGNORED, 0), /* machine-check address and type of the Pentium */
    FIXED(MSR_TSC, MSR_TSC, SPECIAL, 0),
    FIXED(MSR_APIC_BASE, MSR_APIC_BASE, SPECIAL, 0),
    FIXED(MSR_TSC_ADJUST, MSR_TSC_ADJUST, SPECIAL, 0),
    ROW(0x48, PLAIN, msr.spec_ctrl, 7),
    FIXED(MSR_PRED_CMD, MSR_PRED_CMD, SPECIAL, 0),
    FIXED(0x8b, 0x8b, IGNORED, 0x0a001100), /* microcode level */
    FIXED(0xfe, 0xfe, CONSTANT, 0x508),     /* MTRRs: 8 variable, fixed, write combining */
    FIXED(MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, SPECIAL, 0),
    ROW(0x174, PLAIN, msr.sysenter_cs, 0xffffffff),
    ROW(0x175, CANONICAL, msr.sysenter_esp, ALL),
    ROW(0x176, CANONICAL, msr.sysenter_eip, ALL),
    FIXED(0x179, 0x179, CONSTANT, 0), /* machine check: no banks */
    ROW(0x17a, PLAIN, msr.mcg_status, 7),
    ROW(0x1a0, PLAIN, msr.misc_enable, ALL),
    ROW(0x1d9, PLAIN, msr.debugctl, 0x3f),
    FIXED(0x1db, 0x1de, IGNORED, 0), /* last branch: not recorded */
    ROWS(0x200, 0x20f, PLAIN, msr.mtrr_var, (1ull << 52) - 1),
    ROW(0x250, MEMTYPES, msr.mtrr_fix[0], ALL),
    ROWS(0x258, 0x259, MEMTYPES, msr.mtrr_fix[1], ALL),
    ROWS(0x268, 0x26f, MEMTYPES, msr.mtrr_fix[3], ALL),
    ROW(0x277, MEMTYPES, msr.pat, ALL),
    ROW(0x2ff, PLAIN, msr.mtrr_def_type, 0xcff),
    FIXED(MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, SPECIAL, 0),
    FIXED(MSR_X2APIC_FIRST, MSR_X2APIC_LAST, SPECIAL, 0),
    ROW(0xda0, PLAIN, msr.xss, 0),
    FIXED(MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, SPECIAL, 0),
    FIXED(MSR_EFER, MSR_EFER, SPECIAL, 0),
    ROW(0xc0000081, PLAIN, msr.star, ALL),
    ROW(0xc0000082, CANONICAL, msr.lstar, ALL),
    ROW(0xc0000083, CANONICAL, msr.cstar, ALL),
    ROW(0xc0000084, PLAIN, msr.sfmask, 0xffffffff),
    FIXED(MSR_FS_BASE, MSR_GS_BASE, SPECIAL, 0),
    ROW(0xc0000102, CANONICAL, msr.kernel_gs_base, ALL),
    ROW(0xc0000103, PLAIN, msr.tsc_aux, 0xffffffff),
    FIXED(0xc0010010, 0xc0010010, IGNORED, 0), /* SYSCFG */
    FIXED(0xc0010015, 0xc0010015, IGNORED,
          1ull << 24),                         /* HWCR: the time-stamp counter runs at P0's rate */
    FIXED(0xc0010016, 0xc001001a, IGNORED, 0), /* IORRs, TOP_MEM */
    FIXED(0xc001001d, 0xc001001d, IGNORED, 0), /* TOP_MEM2 */
    FIXED(0xc001001f, 0xc001001f, IGNORED, 0), /* NB_CFG */
    FIXED(0xc0010055, 0xc0010055, IGNORED, 0), /* interrupt pending messages */
    FIXED(0xc0010058, 0xc0010058, IGNORED, 0), /* memory-mapped configuration space: not by this */
    FIXED(0xc0010111, 0xc0010113, IGNORED, 0), /* SMM base and TSeg */
    FIXED(0xc0010114, 0xc0010114, IGNORED, 1u << 4), /* VM_CR: SVM is disabled */
    FIXED(0xc0011020, 0xc0011023, IGNORED,
          0), /* load-store, instruction and data cache configuration */
    FIXED(0xc0011029, 0xc0011029, IGNORED, 2), /* DE_CFG: LFENCE serialises */
    FIXED(0xc001102a, 0xc001102d, IGNORED, 0), /* bus and L2 configuration */
};

static const struct msr_row *find_row(uint32_t n)
{
    unsigned low = 0, high = ARRAY_LEN(rows);
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (n > rows[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ARRAY_LEN(rows) && n >= rows[low].first ? &rows[low] : NULL;
}

static uint64_t *storage(struct x86_cpu *cpu, const struct msr_row *row, uint32_t n)
{
    return (uint64_t *)(void *)((char *)cpu + row->field) + (n - row->first);
}

/* --- reading --- */

static bool read_special(struct x86_cpu *cpu, uint32_t n, uint64_t *val)
{
    switch (n) {
    case MSR_TSC:
        *val = x86_tsc(cpu);
        return true;
    case MSR_TSC_ADJUST:
        *val = cpu->msr.tsc_adjust;
        return true;
    case MSR_APIC_BASE:
        *val = cpu->apic_base;
        return true;
    case MSR_PRED_CMD: /* write only */
        return false;
    case MSR_ARCH_CAPABILITIES:
        *val = x86_arch_capabilities();
        return true;
    case MSR_KVM_WALL_CLOCK:
        *val = cpu->msr.kvm_wall_clock;
        return true;
    case MSR_KVM_SYSTEM_TIME:
        *val = cpu->msr.kvm_system_time;
        return true;
    case MSR_EFER:
        *val = cpu->efer;
        return true;
    case MSR_FS_BASE:
        *val = cpu->seg[SEG_FS].base;
        return true;
    case MSR_GS_BASE:
        *val = cpu->seg[SEG_GS].base;
        return true;
    default:
        return cpu->env->apic_msr_read(cpu->env->opaque, cpu->id, n, val) == 0;
    }
}

bool msr_read(struct x86_cpu *cpu, uint32_t n, uint64_t *val)
{
    const struct msr_row *row = find_row(n);
    if (!row || !cpu_msr_offered(&cpu->features, n))
        return false;
    if (row->rule == SPECIAL)
        return read_special(cpu, n, val);
    *val = row->rule == CONSTANT || row->rule == IGNORED ? row->value : *storage(cpu, row, n);
    return true;
}

/* --- writing --- */

static bool write_efer(struct x86_cpu *cpu, uint64_t val)
{
    uint64_t changed = (cpu->efer ^ val) & (EFER_LME | EFER_NXE);
    if (val & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return false;
    if (changed & EFER_LME && cpu->cr0 & CR0_PG)
        return false;
    /* LMA follows from LME and PG; writing it does nothing. */
    cpu->efer = (val & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    if (changed)
        mmu_flush_all(cpu);
    return true;
}

static bool write_base(struct x86_cpu *cpu, unsigned seg, uint64_t val)
{
    if (!x86_canonical(val))
        return false;
    cpu->seg[seg].base = val;
    cpu->seg_base[seg] = cpu->mode == X86_MODE64 ? val : (uint32_t)val;
    return true;
}

static bool write_apic_base(struct x86_cpu *cpu, uint64_t val)
{
    if (val >> cpu->env->phys_bits || val & 0x2ff || (val & 0x400 && !cpu->env->x2apic))
        return false;
    if (cpu->env->apic_msr_write(cpu->env->opaque, cpu->id, MSR_APIC_BASE, val))
        return false;
    cpu->apic_base = val;
    return true;
}

static void move_tsc(struct x86_cpu *cpu, uint64_t adjust)
{
    cpu->msr.tsc_adjust = adjust;
    x86_pvclock_renew(cpu);
    if (cpu->env->tsc_changed)
        cpu->env->tsc_changed(cpu->env->opaque, cpu->id);
}

static bool write_special(struct x86_cpu *cpu, uint32_t n, uint64_t val)
{
    switch (n) {
    case MSR_TSC:
        move_tsc(cpu, val - cpu->env->tsc(cpu->env->opaque));
        return true;
    case MSR_TSC_ADJUST:
        move_tsc(cpu, val);
        return true;
    case MSR_APIC_BASE:
        return write_apic_base(cpu, val);
    case MSR_PRED_CMD:
        return val <= 1; /* nothing is predicted */
    case MSR_ARCH_CAPABILITIES:
        return false;
    case MSR_KVM_WALL_CLOCK:
        x86_pvclock_set_wall(cpu, val);
        return true;
    case MSR_KVM_SYSTEM_TIME:
        x86_pvclock_set_system(cpu, val);
        return true;
    case MSR_EFER:
        return write_efer(cpu, val);
    case MSR_FS_BASE:
        return write_base(cpu, SEG_FS, val);
    case MSR_GS_BASE:
        return write_base(cpu, SEG_GS, val);
    default:
        return cpu->env->apic_msr_write(cpu->env->opaque, cpu->id, n, val) == 0;
    }
}

/* UC, WC, WT, WP, WB; PAT also has UC- (7). */
static bool are_memory_types(uint64_t val, bool pat)
{
    for (unsigned n = 0; n < 8; n++) {
        uint8_t type = (uint8_t)(val >> (8 * n));
        if (type == 2 || type == 3 || type > 7 || (type == 7 && !pat))
            return false;
    }
    return true;
}

bool msr_write(struct x86_cpu *cpu, uint32_t n, uint64_t val)
{
    const struct msr_row *row = find_row(n);
    if (!row || row->rule == CONSTANT || !cpu_msr_offered(&cpu->features, n))
        return false;
    if (row->rule == IGNORED)
        return true;
    if (row->rule == SPECIAL)
        return write_special(cpu, n, val);
    if (val & ~row->writable || (row->rule == CANONICAL && !x86_canonical(val)) ||
        (row->rule == MEMTYPES && !are_memory_types(val, n == 0x277)))
        return false;
    *storage(cpu, row, n) = val;
    return true;
}
