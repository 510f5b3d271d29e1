// SPDX-License-Identifier: MIT
//
// Virtio sockets: the guest's driver on one side, host programs on the other.
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/vsock_rig.h"
#include "util.h"

#define HOST_PORT 0x40000000u

static struct vsock_rig r;
static struct vr_packet p;

static void setup(void)
{
    vr_init(&r);
    vr_offer_rx(&r, VR_SIZE);
}

static void teardown(void)
{
    vr_fini(&r);
}

static void expect(unsigned op, uint32_t guest_port, uint32_t host_port)
{
    ck_assert(vr_take(&r, &p));
    ck_assert(!p.odd);
    ck_assert_uint_eq(p.h.op, op);
    ck_assert_uint_eq(p.h.src_cid, VSOCK_CID_HOST);
    ck_assert_uint_eq(p.h.dst_cid, VR_CID);
    ck_assert_uint_eq(p.h.src_port, host_port);
    ck_assert_uint_eq(p.h.dst_port, guest_port);
    ck_assert_uint_eq(p.h.type, VSOCK_TYPE_STREAM);
}

static void expect_nothing(void)
{
    ck_assert(!vr_take(&r, &p));
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    vr_settle(&r);
}

static void hear(int fd, const char *text)
{
    char buf[256];
    ssize_t n = recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT);
    ck_assert_int_ge(n, 0);
    buf[n] = 0;
    ck_assert_str_eq(buf, text);
}

static void hear_nothing(int fd)
{
    char c;
    ck_assert_int_eq(recv(fd, &c, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

/* A connection that the host began, to port 80 of the guest. */
static int host_begins(void)
{
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    vr_put(&r, VSOCK_OP_RESPONSE, 80, HOST_PORT, NULL, 0);
    hear(fd, "OK 1073741824\n");
    return fd;
}

/* One that the guest began, from its port `from` to port 77 of the host. */
static int guest_begins(int listener, uint32_t from)
{
    vr_put(&r, VSOCK_OP_REQUEST, from, 77, NULL, 0);
    expect(VSOCK_OP_RESPONSE, from, 77);
    ck_assert_uint_eq(p.h.buf_alloc, VSOCK_BUFFER);
    int fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(vsock_tells_the_guest_its_cid)
{
    ck_assert_uint_eq(port_config(&r.port, 0, 4), VR_CID);
    ck_assert_uint_eq(port_config(&r.port, 4, 4), 0);
}
END_TEST

/* The rig and the device share the code for it. */
START_TEST(vsock_header_lies_as_specified)
{
    static const uint8_t want[VSOCK_HEADER_BYTES] = {
        1, 0, 0, 0, 0, 0, 0, 0x81, 2, 0, 0, 0, 0, 0, 0, 0x82, 3, 0, 0, 0x83, 4, 0, 0, 0x84, 5, 0, 0, 0x85,
        6, 0x86, 7, 0x87, 8, 0, 0, 0x88, 9, 0, 0, 0x89, 10, 0, 0, 0x8a,
    };
    uint8_t bytes[VSOCK_HEADER_BYTES];
    const struct vsock_header h = vsock_header_load(want);
    ck_assert_uint_eq(h.src_cid, 0x8100000000000001);
    ck_assert_uint_eq(h.dst_cid, 0x8200000000000002);
    ck_assert_uint_eq(h.src_port, 0x83000003);
    ck_assert_uint_eq(h.dst_port, 0x84000004);
    ck_assert_uint_eq(h.len, 0x85000005);
    ck_assert_uint_eq(h.type, 0x8606);
    ck_assert_uint_eq(h.op, 0x8707);
    ck_assert_uint_eq(h.flags, 0x88000008);
    ck_assert_uint_eq(h.buf_alloc, 0x89000009);
    ck_assert_uint_eq(h.fwd_cnt, 0x8a00000a);
    vsock_header_store(bytes, &h);
    ck_assert_mem_eq(bytes, want, sizeof want);
}
END_TEST

START_TEST(vsock_name_has_mode_0600)
{
    struct stat st;
    ck_assert_int_eq(stat(r.path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(vsock_host_begins_and_bytes_go_both_ways)
{
    int fd = vr_client(&r);
    say(fd, "CONN");
    expect_nothing();
    say(fd, "ECT 80\nearly");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    expect_nothing();
    hear_nothing(fd);
    vr_put(&r, VSOCK_OP_RESPONSE, 80, HOST_PORT, NULL, 0);
    hear(fd, "OK 1073741824\n");
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    ck_assert_uint_eq(p.len, 5);
    ck_assert_mem_eq(p.data, "early", 5);
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, "answer", 6);
    hear(fd, "answer");
    say(fd, "more");
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    ck_assert_mem_eq(p.data, "more", 4);
    ck_assert_uint_eq(p.h.fwd_cnt, 6);
    close(fd);
}
END_TEST

START_TEST(vsock_host_ports_differ)
{
    int a = vr_client(&r), b = vr_client(&r);
    say(a, "CONNECT 80\n");
    say(b, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT + 1);
    close(a);
    close(b);
}
END_TEST

START_TEST(vsock_handshakes_without_sense_end)
{
    static const char *const bad[] = {"HELLO\n", "CONNECT \n", "CONNECT 4294967296\n", "CONNECT -1\n", "\n",
                                      "CONNECT 1 \n", "connect 1\n", "CONNECT 000000000000000000000000000001\n"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        int fd = vr_client(&r);
        say(fd, bad[i]);
        expect_nothing();
        char c;
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
        ck_assert_msg(n == 0 || (n < 0 && errno == ECONNRESET), "%u", i);
        close(fd);
    }
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
    int fd = vr_client(&r);
    say(fd, "CONNECT 4294967295\r\n");
    expect(VSOCK_OP_REQUEST, UINT32_MAX, HOST_PORT);
    close(fd);
}
END_TEST

START_TEST(vsock_without_a_driver_host_is_turned_away)
{
    port_set_status(&r.port, 0);
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    hear(fd, "");
    close(fd);
}
END_TEST

START_TEST(vsock_guest_refuses)
{
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    vr_put(&r, VSOCK_OP_RST, 80, HOST_PORT, NULL, 0);
    hear(fd, "");
    expect_nothing();
    close(fd);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

START_TEST(vsock_client_leaves_before_the_guest_answers)
{
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    close(fd);
    expect(VSOCK_OP_RST, 80, HOST_PORT);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

START_TEST(vsock_guest_begins)
{
    int listener = vr_listen(&r, 77);
    int fd = guest_begins(listener, 5000);
    vr_put(&r, VSOCK_OP_RW, 5000, 77, "hello", 5);
    hear(fd, "hello");
    say(fd, "there");
    expect(VSOCK_OP_RW, 5000, 77);
    ck_assert_mem_eq(p.data, "there", 5);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(vsock_guest_finds_nobody)
{
    vr_put(&r, VSOCK_OP_REQUEST, 5000, 78, NULL, 0);
    expect(VSOCK_OP_RST, 5000, 78);
    ck_assert_uint_eq(vsock_count(r.sock).refused, 1);
}
END_TEST

START_TEST(vsock_host_shuts_half_then_all)
{
    int fd = host_begins();
    say(fd, "last");
    shutdown(fd, SHUT_WR);
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    expect(VSOCK_OP_SHUTDOWN, 80, HOST_PORT);
    ck_assert_uint_eq(p.h.flags, VSOCK_SHUT_SEND);
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, "still", 5);
    hear(fd, "still");
    close(fd);
    expect(VSOCK_OP_SHUTDOWN, 80, HOST_PORT);
    ck_assert_uint_eq(p.h.flags, VSOCK_SHUT_BOTH);
    vr_put(&r, VSOCK_OP_RST, 80, HOST_PORT, NULL, 0);
    expect_nothing();
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

START_TEST(vsock_host_leaves_at_once)
{
    int fd = host_begins();
    say(fd, "last");
    close(fd);
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    ck_assert_uint_eq(p.len, 4);
    expect(VSOCK_OP_SHUTDOWN, 80, HOST_PORT);
    ck_assert_uint_eq(p.h.flags, VSOCK_SHUT_BOTH);
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, "x", 1);
    expect(VSOCK_OP_RST, 80, HOST_PORT);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

static void guest_shuts(unsigned flags)
{
    struct vsock_header h = vr_header(VSOCK_OP_SHUTDOWN, 80, HOST_PORT);
    h.flags = flags;
    vr_put_raw(&r, &h, NULL, 0);
}

START_TEST(vsock_guest_shuts_half_then_all)
{
    int fd = host_begins();
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, "last", 4);
    guest_shuts(VSOCK_SHUT_SEND);
    hear(fd, "last");
    hear(fd, "");
    say(fd, "back");
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    guest_shuts(VSOCK_SHUT_RCV);
    expect(VSOCK_OP_RST, 80, HOST_PORT);
    ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    close(fd);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

START_TEST(vsock_guest_that_only_reads_no_more)
{
    int fd = host_begins();
    guest_shuts(VSOCK_SHUT_RCV);
    ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, "out", 3);
    hear(fd, "out");
    expect_nothing();
    close(fd);
    expect(VSOCK_OP_SHUTDOWN, 80, HOST_PORT);
    ck_assert(p.h.flags & VSOCK_SHUT_RCV);
}
END_TEST

START_TEST(vsock_guest_bytes_keep_to_the_credit)
{
    static uint8_t bytes[VSOCK_BUFFER], got[VSOCK_BUFFER * 16];
    int fd = host_begins();
    uint32_t sent = 0, fwd = 0;
    /* The host reads nothing: its socket fills, then our buffer. */
    for (unsigned i = 0; i < 1000; i++) {
        if (sent - fwd == VSOCK_BUFFER)
            break;
        for (unsigned k = 0; k < 4096; k++)
            bytes[k] = (uint8_t)(sent + k) ^ (uint8_t)((sent + k) >> 8);
        vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, bytes, 4096);
        sent += 4096;
        while (vr_take(&r, &p)) {
            ck_assert_uint_eq(p.h.op, VSOCK_OP_CREDIT_UPDATE);
            fwd = p.h.fwd_cnt;
        }
    }
    vr_put(&r, VSOCK_OP_CREDIT_REQUEST, 80, HOST_PORT, NULL, 0);
    expect(VSOCK_OP_CREDIT_UPDATE, 80, HOST_PORT);
    fwd = p.h.fwd_cnt;
    uint32_t room = VSOCK_BUFFER - (sent - fwd);
    for (; room; room -= 4096, sent += 4096) {
        for (unsigned k = 0; k < 4096; k++)
            bytes[k] = (uint8_t)(sent + k) ^ (uint8_t)((sent + k) >> 8);
        vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, bytes, 4096);
    }
    ck_assert_uint_lt(sent, sizeof got);
    /* Now the host reads: every byte, in order, and the guest hears of the room. */
    uint32_t n = 0;
    for (ssize_t part; n < sent; n += (uint32_t)part) {
        vr_settle(&r);
        part = recv(fd, got + n, sizeof got - n, MSG_DONTWAIT);
        ck_assert_int_gt(part, 0);
    }
    for (uint32_t k = 0; k < n; k++)
        ck_assert_uint_eq(got[k], (uint8_t)((uint8_t)k ^ (uint8_t)(k >> 8)));
    bool told = false;
    while (vr_take(&r, &p)) {
        told |= p.h.op == VSOCK_OP_CREDIT_UPDATE;
        fwd = p.h.fwd_cnt;
    }
    ck_assert(told);
    ck_assert_uint_gt(VSOCK_BUFFER - (sent - fwd), VSOCK_BUFFER / 2);
    close(fd);
}
END_TEST

START_TEST(vsock_overrun_ends_the_connection)
{
    static uint8_t bytes[VSOCK_BUFFER];
    int fd = host_begins();
    for (unsigned i = 0; i < 100 && !vsock_count(r.sock).overruns; i++)
        vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, bytes, VSOCK_BUFFER);
    ck_assert_uint_eq(vsock_count(r.sock).overruns, 1);
    do
        ck_assert(vr_take(&r, &p));
    while (p.h.op == VSOCK_OP_CREDIT_UPDATE);
    ck_assert_uint_eq(p.h.op, VSOCK_OP_RST);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
    ck_assert_uint_eq(r.vd->breakdowns, 0);
    close(fd);
}
END_TEST

START_TEST(vsock_slow_host_still_gets_what_a_closed_guest_sent)
{
    static uint8_t bytes[4096];
    int fd = host_begins();
    uint32_t sent = 0, got = 0;
    for (unsigned i = 0; i < 100; i++) {
        vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT, bytes, sizeof bytes);
        sent += sizeof bytes;
        if (vr_take(&r, &p) && p.h.op == VSOCK_OP_RST)
            ck_abort_msg("no credit for %u", sent);
        vr_put(&r, VSOCK_OP_CREDIT_REQUEST, 80, HOST_PORT, NULL, 0);
        expect(VSOCK_OP_CREDIT_UPDATE, 80, HOST_PORT);
        if (sent - p.h.fwd_cnt > VSOCK_BUFFER - sizeof bytes)
            break;
    }
    guest_shuts(VSOCK_SHUT_BOTH);
    expect_nothing();
    if (_i) /* the guest does not wait for the answer */
        vr_put(&r, VSOCK_OP_RST, 80, HOST_PORT, NULL, 0);
    for (ssize_t n = 1; n; got += (uint32_t)n) {
        vr_settle(&r);
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        ck_assert_int_ge(n, 0);
    }
    ck_assert_uint_eq(got, sent);
    if (!_i)
        expect(VSOCK_OP_RST, 80, HOST_PORT);
    expect_nothing();
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
    close(fd);
}
END_TEST

START_TEST(vsock_host_bytes_keep_to_the_guests_credit)
{
    static char text[1000];
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    struct vsock_header h = vr_header(VSOCK_OP_RESPONSE, 80, HOST_PORT);
    h.buf_alloc = 100;
    vr_put_raw(&r, &h, NULL, 0);
    ck_assert_int_eq(write(fd, text, sizeof text), sizeof text);
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    ck_assert_uint_eq(p.len, 100);
    expect(VSOCK_OP_CREDIT_REQUEST, 80, HOST_PORT);
    expect_nothing();
    h.op = VSOCK_OP_CREDIT_UPDATE;
    vr_put_raw(&r, &h, NULL, 0); /* none yet: we do not ask for ever */
    expect_nothing();
    h.fwd_cnt = 60;
    vr_put_raw(&r, &h, NULL, 0);
    expect(VSOCK_OP_RW, 80, HOST_PORT);
    ck_assert_uint_eq(p.len, 60);
    h.fwd_cnt = 161; /* more than was sent */
    vr_put_raw(&r, &h, NULL, 0);
    do
        ck_assert(vr_take(&r, &p));
    while (p.h.op == VSOCK_OP_CREDIT_REQUEST);
    ck_assert_uint_eq(p.h.op, VSOCK_OP_RST);
    close(fd);
}
END_TEST

START_TEST(vsock_bytes_wait_for_receive_buffers)
{
    vr_start(&r);
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    ck_assert_uint_eq(ring_used_idx(&r.ring[VR_Q_RX]), 0);
    vr_offer_rx(&r, 1);
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    close(fd);
}
END_TEST

START_TEST(vsock_packets_for_nobody_are_answered_by_rst)
{
    static const unsigned ops[] = {VSOCK_OP_RESPONSE, VSOCK_OP_RW, VSOCK_OP_SHUTDOWN, VSOCK_OP_CREDIT_REQUEST, 0, 8,
                                   0xffff};
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        vr_put(&r, ops[i], 1, 2, NULL, 0);
        expect(VSOCK_OP_RST, 1, 2);
    }
    vr_put(&r, VSOCK_OP_RST, 1, 2, NULL, 0);
    expect_nothing();
    struct vsock_header h = vr_header(VSOCK_OP_REQUEST, 1, 77);
    h.dst_cid = 9;
    vr_put_raw(&r, &h, NULL, 0);
    ck_assert(vr_take(&r, &p));
    ck_assert_uint_eq(p.h.op, VSOCK_OP_RST);
    ck_assert_uint_eq(p.h.src_cid, 9);
    h = vr_header(VSOCK_OP_REQUEST, 1, 77);
    h.type = 2;
    vr_put_raw(&r, &h, NULL, 0);
    ck_assert(vr_take(&r, &p));
    ck_assert_uint_eq(p.h.op, VSOCK_OP_RST);
    ck_assert_uint_eq(p.h.type, 2);
    h = vr_header(VSOCK_OP_REQUEST, 1, 77);
    h.src_cid |= 1ull << 32;
    vr_put_raw(&r, &h, NULL, 0);
    expect_nothing();
}
END_TEST

START_TEST(vsock_packets_that_do_not_fit_end_the_connection)
{
    static const unsigned ops[] = {VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, 0, 99};
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        int fd = vr_client(&r);
        say(fd, "CONNECT 80\n");
        expect(VSOCK_OP_REQUEST, 80, HOST_PORT + i);
        vr_put(&r, VSOCK_OP_RESPONSE, 80, HOST_PORT + i, NULL, 0);
        vr_put(&r, ops[i], 80, HOST_PORT + i, NULL, 0);
        expect(VSOCK_OP_RST, 80, HOST_PORT + i);
        close(fd);
    }
    int fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    vr_put(&r, VSOCK_OP_RW, 80, HOST_PORT + 4, "early", 5);
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT + 4);
    expect(VSOCK_OP_RST, 80, HOST_PORT + 4);
    hear(fd, "");
    close(fd);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
}
END_TEST

START_TEST(vsock_length_that_lies_ends_the_connection)
{
    int fd = host_begins();
    struct vsock_header h = vr_header(VSOCK_OP_RW, 80, HOST_PORT);
    h.len = 100;
    vr_put_raw(&r, &h, "short", 5);
    expect(VSOCK_OP_RST, 80, HOST_PORT);
    hear(fd, "");
    h.len = UINT32_MAX;
    vr_put_raw(&r, &h, NULL, 0);
    expect(VSOCK_OP_RST, 80, HOST_PORT);
    /* Less than a header says nothing at all. */
    ring_desc(&r.ring[VR_Q_TX], 0, VR_TX, 43, 0, 0);
    ring_offer(&r.ring[VR_Q_TX], 0);
    port_kick(&r.port, VR_Q_TX);
    expect_nothing();
    ck_assert_uint_eq(r.vd->breakdowns, 0);
    close(fd);
}
END_TEST

START_TEST(vsock_receive_buffer_without_room_breaks_the_device)
{
    vr_start(&r);
    ring_desc(&r.ring[VR_Q_RX], 0, VR_RX(0), 44, DESC_WRITE, 0);
    ring_offer(&r.ring[VR_Q_RX], 0);
    vr_put(&r, VSOCK_OP_RW, 1, 2, NULL, 0);
    ck_assert(port_status(&r.port) & VIRTIO_NEEDS_RESET);
    vr_start(&r);
    vr_offer_rx(&r, 4);
    vr_put(&r, VSOCK_OP_RW, 1, 2, NULL, 0);
    expect(VSOCK_OP_RST, 1, 2);
}
END_TEST

START_TEST(vsock_answers_that_nobody_takes_stop_the_sender_alone)
{
    vr_start(&r);
    struct ring *tx = &r.ring[VR_Q_TX];
    for (unsigned i = 0; i < VR_SIZE / 2; i++)
        vr_put(&r, VSOCK_OP_RW, i, 2, NULL, 0);
    ck_assert_uint_eq(ring_used_idx(tx), 32);
    for (unsigned i = 0; i < VR_SIZE / 4; i++)
        vr_put(&r, VSOCK_OP_RW, 100 + i, 2, NULL, 0);
    ck_assert_uint_eq(ring_used_idx(tx), 32); /* not looked at */
    vr_offer_rx(&r, VR_SIZE);
    ck_assert_uint_eq(ring_used_idx(tx), 32 + VR_SIZE / 4);
    for (unsigned i = 0; i < VR_SIZE / 2; i++)
        expect(VSOCK_OP_RST, i, 2);
    for (unsigned i = 0; i < VR_SIZE / 4; i++)
        expect(VSOCK_OP_RST, 100 + i, 2);
    expect_nothing();
}
END_TEST

START_TEST(vsock_connections_are_bounded)
{
    int listener = vr_listen(&r, 77);
    for (uint32_t i = 0; i < VSOCK_CONNS; i++) {
        vr_put(&r, VSOCK_OP_REQUEST, i, 77, NULL, 0);
        expect(VSOCK_OP_RESPONSE, i, 77);
    }
    vr_put(&r, VSOCK_OP_REQUEST, 9999, 77, NULL, 0);
    expect(VSOCK_OP_RST, 9999, 77);
    int fd = vr_client(&r);
    vr_settle(&r);
    hear(fd, "");
    close(fd);
    /* One whose host is gone gives way. */
    close(accept(listener, NULL, NULL));
    expect(VSOCK_OP_SHUTDOWN, 0, 77);
    vr_put(&r, VSOCK_OP_REQUEST, 9999, 77, NULL, 0);
    expect(VSOCK_OP_RST, 0, 77);
    expect(VSOCK_OP_RESPONSE, 9999, 77);
    close(listener);
}
END_TEST

START_TEST(vsock_client_without_a_descriptor_is_hung_up_on)
{
    struct rlimit all, none;
    int late = vr_client(&r), next = dup(late);
    close(next);
    getrlimit(RLIMIT_NOFILE, &all);
    none = all;
    none.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &none);
    vr_settle(&r);
    setrlimit(RLIMIT_NOFILE, &all);
    hear(late, "");
    close(late);
    close(host_begins());
}
END_TEST

START_TEST(vsock_silent_clients_give_way)
{
    int fd[VSOCK_CONNS + 1];
    for (unsigned i = 0; i <= VSOCK_CONNS; i++) {
        fd[i] = vr_client(&r);
        vr_settle(&r);
    }
    say(fd[VSOCK_CONNS], "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT);
    for (unsigned i = 0; i <= VSOCK_CONNS; i++)
        close(fd[i]);
}
END_TEST

START_TEST(vsock_reset_ends_everything)
{
    int listener = vr_listen(&r, 77);
    int fd = host_begins(), other = guest_begins(listener, 5000);
    port_set_status(&r.port, 0);
    ck_assert_uint_eq(vsock_open_connections(r.sock), 0);
    hear(fd, "");
    hear(other, "");
    close(fd);
    close(other);
    vr_start(&r);
    vr_offer_rx(&r, 8);
    expect_nothing();
    fd = vr_client(&r);
    say(fd, "CONNECT 80\n");
    expect(VSOCK_OP_REQUEST, 80, HOST_PORT + 1);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(vsock_lost_connections_are_an_event)
{
    uint32_t id, len;
    struct ring *ev = &r.ring[VR_Q_EVENTS];
    int fd = host_begins();
    ring_desc(ev, 0, 0x300000, 4, DESC_WRITE, 0);
    memset(gmem_ptr(&r.rig.gm, 0x300000, 4), 0xff, 4);
    if (!_i) {
        ring_offer(ev, 0);
        port_kick(&r.port, VR_Q_EVENTS);
    }
    virtio_vsock_lost(r.vd);
    hear(fd, "");
    if (_i) { /* the driver comes with its buffer afterwards */
        ring_offer(ev, 0);
        port_kick(&r.port, VR_Q_EVENTS);
    }
    ck_assert(ring_take(ev, &id, &len));
    ck_assert_uint_eq(len, 4);
    ck_assert_uint_eq(load_le32(gmem_ptr(&r.rig.gm, 0x300000, 4)), 0);
    close(fd);
}
END_TEST

START_TEST(vsock_open_tells_what_is_wrong)
{
    struct err err = {{0}}, second = {{0}};
    struct vsock_env env = {&r.loop, &r.rig.events};
    ck_assert_ptr_null(vsock_open(r.path, &env, &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "the name is taken"));
    ck_assert_int_eq(access(r.path, F_OK), 0);
    char path[128];
    memset(path, 'x', 97);
    path[97] = 0;
    ck_assert_ptr_null(vsock_open(path, &env, &second));
    ck_assert_ptr_nonnull(strstr(second.msg, "too long"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_vsock");
    TCase *tc = tcase_create("virtio_vsock");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, vsock_tells_the_guest_its_cid);
    tcase_add_test(tc, vsock_header_lies_as_specified);
    tcase_add_test(tc, vsock_name_has_mode_0600);
    tcase_add_test(tc, vsock_host_begins_and_bytes_go_both_ways);
    tcase_add_test(tc, vsock_host_ports_differ);
    tcase_add_test(tc, vsock_handshakes_without_sense_end);
    tcase_add_test(tc, vsock_without_a_driver_host_is_turned_away);
    tcase_add_test(tc, vsock_guest_refuses);
    tcase_add_test(tc, vsock_client_leaves_before_the_guest_answers);
    tcase_add_test(tc, vsock_guest_begins);
    tcase_add_test(tc, vsock_guest_finds_nobody);
    tcase_add_test(tc, vsock_host_shuts_half_then_all);
    tcase_add_test(tc, vsock_host_leaves_at_once);
    tcase_add_test(tc, vsock_guest_shuts_half_then_all);
    tcase_add_test(tc, vsock_guest_that_only_reads_no_more);
    tcase_add_test(tc, vsock_guest_bytes_keep_to_the_credit);
    tcase_add_test(tc, vsock_overrun_ends_the_connection);
    tcase_add_loop_test(tc, vsock_slow_host_still_gets_what_a_closed_guest_sent, 0, 2);
    tcase_add_test(tc, vsock_host_bytes_keep_to_the_guests_credit);
    tcase_add_test(tc, vsock_bytes_wait_for_receive_buffers);
    tcase_add_test(tc, vsock_packets_for_nobody_are_answered_by_rst);
    tcase_add_test(tc, vsock_packets_that_do_not_fit_end_the_connection);
    tcase_add_test(tc, vsock_length_that_lies_ends_the_connection);
    tcase_add_test(tc, vsock_receive_buffer_without_room_breaks_the_device);
    tcase_add_test(tc, vsock_answers_that_nobody_takes_stop_the_sender_alone);
    tcase_add_test(tc, vsock_connections_are_bounded);
    tcase_add_test(tc, vsock_client_without_a_descriptor_is_hung_up_on);
    tcase_add_test(tc, vsock_silent_clients_give_way);
    tcase_add_test(tc, vsock_reset_ends_everything);
    tcase_add_loop_test(tc, vsock_lost_connections_are_an_event, 0, 2);
    tcase_add_test(tc, vsock_open_tells_what_is_wrong);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
