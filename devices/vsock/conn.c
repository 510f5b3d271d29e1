// SPDX-License-Identifier: MIT
//
// One connection: bytes, credit and its end. See priv.h.
// Towards the host bytes go straight to the socket; what that does not take waits in a ring, whose
// size is the credit that the guest has. Towards the guest nothing waits here: bytes are read from
// the socket into the guest's buffers, as many as the guest has said it has room for.
// The end: each direction is shut by its sender (SHUTDOWN SEND) or its reader (SHUTDOWN RCV). When
// the guest has shut both and its last byte is out, the answer is an RST, as section 5.10.6.6.1 has
// it.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock/priv.h"
#include "log.h"

#define IN_FLIGHT_MAX 0x40000000u /* so that differences of counters have a sign */

static void conn_ready(void *self);

static void watch_ready(void *self, uint32_t events)
{
    (void)events;
    event_post(&((struct conn *)self)->ready);
}

void conn_init(struct conn *c, struct vsock *v)
{
    c->v = v;
    c->state = CONN_FREE;
    c->watch = (struct fd_watch){.fd = -1, .ready = watch_ready, .self = c};
    event_init(&c->ready, v->env.events, conn_ready, c);
}

int conn_attach(struct conn *c, int fd)
{
    c->watch.fd = fd;
    c->watch.events = EPOLLONESHOT;
    int rc = evloop_add(c->v->env.loop, &c->watch);
    if (rc) {
        close(fd);
        c->watch.fd = -1;
    }
    return rc;
}

static void close_host_end(struct conn *c)
{
    if (c->watch.fd < 0)
        return;
    evloop_remove(c->v->env.loop, &c->watch);
    close(c->watch.fd);
    c->watch.fd = -1;
    event_cancel(&c->ready);
    free(c->ring);
    c->ring = NULL;
    c->head = c->tail = 0;
    c->waiting_in = false;
    c->eof = true;
}

void conn_free(struct conn *c)
{
    struct vsock *v = c->v;
    close_host_end(c);
    mux_leave_line(c);
    *c = (struct conn){.v = v, .watch = c->watch, .ready = c->ready};
    host_listen_again(v);
}

/* An RST follows. */
static void conn_reset(struct conn *c)
{
    close_host_end(c);
    c->state = CONN_DEAD;
    c->due = DUE_RST;
    c->v->count.resets++;
    mux_line_up(c);
}

void conn_owe(struct conn *c, unsigned due)
{
    if (c->unanswered)
        return;
    c->due |= due;
    mux_line_up(c);
}

/* Ask the loop for what would let us go on; nothing when only the guest can. */
void conn_arm(struct conn *c)
{
    if (c->watch.fd < 0)
        return;
    uint32_t events = (c->waiting_in ? (uint32_t)EPOLLIN : 0) |
                      (c->head != c->tail ? (uint32_t)EPOLLOUT : 0);
    /* Without any, only a hang-up is told: of interest when nobody reads that would see it. */
    if (events || c->state == CONN_REQUESTED || (c->eof && !(c->host_shut & VSOCK_SHUT_RCV)))
        evloop_modify(c->v->env.loop, &c->watch, events | EPOLLONESHOT);
}

static bool hung_up(const struct conn *c)
{
    struct pollfd p = {.fd = c->watch.fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* The host's end will not send (SEND) or not take (RCV) any more. */
static void tell_shutdown(struct conn *c, unsigned flags)
{
    if ((c->host_shut | flags) == c->host_shut)
        return;
    c->host_shut |= flags;
    conn_owe(c, DUE_SHUTDOWN);
    if (c->host_shut == VSOCK_SHUT_BOTH)
        close_host_end(c);
}

/* --- from the guest --- */

/* The guest has shut both directions and nothing of its bytes is left. */
static void finish(struct conn *c)
{
    if (c->unanswered)
        conn_free(c);
    else
        conn_reset(c);
}

/* All that the guest sent is with the host. */
static void drained(struct conn *c)
{
    if (c->guest_shut == VSOCK_SHUT_BOTH)
        finish(c);
    else if ((c->guest_shut & VSOCK_SHUT_SEND) && c->watch.fd >= 0)
        shutdown(c->watch.fd, SHUT_WR);
}

/* The host reads no more: what was still for it is lost. */
static void host_is_deaf(struct conn *c)
{
    c->forwarded += c->head - c->tail;
    c->tail = c->head;
    if (c->guest_shut == VSOCK_SHUT_BOTH)
        finish(c);
    else
        tell_shutdown(c, VSOCK_SHUT_RCV);
}

/* Bytes that the host took now: 0 when its socket is full, -1 when it is gone. */
static ssize_t send_some(struct conn *c, const void *bytes, size_t len)
{
    ssize_t n;
    do
        n = send(c->watch.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return 0;
    if (n > 0) {
        c->forwarded += (uint32_t)n;
        if (c->forwarded - c->told >= VSOCK_BUFFER / 2)
            conn_owe(c, DUE_CREDIT);
    }
    return n;
}

static void flush(struct conn *c)
{
    while (c->head != c->tail) {
        uint32_t at = c->tail % VSOCK_BUFFER, len = c->head - c->tail;
        if (len > VSOCK_BUFFER - at)
            len = VSOCK_BUFFER - at;
        ssize_t n = send_some(c, c->ring + at, len);
        if (n < 0)
            host_is_deaf(c);
        if (n <= 0)
            return;
        c->tail += (uint32_t)n;
    }
    drained(c);
}

static bool keep(struct conn *c, const uint8_t *bytes, size_t len)
{
    if (!c->ring)
        c->ring = malloc(VSOCK_BUFFER);
    for (size_t done = 0; c->ring && done < len;) {
        uint32_t at = c->head % VSOCK_BUFFER;
        size_t part = len - done < VSOCK_BUFFER - at ? len - done : VSOCK_BUFFER - at;
        memcpy(c->ring + at, bytes + done, part);
        c->head += (uint32_t)part;
        done += part;
    }
    return c->ring;
}

static void receive(struct conn *c, const struct iovec *iov, uint32_t len)
{
    if (len > VSOCK_BUFFER - (c->received - c->forwarded)) {
        c->v->count.overruns++;
        conn_reset(c);
        return;
    }
    c->received += len;
    for (; len; iov++) {
        size_t part = iov->iov_len < len ? iov->iov_len : len;
        const uint8_t *bytes = iov->iov_base;
        len -= (uint32_t)part;
        ssize_t n = c->head == c->tail ? send_some(c, bytes, part) : 0;
        if (n < 0) {
            c->forwarded = c->received;
            host_is_deaf(c);
            return;
        }
        if ((size_t)n < part && !keep(c, bytes + n, part - (size_t)n)) {
            log_warn("vsock: no host memory left for a connection, which ends");
            conn_reset(c);
            return;
        }
    }
    conn_arm(c);
}

static void guest_shuts(struct conn *c, unsigned flags)
{
    c->guest_shut |= flags & VSOCK_SHUT_BOTH;
    if ((c->guest_shut & VSOCK_SHUT_RCV) && c->watch.fd >= 0) {
        shutdown(c->watch.fd, SHUT_RD);
        c->due &= ~(DUE_DATA | DUE_ASK);
        c->waiting_in = false;
        c->eof = true;
    }
    if (c->head == c->tail)
        drained(c);
    conn_arm(c);
}

static void guest_resets(struct conn *c)
{
    if (c->state == CONN_OPEN && c->guest_shut == VSOCK_SHUT_BOTH && c->head != c->tail) {
        c->unanswered = true;
        c->due = 0;
        mux_leave_line(c);
    } else {
        conn_free(c);
    }
}

static void guest_accepts(struct conn *c)
{
    c->state = CONN_OPEN;
    if (!host_confirm(c)) {
        conn_reset(c);
        return;
    }
    conn_owe(c, DUE_DATA);
}

/* How many bytes the guest has room for. */
static uint32_t credit(const struct conn *c)
{
    uint32_t limit = c->peer_alloc < IN_FLIGHT_MAX ? c->peer_alloc : IN_FLIGHT_MAX;
    uint32_t in_flight = c->sent - c->peer_forwarded;
    return in_flight < limit ? limit - in_flight : 0;
}

static bool take_credit(struct conn *c, const struct vsock_header *h)
{
    if (c->sent - h->fwd_cnt > IN_FLIGHT_MAX)
        return false; /* more taken than was ever sent */
    c->peer_alloc = h->buf_alloc;
    c->peer_forwarded = h->fwd_cnt;
    if (c->state == CONN_OPEN && !c->eof && !c->waiting_in && credit(c)) {
        c->asked = false;
        conn_owe(c, DUE_DATA);
    }
    return true;
}

/* Does this packet fit the state of the connection? */
static bool fits(const struct conn *c, unsigned op)
{
    switch (op) {
    case VSOCK_OP_RESPONSE:
        return c->state == CONN_REQUESTED && !(c->due & DUE_REQUEST);
    case VSOCK_OP_RW:
        return c->state == CONN_OPEN && c->watch.fd >= 0 && !(c->guest_shut & VSOCK_SHUT_SEND) &&
               !(c->host_shut & VSOCK_SHUT_RCV);
    case VSOCK_OP_SHUTDOWN:
    case VSOCK_OP_CREDIT_UPDATE:
    case VSOCK_OP_CREDIT_REQUEST:
        return c->state == CONN_OPEN;
    default:
        return false;
    }
}

void conn_put(struct conn *c, const struct vsock_header *h, const struct iovec *iov)
{
    if (h->op == VSOCK_OP_RST) {
        guest_resets(c);
        return;
    }
    if (c->state == CONN_DEAD)
        return;
    if (!fits(c, h->op) || !take_credit(c, h)) {
        c->v->count.malformed += h->op != VSOCK_OP_RW; /* data may have crossed our SHUTDOWN */
        log_guest("vsock: packet %u does not fit the state of its connection, which ends", h->op);
        conn_reset(c);
        return;
    }
    if (h->op == VSOCK_OP_RESPONSE)
        guest_accepts(c);
    else if (h->op == VSOCK_OP_RW)
        receive(c, iov, h->len);
    else if (h->op == VSOCK_OP_SHUTDOWN)
        guest_shuts(c, h->flags);
    else if (h->op == VSOCK_OP_CREDIT_REQUEST)
        conn_owe(c, DUE_CREDIT);
}

/* --- to the guest --- */

/* The host's socket has ended: half of it, or all. */
static void host_ended(struct conn *c)
{
    c->eof = true;
    tell_shutdown(c, VSOCK_SHUT_SEND | (hung_up(c) ? VSOCK_SHUT_RCV : 0));
    conn_arm(c);
}

/* Read at most `room` bytes into `iov`: how many; 0 when no packet comes of it. */
static uint32_t read_host(struct conn *c, const struct iovec *iov, unsigned niov)
{
    struct iovec part[8];
    uint32_t room = credit(c), left = room;
    unsigned n = 0;
    for (; n < niov && n < 8 && left; n++) {
        part[n] = iov[n];
        if (part[n].iov_len > left)
            part[n].iov_len = left;
        left -= (uint32_t)part[n].iov_len;
    }
    c->due &= ~DUE_DATA;
    if (!room) {
        if (!c->asked)
            c->due |= DUE_ASK;
        c->asked = true;
        return 0;
    }
    struct msghdr msg = {.msg_iov = part, .msg_iovlen = n};
    ssize_t got;
    do
        got = n ? recvmsg(c->watch.fd, &msg, MSG_DONTWAIT) : 0;
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        c->due |= DUE_DATA;
        return (uint32_t)got;
    }
    if (got < 0 && errno == EAGAIN) {
        c->waiting_in = true;
        conn_arm(c);
    } else if (got < 0) {
        conn_reset(c);
    } else if (n) {
        host_ended(c);
    }
    return 0;
}

static const struct {
    unsigned due;
    enum vsock_op op;
} packets[] = {
    {DUE_RST, VSOCK_OP_RST},           {DUE_REQUEST, VSOCK_OP_REQUEST},
    {DUE_RESPONSE, VSOCK_OP_RESPONSE}, {DUE_SHUTDOWN, VSOCK_OP_SHUTDOWN},
    {DUE_ASK, VSOCK_OP_CREDIT_REQUEST}, {DUE_CREDIT, VSOCK_OP_CREDIT_UPDATE},
};

/* The next packet without payload, if one is due. */
static bool next_control(struct conn *c, struct vsock_header *h)
{
    for (unsigned i = 0; i < sizeof packets / sizeof *packets; i++) {
        if (!(c->due & packets[i].due))
            continue;
        c->due &= ~packets[i].due;
        h->op = (uint16_t)packets[i].op;
        h->flags = h->op == VSOCK_OP_SHUTDOWN ? c->host_shut : 0;
        return true;
    }
    return false;
}

bool conn_take(struct conn *c, struct vsock_header *h, const struct iovec *iov, unsigned niov)
{
    *h = (struct vsock_header){
        .src_cid = VSOCK_CID_HOST,
        .dst_cid = c->v->guest_cid,
        .src_port = c->host_port,
        .dst_port = c->guest_port,
        .type = VSOCK_TYPE_STREAM,
        .buf_alloc = VSOCK_BUFFER,
        .fwd_cnt = c->forwarded,
    };
    bool got = next_control(c, h);
    if (!got && (c->due & DUE_DATA) && c->state == CONN_OPEN && !c->eof) {
        h->op = VSOCK_OP_RW;
        h->len = read_host(c, iov, niov);
        c->sent += h->len;
        got = h->len || next_control(c, h);
    } else if (!got) {
        c->due = 0;
    }
    if (got && h->op == VSOCK_OP_RST)
        conn_free(c);
    else if (got)
        c->told = h->fwd_cnt;
    return got;
}

/* --- from the event loop --- */

static void conn_ready(void *self)
{
    struct conn *c = self;
    struct vsock *v = c->v;
    if (c->watch.fd < 0)
        return;
    if (c->state == CONN_HANDSHAKE) {
        host_handshake(c);
    } else if (c->state == CONN_REQUESTED) {
        if (hung_up(c))
            conn_reset(c);
    } else if (c->state == CONN_OPEN) {
        if (c->waiting_in)
            conn_owe(c, DUE_DATA);
        c->waiting_in = false;
        if (c->head != c->tail)
            flush(c);
        if (c->state == CONN_OPEN && c->watch.fd >= 0 && c->eof && hung_up(c))
            host_is_deaf(c);
        conn_arm(c);
    }
    v->client.waiting(v->client.self);
}
