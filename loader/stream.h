// SPDX-License-Identifier: MIT
//
// Decompressors as streams behind one small interface: gzip (zlib), xz (liblzma), zstd (libzstd).
// For a kernel's payload, window by window, and for kernel modules, whole. Input is hostile.
#pragma once

#include <lzma.h>
#include <stddef.h>
#include <stdint.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>
#include <zstd.h>

/*
 * One decompressor with a state of its own. `step` advances both windows; it gives 1 at the end of
 * the stream.
 */
struct window {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
};

union stream_state {
    z_stream zlib;
    lzma_stream lzma;
    ZSTD_DStream *zstd;
};

struct stream_ops {
    int (*start)(union stream_state *s);
    int (*step)(union stream_state *s, struct window *w); /* 0 go on, 1 end, -1 corrupt */
    void (*end)(union stream_state *s);
};

extern const struct stream_ops stream_gzip, stream_xz, stream_zstd;

/* The one that a file's first bytes call for; NULL: none. */
const struct stream_ops *stream_find(const uint8_t *data, size_t len);

/*
 * Unpack all of in[0..len) into a new buffer of at most `max` bytes, the caller's to free.
 * -EBADMSG: corrupt or ending early; -E2BIG; -ENOMEM.
 */
int stream_unpack(const struct stream_ops *ops, const uint8_t *in, size_t len, size_t max,
                  uint8_t **out, size_t *out_len);
