// SPDX-License-Identifier: MIT
//
// A raw disk: requests become host operations (engine.h), in steps. A step that must come after
// another starts when that one has finished, whichever engine does the work.
//
//   submit -> held -> running -> [sync] -> complete       FLUSH goes straight to sync
//
// held: where transfers wait for room or for a neighbour. Most pass straight through. Descriptors
// that bypass the page cache take aligned transfers only; others are cut and go through a bounce
// buffer, a few requests at a time. A write that ends within an aligned piece must read the piece
// and write it back (rmw), and may not meet another write meanwhile: it would put back old bytes.
// sync: one fdatasync at a time. The kernel reports a failed write-back to one caller only, so
// with two under way one could be told "all is well" about data that is lost. Flushes that arrive
// meanwhile share the next one.
#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "image.h"
#include "log.h"
#include "util.h"

#define BOUNCE_BYTES KIB(256)
#define BOUNCE_ALIGN 4096
#define BOUNCES_MAX 16

struct raw_io {
    struct host_op op;
    struct raw *raw;
    struct blk_req *req;
    struct raw_io *next;
    bool bounce, rmw;
    unsigned ways_tried; /* WRITE_ZEROES: into zero_modes */
    uint8_t *buf;        /* bounce: holds [span, span + span_len) of the disk */
    struct iovec buf_iov;
    uint64_t span, span_len;
    uint64_t pos, chunk; /* of the request: done so far, and what this span does */
};

struct raw_list {
    struct raw_io *head, **tail;
};

struct raw {
    struct block blk;
    struct image img;
    struct engine *engine;
    bool engine_is_ours;
    bool unsafe;     /* flushes promise nothing */
    struct raw_list held;
    unsigned writes, bounces; /* running */
    bool rmw;                 /* the running write is one */
    bool warned;              /* of an error of the host */
    unsigned modes_refused;   /* bit per zero_modes: the file system cannot */
    struct raw_list syncing, sync_next;
    struct host_op sync_op;
    bool sync_running;
    int sync_error;
};

/* How to write zeroes without sending any, best first: giving space back, then keeping it. */
static const struct zero_mode {
    int mode;
    bool unmaps;
} zero_modes[] = {
    {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true},
    {FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, false},
};

static void raw_list_init(struct raw_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void raw_list_add(struct raw_list *list, struct raw_io *io)
{
    io->next = NULL;
    *list->tail = io;
    list->tail = &io->next;
}

static struct raw_io *raw_list_take(struct raw_list *list)
{
    struct raw_io *io = list->head;
    if (io) {
        list->head = io->next;
        if (!list->head)
            list->tail = &list->head;
    }
    return io;
}

static void raw_list_move(struct raw_list *to, struct raw_list *from)
{
    struct raw_io *io;
    while ((io = raw_list_take(from)))
        raw_list_add(to, io);
}

static void raw_answer(struct raw_io *io, int result)
{
    struct raw *raw = io->raw;
    struct blk_req *req = io->req;
    free(io);
    block_complete(&raw->blk, req, result);
}

static void raw_answer_late(struct raw_io *io, int result)
{
    block_complete_late(&io->raw->blk, io->req, result);
    free(io);
}

/* --- sync --- */

static void raw_sync_done(struct host_op *op, int result);

static void raw_sync_start(struct raw *raw)
{
    raw_list_move(&raw->syncing, &raw->sync_next);
    raw->sync_running = true;
    raw->sync_op = (struct host_op){
        .kind = HOST_SYNC, .fd = raw->img.fd, .finished = raw_sync_done};
    engine_start(raw->engine, &raw->sync_op);
}

static void raw_sync_done(struct host_op *op, int result)
{
    struct raw *raw = container_of(op, struct raw, sync_op);
    struct raw_list answered;
    raw_list_init(&answered);
    raw_list_move(&answered, &raw->syncing);
    raw->sync_running = false;
    if (result < 0) {
        /* For good: after a failed write-back the kernel may mark the pages clean or drop them, and
         * the next fdatasync would succeed over the data that never reached the disk. */
        raw->sync_error = result;
        log_warn("disk '%s': flush failed: %s; what was written may be lost, and every further "
                 "flush of it fails", raw->img.path, strerror(-result));
        raw_list_move(&answered, &raw->sync_next);
    }
    if (raw->sync_next.head)
        raw_sync_start(raw);
    struct raw_io *io;
    while ((io = raw_list_take(&answered)))
        raw_answer(io, result);
}

/* Answer io when all that is complete now is stable. */
static void raw_sync(struct raw_io *io)
{
    struct raw *raw = io->raw;
    if (raw->unsafe || raw->blk.read_only || raw->sync_error) {
        raw_answer_late(io, raw->sync_error);
        return;
    }
    raw_list_add(&raw->sync_next, io);
    if (!raw->sync_running)
        raw_sync_start(raw);
}

/* --- held and running --- */

static bool raw_is_write(const struct raw_io *io)
{
    return io->req->op != BLK_READ;
}

static bool raw_may_start(const struct raw *raw, const struct raw_io *io)
{
    if (io->bounce && raw->bounces == BOUNCES_MAX)
        return false;
    if (io->rmw && raw->writes)
        return false;
    return !(raw_is_write(io) && raw->rmw);
}

static void raw_start(struct raw_io *io);

static void raw_admit(struct raw *raw)
{
    while (raw->held.head && raw_may_start(raw, raw->held.head)) {
        struct raw_io *io = raw_list_take(&raw->held);
        raw->bounces += io->bounce;
        raw->writes += raw_is_write(io);
        raw->rmw |= io->rmw;
        raw_start(io);
    }
}

static void raw_leave(struct raw_io *io)
{
    struct raw *raw = io->raw;
    raw->bounces -= io->bounce;
    raw->writes -= raw_is_write(io);
    if (io->rmw)
        raw->rmw = false;
    free(io->buf);
    io->buf = NULL;
}

/* Once: a full or dying host disk is for the user to mend, and the guest may not show it. */
static void raw_warn(struct raw *raw, int result)
{
    if (raw->warned || result >= 0 || result == -EOPNOTSUPP)
        return;
    raw->warned = true;
    log_warn("disk '%s': the host says: %s; the guest gets an I/O error (-d block shows each)",
             raw->img.path, strerror(-result));
}

static void raw_finish(struct raw_io *io, int result)
{
    struct raw *raw = io->raw;
    raw_warn(raw, result);
    raw_leave(io);
    raw_admit(raw);
    if (!result && raw_is_write(io) && io->req->fua)
        raw_sync(io);
    else
        raw_answer(io, result);
}

/* --- plain transfers --- */

static void raw_moved(struct host_op *op, int result)
{
    raw_finish(container_of(op, struct raw_io, op), result);
}

static void raw_transfer(struct raw_io *io)
{
    const struct blk_req *req = io->req;
    io->op = (struct host_op){
        .kind = req->op == BLK_READ ? HOST_READ : HOST_WRITE,
        .fd = io->raw->img.fd,
        .off = req->offset,
        .len = req->len,
        .iov = req->iov,
        .niov = req->niov,
        .data_end = io->raw->img.data_end,
        .finished = raw_moved,
    };
    engine_start(io->raw->engine, &io->op);
}

/* --- bounced transfers: a span of whole aligned pieces at a time --- */

static bool raw_is_aligned(const struct raw *raw, const struct blk_req *req)
{
    unsigned mask = raw->img.dio_align - 1;
    return !((req->offset | req->len) & mask);
}

static bool raw_memory_fits(const struct raw *raw, const struct blk_req *req)
{
    unsigned mem = raw->img.dio_mem_align - 1, len = raw->img.dio_align - 1;
    for (unsigned i = 0; i < req->niov; i++)
        if (((uintptr_t)req->iov[i].iov_base & mem) || (req->iov[i].iov_len & len))
            return false;
    return true;
}

/* Copy between the span's part of the request and the guest's memory, or zero it. */
static void raw_bounce_copy(struct raw_io *io)
{
    const struct blk_req *req = io->req;
    uint8_t *at = io->buf + (req->offset + io->pos - io->span);
    uint64_t skip = io->pos, left = io->chunk;
    if (req->op == BLK_WRITE_ZEROES) {
        memset(at, 0, left);
        return;
    }
    for (unsigned i = 0; left; i++) {
        uint64_t entry = req->iov[i].iov_len;
        if (skip >= entry) {
            skip -= entry;
            continue;
        }
        uint64_t n = entry - skip < left ? entry - skip : left;
        uint8_t *mem = (uint8_t *)req->iov[i].iov_base + skip;
        memcpy(req->op == BLK_READ ? mem : at, req->op == BLK_READ ? at : mem, n);
        at += n;
        left -= n;
        skip = 0;
    }
}

static void raw_bounce_span(struct raw_io *io, enum host_op_kind kind,
                            void (*finished)(struct host_op *op, int result))
{
    io->buf_iov = (struct iovec){io->buf, io->span_len};
    io->op = (struct host_op){
        .kind = kind,
        .fd = io->raw->img.fd,
        .off = io->span,
        .len = io->span_len,
        .iov = &io->buf_iov,
        .niov = 1,
        .data_end = io->raw->img.data_end,
        .finished = finished,
    };
    engine_start(io->raw->engine, &io->op);
}

static void raw_bounce_next(struct raw_io *io);

static void raw_bounce_wrote(struct host_op *op, int result)
{
    struct raw_io *io = container_of(op, struct raw_io, op);
    io->pos += io->chunk;
    if (result < 0 || io->pos == io->req->len)
        raw_finish(io, result);
    else
        raw_bounce_next(io);
}

static void raw_bounce_write(struct raw_io *io)
{
    raw_bounce_copy(io);
    raw_bounce_span(io, HOST_WRITE, raw_bounce_wrote);
}

static void raw_bounce_read(struct host_op *op, int result)
{
    struct raw_io *io = container_of(op, struct raw_io, op);
    if (result < 0) {
        raw_finish(io, result);
    } else if (raw_is_write(io)) {
        raw_bounce_write(io);
    } else {
        raw_bounce_copy(io);
        raw_bounce_wrote(op, 0);
    }
}

static void raw_bounce_next(struct raw_io *io)
{
    uint64_t align = io->raw->img.dio_align;
    uint64_t start = io->req->offset + io->pos, left = io->req->len - io->pos;
    io->span = align_down(start, align);
    uint64_t room = BOUNCE_BYTES - (start - io->span);
    io->chunk = left < room ? left : room;
    io->span_len = align_up(start + io->chunk, align) - io->span;
    if (raw_is_write(io) && io->chunk == io->span_len)
        raw_bounce_write(io);
    else
        raw_bounce_span(io, HOST_READ, raw_bounce_read);
}

static void raw_bounce(struct raw_io *io)
{
    uint64_t most = align_up(io->req->len, BOUNCE_ALIGN) + BOUNCE_ALIGN; /* len <= disk: no wrap */
    io->buf = aligned_alloc(BOUNCE_ALIGN, most < BOUNCE_BYTES ? most : BOUNCE_BYTES);
    if (io->buf) {
        raw_bounce_next(io);
        return;
    }
    raw_leave(io);
    raw_answer_late(io, -ENOMEM);
}

/* --- discard and zeroes --- */

static void raw_fallocate(struct raw_io *io, int mode, uint64_t off, uint64_t len,
                          void (*finished)(struct host_op *op, int result))
{
    io->op = (struct host_op){.kind = HOST_FALLOCATE,
                              .fd = io->raw->img.fd,
                              .mode = mode,
                              .off = off,
                              .len = len,
                              .finished = finished};
    engine_start(io->raw->engine, &io->op);
}

static void raw_discarded(struct host_op *op, int result)
{
    raw_finish(container_of(op, struct raw_io, op), result == -ENOSYS ? -EOPNOTSUPP : result);
}

/* A device discards whole sectors of its own: leave out ends that are less. */
static void raw_discard(struct raw_io *io)
{
    uint64_t sector = io->raw->img.logical_block;
    uint64_t start = align_up(io->req->offset, sector);
    uint64_t end = align_down(io->req->offset + io->req->len, sector);
    if (start < end) {
        raw_fallocate(io, zero_modes[0].mode, start, end - start, raw_discarded);
        return;
    }
    raw_leave(io);
    raw_answer_late(io, 0);
}

static void raw_zero_next_way(struct raw_io *io);

static void raw_zeroed(struct host_op *op, int result)
{
    struct raw_io *io = container_of(op, struct raw_io, op);
    bool cannot = result == -EOPNOTSUPP || result == -ENOSYS;
    if (cannot)
        io->raw->modes_refused |= 1u << io->ways_tried;
    /* EINVAL: a device cannot for this alignment */
    if (cannot || result == -EINVAL) {
        io->ways_tried++;
        raw_zero_next_way(io);
    } else {
        raw_finish(io, result);
    }
}

/* Send real zeroes, as a write through the bounce buffer: get in line once more for one. */
static void raw_zero_by_writing(struct raw_io *io)
{
    struct raw *raw = io->raw;
    raw_leave(io);
    io->bounce = true;
    io->rmw = !raw_is_aligned(raw, io->req);
    raw_list_add(&raw->held, io);
    raw_admit(raw);
}

static void raw_zero_next_way(struct raw_io *io)
{
    const struct blk_req *req = io->req;
    for (; io->ways_tried < ARRAY_LEN(zero_modes); io->ways_tried++) {
        const struct zero_mode *way = &zero_modes[io->ways_tried];
        if ((way->unmaps && !req->unmap) || (io->raw->modes_refused & 1u << io->ways_tried))
            continue;
        raw_fallocate(io, way->mode, req->offset, req->len, raw_zeroed);
        return;
    }
    raw_zero_by_writing(io);
}

/* --- entry --- */

static void raw_start(struct raw_io *io)
{
    if (io->bounce)
        raw_bounce(io);
    else if (io->req->op == BLK_DISCARD)
        raw_discard(io);
    else if (io->req->op == BLK_WRITE_ZEROES)
        raw_zero_next_way(io);
    else
        raw_transfer(io);
}

static void raw_submit(struct block *blk, struct blk_req *req)
{
    struct raw *raw = container_of(blk, struct raw, blk);
    struct raw_io *io = calloc(1, sizeof *io);
    if (!io) {
        block_complete_late(blk, req, -ENOMEM);
        return;
    }
    io->raw = raw;
    io->req = req;
    if (req->op == BLK_FLUSH) {
        raw_sync(io);
        return;
    }
    if (req->op == BLK_READ || req->op == BLK_WRITE) {
        bool aligned = raw_is_aligned(raw, req);
        io->bounce = !aligned || !raw_memory_fits(raw, req);
        io->rmw = !aligned && req->op == BLK_WRITE;
    }
    raw_list_add(&raw->held, io);
    raw_admit(raw);
}

static void raw_commit(struct block *blk)
{
    engine_commit(container_of(blk, struct raw, blk)->engine);
}

static void raw_drain(struct block *blk)
{
    struct raw *raw = container_of(blk, struct raw, blk);
    while (blk->in_flight) {
        block_run_late(blk);
        engine_poll(raw->engine);
    }
}

static void raw_fini(struct block *blk)
{
    struct raw *raw = container_of(blk, struct raw, blk);
    if (raw->engine_is_ours)
        engine_close(raw->engine);
    block_fini(blk);
    image_close(&raw->img);
    free(raw);
}

static const struct block_ops raw_ops = {
    .submit = raw_submit,
    .commit = raw_commit,
    .drain = raw_drain,
    .fini = raw_fini,
};

static struct raw *raw_new(const struct image *img, bool read_only, struct event_queue *events)
{
    struct raw *raw = calloc(1, sizeof *raw);
    if (!raw)
        return NULL;
    block_init(&raw->blk, &raw_ops, events);
    raw->img = *img;
    raw->blk.size = img->size;
    raw->blk.logical_block = img->logical_block;
    raw->blk.physical_block = img->physical_block;
    raw->blk.can_discard = img->can_discard;
    raw->blk.read_only = read_only;
    raw_list_init(&raw->held);
    raw_list_init(&raw->syncing);
    raw_list_init(&raw->sync_next);
    return raw;
}

struct block *raw_open(const struct block_config *cfg, const struct block_env *env,
                       const struct raw_seams *seams, struct err *err)
{
    static const struct raw_seams real;
    if (!seams)
        seams = &real;
    struct image img;
    struct engine *engine = seams->engine;
    if (image_open(&img, cfg, err))
        return NULL;
    if (seams->dio_align)
        img.dio_align = img.dio_mem_align = seams->dio_align;
    if (seams->logical_block)
        img.logical_block = seams->logical_block;
    if (!engine &&
        engine_open(&engine, cfg, env, seams->io ? seams->io : &host_io_system, err))
        goto out_image;
    struct raw *raw = raw_new(&img, cfg->read_only || cfg->snapshot, env->events);
    if (!raw) {
        err_set(err, ENOMEM, "no memory for disk '%s'", cfg->path);
        goto out_engine;
    }
    raw->unsafe = cfg->cache == BLK_CACHE_UNSAFE;
    raw->engine = engine;
    raw->engine_is_ours = !seams->engine;
    log_msg(LOG_BLOCK, "disk '%s': %llu bytes, %s, %s, %s", cfg->path,
            (unsigned long long)img.size, img.block_device ? "block device" : "file",
            engine->ops->name, img.dio_align > 1 ? "direct" : "page cache");
    return &raw->blk;
out_engine:
    if (!seams->engine)
        engine_close(engine);
out_image:
    image_close(&img);
    return NULL;
}

struct block *raw_open_scratch(uint64_t size, const struct block_env *env, struct engine *engine,
                               struct err *err)
{
    struct image img;
    if (image_open_scratch(&img, size, err))
        return NULL;
    struct raw *raw = raw_new(&img, false, env->events);
    if (!raw) {
        err_set(err, ENOMEM, "no memory for a snapshot");
        image_close(&img);
        return NULL;
    }
    raw->unsafe = true;
    raw->engine = engine;
    return &raw->blk;
}

struct engine *raw_engine(struct block *blk)
{
    return container_of(blk, struct raw, blk)->engine;
}
