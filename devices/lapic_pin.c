// SPDX-License-Identifier: MIT
//
// The local APIC's pins (SDM vol. 3 section 11.5.1): LINT0, which the 8259 pair drives, and LINT1.
#include "devices/lapic_priv.h"

static unsigned lvt_mode(uint32_t lvt)
{
    return lvt >> 8 & 7;
}

/* Without an APIC, LINT0 is the CPU's INTR pin. */
bool lapic_extint_pending(const struct lapic *l)
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

void lapic_serve_level_pin(struct lapic *l, unsigned pin)
{
    uint32_t *lvt = &l->regs.lvt[LVT_LINT0 + pin];
    if (l->regs.lint[pin] && lvt_mode(*lvt) == APIC_FIXED &&
        (*lvt & (LVT_LEVEL | LVT_MASKED | LVT_REMOTE_IRR)) == LVT_LEVEL &&
        lapic_accept(l, (uint8_t)*lvt, true))
        *lvt |= LVT_REMOTE_IRR;
}

void lapic_pins_end(struct lapic *l, uint8_t vector)
{
    for (unsigned pin = 0; pin < 2; pin++) {
        uint32_t *lvt = &l->regs.lvt[LVT_LINT0 + pin];
        if ((uint8_t)*lvt != vector)
            continue;
        *lvt &= ~LVT_REMOTE_IRR;
        lapic_serve_level_pin(l, pin);
    }
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
        lapic_take_init(l);
    else if (lvt_mode(lvt) == APIC_FIXED && !(lvt & LVT_LEVEL))
        lapic_accept(l, (uint8_t)lvt, false);
}

void lapic_lint_set(struct lapic *l, unsigned pin, bool level)
{
    bool rises = level && !l->regs.lint[pin];
    l->regs.lint[pin] = level;
    if (rises)
        pin_rises(l, pin);
    lapic_serve_level_pin(l, pin);
    lapic_update(l);
}
