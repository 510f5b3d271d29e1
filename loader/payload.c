// SPDX-License-Identifier: MIT
//
// Unpacking a bzImage payload on the host: gzip, xz, zstd (stream.h), LZ4 in its legacy frame
// (liblz4). The first three run through one loop that moves a small window over input
// and output. LZ4 legacy has independent blocks of 8 MiB each, so blocks before the wanted range
// are skipped unread. Left out: bzip2, lzma and lzo, which no distribution kernel uses any more;
// the guest can still unpack them itself. Buffers are mmap'ed and unmapped, so that nothing of them
// stays in the heap.
#include "payload.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <string.h>
#include <sys/mman.h>

#include "plan.h"
#include "stream.h"
#include "util.h"

#define WINDOW KIB(256)        /* of input and of output: small enough to stay in the cache */
#define UNPACKED_MAX MIB(1024) /* a size beyond this is a lie */
#define LZ4_BLOCK MIB(8)

struct payload_codec {
    const char *name;
    uint8_t magic_len;
    uint8_t magic[6];
    bool size_is_trailer; /* the last four bytes belong to the format itself */
    bool legacy_lz4;
    const struct stream_ops *stream; /* NULL and not lz4: known, but not supported */
};

static const struct payload_codec codecs[] = {
    {.name = "gzip",
     .magic_len = 2,
     .magic = {0x1f, 0x8b},
     .size_is_trailer = true,
     .stream = &stream_gzip},
    {.name = "xz", .magic_len = 6, .magic = {0xfd, '7', 'z', 'X', 'Z', 0}, .stream = &stream_xz},
    {.name = "zstd", .magic_len = 4, .magic = {0x28, 0xb5, 0x2f, 0xfd}, .stream = &stream_zstd},
    {.name = "lz4", .magic_len = 4, .magic = {0x02, 0x21, 0x4c, 0x18}, .legacy_lz4 = true},
    {.name = "bzip2", .magic_len = 3, .magic = {'B', 'Z', 'h'}},
    {.name = "lzma", .magic_len = 3, .magic = {0x5d, 0, 0}},
    {.name = "lzo", .magic_len = 4, .magic = {0x89, 'L', 'Z', 'O'}},
};

const char *payload_format(const struct payload *payload)
{
    return payload->codec->name;
}

static const struct payload_codec *find_codec(const uint8_t *magic)
{
    for (unsigned i = 0; i < ARRAY_LEN(codecs); i++)
        if (!memcmp(magic, codecs[i].magic, codecs[i].magic_len))
            return &codecs[i];
    return NULL;
}

int payload_open(struct payload *payload, const struct boot_file *file, uint64_t offset,
                 uint64_t length, struct err *err)
{
    uint8_t magic[6], size[4];
    if (length < sizeof magic + sizeof size)
        return err_set(err, ENOTSUP, "kernel '%s' has no compressed payload", file->path);
    if (!range_fits(offset, length, file->size))
        return err_set(err, EINVAL,
                       "kernel '%s': truncated bzImage: the payload ends at byte %" PRIu64
                       ", the file has %" PRIu64,
                       file->path, offset + length, file->size);
    int ret = boot_file_read(file, offset, magic, sizeof magic, err);
    if (ret == 0)
        ret = boot_file_read(file, offset + length - sizeof size, size, sizeof size, err);
    if (ret < 0)
        return ret;

    const struct payload_codec *codec = find_codec(magic);
    if (!codec)
        return err_set(err, ENOTSUP,
                       "kernel '%s': unknown compression (payload starts %02x %02x %02x %02x)",
                       file->path, magic[0], magic[1], magic[2], magic[3]);
    if (!codec->stream && !codec->legacy_lz4)
        return err_set(err, ENOTSUP, "kernel '%s': unpacking %s is not supported", file->path,
                       codec->name);
    *payload = (struct payload){
        .file = file,
        .offset = offset,
        .length = codec->size_is_trailer ? length : length - sizeof size,
        .size = load_le32(size),
        .codec = codec,
    };
    if (!payload->size || payload->size > UNPACKED_MAX)
        return err_set(err, EINVAL,
                       "kernel '%s': the %s payload claims to unpack to %" PRIu64 " bytes",
                       file->path, codec->name, payload->size);
    return 0;
}

/* An anonymous mapping; huge pages where the host has them, as the pages are touched once each. */
static uint8_t *buffer_map(size_t size)
{
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED)
        return NULL;
    madvise(mem, size, MADV_HUGEPAGE);
    return mem;
}

static int corrupt(const struct payload *p, const char *why, struct err *err)
{
    return err_set(err, EBADMSG, "kernel '%s': corrupt %s payload: %s", p->file->path,
                   p->codec->name, why);
}

struct job {
    const struct payload *p;
    uint64_t from, to;
    payload_put *put;
    void *opaque;
};

/* Hand over the wanted part of [offset, offset+len). */
static void deliver(const struct job *job, uint64_t offset, const uint8_t *data, size_t len)
{
    uint64_t start = offset > job->from ? offset : job->from;
    uint64_t end = offset + len < job->to ? offset + len : job->to;
    if (start < end)
        job->put(job->opaque, start, data + (start - offset), (size_t)(end - start));
}

/* Fill the input window when it has run dry. */
static int refill(const struct payload *p, uint8_t *buf, struct window *w, uint64_t *consumed,
                  struct err *err)
{
    uint64_t left = p->length - *consumed;
    if (w->in_len || !left)
        return 0;
    w->in_len = left < WINDOW ? (size_t)left : WINDOW;
    w->in = buf;
    int ret = boot_file_read(p->file, p->offset + *consumed, buf, w->in_len, err);
    *consumed += w->in_len;
    return ret;
}

static int stream_loop(const struct job *job, union stream_state *s, uint8_t *in, uint8_t *out,
                       struct err *err)
{
    const struct payload *p = job->p;
    struct window w = {0};
    uint64_t consumed = 0, produced = 0;
    bool verify = job->to == p->size;

    for (;;) {
        int ret = refill(p, in, &w, &consumed, err);
        if (ret < 0)
            return ret;
        bool starved = !w.in_len;
        w.out = out;
        w.out_len = WINDOW;
        int step = p->codec->stream->step(s, &w);
        size_t got = WINDOW - w.out_len;
        if (step < 0)
            return corrupt(p, "bad data", err);
        if (got > p->size - produced)
            return corrupt(p, "longer than its size field says", err);
        deliver(job, produced, out, got);
        produced += got;
        if (step == 1)
            break;
        if (!verify && produced >= job->to)
            return 0;
        if (starved && !got)
            return corrupt(p, "ends early", err);
    }
    if (produced != p->size)
        return corrupt(p, "shorter than its size field says", err);
    return 0;
}

static int unpack_stream(const struct job *job, struct err *err)
{
    const struct payload *p = job->p;
    union stream_state s;
    uint8_t *buf = buffer_map(2 * WINDOW);
    if (!buf || p->codec->stream->start(&s) < 0) {
        if (buf)
            munmap(buf, 2 * WINDOW);
        return err_set(err, ENOMEM, "out of memory unpacking kernel '%s'", p->file->path);
    }
    int ret = stream_loop(job, &s, buf, buf + WINDOW, err);
    p->codec->stream->end(&s);
    munmap(buf, 2 * WINDOW);
    return ret;
}

/*
 * One block: its length field is checked and its bytes are in `in`. Gives unpacked bytes or -errno.
 */
static int lz4_block(const struct job *job, uint64_t produced, const uint8_t *in, uint32_t in_len,
                     uint8_t *out, struct err *err)
{
    const struct payload *p = job->p;
    uint64_t left = p->size - produced;
    int expect = (int)(left < LZ4_BLOCK ? left : LZ4_BLOCK);
    bool whole = job->to >= produced + (uint64_t)expect;
    int want = whole ? expect : (int)(job->to - produced);
    /* A bound of LZ4_BLOCK, not of `expect`, so that excess data is seen as such. */
    int n = whole ? LZ4_decompress_safe((const char *)in, (char *)out, (int)in_len, LZ4_BLOCK)
                  : LZ4_decompress_safe_partial((const char *)in, (char *)out, (int)in_len, want,
                                                LZ4_BLOCK);
    if (n < 0)
        return corrupt(p, "bad data", err);
    if (n < want)
        return corrupt(p, "a block is shorter than it should be", err);
    if (whole && n > want)
        return corrupt(p, "longer than its size field says", err);
    deliver(job, produced, out, (size_t)n);
    return expect;
}

static int lz4_loop(const struct job *job, uint8_t *in, uint8_t *out, struct err *err)
{
    const struct payload *p = job->p;
    uint64_t at = sizeof(uint32_t), produced = 0; /* after the magic */

    while (produced < job->to) {
        uint8_t field[4];
        if (!range_fits(at, sizeof field, p->length))
            return corrupt(p, "ends early", err);
        int ret = boot_file_read(p->file, p->offset + at, field, sizeof field, err);
        if (ret < 0)
            return ret;
        uint32_t in_len = load_le32(field);
        at += sizeof field;
        if (!in_len || in_len > LZ4_COMPRESSBOUND(LZ4_BLOCK) || !range_fits(at, in_len, p->length))
            return corrupt(p, "a block length is out of bounds", err);
        if (produced + LZ4_BLOCK > job->from) {
            ret = boot_file_read(p->file, p->offset + at, in, in_len, err);
            if (ret == 0)
                ret = lz4_block(job, produced, in, in_len, out, err);
            if (ret < 0)
                return ret;
        }
        at += in_len;
        produced += LZ4_BLOCK;
    }
    if (job->to == p->size && at != p->length)
        return corrupt(p, "longer than its size field says", err);
    return 0;
}

static int unpack_lz4(const struct job *job, struct err *err)
{
    const size_t in_size = align_up(LZ4_COMPRESSBOUND(LZ4_BLOCK), MIB(2));
    uint8_t *buf = buffer_map(in_size + LZ4_BLOCK);
    if (!buf)
        return err_set(err, ENOMEM, "out of memory unpacking kernel '%s'", job->p->file->path);
    int ret = lz4_loop(job, buf, buf + in_size, err);
    munmap(buf, in_size + LZ4_BLOCK);
    return ret;
}

int payload_unpack(const struct payload *payload, uint64_t from, uint64_t to, payload_put *put,
                   void *opaque, struct err *err)
{
    const struct job job = {.p = payload, .from = from, .to = to, .put = put, .opaque = opaque};
    if (from > to || to > payload->size)
        return corrupt(payload, "shorter than the kernel in it", err);
    return payload->codec->legacy_lz4 ? unpack_lz4(&job, err) : unpack_stream(&job, err);
}

struct read_target {
    uint64_t from;
    uint8_t *buf;
};

static void put_buffer(void *opaque, uint64_t offset, const uint8_t *data, size_t len)
{
    const struct read_target *target = opaque;
    memcpy(target->buf + (offset - target->from), data, len);
}

int payload_read(const struct payload *payload, uint64_t from, void *buf, size_t len,
                 struct err *err)
{
    struct read_target target = {.from = from, .buf = buf};
    return payload_unpack(payload, from, from + len, put_buffer, &target, err);
}
