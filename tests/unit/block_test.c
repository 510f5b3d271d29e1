// SPDX-License-Identifier: MIT
//
// Block backends: what requests do, on all engines, and what happens when the host misbehaves.
// Tests in a loop run once per engine.
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "devices/block/uring.h"
#include "tests/lib/block_scene.h"
#include "tests/lib/suite.h"

/* --- requests --- */

START_TEST(block_read_returns_what_was_written)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t out[8192], in[8192];
    fill(out, sizeof out, 1);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 1536, out, sizeof out), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 1536, in, sizeof in), 0);
    ck_assert_mem_eq(in, out, sizeof in);
    read_file("disk", 1536, in, sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
    ck_assert_uint_eq(blk->count.writes, 1);
    ck_assert_uint_eq(blk->count.read_bytes, sizeof in);
    ck_assert_uint_eq(blk->in_flight, 0);
    block_close(blk);
}
END_TEST

START_TEST(block_reaches_beyond_4_gib)
{
    struct block *blk = open_image(GIB(6), _i);
    uint8_t out[1024], in[1024];
    const uint64_t places[] = {GIB(2) - 512, GIB(4) - 512, GIB(5), GIB(6) - 1024};
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        fill(out, sizeof out, i);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, places[i], out, sizeof out), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        fill(out, sizeof out, i);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, places[i], in, sizeof in), 0);
        ck_assert_mem_eq(in, out, sizeof in);
    }
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert(all_zero(in, sizeof in));
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, GIB(5), NULL, 1024), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, GIB(5), in, sizeof in), 0);
    ck_assert(all_zero(in, sizeof in));
    block_close(blk);
}
END_TEST

START_TEST(block_takes_more_requests_than_a_ring_holds)
{
    enum { N = 1000 };
    struct block *blk = open_image(MIB(1), _i);
    struct block_test_req *r = calloc(N, sizeof *r);
    uint8_t(*buf)[512] = calloc(N, 512);
    for (unsigned i = 0; i < N; i++) {
        fill(buf[i], 512, i);
        block_test_req_init(&r[i], BLK_WRITE, i * 512ull, buf[i], 512);
        block_submit(blk, &r[i].req);
    }
    ck_assert_uint_eq(blk->in_flight, N);
    block_commit(blk);
    for (unsigned i = 0; i < N; i++)
        ck_assert_int_eq(block_rig_wait(&rig, &r[i]), 0);
    for (unsigned i = 0; i < N; i++) {
        uint8_t in[512];
        read_file("disk", i * 512ull, in, 512);
        ck_assert_mem_eq(in, buf[i], 512);
    }
    block_close(blk);
    free(r);
    free(buf);
}
END_TEST

START_TEST(block_scatters_into_odd_pieces)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t out[4096], in[4096];
    static const size_t pieces[] = {0, 1, 511, 0, 0, 1000, 24, 512, 2047, 1, 0};
    struct iovec iov[ARRAY_LEN(pieces)];
    size_t at = 0;
    for (unsigned i = 0; i < ARRAY_LEN(pieces); at += pieces[i++])
        iov[i] = (struct iovec){in + at, pieces[i]};
    ck_assert_uint_eq(at, sizeof in);
    fill(out, sizeof out, 3);
    write_file("disk", 512, out, sizeof out);
    struct block_test_req r;
    block_test_req_init(&r, BLK_READ, 512, NULL, sizeof in);
    r.req.iov = iov;
    r.req.niov = ARRAY_LEN(pieces);
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
    ck_assert_mem_eq(in, out, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_takes_more_pieces_than_a_system_call)
{
    enum { N = 2500 };
    struct block *blk = open_image(MIB(2), _i);
    uint8_t *out = malloc(N * 512), *in = malloc(N * 512);
    struct iovec iov[N];
    fill(out, N * 512, 4);
    for (unsigned i = 0; i < N; i++)
        iov[i] = (struct iovec){out + i * 512, 512};
    struct block_test_req r;
    block_test_req_init(&r, BLK_WRITE, 4096, NULL, N * 512);
    r.req.iov = iov;
    r.req.niov = N;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
    read_file("disk", 4096, in, N * 512);
    ck_assert_mem_eq(in, out, N * 512);
    block_close(blk);
    free(in);
    free(out);
}
END_TEST

START_TEST(block_refuses_bad_requests_later)
{
    struct block *blk = open_image(4096, _i);
    uint8_t buf[1024] = {0};
    static const struct {
        uint64_t off, len;
        int result;
    } cases[] = {
        {4096, 512, -EIO},       {3584, 1024, -EIO},           {UINT64_MAX - 511, 1024, -EIO},
        {1ull << 63, 512, -EIO}, {1, 512, -EINVAL},            {0, 511, -EINVAL},
        {0, 1024, 0},            {3072, 1024, 0},              {4096, 0, 0},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, cases[i].off, buf, cases[i].len),
                         cases[i].result);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 0, NULL, 8192), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE_ZEROES, 512, NULL, UINT64_MAX - 511), -EIO);
    struct block_test_req r;
    block_test_req_init(&r, BLK_READ, 0, buf, 1024);
    r.iov.iov_len = 512;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), -EINVAL);
    block_test_req_init(&r, BLK_READ, 0, buf, 512);
    r.iov.iov_len = 1024;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), -EINVAL);
    ck_assert_uint_eq(blk->errors, 10);
    block_close(blk);
}
END_TEST

START_TEST(block_read_only_refuses_changes)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), _i);
    cfg.read_only = true;
    struct block *blk = open_ok(&cfg);
    uint8_t buf[512] = {1};
    ck_assert(blk->read_only && !blk->can_discard);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 512), -EROFS);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 0, NULL, 512), -EROFS);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE_ZEROES, 0, NULL, 512), -EROFS);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, buf, 512), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), 0);
    block_close(blk);
}
END_TEST

START_TEST(block_discard_and_zeroes_read_as_zeroes)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t ones[65536], in[65536];
    ck_assert(blk->can_discard);
    for (unsigned way = 0; way < 3; way++) {
        memset(ones, 1, sizeof ones);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, ones, sizeof ones), 0);
        struct block_test_req r;
        block_test_req_init(&r, way ? BLK_WRITE_ZEROES : BLK_DISCARD, 1024, NULL, 40960 + 512);
        r.req.unmap = way == 2;
        ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
        ck_assert(all_zero(in + 1024, 40960 + 512));
        memset(in + 1024, 1, 40960 + 512);
        ck_assert_mem_eq(in, ones, sizeof in);
    }
    block_close(blk);
}
END_TEST

START_TEST(block_discard_gives_space_back)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t *ones = malloc(MIB(1));
    struct stat before, after;
    memset(ones, 1, MIB(1));
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, ones, MIB(1)), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), 0);
    ck_assert_int_eq(stat(block_rig_path(&rig, "disk"), &before), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 0, NULL, KIB(512)), 0);
    ck_assert_int_eq(stat(block_rig_path(&rig, "disk"), &after), 0);
    ck_assert_int_lt(after.st_blocks, before.st_blocks);
    ck_assert_int_eq(after.st_size, before.st_size);
    block_close(blk);
    free(ones);
}
END_TEST

START_TEST(block_opening_does_not_change_the_image)
{
    uint8_t out[5120], in[5120];
    block_rig_image(&rig, "disk", sizeof out);
    fill(out, sizeof out, 5);
    write_file("disk", 0, out, sizeof out);
    struct block_config cfg = config(block_rig_path(&rig, "disk"), _i);
    for (unsigned cache = BLK_CACHE_WRITEBACK; cache <= BLK_CACHE_UNSAFE; cache++) {
        cfg.cache = cache;
        block_close(open_ok(&cfg));
    }
    read_file("disk", 0, in, sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
    struct stat st;
    ck_assert_int_eq(stat(cfg.path, &st), 0);
    ck_assert_int_eq(st.st_size, sizeof out);
}
END_TEST

static void fire_flag(void *flag)
{
    *(bool *)flag = true;
}

START_TEST(block_drain_answers_all_and_runs_no_other_events)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t buf[8][4096];
    struct block_test_req r[10];
    bool fired = false;
    struct event other;
    event_init(&other, &rig.events, fire_flag, &fired);
    event_post(&other);
    for (unsigned i = 0; i < 8; i++) {
        fill(buf[i], 4096, i);
        block_test_req_init(&r[i], BLK_WRITE, i * 4096, buf[i], 4096);
    }
    block_test_req_init(&r[8], BLK_FLUSH, 0, NULL, 0);
    block_test_req_init(&r[9], BLK_WRITE, MIB(1), buf[0], 4096); /* fails late */
    for (unsigned i = 0; i < 10; i++)
        block_submit(blk, &r[i].req);
    block_drain(blk);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(r[i].answered);
        ck_assert_int_eq(r[i].req.result, i == 9 ? -EIO : 0);
    }
    ck_assert_uint_eq(blk->in_flight, 0);
    ck_assert(!fired);
    event_queue_run(&rig.events);
    ck_assert(fired);
    block_close(blk);
    event_queue_run(&rig.events); /* nothing of the disk is left in the queue */
}
END_TEST

START_TEST(block_close_waits_for_what_is_in_flight)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t *out = malloc(MIB(1)), *in = malloc(MIB(1));
    struct block_test_req r;
    fill(out, MIB(1), 6);
    block_test_req_init(&r, BLK_WRITE, 0, out, MIB(1));
    block_submit(blk, &r.req);
    block_close(blk);
    ck_assert(r.answered);
    read_file("disk", 0, in, MIB(1));
    ck_assert_mem_eq(in, out, MIB(1));
    free(in);
    free(out);
    block_close(NULL);
}
END_TEST

struct chain {
    struct block_test_req r;
    struct block *blk;
    unsigned left;
};

static void chain_done(struct blk_req *req)
{
    struct chain *c = (struct chain *)req;
    ck_assert_int_eq(req->result, 0);
    if (!--c->left) {
        c->r.answered = true;
        return;
    }
    req->offset += 512;
    block_submit(c->blk, req);
    block_commit(c->blk);
}

START_TEST(block_done_may_submit_again)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t buf[512] = {7};
    struct chain c = {.blk = blk, .left = 300};
    block_test_req_init(&c.r, BLK_READ, 0, buf, 512);
    c.r.req.done = chain_done;
    ck_assert_int_eq(block_rig_do(&rig, blk, &c.r), 0);
    c.left = 300;
    c.r.req.offset = 0;
    c.r.answered = false;
    block_submit(blk, &c.r.req);
    block_drain(blk);
    ck_assert_uint_eq(c.left, 0);
    block_close(blk);
}
END_TEST

/* The thread that submits may end, as a vCPU's does at power-off; its requests go on. */
static void *submit_and_end(void *blk)
{
    static struct block_test_req r[64];
    static uint8_t buf[64][4096];
    for (unsigned i = 0; i < 64; i++) {
        memset(buf[i], (int)i + 1, sizeof buf[i]);
        block_test_req_init(&r[i], i == 63 ? BLK_FLUSH : BLK_WRITE, i * 4096, buf[i], 4096);
        block_submit(blk, &r[i].req);
    }
    block_commit(blk);
    return r;
}

START_TEST(block_requests_outlive_the_thread_that_submits)
{
    for (unsigned cache = BLK_CACHE_WRITEBACK; cache <= BLK_CACHE_NONE; cache++) {
        struct block_config cfg = config(block_rig_image(&rig, "disk", MIB(1)), _i);
        cfg.cache = cache;
        struct block *blk = open_ok(&cfg);
        pthread_t thread;
        void *reqs;
        ck_assert_int_eq(pthread_create(&thread, NULL, submit_and_end, blk), 0);
        pthread_join(thread, &reqs);
        block_drain(blk);
        const struct block_test_req *r = reqs;
        for (unsigned i = 0; i < 64; i++) {
            ck_assert(r[i].answered);
            ck_assert_int_eq(r[i].req.result, 0);
        }
        block_close(blk);
    }
}
END_TEST

/* As in the real thing: one thread runs the loop and the queue, another submits, under one lock. */
struct stage {
    pthread_mutex_t device_lock;
    bool stop;
};

static void *loop_main(void *self)
{
    struct stage *stage = self;
    for (bool stop = false; !stop;) {
        evloop_run_once(&rig.loop, -1);
        pthread_mutex_lock(&stage->device_lock);
        event_queue_run(&rig.events);
        stop = stage->stop;
        pthread_mutex_unlock(&stage->device_lock);
    }
    return NULL;
}

START_TEST(block_completions_come_by_the_loop_thread)
{
    struct stage stage = {.device_lock = PTHREAD_MUTEX_INITIALIZER};
    if (_i == ENGINE_COUNTED)
        return; /* its completions come by the clock, on the thread that counts */
    struct block *blk = open_image(MIB(1), _i);
    uint8_t out[4096], in[4096];
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, loop_main, &stage), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct block_test_req r[2];
        fill(out, sizeof out, i);
        block_test_req_init(&r[0], BLK_WRITE, i * 4096, out, sizeof out);
        block_test_req_init(&r[1], BLK_READ, i * 4096, in, sizeof in);
        for (unsigned k = 0; k < 2; k++) {
            bool answered = false;
            pthread_mutex_lock(&stage.device_lock);
            block_submit(blk, &r[k].req);
            block_commit(blk);
            if (i % 8 == 7)
                block_drain(blk); /* while the loop may be woken for the same completion */
            pthread_mutex_unlock(&stage.device_lock);
            while (!answered) {
                pthread_mutex_lock(&stage.device_lock);
                answered = r[k].answered;
                pthread_mutex_unlock(&stage.device_lock);
                sched_yield();
            }
            ck_assert_int_eq(r[k].req.result, 0);
        }
        ck_assert_mem_eq(in, out, sizeof in);
    }
    pthread_mutex_lock(&stage.device_lock);
    stage.stop = true;
    pthread_mutex_unlock(&stage.device_lock);
    evloop_wake(&rig.loop);
    pthread_join(thread, NULL);
    block_close(blk);
}
END_TEST

/* A limit on file sizes makes a real short write, and then a real error. */
START_TEST(block_short_write_is_continued_and_its_error_told)
{
    struct block *blk = open_image(MIB(1), _i);
    uint8_t out[8192], in[8192];
    struct rlimit old, tight = {.rlim_cur = 65536 + 1024};
    fill(out, sizeof out, 8);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight.rlim_max = old.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = block_rig_io(&rig, blk, BLK_WRITE, 65536, out, sizeof out);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(r, -EFBIG);
    read_file("disk", 65536, in, sizeof in);
    ck_assert_mem_eq(in, out, 1024);
    ck_assert(all_zero(in + 1024, sizeof in - 1024));
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 65536, out, sizeof out), 0);
    block_close(blk);
}
END_TEST

START_TEST(block_shrunk_file_gives_an_error_not_zeroes)
{
    struct block *blk = open_image(65536, _i);
    uint8_t in[4096];
    ck_assert_int_eq(truncate(block_rig_path(&rig, "disk"), 8192 + 1024), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 8192, in, sizeof in), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 16384, in, sizeof in), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 4096, in, sizeof in), 0);
    block_close(blk);
}
END_TEST

START_TEST(block_odd_end_reads_as_padded_with_zeroes)
{
    uint8_t out[1000], in[2048];
    fill(out, sizeof out, 9);
    block_rig_image(&rig, "disk", sizeof out);
    write_file("disk", 0, out, sizeof out);
    struct block_config cfg = config(block_rig_path(&rig, "disk"), _i);
    cfg.read_only = true;
    for (unsigned way = 0; way < 3; way++) {
        cfg.cache = way == 1 ? BLK_CACHE_NONE : BLK_CACHE_WRITEBACK;
        cfg.snapshot = way == 2;
        struct block *blk = open_ok(&cfg);
        ck_assert_uint_eq(blk->size, 1024);
        memset(in, 0xee, sizeof in);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, 1024), 0);
        ck_assert_mem_eq(in, out, sizeof out);
        ck_assert(all_zero(in + sizeof out, 1024 - sizeof out));
        ck_assert_int_eq(in[1024], 0xee);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 512, in, 512), 0);
        ck_assert_mem_eq(in, out + 512, sizeof out - 512);
        block_close(blk);
    }
}
END_TEST

/* --- direct I/O --- */

START_TEST(block_direct_takes_any_memory)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", MIB(1)), _i);
    cfg.cache = BLK_CACHE_NONE;
    struct block *blk = open_ok(&cfg);
    uint8_t *out = aligned_alloc(4096, MIB(1)), *in = aligned_alloc(4096, MIB(1));
    fill(out, MIB(1), 10);
    /* aligned, then off by one byte and longer than a bounce buffer */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, out, 65536), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 65536, out + 1, 600 * 1024), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in + 3, 65536), 0);
    ck_assert_mem_eq(in + 3, out, 65536);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 65536, in, 600 * 1024), 0);
    ck_assert_mem_eq(in, out + 1, 600 * 1024);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), 0);
    block_close(blk);
    free(in);
    free(out);
}
END_TEST

static struct block *open_4k(int engine, bool faulty)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", MIB(1)), engine);
    struct raw_seams seams = {.io = faulty ? &block_rig_faulty_io : NULL, .dio_align = 4096};
    return open_seams(&cfg, &seams);
}

START_TEST(block_coarse_device_keeps_neighbours)
{
    struct block *blk = open_4k(_i, false);
    uint8_t model[65536], in[65536], out[65536];
    fill(model, sizeof model, 11);
    write_file("disk", 0, model, sizeof model);
    uint32_t x = 1;
    for (unsigned i = 0; i < 200; i++) {
        x = x * 1664525u + 1013904223u;
        uint64_t first = (x >> 16) % 127, n = 1 + (x >> 8) % 20;
        if (n > 128 - first)
            n = 128 - first;
        fill(out, n * 512, i);
        enum blk_op op = x >> 30 ? BLK_WRITE : BLK_WRITE_ZEROES;
        if (op == BLK_WRITE_ZEROES)
            memset(out, 0, n * 512);
        ck_assert_int_eq(block_rig_io(&rig, blk, op, first * 512, out, n * 512), 0);
        memcpy(model + first * 512, out, n * 512);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, first * 512, in, n * 512), 0);
        ck_assert_mem_eq(in, out, n * 512);
    }
    read_file("disk", 0, in, sizeof in);
    ck_assert_mem_eq(in, model, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_coarse_device_serialises_writes_to_one_piece)
{
    enum { N = 256 };
    struct block *blk = open_4k(_i, false);
    static struct block_test_req r[N];
    static uint8_t out[N * 512], in[N * 512];
    fill(out, sizeof out, 12);
    for (unsigned i = 0; i < N; i++)
        block_test_req_init(&r[i], BLK_WRITE, i * 512, out + i * 512, 512);
    for (unsigned i = 0; i < N; i++)
        block_submit(blk, &r[i].req);
    block_drain(blk);
    read_file("disk", 0, in, sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_discard_spares_parts_of_big_sectors)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 65536), _i);
    struct raw_seams seams = {.logical_block = 4096};
    struct block *blk = open_seams(&cfg, &seams);
    uint8_t ones[16384], in[16384];
    memset(ones, 1, sizeof ones);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, ones, sizeof ones), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 512, NULL, 3584), 0); /* no whole one */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert_mem_eq(in, ones, sizeof in);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 3584, NULL, 9216), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert(all_zero(in + 4096, 8192));
    ck_assert_mem_eq(in, ones, 4096);
    ck_assert_mem_eq(in + 12288, ones, 4096);
    block_close(blk);
}
END_TEST

START_TEST(block_zeroes_are_written_where_the_host_cannot_make_them)
{
    for (unsigned coarse = 0; coarse < 2; coarse++) {
        static uint8_t ones[MIB(1)], in[MIB(1)];
        block_faults_reset();
        struct block *blk = coarse ? open_4k(0, true) : open_faulty(MIB(1));
        memset(ones, 1, sizeof ones);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, ones, sizeof ones), 0);
        block_faults.fallocate_error = EOPNOTSUPP;
        struct block_test_req r;
        block_test_req_init(&r, BLK_WRITE_ZEROES, 512, NULL, 700 * 1024);
        r.req.unmap = true;
        r.req.fua = true;
        ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
        ck_assert_uint_eq(block_faults_syncs(), 1);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
        ck_assert(all_zero(in + 512, 700 * 1024));
        memset(in + 512, 1, 700 * 1024);
        ck_assert_mem_eq(in, ones, sizeof in);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 0, NULL, 4096), -EOPNOTSUPP);
        block_close(blk);
    }
}
END_TEST

/* --- a host that misbehaves --- */

START_TEST(block_short_and_interrupted_calls_are_continued)
{
    struct block *blk = open_faulty(MIB(1));
    static uint8_t out[65536], in[65536];
    static const uint64_t sizes[] = {1, 700, 512, 4096, 5000};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t len = sizes[i] == 1 ? 2048 : sizeof out;
        block_faults.max_bytes = sizes[i];
        block_faults.interrupt = true;
        fill(out, sizeof out, i);
        memset(in, 0, sizeof in);
        struct iovec parts[3] = {{in, 1000}, {in + 1000, 24}, {in + 1024, len - 1024}};
        struct block_test_req r;
        block_test_req_init(&r, BLK_READ, 4096, NULL, len);
        r.req.iov = parts;
        r.req.niov = 3;
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 4096, out, len), 0);
        ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
        ck_assert_mem_eq(in, out, len);
    }
    block_close(blk);
}
END_TEST

START_TEST(block_host_errors_reach_the_guest)
{
    struct block *blk = open_faulty(MIB(1));
    uint8_t buf[4096] = {1};
    block_faults.read_error = EIO;
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, buf, 4096), -EIO);
    block_faults.write_error = ENOSPC;
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 4096), -ENOSPC);
    block_faults.fallocate_error = ENOSPC;
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE_ZEROES, 0, NULL, 4096), -ENOSPC);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_DISCARD, 0, NULL, 4096), -ENOSPC);
    ck_assert_uint_eq(blk->errors, 4);
    block_faults_reset();
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 4096), 0);
    block_faults.moves_nothing = true; /* would be asked for ever */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 4096), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, buf, 4096), -EIO);
    block_close(blk);
}
END_TEST

START_TEST(block_no_space_in_the_middle_is_an_error)
{
    struct block *blk = open_faulty(MIB(1));
    uint8_t out[8192], in[8192];
    fill(out, sizeof out, 13);
    block_faults.write_error = ENOSPC;
    block_faults.write_room = 4096;
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, out, sizeof out), -ENOSPC);
    block_faults_reset();
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert_mem_eq(in, out, 4096);
    block_close(blk);
}
END_TEST

START_TEST(block_failed_flush_is_never_forgotten)
{
    struct block *blk = open_faulty(MIB(1));
    uint8_t buf[4096] = {1};
    block_faults.sync_error = EIO;
    block_faults.sync_failures = 1; /* the second fdatasync would say all is well */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 4096), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), -EIO);
    struct block_test_req r;
    block_test_req_init(&r, BLK_WRITE, 0, buf, 4096);
    r.req.fua = true;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), -EIO);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, buf, 4096), 0);
    ck_assert_uint_eq(block_faults_syncs(), 1);
    block_close(blk);
}
END_TEST

START_TEST(block_flushes_under_way_share_one_failure)
{
    struct block *blk = open_faulty(MIB(1));
    struct block_test_req r[3];
    block_faults.sync_error = EIO;
    block_faults.sync_failures = 1;
    block_faults.hold_sync = true;
    for (unsigned i = 0; i < 3; i++) {
        block_test_req_init(&r[i], BLK_FLUSH, 0, NULL, 0);
        block_submit(blk, &r[i].req);
        block_commit(blk);
    }
    block_faults_release_sync();
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(block_rig_wait(&rig, &r[i]), -EIO);
    ck_assert_uint_eq(block_faults_syncs(), 1);
    block_close(blk);
}
END_TEST

START_TEST(block_flush_waits_for_a_sync_of_its_own)
{
    struct block *blk = open_faulty(MIB(1));
    struct block_test_req r[4];
    uint8_t buf[512] = {1};
    block_faults.hold_sync = true;
    block_test_req_init(&r[0], BLK_FLUSH, 0, NULL, 0);
    block_submit(blk, &r[0].req);
    block_commit(blk);
    while (!block_faults_syncs())
        usleep(100);
    /* completes while the first sync runs, which may have passed it by */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, buf, 512), 0);
    for (unsigned i = 1; i < 4; i++) {
        block_test_req_init(&r[i], BLK_FLUSH, 0, NULL, 0);
        block_submit(blk, &r[i].req);
    }
    block_commit(blk);
    block_faults_release_sync();
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(block_rig_wait(&rig, &r[i]), 0);
    ck_assert_uint_eq(block_faults_syncs(), 2);
    block_close(blk);
}
END_TEST

START_TEST(block_unsafe_never_syncs)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    struct raw_seams seams = {.io = &block_rig_faulty_io};
    uint8_t buf[512] = {1};
    cfg.cache = BLK_CACHE_UNSAFE;
    struct block *blk = open_seams(&cfg, &seams);
    struct block_test_req r;
    block_test_req_init(&r, BLK_WRITE, 0, buf, 512);
    r.req.fua = true;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), 0);
    ck_assert_uint_eq(block_faults_syncs(), 0);
    block_close(blk);
}
END_TEST

START_TEST(block_uring_flush_is_a_data_sync)
{
    struct io_uring_sqe sqe;
    struct host_op op = {.kind = HOST_SYNC, .fd = 7};
    host_op_begin(&op);
    uring_prep(&sqe, &op);
    ck_assert_int_eq(sqe.opcode, IORING_OP_FSYNC);
    ck_assert_uint_eq(sqe.fsync_flags, IORING_FSYNC_DATASYNC);
    ck_assert_int_eq(sqe.fd, 7);
    ck_assert_uint_eq(sqe.off, 0); /* with len: the whole file */
    ck_assert_uint_eq(sqe.len, 0);
    ck_assert_uint_eq(sqe.user_data, (uintptr_t)&op);
}
END_TEST

START_TEST(block_uring_continues_after_a_short_write)
{
    struct io_uring_sqe sqe;
    uint8_t buf[4096];
    struct iovec iov[2] = {{buf, 1024}, {buf + 1024, 3072}};
    struct host_op op = {
        .kind = HOST_WRITE, .fd = 7, .off = GIB(5), .len = 4096, .iov = iov, .niov = 2};
    host_op_begin(&op);
    uring_prep(&sqe, &op);
    ck_assert_int_eq(sqe.opcode, IORING_OP_WRITEV);
    ck_assert_uint_eq(sqe.off, GIB(5));
    ck_assert_uint_eq(sqe.len, 2);
    ck_assert(!host_op_advance(&op, 1500));
    uring_prep(&sqe, &op);
    ck_assert_uint_eq(sqe.off, GIB(5) + 1500);
    ck_assert_uint_eq(sqe.len, 1);
    const struct iovec *rest = (const struct iovec *)(uintptr_t)sqe.addr;
    ck_assert_ptr_eq(rest->iov_base, buf + 1500);
    ck_assert_uint_eq(rest->iov_len, 4096 - 1500);
    ck_assert(host_op_advance(&op, 4096 - 1500));
    ck_assert_int_eq(op.result, 0);
}
END_TEST

static const TTest *const *const engine_tests[] = {
    &block_read_returns_what_was_written,
    &block_reaches_beyond_4_gib,
    &block_takes_more_requests_than_a_ring_holds,
    &block_scatters_into_odd_pieces,
    &block_takes_more_pieces_than_a_system_call,
    &block_refuses_bad_requests_later,
    &block_read_only_refuses_changes,
    &block_discard_and_zeroes_read_as_zeroes,
    &block_discard_gives_space_back,
    &block_opening_does_not_change_the_image,
    &block_drain_answers_all_and_runs_no_other_events,
    &block_close_waits_for_what_is_in_flight,
    &block_done_may_submit_again,
    &block_requests_outlive_the_thread_that_submits,
    &block_completions_come_by_the_loop_thread,
    &block_short_write_is_continued_and_its_error_told,
    &block_shrunk_file_gives_an_error_not_zeroes,
    &block_odd_end_reads_as_padded_with_zeroes,
    &block_direct_takes_any_memory,
    &block_coarse_device_keeps_neighbours,
    &block_discard_spares_parts_of_big_sectors,
    &block_coarse_device_serialises_writes_to_one_piece,
};

/* --- counted time --- */

START_TEST(block_counted_takes_a_fixed_guest_time)
{
    struct block *blk = open_image(MIB(1), ENGINE_COUNTED);
    uint8_t out[512], in[512] = {0};
    struct block_test_req w, r;
    fill(out, sizeof out, 7);
    block_test_req_init(&w, BLK_WRITE, 0, out, sizeof out);
    block_test_req_init(&r, BLK_READ, 0, in, sizeof in);
    block_submit(blk, &w.req);
    block_commit(blk);
    clock_step(&rig.clock, 60000);
    block_submit(blk, &r.req);
    block_commit(blk);
    event_queue_run(&rig.events);
    ck_assert_mem_eq(in, out, sizeof in); /* the host's work is done, */
    clock_step(&rig.clock, 39999);
    ck_assert(!w.answered); /* but nothing is answered before its time, */
    clock_step(&rig.clock, 1);
    ck_assert(w.answered && !r.answered);
    clock_step(&rig.clock, 59999);
    ck_assert(!r.answered);
    clock_step(&rig.clock, 1);
    ck_assert(r.answered);
    block_close(blk);
}
END_TEST

START_TEST(block_counted_drains_without_guest_time)
{
    struct block *blk = open_image(MIB(1), ENGINE_COUNTED);
    uint8_t out[512];
    struct block_test_req w, f;
    fill(out, sizeof out, 8);
    block_test_req_init(&w, BLK_WRITE, 512, out, sizeof out);
    block_test_req_init(&f, BLK_FLUSH, 0, NULL, 0);
    block_submit(blk, &w.req);
    block_submit(blk, &f.req);
    block_drain(blk);
    ck_assert(w.answered && f.answered);
    ck_assert_uint_eq(clock_now_ns(&rig.clock), 0);
    ck_assert_uint_eq(clock_next_deadline_ns(&rig.clock), CLOCK_NEVER);
    block_close(blk);
}
END_TEST

static Suite *block_suite(bool uring)
{
    Suite *s = suite_create("block");
    TCase *tc = tcase_create("engines");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (unsigned i = 0; i < ARRAY_LEN(engine_tests); i++)
        tcase_add_loop_test(tc, *engine_tests[i], 0, uring ? 3 : 2);
    suite_add_tcase(s, tc);

    tc = tcase_create("host");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, block_zeroes_are_written_where_the_host_cannot_make_them);
    tcase_add_test(tc, block_short_and_interrupted_calls_are_continued);
    tcase_add_test(tc, block_host_errors_reach_the_guest);
    tcase_add_test(tc, block_no_space_in_the_middle_is_an_error);
    tcase_add_test(tc, block_failed_flush_is_never_forgotten);
    tcase_add_test(tc, block_flushes_under_way_share_one_failure);
    tcase_add_test(tc, block_flush_waits_for_a_sync_of_its_own);
    tcase_add_test(tc, block_unsafe_never_syncs);
    tcase_add_test(tc, block_uring_flush_is_a_data_sync); /* these two need no ring */
    tcase_add_test(tc, block_uring_continues_after_a_short_write);
    suite_add_tcase(s, tc);

    tc = tcase_create("counted time");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, block_counted_takes_a_fixed_guest_time);
    tcase_add_test(tc, block_counted_drains_without_guest_time);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(block_suite(block_rig_has_uring(ARRAY_LEN(engine_tests))));
}
