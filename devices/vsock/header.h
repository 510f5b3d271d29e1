// SPDX-License-Identifier: MIT
//
// The header of a packet (virtio 1.2 section 5.10.6), as we have it and as it lies in memory.
#pragma once

#include <stdint.h>

#include "util.h"

#define VSOCK_HEADER_BYTES 44

struct vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len; /* of the payload */
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
};

static inline struct vsock_header vsock_header_load(const uint8_t *p)
{
    return (struct vsock_header){
        .src_cid = load_le64(p),
        .dst_cid = load_le64(p + 8),
        .src_port = load_le32(p + 16),
        .dst_port = load_le32(p + 20),
        .len = load_le32(p + 24),
        .type = load_le16(p + 28),
        .op = load_le16(p + 30),
        .flags = load_le32(p + 32),
        .buf_alloc = load_le32(p + 36),
        .fwd_cnt = load_le32(p + 40),
    };
}

static inline void vsock_header_store(uint8_t *p, const struct vsock_header *h)
{
    store_le64(p, h->src_cid);
    store_le64(p + 8, h->dst_cid);
    store_le32(p + 16, h->src_port);
    store_le32(p + 20, h->dst_port);
    store_le32(p + 24, h->len);
    store_le16(p + 28, h->type);
    store_le16(p + 30, h->op);
    store_le32(p + 32, h->flags);
    store_le32(p + 36, h->buf_alloc);
    store_le32(p + 40, h->fwd_cnt);
}
