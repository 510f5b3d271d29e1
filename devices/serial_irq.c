// SPDX-License-Identifier: MIT
//
// 16550A interrupts: causes, their priority, the line.
#include "serial_priv.h"

bool serial_fifos_on(const struct serial_regs *r)
{
    return r->fcr & FCR_ENABLE;
}

bool serial_rx_at_trigger(const struct serial_regs *r)
{
    static const uint8_t triggers[] = {1, 4, 8, 14};
    return r->rx_count >= (serial_fifos_on(r) ? triggers[r->fcr >> FCR_TRIGGER_SHIFT] : 1);
}

/* The pending interrupt of highest priority, as IIR bits 3-0. */
uint8_t serial_irq_cause(const struct serial_regs *r)
{
    if ((r->ier & IER_ELSI) && r->lsr)
        return IIR_LINE;
    if ((r->ier & IER_ERBFI) && serial_rx_at_trigger(r))
        return IIR_DATA;
    if ((r->ier & IER_ERBFI) && r->rx_timed_out)
        return IIR_TIMEOUT;
    if ((r->ier & IER_ETBEI) && r->thr_pending)
        return IIR_THR;
    if ((r->ier & IER_EDSSI) && (r->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

void serial_irq_update(struct serial *s)
{
    bool level = (s->regs.mcr & MCR_OUT2) && serial_irq_cause(&s->regs) != IIR_NONE;
    if (level == s->irq_level)
        return;
    s->irq_level = level;
    irq_set(&s->irq, level);
}
