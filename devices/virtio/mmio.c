// SPDX-License-Identifier: MIT
//
// Virtio over MMIO (virtio 1.2 section 4.2), version 2: a block of 32-bit registers, device
// configuration from 0x100 up, one level-triggered interrupt. Described to the guest in ACPI
// (LNRO0005) by the board.
// Left out: version 1 (legacy), queue reset, shared memory regions (their registers say that there
// is none).
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"
#include "virtio.h"

#define MMIO_LEN 0x200

enum mmio_reg {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_LEN_LOW = 0x0b0,
    SHM_BASE_HIGH = 0x0bc,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

#define MAGIC 0x74726976     /* "virt" */
#define VENDOR 0x4d4d564d    /* "MVMM" */
#define NO_SHM 0xffffffffu   /* length and base of a region that does not exist: -1 */
#define INTERRUPT_QUEUE 1
#define INTERRUPT_CONFIG 2

struct virtio_mmio_regs {
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint32_t interrupt_status;
};

struct virtio_mmio {
    struct device device;
    struct virtio_mmio_regs regs;
    struct virtio *vd;
    struct bus *bus;
    struct region region;
    struct irq_line irq;
    const struct switchboard *sb;
};

/* --- interrupts and doorbells --- */

static void interrupt(struct virtio_mmio *m, uint32_t bits)
{
    m->regs.interrupt_status |= bits;
    irq_set(&m->irq, true);
}

static void raise_queue(struct virtio *vd, unsigned q)
{
    (void)q;
    interrupt(vd->transport_self, INTERRUPT_QUEUE);
}

static void raise_config(struct virtio *vd)
{
    interrupt(vd->transport_self, INTERRUPT_CONFIG);
}

static void interrupt_ack(struct virtio_mmio *m, uint32_t bits)
{
    m->regs.interrupt_status &= ~bits;
    if (!m->regs.interrupt_status)
        irq_set(&m->irq, false);
}

static void transport_live(struct virtio *vd, bool live)
{
    struct virtio_mmio *m = vd->transport_self;
    for (unsigned q = 0; q < vd->nqueues; q++) {
        struct virtq *vq = &vd->vq[q];
        doorbell_remove(m->sb, &vq->bell);
        if (!live || !vq->regs.ready)
            continue;
        vq->bell.addr = m->region.base + QUEUE_NOTIFY;
        vq->bell.len = 4;
        vq->bell.match = true;
        vq->bell.value = q;
        doorbell_add(m->sb, &vq->bell);
    }
}

static void transport_reset(struct virtio *vd)
{
    struct virtio_mmio *m = vd->transport_self;
    m->regs = (struct virtio_mmio_regs){0};
    irq_set(&m->irq, false);
}

static const struct virtio_transport_ops transport_ops = {
    .raise_queue = raise_queue,
    .raise_config = raise_config,
    .live = transport_live,
    .reset = transport_reset,
};

/* --- registers --- */

static uint32_t reg_get(struct virtio_mmio *m, uint64_t reg)
{
    const struct virtq *vq = virtio_queue(m->vd, m->regs.queue_sel);
    switch (reg) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return m->vd->ops->device_id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        return virtio_offered_word(m->vd, m->regs.device_features_sel);
    case QUEUE_NUM_MAX:
        return vq ? vq->max_size : 0;
    case QUEUE_READY:
        return vq && vq->regs.ready;
    case INTERRUPT_STATUS:
        return m->regs.interrupt_status;
    case STATUS:
        return m->vd->regs.status;
    case CONFIG_GENERATION:
        return virtio_config_generation(m->vd);
    default:
        return reg >= SHM_LEN_LOW && reg <= SHM_BASE_HIGH ? NO_SHM : 0;
    }
}

static void queue_set(struct virtio_mmio *m, uint64_t reg, uint32_t val)
{
    struct virtq *vq = virtio_queue(m->vd, m->regs.queue_sel);
    if (!vq) {
        log_guest("%s: write to queue %u, which does not exist", m->vd->ops->name,
                  m->regs.queue_sel);
        return;
    }
    switch (reg) {
    case QUEUE_NUM:
        virtq_set_size(vq, val);
        break;
    case QUEUE_READY:
        virtq_set_ready(vq, val & 1);
        break;
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
        virtq_set_addr(vq, &vq->regs.desc, reg == QUEUE_DESC_HIGH ? 32 : 0, val);
        break;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
        virtq_set_addr(vq, &vq->regs.avail, reg == QUEUE_DRIVER_HIGH ? 32 : 0, val);
        break;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
        virtq_set_addr(vq, &vq->regs.used, reg == QUEUE_DEVICE_HIGH ? 32 : 0, val);
        break;
    default:
        log_guest("%s: write to register %#llx, which has no writable meaning", m->vd->ops->name,
                  (unsigned long long)reg);
        break;
    }
}

static void reg_set(struct virtio_mmio *m, uint64_t reg, uint32_t val)
{
    switch (reg) {
    case DEVICE_FEATURES_SEL:
        m->regs.device_features_sel = val;
        break;
    case DRIVER_FEATURES:
        virtio_accept_word(m->vd, m->regs.driver_features_sel, val);
        break;
    case DRIVER_FEATURES_SEL:
        m->regs.driver_features_sel = val;
        break;
    case QUEUE_SEL:
        m->regs.queue_sel = val;
        break;
    case QUEUE_NOTIFY:
        virtio_kick(m->vd, val);
        break;
    case INTERRUPT_ACK:
        interrupt_ack(m, val);
        break;
    case STATUS:
        virtio_set_status(m->vd, val);
        break;
    default:
        queue_set(m, reg, val);
        break;
    }
}

/*
 * Control registers take aligned 32-bit accesses only (4.2.2.2); anything else reads as zero and
 * writes nothing.
 */
static bool misshapen(const struct virtio_mmio *m, uint64_t off, unsigned size)
{
    if (size == 4 && off % 4 == 0)
        return false;
    log_guest("%s: %u-byte access to control register %#llx, ignored", m->vd->ops->name, size,
              (unsigned long long)off);
    return true;
}

static uint64_t region_read(void *self, uint64_t off, unsigned size)
{
    struct virtio_mmio *m = self;
    if (off >= CONFIG)
        return virtio_config_read(m->vd, off - CONFIG, size);
    return misshapen(m, off, size) ? 0 : reg_get(m, off);
}

static void region_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_mmio *m = self;
    if (off >= CONFIG)
        virtio_config_write(m->vd, off - CONFIG, size, val);
    else if (!misshapen(m, off, size))
        reg_set(m, off, (uint32_t)val);
}

static const struct io_ops region_ops = {
    .read = region_read,
    .write = region_write,
    .min = 1,
    .max = 4,
};

/* --- life --- */

static void device_reset(struct device *dev)
{
    virtio_reset(container_of(dev, struct virtio_mmio, device)->vd);
}

static void device_fini(struct device *dev)
{
    struct virtio_mmio *m = container_of(dev, struct virtio_mmio, device);
    bus_remove(m->bus, &m->region);
    virtio_detach(m->vd);
    free(m);
}

static const struct device_ops device_ops = {.reset = device_reset, .fini = device_fini};

struct device *virtio_mmio_create(struct virtio *vd, struct bus *mmio, uint64_t base,
                                  struct irq_line irq, const struct switchboard *sb,
                                  struct event_queue *events, struct err *err)
{
    struct virtio_mmio *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(err, ENOMEM, "%s: no memory for its registers", vd->ops->name);
        vd->ops->fini(vd);
        return NULL;
    }
    m->device = (struct device){.name = vd->ops->name, .ops = &device_ops};
    m->vd = vd;
    m->bus = mmio;
    m->irq = irq;
    m->sb = sb;
    m->region = (struct region){
        .name = vd->ops->name, .base = base, .len = MMIO_LEN, .ops = &region_ops, .self = m};
    if (bus_add(mmio, &m->region, err)) {
        vd->ops->fini(vd);
        free(m);
        return NULL;
    }
    virtio_attach(vd, &transport_ops, m, events);
    return &m->device;
}
