// SPDX-License-Identifier: MIT
//
// Local APIC and IOAPIC (SDM vol. 3 chapter 11; 82093AA datasheet): identity, self-IPI, priority,
// the timer one-shot and periodic against the PM timer, and the PIT's edges through IOAPIC pin 2,
// masked and unmasked.
#include "guest.h"

#define TIMER 0x50
#define SELF_LOW 0x60
#define SELF_HIGH 0x70
#define PIT 0x58
#define PINS 24
#define ISA_PIT_PIN 2
#define SELF_IPI 0x40000u

static void let_in(uint32_t ms)
{
    irq_on();
    wait_ms(ms);
    irq_off();
}

static void identity(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0x1b)); /* IA32_APIC_BASE */
    CHECK((lo & 0xfffff900u) == (LAPIC | 0x900) && !hi);        /* on, xAPIC, boot CPU */
    CHECK(lapic_id() == 0);
    CHECK((lapic_read(LAPIC_VERSION) & 0xf0) == 0x10);
    CHECK((ioapic_read(1) >> 16 & 0xff) == PINS - 1);
    for (unsigned pin = 0; pin < PINS; pin++)
        CHECK(ioapic_read(0x10 + 2 * pin) & IOAPIC_MASKED);
    print("one local APIC, one IOAPIC of %u pins\n", PINS);
}

static void self_ipi(void)
{
    lapic_write(LAPIC_ICR_LOW, SELF_IPI | SELF_HIGH);
    let_in(1);
    CHECK(irq_count[SELF_HIGH] == 1);
    lapic_write(LAPIC_TPR, 0x60); /* holds back classes up to 6 */
    lapic_write(LAPIC_ICR_LOW, SELF_IPI | SELF_LOW);
    lapic_write(LAPIC_ICR_LOW, SELF_IPI | SELF_HIGH);
    let_in(1);
    CHECK(irq_count[SELF_HIGH] == 2 && irq_count[SELF_LOW] == 0);
    lapic_write(LAPIC_TPR, 0);
    let_in(1);
    CHECK(irq_count[SELF_LOW] == 1);
    print("self-IPI and priority\n");
}

/* Ticks of the APIC timer, divided by 16, in 20 ms or a little more. */
static uint32_t calibrate(void)
{
    lapic_write(LAPIC_TIMER_DIVIDE, 3);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | TIMER);
    lapic_write(LAPIC_TIMER_INITIAL, 0xffffffff);
    wait_ms(20);
    uint32_t ticks = 0xffffffff - lapic_read(LAPIC_TIMER_CURRENT);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    CHECK(ticks > 1000);
    return ticks;
}

static void timer(void)
{
    uint32_t ticks = calibrate();
    lapic_write(LAPIC_LVT_TIMER, TIMER);
    lapic_write(LAPIC_TIMER_INITIAL, ticks);
    irq_wait_count(TIMER, 1);
    let_in(30);
    CHECK(irq_count[TIMER] == 1);
    print("APIC timer: one-shot\n");

    lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | TIMER);
    lapic_write(LAPIC_TIMER_INITIAL, ticks / 2);
    irq_wait_count(TIMER, 11);
    CHECK(lapic_read(LAPIC_TIMER_CURRENT) <= ticks / 2);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    let_in(1); /* one that was on its way */
    uint32_t stopped = irq_count[TIMER];
    let_in(30);
    CHECK(irq_count[TIMER] == stopped);
    print("APIC timer: periodic\n");
}

static void pit_rate(uint16_t count)
{
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}

static void pit_by_ioapic(void)
{
    pit_rate(11932);
    ioapic_route(ISA_PIT_PIN, PIT, lapic_id(), 0);
    irq_wait_count(PIT, 1);
    uint32_t start = pm_now(), first = irq_count[PIT];
    irq_wait_count(PIT, first + 10);
    CHECK(pm_ms_since(start) >= 75); /* one of the ten perhaps latched before */
    ioapic_route(ISA_PIT_PIN, PIT, lapic_id(), IOAPIC_MASKED);
    let_in(1);
    uint32_t masked = irq_count[PIT];
    let_in(30);
    CHECK(irq_count[PIT] == masked);
    CHECK(irq_count[PIC_VECTOR(0)] == 0); /* and nothing by the PIC */
    print("PIT through the IOAPIC\n");
}

void guest_main(void)
{
    identity();
    irq_setup();
    lapic_enable();
    self_ipi();
    timer();
    pit_by_ioapic();
}
