// SPDX-License-Identifier: MIT
//
// See virtio_rig.h.
#include "virtio_rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* --- rings --- */

static void put16(struct gmem *gm, gpa_t at, uint16_t v)
{
    __atomic_store_n((uint16_t *)(void *)gmem_ptr(gm, at, 2), v, __ATOMIC_RELEASE);
}

static uint16_t get16(struct gmem *gm, gpa_t at)
{
    return __atomic_load_n((uint16_t *)(void *)gmem_ptr(gm, at, 2), __ATOMIC_ACQUIRE);
}

void ring_init(struct ring *r, struct gmem *gm, gpa_t base, uint16_t size)
{
    *r = (struct ring){.gm = gm, .size = size, .desc = base, .avail = base + 0x4000,
                       .used = base + 0x8000};
    memset(gmem_ptr(gm, base, RING_STRIDE), 0, RING_STRIDE);
}

void put_desc(struct gmem *gm, gpa_t table, unsigned i, gpa_t addr, uint32_t len, uint16_t flags,
              uint16_t next)
{
    uint8_t *d = gmem_ptr(gm, table + 16 * (gpa_t)i, 16);
    store_le64(d, addr);
    store_le32(d + 8, len);
    store_le16(d + 12, flags);
    store_le16(d + 14, next);
}

void ring_desc(struct ring *r, unsigned i, gpa_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    put_desc(r->gm, r->desc, i, addr, len, flags, next);
}

void ring_offer(struct ring *r, uint16_t head)
{
    put16(r->gm, r->avail + 4 + 2 * (gpa_t)(r->avail_idx % r->size), head);
    put16(r->gm, r->avail + 2, ++r->avail_idx);
}

bool ring_take(struct ring *r, uint32_t *id, uint32_t *len)
{
    if (ring_used_idx(r) == r->used_seen)
        return false;
    const uint8_t *e = gmem_ptr(r->gm, r->used + 4 + 8 * (gpa_t)(r->used_seen % r->size), 8);
    *id = load_le32(e);
    *len = load_le32(e + 4);
    r->used_seen++;
    return true;
}

uint16_t ring_used_idx(const struct ring *r)
{
    return get16(r->gm, r->used + 2);
}

uint16_t ring_used_flags(const struct ring *r)
{
    return get16(r->gm, r->used);
}

uint16_t ring_avail_event(const struct ring *r)
{
    return get16(r->gm, r->used + 4 + 8 * (gpa_t)r->size);
}

void ring_set_used_event(struct ring *r, uint16_t v)
{
    put16(r->gm, r->avail + 4 + 2 * (gpa_t)r->size, v);
}

void ring_set_avail_flags(struct ring *r, uint16_t v)
{
    put16(r->gm, r->avail, v);
}

/* --- disk --- */

static void copy_iov(uint8_t *data, const struct blk_req *req, bool to_guest)
{
    uint64_t at = req->offset;
    for (unsigned i = 0; i < req->niov; i++) {
        if (to_guest)
            memcpy(req->iov[i].iov_base, data + at, req->iov[i].iov_len);
        else
            memcpy(data + at, req->iov[i].iov_base, req->iov[i].iov_len);
        at += req->iov[i].iov_len;
    }
}

static int perform(struct fake_disk *d, const struct blk_req *req)
{
    if (d->fail)
        return d->fail;
    switch (req->op) {
    case BLK_READ:
        copy_iov(d->data, req, true);
        break;
    case BLK_WRITE:
        copy_iov(d->data, req, false);
        d->stable = req->fua;
        break;
    case BLK_WRITE_ZEROES:
        memset(d->data + req->offset, 0, req->len);
        d->stable = req->fua;
        break;
    case BLK_DISCARD:
        memset(d->data + req->offset, 0xdd, req->len);
        break;
    case BLK_FLUSH:
        d->stable = true;
        break;
    }
    return 0;
}

static void complete_all(struct fake_disk *d)
{
    struct blk_req *req;
    while ((req = d->head)) {
        d->head = req->next;
        if (!d->head)
            d->tail = &d->head;
        block_complete(&d->blk, req, perform(d, req));
    }
}

static void disk_ready(void *self)
{
    struct fake_disk *d = self;
    if (!d->hold)
        complete_all(d);
}

static struct fake_disk *from_block(struct block *blk)
{
    return container_of(blk, struct fake_disk, blk);
}

static void disk_submit(struct block *blk, struct blk_req *req)
{
    struct fake_disk *d = from_block(blk);
    d->last = *req;
    d->submits++;
    req->next = NULL;
    *d->tail = req;
    d->tail = &req->next;
}

static void disk_commit(struct block *blk)
{
    struct fake_disk *d = from_block(blk);
    d->commits++;
    if (d->head)
        event_post(&d->ready);
}

static void disk_drain(struct block *blk)
{
    struct fake_disk *d = from_block(blk);
    d->drains++;
    complete_all(d);
    block_run_late(blk);
}

static void disk_fini(struct block *blk)
{
    (void)blk;
}

static const struct block_ops disk_ops = {
    .submit = disk_submit,
    .commit = disk_commit,
    .drain = disk_drain,
    .fini = disk_fini,
};

void fake_disk_init(struct fake_disk *d, struct event_queue *events, uint64_t size)
{
    *d = (struct fake_disk){0};
    d->tail = &d->head;
    d->data = calloc(1, size);
    ck_assert_ptr_nonnull(d->data);
    event_init(&d->ready, events, disk_ready, d);
    block_init(&d->blk, &disk_ops, events);
    d->blk.size = size;
    d->blk.logical_block = 512;
    d->blk.physical_block = 4096;
    d->blk.can_discard = true;
}

void fake_disk_fini(struct fake_disk *d)
{
    event_cancel(&d->ready);
    block_fini(&d->blk);
    free(d->data);
}

void fake_disk_release(struct fake_disk *d)
{
    d->hold = false;
    complete_all(d);
}

/* --- machine --- */

static struct rig *from_intc(struct intc *intc)
{
    return container_of(intc, struct rig, intc);
}

static void line_set(void *opaque, unsigned n, bool level)
{
    struct rig *rig = opaque;
    (void)n;
    rig->line_rises += level && !rig->line;
    rig->line = level;
}

static void gsi_set(struct intc *intc, unsigned gsi, bool level)
{
    line_set(from_intc(intc), gsi, level);
}

static void msi_send(struct intc *intc, const struct msi_msg *msg)
{
    struct rig *rig = from_intc(intc);
    rig->msis++;
    rig->msi_data = msg->data;
}

static const struct intc_ops intc_ops = {.gsi_set = gsi_set, .msi_send = msi_send};

static int bell_add(void *opaque, struct doorbell *bell)
{
    struct rig *rig = opaque;
    if (rig->bells == VIRTIO_MAX_QUEUES)
        return -ENOSPC;
    rig->bell[rig->bells++] = bell;
    return 0;
}

static void bell_remove(void *opaque, struct doorbell *bell)
{
    struct rig *rig = opaque;
    for (unsigned i = 0; i < rig->bells; i++) {
        if (rig->bell[i] != bell)
            continue;
        rig->bell[i] = rig->bell[--rig->bells];
        return;
    }
    ck_abort_msg("a doorbell was removed that was not there");
}

struct irq_line rig_line(struct rig *rig)
{
    return (struct irq_line){.set = line_set, .opaque = rig};
}

void rig_init(struct rig *rig, bool with_pci)
{
    struct err err = {{0}};
    *rig = (struct rig){.intc.ops = &intc_ops,
                        .sb = {.add = bell_add, .remove = bell_remove, .opaque = rig}};
    ck_assert_int_eq(gmem_init(&rig->gm, RIG_RAM, RIG_HOLE_START, RIG_HOLE_END, &err), 0);
    bus_init(&rig->pio, "pio", 0x10000);
    bus_init(&rig->mmio, "mmio", 0);
    event_queue_init(&rig->events, NULL, NULL);
    if (!with_pci)
        return;
    struct pci_host_config cfg = {.pio = &rig->pio, .mmio = &rig->mmio,
                                  .intx = {rig_line(rig), rig_line(rig)}};
    rig->host = pci_host_create(&cfg, &err);
    ck_assert_msg(rig->host, "%s", err.msg);
}

void rig_fini(struct rig *rig)
{
    if (rig->host) {
        struct device *dev = pci_host_device(rig->host);
        dev->ops->fini(dev);
    }
    event_queue_fini(&rig->events);
    gmem_fini(&rig->gm);
    ck_assert_uint_eq(rig->bells, 0);
}

/* --- transports, driver's side --- */

void port_init_pci(struct port *p, struct rig *rig, struct virtio *vd, unsigned slot)
{
    struct err err = {{0}};
    *p = (struct port){.rig = rig, .vd = vd, .pci = true, .slot = slot, .accept = ~0ull};
    p->dev = virtio_pci_create(vd, rig->host, 1, &rig->intc, &rig->sb, &rig->events, &err);
    ck_assert_msg(p->dev, "%s", err.msg);
    struct pci_func *func = pci_host_func(rig->host, slot);
    ck_assert_ptr_nonnull(func);
    ck_assert(func->bar[0].mapped);
    p->base = func->bar[0].region.base;
}

void port_init_mmio(struct port *p, struct rig *rig, struct virtio *vd, uint64_t base)
{
    struct err err = {{0}};
    *p = (struct port){.rig = rig, .vd = vd, .base = base, .accept = ~0ull};
    p->dev = virtio_mmio_create(vd, &rig->mmio, base, rig_line(rig), &rig->sb, &rig->events, &err);
    ck_assert_msg(p->dev, "%s", err.msg);
}

void port_fini(struct port *p)
{
    p->dev->ops->fini(p->dev);
}

/* Offsets of the same thing on both transports. */
struct place {
    uint16_t pci, pci_size, mmio;
};
static const struct place device_sel = {0x00, 4, 0x14}, device_word = {0x04, 4, 0x10};
static const struct place driver_sel = {0x08, 4, 0x24}, driver_word = {0x0c, 4, 0x20};
static const struct place status_reg = {0x14, 1, 0x70};
static const struct place queue_sel = {0x16, 2, 0x30}, queue_num = {0x18, 2, 0x38};
static const struct place queue_on = {0x1c, 2, 0x44};
static const struct place area[3] = {{0x20, 4, 0x80}, {0x28, 4, 0x90}, {0x30, 4, 0xa0}};

static uint32_t get(struct port *p, struct place at)
{
    return (uint32_t)(p->pci ? bus_read(&p->rig->mmio, p->base + at.pci, at.pci_size)
                             : bus_read(&p->rig->mmio, p->base + at.mmio, 4));
}

static void put(struct port *p, struct place at, uint32_t val)
{
    if (p->pci)
        bus_write(&p->rig->mmio, p->base + at.pci, at.pci_size, val);
    else
        bus_write(&p->rig->mmio, p->base + at.mmio, 4, val);
}

uint32_t port_status(struct port *p)
{
    return get(p, status_reg);
}

void port_set_status(struct port *p, uint32_t status)
{
    put(p, status_reg, status);
}

uint64_t port_offered(struct port *p)
{
    put(p, device_sel, 1);
    uint64_t high = get(p, device_word);
    put(p, device_sel, 0);
    return high << 32 | get(p, device_word);
}

void port_accept(struct port *p, uint64_t features)
{
    put(p, driver_sel, 0);
    put(p, driver_word, (uint32_t)features);
    put(p, driver_sel, 1);
    put(p, driver_word, (uint32_t)(features >> 32));
}

void port_queue(struct port *p, unsigned q, const struct ring *r)
{
    const gpa_t where[3] = {r->desc, r->avail, r->used};
    put(p, queue_sel, q);
    put(p, queue_num, r->size);
    for (unsigned i = 0; i < 3; i++) {
        struct place high = {(uint16_t)(area[i].pci + 4), 4, (uint16_t)(area[i].mmio + 4)};
        put(p, area[i], (uint32_t)where[i]);
        put(p, high, (uint32_t)(where[i] >> 32));
    }
    put(p, queue_on, 1);
}

void port_kick(struct port *p, unsigned q)
{
    if (p->pci)
        bus_write(&p->rig->mmio, p->base + 0x3000 + 4 * q, 2, q);
    else
        bus_write(&p->rig->mmio, p->base + 0x50, 4, q);
}

static uint64_t config_at(const struct port *p, uint64_t off)
{
    return p->base + (p->pci ? 0x2000 : 0x100) + off;
}

uint64_t port_config(struct port *p, uint64_t off, unsigned size)
{
    return bus_read(&p->rig->mmio, config_at(p, off), size);
}

void port_set_config(struct port *p, uint64_t off, unsigned size, uint64_t val)
{
    bus_write(&p->rig->mmio, config_at(p, off), size, val);
}

void port_start(struct port *p, struct ring *r)
{
    port_set_status(p, 0);
    ck_assert_uint_eq(port_status(p), 0);
    ring_init(r, r->gm, r->desc, r->size);
    port_set_status(p, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(p, port_offered(p) & p->accept);
    uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    port_set_status(p, status);
    ck_assert_uint_eq(port_status(p), status);
    port_queue(p, 0, r);
    port_set_status(p, status | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(port_status(p), status | VIRTIO_DRIVER_OK);
}
