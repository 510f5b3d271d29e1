// SPDX-License-Identifier: MIT
//
// See vsock_chaos.h. The first byte of a step says what is done, the next ones with what.
#include "tests/lib/vsock_chaos.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/vsock_rig.h"
#include "util.h"

#define STEPS 80
#define CLIENTS 8
#define HOST_PORT 0x40000000u

static struct vsock_rig r;
static struct vsock_chaos_reach reach;
static struct vsock_counters last;
static uint64_t last_breakdowns;
static int client[CLIENTS], listener;
static struct vsock_header seen[8]; /* the last packets that the guest got */
static unsigned nseen;
static bool meddled; /* descriptors are not what the driver made them */
static uint8_t bytes[70000];
static const uint8_t *at, *end;

static unsigned next8(void)
{
    return at < end ? *at++ : 0;
}

static unsigned next16(void)
{
    unsigned low = next8();
    return low | next8() << 8;
}

/* --- the guest --- */

static void settle(void)
{
    vr_settle(&r);
    ck_assert_uint_le(vsock_open_connections(r.sock), VSOCK_CONNS);
    for (unsigned q = 0; q < VR_QUEUES; q++)
        ck_assert_uint_le(r.vd->vq[q].in_flight, VR_SIZE);
}

static void count_and_restart(void)
{
    struct vsock_counters now = vsock_count(r.sock);
    reach.accepted += now.accepted - last.accepted;
    reach.connected += now.connected - last.connected;
    reach.resets += now.resets - last.resets;
    reach.overruns += now.overruns - last.overruns;
    reach.breakdowns += r.vd->breakdowns - last_breakdowns;
    last = now;
    last_breakdowns = r.vd->breakdowns;
    vr_start(&r);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
    for (unsigned q = 0; q < VR_QUEUES; q++)
        ck_assert_uint_eq(r.vd->vq[q].in_flight, 0);
    nseen = 0;
    meddled = false;
}

static void take(void)
{
    struct vr_packet p;
    if (!virtio_running(r.vd))
        return;
    for (unsigned n = 1 + next8() % 16; n && vr_take(&r, &p); n--) {
        if (meddled)
            continue; /* the buffer may have been elsewhere */
        ck_assert(!p.odd);
        ck_assert_uint_eq(p.h.dst_cid, VR_CID);
        ck_assert_uint_ge(p.h.op, VSOCK_OP_REQUEST);
        ck_assert_uint_le(p.h.op, VSOCK_OP_CREDIT_REQUEST);
        reach.to_guest += p.h.op == VSOCK_OP_RW;
        seen[nseen++ % ARRAY_LEN(seen)] = p.h;
    }
}

static void offer(void)
{
    vr_offer_rx(&r, 1 + next8() % 16);
}

/* Of a connection that there is, or was, or of any ports. */
static struct vsock_header some_header(unsigned op)
{
    unsigned kind = next8();
    struct vsock_header h = vr_header(op, kind % 4, kind & 0x40 ? 77 : HOST_PORT + kind % 8);
    if (nseen && kind < 200) {
        const struct vsock_header *s = &seen[kind % (nseen < 8 ? nseen : 8)];
        h.src_port = s->dst_port;
        h.dst_port = s->src_port;
        h.fwd_cnt = kind & 0x20 ? next16() : 0;
    }
    if (kind & 0x10)
        h.buf_alloc = kind & 8 ? UINT32_MAX : next8();
    if (kind >= 250)
        h.src_cid = next8();
    else if (kind >= 245)
        h.dst_cid = next8();
    else if (kind >= 240)
        h.type = (uint16_t)next8();
    return h;
}

static void packet(void)
{
    struct vsock_header h = some_header(next8() % 10);
    h.flags = next8();
    h.len = h.op == VSOCK_OP_RW ? next16() : 0;
    uint32_t have = h.len;
    unsigned lie = next8();
    if (lie > 250)
        h.len = UINT32_MAX - lie;
    else if (lie > 245)
        have /= 2;
    if (virtio_running(r.vd))
        vr_put_raw(&r, &h, bytes, have);
}

static void request(void)
{
    if (virtio_running(r.vd))
        vr_put(&r, VSOCK_OP_REQUEST, next8() % 32, 77, NULL, 0);
}

/* What a well-behaved guest would do: agree to what was asked last. */
static void agree(void)
{
    if (!nseen || !virtio_running(r.vd))
        return;
    const struct vsock_header *s = &seen[(nseen - 1) % ARRAY_LEN(seen)];
    if (s->op == VSOCK_OP_REQUEST)
        vr_put(&r, VSOCK_OP_RESPONSE, s->dst_port, s->src_port, NULL, 0);
    else
        vr_put(&r, VSOCK_OP_RW, s->dst_port, s->src_port, bytes, next16());
}

static void any_descriptor(void)
{
    struct ring *ring = &r.ring[next8() % VR_QUEUES];
    unsigned i = next8() % VR_SIZE;
    gpa_t where = next8() < 200 ? VR_RX(next8() % 64) : RIG_HOLE_START - next8();
    uint32_t len = next8() < 250 ? next16() : UINT32_MAX;
    meddled = true;
    ring_desc(ring, i, where, len, (uint16_t)(next8() % 8), (uint16_t)(next8() % (VR_SIZE + 1)));
    if (next8() < 32)
        ring_offer(ring, (uint16_t)i);
    port_kick(&r.port, next8() % 4);
}

static void lose(void)
{
    virtio_vsock_lost(r.vd);
}

/* --- the host --- */

static int *some_client(void)
{
    return &client[next8() % CLIENTS];
}

static void client_comes(void)
{
    int *fd = some_client();
    char text[40];
    unsigned kind = next8();
    if (*fd >= 0)
        close(*fd);
    *fd = vr_client(&r);
    int len = snprintf(text, sizeof text, "CONNECT %u\n", next8() % 4);
    if (kind > 240) {
        len = (int)(kind - 240);
        for (int i = 0; i < len; i++)
            text[i] = (char)next8();
    } else if (kind > 220) {
        len = (int)kind % 9;
    }
    ck_assert_int_eq(send(*fd, text, (size_t)len, MSG_NOSIGNAL), len);
    settle();
}

static void client_comes_from_guest(void)
{
    int *fd = some_client(), got = accept(listener, NULL, NULL);
    if (got < 0)
        return;
    if (*fd >= 0)
        close(*fd);
    *fd = got;
}

static void client_talks(void)
{
    int fd = *some_client();
    size_t len = next16();
    if (fd >= 0)
        send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_hears(void)
{
    int fd = *some_client();
    size_t len = next16();
    ssize_t n = fd >= 0 ? recv(fd, bytes, len, MSG_DONTWAIT) : 0;
    reach.to_host += n > 0 ? (uint64_t)n : 0;
}

static void client_shuts(void)
{
    int fd = *some_client();
    if (fd >= 0)
        shutdown(fd, (int)(next8() % 3));
}

static void client_leaves(void)
{
    int *fd = some_client();
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- scripts --- */

void vsock_chaos_init(void)
{
    vr_init(&r);
    listener = vr_listen(&r, 77);
    for (unsigned i = 0; i < CLIENTS; i++)
        client[i] = -1;
}

void vsock_chaos_fini(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (client[i] >= 0)
            close(client[i]);
    }
    close(listener);
    vr_fini(&r);
}

/* Connections of the guest's that nobody has accepted yet: after a reset the other end of each is closed. */
static void leave_backlog(void)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            ;
        ck_assert_msg(send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE, "a connection outlived its run");
    }
}

void vsock_chaos_run(const uint8_t *script, size_t size)
{
    static void (*const steps[])(void) = {
        take,         offer,        packet,       request, agree,        client_comes, client_comes_from_guest,
        client_talks, client_hears, client_shuts, take,    client_leaves, agree,        packet,
        agree,        client_comes, take,         request, client_comes_from_guest, agree,
        any_descriptor, client_talks, agree,      take,    lose,         client_hears,
    };
    at = script;
    end = script + size;
    count_and_restart();
    vr_offer_rx(&r, 16);
    for (unsigned n = 0; n < STEPS && at < end; n++) {
        unsigned step = next8();
        if (step == 255 || !virtio_running(r.vd)) {
            count_and_restart();
            vr_offer_rx(&r, 16);
        } else {
            steps[step % ARRAY_LEN(steps)]();
        }
        if (step & 0x80)
            settle();
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (client[i] >= 0)
            close(client[i]);
        client[i] = -1;
    }
    settle();
    count_and_restart();
    leave_backlog();
}

struct vsock_chaos_reach vsock_chaos_reach(void)
{
    return reach;
}
