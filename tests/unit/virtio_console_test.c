// SPDX-License-Identifier: MIT
//
// The console device, driven through the MMIO transport with backends in memory.
#include <check.h>
#include <string.h>

#include "tests/lib/console_chaos.h"
#include "tests/lib/console_rig.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"
#include "util.h"

#define F_SIZE 1ull
#define F_MULTIPORT 2ull

static struct console_rig c;

static void run(unsigned q)
{
    port_kick(&c.port, q);
    while (event_queue_run(&c.rig.events))
        ;
}

/* Offer buffer i of queue q. */
static void offer(unsigned q, unsigned i, uint32_t len, bool writable)
{
    ring_desc(&c.ring[q], i, CONSOLE_BUFFER(q, i), len, writable ? DESC_WRITE : 0, 0);
    ring_offer(&c.ring[q], (uint16_t)i);
}

static void offer_many(unsigned q, unsigned n, uint32_t len)
{
    for (unsigned i = 0; i < n; i++)
        offer(q, i, len, true);
    run(q);
}

static void say(uint32_t id, uint16_t event, uint16_t value)
{
    uint8_t m[8];
    uint32_t head, len;
    store_le32(m, id);
    store_le16(m + 4, event);
    store_le16(m + 6, value);
    gmem_write(&c.rig.gm, CONSOLE_BUFFER(CONTROL_TX, 0), m, sizeof m);
    offer(CONTROL_TX, 0, sizeof m, false);
    run(CONTROL_TX);
    ck_assert(ring_take(&c.ring[CONTROL_TX], &head, &len));
    ck_assert_uint_eq(len, 0);
}

/* The next control message of the device. */
static void expect_tail(uint32_t id, uint16_t event, uint16_t value, const void *tail,
                        size_t tail_len)
{
    uint32_t head, len;
    uint8_t m[128];
    ck_assert_msg(ring_take(&c.ring[CONTROL_RX], &head, &len), "no message %u", event);
    ck_assert_uint_eq(len, 8 + tail_len);
    gmem_read(&c.rig.gm, CONSOLE_BUFFER(CONTROL_RX, head), m, len);
    ck_assert_uint_eq(load_le32(m), id);
    ck_assert_uint_eq(load_le16(m + 4), event);
    ck_assert_uint_eq(load_le16(m + 6), value);
    ck_assert_mem_eq(m + 8, tail, tail_len);
}

static void expect(uint32_t id, uint16_t event, uint16_t value)
{
    expect_tail(id, event, value, "", 0);
}

static void expect_silence(void)
{
    uint32_t head, len;
    ck_assert(!ring_take(&c.ring[CONTROL_RX], &head, &len));
}

/* All ports ready, what they were told of read. */
static void bring_up(void)
{
    uint32_t head, len;
    offer_many(CONTROL_RX, 60, 128);
    say(0, EV_READY, 1);
    for (unsigned i = 0; i < 3; i++)
        say(i, EV_PORT_READY, 1);
    while (ring_take(&c.ring[CONTROL_RX], &head, &len))
        ;
}

static void setup(void)
{
    console_rig_init(&c);
    console_rig_start(&c, F_SIZE | F_MULTIPORT);
}

static void teardown(void)
{
    console_rig_fini(&c);
}

static void give(unsigned port, const void *bytes, size_t len)
{
    struct fake_chr *f = &c.chr[port];
    f->input = bytes;
    f->at = 0;
    f->len = len;
    f->chr.client.readable(f->chr.client.self);
}

static void expect_bytes(unsigned q, const void *bytes, size_t len)
{
    uint32_t head, n;
    uint8_t buf[4096];
    ck_assert(ring_take(&c.ring[q], &head, &n));
    ck_assert_uint_eq(n, len);
    gmem_read(&c.rig.gm, CONSOLE_BUFFER(q, head), buf, n);
    ck_assert_mem_eq(buf, bytes, n);
}

static bool used_any(unsigned q)
{
    uint32_t head, n;
    return ring_take(&c.ring[q], &head, &n);
}

static void send(unsigned port, const char *text)
{
    unsigned q = TX_OF(port);
    gmem_write(&c.rig.gm, CONSOLE_BUFFER(q, 0), text, strlen(text));
    offer(q, 0, (uint32_t)strlen(text), false);
    run(q);
}

/* --- what there is --- */

START_TEST(console_tells_ports_names_and_who_is_open)
{
    c.chr[2].chr.peer_gone = true;
    offer_many(CONTROL_RX, 60, 128);
    expect_silence();
    say(0, EV_READY, 1);
    for (unsigned i = 0; i < 3; i++)
        expect(i, EV_ADD, 1);
    expect_silence();
    say(0, EV_PORT_READY, 1);
    expect(0, EV_CONSOLE, 1);
    expect(0, EV_OPEN, 1);
    say(1, EV_PORT_READY, 1);
    expect_tail(1, EV_NAME, 1, "one", 3);
    expect(1, EV_OPEN, 1);
    say(2, EV_PORT_READY, 1);
    expect_silence();
    ck_assert_uint_eq(virtio_console_ignored(c.vd), 0);
}
END_TEST

START_TEST(console_config_has_room_for_its_ports)
{
    ck_assert_uint_eq(port_config(&c.port, 4, 4), 3);
    ck_assert_uint_eq(port_offered(&c.port) & 7, F_SIZE | F_MULTIPORT);
}
END_TEST

START_TEST(console_news_wait_for_buffers_and_keep_their_order)
{
    say(0, EV_READY, 1);
    say(1, EV_PORT_READY, 1);
    struct chr_client *client = &c.chr[1].chr.client;
    client->peer(client->self, false);
    client->peer(client->self, true);
    for (unsigned i = 0; i < 8; i++)
        offer(CONTROL_RX, i, 128, true);
    run(CONTROL_RX);
    expect(0, EV_ADD, 1);
    expect(1, EV_ADD, 1);
    expect_tail(1, EV_NAME, 1, "one", 3);
    expect(1, EV_OPEN, 0);
    expect(1, EV_OPEN, 1);
    expect(2, EV_ADD, 1);
    expect_silence();
}
END_TEST

START_TEST(console_terminal_size_is_told_and_updated)
{
    bring_up();
    c.chr[0].cols = 132;
    c.chr[0].rows = 50;
    struct chr_client *client = &c.chr[0].chr.client;
    client->resized(client->self);
    expect_tail(0, EV_RESIZE, 1, "\x84\0\x32\0", 4);
    ck_assert_uint_eq(port_config(&c.port, 0, 2), 132);
    ck_assert_uint_eq(port_config(&c.port, 2, 2), 50);
    say(0, EV_PORT_READY, 1);
    expect(0, EV_CONSOLE, 1);
    expect_tail(0, EV_RESIZE, 1, "\x84\0\x32\0", 4);
    expect(0, EV_OPEN, 1);
}
END_TEST

START_TEST(console_channel_has_no_size)
{
    bring_up();
    c.chr[1].cols = 80;
    c.chr[1].rows = 25;
    struct chr_client *client = &c.chr[1].chr.client;
    client->resized(client->self);
    expect_silence();
}
END_TEST

/* --- bytes --- */

START_TEST(console_terminal_takes_bytes_any_time)
{
    offer_many(0, 4, 4096);
    give(0, "a\0b", 3);
    expect_bytes(0, "a\0b", 3);
    ck_assert(!used_any(0));
}
END_TEST

START_TEST(console_channel_takes_bytes_only_while_open)
{
    bring_up();
    offer_many(RX_OF(1), 4, 4096);
    give(1, "early", 5);
    ck_assert(!used_any(RX_OF(1)));
    say(1, EV_OPEN, 1);
    ck_assert(c.chr[1].guest_open);
    expect_bytes(RX_OF(1), "early", 5);
    say(1, EV_OPEN, 0);
    ck_assert(!c.chr[1].guest_open);
    give(1, "late", 4);
    ck_assert(!used_any(RX_OF(1)));
    ck_assert_uint_eq(c.chr[1].at, 0);
}
END_TEST

START_TEST(console_unread_bytes_stay_in_the_backend)
{
    static uint8_t data[3000];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < 2; i++)
        offer(0, i, 1000, true);
    run(0);
    give(0, data, sizeof data);
    ck_assert_uint_eq(c.chr[0].at, 2000);
    expect_bytes(0, data, 1000);
    expect_bytes(0, data + 1000, 1000);
    offer(0, 2, 4096, true);
    run(0);
    expect_bytes(0, data + 2000, 1000);
}
END_TEST

START_TEST(console_small_buffers_lose_nothing)
{
    for (unsigned i = 0; i < 5; i++)
        offer(0, i, i == 2 ? 0 : 1, true);
    run(0);
    give(0, "wxyz", 4);
    expect_bytes(0, "w", 1);
    expect_bytes(0, "x", 1);
    expect_bytes(0, "", 0); /* of the buffer without room */
    expect_bytes(0, "y", 1);
    expect_bytes(0, "z", 1);
    ck_assert_uint_eq(virtio_console_ignored(c.vd), 1);
}
END_TEST

START_TEST(console_buffer_without_bytes_is_kept_until_some_come)
{
    offer_many(0, 1, 16);
    give(0, "", 0);
    ck_assert(!used_any(0));
    give(0, "x", 1);
    expect_bytes(0, "x", 1);
}
END_TEST

START_TEST(console_output_reaches_its_port)
{
    bring_up();
    send(0, "to zero");
    send(2, "to two");
    ck_assert_uint_eq(c.chr[0].taken, 7);
    ck_assert_mem_eq(c.chr[0].output, "to zero", 7);
    ck_assert_uint_eq(c.chr[1].taken, 0);
    ck_assert_mem_eq(c.chr[2].output, "to two", 6);
    ck_assert(used_any(TX_OF(0)) && used_any(TX_OF(2)));
}
END_TEST

START_TEST(console_slow_backend_holds_the_buffer)
{
    c.chr[0].room = 3;
    send(0, "0123456789");
    ck_assert(!used_any(1));
    c.chr[0].room = 4;
    c.chr[0].chr.client.writable(c.chr[0].chr.client.self);
    ck_assert(!used_any(1));
    ck_assert_uint_eq(c.chr[0].taken, 7);
    c.chr[0].room = SIZE_MAX;
    c.chr[0].chr.client.writable(c.chr[0].chr.client.self);
    ck_assert(used_any(1));
    ck_assert_mem_eq(c.chr[0].output, "0123456789", 10);
}
END_TEST

START_TEST(console_huge_request_lets_others_have_their_turn)
{
    /* 1 MiB eight times over: more than a burst */
    for (unsigned i = 0; i < 8; i++)
        ring_desc(&c.ring[1], i, 0x400000, 0x100000, i < 7 ? DESC_NEXT : 0, (uint16_t)(i + 1));
    ring_offer(&c.ring[1], 0);
    port_kick(&c.port, 1);
    ck_assert_uint_gt(c.chr[0].taken, 0);
    ck_assert_uint_lt(c.chr[0].taken, 0x800000);
    ck_assert(!used_any(1));
    while (event_queue_run(&c.rig.events))
        ;
    ck_assert_uint_eq(c.chr[0].taken, 0x800000);
    ck_assert(used_any(1));
}
END_TEST

START_TEST(console_kicks_are_asked_for_with_event_index)
{
    console_rig_start(&c, F_SIZE | F_MULTIPORT | VIRTIO_F_EVENT_IDX);
    for (unsigned q = 0; q < 4; q++) {
        if (q == 0)
            give(0, "abc", 3);
        offer(q, 0, 8, q == 0 || q == CONTROL_RX);
        run(q);
        if (q == CONTROL_RX)
            continue; /* nothing to tell: the buffer is not looked at */
        ck_assert_uint_eq(ring_avail_event(&c.ring[q]), 1);
    }
}
END_TEST

/* --- hang-up --- */

START_TEST(console_end_of_input_is_told_after_the_last_byte)
{
    bring_up();
    say(1, EV_OPEN, 1);
    offer_many(RX_OF(1), 4, 4096);
    give(1, "last", 4);
    struct chr_client *client = &c.chr[1].chr.client;
    client->peer(client->self, false);
    expect_bytes(RX_OF(1), "last", 4);
    expect(1, EV_OPEN, 0);
    client->peer(client->self, true);
    expect(1, EV_OPEN, 1);
}
END_TEST

START_TEST(console_terminal_never_hangs_up)
{
    bring_up();
    struct chr_client *client = &c.chr[0].chr.client;
    client->peer(client->self, false);
    expect_silence();
}
END_TEST

/* --- without MULTIPORT --- */

START_TEST(console_without_multiport_has_port_0_alone)
{
    console_rig_start(&c, 0);
    offer_many(0, 1, 16);
    give(0, "in", 2);
    expect_bytes(0, "in", 2);
    send(0, "out");
    ck_assert_uint_eq(c.chr[0].taken, 3);
    for (unsigned q = 2; q < CONSOLE_RINGS; q++) {
        offer(q, 0, 16, q % 2 == 0);
        run(q);
        ck_assert(!used_any(q));
    }
    ck_assert_uint_eq(c.chr[1].taken, 0);
    ck_assert_uint_eq(c.vd->breakdowns, 0);
}
END_TEST

/* --- a guest that means harm --- */

START_TEST(console_senseless_messages_are_ignored_and_counted)
{
    static const struct {
        uint32_t id;
        uint16_t event, value;
    } bad[] = {
        {3, EV_PORT_READY, 1}, {UINT32_MAX, EV_OPEN, 1}, {0, EV_ADD, 1}, {0, EV_REMOVE, 1},
        {1, EV_NAME, 1},       {0, EV_RESIZE, 0},        {0, 8, 0},      {0, 0xffff, 0xffff},
    };
    bring_up();
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        say(bad[i].id, bad[i].event, bad[i].value);
    ck_assert_uint_eq(virtio_console_ignored(c.vd), ARRAY_LEN(bad));
    expect_silence();
    send(0, "alive");
    ck_assert_uint_eq(c.chr[0].taken, 5);
}
END_TEST

START_TEST(console_short_message_is_ignored)
{
    for (unsigned len = 0; len < 8; len++) {
        offer(CONTROL_TX, len, len, false);
        run(CONTROL_TX);
        ck_assert(used_any(CONTROL_TX));
    }
    ck_assert_uint_eq(virtio_console_ignored(c.vd), 8);
}
END_TEST

START_TEST(console_tiny_control_buffer_goes_back_empty)
{
    uint32_t head, len;
    offer_many(CONTROL_RX, 3, 7);
    say(0, EV_READY, 1);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(ring_take(&c.ring[CONTROL_RX], &head, &len));
        ck_assert_uint_eq(len, 0);
    }
    ck_assert_uint_eq(virtio_console_ignored(c.vd), 3);
}
END_TEST

START_TEST(console_flood_of_ready_piles_nothing_up)
{
    for (unsigned i = 0; i < 1000; i++) {
        say(0, EV_READY, 1);
        say(1, EV_PORT_READY, 1);
    }
    offer_many(CONTROL_RX, 60, 128);
    unsigned messages = 0;
    while (used_any(CONTROL_RX))
        messages++;
    ck_assert_uint_eq(messages, 5);
}
END_TEST

START_TEST(console_reset_gives_back_what_it_held)
{
    bring_up();
    say(1, EV_OPEN, 1);
    offer_many(RX_OF(1), 4, 16);
    offer_many(0, 2, 16);
    c.chr[0].room = 1;
    send(0, "stuck");
    port_set_status(&c.port, 0);
    ck_assert(!c.chr[1].guest_open && c.chr[1].closed);
    for (unsigned q = 0; q < c.vd->nqueues; q++)
        ck_assert_uint_eq(c.vd->vq[q].in_flight, 0);
    c.chr[0].room = SIZE_MAX;
    console_rig_start(&c, F_MULTIPORT);
    give(1, "x", 1); /* closed again */
    ck_assert_uint_eq(c.chr[1].at, 0);
    send(0, "fresh");
    ck_assert_mem_eq(c.chr[0].output, "sfresh", 6);
}
END_TEST

START_TEST(console_backend_that_speaks_before_the_driver_is_safe)
{
    port_set_status(&c.port, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct chr_client *client = &c.chr[i].chr.client;
        give(i, "x", 1);
        client->writable(client->self);
        client->peer(client->self, false);
        client->peer(client->self, true);
        client->resized(client->self);
    }
    ck_assert_uint_eq(c.chr[0].at + c.chr[1].at, 0);
}
END_TEST

/* A slice of what tests/fuzz/console_fuzz.c does without end; the seed is fixed. */
START_TEST(console_survives_chaos)
{
    uint64_t seed = 0x9e3779b97f4a7c15ull + (unsigned)_i;
    uint8_t data[700];
    for (unsigned round = 0; round < 250; round++) {
        random_bytes(&seed, data, sizeof data);
        console_chaos_run(data, sizeof data - round % 2);
    }
}
END_TEST

START_TEST(console_refuses_ports_that_cannot_be)
{
    static const struct virtio_console_port bad[][2] = {
        {{0, false, NULL, NULL}, {1, false, NULL, NULL}},
        {{1, false, NULL, NULL}, {1, true, NULL, NULL}},
        {{1, false, NULL, NULL}, {4, false, NULL, NULL}},
        {{1, false, NULL, NULL},
         {2, false, "0123456789012345678901234567890123456789012345678901234567890123", NULL}},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {{0}};
        ck_assert_ptr_null(virtio_console_create(bad[i], 2, 4, &c.rig.gm, &err));
        ck_assert_str_ne(err.msg, "");
    }
    struct err err = {{0}};
    ck_assert_ptr_null(
        virtio_console_create(NULL, 0, VIRTIO_CONSOLE_MAX_PORTS + 1, &c.rig.gm, &err));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtio_console");
    TCase *tc = tcase_create("virtio_console");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, console_tells_ports_names_and_who_is_open);
    tcase_add_test(tc, console_config_has_room_for_its_ports);
    tcase_add_test(tc, console_news_wait_for_buffers_and_keep_their_order);
    tcase_add_test(tc, console_terminal_size_is_told_and_updated);
    tcase_add_test(tc, console_channel_has_no_size);
    tcase_add_test(tc, console_terminal_takes_bytes_any_time);
    tcase_add_test(tc, console_channel_takes_bytes_only_while_open);
    tcase_add_test(tc, console_unread_bytes_stay_in_the_backend);
    tcase_add_test(tc, console_small_buffers_lose_nothing);
    tcase_add_test(tc, console_buffer_without_bytes_is_kept_until_some_come);
    tcase_add_test(tc, console_output_reaches_its_port);
    tcase_add_test(tc, console_slow_backend_holds_the_buffer);
    tcase_add_test(tc, console_huge_request_lets_others_have_their_turn);
    tcase_add_test(tc, console_kicks_are_asked_for_with_event_index);
    tcase_add_test(tc, console_end_of_input_is_told_after_the_last_byte);
    tcase_add_test(tc, console_terminal_never_hangs_up);
    tcase_add_test(tc, console_without_multiport_has_port_0_alone);
    tcase_add_test(tc, console_senseless_messages_are_ignored_and_counted);
    tcase_add_test(tc, console_short_message_is_ignored);
    tcase_add_test(tc, console_tiny_control_buffer_goes_back_empty);
    tcase_add_test(tc, console_flood_of_ready_piles_nothing_up);
    tcase_add_test(tc, console_reset_gives_back_what_it_held);
    tcase_add_test(tc, console_backend_that_speaks_before_the_driver_is_safe);
    tcase_add_loop_test(tc, console_survives_chaos, 0, 4);
    tcase_add_test(tc, console_refuses_ports_that_cannot_be);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
