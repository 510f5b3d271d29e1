// SPDX-License-Identifier: MIT
//
// A small virtio driver, mostly for disks (virtio 1.2: sections 2.7, 4.1, 4.2, 5.2) over PCI and
// MMIO, shared by the guests that test the devices. The rings are open, so that a guest can also break them.
#pragma once

#include "guest.h"

#define VIRTIO_MMIO(n) (0xfeb00000u + (n)*0x1000u)
#define VIRTIO_MMIO_PIN(n) (16 + (n)) /* of the IOAPIC */

enum {
    ACKNOWLEDGE = 1,
    DRIVER = 2,
    DRIVER_OK = 4,
    FEATURES_OK = 8,
    NEEDS_RESET = 0x40,
    FAILED = 0x80
};
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_WRITE_ZEROES = 13 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_NOTHING = 0xee };

#define F_RO (1ull << 5)
#define F_FLUSH (1ull << 9)
#define F_MQ (1ull << 12)
#define F_WRITE_ZEROES (1ull << 14)
#define F_INDIRECT (1ull << 28)
#define F_EVENT_IDX (1ull << 29)
#define F_VERSION_1 (1ull << 32)

#define VQ_SIZE 16
#define VQ_MAX 2
#define NO_VECTOR 0xffff
#define SECTOR 512

struct vq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* One page, so that it needs no address arithmetic to place. */
struct vq {
    struct vq_desc desc[VQ_SIZE];
    struct {
        uint16_t flags, idx, ring[VQ_SIZE], used_event;
    } avail;
    struct {
        uint16_t flags, idx;
        struct {
            uint32_t id, len;
        } ring[VQ_SIZE];
        uint16_t avail_event;
    } used __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct blk_request {
    struct blk_header header;
    struct vq_desc table[3]; /* for an indirect descriptor */
    volatile uint8_t status;
};

struct vblk {
    bool mmio;
    unsigned slot;                         /* PCI */
    uintptr_t common, notify, isr, config; /* PCI; MMIO has common and config */
    uintptr_t msix_table;
    uint32_t notify_multiplier;
    unsigned msix_cap;
    uint64_t features;     /* accepted */
    struct vq *vq;         /* VQ_MAX of them */
    uint16_t seen[VQ_MAX]; /* used index up to which we have looked */
    struct blk_request request[VQ_MAX][VQ_SIZE / 4];
};

/* PCI slots; disks are in those from 1 up. */
enum { RNG_SLOT = 25, CONSOLE_SLOT = 27 };
enum { VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_ENTROPY = 4 };

/* Another device than a disk: what follows works for it as well, but for the disk's requests. */
void virtio_find_pci(struct vblk *b, unsigned slot, unsigned id, struct vq *vq);
/* One buffer, in descriptor n, into the ring without telling the device. */
void virtio_put(struct vblk *b, unsigned q, unsigned n, void *buf, uint32_t len,
                bool device_writes);
/* The length that came back with the buffer that vblk_poll saw last. */
uint32_t virtio_used_len(struct vblk *b, unsigned q);
void vblk_find_pci(struct vblk *b, unsigned slot, struct vq *vq);
void vblk_find_mmio(struct vblk *b, unsigned n, struct vq *vq);

uint64_t vblk_offered(struct vblk *b);
uint8_t vblk_status(struct vblk *b);
void vblk_set_status(struct vblk *b, uint8_t status);
void vblk_reset(struct vblk *b); /* waits until the device is */
/* Reset, then bring up with these features (VERSION_1 is added) and the first `queues` queues.
 * MSI-X vector of queue q: first_vector + q, or NO_VECTOR. */
void vblk_start(struct vblk *b, uint64_t features, unsigned queues, uint16_t first_vector);
void vblk_queue_setup(struct vblk *b, unsigned q, uint16_t vector);
/* Let MSI-X entry e send a vector to a CPU, and switch MSI-X on. */
void vblk_msix(struct vblk *b, unsigned e, unsigned vector, unsigned apic_id);
/* Make the interrupt line fall; what it was for (ISR status). */
uint32_t vblk_acknowledge(struct vblk *b);
uint64_t vblk_capacity(struct vblk *b);

/* With event index: ask for one interrupt, when n more requests are back. Before they are put. */
void vblk_expect(struct vblk *b, unsigned q, unsigned n);
/* Put a request into the ring without telling the device; n picks its descriptors (up to
 * VQ_SIZE/4). */
struct blk_request *vblk_put(struct vblk *b, unsigned q, unsigned n, uint32_t type, uint64_t sector,
                             void *buf, uint32_t len);
bool vblk_kick(struct vblk *b, unsigned q);   /* if the device wants to be told */
void vblk_notify(struct vblk *b, unsigned q); /* in any case */
/* Sleep until `n` more requests came back. At least one interrupt must tell of them. */
void vblk_wait(struct vblk *b, unsigned q, unsigned n);
bool vblk_poll(struct vblk *b, unsigned q, unsigned n, uint32_t ms);
/* All of it: expect, put, kick, wait; the status. */
uint8_t vblk_do(struct vblk *b, unsigned q, uint32_t type, uint64_t sector, void *buf,
                uint32_t len);
