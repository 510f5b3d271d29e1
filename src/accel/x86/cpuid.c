// SPDX-License-Identifier: MIT
//
// CPUID: what the guest may use, which is exactly what is emulated (SDM vol. 2 CPUID; APM vol. 3
// appendix E). The model is an AMD family 19h core, because stock kernels run those without
// page-table isolation and with few errata; no processor's quirks are behind it. It does not
// speculate, so it says that it is immune to what can be said so of, which keeps guests from paying
// for mitigations. One package, one thread a core. Left out: performance counters, memory
// protection keys, five-level paging, SVM, MONITOR.
#include "cpuid.h"

#include <string.h>

#include "cpu.h"
#include "env.h"
#include "vec.h"

#define BIT(n) (1u << (n))

#define SIGNATURE 0x00a00f11u /* family 19h, model 1, stepping 1 */
#define MAX_BASIC 0xdu
#define MAX_EXTENDED 0x80000021u
#define MAX_HYPERVISOR 0x40000010u

/* Leaf 1. */
#define F1_EDX                                                                                     \
    (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) |              \
     BIT(9) /* FPU VME DE PSE TSC MSR PAE MCE CX8 APIC */                                          \
     | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) |                       \
     BIT(19)                                  /* SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH */          \
     | BIT(23) | BIT(24) | BIT(25) | BIT(26)) /* MMX FXSR SSE SSE2 */
#define F1_EDX_HTT BIT(28)
#define F1_ECX                                                                                     \
    (BIT(13) | BIT(17) | BIT(22) | BIT(23) | BIT(26) | BIT(30) |                                   \
     BIT(31)) /* CX16 PCID MOVBE POPCNT XSAVE RDRAND hypervisor */
#define F1_ECX_X2APIC BIT(21)
#define F1_ECX_TSC_DEADLINE BIT(24)
#define F1_ECX_OSXSAVE BIT(27)

/* Leaf 7. */
#define F7_EBX                                                                                     \
    (BIT(0) | BIT(1) | BIT(3) | BIT(7) | BIT(8) | BIT(9) |                                         \
     BIT(10) /* FSGSBASE TSC_ADJUST BMI1 SMEP BMI2 ERMS INVPCID */                                 \
     | BIT(18) | BIT(19) | BIT(20) | BIT(23) | BIT(24)) /* RDSEED ADX SMAP CLFLUSHOPT CLWB */
#define F7_ECX (BIT(2) | BIT(22))                       /* UMIP RDPID */
#define F7_EDX (BIT(4) | BIT(26) | BIT(29))             /* FSRM, SPEC_CTRL, ARCH_CAPABILITIES */

/* Leaf 0x80000001: edx repeats most of leaf 1's. */
#define FE_EDX                                                                                     \
    ((F1_EDX & 0x0183f3ffu) | BIT(11) | BIT(20) | BIT(22) | BIT(26) | BIT(27) |                    \
     BIT(29))                                       /* SYSCALL NX MMXEXT 1GB RDTSCP LM */
#define FE_ECX (BIT(0) | BIT(5) | BIT(8) | BIT(22)) /* LAHF LZCNT PREFETCHW TOPOEXT */
#define FE_ECX_CMP BIT(1)
/* Leaf 0x80000008: x87 pointers always saved; IBPB, IBRS; not vulnerable by store bypass or branch
 * type confusion. */
#define FE8_EBX (BIT(2) | BIT(12) | BIT(14) | BIT(26) | BIT(29))
/* Leaf 0x80000021: LFENCE serialises, null selectors clear the base, no return speculation to
 * attack. */
#define FE21_EAX (BIT(2) | BIT(6) | BIT(29))
#define FE21_ECX (BIT(1) | BIT(2)) /* no transient scheduler attacks */

/* State components: x87 and SSE in the 512 legacy bytes, 64 of header, AVX behind. */
#define XSAVE_LEGACY_AND_HEADER 576u
#define XSAVE_AVX_BYTES 256u

static const char vendor[12] = "AuthenticAMD";
static const char brand[48] = "minivmm virtual CPU";
static const char hypervisor[12] = "minivmm";

enum { EAX, EBX, ECX, EDX };

uint64_t x86_xcr0_supported(void)
{
    return x86_host_vector_level() & VEC_AVX ? 7 : 3;
}

/* No Meltdown, L1TF, MDS, TAA, store bypass or stale-data leaks; indirect branches are safe with
 * IBRS once set (bits as in the SDM). */
uint64_t x86_arch_capabilities(void)
{
    return BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) |
           BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27);
}

/* Vector extensions run on the host's units: the guest gets what the host has (vec.h). */
static const struct {
    uint32_t need, leaf1_ecx, leaf7_ebx;
} vector_features[] = {
    {VEC_SSE3, BIT(0), 0},   {VEC_PCLMUL, BIT(1), 0}, {VEC_SSSE3, BIT(9), 0}, {VEC_FMA, BIT(12), 0},
    {VEC_SSE41, BIT(19), 0}, {VEC_SSE42, BIT(20), 0}, {VEC_AES, BIT(25), 0},  {VEC_AVX, BIT(28), 0},
    {VEC_F16C, BIT(29), 0},  {VEC_AVX2, 0, BIT(5)},   {VEC_SHA, 0, BIT(29)},
};

static void vector_bits(uint32_t *leaf1_ecx, uint32_t *leaf7_ebx)
{
    uint32_t have = x86_host_vector_level();
    for (unsigned n = 0; n < sizeof vector_features / sizeof vector_features[0]; n++) {
        if (have & vector_features[n].need) {
            *leaf1_ecx |= vector_features[n].leaf1_ecx;
            *leaf7_ebx |= vector_features[n].leaf7_ebx;
        }
    }
}

static uint32_t word(const char *text, unsigned n)
{
    uint32_t v;
    memcpy(&v, text + 4 * n, 4);
    return v;
}

static unsigned id_bits(unsigned n)
{
    unsigned bits = 0;
    while ((1u << bits) < n)
        bits++;
    return bits;
}

static void features(const struct x86_cpu *cpu, uint32_t r[4])
{
    const struct x86_env *env = cpu->env;
    r[EAX] = SIGNATURE;
    r[EBX] = cpu->id << 24 | (env->ncpus & 0xff) << 16 | 8u << 8; /* 64-byte lines */
    uint32_t leaf7 = 0;
    r[ECX] = F1_ECX | (env->x2apic ? F1_ECX_X2APIC : 0) |
             (env->tsc_deadline ? F1_ECX_TSC_DEADLINE : 0) |
             (cpu->cr4 & CR4_OSXSAVE ? F1_ECX_OSXSAVE : 0);
    r[EDX] = F1_EDX | (env->ncpus > 1 ? F1_EDX_HTT : 0);
    vector_bits(&r[ECX], &leaf7);
}

/* Leaf 7. */
static void more_features(uint32_t r[4])
{
    uint32_t leaf1 = 0;
    r[EBX] = F7_EBX;
    r[ECX] = F7_ECX;
    r[EDX] = F7_EDX;
    vector_bits(&leaf1, &r[EBX]);
}

static void topology(const struct x86_cpu *cpu, uint32_t level, uint32_t r[4])
{
    unsigned n = cpu->env->ncpus;
    r[ECX] = level;
    r[EDX] = cpu->id;
    if (level == 0) { /* threads of a core */
        r[EBX] = 1;
        r[ECX] |= 1u << 8;
    } else if (level == 1) { /* cores of the package */
        r[EAX] = id_bits(n);
        r[EBX] = n;
        r[ECX] |= 2u << 8;
    }
}

static uint32_t xsave_bytes(uint64_t components)
{
    return XSAVE_LEGACY_AND_HEADER + (components & 4 ? XSAVE_AVX_BYTES : 0);
}

static void xsave(const struct x86_cpu *cpu, uint32_t sub, uint32_t r[4])
{
    uint64_t all = x86_xcr0_supported();
    if (sub == 0) {
        r[EAX] = (uint32_t)all;
        r[EBX] = xsave_bytes(cpu->xcr0);
        r[ECX] = xsave_bytes(all);
    } else if (sub == 1) {
        r[EAX] = 0xf; /* XSAVEOPT, XSAVEC, XGETBV with ecx 1, XSAVES */
        r[EBX] = xsave_bytes(cpu->xcr0 | cpu->msr.xss);
    } else if (sub == 2 && all & 4) {
        r[EAX] = XSAVE_AVX_BYTES;
        r[EBX] = XSAVE_LEGACY_AND_HEADER;
    }
}

/* Leaf 0x8000001d: caches of a usual core. */
static void caches(const struct x86_cpu *cpu, uint32_t sub, uint32_t r[4])
{
    static const struct {
        uint32_t type, level, ways, sets;
        bool shared;
    } cache[] = {{1, 1, 8, 64, false},
                 {2, 1, 8, 64, false},
                 {3, 2, 8, 1024, false},
                 {3, 3, 16, 16384, true}};
    if (sub >= sizeof cache / sizeof cache[0])
        return;
    r[EAX] = cache[sub].type | cache[sub].level << 5 | 1u << 8 |
             (cache[sub].shared ? (cpu->env->ncpus - 1) << 14 : 0);
    r[EBX] = 63 | (cache[sub].ways - 1) << 22;
    r[ECX] = cache[sub].sets - 1;
}

static void basic(const struct x86_cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    switch (leaf) {
    case 0:
        r[EAX] = MAX_BASIC;
        r[EBX] = word(vendor, 0);
        r[EDX] = word(vendor, 1);
        r[ECX] = word(vendor, 2);
        break;
    case 1:
        features(cpu, r);
        break;
    case 6:
        r[EAX] = BIT(2); /* the APIC timer never stops */
        break;
    case 7:
        if (!sub)
            more_features(r);
        break;
    case 0xb:
        topology(cpu, sub, r);
        break;
    case 0xd:
        xsave(cpu, sub, r);
        break;
    }
}

static void extended(const struct x86_cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    unsigned n = cpu->env->ncpus;
    switch (leaf) {
    case 0x80000000:
        r[EAX] = MAX_EXTENDED;
        r[EBX] = word(vendor, 0);
        r[EDX] = word(vendor, 1);
        r[ECX] = word(vendor, 2);
        break;
    case 0x80000001:
        r[EAX] = SIGNATURE;
        r[ECX] = FE_ECX | (n > 1 ? FE_ECX_CMP : 0);
        r[EDX] = FE_EDX;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        for (unsigned w = 0; w < 4; w++)
            r[w] = word(brand, (leaf - 0x80000002) * 4 + w);
        break;
    case 0x80000005: /* level 1 TLBs and caches: 64 entries, 32 KiB, 8 ways, 64-byte lines */
        r[EAX] = r[EBX] = 0xff40ff40;
        r[ECX] = r[EDX] = 32u << 24 | 8u << 16 | 1u << 8 | 64;
        break;
    case 0x80000006: /* level 2: 512 KiB, 8 ways; level 3: 16 MiB */
        r[ECX] = 512u << 16 | 6u << 12 | 1u << 8 | 64;
        r[EDX] = 32u << 18 | 8u << 12 | 1u << 8 | 64;
        break;
    case 0x80000007:
        r[EDX] = BIT(8); /* the time-stamp counter never changes its rate */
        break;
    case 0x80000008:
        r[EAX] = cpu->env->phys_bits | 48u << 8;
        r[EBX] = FE8_EBX;
        r[ECX] = id_bits(n) << 12 | (n - 1);
        break;
    case 0x8000001d:
        caches(cpu, sub, r);
        break;
    case 0x8000001e:
        r[EAX] = cpu->id;
        r[EBX] = cpu->id; /* core; one thread */
        break;
    case 0x80000021:
        r[EAX] = FE21_EAX;
        r[ECX] = FE21_ECX;
        break;
    }
}

static void hypervisor_leaf(const struct x86_cpu *cpu, uint32_t leaf, uint32_t r[4])
{
    if (leaf == 0x40000000) {
        r[EAX] = MAX_HYPERVISOR;
        r[EBX] = word(hypervisor, 0);
        r[ECX] = word(hypervisor, 1);
        r[EDX] = word(hypervisor, 2);
    } else if (leaf == 0x40000010) {
        r[EAX] = (uint32_t)(cpu->env->tsc_hz /
                            1000); /* as other hypervisors do: time-stamp counter in kHz */
    }
}

/* Leaves that do not exist read as zero, as on AMD processors. */
void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    if (leaf >> 30 == 2)
        extended(cpu, leaf, subleaf, out);
    else if (leaf >> 28 == 4)
        hypervisor_leaf(cpu, leaf, out);
    else
        basic(cpu, leaf, subleaf, out);
    if (cpu->env->change_cpuid)
        cpu->env->change_cpuid(cpu->env->opaque, leaf, subleaf, out);
}
