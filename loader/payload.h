// SPDX-License-Identifier: MIT
//
// The compressed payload of a bzImage, unpacked on the host as a stream: nobody ever holds all of
// it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loader.h"

struct payload_codec;

struct payload {
    const struct boot_file *file;
    uint64_t offset,
        length;    /* of the compressed bytes in the file, without the size field after them */
    uint64_t size; /* unpacked, as the file says; checked while unpacking */
    const struct payload_codec *codec;
};

/*
 * Describe the payload at [offset, offset+length) of the file, which includes its last four bytes,
 * the unpacked size. -ENOTSUP: nothing we can unpack; -EINVAL: malformed.
 */
int payload_open(struct payload *payload, const struct boot_file *file, uint64_t offset,
                 uint64_t length, struct err *err);

const char *payload_format(const struct payload *payload);

/* Takes unpacked bytes in ascending order; `offset` counts from the start of the unpacked data. */
typedef void payload_put(void *opaque, uint64_t offset, const uint8_t *data, size_t len);

/*
 * Unpack and hand over at least [from, to), and no more than needed for that. When `to` is the
 * whole size, the end and the checksums are verified too. -EBADMSG: corrupt.
 */
int payload_unpack(const struct payload *payload, uint64_t from, uint64_t to, payload_put *put,
                   void *opaque, struct err *err);

/* Exactly [from, from+len) into buf. */
int payload_read(const struct payload *payload, uint64_t from, void *buf, size_t len,
                 struct err *err);
