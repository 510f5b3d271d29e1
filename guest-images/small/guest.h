// SPDX-License-Identifier: MIT
//
// What every small guest shares: the board's addresses as a guest sees them, console, port I/O,
// interrupts, time. For C and assembly. The guests are freestanding; start.S brings them from the
// multiboot entry to guest_main in 32-bit protected or 64-bit long mode.
#pragma once

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4
#define PVPANIC 0x505
#define PASS 0x10 /* exit status 33 */
#define FAIL 0x11 /* exit status 35 */

#define AP_TRAMPOLINE 0x8000 /* where the other CPUs start; the page's number is the SIPI vector   \
                              */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint8_t read8(uintptr_t at)
{
    return *(volatile uint8_t *)at;
}

static inline uint16_t read16(uintptr_t at)
{
    return *(volatile uint16_t *)at;
}

static inline uint32_t read32(uintptr_t at)
{
    return *(volatile uint32_t *)at;
}

static inline void write8(uintptr_t at, uint8_t v)
{
    *(volatile uint8_t *)at = v;
}

static inline void write16(uintptr_t at, uint16_t v)
{
    *(volatile uint16_t *)at = v;
}

static inline void write32(uintptr_t at, uint32_t v)
{
    *(volatile uint32_t *)at = v;
}

/* The guest's own program. Returning ends the machine with PASS. */
void guest_main(void);

/* --- lib.c --- */
/* %u %x %s %c and %%; numbers are 32 bits unless written %lx, %lu. */
void print(const char *fmt, ...);
__attribute__((noreturn)) void finish(uint8_t code); /* through isa-debug-exit, else halt */

/* Say what was wrong and end with FAIL. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print("FAILED %s:%u: %s\n", __FILE__, __LINE__, #cond);                                \
            finish(FAIL);                                                                          \
        }                                                                                          \
    } while (0)

/* Is this word on the command line (-append)? And the number behind "name=", or `otherwise`. */
bool asked(const char *word);
uint32_t asked_number(const char *name, uint32_t otherwise);
/* A field of the multiboot information, by its offset (specification, section 3.3). */
uint32_t boot_info(unsigned offset);

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* --- time.c: the PM timer, which everything else is measured by --- */
#define PM_TIMER 0x608
#define PM_HZ 3579545
uint32_t pm_now(void);
/* Milliseconds from a moment of pm_now to the present, rounded down. Wraps after 20 minutes. */
uint32_t pm_ms_since(uint32_t start);
void wait_ms(uint32_t ms);
uint8_t cmos_read(uint8_t reg);
void cmos_write(uint8_t reg, uint8_t val);

/* --- irq.c: IDT, 8259 pair at vectors 0x20-0x2f, all masked --- */
#define PIC_VECTOR(irq) (0x20 + (irq))
void irq_setup(void);
/* Interrupts by vector. A handler runs before the acknowledgement to PIC (0x20 to 0x2f) or local
 * APIC (0x30 and up, but for the spurious vector 0xff). */
extern volatile uint32_t irq_count[256];
extern void (*volatile irq_handler[256])(void);
void pic_unmask(unsigned irq);
void pic_mask_all(void);
/* Edge or level, as the ELCR has it. */
void pic_set_level(unsigned irq, bool level);
void irq_on(void);
void irq_off(void);
/* sti; hlt; cli: sleep until the next interrupt. */
void irq_wait(void);
/* Sleep until the vector has been seen so often, on any CPU. */
void irq_wait_count(unsigned vector, uint32_t count);
void idt_load(void); /* on another CPU */

/* --- apic.c: local APIC (SDM vol. 3 chapter 11, xAPIC mode) and IOAPIC (82093AA) --- */
#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u
enum lapic_reg {
    LAPIC_ID = 0x20,
    LAPIC_VERSION = 0x30,
    LAPIC_TPR = 0x80,
    LAPIC_EOI = 0xb0,
    LAPIC_SVR = 0xf0,
    LAPIC_ICR_LOW = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_TIMER_INITIAL = 0x380,
    LAPIC_TIMER_CURRENT = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3e0,
};
#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u
#define IOAPIC_MASKED 0x10000u
#define IOAPIC_LEVEL 0x8000u
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t val);
unsigned lapic_id(void);
void lapic_enable(void); /* LINT0 masked: the PIC is out of it */
void ipi_send(unsigned apic_id, uint32_t command);
uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t val);
/* Pin to vector on a CPU, with IOAPIC_* flags. */
void ioapic_route(unsigned pin, unsigned vector, unsigned apic_id, uint32_t flags);

/* --- smp.c (long mode): start the other CPUs --- */
/* INIT and two SIPIs; each new CPU runs main(its APIC id) on its own stack with the IDT loaded and
 * interrupts off. */
void smp_start(unsigned apic_id, void (*main)(unsigned apic_id));

/* --- pci.c: bus 0, by configuration mechanism #1 --- */
#define PCI_ECAM 0xe0000000u
uint32_t pci_read(unsigned slot, unsigned reg); /* 32 bits at reg & ~3 */
void pci_write(unsigned slot, unsigned reg, uint32_t val);
uint16_t pci_read16(unsigned slot, unsigned reg);
void pci_write16(unsigned slot, unsigned reg, uint16_t val);
/* Config offset of the n-th capability with this id, or 0. */
unsigned pci_capability(unsigned slot, uint8_t id, unsigned n);
#endif
