// SPDX-License-Identifier: MIT
//
// Every way to reset the machine, named on the command line. What happens then is up to the test:
// with -no-reboot the run ends with status 0. With "count" on the command line the guest counts its
// starts in battery-backed CMOS memory and looks at what a reset must have made new: RAM, the
// image's own data, interrupt controller, PIT, serial port.
#include "guest.h"

#define BOOTS 0x50 /* a CMOS byte that nothing else uses */
#define RTC_B 0x0b
#define SCRATCH (COM1 + 7)
#define FAR_RAM 0x700000u
#define RESET_PORT 0xcf9

static volatile uint32_t image_data = 0x600d600d;

static void by_i8042(void)
{
    CHECK(!(inb(0x64) & 2)); /* input buffer empty */
    outb(0x64, 0xfe);
}

static void by_cf9(void)
{
    outb(RESET_PORT, 0x02);
    CHECK(inb(RESET_PORT) == 0x02);
    outb(RESET_PORT, 0x06);
}

static void by_port92(void)
{
    outb(0x92, inb(0x92) | 1);
}

static const struct {
    const char *name;
    void (*reset)(void);
} ways[] = {{"i8042", by_i8042}, {"cf9", by_cf9}, {"port92", by_port92}};
#define WAYS (sizeof ways / sizeof ways[0])

static void reset_by(unsigned way)
{
    print("reset by %s\n", ways[way].name);
    ways[way].reset();
    for (unsigned i = 0; i < 1000; i++)
        outb(0x80, 0);
    print("FAILED: still here\n");
    finish(FAIL);
}

static void check_power_on_state(void)
{
    CHECK(image_data == 0x600d600d);
    CHECK(read32(FAR_RAM) == 0);
    CHECK(inb(SCRATCH) == 0);
    CHECK(!(cmos_read(RTC_B) & 0x70)); /* no interrupts enabled */
    CHECK(inb(0x21) == 0);             /* interrupt mask: not set since power-on */
    CHECK(!(inb(0x61) & 1));           /* gate of PIT channel 2 */
    CHECK(!(inb(0x92) & 1));
    CHECK(inb(0x4d1) == 0); /* edge-triggered */
}

static void soil(void)
{
    image_data = 0;
    write32(FAR_RAM, 0xbad);
    irq_setup();
    pic_set_level(10, true);
    outb(SCRATCH, 0x5a);
    outb(0x61, 1);
    cmos_write(RTC_B, cmos_read(RTC_B) | 0x50);
}

void guest_main(void)
{
    for (unsigned way = 0; way < WAYS; way++) {
        if (asked(ways[way].name))
            reset_by(way);
    }
    CHECK(asked("count"));
    unsigned boot = cmos_read(BOOTS);
    print("start %u\n", boot + 1);
    check_power_on_state();
    soil();
    cmos_write(BOOTS, (uint8_t)(boot + 1));
    if (boot < WAYS)
        reset_by(boot);
}
