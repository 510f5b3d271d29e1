// SPDX-License-Identifier: MIT
//
// The block device (virtio 1.2 section 5.2): read, write, flush, get-id, discard, write-zeroes over
// a block backend, data going straight between guest RAM and the host's I/O.
// A request object exists for every head of every queue, so nothing is allocated per request. Reset
// waits until the backend is idle, because host I/O may be writing into guest RAM: after a reset
// nothing does.
// Interrupts come at once with each completion; under event index a burst still costs one, since
// the driver asks for the next only after it has looked.
// Left out: SCSI commands, lifetime, secure erase, zones, geometry.
#include "blk.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define DEVICE_ID_BLOCK 2
#define QUEUE_SIZE 256
#define SECTOR 512

#define F_SEG_MAX (1ull << 2)
#define F_RO (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_TOPOLOGY (1ull << 10)
#define F_CONFIG_WCE (1ull << 11)
#define F_MQ (1ull << 12)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum status { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

#define ID_BYTES 20
#define RANGE_UNMAP 1u
/* 2 GiB a request, so that no single one holds the disk for long */
#define RANGE_SECTORS_MAX (1u << 22)

/*
 * Section 5.2.4, little-endian as our hosts are; packed for its size alone, every field is aligned.
 */
struct config {
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint8_t geometry[4];
    uint32_t blk_size;
    uint8_t physical_block_exp, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 60, "layout of struct virtio_blk_config");

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct range {
    uint64_t sector;
    uint32_t sectors, flags;
};

struct request {
    struct blk_req io;
    struct virtio_blk *dev;
    struct virtq_chain *chain;
    uint8_t *status; /* host address of the chain's last writable byte */
    gpa_t status_gpa;
};

struct virtio_blk {
    struct virtio vd;
    struct config config;
    struct block *blk;
    struct request *req; /* nqueues * QUEUE_SIZE, by queue and head */
};

static struct virtio_blk *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_blk, vd);
}

/* --- completion --- */

/* The status byte goes last, and the chain back with what was written before it (and it). */
static void finish(struct request *req, enum status status, uint64_t data_written)
{
    if (virtio_running(&req->dev->vd)) {
        *(volatile uint8_t *)req->status = (uint8_t)status;
        gmem_wrote(req->dev->vd.gmem, req->status_gpa, 1);
    }
    virtq_push(req->chain, (uint32_t)data_written + 1);
}

static enum status status_of(const struct blk_req *io)
{
    if (!io->result)
        return S_OK;
    /*
     * A file system that cannot punch holes is not a broken disk: the driver falls back on its own.
     */
    bool optional = io->op == BLK_DISCARD || io->op == BLK_WRITE_ZEROES;
    return optional && io->result == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;
}

static void io_done(struct blk_req *io)
{
    struct request *req = container_of(io, struct request, io);
    struct virtq *vq = req->chain->vq;
    uint64_t written = 0;
    if (io->op == BLK_READ) {
        chain_wrote(req->chain); /* even a failed read may have left something */
        written = io->result ? 0 : io->len;
    }
    finish(req, status_of(io), written);
    virtq_notify(vq);
}

/* --- requests --- */

/* Sections 5.2.5.2 and 5.2.6.2: must a write be on stable storage before it completes? */
static bool writes_through(const struct virtio_blk *dev)
{
    return !virtio_has(&dev->vd, F_FLUSH) || !dev->config.writeback;
}

static void submit(struct request *req, struct blk_req io)
{
    req->io = io;
    req->io.done = io_done;
    block_submit(req->dev->blk, &req->io);
}

static void transfer(struct request *req, uint64_t sector, bool write)
{
    const struct virtq_chain *c = req->chain;
    uint64_t len = write ? c->read_bytes : c->write_bytes;
    uint64_t capacity = req->dev->config.capacity;
    if ((write && req->dev->blk->read_only) || len % SECTOR ||
        !range_fits(sector, len / SECTOR, capacity)) {
        finish(req, S_IOERR, 0);
        return;
    }
    if (!len) {
        finish(req, S_OK, 0);
        return;
    }
    submit(req, (struct blk_req){
                    .op = write ? BLK_WRITE : BLK_READ,
                    .fua = write && writes_through(req->dev),
                    .offset = sector * SECTOR,
                    .len = len,
                    .iov = write ? c->iov : c->iov + c->nread,
                    .niov = write ? c->nread : c->nwrite,
                });
}

static void get_id(struct request *req)
{
    char id[ID_BYTES] = {0};
    memcpy(id, req->dev->blk->serial, strnlen(req->dev->blk->serial, ID_BYTES));
    finish(req, S_OK, chain_write(req->chain, 0, id, sizeof id));
}

/* Discard and write-zeroes: one range a request, as the limits in the configuration say. */
static void deallocate(struct request *req, enum blk_op op)
{
    const struct virtio_blk *dev = req->dev;
    bool zeroes = op == BLK_WRITE_ZEROES;
    struct range r;
    if (dev->blk->read_only) {
        finish(req, S_IOERR, 0);
        return;
    }
    if (!virtio_has(&dev->vd, zeroes ? F_WRITE_ZEROES : F_DISCARD)) {
        finish(req, S_UNSUPP, 0);
        return;
    }
    if (req->chain->read_bytes != sizeof r || !chain_pull(req->chain, &r, sizeof r)) {
        finish(req, S_IOERR, 0);
        return;
    }
    if (r.flags & ~(zeroes ? RANGE_UNMAP : 0)) {
        finish(req, S_UNSUPP, 0);
        return;
    }
    if (r.sectors > RANGE_SECTORS_MAX || !range_fits(r.sector, r.sectors, dev->config.capacity)) {
        finish(req, S_IOERR, 0);
        return;
    }
    if (!r.sectors) {
        finish(req, S_OK, 0);
        return;
    }
    submit(req, (struct blk_req){
                    .op = op,
                    .fua = zeroes && writes_through(dev),
                    .unmap = zeroes && (r.flags & RANGE_UNMAP),
                    .offset = r.sector * SECTOR,
                    .len = (uint64_t)r.sectors * SECTOR,
                });
}

static void start(struct virtio_blk *dev, struct virtq_chain *chain)
{
    struct request *req = &dev->req[chain->vq->index * QUEUE_SIZE + chain->head];
    struct header h;
    *req = (struct request){.dev = dev, .chain = chain};
    if (!chain_pull(chain, &h, sizeof h) || !chain_cut(chain, &req->status, &req->status_gpa)) {
        virtio_broken(&dev->vd, "queue %u, head %u: no room for header and status",
                      chain->vq->index, chain->head);
        virtq_push(chain, 0);
        return;
    }
    switch (h.type) {
    case T_IN:
    case T_OUT:
        transfer(req, h.sector, h.type == T_OUT);
        break;
    case T_FLUSH:
        submit(req, (struct blk_req){.op = BLK_FLUSH});
        break;
    case T_GET_ID:
        get_id(req);
        break;
    case T_DISCARD:
        deallocate(req, BLK_DISCARD);
        break;
    case T_WRITE_ZEROES:
        deallocate(req, BLK_WRITE_ZEROES);
        break;
    default:
        finish(req, S_UNSUPP, 0);
        break;
    }
}

/* --- device --- */

/*
 * A driver that keeps adding while we answer could hold us here for good (requests answered at once
 * free their heads), so a kick is worth two rings of requests; then the rest of the machine has its
 * turn.
 */
static void blk_notify(struct virtio *vd, unsigned q)
{
    struct virtio_blk *dev = from_virtio(vd);
    struct virtq *vq = &vd->vq[q];
    struct virtq_chain *chain;
    unsigned budget = 2 * vq->regs.size;
    do {
        virtq_disable_kick(vq);
        while (budget && virtq_pop(vq, &chain) > 0) {
            start(dev, chain);
            budget--;
        }
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
    block_commit(dev->blk);
    virtq_notify(vq);
}

static void blk_negotiated(struct virtio *vd)
{
    from_virtio(vd)->config.writeback = virtio_has(vd, F_FLUSH);
}

static void blk_config_write(struct virtio *vd, uint64_t off, unsigned size, uint64_t val)
{
    if (off == offsetof(struct config, writeback) && size == 1 && virtio_has(vd, F_CONFIG_WCE))
        from_virtio(vd)->config.writeback = val != 0;
    else
        log_guest("%s: config byte %#llx is not writable", vd->ops->name, (unsigned long long)off);
}

static void blk_reset(struct virtio *vd)
{
    struct virtio_blk *dev = from_virtio(vd);
    block_drain(dev->blk);
    dev->config.writeback = 1;
}

static void blk_fini(struct virtio *vd)
{
    struct virtio_blk *dev = from_virtio(vd);
    block_drain(dev->blk);
    virtio_fini(vd);
    free(dev->req);
    free(dev);
}

static const struct virtio_ops blk_ops = {
    .name = "virtio-blk",
    .device_id = DEVICE_ID_BLOCK,
    .notify = blk_notify,
    .negotiated = blk_negotiated,
    .config_write = blk_config_write,
    .reset = blk_reset,
    .fini = blk_fini,
};

static uint64_t features(const struct block *blk, unsigned nqueues)
{
    uint64_t f = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;
    if (nqueues > 1)
        f |= F_MQ;
    if (blk->read_only)
        return f | F_RO;
    if (blk->can_discard)
        f |= F_DISCARD;
    return f | F_WRITE_ZEROES;
}

static void config_init(struct virtio_blk *dev, unsigned nqueues)
{
    const struct block *blk = dev->blk;
    unsigned ratio = blk->physical_block / blk->logical_block;
    dev->config = (struct config){
        .capacity = blk->size / SECTOR,
        .seg_max = QUEUE_SIZE - 2, /* the chain holds a header and a status as well */
        .blk_size = blk->logical_block,
        .physical_block_exp = (uint8_t)(31 - __builtin_clz(ratio | 1)),
        .min_io_size = (uint16_t)ratio,
        .writeback = 1,
        .num_queues = (uint16_t)nqueues,
    };
    if (blk->read_only)
        return;
    dev->config.max_write_zeroes_sectors = RANGE_SECTORS_MAX;
    dev->config.max_write_zeroes_seg = 1;
    if (!blk->can_discard)
        return;
    dev->config.max_discard_sectors = RANGE_SECTORS_MAX;
    dev->config.max_discard_seg = 1;
    dev->config.discard_sector_alignment = blk->physical_block / SECTOR;
    dev->config.write_zeroes_may_unmap = 1;
}

struct virtio *virtio_blk_create(struct block *blk, unsigned nqueues, struct gmem *gmem,
                                 struct err *err)
{
    struct virtio_blk *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-blk: no memory for the device");
        return NULL;
    }
    dev->blk = blk;
    config_init(dev, nqueues);
    if (virtio_init(&dev->vd, &blk_ops, gmem, features(blk, nqueues), nqueues, QUEUE_SIZE,
                    &dev->config, sizeof dev->config, err))
        goto out_dev;
    dev->req = calloc((size_t)nqueues * QUEUE_SIZE, sizeof *dev->req);
    if (!dev->req) {
        err_set(err, ENOMEM, "virtio-blk: no memory for %u queues of requests", nqueues);
        goto out_virtio;
    }
    return &dev->vd;

out_virtio:
    virtio_fini(&dev->vd);
out_dev:
    free(dev);
    return NULL;
}
