// SPDX-License-Identifier: MIT
//
// Interrupt wires. A device drives an irq_line and does not know what is at its other end; the
// board solders lines to an interrupt controller, which is the kernel's under KVM and ours under
// software engines, or a probe in tests. GSI numbers are those of ACPI: 0-15 reach the 8259 pair
// and the IOAPIC, 16-23 the IOAPIC alone. Thread: lines and MSI under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct irq_line {
    void (*set)(void *opaque, unsigned n, bool level);
    void *opaque;
    unsigned n;
};

/* Drive the wire. An irq_line of zeros is a wire to nowhere. Edge-triggered inputs see a rising
 * edge. */
static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->opaque, line->n, level);
}

/* A message-signalled interrupt: a 4-byte write of data to addr (SDM vol. 3 section 11.11, APM vol.
 * 2 section 16.11). */
struct msi_msg {
    uint64_t addr;
    uint32_t data;
};

/* One MSI source (an MSI-X vector). Owned by the device side, zero-initialised; fields below `msg`
 * belong to the controller. */
struct msi_source {
    struct msi_msg msg;
    bool bound;
    int fd;       /* KVM: the irqfd */
    unsigned gsi; /* KVM: its route */
};

#define INTC_GSIS 24

struct intc;

struct intc_ops {
    void (*gsi_set)(struct intc *intc, unsigned gsi, bool level);
    void (*msi_send)(struct intc *intc, const struct msi_msg *msg);
    /* Optional (NULL: msi_send is used): prepare a faster way for a message that will be sent
     * often. */
    int (*msi_bind)(struct intc *intc, struct msi_source *src);
    void (*msi_unbind)(struct intc *intc, struct msi_source *src);
    void (*msi_raise)(struct intc *intc, struct msi_source *src);
};

/* An interrupt controller as devices' wires see it. Embedded in the implementation. */
struct intc {
    const struct intc_ops *ops;
    uint64_t msis_sent;
    uint64_t raised[INTC_GSIS]; /* rising edges of each line */
    bool level[INTC_GSIS];
};

/* A line to an input of the controller. */
struct irq_line intc_line(struct intc *intc, unsigned gsi);

/* (Re)program a source; a fast path is set up when the controller has one, else the plain way
 * serves. */
void msi_program(struct intc *intc, struct msi_source *src, const struct msi_msg *msg);
void msi_release(struct intc *intc, struct msi_source *src);
void msi_raise(struct intc *intc, struct msi_source *src);
