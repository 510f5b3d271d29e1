// SPDX-License-Identifier: MIT
//
// Between mux.c (who gets which packet), conn.c (the bytes of one connection) and host.c (names and
// handshakes). A connection never moves and is never freed before the end: a handler that the event
// loop calls late finds a slot, perhaps in other use, and a needless look at it does no harm.
#pragma once

#include <sys/un.h>

#include "devices/vsock/vsock.h"

enum conn_state {
    CONN_FREE,
    CONN_HANDSHAKE, /* a host program that has not said its port yet; no ports */
    CONN_REQUESTED, /* the guest was asked */
    CONN_OPEN,
    CONN_DEAD,      /* only an RST is still to be told */
};

/* Packets that a connection owes the guest. */
#define DUE_REQUEST 1u
#define DUE_RESPONSE 2u
#define DUE_RST 4u
#define DUE_SHUTDOWN 8u
#define DUE_CREDIT 16u /* an update */
#define DUE_ASK 32u    /* a request for one */
#define DUE_DATA 64u   /* the host's socket may have bytes */

/* Ports of connections that the host begins: away from those that programs choose. */
#define HOST_PORT_FIRST 0x40000000u
#define HOST_PORT_LAST 0x7fffffffu

#define HANDSHAKE_MAX 24 /* "CONNECT 4294967295\n" has 19 */

struct conn {
    struct vsock *v;
    enum conn_state state;
    uint32_t host_port, guest_port;
    struct fd_watch watch; /* fd -1: the host's end is closed */
    struct event ready;
    unsigned due;
    bool in_line;
    struct conn *next; /* in line */

    /* Credit, in bytes since the beginning, modulo 2^32. */
    uint32_t received, forwarded, told; /* from the guest; of these, to the host; last fwd_cnt */
    uint32_t sent, peer_alloc, peer_forwarded;
    bool asked; /* for credit, since the guest last gave some */

    unsigned guest_shut, host_shut; /* VSOCK_SHUT_*: told by the guest, and to the guest */
    bool waiting_in; /* for bytes of the host's */
    bool eof;        /* nothing more is read from the host */
    bool unanswered; /* the guest has forgotten it, but its last bytes are still on their way out */
    uint8_t *ring;   /* what the host did not take at once: VSOCK_BUFFER bytes, or NULL */
    uint32_t head, tail; /* free-running */
    char line[HANDSHAKE_MAX];
    unsigned line_len;
};

/* An RST for ports that have no connection. */
struct stray {
    uint64_t from_cid;
    uint32_t host_port, guest_port;
    uint16_t type;
};
#define STRAYS 64

struct vsock {
    struct vsock_env env;
    struct vsock_client client;
    uint32_t guest_cid;
    struct sockaddr_un addr;
    bool bound;
    struct fd_watch listener; /* one-shot */
    struct event accept_it;
    uint32_t next_port;
    uint64_t key[VSOCK_CONNS]; /* ports of each connection, beside each other for the search */
    struct conn conn[VSOCK_CONNS];
    struct conn *first, **last; /* those that owe something */
    struct stray stray[STRAYS];
    unsigned nstrays;
    struct vsock_counters count;
};

/* mux.c */
struct conn *mux_find(struct vsock *v, uint32_t host_port, uint32_t guest_port);
struct conn *mux_new(struct vsock *v); /* a free one, with no descriptor yet; NULL: all in use */
void mux_set_ports(struct conn *c, uint32_t host_port, uint32_t guest_port);
void mux_line_up(struct conn *c);      /* owes something */
void mux_leave_line(struct conn *c);

/* conn.c */
void conn_init(struct conn *c, struct vsock *v);
int conn_attach(struct conn *c, int fd); /* watch it; closed on failure */
void conn_free(struct conn *c);          /* no packet follows */
void conn_owe(struct conn *c, unsigned due);
void conn_arm(struct conn *c);
void conn_put(struct conn *c, const struct vsock_header *h, const struct iovec *iov);
bool conn_take(struct conn *c, struct vsock_header *h, const struct iovec *iov, unsigned niov);

/* host.c */
void host_listen_again(struct vsock *v);
int host_listen(struct vsock *v, struct err *err);
void host_end(struct vsock *v);
void host_accept(void *self);
void host_handshake(struct conn *c);                         /* there are bytes */
bool host_confirm(struct conn *c);                           /* the guest accepted */
struct conn *host_connect(struct vsock *v, uint32_t port);   /* to PATH_port; NULL: nobody there */
