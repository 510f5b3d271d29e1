// SPDX-License-Identifier: MIT
//
// See block_powercut.h.
#include "tests/lib/block_powercut.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* --- the record --- */

enum step_kind { WRITE_BEGIN, WRITE_END, SYNC_BEGIN, SYNC_END };

struct step {
    enum step_kind kind;
    enum powercut_view view;
    unsigned id;       /* of a begin: its own index; of an end: the begin's */
    uint64_t first, n; /* sectors; of an end: how many went well */
    bool ok;           /* SYNC_END: well; WRITE_END: stable by itself */
    uint32_t *version; /* WRITE_BEGIN: of each sector */
};

static struct step *steps;
static unsigned nsteps, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void powercut_start(void)
{
    for (unsigned i = 0; i < nsteps; i++)
        free(steps[i].version);
    nsteps = 0;
}

static unsigned record(struct step step)
{
    pthread_mutex_lock(&lock);
    if (nsteps == room) {
        room = room ? room * 2 : 1024;
        steps = realloc(steps, room * sizeof *steps);
    }
    unsigned index = nsteps++;
    if (step.kind == WRITE_BEGIN || step.kind == SYNC_BEGIN)
        step.id = index;
    steps[index] = step;
    pthread_mutex_unlock(&lock);
    return index;
}

void powercut_fill(uint8_t *sector, uint64_t number, uint32_t version)
{
    for (unsigned i = 0; i < 512; i += 8) {
        store_le32(sector + i, version);
        store_le32(sector + i + 4, version ? (uint32_t)number : 0);
    }
}

uint32_t powercut_version(const uint8_t *sector, uint64_t number)
{
    uint8_t want[512];
    powercut_fill(want, number, load_le32(sector));
    return memcmp(want, sector, sizeof want) ? UINT32_MAX : load_le32(sector);
}

unsigned powercut_write_begin(enum powercut_view view, uint64_t off, uint64_t len,
                              const struct iovec *iov, unsigned niov)
{
    ck_assert(off % 512 == 0 && len % 512 == 0 && range_fits(off, len, POWERCUT_BYTES));
    struct step step = {.kind = WRITE_BEGIN, .view = view, .first = off / 512, .n = len / 512};
    step.version = calloc(step.n, sizeof *step.version);
    uint8_t *flat = calloc(1, len);
    uint64_t at = 0;
    for (unsigned i = 0; i < niov; at += iov[i++].iov_len)
        memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
    for (uint64_t s = 0; s < step.n; s++)
        step.version[s] = powercut_version(flat + s * 512, step.first + s);
    free(flat);
    return record(step);
}

void powercut_write_end(unsigned id, uint64_t bytes, bool stable)
{
    record((struct step){.kind = WRITE_END, .id = id, .n = bytes / 512, .ok = stable});
}

unsigned powercut_sync_begin(enum powercut_view view)
{
    return record((struct step){.kind = SYNC_BEGIN, .view = view});
}

void powercut_sync_end(unsigned id, bool ok)
{
    record((struct step){.kind = SYNC_END, .id = id, .ok = ok});
}

/* --- a view: what each sector may hold --- */

#define NEVER UINT32_MAX

struct value {
    uint32_t version;
    unsigned write;      /* id; steps are numbered from 1 here, 0 is before the record */
    unsigned begun, ended;
    bool ok;
};

struct sector {
    struct value *values;
    unsigned n, room;
    unsigned stable_begun; /* the newest stable write: what ended before it is gone for good */
};

struct view {
    struct sector sector[POWERCUT_SECTORS];
};

static void view_init(struct view *v)
{
    *v = (struct view){0};
    for (unsigned s = 0; s < POWERCUT_SECTORS; s++) {
        v->sector[s].values = calloc(1, sizeof(struct value)); /* zeroes, long ago */
        v->sector[s].values[0].ok = true;
        v->sector[s].n = v->sector[s].room = 1;
    }
}

static void view_fini(struct view *v)
{
    for (unsigned s = 0; s < POWERCUT_SECTORS; s++)
        free(v->sector[s].values);
}

static void sector_write(struct sector *sec, uint32_t version, unsigned write, unsigned now)
{
    if (sec->n == sec->room) {
        sec->room *= 2;
        sec->values = realloc(sec->values, sec->room * sizeof *sec->values);
    }
    sec->values[sec->n++] =
        (struct value){.version = version, .write = write, .begun = now, .ended = NEVER};
}

static void sector_end(struct sector *sec, unsigned write, unsigned now, bool ok, bool stable)
{
    for (unsigned i = 0; i < sec->n; i++) {
        struct value *val = &sec->values[i];
        if (val->write != write || val->ended != NEVER)
            continue;
        val->ended = now;
        val->ok = ok;
        if (ok && stable && val->begun > sec->stable_begun)
            sec->stable_begun = val->begun;
    }
}

static void sector_prune(struct sector *sec)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sec->n; i++)
        if (sec->values[i].ended >= sec->stable_begun)
            sec->values[n++] = sec->values[i];
    sec->n = n;
}

static void sector_sync(struct sector *sec, unsigned sync_begun)
{
    for (unsigned i = 0; i < sec->n; i++) {
        const struct value *val = &sec->values[i];
        if (val->ok && val->ended < sync_begun && val->begun > sec->stable_begun)
            sec->stable_begun = val->begun;
    }
}

static void view_play(struct view *v, const struct step *step, unsigned now)
{
    const struct step *begin = &steps[step->id];
    for (uint64_t i = 0; i < begin->n; i++) {
        struct sector *sec = &v->sector[begin->first + i];
        if (step->kind == WRITE_BEGIN)
            sector_write(sec, step->version[i], step->id + 1, now);
        else if (step->kind == WRITE_END)
            sector_end(sec, step->id + 1, now, i < step->n, step->ok);
    }
    for (unsigned s = 0; s < POWERCUT_SECTORS; s++) {
        if (step->kind == SYNC_END && step->ok)
            sector_sync(&v->sector[s], step->id + 1);
        sector_prune(&v->sector[s]);
    }
}

static bool may_hold(const struct sector *sec, uint32_t version)
{
    for (unsigned i = 0; i < sec->n; i++)
        if (sec->values[i].version == version)
            return true;
    return false;
}

/* How many sectors may hold what the guest must not find. */
static unsigned cut(const struct view *host, const struct view *guest)
{
    unsigned losses = 0;
    for (unsigned s = 0; s < POWERCUT_SECTORS; s++) {
        bool lost = false;
        for (unsigned i = 0; i < host->sector[s].n; i++)
            lost |= !may_hold(&guest->sector[s], host->sector[s].values[i].version);
        losses += lost;
    }
    return losses;
}

struct powercut_result powercut_judge(void)
{
    static struct view view[2];
    struct powercut_result result = {0};
    view_init(&view[0]);
    view_init(&view[1]);
    for (unsigned i = 0; i < nsteps; i++) {
        const struct step *step = &steps[i];
        enum powercut_view which = steps[step->id].view;
        view_play(&view[which], step, i + 1);
        result.cuts++;
        result.losses += cut(&view[POWERCUT_HOST], &view[POWERCUT_GUEST]);
        result.syncs += step->kind == SYNC_END && which == POWERCUT_HOST;
    }
    view_fini(&view[0]);
    view_fini(&view[1]);
    return result;
}

/* --- recorded system calls --- */

static ssize_t recorded_pwritev(int fd, const struct iovec *iov, int niov, off_t off)
{
    uint64_t len = 0;
    for (int i = 0; i < niov; i++)
        len += iov[i].iov_len;
    unsigned id = powercut_write_begin(POWERCUT_HOST, (uint64_t)off, len, iov, (unsigned)niov);
    ssize_t r = pwritev(fd, iov, niov, off);
    int e = errno;
    powercut_write_end(id, r > 0 ? (uint64_t)r : 0, false);
    errno = e;
    return r;
}

static int recorded_fdatasync(int fd)
{
    unsigned id = powercut_sync_begin(POWERCUT_HOST);
    int r = fdatasync(fd), e = errno;
    powercut_sync_end(id, !r);
    errno = e;
    return r;
}

static int forgotten_fdatasync(int fd)
{
    (void)fd;
    return 0;
}

static int recorded_fallocate(int fd, int mode, off_t off, off_t len)
{
    unsigned id = powercut_write_begin(POWERCUT_HOST, (uint64_t)off, (uint64_t)len, NULL, 0);
    int r = fallocate(fd, mode, off, len), e = errno;
    powercut_write_end(id, r ? 0 : (uint64_t)len, false);
    errno = e;
    return r;
}

const struct host_io powercut_io = {
    .preadv = preadv,
    .pwritev = recorded_pwritev,
    .fdatasync = recorded_fdatasync,
    .fallocate = recorded_fallocate,
};

const struct host_io powercut_forgetful_io = {
    .preadv = preadv,
    .pwritev = recorded_pwritev,
    .fdatasync = forgotten_fdatasync,
    .fallocate = recorded_fallocate,
};

/* --- a recorded engine --- */

struct recorder {
    struct engine eng;
    struct engine *inner;
    bool forgetful;
    struct host_op_list forgotten;
};

struct recorded_op {
    struct host_op op; /* what the inner engine sees */
    struct recorder *rec;
    struct host_op *outer;
    unsigned id;
};

static void recorder_finished(struct host_op *op, int result)
{
    struct recorded_op *r = container_of(op, struct recorded_op, op);
    struct recorder *rec = r->rec;
    struct host_op *outer = r->outer;
    if (op->kind == HOST_SYNC)
        powercut_sync_end(r->id, !result);
    else if (op->kind != HOST_READ)
        powercut_write_end(r->id, result ? 0 : op->len, false);
    free(r);
    engine_finish(&rec->eng, outer, result);
}

static void recorder_start(struct engine *eng, struct host_op *op)
{
    struct recorder *rec = container_of(eng, struct recorder, eng);
    if (op->kind == HOST_SYNC && rec->forgetful) {
        host_op_list_add(&rec->forgotten, op);
        event_post(&eng->event);
        return;
    }
    struct recorded_op *r = calloc(1, sizeof *r);
    r->op = *op;
    r->op.finished = recorder_finished;
    r->rec = rec;
    r->outer = op;
    if (op->kind == HOST_SYNC)
        r->id = powercut_sync_begin(POWERCUT_HOST);
    else if (op->kind != HOST_READ)
        r->id = powercut_write_begin(POWERCUT_HOST, op->off, op->len, op->iov, op->niov);
    engine_start(rec->inner, &r->op);
}

static void recorder_commit(struct engine *eng)
{
    engine_commit(container_of(eng, struct recorder, eng)->inner);
}

static void recorder_reap(struct engine *eng)
{
    struct recorder *rec = container_of(eng, struct recorder, eng);
    struct host_op *op;
    while ((op = host_op_list_take(&rec->forgotten)))
        engine_finish(eng, op, 0);
    rec->inner->ops->reap(rec->inner);
}

static void recorder_wait(struct engine *eng)
{
    struct recorder *rec = container_of(eng, struct recorder, eng);
    if (!rec->forgotten.head)
        rec->inner->ops->wait(rec->inner);
}

static void recorder_fini(struct engine *eng)
{
    event_cancel(&eng->event);
    free(container_of(eng, struct recorder, eng));
}

static const struct engine_ops recorder_ops = {
    .name = "recorder",
    .start = recorder_start,
    .commit = recorder_commit,
    .reap = recorder_reap,
    .wait = recorder_wait,
    .fini = recorder_fini,
};

struct engine *powercut_engine(struct engine *inner, const struct block_env *env, bool forgetful)
{
    struct recorder *rec = calloc(1, sizeof *rec);
    engine_init(&rec->eng, &recorder_ops, env->events);
    rec->inner = inner;
    rec->forgetful = forgetful;
    host_op_list_init(&rec->forgotten);
    return &rec->eng;
}
