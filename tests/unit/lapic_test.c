// SPDX-License-Identifier: MIT
//
// One local APIC alone: registers of both modes, priorities, acceptance, errors, pins, resets. Its
// timer is in lapic_timer_test.c, the traffic between APICs in intc_test.c.
#include "devices/lapic.h"

#include <check.h>
#include <stdlib.h>

#include "layout.h"
#include "tests/lib/suite.h"
#include "util.h"

#define CPU 5
#define ID 0x20
#define VERSION 0x30
#define TPR 0x80
#define APR 0x90
#define PPR 0xa0
#define EOI 0xb0
#define LDR 0xd0
#define DFR 0xe0
#define SVR 0xf0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR_HIGH 0x310
#define LVT_BASE 0x320
#define LINT0 0x350
#define LINT1 0x360
#define ERROR_LVT 0x370
#define MASKED 0x10000u
#define ENABLED 0x1ff
#define BASE_X2APIC (LAPIC_BASE | APIC_BASE_EN | APIC_BASE_EXTD)
#define X(off) (MSR_X2APIC_FIRST + (off) / 16)

static struct clock clk;
static struct lapic_wires wires;
static struct lapic l;
static unsigned wakes, inits, sipis, nmis, sends, eois, extints;
static uint8_t last_sipi, last_eoi;
static struct apic_msg last;

static void on_wake(void *opaque, unsigned cpu)
{
    (void)opaque;
    wakes += cpu == l.cpu;
}

static void on_init(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
    inits++;
}

static void on_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    (void)opaque, (void)cpu;
    sipis++;
    last_sipi = vector;
}

static void on_nmi(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
    nmis++;
}

static void on_send(void *opaque, struct lapic *from, const struct apic_msg *msg)
{
    (void)opaque;
    sends += from == &l;
    last = *msg;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    (void)opaque;
    eois++;
    last_eoi = vector;
}

static int on_extint(void *opaque)
{
    (void)opaque;
    extints++;
    lapic_lint_set(&l, 0, false); /* the chip lowers INT */
    return 0x31;
}

static uint64_t same(void *opaque, unsigned cpu, uint64_t v)
{
    (void)opaque, (void)cpu;
    return v;
}

static void setup_cpu(unsigned cpu)
{
    wakes = inits = sipis = nmis = sends = eois = extints = 0;
    clock_init_stepped(&clk, 0);
    wires = (struct lapic_wires){
        .clock = &clk,
        .sink = {.wake = on_wake, .init = on_init, .sipi = on_sipi, .nmi = on_nmi},
        .tsc = {.to_ns = same, .from_ns = same},
        .phys_bits = 40,
        .send = on_send,
        .eoi = on_eoi,
        .extint_ack = on_extint,
    };
    lapic_init(&l, &wires, cpu);
}

static void setup(void)
{
    setup_cpu(CPU);
}

static void teardown(void)
{
    lapic_fini(&l);
    ck_assert(clock_next_deadline_ns(&clk) == CLOCK_NEVER);
}

static uint32_t rd(unsigned off)
{
    return (uint32_t)lapic_mmio_read(&l, off, 4);
}

static void wr(unsigned off, uint32_t val)
{
    lapic_mmio_write(&l, off, 4, val);
}

static void enable(void)
{
    wr(SVR, ENABLED);
}

static bool send_mode(unsigned mode, unsigned vector, bool level)
{
    const struct apic_msg msg = {.mode = (uint8_t)mode, .vector = (uint8_t)vector, .level = level};
    return lapic_receive(&l, &msg);
}

static bool send(unsigned vector)
{
    return send_mode(APIC_FIXED, vector, false);
}

static int rdmsr(uint32_t msr)
{
    uint64_t val;
    return lapic_msr_read(&l, msr, &val);
}

static uint64_t msr_value(uint32_t msr)
{
    uint64_t val = 0;
    ck_assert_int_eq(lapic_msr_read(&l, msr, &val), 0);
    return val;
}

static int wrmsr(uint32_t msr, uint64_t val)
{
    return lapic_msr_write(&l, msr, val);
}

static void go_x2apic(void)
{
    ck_assert_int_eq(wrmsr(MSR_APIC_BASE, BASE_X2APIC), 0);
}

/* The bit of a vector in one of the three sets. */
static bool in_set(unsigned set, unsigned vector)
{
    return rd(set + vector / 32 * 16) >> vector % 32 & 1;
}

START_TEST(lapic_power_on_values)
{
    ck_assert_uint_eq(rd(ID), CPU << 24);
    ck_assert_uint_eq(rd(VERSION), 0x50014); /* no EOI suppression (24), no extended space (31) */
    ck_assert_uint_eq(rd(TPR), 0);
    ck_assert_uint_eq(rd(LDR), 0);
    ck_assert_uint_eq(rd(DFR), 0xffffffff);
    ck_assert_uint_eq(rd(SVR), 0xff);
    ck_assert_uint_eq(rd(ESR), 0);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        ck_assert_uint_eq(rd(LVT_BASE + i * 16), MASKED);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), LAPIC_BASE | APIC_BASE_EN);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_bootstrap_cpu_has_a_virtual_wire)
{
    setup_cpu(0);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), LAPIC_BASE | APIC_BASE_EN | APIC_BASE_BSP);
    ck_assert_uint_eq(rd(LINT0), 0x700);
    lapic_lint_set(&l, 0, true);
    ck_assert(lapic_pending(&l));
    ck_assert_uint_eq(wakes, 1);
    ck_assert_int_eq(lapic_intack(&l), 0x31);
    ck_assert_uint_eq(extints, 1);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_read_only_registers_stay)
{
    static const uint16_t ro[] = {ID, VERSION, APR, PPR, ISR, TMR + 0x70, IRR, 0x390};
    enable();
    for (unsigned i = 0; i < ARRAY_LEN(ro); i++) {
        uint32_t before = rd(ro[i]);
        wr(ro[i], 0xffffffff);
        ck_assert_uint_eq(rd(ro[i]), before);
    }
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0);
}
END_TEST

START_TEST(lapic_writable_bits)
{
    static const struct {
        uint16_t off;
        uint32_t reads;
    } regs[] = {
        {TPR, 0xff},         {LDR, 0xff000000},   {DFR, 0xffffffff},   {SVR, 0x3ff},
        {ICR_HIGH, 0xff000000}, {0x320, 0x700ff}, {0x330, 0x107ff},    {0x340, 0x107ff},
        {LINT0, 0x1a7ff},    {LINT1, 0x1a7ff},    {ERROR_LVT, 0x100ff}, {0x3e0, 0xb},
    };
    enable();
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
        wr(regs[i].off, 0xffffffff);
        ck_assert_uint_eq(rd(regs[i].off), regs[i].reads);
    }
    wr(DFR, 0);
    ck_assert_uint_eq(rd(DFR), 0x0fffffff);
}
END_TEST

START_TEST(lapic_page_has_registers_in_the_first_four_of_sixteen)
{
    wr(TPR, 0x5a);
    ck_assert_uint_eq(lapic_mmio_read(&l, TPR, 1), 0x5a);
    ck_assert_uint_eq(lapic_mmio_read(&l, ID + 3, 1), CPU);
    ck_assert_uint_eq(lapic_mmio_read(&l, TPR, 8), 0x5a);
    ck_assert_uint_eq(lapic_mmio_read(&l, TPR + 4, 4), 0);
    lapic_mmio_write(&l, TPR, 1, 0);
    lapic_mmio_write(&l, TPR + 4, 4, 0);
    lapic_mmio_write(&l, TPR + 1, 4, 0);
    ck_assert_uint_eq(rd(TPR), 0x5a);
    lapic_mmio_write(&l, TPR, 8, 0xffffffff00000020);
    ck_assert_uint_eq(rd(TPR), 0x20);
}
END_TEST

START_TEST(lapic_takes_vectors_when_software_enables_it)
{
    ck_assert(!send(0x40));
    ck_assert(!lapic_pending(&l));
    enable();
    ck_assert(send(0x40));
    ck_assert(lapic_pending(&l));
    ck_assert_uint_eq(wakes, 1);
    ck_assert(in_set(IRR, 0x40));
    wr(SVR, 0xff); /* what it holds stays, and nothing comes in */
    ck_assert(!send(0x50));
    ck_assert(in_set(IRR, 0x40));
    ck_assert_int_eq(lapic_intack(&l), 0x40);
    ck_assert(in_set(ISR, 0x40));
    ck_assert(!in_set(IRR, 0x40));
}
END_TEST

START_TEST(lapic_serves_by_priority_class)
{
    enable();
    send(0x41);
    send(0x4f);
    send(0x61);
    ck_assert_int_eq(lapic_intack(&l), 0x61);
    ck_assert_uint_eq(rd(PPR), 0x60);
    ck_assert(!lapic_pending(&l));
    send(0x6f); /* same class */
    ck_assert(!lapic_pending(&l));
    send(0x70);
    ck_assert(lapic_pending(&l));
    ck_assert_int_eq(lapic_intack(&l), 0x70);
    wr(EOI, 0);
    ck_assert(in_set(ISR, 0x61));
    ck_assert(!lapic_pending(&l));
    wr(EOI, 0);
    ck_assert_int_eq(lapic_intack(&l), 0x6f);
    wr(EOI, 0);
    ck_assert_int_eq(lapic_intack(&l), 0x4f);
    wr(EOI, 0);
    ck_assert_int_eq(lapic_intack(&l), 0x41);
    wr(EOI, 0);
    ck_assert_uint_eq(rd(PPR), 0);
}
END_TEST

START_TEST(lapic_holds_one_more_of_a_vector_in_service)
{
    enable();
    send(0x50);
    lapic_intack(&l);
    send(0x50);
    send(0x50);
    ck_assert(in_set(IRR, 0x50) && in_set(ISR, 0x50));
    wr(EOI, 0);
    ck_assert_int_eq(lapic_intack(&l), 0x50);
    wr(EOI, 0);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_tpr_holds_back_its_class)
{
    enable();
    wr(TPR, 0x45);
    ck_assert_uint_eq(rd(PPR), 0x45);
    send(0x4f);
    ck_assert(!lapic_pending(&l));
    ck_assert_uint_eq(wakes, 0);
    wr(TPR, 0x3f);
    ck_assert(lapic_pending(&l));
    ck_assert_uint_eq(wakes, 1);
    wr(TPR, 0xf0);
    ck_assert(!lapic_pending(&l));
    send(0xff);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_ppr_follows_tpr_and_service)
{
    static const struct {
        uint8_t tpr, serving, ppr;
    } table[] = {{0, 0, 0},       {0x25, 0, 0x25},    {0, 0x43, 0x40}, {0x35, 0x43, 0x40},
                 {0x45, 0x43, 0x45}, {0x55, 0x43, 0x55}, {0xff, 0xfe, 0xff}};
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        lapic_reset(&l);
        enable();
        if (table[i].serving) {
            send(table[i].serving);
            lapic_intack(&l);
        }
        wr(TPR, table[i].tpr);
        ck_assert_uint_eq(rd(PPR), table[i].ppr);
    }
}
END_TEST

START_TEST(lapic_apr_counts_waiting_vectors)
{
    enable();
    wr(TPR, 0x23);
    ck_assert_uint_eq(rd(APR), 0x23);
    send(0x57);
    ck_assert_uint_eq(rd(APR), 0x50);
    lapic_intack(&l);
    ck_assert_uint_eq(rd(APR), 0x50);
    send(0x99);
    ck_assert_uint_eq(rd(APR), 0x90);
    wr(TPR, 0x98);
    ck_assert_uint_eq(rd(APR), 0x98);
}
END_TEST

START_TEST(lapic_cr8_is_the_class_of_tpr)
{
    enable();
    wr(TPR, 0x5f);
    ck_assert_uint_eq(lapic_cr8_read(&l), 5);
    lapic_cr8_write(&l, 9);
    ck_assert_uint_eq(rd(TPR), 0x90);
    send(0x91);
    ck_assert(!lapic_pending(&l));
    lapic_cr8_write(&l, 8);
    ck_assert(lapic_pending(&l));
    ck_assert_uint_eq(wakes, 1);
}
END_TEST

START_TEST(lapic_spurious_vector_when_tpr_rose)
{
    wr(SVR, 0x1d3);
    send(0x40);
    wr(TPR, 0x50);
    ck_assert_int_eq(lapic_intack(&l), 0xd3);
    ck_assert(!in_set(ISR, 0xd3));
    ck_assert(in_set(IRR, 0x40));
}
END_TEST

START_TEST(lapic_eoi_of_level_goes_to_the_ioapic)
{
    enable();
    ck_assert(send_mode(APIC_FIXED, 0x60, true));
    ck_assert(in_set(TMR, 0x60));
    lapic_intack(&l);
    send(0x70);
    lapic_intack(&l);
    wr(EOI, 0);
    ck_assert_uint_eq(eois, 0);
    wr(EOI, 0);
    ck_assert_uint_eq(eois, 1);
    ck_assert_uint_eq(last_eoi, 0x60);
    wr(EOI, 0); /* nothing in service */
    ck_assert_uint_eq(eois, 1);
    send(0x60);
    ck_assert(!in_set(TMR, 0x60)); /* now an edge */
}
END_TEST

START_TEST(lapic_hears_nmi_init_sipi_while_disabled)
{
    ck_assert(send_mode(APIC_NMI, 0, false));
    ck_assert_uint_eq(nmis, 1);
    ck_assert(send_mode(APIC_SIPI, 0x9a, false));
    ck_assert_uint_eq(sipis, 1);
    ck_assert_uint_eq(last_sipi, 0x9a);
    ck_assert(send_mode(APIC_INIT, 0, false));
    ck_assert_uint_eq(inits, 1);
    ck_assert(!send_mode(APIC_SMI, 0, false));
    ck_assert(!send_mode(3, 0x40, false));
}
END_TEST

START_TEST(lapic_init_resets_all_but_identity)
{
    ck_assert_int_eq(wrmsr(MSR_APIC_BASE, 0xfd000000 | APIC_BASE_EN), 0);
    enable();
    wr(TPR, 0x30);
    wr(LDR, 0x04000000);
    wr(LINT1, 0x400);
    wr(0x380, 1000000);
    send(0x60);
    lapic_intack(&l);
    send(0x61);
    send_mode(APIC_INIT, 0, false);
    ck_assert_uint_eq(inits, 1);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), 0xfd000000 | APIC_BASE_EN);
    ck_assert_uint_eq(rd(ID), CPU << 24);
    ck_assert_uint_eq(rd(TPR), 0);
    ck_assert_uint_eq(rd(LDR), 0);
    ck_assert_uint_eq(rd(SVR), 0xff);
    ck_assert_uint_eq(rd(LINT1), MASKED);
    ck_assert_uint_eq(rd(0x390), 0);
    ck_assert(!in_set(ISR, 0x60) && !in_set(IRR, 0x61));
    ck_assert(!lapic_pending(&l));
    lapic_reset(&l);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), LAPIC_BASE | APIC_BASE_EN);
}
END_TEST

START_TEST(lapic_init_keeps_x2apic_mode)
{
    go_x2apic();
    send_mode(APIC_INIT, 0, false);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), BASE_X2APIC);
    ck_assert_uint_eq(msr_value(X(ID)), CPU);
    lapic_reset(&l);
    ck_assert_uint_eq(msr_value(MSR_APIC_BASE), LAPIC_BASE | APIC_BASE_EN);
}
END_TEST

START_TEST(lapic_esr_shows_errors_after_a_write)
{
    enable();
    wr(ERROR_LVT, 0xe0);
    ck_assert(!send(0x0f)); /* received illegal vector */
    ck_assert_uint_eq(rd(ESR), 0);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0x40);
    ck_assert_int_eq(lapic_intack(&l), 0xe0);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0);
    wr(ICR, 0x05); /* send illegal vector */
    ck_assert_uint_eq(sends, 0);
    rd(0x2f0); /* illegal register: there is no CMCI */
    wr(0x000, 1);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0xa0);
}
END_TEST

START_TEST(lapic_error_interrupt_with_illegal_vector_ends)
{
    enable();
    wr(ERROR_LVT, 0x03);
    rd(0x2f0);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0xc0);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_software_disable_masks_local_vectors)
{
    enable();
    wr(LINT0, 0x700);
    wr(LINT1, 0x400);
    wr(SVR, 0xff);
    ck_assert_uint_eq(rd(LINT0), 0x700 | MASKED);
    ck_assert_uint_eq(rd(LINT1), 0x400 | MASKED);
    wr(LINT1, 0x400);
    ck_assert_uint_eq(rd(LINT1), 0x400 | MASKED);
    enable();
    ck_assert_uint_eq(rd(LINT1), 0x400 | MASKED); /* it does not come back by itself */
}
END_TEST

START_TEST(lapic_extint_goes_before_vectors_and_ignores_priority)
{
    enable();
    wr(LINT0, 0x700);
    wr(TPR, 0xff);
    lapic_lint_set(&l, 0, true);
    ck_assert(lapic_pending(&l));
    wr(TPR, 0);
    send(0xf0);
    ck_assert_int_eq(lapic_intack(&l), 0x31);
    ck_assert_int_eq(lapic_intack(&l), 0xf0);
    wr(LINT0, 0x700 | MASKED);
    lapic_lint_set(&l, 0, true);
    ck_assert(!lapic_pending(&l));
    wr(LINT0, 0x700); /* a level: unmasking shows it */
    ck_assert(lapic_pending(&l));
}
END_TEST

START_TEST(lapic_extint_message_waits_for_intack)
{
    enable();
    ck_assert(send_mode(APIC_EXTINT, 0, false));
    ck_assert(lapic_pending(&l));
    ck_assert_int_eq(lapic_intack(&l), 0x31);
    ck_assert(!lapic_pending(&l));
}
END_TEST

START_TEST(lapic_pins_deliver_as_programmed)
{
    enable();
    wr(LINT1, 0x400);
    lapic_lint_set(&l, 1, true);
    lapic_lint_set(&l, 1, true);
    ck_assert_uint_eq(nmis, 1);
    lapic_lint_set(&l, 1, false);
    wr(LINT1, 0x400 | MASKED);
    lapic_lint_set(&l, 1, true);
    ck_assert_uint_eq(nmis, 1);
    wr(LINT0, 0x55);
    lapic_lint_set(&l, 0, true);
    ck_assert_int_eq(lapic_intack(&l), 0x55);
    wr(EOI, 0);
    ck_assert(!lapic_pending(&l));
    lapic_lint_set(&l, 0, false);
    wr(LINT0, 0x500);
    lapic_lint_set(&l, 0, true);
    ck_assert_uint_eq(inits, 1);
}
END_TEST

START_TEST(lapic_level_pin_asks_again_after_eoi)
{
    enable();
    wr(LINT0, 0x8055);
    lapic_lint_set(&l, 0, true);
    ck_assert_uint_eq(rd(LINT0), 0xc055);
    ck_assert_int_eq(lapic_intack(&l), 0x55);
    wr(LINT0, 0x8055); /* a write does not end it */
    ck_assert(!in_set(IRR, 0x55));
    wr(EOI, 0);
    ck_assert(lapic_pending(&l));
    lapic_intack(&l);
    lapic_lint_set(&l, 0, false);
    wr(EOI, 0);
    ck_assert(!lapic_pending(&l));
    ck_assert_uint_eq(rd(LINT0), 0x8055);
}
END_TEST

START_TEST(lapic_switched_off_leaves_the_pins)
{
    enable();
    send(0x60);
    ck_assert_int_eq(wrmsr(MSR_APIC_BASE, LAPIC_BASE), 0);
    ck_assert(!lapic_pending(&l));
    ck_assert(!lapic_claims(&l, LAPIC_BASE));
    ck_assert_uint_eq(rd(ID), 0xffffffff);
    ck_assert(!send_mode(APIC_NMI, 0, false));
    lapic_lint_set(&l, 1, true);
    ck_assert_uint_eq(nmis, 1);
    lapic_lint_set(&l, 0, true);
    ck_assert(lapic_pending(&l));
    ck_assert_int_eq(lapic_intack(&l), 0x31);
    ck_assert_int_eq(wrmsr(MSR_APIC_BASE, LAPIC_BASE | APIC_BASE_EN), 0);
    ck_assert_uint_eq(rd(SVR), 0xff); /* as after reset */
}
END_TEST

START_TEST(lapic_command_becomes_a_message)
{
    wr(ICR_HIGH, 0x03000000);
    wr(ICR, 0x4860 | 1 << 8);
    ck_assert_uint_eq(sends, 1);
    ck_assert_uint_eq(last.dest, 3);
    ck_assert_uint_eq(last.vector, 0x60);
    ck_assert_uint_eq(last.mode, APIC_LOWEST);
    ck_assert(last.logical && !last.wide && !last.level);
    ck_assert_uint_eq(rd(ICR), 0x4960); /* idle */
    wr(ICR, 0xffffff00 | 0x60);
    ck_assert_uint_eq(last.shorthand, APIC_OTHERS);
    ck_assert_uint_eq(rd(ICR), 0xccf60);
    wr(ICR, 0xc500); /* INIT, level, asserted */
    ck_assert_uint_eq(last.mode, APIC_INIT);
    ck_assert_uint_eq(sends, 3);
    wr(ICR, 0x8500); /* de-asserted */
    ck_assert_uint_eq(sends, 3);
    wr(ICR, 0x4000 | APIC_SIPI << 8); /* vector 0 is a fine start address */
    ck_assert_uint_eq(sends, 4);
    wr(ICR, 0xc060);
    ck_assert(!last.level); /* IPIs are edges */
}
END_TEST

START_TEST(lapic_destinations_in_xapic_mode)
{
    static const struct {
        uint32_t ldr, dfr, dest;
        bool logical, wide, match;
    } table[] = {
        {0, ~0u, CPU, false, false, true},
        {0, ~0u, CPU + 1, false, false, false},
        {0, ~0u, 0xff, false, false, true},
        {0, ~0u, 0xff, false, true, false},
        {0, ~0u, 0xffffffff, false, true, true},
        {0, ~0u, 0x100 + CPU, false, true, false},
        {0x04000000, ~0u, 0x04, true, false, true}, /* flat: one bit each */
        {0x04000000, ~0u, 0x0f, true, false, true},
        {0x04000000, ~0u, 0xfb, true, false, false},
        {0, ~0u, 0x0f, true, false, false},
        {0, ~0u, 0xff, true, false, true},
        {0x04000000, ~0u, 0x104, true, true, false},
        {0x24000000, 0, 0x24, true, false, true}, /* cluster 2, member 4 */
        {0x24000000, 0, 0x2f, true, false, true},
        {0x24000000, 0, 0x14, true, false, false},
        {0x24000000, 0, 0x2b, true, false, false},
        {0x24000000, 0, 0xf4, true, false, true},
        {0x24000000, 0, 0xf8, true, false, false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        wr(LDR, table[i].ldr);
        wr(DFR, table[i].dfr);
        const struct apic_msg msg = {
            .dest = table[i].dest, .logical = table[i].logical, .wide = table[i].wide};
        ck_assert_msg(lapic_matches(&l, &msg) == table[i].match, "row %u", i);
    }
}
END_TEST

START_TEST(lapic_destinations_in_x2apic_mode)
{
    static const struct {
        unsigned cpu;
        uint32_t ldr;
    } ids[] = {{0, 1}, {5, 0x20}, {15, 0x8000}, {16, 0x10001}, {0xfe, 0xf4000}};
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        setup_cpu(ids[i].cpu);
        go_x2apic();
        ck_assert_uint_eq(msr_value(X(LDR)), ids[i].ldr);
        ck_assert_uint_eq(msr_value(X(ID)), ids[i].cpu);
        struct apic_msg msg = {.dest = ids[i].ldr, .logical = true, .wide = true};
        ck_assert(lapic_matches(&l, &msg));
        msg.dest = ids[i].ldr | 0xffff;
        ck_assert(lapic_matches(&l, &msg));
        msg.dest = ids[i].ldr ^ 0x100000;
        ck_assert(!lapic_matches(&l, &msg));
        msg.dest = (ids[i].ldr & ~0xffffu) | (0xffff & ~ids[i].ldr);
        ck_assert(!lapic_matches(&l, &msg));
        msg.dest = 0xffffffff;
        ck_assert(lapic_matches(&l, &msg));
        lapic_fini(&l);
    }
}
END_TEST

START_TEST(lapic_base_mode_changes)
{
    enum { OFF, XAPIC, INVALID, X2APIC };
    static const uint64_t bits[] = {
        [OFF] = 0,
        [XAPIC] = APIC_BASE_EN,
        [INVALID] = APIC_BASE_EXTD,
        [X2APIC] = APIC_BASE_EN | APIC_BASE_EXTD,
    };
    static const bool legal[4][4] = {
        [OFF] = {[OFF] = true, [XAPIC] = true},
        [XAPIC] = {[OFF] = true, [XAPIC] = true, [X2APIC] = true},
        [X2APIC] = {[OFF] = true, [X2APIC] = true},
    };
    static const unsigned from[] = {OFF, XAPIC, X2APIC};
    for (unsigned f = 0; f < 3; f++) {
        for (unsigned to = 0; to < 4; to++) {
            lapic_reset(&l);
            if (from[f] != XAPIC)
                ck_assert_int_eq(wrmsr(MSR_APIC_BASE, LAPIC_BASE | bits[from[f]]), 0);
            int rc = wrmsr(MSR_APIC_BASE, LAPIC_BASE | bits[to]);
            ck_assert_msg((rc == 0) == legal[from[f]][to], "from %u to %u", from[f], to);
            unsigned now = rc ? from[f] : to;
            ck_assert_uint_eq(msr_value(MSR_APIC_BASE), LAPIC_BASE | bits[now]);
        }
    }
}
END_TEST

START_TEST(lapic_base_reserved_bits_fault)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit < 8 || bit == 9 || bit >= 40;
        if (bit == 10 || bit == 11)
            continue;
        ck_assert_int_eq(wrmsr(MSR_APIC_BASE, APIC_BASE_EN | 1ull << bit), reserved ? -1 : 0);
    }
}
END_TEST

START_TEST(lapic_page_can_move)
{
    ck_assert(lapic_claims(&l, LAPIC_BASE));
    ck_assert(lapic_claims(&l, LAPIC_BASE + 0xfff));
    ck_assert(!lapic_claims(&l, LAPIC_BASE + 0x1000));
    ck_assert(!lapic_claims(&l, LAPIC_BASE - 1));
    ck_assert_int_eq(wrmsr(MSR_APIC_BASE, 0x8012345000 | APIC_BASE_EN), 0);
    ck_assert(lapic_claims(&l, 0x8012345800));
    ck_assert(!lapic_claims(&l, 0x12345800));
    ck_assert(!lapic_claims(&l, LAPIC_BASE));
    go_x2apic();
    ck_assert(!lapic_claims(&l, LAPIC_BASE));
    ck_assert_uint_eq(rd(ID), 0xffffffff);
    wr(TPR, 0x40);
    ck_assert_uint_eq(lapic_cr8_read(&l), 0);
}
END_TEST

START_TEST(lapic_x2apic_needs_its_mode)
{
    for (uint32_t msr = MSR_X2APIC_FIRST; msr <= MSR_X2APIC_LAST; msr++) {
        ck_assert_int_eq(rdmsr(msr), -1);
        ck_assert_int_eq(wrmsr(msr, 0), -1);
    }
    ck_assert_int_eq(rdmsr(0x900), -1);
    ck_assert_int_eq(wrmsr(0x10, 0), -1);
}
END_TEST

/* The table of the manual: which MSRs can be read, and written with zero. */
START_TEST(lapic_x2apic_legality)
{
    go_x2apic();
    for (uint32_t reg = 0; reg <= 0xff; reg++) {
        bool vectors = reg >= 0x10 && reg <= 0x27;
        bool both = reg == 0x08 || reg == 0x0f || reg == 0x28 || reg == 0x30 ||
                    (reg >= 0x32 && reg <= 0x38) || reg == 0x3e;
        bool ro = vectors || reg == 0x02 || reg == 0x03 || reg == 0x0a || reg == 0x0d ||
                  reg == 0x39;
        bool wo = reg == 0x0b || reg == 0x3f;
        ck_assert_msg((rdmsr(0x800 + reg) == 0) == (both || ro), "read %#x", reg);
        ck_assert_msg((wrmsr(0x800 + reg, 0) == 0) == (both || wo), "write %#x", reg);
    }
}
END_TEST

START_TEST(lapic_x2apic_reserved_bits_fault)
{
    static const struct {
        uint8_t reg;
        uint64_t bits;
    } table[] = {
        {0x08, 0xff},     {0x0b, 0},        {0x0f, 0x3ff},    {0x28, 0},
        {0x32, 0x750ff},  {0x33, 0x157ff},  {0x34, 0x157ff},  {0x35, 0x1f7ff},
        {0x36, 0x1f7ff},  {0x37, 0x150ff},  {0x38, ~0u},      {0x3e, 0xb},
        {0x3f, 0xff},     {0x30, 0xffffffff000cdfff},
    };
    go_x2apic();
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            int want = table[i].bits >> bit & 1 ? 0 : -1;
            ck_assert_msg(wrmsr(0x800u + table[i].reg, 1ull << bit) == want, "%#x bit %u",
                          table[i].reg, bit);
        }
    }
}
END_TEST

START_TEST(lapic_x2apic_command_is_64_bits)
{
    wr(ICR_HIGH, 0x03000000);
    go_x2apic();
    ck_assert_uint_eq(msr_value(X(ICR)), 0); /* the old destination is gone */
    ck_assert_int_eq(wrmsr(X(ICR), 0x0001234500000860), 0);
    ck_assert_uint_eq(last.dest, 0x00012345);
    ck_assert(last.wide && last.logical);
    ck_assert_uint_eq(msr_value(X(ICR)), 0x0001234500000860);
    ck_assert_int_eq(wrmsr(0x83f, 0x44), 0);
    ck_assert_uint_eq(last.shorthand, APIC_SELF);
    ck_assert_uint_eq(last.vector, 0x44);
    ck_assert_uint_eq(msr_value(X(ICR)), 0x0001234500000860); /* self-IPI has no register */
}
END_TEST

START_TEST(lapic_x2apic_serves_interrupts)
{
    enable();
    send(0x60);
    go_x2apic();
    ck_assert_uint_eq(msr_value(X(SVR)), ENABLED); /* kept over the change */
    ck_assert_int_eq(lapic_intack(&l), 0x60);
    ck_assert_uint_eq(msr_value(X(ISR) + 3), 1);
    ck_assert_uint_eq(msr_value(X(PPR)), 0x60);
    ck_assert_int_eq(wrmsr(X(EOI), 1), -1);
    ck_assert_int_eq(wrmsr(X(EOI), 0), 0);
    ck_assert_uint_eq(msr_value(X(ISR) + 3), 0);
    ck_assert_int_eq(wrmsr(X(TPR), 0x70), 0);
    ck_assert_uint_eq(lapic_cr8_read(&l), 7);
}
END_TEST

static void hostile_step(unsigned r, uint64_t v)
{
    switch (r >> 4 & 7) {
    case 0:
        lapic_mmio_write(&l, r >> 8 & 0xfff, 1u << (r & 3), v);
        break;
    case 1:
        wr((r >> 8 & 0x3f) * 16, (uint32_t)v);
        break;
    case 2:
        lapic_mmio_read(&l, r >> 8 & 0xfff, 1u << (r & 3));
        break;
    case 3:
        wrmsr(r & 1 ? 0x800 + (r >> 8 & 0x3f) : r & 2 ? MSR_APIC_BASE : MSR_TSC_DEADLINE,
              r & 0x4000 ? v : v & 0xc00);
        break;
    case 4:
        rdmsr(0x800 + (r >> 8 & 0xff));
        break;
    case 5:
        send_mode(r >> 8 & 7, (unsigned)v & 0xff, r & 1);
        break;
    case 6:
        lapic_lint_set(&l, r >> 8 & 1, r & 1);
        break;
    default:
        clock_step(&clk, (r >> 8) * 16);
        if (lapic_pending(&l))
            lapic_intack(&l);
    }
}

START_TEST(lapic_survives_hostile_accesses)
{
    unsigned seed = 486, wrong = 0;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        uint64_t v = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed) << 1;
        bool before = lapic_pending(&l);
        unsigned woken = wakes;
        hostile_step(r, v);
        wrong += !before && lapic_pending(&l) && wakes == woken;
        wrong += ((l.regs.isr[0] | l.regs.irr[0]) & 0xffff) != 0; /* no vector below 16 */
        wrong += (l.regs.apic_base & 0xc00) == APIC_BASE_EXTD;
        if (r % 5000 == 0)
            lapic_reset(&l);
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(sends, 100);
    ck_assert_uint_gt(wakes, 100);
}
END_TEST

static void add_register_tests(TCase *tc)
{
    tcase_add_test(tc, lapic_power_on_values);
    tcase_add_test(tc, lapic_bootstrap_cpu_has_a_virtual_wire);
    tcase_add_test(tc, lapic_read_only_registers_stay);
    tcase_add_test(tc, lapic_writable_bits);
    tcase_add_test(tc, lapic_page_has_registers_in_the_first_four_of_sixteen);
    tcase_add_test(tc, lapic_init_resets_all_but_identity);
    tcase_add_test(tc, lapic_init_keeps_x2apic_mode);
    tcase_add_test(tc, lapic_esr_shows_errors_after_a_write);
    tcase_add_test(tc, lapic_error_interrupt_with_illegal_vector_ends);
    tcase_add_test(tc, lapic_software_disable_masks_local_vectors);
    tcase_add_test(tc, lapic_command_becomes_a_message);
    tcase_add_test(tc, lapic_destinations_in_xapic_mode);
    tcase_add_test(tc, lapic_destinations_in_x2apic_mode);
    tcase_add_test(tc, lapic_base_mode_changes);
    tcase_add_test(tc, lapic_base_reserved_bits_fault);
    tcase_add_test(tc, lapic_page_can_move);
    tcase_add_test(tc, lapic_x2apic_needs_its_mode);
    tcase_add_test(tc, lapic_x2apic_legality);
    tcase_add_test(tc, lapic_x2apic_reserved_bits_fault);
    tcase_add_test(tc, lapic_x2apic_command_is_64_bits);
    tcase_add_test(tc, lapic_x2apic_serves_interrupts);
    tcase_add_test(tc, lapic_survives_hostile_accesses);
}

static void add_interrupt_tests(TCase *tc)
{
    tcase_add_test(tc, lapic_takes_vectors_when_software_enables_it);
    tcase_add_test(tc, lapic_serves_by_priority_class);
    tcase_add_test(tc, lapic_holds_one_more_of_a_vector_in_service);
    tcase_add_test(tc, lapic_tpr_holds_back_its_class);
    tcase_add_test(tc, lapic_ppr_follows_tpr_and_service);
    tcase_add_test(tc, lapic_apr_counts_waiting_vectors);
    tcase_add_test(tc, lapic_cr8_is_the_class_of_tpr);
    tcase_add_test(tc, lapic_spurious_vector_when_tpr_rose);
    tcase_add_test(tc, lapic_eoi_of_level_goes_to_the_ioapic);
    tcase_add_test(tc, lapic_hears_nmi_init_sipi_while_disabled);
    tcase_add_test(tc, lapic_extint_goes_before_vectors_and_ignores_priority);
    tcase_add_test(tc, lapic_extint_message_waits_for_intack);
    tcase_add_test(tc, lapic_pins_deliver_as_programmed);
    tcase_add_test(tc, lapic_level_pin_asks_again_after_eoi);
    tcase_add_test(tc, lapic_switched_off_leaves_the_pins);
}

int main(void)
{
    Suite *s = suite_create("lapic");
    TCase *tc = tcase_create("lapic");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_register_tests(tc);
    add_interrupt_tests(tc);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
