// SPDX-License-Identifier: MIT
//
// All CPUs: the first starts the others by INIT and SIPI; each says which it is, they count
// together with a locked instruction, and they wake from HLT by interrupts, sent one by one and to
// all. With "restart" on the command line that is followed by a machine reset while they run, twice
// (counted in CMOS memory): afterwards they must wait for SIPI again.
#include "guest.h"

#define CPUS 4
#define ROUNDS 1000
#define WAKE 0x60
#define ALL_BUT_SELF 0xc0000u
#define BOOTS 0x50

static volatile uint32_t arrived, total;
static volatile uint8_t cpuid_ids[CPUS];
static volatile bool spinning;

static uint8_t cpuid_apic_id(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (uint8_t)(b >> 24);
}

static void ap(unsigned id)
{
    CHECK(id < CPUS);
    cpuid_ids[id] = cpuid_apic_id();
    for (unsigned i = 0; i < ROUNDS; i++)
        __atomic_fetch_add(&total, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (!spinning)
        irq_wait();
    for (;;)
        __asm__ volatile("pause");
}

static void wait_for(volatile uint32_t *what, uint32_t value)
{
    uint32_t start = pm_now();
    while (*what < value)
        CHECK(pm_ms_since(start) < 20000);
}

static void restart(void)
{
    unsigned boot = cmos_read(BOOTS);
    print("start %u\n", boot + 1);
    cmos_write(BOOTS, (uint8_t)(boot + 1));
    if (boot >= 2)
        return;
    spinning = true; /* some in a loop, some in HLT */
    ipi_send(1, WAKE);
    outb(0xcf9, 6);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_main(void)
{
    irq_setup();
    lapic_enable();
    wait_ms(5);
    CHECK(arrived == 0); /* nobody runs unasked */
    for (unsigned id = 1; id < CPUS; id++) {
        smp_start(id, ap);
        wait_for(&arrived, id);
        CHECK(cpuid_ids[id] == id);
        print("CPU %u runs\n", id);
    }
    CHECK(total == (CPUS - 1) * ROUNDS);
    for (unsigned id = 1; id < CPUS; id++) {
        ipi_send(id, WAKE);
        wait_for(&irq_count[WAKE], id);
    }
    print("woken one by one\n");
    lapic_write(LAPIC_ICR_LOW, ALL_BUT_SELF | WAKE);
    wait_for(&irq_count[WAKE], 2 * (CPUS - 1));
    print("woken all at once\n");
    if (asked("restart"))
        restart();
}
