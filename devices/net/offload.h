// SPDX-License-Identifier: MIT
//
// Offloads in software: finish a checksum, cut a long TCP segment into short ones, and say of a
// long one how it could be cut. Works on private copies of frames; every offset comes from a guest
// and is checked.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"

/* More pieces than this of one frame are not made: a guest that asks for it is up to no good. */
#define SEGMENTS_MAX 256

/* Ones' complement sum of bytes, not folded; add more to it, then fold. */
uint64_t inet_sum(const uint8_t *data, size_t len, uint64_t sum);
uint16_t inet_fold(uint64_t sum); /* as it lies in memory; complement it for a checksum */

/* Do the offset and the frame's length fit each other? */
bool csum_fits(const struct net_offload *offload, size_t len);
/* Put the checksum where it belongs. The offload must fit. */
void csum_finish(uint8_t *frame, size_t len, const struct net_offload *offload);

/* A TCP segment in an Ethernet frame (with up to one VLAN tag). */
struct tcp_frame {
    bool v6;
    unsigned ip, tcp, payload; /* offsets of headers and data */
    unsigned end;              /* of the IP packet; the frame may have padding behind it */
};

/* Cutting: begin once, then next until it gives 0. `frame` must stay as it is meanwhile. */
struct segmenter {
    const uint8_t *frame;
    struct tcp_frame tcp;
    uint16_t gso_size;
    size_t at;        /* next payload byte, offset in the frame */
    unsigned index;   /* pieces made so far */
    unsigned pieces;  /* to be made in all */
};
/* False: the frame is not what the offload says, or would give more than SEGMENTS_MAX pieces. */
bool segment_begin(struct segmenter *s, const uint8_t *frame, size_t len,
                   const struct net_offload *offload);
/* The next piece, checksums finished, in `out` (NET_FRAME_MAX bytes); its length, 0 at the end. */
size_t segment_next(struct segmenter *s, uint8_t *out);

/*
 * An IPv4 packet other than TCP in pieces that fit `mtu`, as a router makes them: begin once, then
 * next until it gives 0. False: short enough, or nothing that may be cut.
 */
struct fragmenter {
    const uint8_t *frame;
    unsigned payload, end; /* offsets in the frame */
    unsigned step;         /* bytes in a piece, a multiple of 8 */
    unsigned at;
};
bool fragment_begin(struct fragmenter *f, const uint8_t *frame, size_t len, unsigned mtu);
size_t fragment_next(struct fragmenter *f, uint8_t *out);

/*
 * A long TCP frame with a finished checksum becomes one that says how to cut it: pieces of
 * `gso_size`, checksum left to do (the pseudo header's is put in its place).
 */
bool tcp_frame_unfinish(uint8_t *frame, size_t len, uint16_t gso_size, struct net_offload *offload);

/* The MSS option of a TCP SYN becomes `mss`, checksum adjusted; false: not a SYN with one. */
bool tcp_raise_mss(uint8_t *frame, size_t len, uint16_t mss);

/* Urgent data becomes ordinary data: flag and pointer cleared, checksum adjusted. */
void tcp_clear_urgent(uint8_t *frame, size_t len);
