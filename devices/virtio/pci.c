// SPDX-License-Identifier: MIT
//
// Virtio over PCI (virtio 1.2 section 4.1), modern interface only. BAR 0 holds the four structures,
// a page each; BAR 1 is the MSI-X table. The PCI_CFG capability gives the same registers through
// configuration space.
//
//   0x0000 common configuration    0x2000 device configuration
//   0x1000 ISR status              0x3000 notify, 4 bytes a queue
//
// Left out: the legacy interface, queue reset, notification data, shared memory regions.
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"
#include "virtio.h"

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN 0x1040 /* plus the virtio device id */
#define SUBDEVICE 0x0040
#define REVISION_MODERN 1

#define REG_BAR 0
#define MSIX_BAR 1
#define COMMON_OFF 0x0000
#define ISR_OFF 0x1000
#define DEVICE_OFF 0x2000
#define NOTIFY_OFF 0x3000
#define BAR_SIZE 0x4000
#define PAGE_BYTES 0x1000
#define NOTIFY_MULTIPLIER 4

#define NO_VECTOR 0xffff

#define ISR_QUEUE 1
#define ISR_CONFIG 2

/* Capabilities, section 4.1.4 */
#define CAP_ID_VENDOR 0x09
enum { CAP_COMMON_CFG = 1, CAP_NOTIFY_CFG, CAP_ISR_CFG, CAP_DEVICE_CFG, CAP_PCI_CFG };
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_DATA = 16, CAP_LONG = 20 };

/* Common configuration, section 4.1.4.3. A 64-bit field is two of 32 bits. */
enum common_reg {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_MSIX_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_MSIX_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_END = 0x38,
};

struct virtio_pci_regs {
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select;
    uint16_t config_vector;
    uint16_t queue_vector[VIRTIO_MAX_QUEUES];
    uint8_t isr;
};

struct virtio_pci {
    struct pci_func func; /* first: its first member is the struct device */
    struct virtio_pci_regs regs;
    struct virtio *vd;
    const struct switchboard *sb;
    unsigned vectors;
    unsigned window; /* config offset of the PCI_CFG capability */
    bool live;       /* queues run: doorbells wanted */
};

/* --- interrupts --- */

static void intx_update(struct virtio_pci *p)
{
    pci_intx_set(&p->func, p->regs.isr && !msix_enabled(&p->func));
}

static void send_vector(struct virtio_pci *p, uint16_t vector)
{
    if (vector != NO_VECTOR)
        msix_notify(&p->func, vector);
}

static void raise_queue(struct virtio *vd, unsigned q)
{
    struct virtio_pci *p = vd->transport_self;
    if (msix_enabled(&p->func)) {
        send_vector(p, p->regs.queue_vector[q]);
        return;
    }
    p->regs.isr |= ISR_QUEUE;
    intx_update(p);
}

static void raise_config(struct virtio *vd)
{
    struct virtio_pci *p = vd->transport_self;
    p->regs.isr |= ISR_CONFIG; /* with MSI-X too: 4.1.4.5.1 */
    if (msix_enabled(&p->func))
        send_vector(p, p->regs.config_vector);
    else
        intx_update(p);
}

/* --- doorbells --- */

static void bells_update(struct virtio_pci *p)
{
    const struct pci_bar *bar = &p->func.bar[REG_BAR];
    for (unsigned q = 0; q < p->vd->nqueues; q++) {
        struct virtq *vq = &p->vd->vq[q];
        doorbell_remove(p->sb, &vq->bell);
        if (!p->live || !bar->mapped || !vq->regs.ready)
            continue;
        vq->bell.addr = bar->region.base + NOTIFY_OFF + q * NOTIFY_MULTIPLIER;
        doorbell_add(p->sb, &vq->bell);
    }
}

static void transport_live(struct virtio *vd, bool live)
{
    struct virtio_pci *p = vd->transport_self;
    p->live = live;
    bells_update(p);
}

static void transport_reset(struct virtio *vd)
{
    struct virtio_pci *p = vd->transport_self;
    p->regs = (struct virtio_pci_regs){.config_vector = NO_VECTOR};
    for (unsigned q = 0; q < VIRTIO_MAX_QUEUES; q++)
        p->regs.queue_vector[q] = NO_VECTOR;
    pci_intx_set(&p->func, false);
}

static const struct virtio_transport_ops transport_ops = {
    .raise_queue = raise_queue,
    .raise_config = raise_config,
    .live = transport_live,
    .reset = transport_reset,
};

/* --- common configuration --- */

/* Width of the field that starts at each offset; 0 where none starts. */
static const uint8_t common_width[COMMON_END] = {
    [DEVICE_FEATURE_SELECT] = 4, [DEVICE_FEATURE] = 4,     [DRIVER_FEATURE_SELECT] = 4,
    [DRIVER_FEATURE] = 4,        [CONFIG_MSIX_VECTOR] = 2, [NUM_QUEUES] = 2,
    [DEVICE_STATUS] = 1,         [CONFIG_GENERATION] = 1,  [QUEUE_SELECT] = 2,
    [QUEUE_SIZE] = 2,            [QUEUE_MSIX_VECTOR] = 2,  [QUEUE_ENABLE] = 2,
    [QUEUE_NOTIFY_OFF] = 2,      [QUEUE_DESC] = 4,         [QUEUE_DESC + 4] = 4,
    [QUEUE_DRIVER] = 4,          [QUEUE_DRIVER + 4] = 4,   [QUEUE_DEVICE] = 4,
    [QUEUE_DEVICE + 4] = 4,
};

/* Fields of the selected queue; a queue that does not exist is all zeros and has no vector. */
static uint32_t queue_get(struct virtio_pci *p, unsigned reg)
{
    const struct virtq *vq = virtio_queue(p->vd, p->regs.queue_select);
    if (!vq)
        return reg == QUEUE_MSIX_VECTOR ? NO_VECTOR : 0;
    switch (reg) {
    case QUEUE_SIZE:
        return vq->regs.size;
    case QUEUE_MSIX_VECTOR:
        return p->regs.queue_vector[vq->index];
    case QUEUE_ENABLE:
        return vq->regs.ready;
    case QUEUE_NOTIFY_OFF:
        return vq->index;
    case QUEUE_DESC:
        return (uint32_t)vq->regs.desc;
    case QUEUE_DESC + 4:
        return (uint32_t)(vq->regs.desc >> 32);
    case QUEUE_DRIVER:
        return (uint32_t)vq->regs.avail;
    case QUEUE_DRIVER + 4:
        return (uint32_t)(vq->regs.avail >> 32);
    case QUEUE_DEVICE:
        return (uint32_t)vq->regs.used;
    case QUEUE_DEVICE + 4:
        return (uint32_t)(vq->regs.used >> 32);
    default:
        return 0;
    }
}

static uint32_t common_get(struct virtio_pci *p, unsigned reg)
{
    switch (reg) {
    case DEVICE_FEATURE_SELECT:
        return p->regs.device_feature_select;
    case DEVICE_FEATURE:
        return virtio_offered_word(p->vd, p->regs.device_feature_select);
    case DRIVER_FEATURE_SELECT:
        return p->regs.driver_feature_select;
    case DRIVER_FEATURE:
        return virtio_accepted_word(p->vd, p->regs.driver_feature_select);
    case CONFIG_MSIX_VECTOR:
        return p->regs.config_vector;
    case NUM_QUEUES:
        return p->vd->nqueues;
    case DEVICE_STATUS:
        return p->vd->regs.status;
    case CONFIG_GENERATION:
        return (uint8_t)virtio_config_generation(p->vd);
    case QUEUE_SELECT:
        return p->regs.queue_select;
    default:
        return queue_get(p, reg);
    }
}

/* Reads may have any width and alignment: no field here minds being looked at. */
static uint64_t common_read(struct virtio_pci *p, uint64_t off, unsigned size)
{
    uint64_t val = 0;
    for (unsigned i = 0; i < size && off + i < COMMON_END; i++) {
        unsigned reg = (unsigned)(off + i);
        while (!common_width[reg])
            reg--;
        uint64_t byte = common_get(p, reg) >> (8 * (off + i - reg)) & 0xff;
        val |= byte << (8 * i);
    }
    return val;
}

/* A vector we do not have is a mapping that failed, which the driver sees by reading back. */
static uint16_t vector_checked(const struct virtio_pci *p, uint32_t val)
{
    return val < p->vectors ? (uint16_t)val : NO_VECTOR;
}

static void queue_set(struct virtio_pci *p, unsigned reg, uint32_t val)
{
    struct virtq *vq = virtio_queue(p->vd, p->regs.queue_select);
    if (!vq) {
        log_guest("%s: write to queue %u, which does not exist", p->vd->ops->name,
                  p->regs.queue_select);
        return;
    }
    switch (reg) {
    case QUEUE_SIZE:
        virtq_set_size(vq, val);
        break;
    case QUEUE_MSIX_VECTOR:
        p->regs.queue_vector[vq->index] = vector_checked(p, val);
        break;
    case QUEUE_ENABLE:
        if (val == 1) /* writing 0 is forbidden and means nothing: 4.1.4.3.2 */
            virtq_set_ready(vq, true);
        break;
    case QUEUE_DESC:
    case QUEUE_DESC + 4:
        virtq_set_addr(vq, &vq->regs.desc, 8 * (reg - QUEUE_DESC), val);
        break;
    case QUEUE_DRIVER:
    case QUEUE_DRIVER + 4:
        virtq_set_addr(vq, &vq->regs.avail, 8 * (reg - QUEUE_DRIVER), val);
        break;
    case QUEUE_DEVICE:
    case QUEUE_DEVICE + 4:
        virtq_set_addr(vq, &vq->regs.used, 8 * (reg - QUEUE_DEVICE), val);
        break;
    default:
        log_guest("%s: write to read-only common register %#x", p->vd->ops->name, reg);
        break;
    }
}

/* Writes must match a field exactly: half a field would be a value that the driver never meant. */
static void common_write(struct virtio_pci *p, uint64_t off, unsigned size, uint32_t val)
{
    if (off >= COMMON_END || common_width[off] != size) {
        log_guest("%s: %u-byte write at %#llx matches no common register, ignored",
                  p->vd->ops->name, size, (unsigned long long)off);
        return;
    }
    switch (off) {
    case DEVICE_FEATURE_SELECT:
        p->regs.device_feature_select = val;
        break;
    case DRIVER_FEATURE_SELECT:
        p->regs.driver_feature_select = val;
        break;
    case DRIVER_FEATURE:
        virtio_accept_word(p->vd, p->regs.driver_feature_select, val);
        break;
    case CONFIG_MSIX_VECTOR:
        p->regs.config_vector = vector_checked(p, val);
        break;
    case DEVICE_STATUS:
        virtio_set_status(p->vd, val);
        break;
    case QUEUE_SELECT:
        p->regs.queue_select = (uint16_t)val;
        break;
    default:
        queue_set(p, (unsigned)off, val);
        break;
    }
}

/* --- BAR 0 --- */

static uint64_t isr_read(struct virtio_pci *p, uint64_t off)
{
    if (off)
        return 0;
    uint64_t val = p->regs.isr;
    p->regs.isr = 0;
    intx_update(p);
    return val;
}

static uint64_t bar_read(void *self, uint64_t off, unsigned size)
{
    struct virtio_pci *p = self;
    uint64_t in_page = off % PAGE_BYTES;
    switch (off - in_page) {
    case COMMON_OFF:
        return common_read(p, in_page, size);
    case ISR_OFF:
        return isr_read(p, in_page);
    case DEVICE_OFF:
        return virtio_config_read(p->vd, in_page, size);
    default:
        return 0;
    }
}

static void bar_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_pci *p = self;
    uint64_t in_page = off % PAGE_BYTES;
    switch (off - in_page) {
    case COMMON_OFF:
        common_write(p, in_page, size, (uint32_t)val);
        break;
    case DEVICE_OFF:
        virtio_config_write(p->vd, in_page, size, val);
        break;
    case NOTIFY_OFF:
        /*
         * The address says which queue; the value and the width do not matter, as they do not to an
         * event descriptor.
         */
        if (in_page % NOTIFY_MULTIPLIER == 0)
            virtio_kick(p->vd, (uint32_t)in_page / NOTIFY_MULTIPLIER);
        break;
    default:
        log_guest("%s: write to read-only register %#llx", p->vd->ops->name,
                  (unsigned long long)off);
        break;
    }
}

static const struct io_ops bar_ops = {.read = bar_read, .write = bar_write, .min = 1, .max = 4};

/* --- the window in configuration space, section 4.1.4.9 --- */

/* What the window points at: false unless it is an aligned access inside BAR 0. */
static bool window_target(const struct virtio_pci *p, uint32_t *off, unsigned *size)
{
    const uint8_t *cap = &p->func.config[p->window];
    uint32_t length = load_le32(cap + CAP_LENGTH);
    *off = load_le32(cap + CAP_OFFSET);
    if (cap[CAP_BAR] != REG_BAR || (length != 1 && length != 2 && length != 4))
        return false;
    *size = length;
    return *off % length == 0 && range_fits(*off, length, BAR_SIZE);
}

static bool touches_window(const struct virtio_pci *p, unsigned off, unsigned size)
{
    return ranges_overlap(off, size, p->window + CAP_DATA, 4);
}

static void config_reading(struct pci_func *func, unsigned off, unsigned size)
{
    struct virtio_pci *p = container_of(func, struct virtio_pci, func);
    uint32_t target;
    unsigned width;
    if (touches_window(p, off, size) && window_target(p, &target, &width))
        store_le32(&func->config[p->window + CAP_DATA], (uint32_t)bar_read(p, target, width));
}

static void config_written(struct pci_func *func, unsigned off, unsigned size)
{
    struct virtio_pci *p = container_of(func, struct virtio_pci, func);
    uint32_t target;
    unsigned width;
    if (!touches_window(p, off, size) || !window_target(p, &target, &width))
        return;
    uint32_t val = load_le32(&func->config[p->window + CAP_DATA]);
    bar_write(p, target, width, val & size_mask(width));
}

static void remapped(struct pci_func *func)
{
    bells_update(container_of(func, struct virtio_pci, func));
}

static const struct pci_func_ops func_ops = {
    .remapped = remapped,
    .config_written = config_written,
    .config_reading = config_reading,
};

/* --- life --- */

static unsigned cap_add(struct virtio_pci *p, uint8_t type, unsigned len, uint32_t offset,
                        uint32_t length)
{
    unsigned cap = pci_cap_add(&p->func, CAP_ID_VENDOR, len);
    uint8_t *c = &p->func.config[cap];
    c[2] = (uint8_t)len;
    c[CAP_TYPE] = type;
    c[CAP_BAR] = REG_BAR;
    store_le32(c + CAP_OFFSET, offset);
    store_le32(c + CAP_LENGTH, length);
    return cap;
}

static void caps_init(struct virtio_pci *p)
{
    struct virtio *vd = p->vd;
    cap_add(p, CAP_COMMON_CFG, CAP_DATA, COMMON_OFF, COMMON_END);
    cap_add(p, CAP_ISR_CFG, CAP_DATA, ISR_OFF, 1);
    if (vd->config_size)
        cap_add(p, CAP_DEVICE_CFG, CAP_DATA, DEVICE_OFF, (uint32_t)vd->config_size);
    unsigned cap = cap_add(p, CAP_NOTIFY_CFG, CAP_LONG, NOTIFY_OFF,
                           vd->nqueues * NOTIFY_MULTIPLIER);
    store_le32(&p->func.config[cap + CAP_DATA], NOTIFY_MULTIPLIER);

    p->window = cap_add(p, CAP_PCI_CFG, CAP_LONG, 0, 0);
    p->func.wmask[p->window + CAP_BAR] = 0xff;
    for (unsigned i = CAP_OFFSET; i < CAP_LONG; i++)
        p->func.wmask[p->window + i] = 0xff;
}

static struct virtio_pci *from_device(struct device *dev)
{
    return container_of(dev, struct virtio_pci, func.device);
}

static void device_reset(struct device *dev)
{
    struct virtio_pci *p = from_device(dev);
    virtio_reset(p->vd);
    pci_func_reset(&p->func);
}

static void device_fini(struct device *dev)
{
    struct virtio_pci *p = from_device(dev);
    pci_remove(&p->func); /* calls remapped, which needs the device */
    virtio_detach(p->vd);
    msix_fini(&p->func);
    free(p);
}

static const struct device_ops device_ops = {.reset = device_reset, .fini = device_fini};

static uint32_t class_code(uint16_t virtio_id)
{
    switch (virtio_id) {
    case 1:
        return 0x020000; /* network, Ethernet */
    case 2:
    case 26:
        return 0x018000; /* mass storage, other: disks and file systems */
    default:
        return 0xff0000; /* belongs to no class */
    }
}

struct device *virtio_pci_create(struct virtio *vd, struct pci_host *host, unsigned slot,
                                 struct intc *intc, const struct switchboard *sb,
                                 struct event_queue *events, struct err *err)
{
    struct virtio_pci *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(err, ENOMEM, "%s: no memory for its PCI function", vd->ops->name);
        vd->ops->fini(vd);
        return NULL;
    }
    p->vd = vd;
    p->sb = sb;
    p->vectors = vd->nqueues + 1;
    virtio_attach(vd, &transport_ops, p, events);

    pci_func_init(&p->func, &(struct pci_ident){
                                .vendor = VENDOR_VIRTIO,
                                .device = (uint16_t)(DEVICE_MODERN + vd->ops->device_id),
                                .subvendor = VENDOR_VIRTIO,
                                .subdevice = (uint16_t)(SUBDEVICE + vd->ops->device_id),
                                .class_code = class_code(vd->ops->device_id),
                                .revision = REVISION_MODERN,
                                .interrupt_pin = true,
                            });
    p->func.device.name = vd->ops->name;
    p->func.device.ops = &device_ops;
    p->func.pci_ops = &func_ops;
    pci_bar_init(&p->func, REG_BAR, BAR_SIZE, vd->ops->name, &bar_ops, p);
    caps_init(p);
    transport_reset(vd);
    if (msix_init(&p->func, MSIX_BAR, p->vectors, intc)) {
        err_set(err, ENOMEM, "%s: no memory for %u interrupt vectors", vd->ops->name, p->vectors);
        goto out_func;
    }
    if (pci_add(host, &p->func, slot, err))
        goto out_msix;
    return &p->func.device;

out_msix:
    msix_fini(&p->func);
out_func:
    vd->ops->fini(vd);
    free(p);
    return NULL;
}
