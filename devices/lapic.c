// SPDX-License-Identifier: MIT
//
// Local APIC (SDM vol. 3 chapter 11): registers, priorities, acceptance of messages, IPIs, local
// interrupt pins. lapic_timer.c has the timer, lapic_msr.c the MSR side.
//
// - It calls itself version 0x14 with six local vectors: no CMCI, no suppression of EOI broadcasts,
//   no extended space of AMD's.
// - The APIC id is the CPU's number and read-only, as on recent processors.
// - Out of reset LINT0 of the bootstrap CPU is an open ExtINT although the APIC is not yet enabled
//   by software: firmware would leave this virtual wire, and there is none here. KVM does so too.
// - Messages arrive at once: delivery status is always idle.
// - Trigger mode of fixed IPIs is edge whatever is written, as the manual says.
//
// Left out: SMI, remote read, thermal and performance interrupts (nothing raises them).
#include "devices/lapic_priv.h"

#include "layout.h"
#include "log.h"
#include "util.h"

#define VERSION (0x14u | (LVT_COUNT - 1u) << 16)
#define FIRST_VECTOR 16
#define SVR_RESET 0xffu
#define DFR_FIXED_BITS 0x0fffffffu
#define DFR_CLUSTER 0u
#define LDR_WRITABLE 0xff000000u
#define ICR_LOW_WRITABLE 0xccfffu
#define ICR_HIGH_WRITABLE 0xff000000u
#define LINT0_VIRTUAL_WIRE (APIC_EXTINT << 8)

enum {
    ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
};

/* --- vectors and priorities --- */

static void set_vector(uint32_t *set, unsigned vector)
{
    set[vector / 32] |= 1u << vector % 32;
}

static void clear_vector(uint32_t *set, unsigned vector)
{
    set[vector / 32] &= ~(1u << vector % 32);
}

static bool has_vector(const uint32_t *set, unsigned vector)
{
    return set[vector / 32] >> vector % 32 & 1;
}

/* 0 when the set is empty: no vector below 16 ever gets in. */
static unsigned highest_vector(const uint32_t *set)
{
    for (unsigned i = 8; i-- > 0;) {
        if (set[i])
            return i * 32 + 31 - (unsigned)__builtin_clz(set[i]);
    }
    return 0;
}

static unsigned priority_class(unsigned vector)
{
    return vector >> 4 & 15;
}

static uint8_t processor_priority(const struct lapic_regs *r)
{
    unsigned serving = highest_vector(r->isr);
    if (priority_class(r->tpr) >= priority_class(serving))
        return (uint8_t)r->tpr;
    return serving & 0xf0;
}

uint8_t lapic_arbitration_priority(const struct lapic *l)
{
    unsigned serving = priority_class(highest_vector(l->regs.isr));
    unsigned waiting = priority_class(highest_vector(l->regs.irr));
    unsigned most = serving > waiting ? serving : waiting;
    return (uint8_t)(priority_class(l->regs.tpr) >= most ? l->regs.tpr : most << 4);
}

/* The vector that the CPU would be interrupted with, or 0. */
static unsigned deliverable_vector(const struct lapic_regs *r)
{
    unsigned vector = highest_vector(r->irr);
    return priority_class(vector) > priority_class(processor_priority(r)) ? vector : 0;
}

static unsigned lvt_mode(uint32_t lvt)
{
    return lvt >> 8 & 7;
}

/* A request of the 8259 pair reaches the CPU; without an APIC, LINT0 is its INTR pin. */
static bool extint_pending(const struct lapic *l)
{
    const struct lapic_regs *r = &l->regs;
    if (r->extint)
        return true;
    if (!r->lint[0])
        return false;
    if (!lapic_is_present(l))
        return true;
    return !(r->lvt[LVT_LINT0] & LVT_MASKED) && lvt_mode(r->lvt[LVT_LINT0]) == APIC_EXTINT;
}

void lapic_update(struct lapic *l)
{
    bool before = l->pending;
    l->pending = extint_pending(l) || (lapic_is_present(l) && deliverable_vector(&l->regs));
    if (l->pending && !before)
        l->wires->sink.wake(l->wires->sink.opaque, l->cpu);
}

int lapic_intack(struct lapic *l)
{
    struct lapic_regs *r = &l->regs;
    int vector;
    if (extint_pending(l) || !lapic_is_present(l)) {
        r->extint = false;
        vector = l->wires->extint_ack(l->wires->opaque);
    } else if (deliverable_vector(r)) {
        vector = (int)deliverable_vector(r);
        clear_vector(r->irr, (unsigned)vector);
        set_vector(r->isr, (unsigned)vector);
    } else {
        vector = (int)(r->svr & 0xff);
    }
    lapic_update(l);
    return vector;
}

/* --- acceptance --- */

/* An error that is new since the last write to ESR interrupts. */
static void report_error(struct lapic *l, uint32_t error)
{
    struct lapic_regs *r = &l->regs;
    if (r->errors & error)
        return;
    r->errors |= error;
    lapic_local_interrupt(l, LVT_ERROR);
}

static bool accept_vector(struct lapic *l, uint8_t vector, bool level)
{
    struct lapic_regs *r = &l->regs;
    if (vector < FIRST_VECTOR) {
        report_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    set_vector(r->irr, vector);
    if (level)
        set_vector(r->tmr, vector);
    else
        clear_vector(r->tmr, vector);
    lapic_update(l);
    return true;
}

void lapic_local_interrupt(struct lapic *l, unsigned lvt)
{
    if (!(l->regs.lvt[lvt] & LVT_MASKED))
        accept_vector(l, (uint8_t)l->regs.lvt[lvt], false);
}

bool lapic_is_enabled(const struct lapic *l)
{
    return lapic_is_present(l) && (l->regs.svr & SVR_ENABLE);
}

static void take_init(struct lapic *l)
{
    lapic_reset_registers(l);
    l->wires->sink.init(l->wires->sink.opaque, l->cpu);
}

bool lapic_receive(struct lapic *l, const struct apic_msg *msg)
{
    const struct lapic_sink *sink = &l->wires->sink;
    if (!lapic_is_present(l))
        return false;
    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        return lapic_is_enabled(l) && accept_vector(l, msg->vector, msg->level);
    case APIC_NMI:
        sink->nmi(sink->opaque, l->cpu);
        return true;
    case APIC_INIT:
        take_init(l);
        return true;
    case APIC_SIPI:
        sink->sipi(sink->opaque, l->cpu, msg->vector);
        return true;
    case APIC_EXTINT:
        l->regs.extint = true;
        lapic_update(l);
        return true;
    default:
        log_guest("lapic: CPU %u: delivery mode %u is not supported", l->cpu, msg->mode);
        return false;
    }
}

/* --- destinations --- */

static uint32_t x2apic_ldr(const struct lapic *l)
{
    return l->cpu >> 4 << 16 | 1u << (l->cpu & 15);
}

static bool matches_logical(const struct lapic *l, uint32_t dest)
{
    if (lapic_is_x2apic(l)) {
        uint32_t ldr = x2apic_ldr(l);
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
    }
    uint32_t ldr = l->regs.ldr >> 24;
    if (dest > 0xff)
        return false;
    if (l->regs.dfr >> 28 != DFR_CLUSTER) /* flat; other models are reserved */
        return dest & ldr;
    return (dest >> 4 == ldr >> 4 || dest >> 4 == 15) && (dest & ldr & 15);
}

bool lapic_matches(const struct lapic *l, const struct apic_msg *msg)
{
    if (apic_msg_is_broadcast(msg))
        return true;
    return msg->logical ? matches_logical(l, msg->dest) : msg->dest == l->cpu;
}

/* --- interrupt command --- */

void lapic_command(struct lapic *l, uint64_t icr)
{
    uint32_t low = (uint32_t)icr;
    bool wide = lapic_is_x2apic(l);
    struct apic_msg msg = {
        .dest = (uint32_t)(icr >> (wide ? 32 : 56)),
        .mode = low >> 8 & 7,
        .vector = (uint8_t)low,
        .shorthand = low >> 18 & 3,
        .wide = wide,
        .logical = low & ICR_LOGICAL,
    };
    if (msg.mode == APIC_INIT && (low & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return; /* INIT level de-assert: had a meaning for the APIC bus only */
    if (msg.mode <= APIC_LOWEST && msg.vector < FIRST_VECTOR) {
        report_error(l, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    l->wires->send(l->wires->opaque, l, &msg);
}

/* --- local interrupt pins --- */

/* A level-triggered pin interrupts again after each EOI while it is high. */
static void serve_level_pin(struct lapic *l, unsigned pin)
{
    uint32_t *lvt = &l->regs.lvt[LVT_LINT0 + pin];
    if (l->regs.lint[pin] && lvt_mode(*lvt) == APIC_FIXED &&
        (*lvt & (LVT_LEVEL | LVT_MASKED | LVT_REMOTE_IRR)) == LVT_LEVEL &&
        accept_vector(l, (uint8_t)*lvt, true))
        *lvt |= LVT_REMOTE_IRR;
}

static void pin_rises(struct lapic *l, unsigned pin)
{
    const struct lapic_sink *sink = &l->wires->sink;
    uint32_t lvt = l->regs.lvt[LVT_LINT0 + pin];
    if (!lapic_is_present(l)) {
        if (pin == 1) /* the CPU's NMI pin */
            sink->nmi(sink->opaque, l->cpu);
        return;
    }
    if (lvt & LVT_MASKED)
        return;
    if (lvt_mode(lvt) == APIC_NMI)
        sink->nmi(sink->opaque, l->cpu);
    else if (lvt_mode(lvt) == APIC_INIT)
        take_init(l);
    else if (lvt_mode(lvt) == APIC_FIXED && !(lvt & LVT_LEVEL))
        accept_vector(l, (uint8_t)lvt, false);
}

void lapic_lint_set(struct lapic *l, unsigned pin, bool level)
{
    bool rises = level && !l->regs.lint[pin];
    l->regs.lint[pin] = level;
    if (rises)
        pin_rises(l, pin);
    serve_level_pin(l, pin);
    lapic_update(l);
}

/* --- registers --- */

static void end_of_interrupt(struct lapic *l)
{
    struct lapic_regs *r = &l->regs;
    unsigned vector = highest_vector(r->isr);
    if (!vector)
        return;
    clear_vector(r->isr, vector);
    lapic_update(l);
    if (!has_vector(r->tmr, vector))
        return;
    l->wires->eoi(l->wires->opaque, (uint8_t)vector);
    for (unsigned pin = 0; pin < 2; pin++) {
        uint32_t *lvt = &r->lvt[LVT_LINT0 + pin];
        if ((uint8_t)*lvt != vector)
            continue;
        *lvt &= ~LVT_REMOTE_IRR;
        serve_level_pin(l, pin);
    }
}

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
        serve_level_pin(l, lvt - LVT_LINT0);
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
        *val = processor_priority(r);
        return true;
    case REG_LDR:
        *val = lapic_is_x2apic(l) ? x2apic_ldr(l) : r->ldr;
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
        end_of_interrupt(l);
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
        report_error(l, ESR_ILLEGAL_REGISTER);
    return val >> byte * 8 & size_mask(size);
}

void lapic_mmio_write(struct lapic *l, unsigned off, unsigned size, uint64_t val)
{
    if (!lapic_is_present(l) || lapic_is_x2apic(l))
        return;
    if (off % 16 || size < 4)
        log_guest("lapic: CPU %u: write of %u bytes at offset %#x is dropped", l->cpu, size, off);
    else if (!lapic_register_write(l, off / 16, (uint32_t)val))
        report_error(l, ESR_ILLEGAL_REGISTER);
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
