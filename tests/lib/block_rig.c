// SPDX-License-Identifier: MIT
//
// See block_rig.h.
#include "tests/lib/block_rig.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void wake(void *loop)
{
    evloop_wake(loop);
}

void block_rig_init(struct block_rig *rig)
{
    struct err err = {0};
    const char *tmp = getenv("TMPDIR");
    ck_assert_int_eq(evloop_init(&rig->loop, &err), 0);
    event_queue_init(&rig->events, wake, &rig->loop);
    rig->env = (struct block_env){.loop = &rig->loop, .events = &rig->events};
    clock_init_stepped(&rig->clock, 0);
    snprintf(rig->dir, sizeof rig->dir, "%s/block-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(rig->dir));
    block_faults_reset();
}

void block_rig_fini(struct block_rig *rig)
{
    DIR *dir = opendir(rig->dir);
    for (struct dirent *d; dir && (d = readdir(dir));)
        unlinkat(dirfd(dir), d->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(rig->dir);
    event_queue_fini(&rig->events);
    evloop_fini(&rig->loop);
}

const char *block_rig_path(const struct block_rig *rig, const char *name)
{
    static char path[4][400];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", rig->dir, name);
    return p;
}

const char *block_rig_image(const struct block_rig *rig, const char *name, uint64_t size)
{
    const char *path = block_rig_path(rig, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
    return path;
}

bool block_rig_has_uring(unsigned tests)
{
    struct evloop loop;
    struct event_queue events;
    struct err err = {0};
    struct engine *eng = NULL;
    if (evloop_init(&loop, &err))
        return false;
    event_queue_init(&events, NULL, NULL);
    struct block_env env = {.loop = &loop, .events = &events};
    bool has = !uring_open(&eng, &env, &err);
    if (has)
        engine_close(eng);
    else
        printf("SKIP: %u tests with io_uring: %s\n", tests, err.msg);
    event_queue_fini(&events);
    evloop_fini(&loop);
    return has;
}

void block_test_done(struct blk_req *req)
{
    struct block_test_req *r = (struct block_test_req *)req;
    ck_assert_msg(!r->answered, "a request was answered twice");
    r->answered = true;
}

void block_test_req_init(struct block_test_req *r, enum blk_op op, uint64_t off, void *buf,
                         uint64_t len)
{
    *r = (struct block_test_req){
        .req = {.op = op, .offset = off, .len = len, .done = block_test_done},
        .iov = {buf, len}};
    if (op == BLK_READ || op == BLK_WRITE) {
        r->req.iov = &r->iov;
        r->req.niov = 1;
    }
}

int block_rig_wait(struct block_rig *rig, struct block_test_req *r)
{
    while (!r->answered) {
        if (event_queue_run(&rig->events))
            continue;
        if (rig->env.counted)
            clock_step(&rig->clock, 1000);
        else
            evloop_run_once(&rig->loop, 1000);
    }
    return r->req.result;
}

int block_rig_do(struct block_rig *rig, struct block *blk, struct block_test_req *r)
{
    block_submit(blk, &r->req);
    ck_assert_msg(!r->answered, "answered from within submit");
    block_commit(blk);
    ck_assert_msg(!r->answered, "answered from within commit");
    return block_rig_wait(rig, r);
}

int block_rig_io(struct block_rig *rig, struct block *blk, enum blk_op op, uint64_t off, void *buf,
                 uint64_t len)
{
    struct block_test_req r;
    block_test_req_init(&r, op, off, buf, len);
    return block_rig_do(rig, blk, &r);
}

/* --- faults --- */

struct block_faults block_faults;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fault_cond = PTHREAD_COND_INITIALIZER;
static unsigned calls, syncs;

void block_faults_reset(void)
{
    block_faults = (struct block_faults){0};
    calls = syncs = 0;
}

void block_faults_release_sync(void)
{
    pthread_mutex_lock(&fault_lock);
    block_faults.hold_sync = false;
    pthread_cond_broadcast(&fault_cond);
    pthread_mutex_unlock(&fault_lock);
}

unsigned block_faults_syncs(void)
{
    pthread_mutex_lock(&fault_lock);
    unsigned n = syncs;
    pthread_mutex_unlock(&fault_lock);
    return n;
}

/* -1 with errno set, 0 for "moves nothing", or 1 to go on. */
static int misbehave(int error)
{
    pthread_mutex_lock(&fault_lock);
    int r = 1;
    if (block_faults.interrupt && calls++ % 2 == 0) {
        errno = EINTR;
        r = -1;
    } else if (error) {
        errno = error;
        r = -1;
    } else if (block_faults.moves_nothing) {
        r = 0;
    }
    pthread_mutex_unlock(&fault_lock);
    return r;
}

/* The first max bytes of an iov, in out; their number of entries. */
static int shorten(struct iovec *out, const struct iovec *iov, int niov, uint64_t max)
{
    int n = 0;
    for (; n < niov && n < 64 && max; n++) {
        out[n] = iov[n];
        if (out[n].iov_len > max)
            out[n].iov_len = max;
        max -= out[n].iov_len;
    }
    return n;
}

static ssize_t faulty_preadv(int fd, const struct iovec *iov, int niov, off_t off)
{
    struct iovec few[64];
    int r = misbehave(block_faults.read_error);
    if (r <= 0)
        return r;
    if (!block_faults.max_bytes)
        return preadv(fd, iov, niov, off);
    return preadv(fd, few, shorten(few, iov, niov, block_faults.max_bytes), off);
}

static ssize_t faulty_pwritev(int fd, const struct iovec *iov, int niov, off_t off)
{
    struct iovec few[64];
    uint64_t max = block_faults.max_bytes;
    pthread_mutex_lock(&fault_lock);
    int error = block_faults.write_error;
    if (error && block_faults.write_room > 0) {
        max = (uint64_t)block_faults.write_room;
        error = 0;
    }
    pthread_mutex_unlock(&fault_lock);
    int r = misbehave(error);
    if (r <= 0)
        return r;
    ssize_t n = max ? pwritev(fd, few, shorten(few, iov, niov, max), off)
                    : pwritev(fd, iov, niov, off);
    pthread_mutex_lock(&fault_lock);
    if (block_faults.write_error && n > 0)
        block_faults.write_room -= n;
    pthread_mutex_unlock(&fault_lock);
    return n;
}

static int faulty_fdatasync(int fd)
{
    pthread_mutex_lock(&fault_lock);
    syncs++;
    bool fails = block_faults.sync_error &&
                 (!block_faults.sync_failures || syncs <= block_faults.sync_failures);
    while (block_faults.hold_sync)
        pthread_cond_wait(&fault_cond, &fault_lock);
    pthread_mutex_unlock(&fault_lock);
    if (!fails)
        return fdatasync(fd);
    errno = block_faults.sync_error;
    return -1;
}

static int faulty_fallocate(int fd, int mode, off_t off, off_t len)
{
    int r = misbehave(block_faults.fallocate_error);
    return r < 0 ? r : fallocate(fd, mode, off, len);
}

const struct host_io block_rig_faulty_io = {
    .preadv = faulty_preadv,
    .pwritev = faulty_pwritev,
    .fdatasync = faulty_fdatasync,
    .fallocate = faulty_fallocate,
};
