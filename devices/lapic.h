// SPDX-License-Identifier: MIT
//
// A CPU's local APIC for software engines (SDM vol. 3 chapter 11): xAPIC and x2APIC, timer, IPIs.
// The engine gives it the accesses of its own CPU (page at IA32_APIC_BASE, MSRs, CR8), looks at
// lapic_pending(), takes the vector by lapic_intack(), and hears through struct lapic_sink what
// others send. Made by intc.h, one a CPU.
// Thread: under the device lock. Sink functions are called there too and must not call back.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "devices/apic_msg.h"

struct lapic;

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST 0x8ff

#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_EXTD (1u << 10)
#define APIC_BASE_EN (1u << 11)
#define APIC_PAGE 0x1000u

/* What happens to a CPU, told on the thread that caused it; the CPU may be running. */
struct lapic_sink {
    void (*wake)(void *opaque, unsigned cpu); /* lapic_pending() has become true */
    void (*init)(void *opaque, unsigned cpu); /* INIT; the local APIC has been reset already */
    void (*sipi)(void *opaque, unsigned cpu, uint8_t vector); /* ignored unless it waits for one */
    void (*nmi)(void *opaque, unsigned cpu);
    void *opaque;
};

/*
 * A CPU's time stamp counter and guest time. to_ns: the first nanosecond at which the counter is at
 * least `tsc`, CLOCK_NEVER when out of range. from_ns: the counter at a time. Both NULL: there is
 * no TSC-deadline mode (and CPUID must not offer it).
 */
struct lapic_tsc {
    uint64_t (*to_ns)(void *opaque, unsigned cpu, uint64_t tsc);
    uint64_t (*from_ns)(void *opaque, unsigned cpu, uint64_t ns);
    void *opaque;
};

/* Local vector table, in order of its registers from offset 0x320. */
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic_timer_regs {
    uint32_t initial; /* initial count register */
    uint8_t divide;   /* divide configuration register */
    /* It stood at `count` at start_ns and counts down since; 0: stopped. */
    uint32_t count;
    uint64_t start_ns;
    uint64_t deadline_tsc; /* IA32_TSC_DEADLINE; 0: disarmed */
    uint64_t expiry_ns;    /* when to look next; CLOCK_NEVER */
};

struct lapic_regs {
    uint64_t apic_base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr;
    uint32_t esr;    /* as software reads it */
    uint32_t errors; /* seen since its last write */
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    uint32_t isr[8], tmr[8], irr[8]; /* a bit per vector */
    bool lint[2];                    /* levels of the pins */
    bool extint;                     /* an ExtINT message waits for its INTA */
    struct lapic_timer_regs timer;
};

/* What all local APICs of a machine share. */
struct lapic_wires {
    struct clock *clock;
    struct lapic_sink sink;
    struct lapic_tsc tsc;
    unsigned phys_bits;
    void *opaque; /* of the functions below */
    void (*send)(void *opaque, struct lapic *from, const struct apic_msg *msg);
    void (*eoi)(void *opaque, uint8_t vector); /* of a level-triggered interrupt */
    int (*extint_ack)(void *opaque);           /* INTA to the 8259 pair */
};

struct lapic {
    struct lapic_regs regs;
    const struct lapic_wires *wires;
    unsigned cpu; /* also the APIC id */
    bool pending; /* follows from regs */
    struct timer timer;
};

/* --- for the engine, with the CPU's own APIC --- */

/*
 * There is something to interrupt the CPU with: a vector above its priority, or ExtINT. IF and
 * interrupt shadows are the engine's affair.
 */
static inline bool lapic_pending(const struct lapic *l)
{
    return l->pending;
}

/* INTA: the vector, now in service. Without a request it is a spurious one, never -1. */
int lapic_intack(struct lapic *l);

/* True when a physical address is in this CPU's APIC page; other CPUs' pages may lie elsewhere. */
static inline bool lapic_claims(const struct lapic *l, uint64_t gpa)
{
    return (l->regs.apic_base & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN &&
           (gpa ^ l->regs.apic_base) < APIC_PAGE;
}

/* An access inside the page, of 1, 2, 4 or 8 bytes. */
uint64_t lapic_mmio_read(struct lapic *l, unsigned off, unsigned size);
void lapic_mmio_write(struct lapic *l, unsigned off, unsigned size, uint64_t val);

/* The three MSR ranges above. -1: #GP. */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val);
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val);

/* CR8: 0-15; the engine refuses more. */
uint64_t lapic_cr8_read(const struct lapic *l);
void lapic_cr8_write(struct lapic *l, uint64_t val);

/* The CPU's counter was written: the deadline is looked up anew. */
void lapic_tsc_changed(struct lapic *l);

/* --- for the controller that owns it --- */

void lapic_init(struct lapic *l, const struct lapic_wires *wires, unsigned cpu);
void lapic_fini(struct lapic *l);
void lapic_reset(struct lapic *l); /* power-on */

/* Drive LINT0 or LINT1. */
void lapic_lint_set(struct lapic *l, unsigned pin, bool level);

/* True when the message's destination (not a shorthand) means this APIC. */
bool lapic_matches(const struct lapic *l, const struct apic_msg *msg);

/* True when it takes fixed interrupts; then its arbitration priority counts. */
bool lapic_is_enabled(const struct lapic *l);
uint8_t lapic_arbitration_priority(const struct lapic *l);

/* Take a message; false when it is lost. */
bool lapic_receive(struct lapic *l, const struct apic_msg *msg);
