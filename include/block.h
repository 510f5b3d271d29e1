// SPDX-License-Identifier: MIT
//
// Block backends: a disk as a range of bytes with asynchronous requests. The promise to the
// device: a request's `done` runs once, with the result, after the host has done all of it (short
// transfers are finished inside); a FLUSH completes after every write that completed before it was
// submitted is on stable storage (fdatasync). What a finished DISCARD leaves reads as zeroes (but
// for ends that are no whole logical_block); where the host cannot discard it fails with
// -EOPNOTSUPP.
// Thread: submit, commit, drain and `done` under the device lock; the host I/O elsewhere. `done`
// runs from the event queue or from drain, never within submit or commit, and may submit again.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "clock.h"
#include "err.h"
#include "event.h"
#include "evloop.h"

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

struct blk_req {
    enum blk_op op;
    bool fua;            /* WRITE, WRITE_ZEROES: stable before done */
    bool unmap;          /* WRITE_ZEROES: may deallocate */
    uint64_t offset;     /* bytes, multiple of 512 */
    uint64_t len;        /* bytes, multiple of 512; for READ and WRITE the sum of iov */
    struct iovec *iov;   /* READ and WRITE: memory that stays valid and may change meanwhile */
    unsigned niov;
    int result;          /* 0 or negative errno, set before done */
    void (*done)(struct blk_req *req);
    struct blk_req *next; /* the backend's, while the request is its own */
};

struct block;

struct block_ops {
    void (*submit)(struct block *blk, struct blk_req *req); /* range already checked */
    void (*commit)(struct block *blk); /* start what was submitted; may be NULL */
    void (*drain)(struct block *blk);  /* see block_drain */
    void (*fini)(struct block *blk);   /* free it; nothing is in flight */
};

struct block_counters {
    uint64_t reads, writes, discards, write_zeroes;
    uint64_t read_bytes, write_bytes; /* asked for, failed ones too */
};

struct block {
    const struct block_ops *ops;
    uint64_t size;             /* bytes, multiple of 512 */
    unsigned logical_block;    /* bytes: the sector size for the guest; units of 512 work too */
    unsigned physical_block;   /* bytes: smallest unit without read-modify-write on the host */
    bool read_only;
    bool can_discard;
    char serial[21];           /* GET_ID string, at most 20 characters */
    uint64_t flushes, in_flight, errors;
    struct block_counters count;
    struct event late; /* posted when there are answers that were known at once */
    struct blk_req *late_head, **late_tail;
    unsigned late_count;
};

enum blk_cache { BLK_CACHE_WRITEBACK, BLK_CACHE_NONE, BLK_CACHE_UNSAFE };

/* One -disk or -drive after parsing. */
struct block_config {
    const char *path;
    const char *serial; /* NULL: none */
    bool read_only;
    bool snapshot;      /* writes go to a throw-away overlay */
    enum blk_cache cache;
    enum { BLK_AIO_AUTO, BLK_AIO_URING, BLK_AIO_THREADS } aio;
};

struct block_env {
    struct evloop *loop;
    struct event_queue *events;
    struct clock *counted; /* guest time that is counted: requests take as long of it as they ever
                              do. NULL: they take as long as the host does */
};

/* Open, lock (shared for read-only and snapshot, exclusive otherwise) and size an image. */
struct block *block_open(const struct block_config *cfg, const struct block_env *env,
                         struct err *err);

/* Drains, then closes; on the event loop's thread or after the loop has stopped. NULL is allowed.
 * */
void block_close(struct block *blk);

/* Submit one request: range, read-only and overflow are checked here and fail through done, from
 * the event queue, never inline. -EINVAL: no multiple of 512, or iov does not add up to len; -EIO:
 * beyond the end; -EROFS: would change a read-only disk. */
void block_submit(struct block *blk, struct blk_req *req);

static inline void block_commit(struct block *blk)
{
    if (blk->ops->commit)
        blk->ops->commit(blk);
}

/* Wait until nothing is in flight. Every `done` of this disk runs inside this call, under the lock
 * the caller holds: the disk takes its completions from its engine itself and does not run the
 * event queue, so that nobody else's events are delivered in the middle of a device's reset. */
static inline void block_drain(struct block *blk)
{
    blk->ops->drain(blk);
}

/* --- for backends (and fake ones in tests) --- */

/* Call before the first block_submit; fill in size and the rest of the fields as well. */
void block_init(struct block *blk, const struct block_ops *ops, struct event_queue *events);
/* Forget what block_init set up; nothing may be in flight. */
void block_fini(struct block *blk);

/* Give a request back: count, set result, run done. Not from submit or commit. */
void block_complete(struct block *blk, struct blk_req *req, int result);
/* The same from anywhere under the device lock: done runs when the event queue does, or in drain.
 * */
void block_complete_late(struct block *blk, struct blk_req *req, int result);
/* Run what block_complete_late put off; for drain. */
void block_run_late(struct block *blk);
