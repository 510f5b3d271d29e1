// SPDX-License-Identifier: MIT
//
// The engine for disks under counted time: everything is a function of the guest's instructions, so
// nothing may depend on how fast the host is. An operation is carried out when it is started, while
// guest time stands still, and has come to its end a fixed time later.
// Thread: the one that starts it; nothing happens elsewhere.
#include <errno.h>
#include <stdlib.h>

#include "engine.h"
#include "util.h"

#define LATENCY_NS 100000u /* a fast disk */

struct counted {
    struct engine eng;
    const struct host_io *io;
    struct clock *clock;
    struct timer timer;
    struct host_op_list started;  /* not committed yet */
    struct host_op_list finished; /* by due_ns, since each takes as long as the others */
};

static void rearm(struct counted *c)
{
    if (c->finished.head)
        timer_arm(&c->timer, c->finished.head->due_ns);
    else
        timer_cancel(&c->timer);
}

static void counted_start(struct engine *eng, struct host_op *op)
{
    host_op_list_add(&container_of(eng, struct counted, eng)->started, op);
}

static void counted_commit(struct engine *eng)
{
    struct counted *c = container_of(eng, struct counted, eng);
    struct host_op *op;
    while ((op = host_op_list_take(&c->started))) {
        host_op_perform(c->io, op);
        op->due_ns = clock_now_ns(c->clock) + LATENCY_NS;
        host_op_list_add(&c->finished, op);
    }
    rearm(c);
}

/* One by one: a `done` may drain. */
static void deliver_until(struct counted *c, uint64_t ns)
{
    while (c->finished.head && c->finished.head->due_ns <= ns) {
        struct host_op *op = host_op_list_take(&c->finished);
        engine_finish(&c->eng, op, op->result);
    }
}

static void on_due(void *self)
{
    struct counted *c = self;
    deliver_until(c, clock_now_ns(c->clock));
    counted_commit(&c->eng); /* what the completions led to */
}

/* For drain, which does not wait for guest time. */
static void counted_reap(struct engine *eng)
{
    struct counted *c = container_of(eng, struct counted, eng);
    deliver_until(c, UINT64_MAX);
    rearm(c);
}

static void counted_wait(struct engine *eng)
{
    (void)eng; /* what was committed is done */
}

static void counted_fini(struct engine *eng)
{
    struct counted *c = container_of(eng, struct counted, eng);
    timer_cancel(&c->timer);
    event_cancel(&eng->event);
    free(c);
}

static const struct engine_ops counted_ops = {
    .name = "counted",
    .start = counted_start,
    .commit = counted_commit,
    .reap = counted_reap,
    .wait = counted_wait,
    .fini = counted_fini,
};

int counted_open(struct engine **eng, const struct block_env *env, const struct host_io *io,
                 struct err *err)
{
    struct counted *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ENOMEM, "no memory for a disk's requests");
    engine_init(&c->eng, &counted_ops, env->events);
    c->io = io;
    c->clock = env->counted;
    timer_init(&c->timer, c->clock, on_due, c);
    host_op_list_init(&c->started);
    host_op_list_init(&c->finished);
    *eng = &c->eng;
    return 0;
}
