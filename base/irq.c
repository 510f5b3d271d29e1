// SPDX-License-Identifier: MIT
//
// Interrupt wires and message-signalled interrupts: see include/irq.h.
#include "irq.h"

static void set_gsi(void *opaque, unsigned gsi, bool level)
{
    struct intc *intc = opaque;
    if (gsi < INTC_GSIS) {
        intc->raised[gsi] += level && !intc->level[gsi];
        intc->level[gsi] = level;
    }
    intc->ops->gsi_set(intc, gsi, level);
}

struct irq_line intc_line(struct intc *intc, unsigned gsi)
{
    return (struct irq_line){set_gsi, intc, gsi};
}

void msi_program(struct intc *intc, struct msi_source *src, const struct msi_msg *msg)
{
    if (src->bound && src->msg.addr == msg->addr && src->msg.data == msg->data)
        return;
    msi_release(intc, src);
    src->msg = *msg;
    if (intc->ops->msi_bind)
        src->bound = intc->ops->msi_bind(intc, src) == 0;
}

void msi_release(struct intc *intc, struct msi_source *src)
{
    if (src->bound)
        intc->ops->msi_unbind(intc, src);
    src->bound = false;
}

void msi_raise(struct intc *intc, struct msi_source *src)
{
    intc->msis_sent++;
    if (src->bound)
        intc->ops->msi_raise(intc, src);
    else
        intc->ops->msi_send(intc, &src->msg);
}
