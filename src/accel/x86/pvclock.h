// SPDX-License-Identifier: MIT
//
// The paravirtual clock of KVM guests, for software engines: see pvclock.c. Own thread.
#pragma once

#include "cpu.h"

/* The guest writes the registers; any value. */
void x86_pvclock_set_wall(struct x86_cpu *cpu, uint64_t val);
void x86_pvclock_set_system(struct x86_cpu *cpu, uint64_t val);

/*
 * Tell the guest anew how time follows from this CPU's time-stamp counter, if it wants to know:
 * that counter was moved, or now agrees with the other CPUs', or does no longer.
 */
void x86_pvclock_renew(struct x86_cpu *cpu);
