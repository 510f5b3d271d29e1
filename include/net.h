// SPDX-License-Identifier: MIT
//
// Network backends: Ethernet frames between a network device and the world outside. Nothing blocks
// and nothing grows: a frame that the backend has no room for is refused (`writable` tells when to
// try again), one that the device has no buffers for stays where it is (`readable` told of it; the
// device comes back by itself when it has buffers).
// Offloads are told in this header's words, not in those of a device or of a host interface: a
// frame may come with an unfinished checksum, or as one long TCP segment still to be cut. What the
// backend cannot take is finished here, by net_send, so devices need not care.
// A backend has one or more queues, each with both directions; frames of one queue stay in order.
// Thread: everything under the device lock but the backends' work on file descriptors, which is the
// event loop's. The client is called from the event queue, never from within send or peek.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "clock.h"
#include "err.h"
#include "event.h"
#include "evloop.h"

#define NET_MAC_BYTES 6
#define NET_ETH_HEADER 14
#define NET_FRAME_MAX (65535 + 14 + 4) /* the longest IP packet, Ethernet header, a VLAN tag */
#define NET_MAX_QUEUES 8               /* pairs of them */
#define NET_MAX_FORWARDS 32

/* --- frames --- */

enum net_gso { NET_GSO_NONE, NET_GSO_TCP4, NET_GSO_TCP6 };

/* What is left to do on a frame. All zeros: nothing, it is as it goes on the wire. */
struct net_offload {
    enum net_gso gso;     /* TCP data to be cut into pieces of gso_size; needs_csum is set too */
    uint16_t gso_size;    /* bytes of TCP payload in a piece, not 0 */
    bool needs_csum;      /* the sum from csum_start to the end is to be put at start + offset */
    uint16_t csum_start, csum_offset;
    bool csum_good;       /* somebody checked, or made, the checksum: no need to look again */
};

/* A frame lent by a backend until net_next. */
struct net_frame {
    const uint8_t *data; /* private to us: the guest cannot change it */
    size_t len;
    struct net_offload offload;
};

/* What one side can do with unfinished frames. */
#define NET_CSUM 1u /* unfinished checksums */
#define NET_TSO4 2u /* long TCP over IPv4, to be cut; with NET_CSUM only */
#define NET_TSO6 4u
#define NET_LONG 8u /* TCP frames up to NET_FRAME_MAX, checksum finished, as they are */

struct net;

/* What a backend tells its device, under the device lock. */
struct net_client {
    void (*readable)(void *self, unsigned queue); /* frames wait: peek until there is none */
    void (*writable)(void *self, unsigned queue); /* a refused send is worth another try */
    void (*link)(void *self);                     /* net->link changed */
    void *self;
};

struct net_ops {
    /* The driver runs (or no longer does). Backends that start lazily start here. May be NULL. */
    void (*run)(struct net *net, bool on);
    /* What the device takes, of NET_CSUM, NET_TSO4, NET_TSO6. May be NULL. */
    void (*set_takes)(struct net *net, unsigned takes);
    /* How many queues the device uses, from 1 to net->queues. May be NULL. */
    void (*set_queues)(struct net *net, unsigned queues);
    /* Would `frames` frames of together `bytes` bytes be taken now? */
    bool (*room)(struct net *net, unsigned queue, unsigned frames, size_t bytes);
    /* One frame within what the backend takes. False: refused, nothing done. */
    bool (*send)(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov,
                 size_t len, const struct net_offload *offload);
    void (*flush)(struct net *net, unsigned queue); /* the end of a batch of sends; may be NULL */
    /* The next frame that waits; the same one until `next`. */
    bool (*peek)(struct net *net, unsigned queue, struct net_frame *frame);
    void (*next)(struct net *net, unsigned queue);
    void (*fini)(struct net *net);
};

struct net_counters {
    uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes;
    uint64_t tx_no_link;   /* nobody was there to take it: lost, as on a wire */
    uint64_t tx_malformed; /* offload that does not fit the frame */
    uint64_t tx_segmented, tx_summed;
};

struct pcap;

struct net {
    const char *kind; /* "user", ... */
    const char *id;   /* for messages; never NULL */
    const struct net_ops *ops;
    struct net_client client;
    unsigned queues; /* pairs */
    unsigned takes;  /* from the device: NET_CSUM, ... */
    unsigned gives;  /* what it can leave undone in frames for the device */
    bool link;       /* up: frames have somewhere to go */
    struct net_counters count;
    struct pcap *pcap;
    uint8_t *work;   /* room for one frame, made when first needed */
};

/* --- configuration --- */

/*
 * Fixed size and no pointers: it travels to another process as it is. Addresses in network order.
 */
struct net_forward {
    bool udp;
    uint32_t host_addr, guest_addr; /* 0: any, and the first address that DHCP gives */
    uint16_t host_port, guest_port; /* numbers */
};

struct net_user_config {
    bool ipv4, ipv6, restricted;
    uint32_t net, mask, host, dns, dhcp_start;
    uint8_t net6[16], host6[16], dns6[16];
    uint8_t prefix6;
    char hostname[34], domainname[128], dnssearch[128];
    unsigned nforwards;
    struct net_forward forward[NET_MAX_FORWARDS];
};

enum net_kind { NET_USER, NET_TAP, NET_SOCKET };

/* One -nic or -netdev after parsing. */
struct net_config {
    enum net_kind kind;
    const char *id; /* NULL: none given */
    const char *pcap; /* file, or NULL */
    struct net_user_config user;
    const char *ifname;     /* tap; NULL: the kernel chooses */
    unsigned queues;        /* tap: pairs */
    const char *path;       /* socket */
    unsigned reconnect_s;   /* socket: 0 for never */
};

struct net_env {
    struct evloop *loop;
    struct event_queue *events;
    struct clock *clock;
};

/* --- for the board --- */

/* `cfg` must outlive the backend. NULL with `err` set. */
struct net *net_open(const struct net_config *cfg, const struct net_env *env, struct err *err);
/* On the event loop's thread, or after the loop has stopped. NULL is allowed. */
void net_close(struct net *net);

/* --- for devices --- */

static inline void net_run(struct net *net, bool on)
{
    if (net->ops->run)
        net->ops->run(net, on);
}

static inline void net_set_takes(struct net *net, unsigned takes)
{
    if (net->ops->set_takes)
        net->ops->set_takes(net, takes);
}

static inline void net_set_queues(struct net *net, unsigned queues)
{
    if (net->ops->set_queues)
        net->ops->set_queues(net, queues);
}

/*
 * Send a frame of `len` bytes (NET_ETH_HEADER to NET_FRAME_MAX; the sum of iov). The memory may
 * change meanwhile: what is looked at is copied first. False: no room, try again when writable.
 * True also for frames that are dropped and counted: the link is down, or the offload is nonsense.
 */
bool net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned niov, size_t len,
              const struct net_offload *offload);

static inline void net_flush(struct net *net, unsigned queue)
{
    if (net->ops->flush)
        net->ops->flush(net, queue);
}

static inline bool net_peek(struct net *net, unsigned queue, struct net_frame *frame)
{
    return net->ops->peek(net, queue, frame);
}

/* Done with the frame that net_peek gave. */
void net_next(struct net *net, unsigned queue, const struct net_frame *frame);

/* --- for backends (and fake ones in tests) --- */

/* `ops` and `kind` stay the caller's; the link is down at first. */
void net_init(struct net *net, const char *kind, const char *id, const struct net_ops *ops);
void net_fini(struct net *net); /* frees what net_init and net_send made, not the backend */
void net_tell_readable(struct net *net, unsigned queue);
void net_tell_writable(struct net *net, unsigned queue);
void net_set_link(struct net *net, bool up);
