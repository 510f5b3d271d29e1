// SPDX-License-Identifier: MIT
//
// The interrupt controllers joined as on a PC. GSIs 0-15 reach the 8259 pair and the I/O APIC,
// where ISA interrupt 0 is wired to pin 2 (which the MADT tells); 16-23 the I/O APIC alone. INT of
// the 8259 pair goes to LINT0 of every CPU and to pin 0 of the I/O APIC. Messages of IPIs, the I/O
// APIC and MSI (SDM vol. 3 sections 11.6 and 11.11) are handed to the local APICs that they mean.
//
// Lowest priority takes the APIC of least arbitration priority, equal ones in turn. An MSI's
// redirection hint asks for the same. Its destination mode counts without the hint too: systems
// rely on it. Its 8-bit destination 255 is everyone, in x2APIC mode too.
#include "devices/intc.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/ioapic.h"
#include "devices/pic.h"
#include "layout.h"
#include "log.h"
#include "util.h"

#define CPUS_MAX 255
#define PHYS_BITS_MIN 32
#define PHYS_BITS_MAX 52
#define PIT_IOAPIC_PIN 2
#define PIC_IOAPIC_PIN 0

#define MSI_ADDR_LOGICAL (1u << 2)
#define MSI_ADDR_HINT (1u << 3)
#define MSI_DATA_ASSERT (1u << 14)
#define MSI_DATA_LEVEL (1u << 15)

struct intc_soft {
    struct device dev;
    struct intc intc;
    struct pic pic;
    struct ioapic ioapic;
    struct lapic_wires wires;
    unsigned last_lowest; /* CPU that took the last lowest-priority message */
    unsigned ncpus;
    struct lapic lapic[];
};

static struct intc_soft *soft_of(struct intc *intc)
{
    return container_of(intc, struct intc_soft, intc);
}

/* --- messages --- */

static bool is_target(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg)
{
    switch (msg->shorthand) {
    case APIC_SELF:
        return l == from;
    case APIC_ALL:
        return true;
    case APIC_OTHERS:
        return l != from;
    default:
        return lapic_matches(l, msg);
    }
}

static bool send_to_all(struct intc_soft *s, const struct lapic *from, const struct apic_msg *msg)
{
    bool taken = false;
    for (unsigned i = 0; i < s->ncpus; i++) {
        if (is_target(&s->lapic[i], from, msg))
            taken |= lapic_receive(&s->lapic[i], msg);
    }
    return taken;
}

/* Begins after the last one, so that equals take turns. */
static bool send_to_lowest(struct intc_soft *s, const struct lapic *from,
                           const struct apic_msg *msg)
{
    struct lapic *best = NULL;
    for (unsigned i = 1; i <= s->ncpus; i++) {
        struct lapic *l = &s->lapic[(s->last_lowest + i) % s->ncpus];
        if (lapic_is_enabled(l) && is_target(l, from, msg) &&
            (!best || lapic_arbitration_priority(l) < lapic_arbitration_priority(best)))
            best = l;
    }
    if (!best)
        return false;
    s->last_lowest = best->cpu;
    return lapic_receive(best, msg);
}

static bool deliver(struct intc_soft *s, struct lapic *from, const struct apic_msg *msg)
{
    if (msg->mode == APIC_LOWEST)
        return send_to_lowest(s, from, msg);
    if (msg->shorthand == APIC_DEST && !msg->logical && !apic_msg_is_broadcast(msg))
        return msg->dest < s->ncpus && lapic_receive(&s->lapic[msg->dest], msg);
    return send_to_all(s, from, msg);
}

static void send_command(void *opaque, struct lapic *from, const struct apic_msg *msg)
{
    deliver(opaque, from, msg);
}

/* Messages that devices cause; to start a CPU takes another CPU. */
static bool send_interrupt(struct intc_soft *s, const struct apic_msg *msg)
{
    return msg->mode != APIC_SIPI && deliver(s, NULL, msg);
}

static bool send_redirected(void *opaque, const struct apic_msg *msg)
{
    return send_interrupt(opaque, msg);
}

static void broadcast_eoi(void *opaque, uint8_t vector)
{
    struct intc_soft *s = opaque;
    ioapic_eoi(&s->ioapic, vector);
}

static int acknowledge_pic(void *opaque)
{
    struct intc_soft *s = opaque;
    return pic_intack(&s->pic);
}

/* --- wires --- */

static void set_pic_output(void *opaque, unsigned n, bool level)
{
    struct intc_soft *s = opaque;
    (void)n;
    for (unsigned i = 0; i < s->ncpus; i++)
        lapic_lint_set(&s->lapic[i], 0, level);
    ioapic_set_pin(&s->ioapic, PIC_IOAPIC_PIN, level);
}

static void soft_gsi_set(struct intc *intc, unsigned gsi, bool level)
{
    struct intc_soft *s = soft_of(intc);
    if (gsi < PIC_PINS)
        pic_set_pin(&s->pic, gsi, level);
    if (gsi == IRQ_PIT)
        ioapic_set_pin(&s->ioapic, PIT_IOAPIC_PIN, level);
    else if (gsi != PIT_IOAPIC_PIN)
        ioapic_set_pin(&s->ioapic, gsi, level);
}

static void soft_msi_send(struct intc *intc, const struct msi_msg *msi)
{
    uint32_t addr = (uint32_t)msi->addr;
    if (msi->addr >> 20 != LAPIC_BASE >> 20) {
        log_guest("MSI to %#llx, data %#x goes nowhere", (unsigned long long)msi->addr, msi->data);
        return;
    }
    struct apic_msg msg = {
        .dest = addr >> 12 & 0xff,
        .mode = msi->data >> 8 & 7,
        .vector = (uint8_t)msi->data,
        .logical = addr & MSI_ADDR_LOGICAL,
        .level = msi->data & MSI_DATA_LEVEL,
    };
    if (msg.level && !(msi->data & MSI_DATA_ASSERT))
        return; /* de-assertion: the end of a level-triggered message needs no delivery */
    if (msg.mode == APIC_FIXED && (addr & MSI_ADDR_HINT))
        msg.mode = APIC_LOWEST;
    send_interrupt(soft_of(intc), &msg);
}

static const struct intc_ops soft_ops = {.gsi_set = soft_gsi_set, .msi_send = soft_msi_send};

/* --- life --- */

static void soft_reset(struct device *dev)
{
    struct intc_soft *s = container_of(dev, struct intc_soft, dev);
    s->last_lowest = 0;
    ioapic_reset(&s->ioapic);
    pic_reset(&s->pic);
    for (unsigned i = 0; i < s->ncpus; i++)
        lapic_reset(&s->lapic[i]);
}

static void soft_fini(struct device *dev)
{
    struct intc_soft *s = container_of(dev, struct intc_soft, dev);
    for (unsigned i = 0; i < s->ncpus; i++)
        lapic_fini(&s->lapic[i]);
    ioapic_fini(&s->ioapic);
    pic_fini(&s->pic);
    free(s);
}

static const struct device_ops soft_device_ops = {soft_reset, soft_fini};

static int check_config(const struct intc_soft_config *cfg, struct err *err)
{
    if (cfg->ncpus < 1 || cfg->ncpus > CPUS_MAX)
        return err_set(err, EINVAL, "interrupt controllers: %u CPUs, but 1 to %d are possible",
                       cfg->ncpus, CPUS_MAX);
    if (cfg->phys_bits < PHYS_BITS_MIN || cfg->phys_bits > PHYS_BITS_MAX)
        return err_set(err, EINVAL,
                       "interrupt controllers: physical addresses of %u bits, not %d to %d",
                       cfg->phys_bits, PHYS_BITS_MIN, PHYS_BITS_MAX);
    return 0;
}

struct intc *intc_soft_create(const struct intc_soft_config *cfg, struct err *err)
{
    if (check_config(cfg, err))
        return NULL;
    struct intc_soft *s = calloc(1, sizeof *s + cfg->ncpus * sizeof s->lapic[0]);
    if (!s) {
        err_set(err, ENOMEM, "interrupt controllers: out of memory");
        return NULL;
    }
    s->dev = (struct device){.name = "intc", .ops = &soft_device_ops};
    s->intc.ops = &soft_ops;
    s->ncpus = cfg->ncpus;
    s->wires = (struct lapic_wires){
        .clock = cfg->clock,
        .sink = cfg->sink,
        .tsc = cfg->tsc,
        .phys_bits = cfg->phys_bits,
        .opaque = s,
        .send = send_command,
        .eoi = broadcast_eoi,
        .extint_ack = acknowledge_pic,
    };
    for (unsigned i = 0; i < s->ncpus; i++)
        lapic_init(&s->lapic[i], &s->wires, i);
    const struct irq_line out = {set_pic_output, s, 0};
    const struct ioapic_out messages = {send_redirected, s};
    if (pic_init(&s->pic, cfg->pio, out, err)) {
        free(s);
        return NULL;
    }
    if (ioapic_init(&s->ioapic, cfg->mmio, messages, err)) {
        pic_fini(&s->pic);
        free(s);
        return NULL;
    }
    return &s->intc;
}

struct device *intc_soft_device(struct intc *intc)
{
    return &soft_of(intc)->dev;
}

struct lapic *intc_soft_lapic(struct intc *intc, unsigned cpu)
{
    return &soft_of(intc)->lapic[cpu];
}
