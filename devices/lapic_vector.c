// SPDX-License-Identifier: MIT
//
// The local APIC's vectors (SDM vol. 3 sections 11.8.3 to 11.8.5): request, service and trigger
// mode registers, priorities, acceptance, INTA and EOI, and errors, which are a local interrupt
// too.
#include "devices/lapic_priv.h"

/* --- sets and priorities --- */

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

uint8_t lapic_processor_priority(const struct lapic_regs *r)
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
    return priority_class(vector) > priority_class(lapic_processor_priority(r)) ? vector : 0;
}

/* --- to the CPU --- */

void lapic_update(struct lapic *l)
{
    bool before = l->pending;
    l->pending = lapic_extint_pending(l) || (lapic_is_present(l) && deliverable_vector(&l->regs));
    if (l->pending && !before)
        l->wires->sink.wake(l->wires->sink.opaque, l->cpu);
}

int lapic_intack(struct lapic *l)
{
    struct lapic_regs *r = &l->regs;
    int vector;
    if (lapic_extint_pending(l) || !lapic_is_present(l)) {
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

void lapic_report_error(struct lapic *l, enum lapic_error error)
{
    struct lapic_regs *r = &l->regs;
    if (r->errors & error)
        return;
    r->errors |= error;
    lapic_local_interrupt(l, LVT_ERROR);
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
    struct lapic_regs *r = &l->regs;
    if (vector < FIRST_VECTOR) {
        lapic_report_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
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
        lapic_accept(l, (uint8_t)l->regs.lvt[lvt], false);
}

void lapic_end_of_interrupt(struct lapic *l)
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
    lapic_pins_end(l, (uint8_t)vector);
}
