// SPDX-License-Identifier: MIT
//
// The controllers joined: wires and messages from the outside, registers through buses and APIC
// pages, several CPUs that only take interrupts.
#include "devices/intc.h"

#include <check.h>
#include <stdlib.h>

#include "devices/pit.h"
#include "layout.h"
#include "tests/lib/suite.h"
#include "util.h"

#define EOI 0xb0
#define TPR 0x80
#define LDR 0xd0
#define DFR 0xe0
#define SVR 0xf0
#define TMR 0x180
#define IRR 0x200
#define ICR 0x300
#define ICR_HIGH 0x310
#define LINT0 0x350
#define ICR_LOGICAL 0x800u
#define TO_SELF 0x40000u
#define TO_ALL 0x80000u
#define TO_OTHERS 0xc0000u
#define LEVEL 0x8000u
#define MASKED 0x10000u
#define ACTIVE_LOW 0x2000u
#define MAX 255

static struct bus pio, mmio;
static struct clock clk;
static struct intc *intc;
static unsigned ncpus;
static struct {
    unsigned wakes, inits, sipis, nmis;
    uint8_t start;
} seen[MAX];

static void on_wake(void *opaque, unsigned cpu)
{
    (void)opaque;
    seen[cpu].wakes++;
}

static void on_init(void *opaque, unsigned cpu)
{
    (void)opaque;
    seen[cpu].inits++;
}

static void on_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    (void)opaque;
    seen[cpu].sipis++;
    seen[cpu].start = vector;
}

static void on_nmi(void *opaque, unsigned cpu)
{
    (void)opaque;
    seen[cpu].nmis++;
}

static struct intc_soft_config config(unsigned n)
{
    return (struct intc_soft_config){
        .pio = &pio,
        .mmio = &mmio,
        .clock = &clk,
        .ncpus = n,
        .phys_bits = 40,
        .sink = {.wake = on_wake, .init = on_init, .sipi = on_sipi, .nmi = on_nmi},
    };
}

static void create(unsigned n)
{
    struct err err = {0};
    bus_init(&pio, "pio", 65536);
    bus_init(&mmio, "mmio", 0);
    clock_init_stepped(&clk, 0);
    memset(seen, 0, sizeof seen);
    ncpus = n;
    const struct intc_soft_config cfg = config(n);
    intc = intc_soft_create(&cfg, &err);
    ck_assert_msg(intc != NULL, "%s", err.msg);
}

static void destroy(void)
{
    struct device *dev = intc_soft_device(intc);
    dev->ops->fini(dev);
    ck_assert_uint_eq(pio.nregions + mmio.nregions, 0);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

static struct lapic *cpu(unsigned n)
{
    return intc_soft_lapic(intc, n);
}

static void wr(unsigned n, unsigned off, uint32_t val)
{
    lapic_mmio_write(cpu(n), off, 4, val);
}

static uint32_t rd(unsigned n, unsigned off)
{
    return (uint32_t)lapic_mmio_read(cpu(n), off, 4);
}

static void enable_all(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        wr(i, SVR, 0x1ff);
}

static void setup(void)
{
    create(4);
    enable_all();
}

static void ioapic_write(unsigned reg, uint32_t val)
{
    bus_write(&mmio, IOAPIC_BASE, 4, reg);
    bus_write(&mmio, IOAPIC_BASE + 0x10, 4, val);
}

static uint32_t ioapic_read(unsigned reg)
{
    bus_write(&mmio, IOAPIC_BASE, 4, reg);
    return (uint32_t)bus_read(&mmio, IOAPIC_BASE + 0x10, 4);
}

static void route(unsigned pin, uint32_t low, unsigned dest)
{
    ioapic_write(0x11 + 2 * pin, dest << 24);
    ioapic_write(0x10 + 2 * pin, low);
}

static void gsi(unsigned n, bool level)
{
    struct irq_line line = intc_line(intc, n);
    irq_set(&line, level);
}

static void msi(uint64_t addr, uint32_t data)
{
    struct msi_source src = {0};
    const struct msi_msg msg = {addr, data};
    msi_program(intc, &src, &msg);
    msi_raise(intc, &src);
    msi_release(intc, &src);
}

static void ipi(unsigned from, unsigned dest, uint32_t low)
{
    wr(from, ICR_HIGH, dest << 24);
    wr(from, ICR, low);
}

/* The CPUs that have an interrupt, a bit each; each takes it, expecting this vector. */
static unsigned take(int vector)
{
    unsigned cpus = 0;
    for (unsigned i = 0; i < ncpus; i++) {
        if (!lapic_pending(cpu(i)))
            continue;
        cpus |= 1u << (i & 31);
        ck_assert_int_eq(lapic_intack(cpu(i)), vector);
        wr(i, EOI, 0);
    }
    return cpus;
}

static void program_pic(void)
{
    static const uint16_t io[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 4}, {0x21, 1}, {0x21, 0},
                                     {0xa0, 0x11}, {0xa1, 0x38}, {0xa1, 2}, {0xa1, 1}, {0xa1, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(io); i++)
        bus_write(&pio, io[i][0], 1, io[i][1]);
}

/* --- wires --- */

START_TEST(intc_pit_reaches_ioapic_pin_2)
{
    route(2, 0x40, 1);
    route(0, 0x41, 1);
    gsi(0, true);
    ck_assert_uint_eq(take(0x40), 1u << 1);
    gsi(2, true); /* the cascade: no wire */
    ck_assert_uint_eq(take(0), 0);
}
END_TEST

START_TEST(intc_gsis_reach_pins_of_their_number)
{
    for (unsigned n = 1; n < GSI_COUNT; n++) {
        if (n == 2)
            continue;
        route(n, 0x50 + n, 2);
        gsi(n, true);
        ck_assert_uint_eq(take((int)(0x50 + n)), 1u << 2);
    }
    gsi(24, true);
    gsi(~0u, true);
    ck_assert_uint_eq(take(0), 0);
}
END_TEST

START_TEST(intc_isa_interrupts_reach_the_pic)
{
    program_pic();
    for (unsigned n = 0; n < 16; n++) {
        if (n == 2)
            continue;
        gsi(n, true);
        ck_assert(lapic_pending(cpu(0)));
        ck_assert(!lapic_pending(cpu(1)));
        ck_assert_int_eq(lapic_intack(cpu(0)), (int)(0x30 + n));
        bus_write(&pio, 0xa0, 1, 0x20);
        bus_write(&pio, 0x20, 1, 0x20);
    }
    gsi(16, true);
    ck_assert(!lapic_pending(cpu(0)));
}
END_TEST

START_TEST(intc_virtual_wire_works_before_the_apic_is_touched)
{
    destroy();
    create(1);
    program_pic();
    gsi(4, true);
    ck_assert_uint_eq(seen[0].wakes, 1);
    ck_assert_int_eq(lapic_intack(cpu(0)), 0x34);
    gsi(1, true);
    ck_assert(lapic_pending(cpu(0))); /* nests: wakes anew */
    ck_assert_uint_eq(seen[0].wakes, 2);
    wr(0, LINT0, MASKED | 0x700);
    ck_assert(!lapic_pending(cpu(0)));
}
END_TEST

START_TEST(intc_lint0_as_fixed_vector)
{
    program_pic();
    wr(0, LINT0, 0x66);
    gsi(4, true);
    ck_assert_uint_eq(take(0x66), 1);
}
END_TEST

START_TEST(intc_pic_through_the_ioapic)
{
    program_pic();
    wr(0, LINT0, MASKED);
    route(0, APIC_EXTINT << 8, 3);
    gsi(4, true);
    ck_assert(!lapic_pending(cpu(0)));
    ck_assert(lapic_pending(cpu(3)));
    gsi(5, true);
    ck_assert_int_eq(lapic_intack(cpu(3)), 0x34);
    ck_assert(!lapic_pending(cpu(3)));
    bus_write(&pio, 0x20, 1, 0x20); /* INT rises for 5 */
    ck_assert_int_eq(lapic_intack(cpu(3)), 0x35);
}
END_TEST

START_TEST(intc_level_asks_again_after_eoi)
{
    route(10, 0x71 | LEVEL | ACTIVE_LOW, 1);
    gsi(10, true);
    ck_assert_uint_eq(rd(1, TMR + 0x30), 1u << 17); /* Linux looks here before its EOI */
    ck_assert_int_eq(lapic_intack(cpu(1)), 0x71);
    ck_assert(ioapic_read(0x10 + 20) & 0x4000);
    gsi(10, false);
    gsi(10, true);
    ck_assert(!lapic_pending(cpu(1)));
    wr(1, EOI, 0);
    ck_assert(lapic_pending(cpu(1)));
    ck_assert_int_eq(lapic_intack(cpu(1)), 0x71);
    gsi(10, false);
    wr(1, EOI, 0);
    ck_assert(!lapic_pending(cpu(1)));
    ck_assert(!(ioapic_read(0x10 + 20) & 0x4000));
}
END_TEST

START_TEST(intc_level_waits_for_a_cpu_that_takes_it)
{
    wr(1, SVR, 0xff);
    route(10, 0x71 | LEVEL, 1);
    gsi(10, true);
    ck_assert(!(ioapic_read(0x10 + 20) & 0x4000));
    wr(1, SVR, 0x1ff);
    gsi(10, true);
    ck_assert_int_eq(lapic_intack(cpu(1)), 0x71);
}
END_TEST

START_TEST(intc_ioapic_sends_nmi_and_init)
{
    route(20, APIC_NMI << 8, 0xff);
    gsi(20, true);
    route(21, APIC_INIT << 8, 2);
    gsi(21, true);
    for (unsigned i = 0; i < ncpus; i++) {
        ck_assert_uint_eq(seen[i].nmis, 1);
        ck_assert_uint_eq(seen[i].inits, i == 2);
    }
    route(22, APIC_SIPI << 8 | 0x9a, 2); /* reserved */
    gsi(22, true);
    ck_assert_uint_eq(seen[2].sipis, 0);
}
END_TEST

START_TEST(intc_pit_ticks_through_the_ioapic)
{
    struct err err = {0};
    const struct pit_config cfg = {&pio, &clk, intc_line(intc, IRQ_PIT)};
    struct device *pit = pit_create(&cfg, &err);
    ck_assert(pit != NULL);
    route(2, 0x30, 0);
    bus_write(&pio, 0x43, 1, 0x34);
    bus_write(&pio, 0x40, 1, 11932 & 0xff);
    bus_write(&pio, 0x40, 1, 11932 >> 8);
    unsigned ticks = 0;
    for (unsigned i = 0; i < 1000; i++) {
        clock_step(&clk, NS_PER_S / 1000);
        ticks += take(0x30) == 1;
    }
    ck_assert_uint_eq(ticks, 99);
    pit->ops->fini(pit);
}
END_TEST

/* --- MSI --- */

START_TEST(intc_msi_physical)
{
    for (unsigned i = 0; i < ncpus; i++) {
        msi(0xfee00000 | i << 12, 0x4000 | (0x60 + i));
        ck_assert_uint_eq(take((int)(0x60 + i)), 1u << i);
    }
    msi(0xfee04000, 0x60); /* no such CPU */
    ck_assert_uint_eq(take(0), 0);
    msi(0xfeeff000, 0x61);
    ck_assert_uint_eq(take(0x61), 0xf);
    ck_assert_uint_eq(intc->msis_sent, ncpus + 2);
}
END_TEST

START_TEST(intc_msi_logical_without_the_hint)
{
    for (unsigned i = 0; i < ncpus; i++)
        wr(i, LDR, 1u << (24 + i));
    msi(0xfee00004 | 1u << (12 + 2), 0x62);
    ck_assert_uint_eq(take(0x62), 1u << 2);
    msi(0xfee00004 | 0xau << 12, 0x62);
    ck_assert_uint_eq(take(0x62), 0xa);
}
END_TEST

START_TEST(intc_msi_hint_picks_one)
{
    for (unsigned i = 0; i < ncpus; i++)
        wr(i, LDR, 1u << (24 + i));
    wr(1, TPR, 0x20);
    msi(0xfee0000c | 0xeu << 12, 0x62);
    unsigned first = take(0x62);
    ck_assert(first == 1u << 2 || first == 1u << 3);
    msi(0xfee0000c | 0xeu << 12, 0x62);
    ck_assert_uint_eq(take(0x62), 0xc ^ first);
}
END_TEST

START_TEST(intc_msi_modes)
{
    msi(0xfee02000, 0x0400);
    ck_assert_uint_eq(seen[2].nmis, 1);
    msi(0xfee02000, 0x0500);
    ck_assert_uint_eq(seen[2].inits, 1);
    msi(0xfee02000, 0x069a);
    ck_assert_uint_eq(seen[2].sipis, 0);
    msi(0xfee01000, 0x8060); /* level, de-asserted */
    ck_assert_uint_eq(take(0), 0);
    msi(0xfee01000, 0xc060);
    ck_assert_uint_eq(rd(1, TMR + 0x30), 1);
    ck_assert_uint_eq(take(0x60), 2);
}
END_TEST

START_TEST(intc_msi_elsewhere_is_dropped)
{
    msi(0x1fee00000, 0x60);
    msi(0xfed00000, 0x60);
    msi(0x1000, 0x60);
    msi(UINT64_MAX, 0xffffffff);
    ck_assert_uint_eq(take(0), 0);
}
END_TEST

/* --- IPIs --- */

START_TEST(intc_ipi_physical)
{
    ipi(0, 3, 0x4060);
    ck_assert_uint_eq(seen[3].wakes, 1);
    ck_assert_uint_eq(take(0x60), 1u << 3);
    ipi(2, 2, 0x4061);
    ck_assert_uint_eq(take(0x61), 1u << 2);
    ipi(1, 0xff, 0x4062);
    ck_assert_uint_eq(take(0x62), 0xf);
    ipi(1, 200, 0x4062);
    ck_assert_uint_eq(take(0), 0);
}
END_TEST

START_TEST(intc_ipi_shorthands)
{
    ipi(1, 3, 0x4060 | TO_SELF);
    ck_assert_uint_eq(take(0x60), 1u << 1);
    ipi(1, 3, 0x4060 | TO_ALL);
    ck_assert_uint_eq(take(0x60), 0xf);
    ipi(1, 3, 0x4060 | TO_OTHERS);
    ck_assert_uint_eq(take(0x60), 0xd);
    ipi(1, 0, 0x4400 | TO_OTHERS);
    ck_assert_uint_eq(seen[0].nmis + seen[2].nmis + seen[3].nmis, 3);
    ck_assert_uint_eq(seen[1].nmis, 0);
}
END_TEST

START_TEST(intc_ipi_logical_flat_and_cluster)
{
    for (unsigned i = 0; i < ncpus; i++)
        wr(i, LDR, 1u << (24 + i));
    ipi(0, 0x6, 0x4060 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 0x6);
    ipi(0, 0xff, 0x4060 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 0xf);
    for (unsigned i = 0; i < ncpus; i++) { /* clusters 0 and 1 of two */
        wr(i, DFR, 0);
        wr(i, LDR, (i / 2) << 28 | 1u << (24 + i % 2));
    }
    ipi(0, 0x13, 0x4060 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 0xc);
    ipi(0, 0x02, 0x4060 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 0x2);
    ipi(0, 0xf1, 0x4060 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 0x5);
}
END_TEST

START_TEST(intc_ipi_lowest_priority)
{
    for (unsigned i = 0; i < ncpus; i++) {
        wr(i, LDR, 1u << (24 + i));
        wr(i, TPR, 0x50 - 0x10 * i);
    }
    ipi(0, 0x7, 0x4160 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 1u << 2);
    wr(2, SVR, 0xff);
    ipi(0, 0x7, 0x4160 | ICR_LOGICAL);
    ck_assert_uint_eq(take(0x60), 1u << 1);
    ipi(0, 0x40, 0x4160 | ICR_LOGICAL); /* nobody */
    ck_assert_uint_eq(take(0), 0);
}
END_TEST

START_TEST(intc_equals_take_turns)
{
    unsigned count[4] = {0};
    for (unsigned i = 0; i < 40; i++) {
        ipi(0, 0xff, 0x4160);
        unsigned who = take(0x60);
        ck_assert(is_power_of_two(who));
        count[__builtin_ctz(who)]++;
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(count[i], 10);
}
END_TEST

START_TEST(intc_x2apic_ipis)
{
    for (unsigned i = 0; i < ncpus; i++) {
        int rc = lapic_msr_write(cpu(i), MSR_APIC_BASE, LAPIC_BASE | 0xc00);
        ck_assert_int_eq(rc, 0);
    }
    static const struct {
        uint64_t icr;
        unsigned takers;
    } table[] = {
        {3ull << 32 | 0x60, 0x8},          {0xffffffffull << 32 | 0x60, 0xf},
        {0xffull << 32 | 0x60, 0},         {5ull << 32 | 0x860, 0x5},
        {0x10005ull << 32 | 0x860, 0},     {0x40060, 0x2},
        {0xc0060, 0xd},                    {0xffffffffull << 32 | 0x860, 0xf},
    };
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        ck_assert_int_eq(lapic_msr_write(cpu(1), 0x830, table[i].icr), 0);
        unsigned takers = 0;
        for (unsigned c = 0; c < ncpus; c++) {
            if (!lapic_pending(cpu(c)))
                continue;
            takers |= 1u << c;
            ck_assert_int_eq(lapic_intack(cpu(c)), 0x60);
            lapic_msr_write(cpu(c), 0x80b, 0);
        }
        ck_assert_msg(takers == table[i].takers, "row %u", i);
    }
    msi(0xfee02000, 0x60);
    ck_assert(lapic_pending(cpu(2)));
    msi(0xfeeff000, 0x61); /* 8 bits of ones are everyone here too */
    ck_assert(lapic_pending(cpu(0)) && lapic_pending(cpu(3)));
}
END_TEST

/* INIT, then twice STARTUP, as operating systems start a CPU. */
START_TEST(intc_starts_other_cpus)
{
    ipi(0, 2, 0xc500);
    ipi(0, 2, 0x8500);
    ck_assert_uint_eq(seen[2].inits, 1);
    ck_assert_uint_eq(rd(2, SVR), 0xff);
    ipi(0, 2, 0x4600 | 0x9a);
    ipi(0, 2, 0x4600 | 0x9a);
    ck_assert_uint_eq(seen[2].sipis, 2);
    ck_assert_uint_eq(seen[2].start, 0x9a);
    ck_assert_uint_eq(seen[0].inits + seen[1].inits + seen[3].inits, 0);
}
END_TEST

START_TEST(intc_serves_255_cpus)
{
    destroy();
    create(MAX);
    enable_all();
    ipi(7, 0, 0x4060 | TO_OTHERS);
    unsigned takers = 0;
    for (unsigned i = 0; i < MAX; i++)
        takers += lapic_pending(cpu(i));
    ck_assert_uint_eq(takers, 254);
    take(0x60);
    ipi(0, 254, 0x4061);
    ck_assert(lapic_pending(cpu(254)));
    ck_assert_int_eq(lapic_intack(cpu(254)), 0x61);
}
END_TEST

/*
 * What a Linux kernel does with a local APIC when it boots: all vectors cleared, disabled, priority
 * and logical id set, nothing stale, enabled, pins and errors. It must find no error, and nothing
 * may interrupt.
 */
START_TEST(intc_linux_bring_up)
{
    destroy();
    create(4);
    program_pic();
    gsi(4, true); /* a request of the PIC stands by the virtual wire */
    ck_assert_uint_eq(rd(0, 0x30) & 0xff, 0x14);
    ck_assert_uint_eq(rd(0, 0x30) >> 16 & 0xff, 5); /* no CMCI is looked for below 6 */
    for (unsigned n = 0; n < ncpus; n++) {
        wr(n, 0x370, MASKED | 0xfe);
        for (unsigned lvt = 0x320; lvt <= 0x370; lvt += 0x10)
            wr(n, lvt, rd(n, lvt) | MASKED);
        for (unsigned lvt = 0x320; lvt <= 0x370; lvt += 0x10)
            wr(n, lvt, MASKED);
        wr(n, SVR, rd(n, SVR) & ~0x100u);
        wr(n, DFR, 0xffffffff);
        wr(n, LDR, 1u << (24 + n));
        wr(n, TPR, 0x10);
        for (unsigned i = 0; i < 8; i++)
            ck_assert_uint_eq(rd(n, 0x100 + i * 16) | rd(n, IRR + i * 16), 0);
        wr(n, SVR, 0x1ff);
        ck_assert_uint_eq(rd(n, LINT0) & MASKED, MASKED); /* so it keeps ExtINT masked */
        wr(n, LINT0, 0x700 | MASKED);
        wr(n, 0x360, n ? 0x400 | MASKED : 0x400);
        wr(n, 0x280, 0);
        wr(n, 0x370, 0xfe);
        wr(n, 0x280, 0);
        ck_assert_uint_eq(rd(n, 0x280), 0);
        ck_assert(!lapic_pending(cpu(n)));
    }
    route(2, 0x30 | ICR_LOGICAL, 1); /* its timer check: an edge by pin 2 */
    gsi(0, true);
    ck_assert_uint_eq(take(0x30), 1);
}
END_TEST

/* --- life --- */

START_TEST(intc_reset_is_power_on)
{
    program_pic();
    route(10, 0x71 | LEVEL, 1);
    gsi(10, true);
    wr(0, LINT0, MASKED);
    ipi(0, 1, 0x4060);
    struct device *dev = intc_soft_device(intc);
    dev->ops->reset(dev);
    for (unsigned i = 0; i < ncpus; i++) {
        ck_assert(!lapic_pending(cpu(i)));
        ck_assert_uint_eq(rd(i, SVR), 0xff);
        ck_assert_uint_eq(rd(i, LINT0), i ? MASKED : 0x700);
        ck_assert_uint_eq(rd(i, IRR + 0x30), 0);
    }
    ck_assert_uint_eq(ioapic_read(0x10 + 20), MASKED);
    gsi(10, false);
    enable_all();
    route(10, 0x71 | LEVEL, 1);
    ck_assert(!lapic_pending(cpu(1)));
}
END_TEST

START_TEST(intc_create_refuses_what_it_cannot_do)
{
    struct intc_soft_config cfg = config(0);
    for (unsigned i = 0; i < 4; i++) {
        struct err err = {0};
        cfg.ncpus = i == 0 ? 0 : i == 1 ? 256 : 1;
        cfg.phys_bits = i == 2 ? 53 : 40; /* the last: taken ports */
        ck_assert(intc_soft_create(&cfg, &err) == NULL);
        ck_assert_str_ne(err.msg, "");
    }
    struct bus fresh;
    struct err err = {0};
    bus_init(&fresh, "pio", 65536);
    cfg.pio = &fresh;
    ck_assert(intc_soft_create(&cfg, &err) == NULL); /* taken window */
    ck_assert_uint_eq(fresh.nregions, 0);
    ck_assert_uint_eq(mmio.nregions, 1);
}
END_TEST

static void hostile_access(unsigned r, uint64_t v)
{
    static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
    struct lapic *l = cpu(r >> 8 & 3);
    switch (r & 7) {
    case 0:
        bus_write(&pio, ports[(r >> 16) % 6], 1, v);
        break;
    case 1:
        ioapic_write(0x10 + (r >> 16) % 48, (uint32_t)v & ~(r & 0x400 ? MASKED : 0));
        break;
    case 2:
        gsi(r >> 16 & 31, r & 0x400);
        break;
    case 3:
        msi(r & 0x400 ? v : (v & 0xff00c) | 0xfee00000, (uint32_t)(v >> 20));
        break;
    case 4:
        lapic_mmio_write(l, (r >> 16 & 0x3f) * 16, 4, v);
        break;
    case 5:
        lapic_msr_write(l, r & 0x400 ? 0x830 : MSR_APIC_BASE, v & (r & 0x400 ? ~0ull : 0xc00));
        break;
    case 6:
        lapic_mmio_write(l, r & 0x400 ? SVR : EOI, 4, v | 0x100);
        break;
    default:
        if (lapic_pending(l))
            lapic_intack(l);
    }
}

/* Nothing is lost: what becomes pending is announced. */
START_TEST(intc_survives_hostile_accesses)
{
    unsigned seed = 0xfee, wrong = 0, total = 0;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = (unsigned)rand_r(&seed), wakes[4];
        bool before[4];
        for (unsigned c = 0; c < 4; c++) {
            before[c] = lapic_pending(cpu(c));
            wakes[c] = seen[c].wakes;
        }
        hostile_access(r, (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed) << 1);
        for (unsigned c = 0; c < 4; c++) {
            wrong += !before[c] && lapic_pending(cpu(c)) && wakes[c] == seen[c].wakes;
            total += seen[c].wakes - wakes[c];
        }
        if (r % 3000 == 0) {
            struct device *dev = intc_soft_device(intc);
            dev->ops->reset(dev);
            enable_all();
        }
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(total, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("intc");
    TCase *tc = tcase_create("intc");
    tcase_add_checked_fixture(tc, setup, destroy);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, intc_pit_reaches_ioapic_pin_2);
    tcase_add_test(tc, intc_gsis_reach_pins_of_their_number);
    tcase_add_test(tc, intc_isa_interrupts_reach_the_pic);
    tcase_add_test(tc, intc_virtual_wire_works_before_the_apic_is_touched);
    tcase_add_test(tc, intc_lint0_as_fixed_vector);
    tcase_add_test(tc, intc_pic_through_the_ioapic);
    tcase_add_test(tc, intc_level_asks_again_after_eoi);
    tcase_add_test(tc, intc_level_waits_for_a_cpu_that_takes_it);
    tcase_add_test(tc, intc_ioapic_sends_nmi_and_init);
    tcase_add_test(tc, intc_pit_ticks_through_the_ioapic);
    tcase_add_test(tc, intc_msi_physical);
    tcase_add_test(tc, intc_msi_logical_without_the_hint);
    tcase_add_test(tc, intc_msi_hint_picks_one);
    tcase_add_test(tc, intc_msi_modes);
    tcase_add_test(tc, intc_msi_elsewhere_is_dropped);
    tcase_add_test(tc, intc_ipi_physical);
    tcase_add_test(tc, intc_ipi_shorthands);
    tcase_add_test(tc, intc_ipi_logical_flat_and_cluster);
    tcase_add_test(tc, intc_ipi_lowest_priority);
    tcase_add_test(tc, intc_equals_take_turns);
    tcase_add_test(tc, intc_x2apic_ipis);
    tcase_add_test(tc, intc_starts_other_cpus);
    tcase_add_test(tc, intc_serves_255_cpus);
    tcase_add_test(tc, intc_linux_bring_up);
    tcase_add_test(tc, intc_reset_is_power_on);
    tcase_add_test(tc, intc_create_refuses_what_it_cannot_do);
    tcase_add_test(tc, intc_survives_hostile_accesses);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
