// SPDX-License-Identifier: MIT
//
// MC146818 real-time clock: a sane time, the memory sizes in CMOS, update-ended and periodic
// interrupts on IRQ8, the alarm, and a time that can be set. The command line says how much RAM
// there should be (mib=).
#include "guest.h"

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR
};
enum { REG_A = 10, REG_B, REG_C, REG_D, CENTURY = 0x32 };
#define IRQ8 PIC_VECTOR(8)

static volatile uint8_t causes;

static void on_rtc(void)
{
    causes |= cmos_read(REG_C);
}

static unsigned bcd(uint8_t reg)
{
    uint8_t raw = cmos_read(reg);
    CHECK((raw & 15) <= 9 && raw >> 4 <= 9);
    return (raw >> 4) * 10u + (raw & 15u);
}

static void sane_time(void)
{
    CHECK(cmos_read(REG_D) == 0x80); /* the battery is good */
    while (cmos_read(REG_A) & 0x80)
        ;
    unsigned year = bcd(CENTURY) * 100 + bcd(YEAR);
    CHECK(year >= 2024 && year < 2200);
    CHECK(bcd(MONTH) >= 1 && bcd(MONTH) <= 12);
    CHECK(bcd(DAY) >= 1 && bcd(DAY) <= 31);
    CHECK(bcd(WEEKDAY) >= 1 && bcd(WEEKDAY) <= 7);
    CHECK(bcd(HOURS) <= 23 && bcd(MINUTES) <= 59 && bcd(SECONDS) <= 59);
    print("the time is sane\n");
}

static unsigned cmos16(uint8_t reg)
{
    return cmos_read(reg) | (unsigned)cmos_read((uint8_t)(reg + 1)) << 8;
}

static void memory_size(void)
{
    uint32_t mib = asked_number("mib=", 0);
    CHECK(mib > 16 && mib < 64);
    CHECK(cmos16(0x15) == 640);
    CHECK(cmos16(0x17) == (mib - 1) * 1024);
    CHECK(cmos16(0x30) == (mib - 1) * 1024);
    CHECK(cmos16(0x34) == (mib - 16) * 16);
    CHECK(cmos16(0x5b) == 0 && cmos_read(0x5d) == 0);
    CHECK(boot_info(8) == (mib - 1) * 1024); /* what multiboot says */
    print("CMOS knows of %u MiB\n", mib);
}

static void periodic(void)
{
    cmos_write(REG_A, 0x2d); /* 8 Hz */
    cmos_write(REG_B, 0x42);
    cmos_read(REG_C);
    uint32_t first = irq_count[IRQ8] + 1; /* of a period that began before */
    irq_wait_count(IRQ8, first);
    uint32_t start = pm_now();
    causes = 0;
    irq_wait_count(IRQ8, first + 5);
    CHECK(pm_ms_since(start) >= 370); /* three whole periods, one perhaps latched before */
    CHECK(causes & 0x40);
    cmos_write(REG_B, 0x02);
    print("periodic interrupt: 8 Hz\n");
}

static void update_ended(void)
{
    cmos_write(REG_B, 0x12);
    cmos_read(REG_C);
    causes = 0;
    unsigned before = bcd(SECONDS);
    while (!(causes & 0x10))
        irq_wait();
    CHECK(bcd(SECONDS) != before);
    cmos_write(REG_B, 0x02);
    print("update-ended interrupt\n");
}

/* Set the time to the end of a leap day, and the alarm to midnight. */
static void alarm_at_midnight(void)
{
    static const struct {
        uint8_t reg, val;
    } settings[] = {{SECONDS, 0x59},  {MINUTES, 0x59},      {HOURS, 0x23},   {DAY, 0x29},
                    {MONTH, 0x02},    {YEAR, 0x28},         {CENTURY, 0x20}, {SECONDS_ALARM, 0},
                    {HOURS_ALARM, 0}, {MINUTES_ALARM, 0xff}};
    cmos_write(REG_B, 0x82);
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0]; i++)
        cmos_write(settings[i].reg, settings[i].val);
    cmos_write(REG_B, 0x22);
    cmos_read(REG_C);
    causes = 0;
    while (!(causes & 0x20))
        irq_wait();
    CHECK(bcd(MONTH) == 3 && bcd(DAY) == 1 && bcd(HOURS) == 0 && bcd(MINUTES) == 0);
    print("alarm: 29 February 2028 becomes 1 March\n");
}

void guest_main(void)
{
    sane_time();
    memory_size();
    irq_setup();
    irq_handler[IRQ8] = on_rtc;
    pic_unmask(8);
    periodic();
    update_ended();
    alarm_at_midnight();
}
