// SPDX-License-Identifier: MIT
//
// What CPU the guest sees: a model of cpu_model.h, or (-cpu max and host, the default) the host's
// features that KVM supports, changed by the policy tables below; and each vCPU's own place in a
// flat topology (one package, `smp` cores, one thread each). KVM API sections 4.20
// (KVM_SET_CPUID2), 4.46 (KVM_GET_SUPPORTED_CPUID); SDM vol. 2 CPUID; APM vol. 3 appendix E;
// Documentation/virt/kvm/x86/cpuid.rst for leaf 0x4000_0001.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_model.h"
#include "log.h"
#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

#define MAX_LEAVES 256

enum { EAX, EBX, ECX, EDX };

/* Static policy, applied once: reg = (reg & keep) | set. */
static const struct {
    uint32_t leaf;
    unsigned reg;
    uint32_t keep, set;
    const char *why;
} policy[] = {
    {1, ECX, ~0u, 1u << 31, "a hypervisor is present, so that the guest looks for KVM's leaves"},
    {1, ECX, ~(1u << 3 | 1u << 5), 0,
     "no MONITOR/MWAIT: HLT is what lets the host sleep; no nested VMX"},
    {6, EAX, 1u << 2, 0, "no thermal or power management but ARAT: the APIC timer never stops"},
    {6, ECX, 0, 0, "no performance hints"},
    {0xa, EAX, 0, 0, "no performance counters: they would not survive a move to another engine"},
    {0xa, EBX, 0, 0, "as above"},
    {0xa, EDX, 0, 0, "as above"},
    {0x80000001, ECX, ~(1u << 2 | 1u << 23 | 1u << 28), 0,
     "no nested SVM; no AMD performance counters, core or L2"},
};

/*
 * Model-specific registers that differ from KVM's power-on value, because firmware would have set
 * them.
 */
static const struct {
    uint32_t index;
    uint64_t value;
    const char *why;
} boot_msrs[] = {
    {0x1a0, 1, "IA32_MISC_ENABLE: fast strings"},
    {0x2ff, 1u << 11 | 6, "IA32_MTRR_DEF_TYPE: MTRRs on, memory is write-back"},
};

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, unsigned reg)
{
    uint32_t *const regs[] = {[EAX] = &e->eax, [EBX] = &e->ebx, [ECX] = &e->ecx, [EDX] = &e->edx};
    return regs[reg];
}

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < c->nent; i++) {
        if (c->entries[i].function == leaf && c->entries[i].index == subleaf)
            return &c->entries[i];
    }
    return NULL;
}

static void apply_policy(struct kvm_cpuid2 *c)
{
    for (unsigned p = 0; p < ARRAY_LEN(policy); p++) {
        for (unsigned i = 0; i < c->nent; i++) {
            struct kvm_cpuid_entry2 *e = &c->entries[i];
            if (e->function != policy[p].leaf)
                continue;
            uint32_t *reg = reg_of(e, policy[p].reg);
            *reg = (*reg & policy[p].keep) | policy[p].set;
        }
    }
}

/* Leaf 0xB and 0x1F have one subleaf a level; the host's own are replaced. */
static void drop_leaf(struct kvm_cpuid2 *c, uint32_t leaf)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < c->nent; i++) {
        if (c->entries[i].function != leaf)
            c->entries[kept++] = c->entries[i];
    }
    c->nent = kept;
}

static void add_topology_leaf(struct kvm_cpuid2 *c, unsigned cpus)
{
    struct kvm_cpuid_entry2 levels[] = {
        /* threads of a core */
        {.function = 0xb, .index = 0, .ebx = 1, .ecx = 1u << 8},
        /* cores */
        {.function = 0xb, .index = 1, .eax = cpu_id_bits(cpus), .ebx = cpus, .ecx = 2u << 8 | 1},
        {.function = 0xb, .index = 2, .ecx = 2},
    };
    for (unsigned i = 0; i < ARRAY_LEN(levels) && c->nent < MAX_LEAVES; i++) {
        levels[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        c->entries[c->nent++] = levels[i];
    }
}

/* The package's shape, the same on every vCPU. */
static void set_package(struct kvm_cpuid2 *c, unsigned cpus)
{
    const struct kvm_cpuid_entry2 *root = find_leaf(c, 0, 0);
    bool extended_topology = root && root->eax >= 0xb;
    drop_leaf(c, 0xb);
    drop_leaf(c, 0x1f);
    if (extended_topology)
        add_topology_leaf(c, cpus);

    for (unsigned i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];
        switch (e->function) {
        case 1:
            e->ebx = (e->ebx & 0xff00ffffu) | cpus << 16;
            e->edx = (e->edx & ~(1u << 28)) | (cpus > 1 ? 1u << 28 : 0);
            break;
        case 4: /* Intel caches: levels 1 and 2 of one core, level 3 of all */
            if (e->eax & 0x1f)
                e->eax = (e->eax & 0x3fff) | (cpus - 1) << 26 |
                         ((e->eax >> 5 & 7) >= 3 ? cpus - 1 : 0) << 14;
            break;
        case 0x8000001d: /* AMD caches, the same */
            if (e->eax & 0x1f)
                e->eax = (e->eax & 0x3fff) | ((e->eax >> 5 & 7) >= 3 ? cpus - 1 : 0) << 14;
            break;
        case 0x80000008: /* AMD: core count and APIC id size */
            e->ecx = cpu_id_bits(cpus) << 12 | (cpus - 1);
            break;
        }
    }
}

/* --- the model --- */

static void read_features(struct kvm_cpuid2 *c, struct cpu_features *out)
{
    for (unsigned w = 0; w < CPU_WORDS; w++) {
        struct kvm_cpuid_entry2 *e =
            find_leaf(c, cpu_word_places[w].leaf, cpu_word_places[w].subleaf);
        out->word[w] = e ? *reg_of(e, cpu_word_places[w].reg) : 0;
    }
}

/* The engine's own CPU, with what -cpu adds or leaves out. */
static void write_features(struct kvm_cpuid2 *c, const struct cpu_features *f)
{
    if (!cpu_has(f, CPU_H0_EAX, CPU_H0_KVM)) {
        drop_leaf(c, 0x40000000);
        drop_leaf(c, 0x40000001);
    }
    for (unsigned w = 0; w < CPU_WORDS; w++) {
        struct kvm_cpuid_entry2 *e =
            find_leaf(c, cpu_word_places[w].leaf, cpu_word_places[w].subleaf);
        if (e)
            *reg_of(e, cpu_word_places[w].reg) = f->word[w];
    }
    struct kvm_cpuid_entry2 *xsave = find_leaf(c, 0xd, 0);
    if (xsave && !(cpu_xcr0(f) & CPU_XSAVE_AVX)) {
        xsave->eax &= (uint32_t)cpu_xcr0(f);
        xsave->edx = 0;
    }
}

/* A model that is the same everywhere: its leaves in the place of all. */
static void make_model(struct kvm_cpuid2 *c, const struct cpu_features *f, unsigned cpus)
{
    const struct kvm_cpuid_entry2 *sizes = find_leaf(c, 0x80000008, 0);
    unsigned host_bits = sizes ? sizes->eax & 0xff : 36;
    const struct cpu_place place = {
        .cpus = cpus,
        .phys_bits = host_bits < CPU_PHYS_BITS ? host_bits : CPU_PHYS_BITS,
        .xcr0 = 1,
    };
    c->nent = 0;
    const struct cpu_leaf_name *name = cpu_leaf_names;
    do {
        uint32_t r[4];
        cpu_leaf(f, &place, name->leaf, name->subleaf, r);
        if (name->leaf == 0xd && !(r[EAX] | r[EBX] | r[ECX]))
            continue; /* KVM writes a size into it that is not the model's */
        c->entries[c->nent++] = (struct kvm_cpuid_entry2){
            .function = name->leaf, .index = name->subleaf,
            .flags = name->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = r[EAX], .ebx = r[EBX], .ecx = r[ECX], .edx = r[EDX]};
    } while ((++name)->leaf && c->nent < MAX_LEAVES);
}

int kvm_cpuid_init(struct accel *a, struct err *err)
{
    struct kvm_vm *kvm = a->priv;
    struct kvm_cpuid2 *c = calloc(1, sizeof *c + MAX_LEAVES * sizeof c->entries[0]);
    if (!c)
        return err_set(err, ENOMEM, "-accel kvm: out of memory");
    kvm->cpuid = c;
    c->nent = MAX_LEAVES;
    int rc = kvm_ioctl(kvm->sys_fd, KVM_GET_SUPPORTED_CPUID, c);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: ask for the supported CPUID leaves");
    apply_policy(c);
    struct kvm_cpuid_entry2 *features = find_leaf(c, 1, 0);
    if (features && kvm->tsc_deadline)
        features->ecx |= 1u << 24;
    struct cpu_features have, chosen;
    read_features(c, &have);
    rc = accel_resolve_cpu(a, &have, &chosen, err);
    if (rc || a->watch) /* another engine has a say yet: kvm_cpuid_apply */
        return rc;
    if (cpu_choice_is_own(a->cpu)) {
        write_features(c, &chosen);
        set_package(c, a->nvcpus);
    } else {
        make_model(c, &chosen, a->nvcpus);
    }
    return 0;
}

/* A vCPU's own ids. */
static void set_ids(struct kvm_cpuid2 *c, unsigned id)
{
    for (unsigned i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];
        switch (e->function) {
        case 1:
            e->ebx = (e->ebx & 0x00ffffffu) | id << 24;
            break;
        case 0xb:
            e->edx = id;
            break;
        case 0x8000001e:
            e->eax = id;
            e->ebx = id; /* core id; one thread a core */
            e->ecx = 0;  /* one node */
            break;
        }
    }
}

/* KVM_SET_MSRS stops at the first register it refuses; that one is passed over. */
static void set_boot_msrs(int fd)
{
    union {
        struct kvm_msrs list;
        uint8_t room[sizeof(struct kvm_msrs) + ARRAY_LEN(boot_msrs) * sizeof(struct kvm_msr_entry)];
    } msr;
    for (unsigned done = 0; done < ARRAY_LEN(boot_msrs);) {
        unsigned left = ARRAY_LEN(boot_msrs) - done;
        memset(&msr, 0, sizeof msr);
        msr.list.nmsrs = left;
        for (unsigned i = 0; i < left; i++) {
            msr.list.entries[i].index = boot_msrs[done + i].index;
            msr.list.entries[i].data = boot_msrs[done + i].value;
        }
        int n = kvm_ioctl(fd, KVM_SET_MSRS, &msr);
        done += n > 0 ? (unsigned)n : 0;
        if (n < (int)left) {
            log_msg(LOG_ACCEL, "kvm: MSR %#x not set (%s)", boot_msrs[done].index,
                    boot_msrs[done].why);
            done++;
        }
    }
}

int kvm_cpuid_apply(struct vcpu *v, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    if (v->accel->watch)
        make_model(kvm->cpuid, v->accel->watch->features, v->accel->nvcpus);
    set_ids(kvm->cpuid, v->id);
    int rc = kvm_ioctl(kv->fd, KVM_SET_CPUID2, kvm->cpuid);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set the CPUID of vCPU %u", v->id);
    set_boot_msrs(kv->fd);
    return 0;
}
