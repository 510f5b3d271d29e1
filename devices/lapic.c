// SPDX-License-Identifier: MIT
//
// Local APIC (SDM vol. 3 chapter 11): registers by number, its page, reset. lapic_vector.c has
// priorities and delivery, lapic_message.c what APICs send each other, lapic_pin.c LINT0 and LINT1,
// lapic_timer.c the timer, lapic_msr.c the MSR side.
//
// - It calls itself version 0x14 with six local vectors: no CMCI, no suppression of EOI broadcasts,
//   no extended space of AMD's.
// - The APIC id is the CPU's number and read-only, as on recent processors.
// - Out of reset LINT0 of the bootstrap CPU is an open ExtINT although the APIC is not yet enabled
//   by software: firmware would leave this virtual wire, and there is none here. KVM does so too.
//
// Left out: thermal and performance interrupts (nothing raises them).
#include "devices/lapic_priv.h"

#include "layout.h"
#include "log.h"
#include "util.h"

#define VERSION (0x14u | (LVT_COUNT - 1u) << 16)
#define SVR_RESET 0xffu
#define DFR_FIXED_BITS 0x0fffffffu
#define LDR_WRITABLE 0xff000000u
#define ICR_LOW_WRITABLE 0xccfffu
#define ICR_HIGH_WRITABLE 0xff000000u
#define LINT0_VIRTUAL_WIRE (APIC_EXTINT << 8)

uint32_t lapic_lvt_writable(const struct lapic *l, unsigned lvt)
{
    static const uint32_t writable[LVT_COUNT] = {
        [LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
        [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
    };
    return writable[lvt] | (lvt == LVT_TIMER && lapic_has_deadline(l) ? 0x40000u : 0u);
}

static void write_lvt(struct lapic *l, unsigned lvt, uint32_t val)
{
    struct lapic_regs *r = &l->regs;
    val &= lapic_lvt_writable(l, lvt);
    if (!(r->svr & SVR_ENABLE))
        val |= LVT_MASKED;
    if (lvt == LVT_TIMER) {
        lapic_timer_write_lvt(l, val);
        return;
    }
    if (val & LVT_LEVEL)
        val |= r->lvt[lvt] & LVT_REMOTE_IRR;
    r->lvt[lvt] = val;
    if (lvt == LVT_LINT0 || lvt == LVT_LINT1)
        lapic_serve_level_pin(l, lvt - LVT_LINT0);
    lapic_update(l);
}

/* While software disables the APIC, all local vectors are masked. */
static void write_svr(struct lapic *l, uint32_t val)
{
    l->regs.svr = val & SVR_WRITABLE;
    if (val & SVR_ENABLE)
        return;
    for (unsigned lvt = 0; lvt < LVT_COUNT; lvt++)
        write_lvt(l, lvt, l->regs.lvt[lvt]);
}

static uint32_t read_id(const struct lapic *l)
{
    return lapic_is_x2apic(l) ? l->cpu : l->cpu << 24;
}

/* The registers that read as they are stored, or NULL. */
static const uint32_t *stored_register(const struct lapic_regs *r, unsigned reg)
{
    if (reg >= REG_ISR && reg < REG_TMR)
        return &r->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_IRR)
        return &r->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_ESR)
        return &r->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg <= REG_LVT_LAST)
        return &r->lvt[reg - REG_LVT];
    switch (reg) {
    case REG_TPR:
        return &r->tpr;
    case REG_DFR:
        return &r->dfr;
    case REG_SVR:
        return &r->svr;
    case REG_ESR:
        return &r->esr;
    case REG_INITIAL:
        return &r->timer.initial;
    default:
        return NULL;
    }
}

bool lapic_register_read(struct lapic *l, unsigned reg, uint32_t *val)
{
    const struct lapic_regs *r = &l->regs;
    const uint32_t *stored = stored_register(r, reg);
    if (stored) {
        *val = *stored;
        return true;
    }
    switch (reg) {
    case REG_ID:
        *val = read_id(l);
        return true;
    case REG_VERSION:
        *val = VERSION;
        return true;
    case REG_APR:
        *val = lapic_arbitration_priority(l);
        return true;
    case REG_PPR:
        *val = lapic_processor_priority(r);
        return true;
    case REG_LDR:
        *val = lapic_is_x2apic(l) ? lapic_x2apic_ldr(l) : r->ldr;
        return true;
    case REG_ICR:
        *val = (uint32_t)r->icr;
        return true;
    case REG_ICR_HIGH:
        *val = (uint32_t)(r->icr >> 32);
        return true;
    case REG_CURRENT:
        *val = lapic_timer_current(l);
        return true;
    case REG_DIVIDE:
        *val = r->timer.divide;
        return true;
    case REG_EOI: /* write-only, and a relic: zero, but not an error */
    case REG_RRD:
        *val = 0;
        return true;
    default:
        return false;
    }
}

static void write_icr_low(struct lapic *l, uint32_t val)
{
    l->regs.icr = (l->regs.icr >> 32 << 32) | (val & ICR_LOW_WRITABLE);
    lapic_command(l, l->regs.icr);
}

static void write_icr_high(struct lapic *l, uint32_t val)
{
    l->regs.icr = (uint32_t)l->regs.icr | (uint64_t)(val & ICR_HIGH_WRITABLE) << 32;
}

bool lapic_register_write(struct lapic *l, unsigned reg, uint32_t val)
{
    struct lapic_regs *r = &l->regs;
    uint32_t ignored;
    switch (reg) {
    case REG_TPR:
        r->tpr = val & 0xff;
        lapic_update(l);
        return true;
    case REG_EOI:
        lapic_end_of_interrupt(l);
        return true;
    case REG_LDR:
        r->ldr = val & LDR_WRITABLE;
        return true;
    case REG_DFR:
        r->dfr = val | DFR_FIXED_BITS;
        return true;
    case REG_SVR:
        write_svr(l, val);
        return true;
    case REG_ESR:
        r->esr = r->errors;
        r->errors = 0;
        return true;
    case REG_ICR:
        write_icr_low(l, val);
        return true;
    case REG_ICR_HIGH:
        write_icr_high(l, val);
        return true;
    case REG_INITIAL:
        lapic_timer_write_initial(l, val);
        return true;
    case REG_DIVIDE:
        lapic_timer_write_divide(l, val);
        return true;
    default:
        if (reg < REG_LVT || reg > REG_LVT_LAST)
            return lapic_register_read(l, reg, &ignored); /* read-only ones keep their value */
        write_lvt(l, reg - REG_LVT, val);
        return true;
    }
}

/* --- the page --- */

/* Registers are the first four bytes of each sixteen; the rest reads as zero. */
uint64_t lapic_mmio_read(struct lapic *l, unsigned off, unsigned size)
{
    unsigned byte = off % 16;
    uint32_t val = 0;
    if (!lapic_is_present(l) || lapic_is_x2apic(l))
        return size_mask(size);
    if (byte >= 4)
        return 0;
    if (!lapic_register_read(l, off / 16, &val))
        lapic_report_error(l, ESR_ILLEGAL_REGISTER);
    return val >> byte * 8 & size_mask(size);
}

void lapic_mmio_write(struct lapic *l, unsigned off, unsigned size, uint64_t val)
{
    if (!lapic_is_present(l) || lapic_is_x2apic(l))
        return;
    if (off % 16 || size < 4)
        log_guest("lapic: CPU %u: write of %u bytes at offset %#x is dropped", l->cpu, size, off);
    else if (!lapic_register_write(l, off / 16, (uint32_t)val))
        lapic_report_error(l, ESR_ILLEGAL_REGISTER);
}

/* --- life --- */

void lapic_reset_registers(struct lapic *l)
{
    struct lapic_regs *r = &l->regs;
    lapic_timer_reset(l);
    *r = (struct lapic_regs){
        .apic_base = r->apic_base,
        .dfr = ~0u,
        .svr = SVR_RESET,
        .lint = {r->lint[0], r->lint[1]},
        .timer = r->timer,
    };
    for (unsigned lvt = 0; lvt < LVT_COUNT; lvt++)
        r->lvt[lvt] = LVT_MASKED;
    if (r->apic_base & APIC_BASE_BSP)
        r->lvt[LVT_LINT0] = LINT0_VIRTUAL_WIRE;
    lapic_update(l);
}

void lapic_reset(struct lapic *l)
{
    l->regs.apic_base = LAPIC_BASE | APIC_BASE_EN | (l->cpu == 0 ? APIC_BASE_BSP : 0);
    lapic_reset_registers(l);
}

void lapic_init(struct lapic *l, const struct lapic_wires *wires, unsigned cpu)
{
    *l = (struct lapic){.wires = wires, .cpu = cpu};
    lapic_timer_init(l);
    lapic_reset(l);
}

void lapic_fini(struct lapic *l)
{
    timer_cancel(&l->timer);
}