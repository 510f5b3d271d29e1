// SPDX-License-Identifier: MIT
//
// Interrupts for the small guests: an IDT whose gates count and call handlers, and the 8259 pair at
// vectors 0x20 and 0x28 (8259A datasheet, ICW1 to ICW4). CPU exceptions end the guest with their
// vector, so that a fault is a line and not a triple fault.
#include "guest.h"

#define PIC1 0x20
#define PIC2 0xa0
#define EOI 0x20
#define PIC_VECTORS 0x20
#define ELCR 0x4d0
#define APIC_VECTORS 0x30
#define SPURIOUS 0xff

volatile uint32_t irq_count[256];
void (*volatile irq_handler[256])(void);

struct gate {
#ifdef GUEST64
    uint16_t off_low, sel, type;
    uint16_t off_mid;
    uint32_t off_high, zero;
#else
    uint16_t off_low, sel, type, off_mid;
#endif
};

static struct gate idt[256];

/* One stub a vector: push the vector, go to the common part. 16 bytes apart. */
extern const char irq_stubs[];

#ifdef GUEST64
__asm__(".text\n"
        ".balign 16\n"
        "irq_stubs:\n"
        ".set vector, 0\n"
        ".rept 256\n"
        "    .balign 16\n"
        "    push %rdi\n"
        "    mov $vector, %edi\n"
        "    jmp irq_common\n"
        "    .set vector, vector + 1\n"
        ".endr\n"
        "irq_common:\n"
        "    push %rax; push %rcx; push %rdx; push %rsi\n"
        "    push %r8; push %r9; push %r10; push %r11\n"
        "    mov 72(%rsp), %rsi\n" /* for exceptions: error code or rip */
        "    call irq_entry\n"
        "    pop %r11; pop %r10; pop %r9; pop %r8\n"
        "    pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
        "    pop %rdi\n"
        "    iretq\n");
#else
__asm__(".text\n"
        ".balign 16\n"
        "irq_stubs:\n"
        ".set vector, 0\n"
        ".rept 256\n"
        "    .balign 16\n"
        "    pushal\n"
        "    pushl 32(%esp)\n" /* for exceptions: error code or eip */
        "    pushl $vector\n"
        "    jmp irq_common\n"
        "    .set vector, vector + 1\n"
        ".endr\n"
        "irq_common:\n"
        "    call irq_entry\n"
        "    addl $8, %esp\n"
        "    popal\n"
        "    iretl\n");
#endif

__attribute__((used)) void irq_entry(uint32_t vector, uintptr_t top);

void irq_entry(uint32_t vector, uintptr_t top)
{
    __atomic_fetch_add(&irq_count[vector], 1, __ATOMIC_SEQ_CST);
    if (irq_handler[vector]) {
        irq_handler[vector]();
    } else if (vector < PIC_VECTORS) {
        print("FAILED: exception %u, top of stack %lx\n", vector, (unsigned long)top);
        finish(FAIL);
    }
    if (vector >= PIC_VECTORS + 8 && vector < PIC_VECTORS + 16)
        outb(PIC2, EOI);
    if (vector >= PIC_VECTORS && vector < PIC_VECTORS + 16)
        outb(PIC1, EOI);
    if (vector >= APIC_VECTORS && vector != SPURIOUS)
        lapic_write(LAPIC_EOI, 0);
}

static void set_gate(unsigned vector)
{
    uintptr_t at = (uintptr_t)irq_stubs + vector * 16;
    struct gate *g = &idt[vector];
    g->off_low = (uint16_t)at;
    g->off_mid = (uint16_t)(at >> 16);
    g->type = 0x8e00; /* interrupt gate, present, privilege 0 */
#ifdef GUEST64
    g->sel = 0x18;
#else
    g->sel = 0x08;
#endif
}

void idt_load(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } pointer = {sizeof idt - 1, (uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void irq_setup(void)
{
    for (unsigned v = 0; v < 256; v++)
        set_gate(v);
    idt_load();
    outb(PIC1, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(PIC2, 0x11);
    outb(PIC1 + 1, PIC_VECTORS);
    outb(PIC2 + 1, PIC_VECTORS + 8);
    outb(PIC1 + 1, 4); /* ICW3: slave on input 2 */
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1); /* ICW4: 8086 mode */
    outb(PIC2 + 1, 1);
    pic_mask_all(); /* but for the cascade */
}

void pic_unmask(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC1 + 1 : PIC2 + 1;
    outb(port, inb(port) & (uint8_t) ~(1u << (irq % 8)));
}

void pic_mask_all(void)
{
    outb(PIC1 + 1, 0xfb);
    outb(PIC2 + 1, 0xff);
}

void pic_set_level(unsigned irq, bool level)
{
    uint16_t port = (uint16_t)(ELCR + irq / 8);
    uint8_t bit = (uint8_t)(1u << (irq % 8)), old = inb(port);
    outb(port, (uint8_t)(level ? old | bit : old & ~bit));
}

void irq_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

void irq_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

void irq_wait(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void irq_wait_count(unsigned vector, uint32_t count)
{
    while (irq_count[vector] < count)
        irq_wait();
}
