// SPDX-License-Identifier: MIT
//
// What surrounds the CPU, as functions: the engine fills this in, tests put fakes. All called on
// the vCPU's thread, which holds no lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gmem.h"
#include "src/accel/x86/cpu.h"

struct cpu_features;

struct x86_env {
    struct gmem *gmem;
    void *opaque;
    uint64_t (*io_read)(void *opaque, uint16_t port, unsigned size);
    void (*io_write)(void *opaque, uint16_t port, unsigned size, uint64_t val);
    uint64_t (*mmio_read)(void *opaque, gpa_t gpa, unsigned size);
    void (*mmio_write)(void *opaque, gpa_t gpa, unsigned size, uint64_t val);
    uint64_t (*tsc)(void *opaque); /* nanoseconds of guest time */
    uint64_t (*utc_of_start)(void *opaque); /* UTC in ns at guest time 0 */
    /* msr.tsc_adjust is the same on all CPUs. NULL: always. */
    bool (*tscs_agree)(void *opaque);
    /* The guest moved this CPU's counter against `tsc`: msr.tsc_adjust is another. May be NULL. */
    void (*tsc_changed)(void *opaque, unsigned cpu);
    /* Local APIC as CR8 and MSRs see it. -1: #GP. */
    int (*apic_msr_read)(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val);
    int (*apic_msr_write)(void *opaque, unsigned cpu, uint32_t msr, uint64_t val);
    uint64_t (*cr8_read)(void *opaque, unsigned cpu);
    void (*cr8_write)(void *opaque, unsigned cpu, uint64_t val);
    /*
     * True when the physical page holds decoded code: its write tags stay out of the TLB, and
     * writes call code_written.
     */
    bool (*page_has_code)(void *opaque, gpa_t page);
    void (*code_written)(void *opaque, gpa_t gpa, unsigned len);
    /*
     * Engines that look code up by linear address must have cpu->tlb_context in the key: it changes
     * with address space, privilege and TLB flushes, and a number is not used for anything else
     * until this call. Called when such lookups are void nonetheless: when context numbers begin
     * anew.
     */
    void (*code_mapping_changed)(void *opaque);
    /* The same for the page at va alone: INVLPG. NULL: the call above stands for it. */
    void (*code_page_flushed)(void *opaque, gva_t va);
    /* This CPU waits for another one: a good moment to let that one run. May be NULL. */
    void (*pause)(void *opaque, unsigned cpu);
    /* The processor model (cpuid.c). features: NULL is all that can be emulated. */
    const struct cpu_features *features;
    unsigned phys_bits; /* 36 to 52; 40 is what the model of today has */
    unsigned ncpus;
    uint64_t tsc_hz;
    bool x2apic, tsc_deadline; /* the local APIC behind apic_msr_* has them */
};
