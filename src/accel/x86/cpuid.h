// SPDX-License-Identifier: MIT
//
// The processor model of all software engines.
#pragma once

#include <stdint.h>

#include "cpu_model.h"

struct x86_cpu;
struct x86_env;

/* What can be emulated on this host. */
void x86_emulated_features(const struct x86_env *env, struct cpu_features *out);

/* eax, ebx, ecx, edx. */
void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* State components XSETBV may enable: x87 and SSE, and AVX where the model has it. */
uint64_t x86_xcr0_supported(const struct x86_cpu *cpu);

/* Bits of CR4 that are reserved because the model lacks their feature. */
uint64_t x86_cr4_withheld(const struct x86_cpu *cpu);

/* IA32_ARCH_CAPABILITIES. */
uint64_t x86_arch_capabilities(void);
