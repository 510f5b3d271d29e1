// SPDX-License-Identifier: MIT
//
// The part of virtio 1.2 that is neither device, queue nor transport: status and feature
// negotiation (sections 2.1, 2.2, 3.1), configuration bytes and their generation (2.5), reset
// (2.4).
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"
#include "virtio.h"

#define DRIVER_BITS                                                                                \
    (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)

#define RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

int virtio_init(struct virtio *vd, const struct virtio_ops *ops, struct gmem *gmem,
                uint64_t features, unsigned nqueues, uint16_t queue_size, const void *config,
                uint64_t config_size, struct err *err)
{
    *vd = (struct virtio){
        .ops = ops,
        .gmem = gmem,
        .offered = features | RING_FEATURES,
        .config = config,
        .config_size = config_size,
    };
    if (!nqueues || nqueues > VIRTIO_MAX_QUEUES)
        return err_set(err, EINVAL, "%s: %u queues asked for, 1 to %d are possible", ops->name,
                       nqueues, VIRTIO_MAX_QUEUES);
    if (!is_power_of_two(queue_size) || queue_size > VIRTQ_MAX_SIZE)
        return err_set(err, EINVAL, "%s: queue size %u is not a power of two up to %d", ops->name,
                       queue_size, VIRTQ_MAX_SIZE);
    vd->vq = calloc(nqueues, sizeof *vd->vq);
    if (!vd->vq)
        return err_set(err, ENOMEM, "%s: no memory for %u queues", ops->name, nqueues);
    vd->nqueues = nqueues;
    for (unsigned q = 0; q < nqueues; q++) {
        if (virtq_init(&vd->vq[q], vd, q, queue_size)) {
            virtio_fini(vd);
            return err_set(err, ENOMEM, "%s: no memory for %u queues", ops->name, nqueues);
        }
    }
    return 0;
}

void virtio_fini(struct virtio *vd)
{
    for (unsigned q = 0; vd->vq && q < vd->nqueues; q++)
        virtq_fini(&vd->vq[q]);
    free(vd->vq);
    vd->vq = NULL;
    vd->nqueues = 0;
}

static void bell_rang(void *self)
{
    struct virtq *vq = self;
    virtio_kick(vq->vd, vq->index);
}

void virtio_attach(struct virtio *vd, const struct virtio_transport_ops *ops, void *self,
                   struct event_queue *events)
{
    vd->transport = ops;
    vd->transport_self = self;
    for (unsigned q = 0; q < vd->nqueues; q++)
        event_init(&vd->vq[q].bell.event, events, bell_rang, &vd->vq[q]);
}

void virtio_detach(struct virtio *vd)
{
    vd->transport->live(vd, false);
    vd->regs.status = 0;
    for (unsigned q = 0; q < vd->nqueues; q++)
        event_cancel(&vd->vq[q].bell.event);
    vd->ops->fini(vd);
}

/* --- features --- */

static uint32_t feature_word(uint64_t bits, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(bits >> (32 * sel)) : 0;
}

uint32_t virtio_offered_word(const struct virtio *vd, uint32_t sel)
{
    return feature_word(vd->offered, sel);
}

uint32_t virtio_accepted_word(const struct virtio *vd, uint32_t sel)
{
    return feature_word(vd->regs.accepted & vd->offered, sel);
}

void virtio_accept_word(struct virtio *vd, uint32_t sel, uint32_t bits)
{
    if (vd->regs.status & VIRTIO_FEATURES_OK) {
        log_guest("%s: feature bits written after FEATURES_OK, ignored", vd->ops->name);
        return;
    }
    if (sel < 2) {
        uint64_t mask = 0xffffffffull << (32 * sel);
        vd->regs.accepted = (vd->regs.accepted & ~mask) | (uint64_t)bits << (32 * sel);
    } else if (bits) {
        log_guest("%s: feature word %u does not exist", vd->ops->name, sel);
    }
}

static bool features_acceptable(const struct virtio *vd)
{
    uint64_t unknown = vd->regs.accepted & ~vd->offered;
    if (unknown)
        log_guest("%s: driver accepts features %#llx that were not offered", vd->ops->name,
                  (unsigned long long)unknown);
    else if (!virtio_has(vd, VIRTIO_F_VERSION_1))
        log_guest("%s: driver does not accept VERSION_1", vd->ops->name);
    return !unknown && virtio_has(vd, VIRTIO_F_VERSION_1);
}

/* --- status --- */

/* Nobody heard what drivers kicked before DRIVER_OK, as some do: look for what they offered. */
static void start(struct virtio *vd)
{
    vd->transport->live(vd, true);
    for (unsigned q = 0; q < vd->nqueues; q++) {
        if (virtq_enable_kick(&vd->vq[q]))
            virtio_kick(vd, q);
    }
}

void virtio_set_status(struct virtio *vd, uint32_t status)
{
    if (!status) {
        virtio_reset(vd);
        return;
    }
    unsigned old = vd->regs.status, set = status & DRIVER_BITS & ~old;
    unsigned cleared = old & ~status & DRIVER_BITS;
    if (cleared)
        log_guest("%s: driver clears status bits %#x, ignored", vd->ops->name, cleared);
    if ((set & VIRTIO_FEATURES_OK) && !features_acceptable(vd))
        set &= ~(unsigned)VIRTIO_FEATURES_OK;
    if ((set & VIRTIO_DRIVER_OK) && !((old | set) & VIRTIO_FEATURES_OK)) {
        log_guest("%s: DRIVER_OK before FEATURES_OK, ignored", vd->ops->name);
        set &= ~(unsigned)VIRTIO_DRIVER_OK;
    }
    vd->regs.status = (uint8_t)(old | set);
    log_msg(LOG_VIRTIO, "%s: status %#x, features %#llx", vd->ops->name, vd->regs.status,
            (unsigned long long)vd->regs.accepted);
    if ((set & VIRTIO_FEATURES_OK) && vd->ops->negotiated)
        vd->ops->negotiated(vd);
    if (set & VIRTIO_DRIVER_OK)
        start(vd);
}

/*
 * Status goes to 0 first: whatever the device completes while it empties itself stays out of guest
 * memory.
 */
void virtio_reset(struct virtio *vd)
{
    vd->transport->live(vd, false);
    vd->regs.status = 0;
    vd->ops->reset(vd);
    for (unsigned q = 0; q < vd->nqueues; q++)
        virtq_reset(&vd->vq[q]);
    vd->regs.accepted = 0;
    vd->transport->reset(vd);
}

/* --- configuration bytes --- */

/*
 * The generation moves when the driver looks, not when the bytes change: a narrow counter then
 * cannot wrap all the way round between two looks.
 */
static void config_looked_at(struct virtio *vd)
{
    vd->regs.config_generation += vd->regs.config_dirty;
    vd->regs.config_dirty = false;
}

uint32_t virtio_config_generation(struct virtio *vd)
{
    config_looked_at(vd);
    return vd->regs.config_generation;
}

uint64_t virtio_config_read(struct virtio *vd, uint64_t off, unsigned size)
{
    const uint8_t *bytes = vd->config;
    uint64_t val = 0;
    config_looked_at(vd);
    for (unsigned i = 0; i < size; i++) {
        if (range_fits(off, i + 1, vd->config_size))
            val |= (uint64_t)bytes[off + i] << (8 * i);
    }
    return val;
}

void virtio_config_write(struct virtio *vd, uint64_t off, unsigned size, uint64_t val)
{
    if (vd->ops->config_write && range_fits(off, size, vd->config_size))
        vd->ops->config_write(vd, off, size, val);
    else
        log_guest("%s: config byte %#llx is not writable", vd->ops->name, (unsigned long long)off);
}

/* --- queues --- */

struct virtq *virtio_queue(struct virtio *vd, uint32_t q)
{
    return q < vd->nqueues ? &vd->vq[q] : NULL;
}

void virtio_kick(struct virtio *vd, uint32_t q)
{
    struct virtq *vq = virtio_queue(vd, q);
    if (!vq || !vq->regs.ready || !virtio_running(vd)) {
        log_guest("%s: kick of queue %u, which does not run", vd->ops->name, q);
        return;
    }
    vq->kicks++;
    vd->ops->notify(vd, q);
}
