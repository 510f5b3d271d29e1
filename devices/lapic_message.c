// SPDX-License-Identifier: MIT
//
// Messages between APICs (SDM vol. 3 sections 11.6 and 11.7): what the interrupt command register
// sends, whom a destination means, and what arrives.
//
// - Messages arrive at once: delivery status is always idle.
// - Trigger mode of fixed IPIs is edge whatever is written, as the manual says.
//
// Left out: SMI, remote read.
#include "devices/lapic_priv.h"

#include "log.h"

#define DFR_CLUSTER 0u

/* --- sending --- */

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
        lapic_report_error(l, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    l->wires->send(l->wires->opaque, l, &msg);
}

/* --- destinations --- */

uint32_t lapic_x2apic_ldr(const struct lapic *l)
{
    return l->cpu >> 4 << 16 | 1u << (l->cpu & 15);
}

static bool matches_logical(const struct lapic *l, uint32_t dest)
{
    if (lapic_is_x2apic(l)) {
        uint32_t ldr = lapic_x2apic_ldr(l);
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

/* --- receiving --- */

bool lapic_is_enabled(const struct lapic *l)
{
    return lapic_is_present(l) && (l->regs.svr & SVR_ENABLE);
}

void lapic_take_init(struct lapic *l)
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
        return lapic_is_enabled(l) && lapic_accept(l, msg->vector, msg->level);
    case APIC_NMI:
        sink->nmi(sink->opaque, l->cpu);
        return true;
    case APIC_INIT:
        lapic_take_init(l);
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
