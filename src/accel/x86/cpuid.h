// SPDX-License-Identifier: MIT
//
// The processor model of all software engines.
#pragma once

#include <stdint.h>

struct x86_cpu;

/* eax, ebx, ecx, edx. */
void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* State components XSETBV may enable: x87 and SSE, and AVX where the model has it. */
uint64_t x86_xcr0_supported(void);

/* IA32_ARCH_CAPABILITIES. */
uint64_t x86_arch_capabilities(void);
