// SPDX-License-Identifier: MIT
//
// See stream.h.
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define XZ_MEMORY_MAX MIB(160)
#define ZSTD_WINDOW_LOG_MAX 27 /* what the kernel's own zstd -22 --ultra asks for */

static int gzip_start(union stream_state *s)
{
    s->zlib = (z_stream){0};
    return inflateInit2(&s->zlib, 16 + MAX_WBITS) == Z_OK ? 0 : -1;
}

static int gzip_step(union stream_state *s, struct window *w)
{
    s->zlib.next_in = w->in;
    s->zlib.avail_in = (uInt)w->in_len;
    s->zlib.next_out = w->out;
    s->zlib.avail_out = (uInt)w->out_len;
    int ret = inflate(&s->zlib, Z_NO_FLUSH);
    *w = (struct window){s->zlib.next_in, s->zlib.avail_in, s->zlib.next_out, s->zlib.avail_out};
    if (ret == Z_STREAM_END)
        return 1;
    return ret == Z_OK || ret == Z_BUF_ERROR ? 0 : -1;
}

static void gzip_end(union stream_state *s)
{
    inflateEnd(&s->zlib);
}

static int xz_start(union stream_state *s)
{
    s->lzma = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(&s->lzma, XZ_MEMORY_MAX, 0) == LZMA_OK ? 0 : -1;
}

static int xz_step(union stream_state *s, struct window *w)
{
    s->lzma.next_in = w->in;
    s->lzma.avail_in = w->in_len;
    s->lzma.next_out = w->out;
    s->lzma.avail_out = w->out_len;
    lzma_ret ret = lzma_code(&s->lzma, LZMA_RUN);
    *w = (struct window){s->lzma.next_in, s->lzma.avail_in, s->lzma.next_out, s->lzma.avail_out};
    if (ret == LZMA_STREAM_END)
        return 1;
    return ret == LZMA_OK || ret == LZMA_BUF_ERROR ? 0 : -1;
}

static void xz_end(union stream_state *s)
{
    lzma_end(&s->lzma);
}

static int zstd_start(union stream_state *s)
{
    s->zstd = ZSTD_createDStream();
    if (!s->zstd)
        return -1;
    if (!ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
        return 0;
    ZSTD_freeDStream(s->zstd);
    return -1;
}

static int zstd_step(union stream_state *s, struct window *w)
{
    ZSTD_inBuffer in = {.src = w->in, .size = w->in_len};
    ZSTD_outBuffer out = {.dst = w->out, .size = w->out_len};
    size_t ret = ZSTD_decompressStream(s->zstd, &out, &in);
    *w =
        (struct window){w->in + in.pos, w->in_len - in.pos, w->out + out.pos, w->out_len - out.pos};
    if (ZSTD_isError(ret))
        return -1;
    return ret == 0;
}

static void zstd_end(union stream_state *s)
{
    ZSTD_freeDStream(s->zstd);
}

const struct stream_ops stream_gzip = {gzip_start, gzip_step, gzip_end};
const struct stream_ops stream_xz = {xz_start, xz_step, xz_end};
const struct stream_ops stream_zstd = {zstd_start, zstd_step, zstd_end};

const struct stream_ops *stream_find(const uint8_t *data, size_t len)
{
    static const struct {
        uint8_t len, magic[6];
        const struct stream_ops *ops;
    } kinds[] = {
        {2, {0x1f, 0x8b}, &stream_gzip},
        {6, {0xfd, '7', 'z', 'X', 'Z', 0}, &stream_xz},
        {4, {0x28, 0xb5, 0x2f, 0xfd}, &stream_zstd},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (len >= kinds[i].len && !memcmp(data, kinds[i].magic, kinds[i].len))
            return kinds[i].ops;
    }
    return NULL;
}

/* Twice the room, up to max. */
static int grow(uint8_t **data, size_t *room, size_t max)
{
    if (*room == max)
        return -E2BIG;
    size_t more = *room ? *room * 2 : KIB(64);
    if (more > max)
        more = max;
    uint8_t *bigger = realloc(*data, more);
    if (!bigger)
        return -ENOMEM;
    *data = bigger;
    *room = more;
    return 0;
}

int stream_unpack(const struct stream_ops *ops, const uint8_t *in, size_t len, size_t max,
                  uint8_t **out, size_t *out_len)
{
    union stream_state s;
    uint8_t *data = NULL;
    size_t room = 0, done = 0;
    struct window w = {.in = in, .in_len = len};
    if (ops->start(&s) < 0)
        return -ENOMEM;
    int rc = 0;
    for (bool ended = false; !rc && !ended;) {
        if (done == room)
            rc = grow(&data, &room, max);
        if (rc)
            break;
        w.out = data + done;
        w.out_len = room - done;
        size_t before = w.in_len;
        int step = ops->step(&s, &w);
        bool moved = w.in_len != before || w.out_len != room - done;
        done = room - w.out_len;
        ended = step == 1;
        if (step < 0 || (!ended && !moved))
            rc = -EBADMSG;
    }
    ops->end(&s);
    if (rc) {
        free(data);
        return rc;
    }
    *out = data;
    *out_len = done;
    return 0;
}
