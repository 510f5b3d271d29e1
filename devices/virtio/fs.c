// SPDX-License-Identifier: MIT
//
// The file system device (virtio 1.2 section 5.11): carries FUSE requests between the guest's
// driver and the server in devices/fs. Queue 0 is for requests that must not wait behind others
// (FORGET, INTERRUPT), the rest are alike. A request's header and arguments are copied here, once;
// a thread of the pool serves it, moving file contents straight between the host and guest RAM; the
// reply goes back under the device lock. Reset cancels what has not begun and waits for the rest,
// because the host may be writing into guest RAM: after a reset nothing does. Left out:
// notifications (5.11.2.1), shared memory for DAX.
#include "devices/virtio/fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "devices/fs/workers.h"
#include "log.h"
#include "util.h"

#define DEVICE_ID_FS 26
#define QUEUE_SIZE 512 /* holds 1 MiB in pages, and the headers */

struct config {
    uint8_t tag[VIRTIO_FS_TAG_MAX];
    uint32_t num_request_queues;
};
_Static_assert(sizeof(struct config) == 40, "layout of struct virtio_fs_config");

struct virtio_fs {
    struct virtio vd;
    struct config config;
    struct fs *fs;
    struct workers *workers;
};

/* A request under way, with the vectors and bytes that its struct fs_request points to. */
struct request {
    struct work work;
    struct virtio_fs *dev;
    struct virtq_chain *chain;
    uint64_t unique;
    struct fs_request fs;
    struct iovec *iov; /* data, then room */
    uint8_t args[] __attribute__((aligned(8)));
};

static struct virtio_fs *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_fs, vd);
}

/* --- replies --- */

static void reply(struct virtq_chain *chain, uint64_t unique, int error, const void *payload,
                  size_t len, uint64_t moved)
{
    struct fuse_out_header h = {
        .len = (uint32_t)(sizeof h + len + moved),
        .error = error,
        .unique = unique,
    };
    chain_write(chain, 0, &h, sizeof h);
    chain_write(chain, sizeof h, payload, len);
    virtq_push(chain, h.len);
}

/* Nothing can be said to a driver that left no room for it. */
static void no_room(struct virtq_chain *chain)
{
    struct virtio *vd = chain->vq->vd;
    if (virtio_running(vd))
        virtio_broken(vd, "queue %u, head %u: no room for a reply", chain->vq->index, chain->head);
    virtq_push(chain, 0);
}

static void request_done(struct work *work, bool cancelled)
{
    struct request *req = container_of(work, struct request, work);
    struct fs_request *r = &req->fs;
    if (r->moved)
        chain_wrote(req->chain);
    if (cancelled || r->no_reply)
        virtq_push(req->chain, 0);
    else if (r->can_reply)
        reply(req->chain, req->unique, r->error, r->reply, r->reply_len, r->moved);
    else
        no_room(req->chain);
    fs_request_done(r);
    free(req->iov);
    free(req);
}

static void settled(void *opaque)
{
    struct virtio_fs *dev = opaque;
    for (unsigned q = 0; q < dev->vd.nqueues; q++)
        virtq_notify(&dev->vd.vq[q]);
}

/* --- requests --- */

static void serve(struct work *work)
{
    struct request *req = container_of(work, struct request, work);
    fs_serve(req->dev->fs, &req->fs);
}

/* The pieces of a vector from byte `off` on; returns how many, and their bytes. */
static unsigned pieces(const struct iovec *from, unsigned n, uint64_t off, struct iovec *to,
                       uint64_t *bytes)
{
    unsigned used = 0;
    *bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        if (off >= from[i].iov_len) {
            off -= from[i].iov_len;
            continue;
        }
        to[used].iov_base = (uint8_t *)from[i].iov_base + off;
        to[used].iov_len = from[i].iov_len - off;
        *bytes += to[used++].iov_len;
        off = 0;
    }
    return used;
}

static struct request *request_new(struct virtio_fs *dev, struct virtq_chain *chain, size_t args)
{
    struct request *req = malloc(sizeof *req + args);
    struct iovec *iov = malloc((chain->nread + chain->nwrite) * sizeof *iov);
    if (!req || !iov) {
        free(req);
        free(iov);
        return NULL;
    }
    memset(req, 0, sizeof *req);
    req->work = (struct work){.run = serve, .done = request_done};
    req->dev = dev;
    req->chain = chain;
    req->iov = iov;
    struct fs_request *r = &req->fs;
    r->args = req->args;
    r->args_len = args;
    chain_read(chain, 0, req->args, args);
    r->data = iov;
    r->ndata = pieces(chain->iov, chain->nread, args, iov, &r->data_len);
    r->room = iov + r->ndata;
    r->nroom = pieces(chain->iov + chain->nread, chain->nwrite, FS_HEADER_OUT, iov + r->ndata,
                      &r->room_len);
    r->can_reply = chain->write_bytes >= FS_HEADER_OUT;
    return req;
}

/* Answer at once. */
static void refuse(struct virtq_chain *chain, uint64_t unique, int error)
{
    if (chain->write_bytes >= FS_HEADER_OUT)
        reply(chain, unique, error, NULL, 0, 0);
    else
        no_room(chain);
}

static void start(struct virtio_fs *dev, struct virtq_chain *chain)
{
    uint8_t bytes[FS_HEADER_IN];
    struct fuse_in_header h;
    bool whole = chain_read(chain, 0, bytes, sizeof bytes) == sizeof bytes;
    memcpy(&h, bytes, sizeof h);
    if (!whole || h.len != chain->read_bytes) {
        virtio_broken(&dev->vd, "queue %u, head %u: %llu bytes are not a request",
                      chain->vq->index, chain->head, (unsigned long long)chain->read_bytes);
        virtq_push(chain, 0);
        return;
    }
    size_t args = fs_args_len(bytes, h.len);
    if (args > FS_ARGS_MAX) {
        refuse(chain, h.unique, -EINVAL);
        return;
    }
    struct request *req = request_new(dev, chain, args);
    if (!req) {
        refuse(chain, h.unique, -ENOMEM);
        return;
    }
    /* The guest may have changed its memory meanwhile: what counts is the header checked above. */
    memcpy(req->args, bytes, sizeof bytes);
    req->unique = h.unique;
    workers_submit(dev->workers, &req->work);
}

/* As a disk: a kick is worth two rings of requests, then the rest of the machine has its turn. */
static void fs_notify(struct virtio *vd, unsigned q)
{
    struct virtio_fs *dev = from_virtio(vd);
    struct virtq *vq = &vd->vq[q];
    struct virtq_chain *chain;
    unsigned budget = 2u * vq->regs.size;
    do {
        virtq_disable_kick(vq);
        while (budget && virtq_pop(vq, &chain) > 0) {
            start(dev, chain);
            budget--;
        }
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
}

/* --- life --- */

static void fs_device_reset(struct virtio *vd)
{
    struct virtio_fs *dev = from_virtio(vd);
    workers_drain(dev->workers);
    fs_reset(dev->fs);
}

static void fs_device_fini(struct virtio *vd)
{
    struct virtio_fs *dev = from_virtio(vd);
    workers_free(dev->workers);
    virtio_fini(vd);
    free(dev);
}

static const struct virtio_ops fs_ops = {
    .name = "virtio-fs",
    .device_id = DEVICE_ID_FS,
    .notify = fs_notify,
    .reset = fs_device_reset,
    .fini = fs_device_fini,
};

struct virtio *virtio_fs_create(struct fs *fs, const char *tag, unsigned nqueues,
                                struct gmem *gmem, struct event_queue *events, struct err *err)
{
    struct virtio_fs *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-fs: no memory for the device");
        return NULL;
    }
    dev->fs = fs;
    dev->config.num_request_queues = nqueues;
    memcpy(dev->config.tag, tag, strnlen(tag, sizeof dev->config.tag));
    dev->workers = workers_create("virtio-fs", events, fs_thread_init, settled, dev, err);
    if (!dev->workers)
        goto out_dev;
    if (virtio_init(&dev->vd, &fs_ops, gmem, 0, nqueues + 1, QUEUE_SIZE, &dev->config,
                    sizeof dev->config, err))
        goto out_workers;
    return &dev->vd;

out_workers:
    workers_free(dev->workers);
out_dev:
    free(dev);
    return NULL;
}
