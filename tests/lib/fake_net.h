// SPDX-License-Identifier: MIT
//
// For the network tests: a backend in memory that keeps what was sent, lends what the test queued,
// and refuses when told to; and a driver's view of a network interface on the virtio rig.
#pragma once

#include "net.h"
#include "tests/lib/virtio_rig.h"

#define FAKE_FRAMES 512

struct fake_frame {
    uint8_t *data;
    size_t len;
    unsigned queue;
    struct net_offload offload;
};

struct fake_net {
    struct net net;
    struct fake_frame sent[FAKE_FRAMES]; /* oldest first; more are counted only */
    unsigned nsent, flushes;
    struct fake_frame waiting[FAKE_FRAMES];
    unsigned nwaiting;
    unsigned room; /* frames that are still taken; UINT_MAX: any number */
    bool forget;   /* keep no frames */
    unsigned device_takes, queues_used;
    int runs;      /* net_run(true) minus net_run(false) */
};

void fake_net_init(struct fake_net *f, unsigned takes, unsigned gives, unsigned queues);
void fake_net_fini(struct fake_net *f);
void fake_net_forget(struct fake_net *f); /* what was sent so far */
/* Queue a frame for the device; it is told by fake_net_tell. */
void fake_net_queue(struct fake_net *f, unsigned queue, const void *data, size_t len,
                    const struct net_offload *offload);

/* --- frames for tests --- */

/* Ethernet, IP, TCP and `payload` bytes that count up; the TCP checksum holds the pseudo header's
 * sum if `partial`, else the whole one. Returns the length. */
size_t make_tcp(uint8_t *out, bool v6, uint8_t flags, size_t payload, bool partial);
#define TCP4_HEADERS (14 + 20 + 20)
#define TCP6_HEADERS (14 + 40 + 20)
/* Are IPv4's and TCP's checksums, and all lengths, right? The plain way, for comparison. */
bool frame_sound(const uint8_t *frame, size_t len);

/* --- the driver --- */

#define NIC_RINGS 5
#define NIC_RING_BASE 0x10000ull
#define NIC_DATA 0x100000ull /* buffers from here on */
#define NIC_HEADER 12

struct nic_driver {
    struct rig *rig;
    struct port port;
    struct ring ring[NIC_RINGS]; /* rx0, tx0, control or rx1, tx1, control */
    unsigned nrings;
};

/* Reset, negotiate `accept` of what is offered, all queues of `size`, DRIVER_OK. */
void nic_start(struct nic_driver *d, uint64_t accept, uint16_t size);
/* A frame with its header as two descriptors from `head` on, at `at`; not kicked. */
void nic_put_tx(struct nic_driver *d, unsigned ring, uint16_t head, gpa_t at, const void *header,
                const void *frame, size_t len);
/* One receive buffer. */
void nic_put_rx(struct nic_driver *d, unsigned ring, uint16_t head, gpa_t at, uint32_t len);
