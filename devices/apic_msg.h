// SPDX-License-Identifier: MIT
//
// A message on the way to local APICs, as interrupt commands, redirection entries and MSI all end
// (SDM vol. 3 sections 11.6 and 11.11).
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Delivery modes by their encoding; 3 is reserved. */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

/* Destination shorthands by their encoding. */
enum apic_shorthand { APIC_DEST, APIC_SELF, APIC_ALL, APIC_OTHERS };

struct apic_msg {
    uint32_t dest;
    uint8_t mode, vector, shorthand;
    bool wide;    /* dest has 32 bits (x2APIC), else 8 */
    bool logical; /* dest is a logical address */
    bool level;   /* level-triggered: the EOI goes back to the IOAPIC */
};

static inline bool apic_msg_is_broadcast(const struct apic_msg *msg)
{
    return msg->dest == (msg->wide ? 0xffffffffu : 0xffu);
}
