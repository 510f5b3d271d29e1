// SPDX-License-Identifier: MIT
//
// The local APIC's timer in TSC-deadline mode (SDM vol. 3 section 11.5.4.1): it fires when the counter reaches the deadline, also when it
// gets there because software wrote the counter (IA32_TIME_STAMP_COUNTER, IA32_TSC_ADJUST).
#include "guest.h"

#define TIMER 0x50
#define LVT_DEADLINE 0x40000u
#define MSR_TSC 0x10
#define MSR_TSC_ADJUST 0x3b
#define MSR_TSC_DEADLINE 0x6e0

static uint64_t rdmsr(uint32_t n)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
    return lo | (uint64_t)hi << 32;
}

static void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static uint64_t tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

static uint64_t per_ms;

/* Interrupts that come within a time. */
static uint32_t seen_within(uint32_t ms)
{
    uint32_t before = irq_count[TIMER];
    irq_on();
    wait_ms(ms);
    irq_off();
    return irq_count[TIMER] - before;
}

/* One comes, however late: a busy host may keep us from seeing it for a while. */
static bool seen_once(void)
{
    uint32_t before = irq_count[TIMER];
    irq_on();
    for (unsigned ms = 0; ms < 10000 && irq_count[TIMER] == before; ms++)
        wait_ms(1);
    irq_off();
    return irq_count[TIMER] - before == 1;
}

static void arm(uint32_t ms)
{
    wrmsr(MSR_TSC_DEADLINE, tsc() + ms * per_ms);
}

static void in_time(void)
{
    arm(500);
    CHECK(seen_within(10) == 0);
    CHECK(seen_once());
    CHECK(rdmsr(MSR_TSC_DEADLINE) == 0);
    print("at the deadline\n");
}

static void shift_tsc(int64_t ms)
{
    wrmsr(MSR_TSC, tsc() + (uint64_t)(ms * (int64_t)per_ms));
}

static void shift_adjust(int64_t ms)
{
    wrmsr(MSR_TSC_ADJUST, rdmsr(MSR_TSC_ADJUST) + (uint64_t)(ms * (int64_t)per_ms));
}

static void moved(void (*shift)(int64_t ms))
{
    arm(10000);
    shift(20000);
    CHECK(seen_once());
    arm(20);
    shift(-10000);
    CHECK(seen_within(100) == 0);
    shift(10000);
    CHECK(seen_once());
}

void guest_main(void)
{
    irq_setup();
    lapic_enable();
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    CHECK(c >> 24 & 1);
    uint64_t start = tsc();
    wait_ms(20);
    per_ms = (tsc() - start) / 20;
    lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | TIMER);
    __asm__ volatile("mfence"); /* the mode before the deadline */
    in_time();
    moved(shift_tsc);
    print("after a write to the counter\n");
    moved(shift_adjust);
    print("after a write to its adjustment\n");
}
