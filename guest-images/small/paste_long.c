// SPDX-License-Identifier: MIT
//
// A lot of serial input at once, read by interrupt: received-data interrupts give a trigger's worth
// of bytes, the character timeout gives the rest. Not one byte may be lost or come twice: the guest
// says how many there were until one of value 4 (end of transmission), and two sums over them.
#include "guest.h"

#define IRQ4 PIC_VECTOR(4)
#define END 4
#define TRIGGER 14
enum { RBR = COM1, IER, IIR_FCR, LCR, MCR, LSR };

static uint32_t count, sum, weighted;
static volatile bool ended;

static void take(uint8_t byte)
{
    if (ended)
        return;
    if (byte == END) {
        ended = true;
        return;
    }
    count++;
    sum += byte;
    weighted += sum;
}

static void take_trigger(void)
{
    static uint8_t burst[TRIGGER];
    uint8_t *to = burst;
    unsigned long n = TRIGGER;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(RBR) : "memory");
    for (unsigned i = 0; i < TRIGGER; i++)
        take(burst[i]);
}

static void on_serial(void)
{
    for (;;) {
        switch (inb(IIR_FCR) & 0x0f) {
        case 0x04:
            take_trigger();
            break;
        case 0x0c:
            while (inb(LSR) & 1)
                take(inb(RBR));
            break;
        case 0x01:
            return;
        default:
            CHECK(!"an interrupt that nobody asked for");
        }
    }
}

void guest_main(void)
{
    irq_setup();
    irq_handler[IRQ4] = on_serial;
    print("ready\n");
    while (!(inb(LSR) & 0x40))
        ;
    outb(IIR_FCR, 0xc1); /* FIFOs on, trigger at 14; what is there stays */
    outb(MCR, 0x0b);
    outb(IER, 1);
    pic_unmask(4);
    while (!ended)
        irq_wait();
    outb(IER, 0);
    print("%u bytes, sum %u, weighted sum %u\n", count, sum, weighted);
}
