// SPDX-License-Identifier: MIT
//
// CPUID of the software engines: the leaves of the model that the engine was given (cpu_model.h),
// the hypervisor's own, and which features there are to give: the whole table, but for vector
// extensions, which run on the host's units. The emulated CPU does not speculate, so it says that
// it is immune to what can be said so of, which keeps guests from paying for mitigations.
#include "cpuid.h"

#include <string.h>

#include "cpu.h"
#include "env.h"
#include "vec.h"
#include "util.h"

#define BIT(n) (1u << (n))

#define MAX_HYPERVISOR 0x40000010u

static const char hypervisor[12] = "minivmm";

/* No Meltdown, L1TF, MDS, TAA, store bypass or stale-data leaks; indirect branches are safe with
 * IBRS once set (bits as in the SDM). */
uint64_t x86_arch_capabilities(void)
{
    return BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) |
           BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27);
}

/* Vector extensions run on the host's units: the guest gets what the host has (vec.h). */
static const struct {
    uint32_t need;
    enum cpu_word word;
    unsigned bit;
} vector_features[] = {
    {VEC_SSE3, CPU_1_ECX, 0}, {VEC_PCLMUL, CPU_1_ECX, 1}, {VEC_SSSE3, CPU_1_ECX, 9},
    {VEC_FMA, CPU_1_ECX, 12}, {VEC_SSE41, CPU_1_ECX, 19}, {VEC_SSE42, CPU_1_ECX, 20},
    {VEC_AES, CPU_1_ECX, 25}, {VEC_AVX, CPU_1_ECX, 28},   {VEC_F16C, CPU_1_ECX, 29},
    {VEC_AVX2, CPU_7_EBX, 5}, {VEC_SHA, CPU_7_EBX, 29},
};

void x86_emulated_features(const struct x86_env *env, struct cpu_features *out)
{
    uint32_t have = x86_host_vector_level();
    cpu_features_all(out);
    for (unsigned n = 0; n < ARRAY_LEN(vector_features); n++) {
        if (!(have & vector_features[n].need))
            out->word[vector_features[n].word] &= ~BIT(vector_features[n].bit);
    }
    if (!env->x2apic)
        out->word[CPU_1_ECX] &= ~BIT(21);
    if (!env->tsc_deadline)
        out->word[CPU_1_ECX] &= ~BIT(24);
}

uint64_t x86_xcr0_supported(const struct x86_cpu *cpu)
{
    return cpu_xcr0(&cpu->features);
}

/* Bits of CR4 that stand for a feature the guest was not offered. */
uint64_t x86_cr4_withheld(const struct x86_cpu *cpu)
{
    static const struct {
        uint64_t cr4;
        enum cpu_word word;
        unsigned bit;
    } bits[] = {
        {CR4_OSXSAVE, CPU_1_ECX, 26}, {CR4_PCIDE, CPU_1_ECX, 17}, {CR4_FSGSBASE, CPU_7_EBX, 0},
        {CR4_SMEP, CPU_7_EBX, 7},     {CR4_SMAP, CPU_7_EBX, 20},  {CR4_UMIP, CPU_7_ECX, 2},
    };
    uint64_t withheld = 0;
    for (unsigned n = 0; n < ARRAY_LEN(bits); n++) {
        if (!cpu_has(&cpu->features, bits[n].word, bits[n].bit))
            withheld |= bits[n].cr4;
    }
    return withheld;
}

static uint32_t word(const char *text, unsigned n)
{
    uint32_t v;
    memcpy(&v, text + 4 * n, 4);
    return v;
}

/* The leaf of frequencies, where it is offered: behind KVM's, or behind a name of our own. */
static void timing_leaf(const struct x86_cpu *cpu, uint32_t leaf, uint32_t r[4])
{
    if (!cpu_has(&cpu->features, CPU_H0_EAX, CPU_H0_TIMING))
        return;
    if (leaf == 0x40000000)
        r[CPUID_EAX] = MAX_HYPERVISOR;
    if (leaf == 0x40000000 && !cpu_has(&cpu->features, CPU_H0_EAX, CPU_H0_KVM)) {
        r[CPUID_EBX] = word(hypervisor, 0);
        r[CPUID_ECX] = word(hypervisor, 1);
        r[CPUID_EDX] = word(hypervisor, 2);
    } else if (leaf == 0x40000010) {
        /* as other hypervisors do: time-stamp counter in kHz */
        r[CPUID_EAX] = (uint32_t)(cpu->env->tsc_hz / 1000);
    }
}

void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_place place = {
        .id = cpu->id,
        .cpus = cpu->env->ncpus,
        .phys_bits = cpu->env->phys_bits,
        .osxsave = cpu->cr4 & CR4_OSXSAVE,
        .xcr0 = cpu->xcr0,
        .xss = cpu->msr.xss,
    };
    cpu_leaf(&cpu->features, &place, leaf, subleaf, out);
    timing_leaf(cpu, leaf, out);
}
