// SPDX-License-Identifier: MIT
//
// Shared by the two halves of the network interface: net.c (frames) and net_ctrl.c (the control
// queue and the receive filter).
#pragma once

#include "devices/virtio/virtio_net.h"

#define NET_QUEUE_SIZE 256

#define NET_F_CSUM (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU (1ull << 3)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_HOST_TSO6 (1ull << 12)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_CTRL_VQ (1ull << 17)
#define NET_F_CTRL_RX (1ull << 18)
#define NET_F_CTRL_RX_EXTRA (1ull << 20)
#define NET_F_MQ (1ull << 22)
#define NET_F_CTRL_MAC_ADDR (1ull << 23)

#define NET_MAC_TABLE 64 /* addresses of each kind; a longer list lets all of the kind pass */

/* Section 5.1.4, little-endian as our hosts are. */
struct net_config_bytes {
    uint8_t mac[NET_MAC_BYTES];
    uint16_t status, max_pairs, mtu;
};
_Static_assert(sizeof(struct net_config_bytes) == 12, "layout of struct virtio_net_config");
#define NET_S_LINK_UP 1

struct mac_table {
    unsigned count;
    bool all; /* too many for the table */
    uint8_t mac[NET_MAC_TABLE][NET_MAC_BYTES];
};

/* What the driver set, beside the configuration bytes. */
struct net_regs {
    bool running; /* the backend has been told that the driver is there */
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    struct mac_table uni, multi;
    unsigned pairs; /* in use */
};

/* Receive buffers taken from the ring for a frame that needs more of them. */
struct net_rx {
    struct virtq_chain *held[NET_QUEUE_SIZE];
    unsigned nheld;
    uint64_t bytes;
};

/* A frame that the backend had no room for. */
struct net_tx {
    struct virtq_chain *held;
    struct net_offload offload; /* of it */
};

struct virtio_net {
    struct virtio vd;
    struct net_config_bytes config;
    struct net_regs regs;
    struct virtio_net_settings settings;
    struct virtio_net_stats stats;
    struct net *net;
    unsigned npairs;
    struct net_rx *rx;
    struct net_tx *tx;
};

/* net_ctrl.c */
void net_ctrl_reset(struct virtio_net *dev);
void net_ctrl_notify(struct virtio_net *dev, struct virtq *vq);
bool net_wants(const struct virtio_net *dev, const struct net_frame *frame);
