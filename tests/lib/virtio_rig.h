// SPDX-License-Identifier: MIT
//
// For the virtio tests: a tiny driver of split rings, a disk in memory that can hold completions
// back or fail, and a machine with nothing in it but RAM, buses, wires and one event queue.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "block.h"
#include "bus.h"
#include "doorbell.h"
#include "event.h"
#include "gmem.h"
#include "irq.h"
#include "pci.h"
#include "virtio.h"

/* RAM in two slots with a gap between them. */
#define RIG_HOLE_START 0x800000ull
#define RIG_HOLE_END 0x1000000ull
#define RIG_RAM 0xa00000ull

#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4

/* --- a ring as its driver sees it --- */

struct ring {
    struct gmem *gm;
    uint16_t size;
    gpa_t desc, avail, used;
    uint16_t avail_idx; /* next to offer */
    uint16_t used_seen; /* next to look at */
};

#define RING_STRIDE 0x10000ull /* from one ring_init base to the next, for up to 1024 entries */

void ring_init(struct ring *r, struct gmem *gm, gpa_t base, uint16_t size); /* zeroed */
void ring_desc(struct ring *r, unsigned i, gpa_t addr, uint32_t len, uint16_t flags, uint16_t next);
void put_desc(struct gmem *gm, gpa_t table, unsigned i, gpa_t addr, uint32_t len, uint16_t flags,
              uint16_t next);
void ring_offer(struct ring *r, uint16_t head);     /* and raise the index */
bool ring_take(struct ring *r, uint32_t *id, uint32_t *len); /* next used element */
uint16_t ring_used_idx(const struct ring *r);
uint16_t ring_used_flags(const struct ring *r);
uint16_t ring_avail_event(const struct ring *r);
void ring_set_used_event(struct ring *r, uint16_t v);
void ring_set_avail_flags(struct ring *r, uint16_t v);

/* --- a disk --- */

struct fake_disk {
    struct block blk;
    uint8_t *data;
    bool hold;            /* completions wait for fake_disk_release or drain */
    int fail;             /* negative errno for everything but checks */
    struct event ready;
    struct blk_req *head, **tail;
    struct blk_req last;  /* copy of the request submitted last */
    unsigned submits, commits, drains;
    bool stable;          /* the last write was asked to be stable, or a flush followed it */
};

void fake_disk_init(struct fake_disk *d, struct event_queue *events, uint64_t size);
void fake_disk_fini(struct fake_disk *d);
void fake_disk_release(struct fake_disk *d); /* complete what is held, and hold no more */

/* --- the machine --- */

struct rig {
    struct gmem gm;
    struct bus pio, mmio;
    struct event_queue events;
    struct intc intc;
    unsigned msis;             /* sent so far */
    uint32_t msi_data;         /* of the last one */
    bool line;                 /* the INTx or MMIO interrupt wire */
    unsigned line_rises;
    struct switchboard sb;
    unsigned bells;            /* now registered */
    struct doorbell *bell[VIRTIO_MAX_QUEUES];
    struct pci_host *host;
};

void rig_init(struct rig *rig, bool with_pci);
void rig_fini(struct rig *rig);
struct irq_line rig_line(struct rig *rig);

/* --- the driver's side of a transport --- */

struct port {
    struct rig *rig;
    struct device *dev;
    struct virtio *vd;
    bool pci;
    uint64_t base;   /* of the MMIO region or of BAR 0 */
    unsigned slot;   /* PCI */
    uint64_t accept; /* features to take of those offered; ~0: all */
};

void port_init_pci(struct port *p, struct rig *rig, struct virtio *vd, unsigned slot);
void port_init_mmio(struct port *p, struct rig *rig, struct virtio *vd, uint64_t base);
void port_fini(struct port *p);
uint32_t port_status(struct port *p);
void port_set_status(struct port *p, uint32_t status);
uint64_t port_offered(struct port *p);
void port_accept(struct port *p, uint64_t features);
void port_queue(struct port *p, unsigned q, const struct ring *r); /* select, program, enable */
void port_kick(struct port *p, unsigned q);
uint64_t port_config(struct port *p, uint64_t off, unsigned size);
void port_set_config(struct port *p, uint64_t off, unsigned size, uint64_t val);
/* Reset, negotiate p->accept, program queue 0 with `r`, DRIVER_OK; the ring starts afresh. */
void port_start(struct port *p, struct ring *r);
