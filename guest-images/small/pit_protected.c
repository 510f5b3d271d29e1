// SPDX-License-Identifier: MIT
//
// 8254 PIT (datasheet 231164) against the PM timer: modes 0, 2 and 3, latch, read-back, gate and
// output of channel 2 in port 0x61, IRQ0 through the PIC. Times are lower bounds only: a slow host
// makes everything later, never earlier.
#include "guest.h"

#define CHANNEL(n) (0x40 + (n))
#define CONTROL 0x43
#define PORT61 0x61
#define GATE2 1u
#define OUT2 0x20u
#define HZ 1193182
#define MODE(channel, mode) ((uint8_t)((channel) << 6 | 0x30 | (mode) << 1))
#define READ_BACK_STATUS(channel) ((uint8_t)(0xe0 | 2 << (channel)))
#define NULL_COUNT 0x40u
#define READ_BACK_BOTH(channel) ((uint8_t)(0xc0 | 2 << (channel)))

/* The counter takes a count at the next pulse of its clock; a fast CPU could look before that. */
static void write_count(unsigned channel, uint16_t count)
{
    outb((uint16_t)CHANNEL(channel), (uint8_t)count);
    outb((uint16_t)CHANNEL(channel), (uint8_t)(count >> 8));
    do
        outb(CONTROL, READ_BACK_STATUS(channel));
    while (inb((uint16_t)CHANNEL(channel)) & NULL_COUNT);
}

static void load(unsigned channel, unsigned mode, uint16_t count)
{
    outb(CONTROL, MODE(channel, mode));
    write_count(channel, count);
}

static uint16_t read_count(unsigned channel)
{
    uint8_t low = inb((uint16_t)CHANNEL(channel));
    return (uint16_t)(low | inb((uint16_t)CHANNEL(channel)) << 8);
}

static uint16_t latched(unsigned channel)
{
    outb(CONTROL, (uint8_t)(channel << 6));
    return read_count(channel);
}

static void one_shot(void)
{
    outb(PORT61, (uint8_t)(inb(PORT61) & ~GATE2));
    load(2, 0, HZ / 20); /* 50 ms */
    CHECK(!(inb(PORT61) & OUT2));
    uint16_t stopped = latched(2);
    wait_ms(2);
    CHECK(latched(2) == stopped); /* the gate is low */
    uint32_t start = pm_now();
    outb(PORT61, (uint8_t)(inb(PORT61) | GATE2));
    while (!(inb(PORT61) & OUT2))
        ;
    CHECK(pm_ms_since(start) >= 49);
    outb(CONTROL, READ_BACK_STATUS(2));
    CHECK((inb(CHANNEL(2)) & 0xbf) == 0xb0); /* OUT high, both bytes, mode 0 */
    print("mode 0: output rises after the count\n");
}

static void rate_generator(void)
{
    load(1, 2, 1000);
    uint16_t last = 0, changes = 0;
    uint32_t start = pm_now();
    for (unsigned i = 0; i < 200 || (changes <= 10 && pm_ms_since(start) < 100); i++) {
        uint16_t now = latched(1);
        CHECK(now >= 1 && now <= 1000);
        changes += now != last;
        last = now;
    }
    CHECK(changes > 10);
    print("mode 2: counts 1000 to 1\n");
}

static void square_wave(void)
{
    unsigned high = 0, low = 0;
    load(2, 3, 50000); /* 21 ms of either level */
    uint32_t start = pm_now();
    for (unsigned i = 0; (i < 20000 || pm_ms_since(start) < 200) && (high < 5 || low < 5); i++) {
        uint16_t now = latched(2);
        CHECK(now % 2 == 0 && now <= 50000);
        if (inb(PORT61) & OUT2)
            high++;
        else
            low++;
    }
    CHECK(high >= 5 && low >= 5);
    print("mode 3: even counts, both levels\n");
}

static void latches(void)
{
    load(1, 2, 60000);
    outb(CONTROL, 1 << 6);
    wait_ms(1);
    outb(CONTROL, 1 << 6); /* a second latch is ignored until the first is read */
    uint16_t first = read_count(1), next = latched(1);
    CHECK(first != next);
    outb(CONTROL, READ_BACK_BOTH(1));
    CHECK((inb(CHANNEL(1)) & 0x3f) == 0x34); /* status comes first: both bytes, mode 2 */
    first = read_count(1);
    CHECK(first >= 1 && first <= 60000);

    outb(CONTROL, 0x54); /* channel 1, low byte only, mode 2 */
    outb(CONTROL, READ_BACK_STATUS(1));
    CHECK(inb(CHANNEL(1)) & NULL_COUNT); /* no count yet */
    outb(CHANNEL(1), 100);
    wait_ms(1);
    outb(CONTROL, READ_BACK_STATUS(1));
    CHECK((inb(CHANNEL(1)) & 0x7f) == 0x14);
    for (unsigned i = 0; i < 20; i++) {
        uint8_t now = inb(CHANNEL(1));
        CHECK(now >= 1 && now <= 100);
    }
    print("latch and read-back agree\n");
}

static void bcd(void)
{
    outb(CONTROL, MODE(1, 2) | 1);
    write_count(1, 0x1000); /* decimal */
    for (unsigned i = 0; i < 50; i++) {
        uint16_t now = latched(1);
        CHECK(now <= 0x1000);
        for (unsigned digit = 0; digit < 16; digit += 4)
            CHECK((now >> digit & 15) <= 9);
    }
    print("BCD counts in decimal digits\n");
}

static void ticks(void)
{
    irq_setup();
    pic_unmask(0);
    load(0, 2, HZ / 100);
    irq_wait_count(PIC_VECTOR(0), irq_count[PIC_VECTOR(0)] + 1);
    uint32_t start = pm_now(), first = irq_count[PIC_VECTOR(0)];
    irq_wait_count(PIC_VECTOR(0), first + 20);
    CHECK(pm_ms_since(start) >= 175); /* 20 ticks, one of them perhaps latched before */
    print("IRQ0: 20 ticks of 10 ms\n");

    outb(CONTROL, MODE(0, 0)); /* stops; a tick that is latched may still come in */
    irq_on();
    wait_ms(5);
    irq_off();
    uint32_t before = irq_count[PIC_VECTOR(0)];
    load(0, 0, HZ / 50); /* one edge, then silence */
    irq_wait_count(PIC_VECTOR(0), before + 1);
    irq_on();
    wait_ms(60);
    irq_off();
    CHECK(irq_count[PIC_VECTOR(0)] == before + 1);
    print("IRQ0: one-shot\n");
}

static void refresh_toggles(void)
{
    uint8_t first = inb(PORT61) & 0x10;
    for (unsigned i = 0; (inb(PORT61) & 0x10) == first; i++)
        CHECK(i < 100000);
    print("port 0x61: refresh bit toggles\n");
}

void guest_main(void)
{
    one_shot();
    rate_generator();
    square_wave();
    latches();
    bcd();
    refresh_toggles();
    ticks();
}
