// SPDX-License-Identifier: MIT
//
// Which packet belongs to which connection, and whose turn it is to send one. See vsock.h.
// What belongs to nobody is answered by an RST. These wait in a small array; while it is full no
// packet of the guest's is looked at, so a guest that takes no answers stops only itself.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/vsock/priv.h"
#include "log.h"

static uint64_t key_of(uint32_t host_port, uint32_t guest_port)
{
    return (uint64_t)host_port << 32 | guest_port;
}

struct conn *mux_find(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
    uint64_t key = key_of(host_port, guest_port);
    for (unsigned i = 0; i < VSOCK_CONNS; i++) {
        struct conn *c = &v->conn[i];
        if (v->key[i] == key && c->state >= CONN_REQUESTED && !c->unanswered)
            return c;
    }
    return NULL;
}

void mux_set_ports(struct conn *c, uint32_t host_port, uint32_t guest_port)
{
    c->host_port = host_port;
    c->guest_port = guest_port;
    c->v->key[c - c->v->conn] = key_of(host_port, guest_port);
}

/* --- the line --- */

void mux_line_up(struct conn *c)
{
    struct vsock *v = c->v;
    if (c->in_line)
        return;
    c->in_line = true;
    c->next = NULL;
    *v->last = c;
    v->last = &c->next;
}

void mux_leave_line(struct conn *c)
{
    struct vsock *v = c->v;
    for (struct conn **p = &v->first; c->in_line && *p; p = &(*p)->next) {
        if (*p != c)
            continue;
        *p = c->next;
        if (v->last == &c->next)
            v->last = p;
        c->in_line = false;
        break;
    }
}

/* --- connections and answers to nobody --- */

static void add_stray(struct vsock *v, uint64_t from_cid, uint32_t host_port, uint32_t guest_port,
                      uint16_t type)
{
    if (v->nstrays < STRAYS)
        v->stray[v->nstrays++] = (struct stray){from_cid, host_port, guest_port, type};
}

/*
 * When all are in use: one whose host end is gone and that only waits for the guest to notice, or
 * one that has not said yet where it wants to go.
 */
static struct conn *victim(struct vsock *v)
{
    struct conn *silent = NULL;
    for (unsigned i = 0; i < VSOCK_CONNS; i++) {
        struct conn *c = &v->conn[i];
        if (c->state == CONN_OPEN && c->watch.fd < 0 && v->nstrays < STRAYS) {
            add_stray(v, VSOCK_CID_HOST, c->host_port, c->guest_port, VSOCK_TYPE_STREAM);
            return c;
        }
        if (c->state == CONN_HANDSHAKE)
            silent = c;
    }
    return silent;
}

struct conn *mux_new(struct vsock *v)
{
    for (unsigned i = 0; i < VSOCK_CONNS; i++) {
        if (v->conn[i].state == CONN_FREE)
            return &v->conn[i];
    }
    struct conn *c = victim(v);
    if (c)
        conn_free(c);
    return c;
}

static void connection_wanted(struct vsock *v, const struct vsock_header *h)
{
    struct conn *c = host_connect(v, h->dst_port);
    if (!c) {
        v->count.refused++;
        add_stray(v, h->dst_cid, h->dst_port, h->src_port, h->type);
        return;
    }
    v->count.connected++;
    c->state = CONN_OPEN;
    mux_set_ports(c, h->dst_port, h->src_port);
    c->peer_alloc = h->buf_alloc;
    c->peer_forwarded = h->fwd_cnt;
    conn_owe(c, DUE_RESPONSE | DUE_DATA);
    conn_arm(c);
}

/* --- packets --- */

bool vsock_can_put(const struct vsock *v)
{
    return v->nstrays < STRAYS / 2; /* the other half is for connections that make room */
}

void vsock_put(struct vsock *v, const struct vsock_header *h, const struct iovec *iov)
{
    if (h->src_cid != v->guest_cid) {
        v->count.malformed++;
        log_guest("vsock: a packet from CID %llu, which is not the guest's",
                  (unsigned long long)h->src_cid);
        return;
    }
    struct conn *c = NULL;
    if (h->type == VSOCK_TYPE_STREAM && h->dst_cid == VSOCK_CID_HOST) {
        c = mux_find(v, h->dst_port, h->src_port);
        if (!c && h->op == VSOCK_OP_REQUEST) {
            connection_wanted(v, h);
            return;
        }
    }
    if (c)
        conn_put(c, h, iov);
    else if (h->op != VSOCK_OP_RST)
        add_stray(v, h->dst_cid, h->dst_port, h->src_port, h->type);
}

bool vsock_waiting(const struct vsock *v)
{
    return v->nstrays || v->first;
}

static void take_stray(struct vsock *v, struct vsock_header *h)
{
    const struct stray s = v->stray[0];
    v->nstrays--;
    memmove(v->stray, v->stray + 1, v->nstrays * sizeof *v->stray);
    *h = (struct vsock_header){
        .src_cid = s.from_cid,
        .dst_cid = v->guest_cid,
        .src_port = s.host_port,
        .dst_port = s.guest_port,
        .type = s.type,
        .op = VSOCK_OP_RST,
    };
}

bool vsock_take(struct vsock *v, struct vsock_header *h, const struct iovec *iov, unsigned niov)
{
    if (v->nstrays) {
        take_stray(v, h);
        return true;
    }
    while (v->first) {
        struct conn *c = v->first;
        mux_leave_line(c);
        bool got = conn_take(c, h, iov, niov);
        if (c->due)
            mux_line_up(c); /* behind the others */
        if (got)
            return true;
    }
    return false;
}

void vsock_drop_all(struct vsock *v)
{
    for (unsigned i = 0; i < VSOCK_CONNS; i++) {
        if (v->conn[i].state != CONN_FREE)
            conn_free(&v->conn[i]);
    }
    v->nstrays = 0;
}

struct vsock_counters vsock_count(const struct vsock *v)
{
    return v->count;
}

unsigned vsock_open_connections(const struct vsock *v)
{
    unsigned n = 0;
    for (unsigned i = 0; i < VSOCK_CONNS; i++)
        n += v->conn[i].state != CONN_FREE;
    return n;
}

/* --- life --- */

static bool nobody_runs(void *self)
{
    (void)self;
    return false;
}

static void nobody_waits(void *self)
{
    (void)self;
}

struct vsock *vsock_open(const char *path, const struct vsock_env *env, struct err *err)
{
    struct vsock *v = calloc(1, sizeof *v);
    if (!v) {
        err_set(err, ENOMEM, "-vsock: no memory for connections");
        return NULL;
    }
    v->env = *env;
    v->client = (struct vsock_client){nobody_waits, nobody_runs, NULL};
    v->guest_cid = VSOCK_CID_FIRST;
    v->next_port = HOST_PORT_FIRST;
    v->last = &v->first;
    v->listener.fd = -1;
    event_init(&v->accept_it, env->events, host_accept, v);
    for (unsigned i = 0; i < VSOCK_CONNS; i++)
        conn_init(&v->conn[i], v);
    int rc;
    size_t len = strlen(path);
    if (len > VSOCK_PATH_MAX) {
        rc = err_set(err, ENAMETOOLONG, "-vsock: the path '%s' is too long: at most %d bytes", path,
                     VSOCK_PATH_MAX);
    } else {
        v->addr.sun_family = AF_UNIX;
        memcpy(v->addr.sun_path, path, len + 1);
        rc = host_listen(v, err);
    }
    if (!rc)
        return v;
    vsock_close(v);
    return NULL;
}

void vsock_attach(struct vsock *v, const struct vsock_client *client, uint32_t guest_cid)
{
    v->client = *client;
    v->guest_cid = guest_cid;
}

void vsock_close(struct vsock *v)
{
    if (!v)
        return;
    vsock_drop_all(v);
    host_end(v);
    free(v);
}
