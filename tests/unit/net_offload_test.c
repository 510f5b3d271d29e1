// SPDX-License-Identifier: MIT
//
// Offloads in software, compared with sums and headers made the plain way.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devices/net/offload.h"
#include "tests/lib/fake_net.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"

#define FIN 0x01
#define SYN 0x02
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define CWR 0x80

static uint8_t frame[NET_FRAME_MAX], piece[NET_FRAME_MAX];

static struct net_offload tso(bool v6, uint16_t gso_size)
{
    return (struct net_offload){
        .gso = v6 ? NET_GSO_TCP6 : NET_GSO_TCP4,
        .gso_size = gso_size,
        .needs_csum = true,
        .csum_start = v6 ? 54 : 34,
        .csum_offset = 16,
    };
}

static uint32_t seq(const uint8_t *f, bool v6)
{
    const uint8_t *p = f + (v6 ? 54 : 34) + 4;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

START_TEST(offload_finishes_checksums_of_every_length)
{
    bool v6 = _i;
    for (size_t payload = 0; payload < 300; payload++) {
        size_t len = make_tcp(frame, v6, ACK, payload, true);
        struct net_offload o = tso(v6, 1);
        ck_assert(csum_fits(&o, len));
        csum_finish(frame, len, &o);
        ck_assert_msg(frame_sound(frame, len), "payload %zu", payload);
    }
}
END_TEST

START_TEST(offload_checksum_never_becomes_zero)
{
    uint8_t data[8] = {0xff, 0xff, 0, 0};
    struct net_offload o = {.needs_csum = true, .csum_start = 0, .csum_offset = 2};
    csum_finish(data, 4, &o);
    ck_assert_uint_eq(data[2], 0xff);
    ck_assert_uint_eq(data[3], 0xff);
}
END_TEST

START_TEST(offload_checksum_offsets_beyond_the_frame_do_not_fit)
{
    struct net_offload o = {.needs_csum = true, .csum_start = 34, .csum_offset = 16};
    ck_assert(csum_fits(&o, 52));
    ck_assert(!csum_fits(&o, 51));
    ck_assert(!csum_fits(&o, 34));
    ck_assert(!csum_fits(&o, 0));
    o.csum_start = 0xffff;
    o.csum_offset = 0xffff;
    ck_assert(!csum_fits(&o, NET_FRAME_MAX));
    o.csum_start = 0;
    ck_assert(!csum_fits(&o, 60));
}
END_TEST

/* Every piece is a sound frame, they follow each other, and together they are the data. */
static void cut(bool v6, uint8_t flags, size_t payload, uint16_t gso_size, unsigned pieces)
{
    size_t headers = v6 ? TCP6_HEADERS : TCP4_HEADERS, at = 0, n;
    size_t len = make_tcp(frame, v6, flags, payload, true);
    struct net_offload o = tso(v6, gso_size);
    struct segmenter s;
    unsigned count = 0;
    ck_assert(segment_begin(&s, frame, len, &o));
    ck_assert_uint_eq(s.pieces, pieces);
    while ((n = segment_next(&s, piece))) {
        size_t part = n - headers;
        bool last = ++count == pieces;
        ck_assert(frame_sound(piece, n));
        ck_assert_uint_eq(part, last ? payload - at : gso_size);
        ck_assert_uint_eq(seq(piece, v6), (uint32_t)(seq(frame, v6) + at));
        ck_assert_mem_eq(piece + headers, frame + headers + at, part);
        uint8_t got = piece[headers - 7], want = flags;
        if (!last)
            want &= (uint8_t) ~(FIN | PSH);
        if (count > 1)
            want &= (uint8_t)~CWR;
        ck_assert_uint_eq(got, want);
        if (!v6)
            ck_assert_uint_eq((uint16_t)(piece[18] << 8 | piece[19]), (uint16_t)(0xfffe + count - 1));
        at += part;
    }
    ck_assert_uint_eq(count, pieces);
    ck_assert_uint_eq(at, payload);
}

START_TEST(offload_cuts_long_segments)
{
    cut(_i, ACK | PSH, 4000, 1460, 3);
    cut(_i, ACK | PSH | FIN | CWR, 2920, 1460, 2);
    cut(_i, ACK, 1460, 1460, 1);
    cut(_i, ACK, 1, 1460, 1);
    cut(_i, ACK, 65000, 1448, 45);
    cut(_i, ACK, SEGMENTS_MAX, 1, SEGMENTS_MAX);
}
END_TEST

START_TEST(offload_keeps_a_vlan_tag)
{
    size_t len = make_tcp(frame, false, ACK, 3000, true), n;
    memmove(frame + 16, frame + 12, len - 12);
    memcpy(frame + 12, "\x81\x00\x00\x07", 4);
    struct net_offload o = tso(false, 1000);
    struct segmenter s;
    unsigned count = 0;
    ck_assert(segment_begin(&s, frame, len + 4, &o));
    while ((n = segment_next(&s, piece))) {
        ck_assert_mem_eq(piece + 12, "\x81\x00\x00\x07\x08\x00", 6);
        memmove(piece + 12, piece + 16, n - 16);
        ck_assert(frame_sound(piece, n - 4));
        count++;
    }
    ck_assert_uint_eq(count, 3);
}
END_TEST

START_TEST(offload_refuses_what_it_cannot_cut)
{
    struct segmenter s;
    struct net_offload o4 = tso(false, 1000), o6 = tso(true, 1000), none = tso(false, 0);
    size_t len = make_tcp(frame, false, ACK, 3000, true);
    ck_assert(segment_begin(&s, frame, len, &o4));
    ck_assert(!segment_begin(&s, frame, len, &o6));
    ck_assert(!segment_begin(&s, frame, len, &none));
    struct net_offload tiny = tso(false, 10);
    ck_assert(!segment_begin(&s, frame, len, &tiny)); /* 300 pieces */
    for (size_t cut_to = 0; cut_to < len; cut_to++)
        ck_assert(!segment_begin(&s, frame, cut_to, &o4));
    static const struct {
        unsigned at;
        uint8_t byte;
    } spoil[] = {{12, 0x86}, {14, 0x44}, {14, 0x4f}, {14, 0x65}, {23, 17}, {20, 0x20},
                 {21, 1},    {16, 0xff}, {46, 0x40}, {47, ACK | SYN}, {47, 4},
                 {47, ACK | URG}};
    for (size_t i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
        len = make_tcp(frame, false, ACK, 3000, true);
        frame[spoil[i].at] = spoil[i].byte;
        if (spoil[i].at == 14 && spoil[i].byte == 0x4f)
            continue; /* options: still a TCP frame perhaps; it must only not crash */
        ck_assert_msg(!segment_begin(&s, frame, len, &o4), "spoilt byte %u", spoil[i].at);
    }
    len = make_tcp(frame, true, ACK, 3000, true);
    frame[20] = 44; /* a fragment header */
    ck_assert(!segment_begin(&s, frame, len, &o6));
}
END_TEST

START_TEST(offload_marks_long_segments_for_cutting)
{
    struct net_offload o;
    size_t len = make_tcp(frame, _i, ACK | PSH, 30000, false);
    ck_assert(tcp_frame_unfinish(frame, len, 1440, &o));
    ck_assert_uint_eq(o.gso, _i ? NET_GSO_TCP6 : NET_GSO_TCP4);
    ck_assert_uint_eq(o.gso_size, 1440);
    ck_assert(o.needs_csum);
    make_tcp(piece, _i, ACK | PSH, 30000, true); /* the driver's form of the same frame */
    ck_assert_mem_eq(frame, piece, len);
    ck_assert(tcp_frame_unfinish(frame, len, 1440, &o)); /* twice is once */
    ck_assert_mem_eq(frame, piece, len);
    csum_finish(frame, len, &o);
    ck_assert(frame_sound(frame, len));
    len = make_tcp(frame, _i, ACK, 1440, false);
    ck_assert(!tcp_frame_unfinish(frame, len, 1440, &o));
}
END_TEST

/* Options behind the TCP header of an empty segment. */
static size_t with_options(uint8_t flags, const void *options, size_t bytes)
{
    size_t len = make_tcp(frame, false, flags, bytes, false);
    memcpy(frame + TCP4_HEADERS, options, bytes);
    frame[46] = (uint8_t)((5 + bytes / 4) << 4);
    frame[50] = frame[51] = 0;
    struct net_offload o = tso(false, 1);
    uint16_t pseudo = 0;
    make_tcp(piece, false, flags, bytes, true);
    memcpy(&pseudo, piece + 50, 2);
    memcpy(frame + 50, &pseudo, 2);
    csum_finish(frame, len, &o);
    return len;
}

START_TEST(offload_raises_the_mss_of_a_syn)
{
    size_t len = with_options(SYN, "\x02\x04\x05\xb4\x01\x03\x03\x07", 8);
    ck_assert(frame_sound(frame, len));
    ck_assert(tcp_raise_mss(frame, len, 32768));
    ck_assert_mem_eq(frame + TCP4_HEADERS, "\x02\x04\x80\x00", 4);
    ck_assert(frame_sound(frame, len));
    len = with_options(SYN | ACK, "\x01\x01\x02\x04\x05\xb4\x00\x00", 8);
    ck_assert(tcp_raise_mss(frame, len, 32768));
    ck_assert(frame_sound(frame, len));
}
END_TEST

START_TEST(offload_leaves_other_segments_alone)
{
    static const struct {
        uint8_t flags;
        const char *options;
    } cases[] = {
        {ACK, "\x02\x04\x05\xb4\x01\x03\x03\x07"}, {SYN, "\x00\x02\x04\x05\xb4\x00\x00\x00"},
        {SYN, "\x03\x00\x02\x04\x05\xb4\x00\x00"}, {SYN, "\x03\xff\x02\x04\x05\xb4\x00\x00"},
        {SYN, "\x01\x02\x04\x05\xb4\x00\x00\x00"}, {SYN, "\x01\x01\x01\x01\x01\x02\x04\x05"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = with_options(cases[i].flags, cases[i].options, 8);
        memcpy(piece, frame, len);
        ck_assert_msg(!tcp_raise_mss(frame, len, 32768), "case %zu", i);
        ck_assert_mem_eq(frame, piece, len);
    }
}
END_TEST

START_TEST(offload_clears_urgent_data)
{
    size_t len = make_tcp(frame, _i, ACK | URG, 100, false);
    ck_assert(frame_sound(frame, len));
    tcp_clear_urgent(frame, len);
    ck_assert_uint_eq(frame[(_i ? 54 : 34) + 13], ACK);
    ck_assert(frame_sound(frame, len));
}
END_TEST

START_TEST(offload_fragments_long_packets)
{
    struct fragmenter f;
    size_t len = make_tcp(frame, false, 0, 4000, false), at = 34, n;
    unsigned count = 0;
    ck_assert(!fragment_begin(&f, frame, len, 1500)); /* TCP */
    frame[23] = 17;
    ck_assert(!fragment_begin(&f, frame, len, 4040)); /* it fits */
    ck_assert(!fragment_begin(&f, frame, len - 1, 1500));
    ck_assert(fragment_begin(&f, frame, len, 1500));
    while ((n = fragment_next(&f, piece))) {
        unsigned word = (unsigned)piece[20] << 8 | piece[21];
        bool last = at + n - 34 == len;
        ck_assert_uint_le(n, 1514);
        ck_assert_uint_eq(word, (at - 34) / 8 | (last ? 0 : 0x2000));
        ck_assert_uint_eq((unsigned)piece[16] << 8 | piece[17], n - 14);
        ck_assert_uint_eq(inet_fold(inet_sum(piece + 14, 20, 0)), 0xffff);
        ck_assert_mem_eq(piece + 34, frame + at, n - 34);
        at += n - 34;
        count++;
    }
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(at, len);
    frame[20] = 0x20; /* a fragment already */
    ck_assert(!fragment_begin(&f, frame, len, 1500));
}
END_TEST

START_TEST(offload_survives_any_bytes)
{
    uint64_t x = 0x9e3779b97f4a7c15ull;
    struct segmenter s;
    struct fragmenter fr;
    for (unsigned n = 0; n < 20000; n++) {
        size_t len = make_tcp(frame, n & 1, ACK | (n & 2 ? SYN : 0), 200 + n % 100, true);
        for (unsigned k = 0; k < 4; k++) {
            random_next(&x);
            frame[(x >> 8) % 80] = (uint8_t)x;
        }
        struct net_offload o = tso(n & 1, (uint16_t)(1 + (x >> 32) % 300));
        len -= (x >> 20) % len;
        uint8_t *copy = malloc(len ? len : 1); /* to the byte, for the sanitizers */
        memcpy(copy, frame, len);
        if (segment_begin(&s, copy, len, &o)) {
            while (segment_next(&s, piece))
                ;
        }
        if (fragment_begin(&fr, copy, len, 28 + (unsigned)(x >> 40) % 100)) {
            while (fragment_next(&fr, piece))
                ;
        }
        tcp_clear_urgent(copy, len);
        tcp_raise_mss(copy, len, 9000);
        tcp_frame_unfinish(copy, len, 100, &o);
        free(copy);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_offload");
    TCase *t = tcase_create("offload");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, offload_finishes_checksums_of_every_length, 0, 2);
    tcase_add_test(t, offload_checksum_never_becomes_zero);
    tcase_add_test(t, offload_checksum_offsets_beyond_the_frame_do_not_fit);
    tcase_add_loop_test(t, offload_cuts_long_segments, 0, 2);
    tcase_add_test(t, offload_keeps_a_vlan_tag);
    tcase_add_test(t, offload_refuses_what_it_cannot_cut);
    tcase_add_loop_test(t, offload_marks_long_segments_for_cutting, 0, 2);
    tcase_add_test(t, offload_raises_the_mss_of_a_syn);
    tcase_add_test(t, offload_leaves_other_segments_alone);
    tcase_add_loop_test(t, offload_clears_urgent_data, 0, 2);
    tcase_add_test(t, offload_fragments_long_packets);
    tcase_add_test(t, offload_survives_any_bytes);
    suite_add_tcase(s, t);
    return suite_run(s);
}
