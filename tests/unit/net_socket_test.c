// SPDX-License-Identifier: MIT
//
// The UNIX stream backend against a peer played by the test.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net.h"
#include "tests/lib/suite.h"
#include "util.h"

static char dir[] = "/tmp/socket-test-XXXXXX", path[64];
static struct evloop loop;
static struct event_queue events;
static struct clock clk;
static struct net_env env = {&loop, &events, &clk};
static struct net_config cfg;
static struct net *net;
static int listener, peer;
static unsigned readable, writable, links;
static uint8_t buffer[MIB(2)];

static void on_readable(void *self, unsigned queue)
{
    (void)self, (void)queue;
    readable++;
}

static void on_writable(void *self, unsigned queue)
{
    (void)self, (void)queue;
    writable++;
}

static void on_link(void *self)
{
    (void)self;
    links++;
}

static void wake(void *opaque)
{
    evloop_wake(opaque);
}

/* What the machine's main thread does, until nothing happens for a moment. */
static void serve(void)
{
    for (unsigned quiet = 0; quiet < 3;) {
        evloop_run_once(&loop, 5);
        quiet = event_queue_run(&events) ? 0 : quiet + 1;
    }
}

static void setup(void)
{
    struct err err = {{0}};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(dir + sizeof dir - 7, "XXXXXX", 7);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    strcpy(addr.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    ck_assert_int_eq(evloop_init(&loop, &err), 0);
    event_queue_init(&events, wake, &loop);
    clock_init_stepped(&clk, 0);
    cfg = (struct net_config){.kind = NET_SOCKET, .id = "lan", .path = path, .reconnect_s = 1};
    net = net_open(&cfg, &env, &err);
    ck_assert_msg(net, "%s", err.msg);
    net->client = (struct net_client){on_readable, on_writable, on_link, NULL};
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    readable = writable = links = 0;
}

static void teardown(void)
{
    net_close(net);
    event_queue_fini(&events);
    evloop_fini(&loop);
    close(peer);
    close(listener);
    unlink(path);
    rmdir(dir);
}

static bool send_frame(size_t len, uint8_t fill)
{
    static const struct net_offload none;
    memset(buffer, fill, len);
    struct iovec iov[2] = {{buffer, len / 2}, {buffer + len / 2, len - len / 2}};
    return net_send(net, 0, iov, 2, len, &none);
}

static void read_all(void *buf, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(peer, (uint8_t *)buf + at, len - at);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
}

static void write_frame(size_t len, uint8_t fill)
{
    uint8_t prefix[4] = {0, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    memset(buffer, fill, len);
    ck_assert_int_eq(write(peer, prefix, 4), 4);
    ck_assert_int_eq(write(peer, buffer, len), (ssize_t)len);
}

static void take(size_t len, uint8_t fill)
{
    struct net_frame f;
    ck_assert(net_peek(net, 0, &f));
    ck_assert_uint_eq(f.len, len);
    ck_assert_uint_eq(f.data[0], fill);
    ck_assert_uint_eq(f.data[len - 1], fill);
    net_next(net, 0, &f);
}

START_TEST(socket_frames_have_a_big_endian_length)
{
    uint8_t got[64];
    ck_assert(send_frame(60, 0xab));
    net_flush(net, 0);
    read_all(got, 64);
    ck_assert_mem_eq(got, "\0\0\0\x3c\xab\xab", 6);
    write_frame(1000, 0xcd);
    serve();
    ck_assert_uint_ge(readable, 1);
    take(1000, 0xcd);
}
END_TEST

START_TEST(socket_small_frames_leave_in_one_write)
{
    for (unsigned i = 0; i < 10; i++)
        ck_assert(send_frame(60, (uint8_t)i));
    ck_assert_int_eq(recv(peer, buffer, 64, MSG_DONTWAIT), -1);
    net_flush(net, 0);
    ck_assert_int_eq(recv(peer, buffer, sizeof buffer, MSG_DONTWAIT), 640);
}
END_TEST

START_TEST(socket_longest_frame_both_ways)
{
    ck_assert(send_frame(NET_FRAME_MAX, 0x77));
    net_flush(net, 0);
    serve();
    read_all(buffer, NET_FRAME_MAX + 4);
    ck_assert_uint_eq(buffer[4 + NET_FRAME_MAX - 1], 0x77);
    write_frame(NET_FRAME_MAX, 0x66);
    serve();
    take(NET_FRAME_MAX, 0x66);
}
END_TEST

START_TEST(socket_joins_frames_that_come_in_pieces)
{
    uint8_t bytes[4 + 60] = {0, 0, 0, 60};
    struct net_frame f;
    memset(bytes + 4, 0x11, 60);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        ck_assert(!net_peek(net, 0, &f));
        ck_assert_int_eq(write(peer, bytes + i, 1), 1);
        serve();
    }
    take(60, 0x11);
}
END_TEST

START_TEST(socket_many_frames_through_a_bounded_buffer)
{
    unsigned sent = 0, got = 0;
    while (got < 3000) {
        struct net_frame f;
        for (unsigned i = 0; i < 20 && sent < 3000; i++, sent++)
            write_frame(14 + sent % 3000, (uint8_t)sent);
        while (net_peek(net, 0, &f)) {
            ck_assert_uint_eq(f.len, 14 + got % 3000);
            ck_assert_uint_eq(f.data[f.len - 1], (uint8_t)got);
            net_next(net, 0, &f);
            got++;
        }
    }
}
END_TEST

/* A peer that does not read: sends are refused after a bounded while; then nothing is missing. */
START_TEST(socket_refuses_while_the_peer_does_not_read)
{
    unsigned sent = 0, got = 0;
    while (sent < 100000 && send_frame(1000, (uint8_t)sent))
        sent++;
    ck_assert_uint_lt(sent, 5000);
    ck_assert(!send_frame(1000, 0));
    serve();
    ck_assert_uint_eq(writable, 0);
    uint8_t one[1004];
    bool told = false;
    for (; got < sent; got++) {
        read_all(one, sizeof one);
        ck_assert_uint_eq(one[500], (uint8_t)got);
        if (got % 50 == 0)
            serve();
        told |= writable > 0;
    }
    ck_assert(told);
    ck_assert(send_frame(1000, 0));
}
END_TEST

START_TEST(socket_link_goes_with_the_peer_and_comes_again)
{
    close(peer);
    serve();
    ck_assert(!net->link);
    ck_assert_uint_eq(links, 1);
    ck_assert(send_frame(60, 1)); /* as into a cut cable */
    ck_assert_uint_eq(net->count.tx_no_link, 1);
    clock_step(&clk, NS_PER_S - 1);
    ck_assert(!net->link);
    clock_step(&clk, 1);
    ck_assert(net->link);
    ck_assert_uint_eq(links, 2);
    peer = accept(listener, NULL, NULL);
    write_frame(100, 0x55);
    serve();
    take(100, 0x55);
    ck_assert(send_frame(60, 0x44));
    net_flush(net, 0);
    read_all(buffer, 64);
    ck_assert_uint_eq(buffer[63], 0x44);
}
END_TEST

START_TEST(socket_tries_again_until_somebody_listens)
{
    close(listener);
    unlink(path);
    close(peer);
    serve();
    for (unsigned i = 0; i < 5; i++) {
        clock_step(&clk, NS_PER_S);
        ck_assert(!net->link);
    }
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    clock_step(&clk, NS_PER_S);
    ck_assert(net->link);
    peer = accept(listener, NULL, NULL);
}
END_TEST

START_TEST(socket_a_length_that_no_frame_has_ends_the_connection)
{
    static const char *const bad[] = {"\xff\xff\xff\xff", "\0\0\0\x0d", "\0\1\0\x12", "\0\0\0\0"};
    struct net_frame f;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_int_eq(write(peer, bad[i], 4), 4);
        ck_assert(!net_peek(net, 0, &f));
        serve();
        ck_assert_msg(!net->link, "case %zu", i);
        close(peer);
        clock_step(&clk, NS_PER_S);
        ck_assert(net->link);
        peer = accept(listener, NULL, NULL);
        ck_assert_int_ge(peer, 0);
    }
}
END_TEST

START_TEST(socket_frames_that_came_before_the_end_arrive)
{
    write_frame(200, 0x22);
    close(peer);
    peer = -1;
    struct net_frame f;
    ck_assert(net_peek(net, 0, &f));
    take(200, 0x22);
    ck_assert(!net_peek(net, 0, &f));
    serve();
    ck_assert(!net->link);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_socket");
    TCase *t = tcase_create("socket");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, socket_frames_have_a_big_endian_length);
    tcase_add_test(t, socket_small_frames_leave_in_one_write);
    tcase_add_test(t, socket_longest_frame_both_ways);
    tcase_add_test(t, socket_joins_frames_that_come_in_pieces);
    tcase_add_test(t, socket_many_frames_through_a_bounded_buffer);
    tcase_add_test(t, socket_refuses_while_the_peer_does_not_read);
    tcase_add_test(t, socket_link_goes_with_the_peer_and_comes_again);
    tcase_add_test(t, socket_tries_again_until_somebody_listens);
    tcase_add_test(t, socket_a_length_that_no_frame_has_ends_the_connection);
    tcase_add_test(t, socket_frames_that_came_before_the_end_arrive);
    suite_add_tcase(s, t);
    return suite_run(s);
}
