// SPDX-License-Identifier: MIT
//
// A virtio network interface over a network backend.
#pragma once

#include "err.h"
#include "gmem.h"
#include "net.h"
#include "virtio.h"

struct virtio_net_settings {
    uint8_t mac[NET_MAC_BYTES];
    unsigned mtu; /* told to the guest; 0: not */
};

/* What happened to frames in the device; for tests and for -d virtio. */
struct virtio_net_stats {
    uint64_t tx_frames, rx_frames;
    uint64_t tx_bad_header; /* a virtio_net_hdr that makes no sense */
    uint64_t tx_bad_length; /* no Ethernet frame fits */
    uint64_t rx_filtered;   /* not for this guest, by its own receive filter */
    uint64_t rx_too_long;   /* no buffer of the driver's takes it */
};

/*
 * An interface with as many queue pairs as the backend has. Give it to a transport, which then owns
 * it. The backend stays the caller's and must outlive the device. NULL with `err` set on failure.
 */
struct virtio *virtio_net_create(struct net *net, const struct virtio_net_settings *settings,
                                 struct gmem *gmem, struct err *err);
const struct virtio_net_stats *virtio_net_stats(const struct virtio *vd);
