// SPDX-License-Identifier: MIT
//
// The CPUID leaves of a set of features (SDM vol. 2 CPUID; APM vol. 3 appendix E). The processor is
// an AMD family 19h core, because stock kernels run those without page-table isolation and with few
// errata; no processor's quirks are behind it. One package, one thread a core.
// Left out: performance counters, memory protection keys, five-level paging, SVM, MONITOR.
#include <string.h>

#include "cpu_model.h"
#include "util.h"

#define SIGNATURE 0x00a00f11u /* family 19h, model 1, stepping 1 */
#define MAX_BASIC 0xdu
#define MAX_EXTENDED 0x80000021u
#define MAX_KVM 0x40000001u

#define F1_ECX_OSXSAVE (1u << 27)
#define F1_EDX_HTT (1u << 28)
#define FE1_ECX_CMP (1u << 1)
#define FE1_EDX_COPIED 0x0183f3ffu /* bits of leaf 1 that leaf 0x80000001 has again */

/* State components: x87 and SSE in the 512 legacy bytes, 64 of header, AVX behind. */
#define XSAVE_LEGACY_AND_HEADER 576u
#define XSAVE_AVX_BYTES 256u
#define F1_ECX_XSAVE 26
#define F1_ECX_AVX 28

static const char vendor[12] = "AuthenticAMD";
static const char kvm_name[12] = "KVMKVMKVM";
static const char brand[48] = "minivmm virtual CPU";

enum { EAX, EBX, ECX, EDX };

const struct cpu_leaf_name cpu_leaf_names[] = {
    {0, 0, false},          {1, 0, false},          {6, 0, false},          {7, 0, true},
    {0xb, 0, true},         {0xb, 1, true},         {0xb, 2, true},         {0xd, 0, true},
    {0xd, 1, true},         {0xd, 2, true},         {0x80000000, 0, false}, {0x80000001, 0, false},
    {0x80000002, 0, false}, {0x80000003, 0, false}, {0x80000004, 0, false}, {0x80000005, 0, false},
    {0x80000006, 0, false}, {0x80000007, 0, false}, {0x80000008, 0, false}, {0x8000001d, 0, true},
    {0x8000001d, 1, true},  {0x8000001d, 2, true},  {0x8000001d, 3, true},  {0x8000001e, 0, false},
    {0x80000021, 0, false}, {0x40000000, 0, false}, {0x40000001, 0, false}, {0, 0, false},
};

uint64_t cpu_xcr0(const struct cpu_features *f)
{
    return !cpu_has(f, CPU_1_ECX, F1_ECX_XSAVE) ? 1 : cpu_has(f, CPU_1_ECX, F1_ECX_AVX) ? 7 : 3;
}

static uint32_t word(const char *text, unsigned n)
{
    uint32_t v;
    memcpy(&v, text + 4 * n, 4);
    return v;
}

unsigned cpu_id_bits(unsigned cores)
{
    unsigned bits = 0;
    while ((1u << bits) < cores)
        bits++;
    return bits;
}

static void features(const struct cpu_features *f, const struct cpu_place *p, uint32_t r[4])
{
    r[EAX] = SIGNATURE;
    r[EBX] = p->id << 24 | (p->cpus & 0xff) << 16 | 8u << 8; /* 64-byte lines */
    r[ECX] = f->word[CPU_1_ECX] | (p->osxsave ? F1_ECX_OSXSAVE : 0);
    r[EDX] = f->word[CPU_1_EDX] | (p->cpus > 1 ? F1_EDX_HTT : 0);
}

static void topology(const struct cpu_place *p, uint32_t level, uint32_t r[4])
{
    r[ECX] = level;
    r[EDX] = p->id;
    if (level == 0) { /* threads of a core */
        r[EBX] = 1;
        r[ECX] |= 1u << 8;
    } else if (level == 1) { /* cores of the package */
        r[EAX] = cpu_id_bits(p->cpus);
        r[EBX] = p->cpus;
        r[ECX] |= 2u << 8;
    }
}

static uint32_t xsave_bytes(uint64_t components)
{
    return XSAVE_LEGACY_AND_HEADER + (components & CPU_XSAVE_AVX ? XSAVE_AVX_BYTES : 0);
}

static void xsave(const struct cpu_features *f, const struct cpu_place *p, uint32_t sub,
                  uint32_t r[4])
{
    uint64_t all = cpu_xcr0(f);
    if (!cpu_has(f, CPU_1_ECX, F1_ECX_XSAVE))
        return;
    if (sub == 0) {
        r[EAX] = (uint32_t)all;
        r[EBX] = xsave_bytes(p->xcr0);
        r[ECX] = xsave_bytes(all);
    } else if (sub == 1) {
        r[EAX] = f->word[CPU_D1_EAX];
        r[EBX] = r[EAX] & 0xa ? xsave_bytes(p->xcr0 | p->xss) : 0; /* of the compacted form */
    } else if (sub == 2 && all & CPU_XSAVE_AVX) {
        r[EAX] = XSAVE_AVX_BYTES;
        r[EBX] = XSAVE_LEGACY_AND_HEADER;
    }
}

/* Leaf 0x8000001d: caches of a usual core. */
static void caches(const struct cpu_place *p, uint32_t sub, uint32_t r[4])
{
    static const struct {
        uint32_t type, level, ways, sets;
        bool shared;
    } cache[] = {{1, 1, 8, 64, false},
                 {2, 1, 8, 64, false},
                 {3, 2, 8, 1024, false},
                 {3, 3, 16, 16384, true}};
    if (sub >= ARRAY_LEN(cache))
        return;
    r[EAX] = cache[sub].type | cache[sub].level << 5 | 1u << 8 |
             (cache[sub].shared ? (p->cpus - 1) << 14 : 0);
    r[EBX] = 63 | (cache[sub].ways - 1) << 22;
    r[ECX] = cache[sub].sets - 1;
}

static void basic(const struct cpu_features *f, const struct cpu_place *p, uint32_t leaf,
                  uint32_t sub, uint32_t r[4])
{
    switch (leaf) {
    case 0:
        r[EAX] = MAX_BASIC;
        r[EBX] = word(vendor, 0);
        r[EDX] = word(vendor, 1);
        r[ECX] = word(vendor, 2);
        break;
    case 1:
        features(f, p, r);
        break;
    case 6:
        r[EAX] = f->word[CPU_6_EAX];
        break;
    case 7:
        if (!sub) {
            r[EBX] = f->word[CPU_7_EBX];
            r[ECX] = f->word[CPU_7_ECX];
            r[EDX] = f->word[CPU_7_EDX];
        }
        break;
    case 0xb:
        topology(p, sub, r);
        break;
    case 0xd:
        xsave(f, p, sub, r);
        break;
    }
}

static void extended(const struct cpu_features *f, const struct cpu_place *p, uint32_t leaf,
                     uint32_t sub, uint32_t r[4])
{
    unsigned n = p->cpus;
    switch (leaf) {
    case 0x80000000:
        r[EAX] = MAX_EXTENDED;
        r[EBX] = word(vendor, 0);
        r[EDX] = word(vendor, 1);
        r[ECX] = word(vendor, 2);
        break;
    case 0x80000001:
        r[EAX] = SIGNATURE;
        r[ECX] = f->word[CPU_E1_ECX] | (n > 1 ? FE1_ECX_CMP : 0);
        r[EDX] = f->word[CPU_E1_EDX] | (f->word[CPU_1_EDX] & FE1_EDX_COPIED);
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
        r[EDX] = f->word[CPU_E7_EDX];
        break;
    case 0x80000008:
        r[EAX] = p->phys_bits | 48u << 8;
        r[EBX] = f->word[CPU_E8_EBX];
        r[ECX] = cpu_id_bits(n) << 12 | (n - 1);
        break;
    case 0x8000001d:
        caches(p, sub, r);
        break;
    case 0x8000001e:
        r[EAX] = p->id;
        r[EBX] = p->id; /* core; one thread */
        break;
    case 0x80000021:
        r[EAX] = f->word[CPU_E21_EAX];
        r[ECX] = f->word[CPU_E21_ECX];
        break;
    }
}

static void hypervisor(const struct cpu_features *f, uint32_t leaf, uint32_t r[4])
{
    if (!cpu_has(f, CPU_H0_EAX, CPU_H0_KVM))
        return;
    if (leaf == 0x40000000) {
        r[EAX] = MAX_KVM;
        r[EBX] = word(kvm_name, 0);
        r[ECX] = word(kvm_name, 1);
        r[EDX] = word(kvm_name, 2);
    } else if (leaf == MAX_KVM) {
        r[EAX] = f->word[CPU_H1_EAX];
    }
}

void cpu_leaf(const struct cpu_features *f, const struct cpu_place *place, uint32_t leaf,
              uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    if (leaf >> 30 == 2)
        extended(f, place, leaf, subleaf, out);
    else if (leaf >> 28 == 4)
        hypervisor(f, leaf, out);
    else
        basic(f, place, leaf, subleaf, out);
}
