// SPDX-License-Identifier: MIT
//
// Checksums (RFC 1071, incremental as in RFC 1624) and TCP segmentation in software; see offload.h.
// Left out: UDP segmentation, tunnels, IPv6 extension headers (such frames are not cut, and a
// driver does not ask for it unless it was offered).
#include "devices/net/offload.h"

#include <string.h>

#include "util.h"

#define ETH_TYPE 12
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_IP6 0x86dd
#define ETH_TYPE_VLAN 0x8100
#define VLAN_TAG 4

#define IP4_HEADER 20
#define IP6_HEADER 40
#define TCP_HEADER 20
#define PROTO_TCP 6

#define TCP_SEQ 4
#define TCP_DATA_OFFSET 12
#define TCP_FLAGS 13
#define TCP_CSUM 16
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_URG 0x20
#define TCP_CWR 0x80

static uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

static void store_be16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void store_be32(uint8_t *p, uint32_t v)
{
    store_be16(p, v >> 16);
    store_be16(p + 2, v & 0xffff);
}

/* --- checksums --- */

/* Sums of 32-bit words in 64 bits: 2^32 of them before anything is lost, and the order of bytes
 * does not matter until the end. */
uint64_t inet_sum(const uint8_t *data, size_t len, uint64_t sum)
{
    uint64_t a = 0, b = 0;
    for (; len >= 16; data += 16, len -= 16) {
        uint64_t x = load_le64(data), y = load_le64(data + 8);
        a += (x & 0xffffffff) + (x >> 32);
        b += (y & 0xffffffff) + (y >> 32);
    }
    for (; len >= 2; data += 2, len -= 2)
        a += load_le16(data);
    if (len)
        a += *data;
    return sum + a + b;
}

uint16_t inet_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void put_csum(uint8_t *at, uint64_t sum)
{
    uint16_t c = (uint16_t)~inet_fold(sum);
    store_le16(at, c);
}

bool csum_fits(const struct net_offload *offload, size_t len)
{
    return offload->csum_start < len &&
           (size_t)offload->csum_start + offload->csum_offset + 2 <= len;
}

/* The driver left the pseudo header's sum in the field, so it is part of what is added up. */
void csum_finish(uint8_t *frame, size_t len, const struct net_offload *offload)
{
    uint8_t *at = frame + offload->csum_start + offload->csum_offset;
    uint64_t sum = inet_sum(frame + offload->csum_start, len - offload->csum_start, 0);
    put_csum(at, sum);
    if (!load_le16(at))
        store_le16(at, 0xffff); /* the same number; to UDP a zero would say that there is none */
}

/* Addresses, protocol and length, as TCP's checksum has them. */
static uint64_t pseudo_sum(const uint8_t *frame, const struct tcp_frame *t, size_t tcp_len)
{
    const uint8_t *addresses = frame + t->ip + (t->v6 ? 8 : 12);
    uint8_t tail[8] = {0};
    store_be32(tail, (uint32_t)tcp_len);
    tail[7] = PROTO_TCP;
    return inet_sum(tail, sizeof tail, inet_sum(addresses, t->v6 ? 32 : 8, 0));
}

/* --- headers --- */

static bool ip4_parse(const uint8_t *frame, size_t len, struct tcp_frame *t)
{
    const uint8_t *ip = frame + t->ip;
    if (len - t->ip < IP4_HEADER || ip[0] >> 4 != 4)
        return false;
    size_t header = (size_t)(ip[0] & 15) * 4, total = load_be16(ip + 2);
    bool fragment = load_be16(ip + 6) & 0x3fff;
    if (header < IP4_HEADER || total < header || total > len - t->ip || fragment ||
        ip[9] != PROTO_TCP)
        return false;
    t->tcp = (unsigned)(t->ip + header);
    t->end = (unsigned)(t->ip + total);
    return true;
}

static bool ip6_parse(const uint8_t *frame, size_t len, struct tcp_frame *t)
{
    const uint8_t *ip = frame + t->ip;
    if (len - t->ip < IP6_HEADER || ip[0] >> 4 != 6 || ip[6] != PROTO_TCP)
        return false;
    size_t payload = load_be16(ip + 4);
    if (payload > len - t->ip - IP6_HEADER)
        return false;
    t->tcp = t->ip + IP6_HEADER;
    t->end = (unsigned)(t->tcp + payload);
    t->v6 = true;
    return true;
}

/* False: not TCP, not whole, a fragment, or with headers that contradict each other. */
static bool tcp_frame_parse(const uint8_t *frame, size_t len, struct tcp_frame *t)
{
    *t = (struct tcp_frame){.ip = NET_ETH_HEADER};
    if (len < NET_ETH_HEADER + VLAN_TAG)
        return false;
    unsigned type = load_be16(frame + ETH_TYPE);
    if (type == ETH_TYPE_VLAN) {
        type = load_be16(frame + ETH_TYPE + VLAN_TAG);
        t->ip += VLAN_TAG;
    }
    bool found = type == ETH_TYPE_IP4   ? ip4_parse(frame, len, t)
                 : type == ETH_TYPE_IP6 ? ip6_parse(frame, len, t)
                                        : false;
    if (!found || t->end - t->tcp < TCP_HEADER)
        return false;
    unsigned header = (unsigned)(frame[t->tcp + TCP_DATA_OFFSET] >> 4) * 4;
    if (header < TCP_HEADER || header > t->end - t->tcp)
        return false;
    t->payload = t->tcp + header;
    return true;
}

/* --- segmentation --- */

bool segment_begin(struct segmenter *s, const uint8_t *frame, size_t len,
                   const struct net_offload *offload)
{
    *s = (struct segmenter){.frame = frame, .gso_size = offload->gso_size};
    if (!offload->gso_size || !tcp_frame_parse(frame, len, &s->tcp) ||
        s->tcp.v6 != (offload->gso == NET_GSO_TCP6))
        return false;
    if (frame[s->tcp.tcp + TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG))
        return false;
    size_t payload = s->tcp.end - s->tcp.payload;
    size_t pieces = payload ? (payload + offload->gso_size - 1) / offload->gso_size : 1;
    if (pieces > SEGMENTS_MAX)
        return false;
    s->at = s->tcp.payload;
    s->pieces = (unsigned)pieces;
    return true;
}

static void patch_ip(uint8_t *out, const struct tcp_frame *t, unsigned index, size_t end)
{
    uint8_t *ip = out + t->ip;
    if (t->v6) {
        store_be16(ip + 4, (unsigned)(end - t->tcp));
        return;
    }
    store_be16(ip + 2, (unsigned)(end - t->ip));
    store_be16(ip + 4, (load_be16(ip + 4) + index) & 0xffff);
    store_be16(ip + 10, 0);
    put_csum(ip + 10, inet_sum(ip, t->tcp - t->ip, 0));
}

static void patch_tcp(uint8_t *out, const struct segmenter *s, size_t end, bool last)
{
    const struct tcp_frame *t = &s->tcp;
    uint8_t *tcp = out + t->tcp;
    store_be32(tcp + TCP_SEQ, load_be32(tcp + TCP_SEQ) + (uint32_t)(s->at - t->payload));
    if (!last)
        tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (s->index) /* only the first piece says that the window was reduced */
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    store_be16(tcp + TCP_CSUM, 0);
    put_csum(tcp + TCP_CSUM, inet_sum(tcp, end - t->tcp, pseudo_sum(out, t, end - t->tcp)));
}

size_t segment_next(struct segmenter *s, uint8_t *out)
{
    const struct tcp_frame *t = &s->tcp;
    if (s->index == s->pieces)
        return 0;
    bool last = s->index + 1 == s->pieces;
    size_t part = last ? t->end - s->at : s->gso_size, end = t->payload + part;
    memcpy(out, s->frame, t->payload);
    memcpy(out + t->payload, s->frame + s->at, part);
    patch_ip(out, t, s->index, end);
    patch_tcp(out, s, end, last);
    s->at += part;
    s->index++;
    return end;
}

/* --- fragments --- */

bool fragment_begin(struct fragmenter *f, const uint8_t *frame, size_t len, unsigned mtu)
{
    const uint8_t *ip = frame + NET_ETH_HEADER;
    if (len < NET_ETH_HEADER + IP4_HEADER || load_be16(frame + ETH_TYPE) != ETH_TYPE_IP4 ||
        ip[0] >> 4 != 4)
        return false;
    unsigned header = (ip[0] & 15u) * 4, total = load_be16(ip + 2);
    bool fragment = load_be16(ip + 6) & 0x3fff;
    if (header < IP4_HEADER || total < header || total > len - NET_ETH_HEADER || total <= mtu ||
        mtu < header + 8 || fragment || ip[9] == PROTO_TCP)
        return false;
    *f = (struct fragmenter){
        .frame = frame,
        .payload = NET_ETH_HEADER + header,
        .end = NET_ETH_HEADER + total,
        .step = (mtu - header) & ~7u,
        .at = NET_ETH_HEADER + header,
    };
    return true;
}

size_t fragment_next(struct fragmenter *f, uint8_t *out)
{
    enum { MORE = 0x2000 };
    uint8_t *ip = out + NET_ETH_HEADER;
    unsigned left = f->end - f->at, part = left < f->step ? left : f->step;
    if (!left)
        return 0;
    memcpy(out, f->frame, f->payload);
    memcpy(out + f->payload, f->frame + f->at, part);
    store_be16(ip + 2, f->payload - NET_ETH_HEADER + part);
    store_be16(ip + 6, (f->at - f->payload) / 8 | (part < left ? MORE : 0));
    store_be16(ip + 10, 0);
    put_csum(ip + 10, inet_sum(ip, f->payload - NET_ETH_HEADER, 0));
    f->at += part;
    return f->payload + part;
}

/* --- what the ends of a user network need --- */

bool tcp_frame_unfinish(uint8_t *frame, size_t len, uint16_t gso_size, struct net_offload *offload)
{
    struct tcp_frame t;
    if (!tcp_frame_parse(frame, len, &t) || t.end - t.payload <= gso_size)
        return false;
    uint16_t sum = inet_fold(pseudo_sum(frame, &t, t.end - t.tcp));
    store_le16(frame + t.tcp + TCP_CSUM, sum);
    *offload = (struct net_offload){
        .gso = t.v6 ? NET_GSO_TCP6 : NET_GSO_TCP4,
        .gso_size = gso_size,
        .needs_csum = true,
        .csum_start = (uint16_t)t.tcp,
        .csum_offset = TCP_CSUM,
    };
    return true;
}

/* One 16-bit word of what the TCP checksum covers becomes `now`. */
static void change_word(uint8_t *frame, const struct tcp_frame *t, unsigned at, uint16_t now)
{
    uint8_t *csum = frame + t->tcp + TCP_CSUM;
    uint16_t was = (uint16_t)~load_le16(csum), old = (uint16_t)~load_le16(frame + at);
    store_le16(frame + at, now);
    put_csum(csum, (uint64_t)was + old + now);
}

bool tcp_raise_mss(uint8_t *frame, size_t len, uint16_t mss)
{
    enum { END = 0, NOP = 1, MSS = 2, MSS_BYTES = 4 };
    struct tcp_frame t;
    if (!tcp_frame_parse(frame, len, &t) || !(frame[t.tcp + TCP_FLAGS] & TCP_SYN))
        return false;
    for (unsigned at = t.tcp + TCP_HEADER; at + MSS_BYTES <= t.payload;) {
        unsigned kind = frame[at], size = kind == NOP ? 1 : frame[at + 1];
        if (kind == END || !size)
            return false;
        if (kind == MSS && size == MSS_BYTES && (at - t.tcp) % 2 == 0) {
            change_word(frame, &t, at + 2, __builtin_bswap16(mss));
            return true;
        }
        at += size;
    }
    return false;
}

void tcp_clear_urgent(uint8_t *frame, size_t len)
{
    enum { TCP_URGENT = 18 };
    struct tcp_frame t;
    if (!tcp_frame_parse(frame, len, &t) || !(frame[t.tcp + TCP_FLAGS] & TCP_URG))
        return;
    unsigned at = t.tcp + TCP_DATA_OFFSET;
    change_word(frame, &t, at, load_le16(frame + at) & (uint16_t)~(TCP_URG << 8));
    change_word(frame, &t, t.tcp + TCP_URGENT, 0);
}
