// SPDX-License-Identifier: MIT
//
// What every small guest shares: the board's addresses as a guest sees them, console, port I/O, interrupts. For C and assembly.
// The guests are freestanding; start.S brings them from the multiboot entry to guest_main in 32-bit protected or 64-bit long mode.
#pragma once

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4
#define PASS 0x10 /* exit status 33 */
#define FAIL 0x11 /* exit status 35 */

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

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* --- irq.c: IDT, 8259 pair at vectors 0x20-0x2f, all masked --- */
void irq_setup(void);
/* Count interrupts on a vector; handlers only count (and acknowledge PIC vectors). */
extern volatile uint32_t irq_count[256];
void pic_unmask(unsigned irq);
void irq_on(void);
void irq_off(void);
/* sti; hlt; cli: sleep until the next interrupt. */
void irq_wait(void);
#endif
