// SPDX-License-Identifier: MIT
//
// 16550A (National Semiconductor PC16550D datasheet): detection, scratch and divisor registers,
// loopback with FIFO, trigger, overrun and modem lines, and output driven by THRE interrupts on
// IRQ4. The port under test is also the one the results come out of.
#include "guest.h"

#define IRQ4 PIC_VECTOR(4)
#define LINES 40
enum { RBR_THR = COM1, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

static char text[LINES * 32];
static unsigned length;
static volatile unsigned sent, bursts;

static void wait_idle(void)
{
    while ((inb(LSR) & 0x60) != 0x60)
        ;
}

static void detect(void)
{
    outb(SCR, 0xa5);
    CHECK(inb(SCR) == 0xa5);
    outb(SCR, 0x5a);
    CHECK(inb(SCR) == 0x5a);
    outb(IIR_FCR, 1);
    CHECK((inb(IIR_FCR) & 0xc0) == 0xc0); /* a 16550A, whose FIFOs work */
    outb(IIR_FCR, 0);
    CHECK((inb(IIR_FCR) & 0xcf) == 0x01);
    outb(IER, 0xff);
    CHECK(inb(IER) == 0x0f);
    outb(IER, 0);
    outb(LCR, 0x83);
    outb(RBR_THR, 1); /* 115200 baud */
    outb(IER, 0);
    CHECK(inb(RBR_THR) == 1 && inb(IER) == 0);
    outb(LCR, 0x03);
    CHECK(inb(LCR) == 0x03);
    print("16550A found\n");
}

static void loopback(void)
{
    wait_idle();
    outb(IIR_FCR, 0x87); /* FIFOs on and empty, trigger at 8 */
    outb(MCR, 0x10);
    CHECK((inb(MSR) & 0xf0) == 0);
    outb(MCR, 0x1a); /* RTS and OUT2 */
    CHECK((inb(MSR) & 0xf0) == 0x90);
    CHECK((inb(MSR) & 0x0f) == 0); /* the deltas went with the last read */
    outb(MCR, 0x15);               /* DTR and OUT1 */
    CHECK((inb(MSR) & 0xf0) == 0x60);
    CHECK(!(inb(LSR) & 1));
    for (unsigned i = 0; i < 16; i++)
        outb(RBR_THR, (uint8_t)(0x40 + i));
    CHECK((inb(LSR) & 3) == 1);
    outb(RBR_THR, 0xee); /* the 17th is lost */
    CHECK((inb(LSR) & 3) == 3);
    CHECK((inb(LSR) & 3) == 1); /* and that is told once */
    outb(IER, 1);
    CHECK((inb(IIR_FCR) & 0x0f) == 0x04);
    for (unsigned i = 0; i < 16; i++) {
        CHECK(inb(LSR) & 1);
        CHECK(inb(RBR_THR) == 0x40 + i);
    }
    CHECK(!(inb(LSR) & 1));
    CHECK((inb(IIR_FCR) & 0x0f) == 0x01);
    outb(RBR_THR, 'x');
    while ((inb(IIR_FCR) & 0x0f) != 0x0c) /* below the trigger: character timeout */
        ;
    CHECK(inb(RBR_THR) == 'x');
    CHECK((inb(IIR_FCR) & 0x0f) == 0x01);
    outb(IER, 0);
    outb(MCR, 0x0b);
    print("loopback: FIFO, trigger, overrun, timeout and modem lines\n");
}

static void put(char c)
{
    text[length++] = c;
}

static void compose(void)
{
    for (unsigned line = 0; line < LINES; line++) {
        put((char)('0' + line / 10));
        put((char)('0' + line % 10));
        for (const char *s = " by interrupt\n"; *s; s++)
            put(*s);
    }
}

static void on_serial(void)
{
    uint8_t cause = inb(IIR_FCR) & 0x0f;
    if (cause != 0x02)
        return;
    bursts++;
    for (unsigned i = 0; i < 16 && sent < length; i++)
        outb(RBR_THR, (uint8_t)text[sent++]);
    if (sent == length)
        outb(IER, 0);
}

static void by_interrupt(void)
{
    compose();
    irq_setup();
    irq_handler[IRQ4] = on_serial;
    pic_unmask(4);
    wait_idle();
    outb(IIR_FCR, 0x01);
    outb(IER, 0x02); /* the transmitter is empty, which is news at once */
    while (sent < length)
        irq_wait();
    wait_idle();
    CHECK(bursts >= (length + 15) / 16);
    CHECK(irq_count[IRQ4] >= bursts);
    print("%u bytes\n", length);
}

void guest_main(void)
{
    detect();
    loopback();
    by_interrupt();
}
