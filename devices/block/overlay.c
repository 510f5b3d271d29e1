// SPDX-License-Identifier: MIT
//
// snapshot=on: a filter over two raw disks. What the guest writes goes to a scratch file at the
// same offsets, and a bitmap says for each unit of 512 bytes, the smallest the guest can write,
// which file has it. With a bit per smallest unit nothing is ever copied up, so requests need no
// order among themselves; the bitmap takes 1/4096 of the disk's size, and memory only for parts
// that are written. Bits are set when a write has succeeded: after a failed one (no space on the
// host) the guest still reads what was there before. FLUSH promises nothing, because all ends with
// the process.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends.h"
#include "util.h"

#define UNIT 512
#define WORD_BITS 64

struct overlay {
    struct block blk;
    struct block *base, *top; /* top uses base's engine */
    uint64_t *bits;
    size_t bits_bytes;
};

struct overlay_io {
    struct blk_req child; /* the piece under way */
    struct overlay *ov;
    struct blk_req *req;
    uint64_t pos;         /* bytes of req that are done */
    struct iovec iov[];   /* the child's slice of req's */
};

static bool bit(const struct overlay *ov, uint64_t unit)
{
    return ov->bits[unit / WORD_BITS] >> (unit % WORD_BITS) & 1;
}

static void set_bits(struct overlay *ov, uint64_t unit, uint64_t n)
{
    while (n) {
        uint64_t shift = unit % WORD_BITS;
        uint64_t here = n < WORD_BITS - shift ? n : WORD_BITS - shift;
        uint64_t mask = (here == WORD_BITS ? ~0ull : (1ull << here) - 1) << shift;
        ov->bits[unit / WORD_BITS] |= mask;
        unit += here;
        n -= here;
    }
}

/* How many units from here on, at most n, are in the same file as the first. */
static uint64_t run_length(const struct overlay *ov, uint64_t unit, uint64_t n)
{
    bool first = bit(ov, unit);
    uint64_t run = 1;
    while (run < n) {
        uint64_t at = unit + run;
        if (!(at % WORD_BITS) && n - run >= WORD_BITS &&
            ov->bits[at / WORD_BITS] == (first ? ~0ull : 0))
            run += WORD_BITS;
        else if (bit(ov, at) == first)
            run++;
        else
            break;
    }
    return run;
}

static unsigned slice_iov(struct iovec *out, const struct blk_req *req, uint64_t skip, uint64_t len)
{
    unsigned n = 0;
    for (unsigned i = 0; len; i++) {
        struct iovec cur = req->iov[i];
        if (skip >= cur.iov_len) {
            skip -= cur.iov_len;
            continue;
        }
        uint64_t step = cur.iov_len - skip < len ? cur.iov_len - skip : len;
        out[n++] = (struct iovec){(uint8_t *)cur.iov_base + skip, step};
        len -= step;
        skip = 0;
    }
    return n;
}

static void overlay_piece_done(struct blk_req *child);

/* A read goes run by run, each to the file that has it. */
static void overlay_read_next(struct overlay_io *io)
{
    struct overlay *ov = io->ov;
    uint64_t off = io->req->offset + io->pos;
    uint64_t units = run_length(ov, off / UNIT, (io->req->len - io->pos) / UNIT);
    io->child = (struct blk_req){.op = BLK_READ,
                                 .offset = off,
                                 .len = units * UNIT,
                                 .iov = io->iov,
                                 .done = overlay_piece_done};
    io->child.niov = slice_iov(io->iov, io->req, io->pos, io->child.len);
    block_submit(bit(ov, off / UNIT) ? ov->top : ov->base, &io->child);
}

static void overlay_write(struct overlay_io *io)
{
    io->child = *io->req;
    io->child.fua = false;
    io->child.done = overlay_piece_done;
    if (io->req->op != BLK_WRITE) { /* both leave zeroes */
        io->child.op = BLK_WRITE_ZEROES;
        io->child.unmap = true;
    }
    block_submit(io->ov->top, &io->child);
}

static void overlay_piece_done(struct blk_req *child)
{
    struct overlay_io *io = container_of(child, struct overlay_io, child);
    struct overlay *ov = io->ov;
    struct blk_req *req = io->req;
    int result = child->result;
    if (!result && child->op != BLK_READ)
        set_bits(ov, child->offset / UNIT, child->len / UNIT);
    io->pos += child->len;
    if (!result && io->pos < req->len) {
        overlay_read_next(io);
        return;
    }
    free(io);
    block_complete(&ov->blk, req, result);
}

static void overlay_submit(struct block *blk, struct blk_req *req)
{
    struct overlay *ov = container_of(blk, struct overlay, blk);
    if (req->op == BLK_FLUSH) {
        block_complete_late(blk, req, 0);
        return;
    }
    unsigned niov = req->op == BLK_READ ? req->niov : 0;
    struct overlay_io *io = calloc(1, sizeof *io + niov * sizeof io->iov[0]);
    if (!io) {
        block_complete_late(blk, req, -ENOMEM);
        return;
    }
    io->ov = ov;
    io->req = req;
    if (req->op == BLK_READ)
        overlay_read_next(io);
    else
        overlay_write(io);
}

static void overlay_commit(struct block *blk)
{
    block_commit(container_of(blk, struct overlay, blk)->base);
}

/* A piece that ends may start the next one in the other file. */
static void overlay_drain(struct block *blk)
{
    struct overlay *ov = container_of(blk, struct overlay, blk);
    while (blk->in_flight) {
        block_run_late(blk);
        block_drain(ov->top);
        block_drain(ov->base);
    }
}

static void overlay_fini(struct block *blk)
{
    struct overlay *ov = container_of(blk, struct overlay, blk);
    block_close(ov->top);
    block_close(ov->base);
    block_fini(blk);
    if (ov->bits)
        munmap(ov->bits, ov->bits_bytes);
    free(ov);
}

static const struct block_ops overlay_ops = {
    .submit = overlay_submit,
    .commit = overlay_commit,
    .drain = overlay_drain,
    .fini = overlay_fini,
};

static int make_bits(struct overlay *ov)
{
    ov->bits_bytes = align_up(ov->base->size / UNIT, WORD_BITS) / 8;
    void *bits = mmap(NULL, ov->bits_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bits == MAP_FAILED)
        return -errno;
    ov->bits = bits;
    return 0;
}

struct block *overlay_open(const struct block_config *cfg, const struct block_env *env,
                           const struct raw_seams *seams, struct err *err)
{
    struct overlay *ov = calloc(1, sizeof *ov);
    if (!ov) {
        err_set(err, ENOMEM, "no memory for a snapshot of disk '%s'", cfg->path);
        return NULL;
    }
    block_init(&ov->blk, &overlay_ops, env->events);
    ov->base = raw_open(cfg, env, seams, err);
    if (!ov->base)
        goto out;
    ov->top = raw_open_scratch(ov->base->size, env, raw_engine(ov->base), err);
    if (!ov->top)
        goto out;
    int r = make_bits(ov);
    if (r) {
        err_set_errno(err, -r, "no memory for a snapshot of disk '%s'", cfg->path);
        goto out;
    }
    ov->blk.size = ov->base->size;
    ov->blk.logical_block = ov->base->logical_block;
    ov->blk.physical_block = ov->base->physical_block;
    ov->blk.read_only = cfg->read_only;
    ov->blk.can_discard = !cfg->read_only;
    return &ov->blk;
out:
    overlay_fini(&ov->blk);
    return NULL;
}
