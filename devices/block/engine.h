// SPDX-License-Identifier: MIT
//
// The seam between what a disk request means (raw.c) and who carries it out on the host (uring.c,
// threads.c). An engine knows four operations on a descriptor and does each one completely: short
// transfers are continued, interrupted calls repeated. It keeps no order between operations that
// are under way together; whoever needs an order starts the second when the first has finished.
// Thread: everything under the device lock, except that a thread pool calls host_io from its
// threads.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "block.h"

/* The system calls a thread pool uses; tests put failing, short or forgetful ones in their place.
 * */
struct host_io {
    ssize_t (*preadv)(int fd, const struct iovec *iov, int niov, off_t off);
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int niov, off_t off);
    int (*fdatasync)(int fd);
    int (*fallocate)(int fd, int mode, off_t off, off_t len);
};

extern const struct host_io host_io_system;

enum host_op_kind { HOST_READ, HOST_WRITE, HOST_SYNC, HOST_FALLOCATE };

struct host_op {
    enum host_op_kind kind;
    int fd;
    int mode;                /* FALLOCATE */
    uint64_t off, len;       /* all but SYNC */
    const struct iovec *iov; /* READ, WRITE: adds up to len, stays until finished */
    unsigned niov;
    uint64_t data_end;       /* READ: where the file ends; the rest of the disk is zeroes */
    void (*finished)(struct host_op *op, int result);
    /* the engine's: how far it is, and the piece of the transfer to do next */
    uint64_t moved;
    unsigned index;
    struct iovec part;
    int result;
    uint64_t due_ns; /* counted time: when it has come to its end */
    struct host_op *next;
};

struct host_op_list {
    struct host_op *head, **tail;
};

/* What the next system call of a transfer is to move: whole iov entries, or the rest of a split
 * one. */
struct host_piece {
    const struct iovec *iov;
    unsigned niov;
    uint64_t off;
};

void host_op_begin(struct host_op *op);
struct host_piece host_op_piece(const struct host_op *op);
/* Account for a system call's result (a count, or a negative errno). True when the operation has
 * come to its end, with op->result set; false when there is another piece to do. */
bool host_op_advance(struct host_op *op, int64_t res);
/* True for results that mean "ask again", not failure. */
bool host_op_again(int64_t res);

/* All of it, by system calls on this thread. */
void host_op_perform(const struct host_io *io, struct host_op *op);

void host_op_list_init(struct host_op_list *list);
void host_op_list_add(struct host_op_list *list, struct host_op *op);
struct host_op *host_op_list_take(struct host_op_list *list);

struct engine;

struct engine_ops {
    const char *name;
    void (*start)(struct engine *eng, struct host_op *op); /* may wait for commit */
    void (*commit)(struct engine *eng);
    void (*reap)(struct engine *eng); /* engine_finish for all that has come to its end */
    void (*wait)(struct engine *eng); /* until reap may find something; only while busy */
    void (*fini)(struct engine *eng); /* not busy; frees */
};

struct engine {
    const struct engine_ops *ops;
    struct event event; /* posted when reap may find something */
    unsigned busy;      /* operations started and not finished */
};

/* Counted time has one engine; else choose by cfg->aio. A host_io other than the system's means
 * threads. */
int engine_open(struct engine **eng, const struct block_config *cfg, const struct block_env *env,
                const struct host_io *io, struct err *err);
void engine_close(struct engine *eng);

int threads_open(struct engine **eng, const struct block_env *env, const struct host_io *io,
                 struct err *err);
int counted_open(struct engine **eng, const struct block_env *env, const struct host_io *io,
                 struct err *err);
int uring_open(struct engine **eng, const struct block_env *env, struct err *err);

/* For engines: wire up the embedded part. */
void engine_init(struct engine *eng, const struct engine_ops *ops, struct event_queue *events);
void engine_finish(struct engine *eng, struct host_op *op, int result);

static inline void engine_start(struct engine *eng, struct host_op *op)
{
    host_op_begin(op);
    eng->busy++;
    eng->ops->start(eng, op);
}

static inline void engine_commit(struct engine *eng)
{
    eng->ops->commit(eng);
}

/* One round of waiting and delivering, for drain. */
static inline void engine_poll(struct engine *eng)
{
    eng->ops->commit(eng);
    if (eng->busy)
        eng->ops->wait(eng);
    eng->ops->reap(eng);
}
