// SPDX-License-Identifier: MIT
//
// Block backends, the common part: see include/block.h. Checks every request before a backend sees
// it, and keeps answers that are known at once until the event queue runs.
#include "block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "util.h"

#define UNIT 512

static const char *const op_names[] = {
    [BLK_READ] = "read",       [BLK_WRITE] = "write",
    [BLK_FLUSH] = "flush",     [BLK_DISCARD] = "discard",
    [BLK_WRITE_ZEROES] = "write zeroes",
};

static void fire_late(void *self)
{
    block_run_late(self);
}

void block_init(struct block *blk, const struct block_ops *ops, struct event_queue *events)
{
    *blk = (struct block){.ops = ops, .logical_block = UNIT, .physical_block = UNIT};
    blk->late_tail = &blk->late_head;
    event_init(&blk->late, events, fire_late, blk);
}

void block_fini(struct block *blk)
{
    event_cancel(&blk->late);
}

void block_complete(struct block *blk, struct blk_req *req, int result)
{
    blk->in_flight--;
    if (result < 0) {
        blk->errors++;
        log_msg(LOG_BLOCK, "%s at %llu, %llu bytes: %s", op_names[req->op],
                (unsigned long long)req->offset, (unsigned long long)req->len, strerror(-result));
    }
    req->result = result;
    req->done(req);
}

void block_complete_late(struct block *blk, struct blk_req *req, int result)
{
    req->result = result;
    req->next = NULL;
    *blk->late_tail = req;
    blk->late_tail = &req->next;
    blk->late_count++;
    event_post(&blk->late);
}

void block_run_late(struct block *blk)
{
    /* Only what is there now: a `done` may submit the next bad request, for ever. */
    for (unsigned n = blk->late_count; n && blk->late_head; n--) {
        struct blk_req *req = blk->late_head;
        blk->late_head = req->next;
        blk->late_count--;
        if (!blk->late_head)
            blk->late_tail = &blk->late_head;
        block_complete(blk, req, req->result);
    }
}

static bool iov_adds_up(const struct blk_req *req)
{
    uint64_t left = req->len;
    for (unsigned i = 0; i < req->niov; i++) {
        if (req->iov[i].iov_len > left)
            return false;
        left -= req->iov[i].iov_len;
    }
    return !left;
}

static int check(const struct block *blk, const struct blk_req *req)
{
    bool transfer = req->op == BLK_READ || req->op == BLK_WRITE;
    if (req->op == BLK_FLUSH)
        return 0;
    if (blk->read_only && req->op != BLK_READ)
        return -EROFS;
    if (req->offset % UNIT || req->len % UNIT || (transfer && !iov_adds_up(req)))
        return -EINVAL;
    return range_fits(req->offset, req->len, blk->size) ? 0 : -EIO;
}

static void count(struct block *blk, const struct blk_req *req)
{
    switch (req->op) {
    case BLK_READ:
        blk->count.reads++;
        blk->count.read_bytes += req->len;
        break;
    case BLK_WRITE:
        blk->count.writes++;
        blk->count.write_bytes += req->len;
        break;
    case BLK_FLUSH:
        blk->flushes++;
        break;
    case BLK_DISCARD:
        blk->count.discards++;
        break;
    case BLK_WRITE_ZEROES:
        blk->count.write_zeroes++;
        break;
    }
}

void block_submit(struct block *blk, struct blk_req *req)
{
    blk->in_flight++;
    count(blk, req);
    int r = check(blk, req);
    if (r || (req->op != BLK_FLUSH && !req->len))
        block_complete_late(blk, req, r);
    else
        blk->ops->submit(blk, req);
}

void block_close(struct block *blk)
{
    if (!blk)
        return;
    block_drain(blk);
    blk->ops->fini(blk);
}
