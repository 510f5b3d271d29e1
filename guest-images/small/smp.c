// SPDX-License-Identifier: MIT
//
// Starting the other CPUs (SDM vol. 3 section 9.4: INIT, then twice STARTUP): long-mode guests
// only.
#include "guest.h"

#define STACK_BYTES 4096
#define CPUS 64
#define IPI_INIT 0x4500
#define IPI_STARTUP 0x4600

#ifdef GUEST64
extern const char ap_trampoline[], ap_trampoline_end[];

static uint8_t stacks[CPUS][STACK_BYTES] __attribute__((aligned(16)));
static unsigned stacks_used;
uint32_t ap_stack; /* of the CPU that starts now */
static void (*ap_main)(unsigned apic_id);
static volatile bool ap_arrived;

__attribute__((used)) void ap_entry(void);

void ap_entry(void)
{
    void (*main)(unsigned apic_id) = ap_main;
    idt_load();
    lapic_enable();
    ap_arrived = true; /* from here the stack's name belongs to the next CPU */
    main(lapic_id());
    for (;;)
        __asm__ volatile("cli; hlt");
}

void smp_start(unsigned apic_id, void (*main)(unsigned apic_id))
{
    CHECK(stacks_used < CPUS);
    memcpy((void *)AP_TRAMPOLINE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    ap_stack = (uint32_t)(uintptr_t)(stacks[stacks_used++] + STACK_BYTES);
    ap_main = main;
    ap_arrived = false;
    ipi_send(apic_id, IPI_INIT);
    wait_ms(10);
    ipi_send(apic_id, IPI_STARTUP | AP_TRAMPOLINE >> 12);
    wait_ms(1);
    if (!ap_arrived)
        ipi_send(apic_id, IPI_STARTUP | AP_TRAMPOLINE >> 12);
    uint32_t start = pm_now();
    while (!ap_arrived)
        CHECK(pm_ms_since(start) < 20000);
}
#endif
