// SPDX-License-Identifier: MIT
//
// The io_uring engine: one small ring per disk. start fills entries, commit hands the batch to the
// kernel in one call. The kernel bumps an eventfd on completion; the event loop's thread only
// turns that into an event, and both rings are touched under the device lock alone, by whichever
// thread holds it. No more than DEPTH operations are in the kernel (the rest is parked here), so
// neither the submission ring can fill up nor the completion ring, which is twice as long,
// overflow.
// No IOSQE_IO_DRAIN or links: raw.c starts what must come later when the earlier has finished.
// Left out: registered buffers and files, and IORING_SETUP_COOP_TASKRUN, with which a completion
// could wait for as long as the vCPU thread that submitted stays in the guest.
#include "uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util.h"

#define DEPTH 128

struct uring {
    struct engine eng;
    struct io_uring ring;
    struct evloop *loop;
    struct fd_watch watch; /* the eventfd */
    unsigned in_ring;      /* entries filled in and not reaped */
    struct host_op_list parked;
};

void uring_prep(struct io_uring_sqe *sqe, struct host_op *op)
{
    struct host_piece p = host_op_piece(op);
    switch (op->kind) {
    case HOST_READ:
        io_uring_prep_readv(sqe, op->fd, p.iov, p.niov, p.off);
        break;
    case HOST_WRITE:
        io_uring_prep_writev(sqe, op->fd, p.iov, p.niov, p.off);
        break;
    case HOST_SYNC:
        io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
        break;
    case HOST_FALLOCATE:
        io_uring_prep_fallocate(sqe, op->fd, op->mode, (off_t)op->off, (off_t)op->len);
        break;
    }
    io_uring_sqe_set_data(sqe, op);
}

static void uring_start(struct engine *eng, struct host_op *op)
{
    struct uring *u = container_of(eng, struct uring, eng);
    struct io_uring_sqe *sqe = u->in_ring < DEPTH ? io_uring_get_sqe(&u->ring) : NULL;
    if (!sqe) {
        host_op_list_add(&u->parked, op);
        return;
    }
    uring_prep(sqe, op);
    u->in_ring++;
}

/* The kernel may be out of memory for the moment: what it has not taken stays in the submission
 * ring and goes again with the next round of the event queue. */
static void uring_commit(struct engine *eng)
{
    struct uring *u = container_of(eng, struct uring, eng);
    if (!io_uring_sq_ready(&u->ring))
        return;
    io_uring_submit(&u->ring);
    if (io_uring_sq_ready(&u->ring))
        event_post(&eng->event);
}

static void unpark(struct uring *u)
{
    while (u->parked.head && u->in_ring < DEPTH)
        uring_start(&u->eng, host_op_list_take(&u->parked));
}

static void uring_reap(struct engine *eng)
{
    struct uring *u = container_of(eng, struct uring, eng);
    struct io_uring_cqe *cqe;
    /* Bounded: a `done` may submit what the page cache answers at once, for ever. */
    for (unsigned n = 0; n < DEPTH && !io_uring_peek_cqe(&u->ring, &cqe); n++) {
        struct host_op *op = io_uring_cqe_get_data(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        u->in_ring--;
        if (host_op_again(res) || !host_op_advance(op, res))
            uring_start(eng, op);
        else
            engine_finish(eng, op, op->result);
    }
    unpark(u);
    if (io_uring_cq_ready(&u->ring))
        event_post(&eng->event);
}

/* Returns early when the kernel takes nothing for now; the caller's loop comes back. */
static void uring_wait(struct engine *eng)
{
    struct uring *u = container_of(eng, struct uring, eng);
    io_uring_submit_and_wait(&u->ring, 1);
}

static void uring_ready(void *self, uint32_t events)
{
    struct uring *u = self;
    uint64_t n;
    (void)events;
    if (read(u->watch.fd, &n, sizeof n) == (ssize_t)sizeof n)
        event_post(&u->eng.event);
}

static void uring_fini(struct engine *eng)
{
    struct uring *u = container_of(eng, struct uring, eng);
    evloop_remove(u->loop, &u->watch);
    event_cancel(&eng->event);
    io_uring_queue_exit(&u->ring);
    close(u->watch.fd);
    free(u);
}

static const struct engine_ops uring_ops = {
    .name = "io_uring",
    .start = uring_start,
    .commit = uring_commit,
    .reap = uring_reap,
    .wait = uring_wait,
    .fini = uring_fini,
};

/* A filter may allow the set-up and refuse the call that does the work: try that too. */
static int try_nop(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    io_uring_prep_nop(io_uring_get_sqe(ring));
    int r = io_uring_submit_and_wait(ring, 1);
    if (r < 0)
        return r;
    r = io_uring_peek_cqe(ring, &cqe);
    if (!r)
        io_uring_cqe_seen(ring, cqe);
    return r;
}

static int watch_completions(struct uring *u)
{
    u->watch = (struct fd_watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                 .events = EPOLLIN,
                                 .ready = uring_ready,
                                 .self = u};
    if (u->watch.fd < 0)
        return -errno;
    int r = io_uring_register_eventfd(&u->ring, u->watch.fd);
    if (!r)
        r = evloop_add(u->loop, &u->watch);
    if (r)
        close(u->watch.fd);
    return r;
}

int uring_open(struct engine **eng, const struct block_env *env, struct err *err)
{
    struct uring *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(err, ENOMEM, "no memory for a disk's io_uring");
    engine_init(&u->eng, &uring_ops, env->events);
    host_op_list_init(&u->parked);
    u->loop = env->loop;
    int r = io_uring_queue_init(DEPTH, &u->ring, 0);
    if (r)
        goto out_free;
    r = try_nop(&u->ring);
    if (!r)
        r = watch_completions(u);
    if (r)
        goto out_ring;
    *eng = &u->eng;
    return 0;
out_ring:
    io_uring_queue_exit(&u->ring);
out_free:
    free(u);
    return err_set_errno(err, -r, "io_uring is refused here (aio=threads works everywhere)");
}
