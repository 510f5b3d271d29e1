// SPDX-License-Identifier: MIT
//
// The driver of virtio.h. A request n of a queue has descriptors 4n to 4n+2, so that a ring of 16
// takes four requests at a time without any allocation.
#include "virtio.h"

/* Common configuration over PCI, section 4.1.4.3. */
enum {
    C_DEVICE_FEATURE_SELECT = 0x00,
    C_DEVICE_FEATURE = 0x04,
    C_DRIVER_FEATURE_SELECT = 0x08,
    C_DRIVER_FEATURE = 0x0c,
    C_CONFIG_VECTOR = 0x10,
    C_STATUS = 0x14,
    C_QUEUE_SELECT = 0x16,
    C_QUEUE_SIZE = 0x18,
    C_QUEUE_VECTOR = 0x1a,
    C_QUEUE_ENABLE = 0x1c,
    C_QUEUE_NOTIFY_OFF = 0x1e,
    C_QUEUE_DESC = 0x20,
    C_QUEUE_DRIVER = 0x28,
    C_QUEUE_DEVICE = 0x30,
};

/* Registers over MMIO, section 4.2.2. */
enum {
    M_MAGIC = 0x00,
    M_VERSION = 0x04,
    M_DEVICE_ID = 0x08,
    M_DEVICE_FEATURES = 0x10,
    M_DEVICE_FEATURES_SEL = 0x14,
    M_DRIVER_FEATURES = 0x20,
    M_DRIVER_FEATURES_SEL = 0x24,
    M_QUEUE_SEL = 0x30,
    M_QUEUE_NUM_MAX = 0x34,
    M_QUEUE_NUM = 0x38,
    M_QUEUE_READY = 0x44,
    M_QUEUE_NOTIFY = 0x50,
    M_INTERRUPT_STATUS = 0x60,
    M_INTERRUPT_ACK = 0x64,
    M_STATUS = 0x70,
    M_QUEUE_DESC = 0x80,
    M_QUEUE_DRIVER = 0x90,
    M_QUEUE_DEVICE = 0xa0,
    M_CONFIG = 0x100,
};

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };
#define CAP_VENDOR 0x09
#define CAP_MSIX 0x11
#define MSIX_ENABLE 0x8000u

static void barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* --- finding --- */

void vblk_find_pci(struct vblk *b, unsigned slot, struct vq *vq)
{
    virtio_find_pci(b, slot, VIRTIO_ID_BLOCK, vq);
    CHECK(b->config);
}

void virtio_find_pci(struct vblk *b, unsigned slot, unsigned id, struct vq *vq)
{
    memset(b, 0, sizeof *b);
    b->slot = slot;
    b->vq = vq;
    CHECK(pci_read(slot, 0) == ((0x1040 + id) << 16 | 0x1af4));
    for (unsigned n = 0, cap; (cap = pci_capability(slot, CAP_VENDOR, n)); n++) {
        unsigned bar = pci_read(slot, cap + 4) & 0xff;
        if (bar > 5)
            continue;
        uintptr_t at = (pci_read(slot, 0x10 + 4 * bar) & ~15u) + pci_read(slot, cap + 8);
        switch (pci_read(slot, cap) >> 24) {
        case CAP_COMMON:
            b->common = at;
            break;
        case CAP_NOTIFY:
            b->notify = at;
            b->notify_multiplier = pci_read(slot, cap + 16);
            break;
        case CAP_ISR:
            b->isr = at;
            break;
        case CAP_DEVICE:
            b->config = at;
            break;
        }
    }
    CHECK(b->common && b->notify && b->isr);
    b->msix_cap = pci_capability(slot, CAP_MSIX, 0);
    CHECK(b->msix_cap);
    uint32_t table = pci_read(slot, b->msix_cap + 4);
    b->msix_table = (pci_read(slot, 0x10 + 4 * (table & 7)) & ~15u) + (table & ~7u);
    pci_write16(slot, 4, 6); /* memory, bus master; INTx allowed */
}

void vblk_find_mmio(struct vblk *b, unsigned n, struct vq *vq)
{
    memset(b, 0, sizeof *b);
    b->mmio = true;
    b->common = VIRTIO_MMIO(n);
    b->config = b->common + M_CONFIG;
    b->vq = vq;
    CHECK(read32(b->common + M_MAGIC) == 0x74726976);
    CHECK(read32(b->common + M_VERSION) == 2);
    CHECK(read32(b->common + M_DEVICE_ID) == 2);
}

/* --- set-up --- */

uint64_t vblk_offered(struct vblk *b)
{
    uint64_t bits = 0;
    for (unsigned word = 0; word < 2; word++) {
        write32(b->common + (b->mmio ? M_DEVICE_FEATURES_SEL : C_DEVICE_FEATURE_SELECT), word);
        bits |= (uint64_t)read32(b->common + (b->mmio ? M_DEVICE_FEATURES : C_DEVICE_FEATURE))
                << (32 * word);
    }
    return bits;
}

static void accept(struct vblk *b, uint64_t bits)
{
    for (unsigned word = 0; word < 2; word++) {
        write32(b->common + (b->mmio ? M_DRIVER_FEATURES_SEL : C_DRIVER_FEATURE_SELECT), word);
        write32(b->common + (b->mmio ? M_DRIVER_FEATURES : C_DRIVER_FEATURE),
                (uint32_t)(bits >> (32 * word)));
    }
    b->features = bits;
}

uint8_t vblk_status(struct vblk *b)
{
    return b->mmio ? (uint8_t)read32(b->common + M_STATUS) : read8(b->common + C_STATUS);
}

void vblk_set_status(struct vblk *b, uint8_t status)
{
    if (b->mmio)
        write32(b->common + M_STATUS, status);
    else
        write8(b->common + C_STATUS, status);
}

void vblk_reset(struct vblk *b)
{
    vblk_set_status(b, 0);
    while (vblk_status(b))
        ;
}

static void set_address(struct vblk *b, unsigned pci_reg, unsigned mmio_reg,
                        const volatile void *area)
{
    uintptr_t at = b->common + (b->mmio ? mmio_reg : pci_reg);
    write32(at, (uint32_t)(uintptr_t)area);
    write32(at + 4, 0);
}

void vblk_queue_setup(struct vblk *b, unsigned q, uint16_t vector)
{
    struct vq *vq = &b->vq[q];
    memset(vq, 0, offsetof(struct vq, used) + sizeof vq->used);
    b->seen[q] = 0;
    if (b->mmio) {
        write32(b->common + M_QUEUE_SEL, q);
        CHECK(read32(b->common + M_QUEUE_NUM_MAX) >= VQ_SIZE);
        write32(b->common + M_QUEUE_NUM, VQ_SIZE);
    } else {
        write16(b->common + C_QUEUE_SELECT, (uint16_t)q);
        CHECK(read16(b->common + C_QUEUE_SIZE) >= VQ_SIZE);
        write16(b->common + C_QUEUE_SIZE, VQ_SIZE);
        write16(b->common + C_QUEUE_VECTOR, vector);
        CHECK(read16(b->common + C_QUEUE_VECTOR) == vector);
    }
    set_address(b, C_QUEUE_DESC, M_QUEUE_DESC, vq->desc);
    set_address(b, C_QUEUE_DRIVER, M_QUEUE_DRIVER, &vq->avail);
    set_address(b, C_QUEUE_DEVICE, M_QUEUE_DEVICE, &vq->used);
    if (b->mmio) {
        write32(b->common + M_QUEUE_READY, 1);
        CHECK(read32(b->common + M_QUEUE_READY) == 1);
    } else {
        write16(b->common + C_QUEUE_ENABLE, 1);
        CHECK(read16(b->common + C_QUEUE_ENABLE) == 1);
    }
}

void vblk_start(struct vblk *b, uint64_t features, unsigned queues, uint16_t first_vector)
{
    vblk_reset(b);
    vblk_set_status(b, ACKNOWLEDGE | DRIVER);
    CHECK((vblk_offered(b) & features) == features);
    accept(b, features | F_VERSION_1);
    vblk_set_status(b, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    CHECK(vblk_status(b) == (ACKNOWLEDGE | DRIVER | FEATURES_OK));
    for (unsigned q = 0; q < queues; q++) {
        bool has_vector = first_vector != NO_VECTOR;
        vblk_queue_setup(b, q, has_vector ? (uint16_t)(first_vector + q) : NO_VECTOR);
    }
    vblk_set_status(b, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    CHECK(vblk_status(b) == (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK));
}

void vblk_msix(struct vblk *b, unsigned e, unsigned vector, unsigned apic_id)
{
    uintptr_t entry = b->msix_table + 16 * e;
    pci_write16(b->slot, b->msix_cap + 2, MSIX_ENABLE);
    write32(entry, 0xfee00000u | apic_id << 12);
    write32(entry + 4, 0);
    write32(entry + 8, vector);
    write32(entry + 12, 0);
}

uint32_t vblk_acknowledge(struct vblk *b)
{
    if (!b->mmio)
        return read8(b->isr);
    uint32_t cause = read32(b->common + M_INTERRUPT_STATUS);
    write32(b->common + M_INTERRUPT_ACK, cause);
    return cause;
}

uint64_t vblk_capacity(struct vblk *b)
{
    return read32(b->config) | (uint64_t)read32(b->config + 4) << 32;
}

/* --- requests --- */

static struct vq_desc describe(const volatile void *buf, uint32_t len, uint16_t flags,
                               uint16_t next)
{
    return (struct vq_desc){(uintptr_t)buf, len, flags, next};
}

/* Header, data if any, status. Indirect: the same in a table of its own, behind one descriptor. */
static void fill_chain(struct vq_desc *table, unsigned base, struct blk_request *r, void *buf,
                       uint32_t len)
{
    uint16_t data_flags = r->header.type == BLK_IN || r->header.type == BLK_GET_ID ? DESC_WRITE : 0;
    unsigned n = 0;
    table[n++] = describe(&r->header, sizeof r->header, DESC_NEXT, (uint16_t)(base + 1));
    if (len)
        table[n++] = describe(buf, len, data_flags | DESC_NEXT, (uint16_t)(base + 2));
    table[n] = describe(&r->status, 1, DESC_WRITE, 0);
}

void virtio_put(struct vblk *b, unsigned q, unsigned n, void *buf, uint32_t len, bool device_writes)
{
    struct vq *vq = &b->vq[q];
    vq->desc[n] = describe(buf, len, device_writes ? DESC_WRITE : 0, 0);
    vq->avail.ring[vq->avail.idx % VQ_SIZE] = (uint16_t)n;
    barrier();
    *(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx + 1);
    barrier();
}

uint32_t virtio_used_len(struct vblk *b, unsigned q)
{
    return *(volatile uint32_t *)&b->vq[q].used.ring[(uint16_t)(b->seen[q] - 1) % VQ_SIZE].len;
}

struct blk_request *vblk_put(struct vblk *b, unsigned q, unsigned n, uint32_t type, uint64_t sector,
                             void *buf, uint32_t len)
{
    struct vq *vq = &b->vq[q];
    struct blk_request *r = &b->request[q][n];
    uint16_t head = (uint16_t)(4 * n);
    r->header = (struct blk_header){.type = type, .sector = sector};
    r->status = BLK_NOTHING;
    if (b->features & F_INDIRECT) {
        fill_chain(r->table, 0, r, buf, len);
        vq->desc[head] = describe(r->table, (len ? 3 : 2) * sizeof r->table[0], DESC_INDIRECT, 0);
    } else {
        fill_chain(&vq->desc[head], head, r, buf, len);
    }
    vq->avail.ring[vq->avail.idx % VQ_SIZE] = head;
    barrier();
    *(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx + 1);
    barrier();
    return r;
}

void vblk_notify(struct vblk *b, unsigned q)
{
    if (b->mmio)
        write32(b->common + M_QUEUE_NOTIFY, q);
    else
        write16(b->notify + q * b->notify_multiplier, (uint16_t)q);
}

bool vblk_kick(struct vblk *b, unsigned q)
{
    struct vq *vq = &b->vq[q];
    bool wanted;
    barrier();
    if (b->features &
        F_EVENT_IDX) /* it asked to hear of the step from avail_event, and that is new */
        wanted = (uint16_t)(vq->avail.idx - *(volatile uint16_t *)&vq->used.avail_event - 1) <
                 (uint16_t)(vq->avail.idx - b->seen[q]);
    else
        wanted = !(*(volatile uint16_t *)&vq->used.flags & 1);
    if (wanted)
        vblk_notify(b, q);
    return wanted;
}

static bool came_back(struct vblk *b, unsigned q, unsigned n)
{
    uint16_t used = *(volatile uint16_t *)&b->vq[q].used.idx;
    return (uint16_t)(used - b->seen[q]) >= n;
}

void vblk_expect(struct vblk *b, unsigned q, unsigned n)
{
    *(volatile uint16_t *)&b->vq[q].avail.used_event = (uint16_t)(b->seen[q] + n - 1);
    barrier();
}

void vblk_wait(struct vblk *b, unsigned q, unsigned n)
{
    do
        irq_wait();
    while (!came_back(b, q, n));
    b->seen[q] = (uint16_t)(b->seen[q] + n);
}

bool vblk_poll(struct vblk *b, unsigned q, unsigned n, uint32_t ms)
{
    uint32_t start = pm_now();
    while (!came_back(b, q, n)) {
        if (pm_ms_since(start) > ms)
            return false;
    }
    b->seen[q] = (uint16_t)(b->seen[q] + n);
    return true;
}

uint8_t vblk_do(struct vblk *b, unsigned q, uint32_t type, uint64_t sector, void *buf, uint32_t len)
{
    vblk_expect(b, q, 1);
    struct blk_request *r = vblk_put(b, q, 0, type, sector, buf, len);
    vblk_kick(b, q);
    vblk_wait(b, q, 1);
    return r->status;
}
