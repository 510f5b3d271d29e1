// SPDX-License-Identifier: MIT
//
// The host's end of a guest's virtio sockets (virtio 1.2 section 5.10): stream connections between
// ports of the guest and UNIX sockets of the host, without the host kernel's vhost.
// A program of the host's connects to PATH and says "CONNECT PORT\n"; when the guest accepts it
// reads "OK HOSTPORT\n", and from there bytes go both ways. A guest that connects to CID 2, port P
// reaches whoever listens on PATH_P.
// The device hands packets in and takes packets out; nothing here blocks, and everything is
// bounded: VSOCK_CONNS connections of VSOCK_BUFFER bytes each. Left out: datagrams and
// SOCK_SEQPACKET. Thread: under the device lock; handlers on the event loop only post events.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/vsock/header.h"
#include "err.h"
#include "event.h"
#include "evloop.h"

#define VSOCK_CID_HOST 2
#define VSOCK_CID_FIRST 3
#define VSOCK_CID_LAST 0xfffffffeu
#define VSOCK_PATH_MAX 96 /* "_4294967295" and the end must fit in a sockaddr_un too */
#define VSOCK_CONNS 256
#define VSOCK_BUFFER 65536u /* a power of two; what a guest may send ahead on a connection */

enum vsock_op {
    VSOCK_OP_REQUEST = 1,
    VSOCK_OP_RESPONSE,
    VSOCK_OP_RST,
    VSOCK_OP_SHUTDOWN,
    VSOCK_OP_RW,
    VSOCK_OP_CREDIT_UPDATE,
    VSOCK_OP_CREDIT_REQUEST,
};
#define VSOCK_TYPE_STREAM 1
#define VSOCK_SHUT_RCV 1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

struct vsock_env {
    struct evloop *loop;
    struct event_queue *events;
};

/* The device. */
struct vsock_client {
    void (*waiting)(void *self); /* packets wait: vsock_take until there is none, or no room */
    bool (*running)(void *self); /* is there a driver that could answer? */
    void *self;
};

struct vsock_counters {
    uint64_t accepted, connected; /* from the host; by the guest */
    uint64_t refused;             /* the guest's connections that found nobody, or no room */
    uint64_t resets;              /* connections that we ended by RST */
    uint64_t overruns;            /* data beyond the credit */
    uint64_t malformed;           /* packets that mean nothing */
};

struct vsock;

/* Listen at `path`, which is copied; NULL with `err` set on failure. */
struct vsock *vsock_open(const char *path, const struct vsock_env *env, struct err *err);
/* On the event loop's thread, or after the loop has stopped. NULL is allowed. */
void vsock_close(struct vsock *v);

/* --- for the device --- */

void vsock_attach(struct vsock *v, const struct vsock_client *client, uint32_t guest_cid);
/* All connections end, without a word to the guest. */
void vsock_drop_all(struct vsock *v);
/* May a packet be put now? If not, then again after vsock_take. */
bool vsock_can_put(const struct vsock *v);
/* A packet of the guest's; `iov` has at least h->len bytes. */
void vsock_put(struct vsock *v, const struct vsock_header *h, const struct iovec *iov);
/* Might there be packets for the guest? */
bool vsock_waiting(const struct vsock *v);
/*
 * The next packet for the guest, its h->len bytes of payload put into the `niov` areas. False:
 * there is none after all.
 */
bool vsock_take(struct vsock *v, struct vsock_header *h, const struct iovec *iov, unsigned niov);

struct vsock_counters vsock_count(const struct vsock *v);
unsigned vsock_open_connections(const struct vsock *v);
