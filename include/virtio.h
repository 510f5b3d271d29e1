// SPDX-License-Identifier: MIT
//
// Virtio 1.2 in three parts that know as little as possible of each other: the device (features,
// queues, config bytes, what a request means), the transport (PCI or MMIO registers, interrupts,
// doorbells), and the split virtqueue between them.
// Modern only: a driver that does not accept VERSION_1 does not get FEATURES_OK. Not offered:
// packed rings, in-order use, queue reset, notification data, access through an IOMMU.
// Whatever a driver does wrong to a ring ends in NEEDS_RESET for that device, and a reset always
// mends it.
// Thread: everything under the device lock. The driver may change guest memory at any moment.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "bus.h"
#include "device.h"
#include "doorbell.h"
#include "err.h"
#include "event.h"
#include "gmem.h"
#include "irq.h"
#include "pci.h"

#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VIRTIO_MAX_QUEUES 64
#define VIRTQ_MAX_SIZE 1024

/* Device status, section 2.1 */
#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER 2
#define VIRTIO_DRIVER_OK 4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 64
#define VIRTIO_FAILED 128

struct virtio;
struct virtq;

/*
 * One request: a descriptor chain, copied and checked once. Lent by its queue to whoever popped it,
 * until virtq_push. The borrower may trim it with chain_pull and chain_cut.
 */
struct virtq_chain {
    struct virtq *vq;
    uint16_t head;
    bool busy;              /* popped and not yet pushed */
    unsigned nread, nwrite; /* iov[0..nread) the device reads, iov[nread..nread+nwrite) it writes */
    uint64_t read_bytes, write_bytes;
    /* host addresses inside guest RAM, never empty; contents may change at any moment */
    struct iovec *iov;
    gpa_t *gpa;        /* guest address of each iov, for gmem_wrote */
    /* The queue's: room for `cap` elements, kept from request to request. */
    struct iovec *iov_store;
    gpa_t *gpa_store;
    unsigned cap;
};

struct virtio_ops {
    const char *name;
    uint16_t device_id; /* section 5 */
    /*
     * The driver added buffers: pop until empty, or for a bounded while and then virtq_kick_again.
     */
    void (*notify)(struct virtio *vd, unsigned q);
    /* FEATURES_OK was granted: the accepted bits are final until reset. May be NULL. */
    void (*negotiated)(struct virtio *vd);
    /*
     * The driver wrote [off, off+size) of the config bytes, all of it inside them. NULL: read-only.
     */
    void (*config_write)(struct virtio *vd, uint64_t off, unsigned size, uint64_t val);
    /*
     * Back to power-on state. Every chain must have been pushed on return; by then the pushes reach
     * no guest memory.
     */
    void (*reset)(struct virtio *vd);
    void (*fini)(struct virtio *vd); /* nothing may be in flight after this; frees the device */
};

/* What a transport provides. */
struct virtio_transport_ops {
    void (*raise_queue)(struct virtio *vd, unsigned q); /* used-buffer interrupt */
    void (*raise_config)(struct virtio *vd);            /* config change interrupt */
    /* queues run from DRIVER_OK to reset: doorbells on or off */
    void (*live)(struct virtio *vd, bool live);
    /* the transport's own registers, interrupts down */
    void (*reset)(struct virtio *vd);
};

/*
 * What the driver set through the transport (frozen once ready) and how far both sides have come.
 */
struct virtq_regs {
    uint16_t size;
    bool ready;
    gpa_t desc, avail, used;
    uint16_t avail_next; /* next avail ring entry to take */
    uint16_t used_next;  /* next used ring entry to write */
    uint16_t signalled;  /* used index at the last interrupt decision */
};

struct virtq {
    struct virtq_regs regs;
    struct virtio *vd;
    unsigned index;
    uint16_t max_size;
    uint8_t *desc_host, *avail_host, *used_host; /* of regs, checked when the queue is made ready */
    struct virtq_chain *chain;                   /* by head: one head twice is the driver's fault */
    unsigned in_flight;
    struct doorbell bell; /* its event kicks the queue; the transport fills the rest */
    uint64_t kicks, pops, pushes, interrupts;
};

struct virtio_regs {
    /* feature bits, as the driver wrote them; a subset of `offered` once FEATURES_OK is set */
    uint64_t accepted;
    uint8_t status;
    uint32_t config_generation;
    bool config_dirty; /* config changed since the driver last looked */
};

struct virtio {
    struct virtio_regs regs;
    const struct virtio_ops *ops;
    const struct virtio_transport_ops *transport; /* NULL: not attached yet */
    void *transport_self;
    struct gmem *gmem;
    uint64_t offered;
    /* device-specific configuration, little-endian; the device keeps it current */
    const void *config;
    uint64_t config_size;
    unsigned nqueues;
    struct virtq *vq; /* nqueues of them */
    uint64_t breakdowns;
};

/* --- for devices --- */
/* `features` are the device's own; those of the ring are added. `config` stays the device's. */
int virtio_init(struct virtio *vd, const struct virtio_ops *ops, struct gmem *gmem,
                uint64_t features, unsigned nqueues, uint16_t queue_size, const void *config,
                uint64_t config_size, struct err *err);
void virtio_fini(struct virtio *vd); /* frees queues, not the device */
bool virtio_has(const struct virtio *vd, uint64_t feature);
/*
 * The device may touch the rings and the buffers: DRIVER_OK, not broken, not given up by the
 * driver.
 */
bool virtio_running(const struct virtio *vd);
/*
 * The device cannot go on (section 2.1.2): status bit, config interrupt, a word in the log. Its
 * queues go quiet until reset.
 */
void virtio_broken(struct virtio *vd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The config bytes changed on the device's own account. */
void virtio_config_changed(struct virtio *vd);

/*
 * Take the next chain: 1 and *chain filled, 0 when there is none, -1 when the ring is malformed
 * (the device is then already broken). A chain has at most max_size elements and 2^32 - 1 bytes; it
 * may have none at all.
 */
int virtq_pop(struct virtq *vq, struct virtq_chain **chain);
/*
 * Give a chain back with `written` bytes, exactly once. The interrupt waits for virtq_notify. Only
 * frees unless running.
 */
void virtq_push(struct virtq_chain *chain, uint32_t written);
/* The same for n >= 1 chains of one queue, which the driver sees all at once. */
void virtq_push_all(struct virtq_chain *const *chains, const uint32_t *written, unsigned n);
/* Interrupt the driver if it asked to be told of what was pushed since last time. */
void virtq_notify(struct virtq *vq);
/*
 * Ask for (or not) the next kick. enable returns true if buffers slipped in meanwhile: look again.
 */
bool virtq_enable_kick(struct virtq *vq);
void virtq_disable_kick(struct virtq *vq);
/*
 * Have the queue's notify run again from the event queue, after whoever else waits for the device
 * lock.
 */
void virtq_kick_again(struct virtq *vq);

/* Copy out of / into the readable / writable part of a chain; returns bytes copied. */
size_t chain_read(const struct virtq_chain *chain, uint64_t off, void *buf, size_t len);
size_t chain_write(const struct virtq_chain *chain, uint64_t off, const void *buf, size_t len);
/*
 * Copy `len` bytes off the front of the readable part and drop them there. False, and nothing done,
 * if there are fewer.
 */
bool chain_pull(struct virtq_chain *chain, void *buf, size_t len);
/* Drop the last byte of the writable part, and tell where it is. False if there is none. */
bool chain_cut(struct virtq_chain *chain, uint8_t **host, gpa_t *gpa);
/* The whole writable part was written through its host addresses. */
void chain_wrote(const struct virtq_chain *chain);

/* --- for transports --- */
/* Take a device: from here its interrupts go to `ops`, its doorbell events to `events`. */
void virtio_attach(struct virtio *vd, const struct virtio_transport_ops *ops, void *self,
                   struct event_queue *events);
/* Doorbells off and no kick left, then the device's own fini. */
void virtio_detach(struct virtio *vd);
void virtio_set_status(struct virtio *vd, uint32_t status); /* 0 resets */
/* device, queues and transport registers */
void virtio_reset(struct virtio *vd);
uint32_t virtio_offered_word(const struct virtio *vd, uint32_t sel);
uint32_t virtio_accepted_word(const struct virtio *vd, uint32_t sel);
/* ignored after FEATURES_OK */
void virtio_accept_word(struct virtio *vd, uint32_t sel, uint32_t bits);
/*
 * Config bytes; what lies outside reads as zero and ignores writes. Any width up to 8, any offset.
 */
uint64_t virtio_config_read(struct virtio *vd, uint64_t off, unsigned size);
void virtio_config_write(struct virtio *vd, uint64_t off, unsigned size, uint64_t val);
uint32_t virtio_config_generation(struct virtio *vd);
/* Queue `q`, or NULL if the device has no such queue. */
struct virtq *virtio_queue(struct virtio *vd, uint32_t q);
/* Queue registers; a write after DRIVER_OK or while the queue is ready is ignored and logged. */
void virtq_set_size(struct virtq *vq, uint32_t size);
void virtq_set_addr(struct virtq *vq, gpa_t *which, unsigned shift, uint32_t val);
void virtq_set_ready(struct virtq *vq, bool ready);
void virtio_kick(struct virtio *vd, uint32_t q); /* doorbell rang; any q from the guest is safe */
/* --- between virtio.c and virtq.c --- */
int virtq_init(struct virtq *vq, struct virtio *vd, unsigned index, uint16_t max_size);
void virtq_fini(struct virtq *vq);
void virtq_reset(struct virtq *vq);

/* --- for the board --- */
/*
 * Wrap a device in a transport, which owns it from here, also when this fails. It is reset and
 * freed through the struct device. NULL with `err` set on failure. The slot is as in pci_add.
 */
struct device *virtio_pci_create(struct virtio *vd, struct pci_host *host, unsigned slot,
                                 struct intc *intc, const struct switchboard *sb,
                                 struct event_queue *events, struct err *err);
struct device *virtio_mmio_create(struct virtio *vd, struct bus *mmio, uint64_t base,
                                  struct irq_line irq, const struct switchboard *sb,
                                  struct event_queue *events, struct err *err);
