// SPDX-License-Identifier: MIT
//
// The user network: the stack on stepped time against a guest that speaks ARP, DHCP, UDP and TCP by
// hand, and the same through the helper process.
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net/usernet/slirp.h"
#include "tests/lib/fake_net.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct evloop loop;
static struct event_queue events;
static struct clock clk;
static struct net_env env = {&loop, &events, &clk};
static struct net_config cfg;
static struct net *net;
static unsigned writable;

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static uint8_t gateway_mac[6];
static uint8_t out[NET_FRAME_MAX], in[NET_FRAME_MAX];
static size_t in_len;

static void wake(void *opaque)
{
    evloop_wake(opaque);
}

static void on_writable(void *self, unsigned queue)
{
    (void)self, (void)queue;
    writable++;
}

static void serve(int ms)
{
    evloop_run_once(&loop, ms);
    event_queue_run(&events);
}

static void setup(void)
{
    struct err err = {{0}};
    ck_assert_int_eq(evloop_init(&loop, &err), 0);
    event_queue_init(&events, wake, &loop);
    clock_init_stepped(&clk, 0);
    cfg = (struct net_config){.kind = NET_USER, .queues = 1};
    cfg.user = (struct net_user_config){
        .ipv4 = true,
        .net = htonl(0x0a000200),
        .mask = htonl(0xffffff00),
        .host = htonl(0x0a000202),
        .dns = htonl(0x0a000203),
        .dhcp_start = htonl(0x0a00020f),
        .prefix6 = 64,
        .hostname = "box",
        .domainname = "example.org",
    };
}

static void open_slirp(void)
{
    struct err err = {{0}};
    net = net_slirp_open(&cfg.user, &env, &err);
    ck_assert_msg(net, "%s", err.msg);
    net->client.writable = on_writable;
}

static void open_helper(void)
{
    struct err err = {{0}};
    net = net_open(&cfg, &env, &err);
    ck_assert_msg(net, "%s", err.msg);
}

static void teardown(void)
{
    if (net)
        net_close(net);
    net = NULL;
    event_queue_fini(&events);
    evloop_fini(&loop);
}

/* --- frames by hand --- */

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint16_t sum(const uint8_t *p, size_t len, uint32_t s)
{
    for (size_t i = 0; i < len; i++)
        s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

static void send_out(size_t len)
{
    static const struct net_offload none;
    struct iovec iov = {out, len};
    ck_assert(net_send(net, 0, &iov, 1, len, &none));
    net_flush(net, 0);
}

/* The next frame of an Ethernet type, within some seconds; others are passed over. */
static bool receive(unsigned type)
{
    for (unsigned i = 0; i < 300; i++) {
        struct net_frame f;
        while (net_peek(net, 0, &f)) {
            bool fits = get16(f.data + 12) == type;
            memcpy(in, f.data, f.len);
            in_len = f.len;
            net_next(net, 0, &f);
            if (fits)
                return true;
        }
        serve(10);
        if (i % 4 == 3)
            clock_step(&clk, 5000000);
    }
    return false;
}

static void ethernet(const uint8_t *to, unsigned type)
{
    memcpy(out, to, 6);
    memcpy(out + 6, our_mac, 6);
    put16(out + 12, type);
}

static void arp_gateway(void)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    ethernet(broadcast, 0x0806);
    memcpy(out + 14, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
    memcpy(out + 22, our_mac, 6);
    memcpy(out + 28, "\x0a\x00\x02\x0f\0\0\0\0\0\0\x0a\x00\x02\x02", 14);
    send_out(60);
    ck_assert(receive(0x0806));
    ck_assert_uint_eq(get16(in + 20), 2);
    ck_assert_mem_eq(in + 28, "\x0a\x00\x02\x02", 4);
    memcpy(gateway_mac, in + 22, 6);
}

/* Ethernet and IPv4 around `len` bytes that are at out + 34 already. */
static void send_ip(const uint8_t *mac, uint8_t protocol, uint32_t from, uint32_t to, size_t len)
{
    uint8_t *ip = out + 14;
    ethernet(mac, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(20 + len));
    ip[8] = 64;
    ip[9] = protocol;
    store_le32(ip + 12, htonl(from));
    store_le32(ip + 16, htonl(to));
    put16(ip + 10, ~sum(ip, 20, 0) & 0xffffu);
    send_out(34 + len);
}

static void send_udp(const uint8_t *mac, uint32_t from, uint16_t sport, uint32_t to, uint16_t dport,
                     const void *data, size_t len)
{
    uint8_t *udp = out + 34;
    put16(udp, sport);
    put16(udp + 2, dport);
    put16(udp + 4, (unsigned)(8 + len));
    put16(udp + 6, 0);
    memcpy(udp + 8, data, len);
    send_ip(mac, 17, from, to, 8 + len);
}

#define GUEST 0x0a00020f
#define GATEWAY 0x0a000202

static void send_tcp(uint16_t dport, uint32_t seq, uint32_t ack, uint8_t flags, size_t len)
{
    uint8_t *tcp = out + 34, pseudo[12] = {10, 0, 2, 15, 10, 0, 2, 2, 0, 6};
    put16(tcp, 5000);
    put16(tcp + 2, dport);
    store_le32(tcp + 4, htonl(seq));
    store_le32(tcp + 8, htonl(ack));
    tcp[12] = 0x50;
    tcp[13] = flags;
    put16(tcp + 14, 0xffff);
    put16(tcp + 16, 0);
    put16(tcp + 18, 0);
    put16(pseudo + 10, (unsigned)(20 + len));
    put16(tcp + 16, ~sum(tcp, 20 + len, sum(pseudo, 12, 0)) & 0xffffu);
    send_ip(gateway_mac, 6, GUEST, GATEWAY, 20 + len);
}

/* A socket of the host on 127.0.0.1, at a port of its choice. */
static int host_socket(int type, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, type, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    if (type == SOCK_STREAM)
        ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

/* --- conversations --- */

/* One option of a DHCP answer, or NULL. */
static const uint8_t *dhcp_option(uint8_t code)
{
    for (size_t at = 14 + 20 + 8 + 240; at + 2 < in_len && in[at] != 255; at += 2u + in[at + 1]) {
        if (in[at] == code)
            return in + at + 2;
    }
    return NULL;
}

static void dhcp_discover(void)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    uint8_t d[300] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    memcpy(d + 28, our_mac, 6);
    memcpy(d + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
    send_udp(broadcast, 0, 68, 0xffffffff, 67, d, sizeof d);
    ck_assert(receive(0x0800));
    const uint8_t *bootp = in + 14 + 20 + 8;
    ck_assert_uint_eq(bootp[0], 2);
    ck_assert_mem_eq(bootp + 4, "\x12\x34\x56\x78", 4);
    ck_assert_mem_eq(bootp + 16, "\x0a\x00\x02\x0f", 4); /* yours */
    ck_assert_uint_eq(*dhcp_option(53), 2);              /* an offer */
    ck_assert_mem_eq(dhcp_option(1), "\xff\xff\xff\x00", 4);
    ck_assert_mem_eq(dhcp_option(3), "\x0a\x00\x02\x02", 4);
    ck_assert_mem_eq(dhcp_option(6), "\x0a\x00\x02\x03", 4);
    ck_assert_mem_eq(dhcp_option(12), "box", 3);
    ck_assert_mem_eq(dhcp_option(15), "example.org", 11);
}

static void udp_echo(void)
{
    uint16_t port;
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char text[64] = "";
    int host = host_socket(SOCK_DGRAM, &port);
    arp_gateway();
    send_udp(gateway_mac, GUEST, 4000, GATEWAY, port, "hello", 5);
    for (unsigned i = 0; i < 300 && recv(host, text, 5, MSG_DONTWAIT | MSG_PEEK) < 0; i++)
        serve(10);
    ck_assert_int_eq(recvfrom(host, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&from, &len),
                     5);
    ck_assert_str_eq(text, "hello");
    ck_assert_int_eq(sendto(host, "answer", 6, 0, (struct sockaddr *)&from, len), 6);
    ck_assert(receive(0x0800));
    ck_assert_uint_eq(get16(in + 34 + 2), 4000);
    ck_assert_mem_eq(in + 34 + 8, "answer", 6);
    close(host);
}

START_TEST(user_answers_arp_and_dhcp)
{
    open_slirp();
    dhcp_discover();
    arp_gateway();
}
END_TEST

START_TEST(user_carries_udp_to_the_host)
{
    open_slirp();
    udp_echo();
}
END_TEST

/* What is longer than the guest's MTU comes in fragments. */
START_TEST(user_fragments_long_datagrams)
{
    uint16_t port;
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char text[4000] = "";
    int host = host_socket(SOCK_DGRAM, &port);
    open_slirp();
    arp_gateway();
    send_udp(gateway_mac, GUEST, 4000, GATEWAY, port, "hello", 5);
    for (unsigned i = 0; i < 300 && recv(host, text, 5, MSG_DONTWAIT | MSG_PEEK) < 0; i++)
        serve(10);
    ck_assert_int_eq(recvfrom(host, text, sizeof text, 0, (struct sockaddr *)&from, &len), 5);
    ck_assert_int_eq(sendto(host, text, sizeof text, 0, (struct sockaddr *)&from, len), 4000);
    size_t got = 0;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(receive(0x0800));
        ck_assert_uint_le(in_len, 1514);
        got += get16(in + 16) - 20;
    }
    ck_assert_uint_eq(got, 8 + sizeof text);
    close(host);
}
END_TEST

START_TEST(user_restricted_reaches_nothing)
{
    uint16_t port;
    char text[8];
    int host = host_socket(SOCK_DGRAM, &port);
    cfg.user.restricted = true;
    open_slirp();
    arp_gateway();
    send_udp(gateway_mac, GUEST, 4000, GATEWAY, port, "hello", 5);
    for (unsigned i = 0; i < 5; i++)
        serve(10);
    ck_assert_int_lt(recv(host, text, sizeof text, MSG_DONTWAIT), 0);
    close(host);
}
END_TEST

/* The whole way: a connection, data of more than a wire's frame in one segment, an answer. */
static void tcp_talk(uint8_t extra_flags)
{
    uint16_t port;
    int listener = host_socket(SOCK_STREAM, &port);
    char data[9000], got[9000];
    arp_gateway();
    send_tcp(port, 100, 0, 0x02, 0);
    ck_assert(receive(0x0800));
    ck_assert_uint_eq(in[34 + 13], 0x12); /* SYN and ACK */
    uint32_t theirs = ntohl(load_le32(in + 34 + 4)) + 1;
    ck_assert_uint_eq(ntohl(load_le32(in + 34 + 8)), 101);
    int host = accept(listener, NULL, NULL);
    memset(data, 'x', sizeof data);
    memcpy(out + 54, data, sizeof data);
    send_tcp(port, 101, theirs, 0x18 | extra_flags, sizeof data);
    size_t have = 0;
    for (unsigned i = 0; i < 300 && have < sizeof data; i++) {
        ssize_t n = recv(host, got + have, sizeof got - have, MSG_DONTWAIT);
        have += n > 0 ? (size_t)n : 0;
        serve(10);
    }
    ck_assert_uint_eq(have, sizeof data);
    ck_assert_mem_eq(got, data, sizeof data);
    ck_assert_int_eq(write(host, "answer", 6), 6);
    for (unsigned i = 0; i < 20 && receive(0x0800); i++) {
        if (in_len >= 60 && !memcmp(in + 54, "answer", 6))
            break;
    }
    ck_assert_mem_eq(in + 54, "answer", 6);
    ck_assert_uint_eq(ntohl(load_le32(in + 34 + 8)), 101 + sizeof data);
    close(host);
    close(listener);
}

START_TEST(user_carries_tcp_with_long_segments)
{
    open_slirp();
    tcp_talk(0);
}
END_TEST

START_TEST(user_takes_urgent_data_for_ordinary)
{
    open_slirp();
    tcp_talk(0x20);
}
END_TEST

START_TEST(user_forwards_host_ports)
{
    uint16_t port;
    int holder = host_socket(SOCK_STREAM, &port);
    close(holder);
    cfg.user.forward[0] = (struct net_forward){
        .host_addr = htonl(INADDR_LOOPBACK), .host_port = port, .guest_port = 22};
    cfg.user.nforwards = 1;
    open_slirp();
    dhcp_discover();
    arp_gateway();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert(receive(0x0800));
    ck_assert_uint_eq(in[34 + 13], 0x02); /* a SYN to the guest's port */
    ck_assert_uint_eq(get16(in + 34 + 2), 22);
    ck_assert_mem_eq(in + 30, "\x0a\x00\x02\x0f", 4);
    close(fd);
}
END_TEST

START_TEST(user_says_which_port_is_in_use)
{
    struct err err = {{0}};
    char text[8];
    uint16_t port;
    int holder = host_socket(SOCK_STREAM, &port);
    cfg.user.forward[0] = (struct net_forward){
        .host_addr = htonl(INADDR_LOOPBACK), .host_port = port, .guest_port = 22};
    cfg.user.nforwards = 1;
    snprintf(text, sizeof text, "%u", port);
    net = _i ? net_open(&cfg, &env, &err) : net_slirp_open(&cfg.user, &env, &err);
    ck_assert_ptr_null(net);
    ck_assert_ptr_nonnull(strstr(err.msg, text));
    ck_assert_ptr_nonnull(strstr(err.msg, "in use"));
    close(holder);
}
END_TEST

/* A guest that takes nothing: what waits for it stays bounded, and it is heard of again later. */
START_TEST(user_is_bounded_when_the_guest_takes_nothing)
{
    static const struct net_offload none;
    uint16_t port;
    struct net_frame f;
    int host = host_socket(SOCK_DGRAM, &port);
    open_slirp();
    arp_gateway();
    unsigned sent = 0;
    for (; sent < 100000; sent++) { /* ARP questions, each with an answer */
        static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
        ethernet(broadcast, 0x0806);
        memcpy(out + 14, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
        memcpy(out + 22, our_mac, 6);
        memcpy(out + 28, "\x0a\x00\x02\x0f\0\0\0\0\0\0\x0a\x00\x02\x02", 14);
        struct iovec iov = {out, 60};
        if (!net_send(net, 0, &iov, 1, 60, &none))
            break;
    }
    ck_assert_uint_lt(sent, 100000);
    ck_assert_uint_eq(writable, 0);
    unsigned answers = 0;
    for (; net_peek(net, 0, &f); answers++)
        net_next(net, 0, &f);
    ck_assert_uint_eq(answers, sent);
    ck_assert_uint_eq(writable, 1);
    close(host);
}
END_TEST

/* --- the helper --- */

START_TEST(user_helper_starts_with_the_driver)
{
    open_helper();
    struct net_frame f;
    ck_assert(!net_peek(net, 0, &f));
    net_run(net, true);
    dhcp_discover();
    udp_echo();
}
END_TEST

START_TEST(user_helper_carries_tcp)
{
    open_helper();
    net_run(net, true);
    tcp_talk(0);
}
END_TEST

static pid_t child(void)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    return n ? (pid_t)atoi(text) : 0;
}

START_TEST(user_link_goes_down_with_the_helper_and_up_with_the_next_driver)
{
    open_helper();
    net_run(net, true);
    dhcp_discover();
    if (!child())
        return; /* a kernel that does not list children */
    kill(child(), SIGKILL);
    for (unsigned i = 0; i < 200 && net->link; i++) {
        struct net_frame f;
        serve(10);
        net_peek(net, 0, &f);
    }
    ck_assert(!net->link);
    net_run(net, false);
    net_run(net, true);
    ck_assert(net->link);
    dhcp_discover();
}
END_TEST

START_TEST(user_helper_ends_with_us)
{
    open_helper();
    net_run(net, true);
    dhcp_discover();
    pid_t helper = child();
    net_close(net);
    net = NULL;
    if (helper)
        ck_assert(kill(helper, 0) < 0 && errno == ESRCH);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_user");
    TCase *t = tcase_create("user");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, user_answers_arp_and_dhcp);
    tcase_add_test(t, user_carries_udp_to_the_host);
    tcase_add_test(t, user_fragments_long_datagrams);
    tcase_add_test(t, user_restricted_reaches_nothing);
    tcase_add_test(t, user_carries_tcp_with_long_segments);
    tcase_add_test(t, user_takes_urgent_data_for_ordinary);
    tcase_add_test(t, user_forwards_host_ports);
    tcase_add_loop_test(t, user_says_which_port_is_in_use, 0, 2);
    tcase_add_test(t, user_is_bounded_when_the_guest_takes_nothing);
    tcase_add_test(t, user_helper_starts_with_the_driver);
    tcase_add_test(t, user_helper_carries_tcp);
    tcase_add_test(t, user_link_goes_down_with_the_helper_and_up_with_the_next_driver);
    tcase_add_test(t, user_helper_ends_with_us);
    suite_add_tcase(s, t);
    return suite_run(s);
}
