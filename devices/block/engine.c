// SPDX-License-Identifier: MIT
//
// What both engines share: how a transfer is cut into system calls and continued after a short one,
// and the delivery of results. Continuing needs no memory: after a short transfer that ends
// within an iov entry, the rest of that entry goes alone, and then the entries after it.
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

const struct host_io host_io_system = {
    .preadv = preadv,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fallocate = fallocate,
};

struct host_piece host_op_piece(const struct host_op *op)
{
    uint64_t off = op->off + op->moved;
    if (!op->niov)
        return (struct host_piece){.off = off};
    if (op->part.iov_len)
        return (struct host_piece){.iov = &op->part, .niov = 1, .off = off};
    unsigned left = op->niov - op->index;
    return (struct host_piece){
        .iov = op->iov + op->index, .niov = left < IOV_MAX ? left : IOV_MAX, .off = off};
}

bool host_op_again(int64_t res)
{
    /* ECANCELED: the kernel drops io_uring requests of a thread that ends; the request is still
     * due. */
    return res == -EINTR || res == -EAGAIN || res == -ECANCELED;
}

/* Step the cursor over n bytes that were moved, and over empty entries: a call that moves nothing
 * would look like the end of the file. */
static void skip(struct host_op *op, uint64_t n)
{
    op->moved += n;
    while (n || (op->index < op->niov && !op->part.iov_len && !op->iov[op->index].iov_len)) {
        struct iovec cur = op->part.iov_len ? op->part : op->iov[op->index];
        uint64_t step = n < cur.iov_len ? n : cur.iov_len;
        n -= step;
        op->part = (struct iovec){(uint8_t *)cur.iov_base + step, cur.iov_len - step};
        if (!op->part.iov_len)
            op->index++;
    }
}

void host_op_begin(struct host_op *op)
{
    op->moved = 0;
    op->index = 0;
    op->part = (struct iovec){0};
    op->result = 0;
    op->next = NULL;
    skip(op, 0);
}

static void zero_rest(struct host_op *op)
{
    while (op->moved < op->len) {
        struct iovec cur = op->part.iov_len ? op->part : op->iov[op->index];
        memset(cur.iov_base, 0, cur.iov_len);
        skip(op, cur.iov_len);
    }
}

static int at_end_of_file(struct host_op *op)
{
    /* Nothing left to read where there should be data: the file has shrunk under us. Zeroes in
     * place of what was there would be a lie that the guest then builds on. */
    if (op->kind != HOST_READ || op->off + op->moved < op->data_end)
        return -EIO;
    zero_rest(op);
    return 0;
}

bool host_op_advance(struct host_op *op, int64_t res)
{
    bool transfer = op->kind == HOST_READ || op->kind == HOST_WRITE;
    if (res < 0 || !transfer) {
        op->result = res < 0 ? (int)res : 0;
        return true;
    }
    if (!res) {
        op->result = at_end_of_file(op);
        return true;
    }
    if ((uint64_t)res > op->len - op->moved) {
        op->result = -EIO;
        return true;
    }
    skip(op, (uint64_t)res);
    return op->moved == op->len;
}

static int64_t call_host(const struct host_io *io, const struct host_op *op)
{
    struct host_piece p = host_op_piece(op);
    int64_t r = -EINVAL;
    switch (op->kind) {
    case HOST_READ:
        r = io->preadv(op->fd, p.iov, (int)p.niov, (off_t)p.off);
        break;
    case HOST_WRITE:
        r = io->pwritev(op->fd, p.iov, (int)p.niov, (off_t)p.off);
        break;
    case HOST_SYNC:
        r = io->fdatasync(op->fd);
        break;
    case HOST_FALLOCATE:
        r = io->fallocate(op->fd, op->mode, (off_t)op->off, (off_t)op->len);
        break;
    }
    return r < 0 ? -errno : r;
}

void host_op_perform(const struct host_io *io, struct host_op *op)
{
    int64_t r;
    do
        r = call_host(io, op);
    while (host_op_again(r) || !host_op_advance(op, r));
}

void host_op_list_init(struct host_op_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void host_op_list_add(struct host_op_list *list, struct host_op *op)
{
    op->next = NULL;
    *list->tail = op;
    list->tail = &op->next;
}

struct host_op *host_op_list_take(struct host_op_list *list)
{
    struct host_op *op = list->head;
    if (op) {
        list->head = op->next;
        if (!list->head)
            list->tail = &list->head;
    }
    return op;
}

static void engine_fire(void *self)
{
    struct engine *eng = self;
    eng->ops->reap(eng);
    eng->ops->commit(eng); /* what the completions led to */
}

void engine_init(struct engine *eng, const struct engine_ops *ops, struct event_queue *events)
{
    eng->ops = ops;
    eng->busy = 0;
    event_init(&eng->event, events, engine_fire, eng);
}

void engine_finish(struct engine *eng, struct host_op *op, int result)
{
    eng->busy--;
    op->finished(op, result);
}

void engine_close(struct engine *eng)
{
    if (eng)
        eng->ops->fini(eng);
}
