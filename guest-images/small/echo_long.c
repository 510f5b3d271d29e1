// SPDX-License-Identifier: MIT
//
// Echo: every byte of serial input goes out again in upper case, both directions by interrupt,
// until one of value 4 (end of transmission).
#include "guest.h"

#define IRQ4 PIC_VECTOR(4)
#define RING 4096u /* more than the test sends */
enum { RBR_THR = COM1, IER, IIR_FCR, LCR, MCR, LSR };

static uint8_t ring[RING];
static unsigned head, tail;
static volatile bool ended;

static void receive(void)
{
    while (inb(LSR) & 1) {
        uint8_t c = inb(RBR_THR);
        if (c == 4) {
            ended = true;
            continue;
        }
        CHECK(head - tail < RING);
        ring[head++ % RING] = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
    }
}

static void transmit(void)
{
    for (unsigned i = 0; i < 16 && tail != head; i++)
        outb(RBR_THR, ring[tail++ % RING]);
}

static void on_serial(void)
{
    for (;;) {
        uint8_t cause = inb(IIR_FCR) & 0x0f;
        if (cause == 0x01)
            break;
        if (cause == 0x04 || cause == 0x0c)
            receive();
    }
    if (inb(LSR) & 0x20)
        transmit();
}

void guest_main(void)
{
    irq_setup();
    irq_handler[IRQ4] = on_serial;
    outb(IIR_FCR, 0x41);
    outb(MCR, 0x0b);
    outb(IER, 3);
    pic_unmask(4);
    while (!ended || tail != head)
        irq_wait();
    outb(IER, 0);
    print("done\n");
}
