// SPDX-License-Identifier: MIT
//
// The processor that a guest sees, apart from any engine: one table of features (name, CPUID bit,
// from which model on), the models of -cpu, and the CPUID leaves that follow from a set of
// features. An engine says what it can offer; cpu_model_resolve says what the guest gets. SDM vol.
// 2 CPUID; APM vol. 3 appendix E; levels v1 to v3 as in the x86-64 psABI, section 3.1.1.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

/* CPUID registers that hold features. */
enum cpu_word {
    CPU_1_ECX, CPU_1_EDX, CPU_6_EAX, CPU_7_EBX, CPU_7_ECX, CPU_7_EDX, CPU_D1_EAX, CPU_E1_ECX,
    CPU_E1_EDX, CPU_E7_EDX, CPU_E8_EBX, CPU_E21_EAX, CPU_E21_ECX, CPU_H0_EAX, CPU_H1_EAX, CPU_WORDS,
};

/*
 * Leaf 0x40000000 holds no features but the last of its kind: 0x40000001 where KVM's leaves are
 * shown, 0x40000010 with the one of frequencies behind them. These bits of it tell.
 */
enum { CPU_H0_TIMING = 4, CPU_H0_KVM = 30 };
enum { CPU_H1_OLD_KVMCLOCK = 0, CPU_H1_KVMCLOCK = 3 };

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct cpu_word_place {
    uint32_t leaf, subleaf;
    unsigned reg; /* CPUID_EAX ... */
};
extern const struct cpu_word_place cpu_word_places[CPU_WORDS];

struct cpu_features {
    uint32_t word[CPU_WORDS];
};

static inline bool cpu_has(const struct cpu_features *f, enum cpu_word word, unsigned bit)
{
    return f->word[word] >> bit & 1;
}

/*
 * Everything in the table: what the software engines emulate, given a host with the vector units
 * for it.
 */
void cpu_features_all(struct cpu_features *out);

/* Take from f what `other` has not. Statements stay, which need nothing of a host. */
void cpu_features_narrow(struct cpu_features *f, const struct cpu_features *other);

/* False for a model-specific register whose feature is not there. */
bool cpu_msr_offered(const struct cpu_features *f, uint32_t msr);

/* --- -cpu --- */

struct cpu_model;

struct cpu_choice {
    const struct cpu_model *model;
    struct cpu_features plus, minus;
};

/*
 * "MODEL[,+F][,-F][,F=on|off]..."; -EINVAL with the option's message. An empty model before the
 * first comma is an error.
 */
int cpu_choice_parse(struct cpu_choice *out, const char *text, struct err *err);
void cpu_choice_print(const struct cpu_choice *choice, FILE *out);
void cpu_print_help(FILE *out);

/*
 * True when the guest gets an engine's own CPU (max, host), false for a model that is the same on
 * every engine. A NULL choice is max.
 */
bool cpu_choice_is_own(const struct cpu_choice *choice);

/*
 * What the guest gets from an engine that can offer `have`: a model's features or an error that
 * names those that are missing. `native`: the engine runs on the host's CPU, so that "host" has a
 * meaning.
 */
int cpu_model_resolve(const struct cpu_choice *choice, const struct cpu_features *have,
                      const char *engine, bool native, struct cpu_features *out, struct err *err);

/* --- leaves (cpu_leaves.c) --- */

#define CPU_PHYS_BITS 40 /* of all models */
#define CPU_XSAVE_AVX 4ull

/* One CPU, where it is and what it is doing. */
struct cpu_place {
    unsigned id, cpus, phys_bits;
    bool osxsave;       /* CR4.OSXSAVE */
    uint64_t xcr0, xss; /* now enabled */
};

/* Bits of APIC ids that tell so many cores apart. */
unsigned cpu_id_bits(unsigned cores);

/* State components that XCR0 may have. */
uint64_t cpu_xcr0(const struct cpu_features *f);

/*
 * eax, ebx, ecx, edx. What does not exist is zero, as on AMD processors. Of the hypervisor's leaves
 * (0x4000_00xx) those that KVM has; others are the engine's.
 */
void cpu_leaf(const struct cpu_features *f, const struct cpu_place *place, uint32_t leaf,
              uint32_t subleaf, uint32_t out[4]);

/* Every (leaf, subleaf) that cpu_leaf may fill, ended by {0, 0} behind the first row. */
struct cpu_leaf_name {
    uint32_t leaf, subleaf;
    bool indexed;
};
extern const struct cpu_leaf_name cpu_leaf_names[];
