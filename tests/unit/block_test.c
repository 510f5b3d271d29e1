// SPDX-License-Identifier: MIT
//
// Block backends: what requests do, on both engines; what happens when the host misbehaves; which
// images are refused; locks; throw-away snapshots. Tests in a loop run once per engine.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/block/uring.h"
#include "tests/lib/block_rig.h"
#include "util.h"

static struct block_rig rig;

static void setup(void)
{
    block_rig_init(&rig);
}

static void teardown(void)
{
    block_rig_fini(&rig);
}

/* engine: 0 threads, 1 io_uring */
static struct block_config config(const char *path, int engine)
{
    return (struct block_config){.path = path,
                                 .aio = engine ? BLK_AIO_URING : BLK_AIO_THREADS};
}

static struct block *open_ok(const struct block_config *cfg)
{
    struct err err = {0};
    struct block *blk = block_open(cfg, &rig.env, &err);
    ck_assert_msg(blk, "%s", err.msg);
    return blk;
}

static struct block *open_image(uint64_t size, int engine)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", size), engine);
    return open_ok(&cfg);
}

static struct block *open_seams(const struct block_config *cfg, const struct raw_seams *seams)
{
    struct err err = {0};
    struct block *blk = raw_open(cfg, &rig.env, seams, &err);
    ck_assert_msg(blk, "%s", err.msg);
    return blk;
}

static struct block *open_faulty(uint64_t size)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", size), 0);
    struct raw_seams seams = {.io = &block_rig_faulty_io};
    return open_seams(&cfg, &seams);
}

static void fill(uint8_t *buf, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        buf[i] = (uint8_t)(x >> 24);
    }
}

static bool all_zero(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i])
            return false;
    return true;
}

/* What a fresh look at the file shows, past our descriptors. */
static void read_file(const char *name, uint64_t off, void *buf, size_t len)
{
    int fd = open(block_rig_path(&rig, name), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, buf, len, (off_t)off), (ssize_t)len);
    close(fd);
}

static void write_file(const char *name, uint64_t off, const void *buf, size_t len)
{
    int fd = open(block_rig_path(&rig, name), O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, buf, len, (off_t)off), (ssize_t)len);
    close(fd);
}

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

/* From here on this process may not make this system call, as in many containers. */
static bool forbid(unsigned nr, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* In a child, because a filter is for life: 0, or the number of the step that went wrong. */
static int live_without(unsigned nr, unsigned error, const char *path)
{
    struct block_config cfg = config(path, 1);
    struct err err = {0}, none = {0};
    uint8_t out[4096], in[4096];
    if (!forbid(nr, error))
        return 1;
    if (block_open(&cfg, &rig.env, &err) || !strstr(err.msg, "aio=threads"))
        return 2;
    cfg.aio = BLK_AIO_AUTO;
    struct block *blk = block_open(&cfg, &rig.env, &none);
    if (!blk || strcmp(raw_engine(blk)->ops->name, "threads"))
        return 3;
    fill(out, sizeof out, 30);
    if (block_rig_io(&rig, blk, BLK_WRITE, 0, out, sizeof out) ||
        block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in) || memcmp(in, out, sizeof in))
        return 4;
    block_close(blk);
    return 0;
}

START_TEST(block_uses_threads_where_io_uring_is_refused)
{
    static const struct {
        unsigned nr, error;
    } cases[] = {
        {SYS_io_uring_setup, EPERM}, {SYS_io_uring_setup, ENOSYS}, {SYS_io_uring_setup, ENOMEM},
        {SYS_io_uring_enter, EPERM}, {SYS_io_uring_register, EPERM},
    };
    const char *path = block_rig_image(&rig, "disk", 4096);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int status;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (!pid)
            _exit(live_without(cases[i].nr, cases[i].error, path));
        waitpid(pid, &status, 0);
        ck_assert_msg(status == 0, "case %u: status %#x", i, (unsigned)status);
    }
}
END_TEST

/* --- opening --- */

static void refused(const struct block_config *cfg, const char *why)
{
    struct err err = {0};
    struct block *blk = block_open(cfg, &rig.env, &err);
    ck_assert_ptr_null(blk);
    ck_assert_msg(strstr(err.msg, why), "'%s' does not say '%s'", err.msg, why);
    ck_assert_ptr_null(strchr(err.msg, '\n'));
}

START_TEST(block_open_refuses_what_is_no_disk)
{
    struct block_config cfg = config(rig.dir, 0);
    refused(&cfg, "is a directory");
    cfg.path = "/dev/null";
    refused(&cfg, "is a character device");
    cfg.path = block_rig_path(&rig, "fifo");
    ck_assert_int_eq(mkfifo(cfg.path, 0600), 0);
    refused(&cfg, "is a FIFO");
    cfg.path = block_rig_path(&rig, "nothing");
    refused(&cfg, "No such file");
    cfg.path = block_rig_image(&rig, "empty", 0);
    refused(&cfg, "is empty");
    cfg.read_only = true;
    refused(&cfg, "is empty");
    cfg.path = block_rig_image(&rig, "odd", 1000);
    cfg.read_only = false;
    refused(&cfg, "truncate -s %512");
}
END_TEST

START_TEST(block_open_copies_the_serial)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    cfg.serial = "0123456789012345678901234";
    struct block *blk = open_ok(&cfg);
    ck_assert_str_eq(blk->serial, "01234567890123456789");
    ck_assert_uint_eq(blk->logical_block, 512);
    block_close(blk);
}
END_TEST

/* --- locks: [first][second], 0 writable 1 read-only 2 snapshot --- */

static void set_mode(struct block_config *cfg, unsigned mode)
{
    cfg->read_only = mode == 1;
    cfg->snapshot = mode == 2;
}

/* A child that holds the image until it is told to go. */
static pid_t holder(const struct block_config *cfg, int *go)
{
    int ready[2], leave[2];
    char c = 0;
    ck_assert(!pipe(ready) && !pipe(leave));
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        struct err err = {0};
        struct block *blk = block_open(cfg, &rig.env, &err);
        close(leave[1]);
        if (!blk || write(ready[1], &c, 1) != 1 || read(leave[0], &c, 1) < 0)
            _exit(1);
        _exit(0);
    }
    close(ready[1]);
    close(leave[0]);
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *go = leave[1];
    return pid;
}

START_TEST(block_lock_keeps_a_second_process_out)
{
    static const bool fits[3][3] = {{false, false, false}, {false, true, true}, {false, true, true}};
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    for (unsigned first = 0; first < 3; first++) {
        set_mode(&cfg, first);
        int go, status;
        pid_t pid = holder(&cfg, &go);
        for (unsigned second = 0; second < 3; second++) {
            set_mode(&cfg, second);
            char why[64];
            snprintf(why, sizeof why, "in use by another process (pid %d)", (int)pid);
            if (fits[first][second])
                block_close(open_ok(&cfg));
            else
                refused(&cfg, why);
        }
        close(go);
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        set_mode(&cfg, 0);
        block_close(open_ok(&cfg)); /* gone with the process */
    }
}
END_TEST

START_TEST(block_lock_keeps_a_second_disk_out)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    struct block *blk = open_ok(&cfg);
    refused(&cfg, "is given twice");
    block_close(blk);
    block_close(open_ok(&cfg));
}
END_TEST

START_TEST(block_lock_is_understood_by_others)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(cfg.path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
    refused(&cfg, "given twice"); /* a program that locks the whole file */
    close(fd);
    /* a program that says it writes, as QEMU does */
    fd = open(cfg.path, O_RDWR | O_CLOEXEC);
    struct flock writes = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &writes), 0);
    refused(&cfg, "given twice");
    cfg.read_only = true;
    refused(&cfg, "given twice");
    close(fd);
    block_close(open_ok(&cfg));
}
END_TEST

/* --- snapshot --- */

START_TEST(block_snapshot_leaves_the_image_alone)
{
    enum { SECTORS = 512, BYTES = SECTORS * 512 };
    static uint8_t base[BYTES], model[BYTES], in[BYTES], out[64 * 512];
    fill(base, sizeof base, 20);
    block_rig_image(&rig, "disk", sizeof base);
    write_file("disk", 0, base, sizeof base);
    memcpy(model, base, sizeof base);
    struct block_config cfg = config(block_rig_path(&rig, "disk"), _i);
    cfg.snapshot = true;
    struct block *blk = open_ok(&cfg);
    ck_assert(!blk->read_only && blk->can_discard);
    uint32_t x = 7;
    for (unsigned i = 0; i < 400; i++) {
        x = x * 1664525u + 1013904223u;
        uint64_t first = (x >> 16) % SECTORS, n = 1 + (x >> 8) % 64;
        n = n < SECTORS - first ? n : SECTORS - first;
        enum blk_op op = x >> 30 == 0 ? BLK_DISCARD : x >> 30 == 1 ? BLK_WRITE_ZEROES : BLK_WRITE;
        fill(out, n * 512, i);
        ck_assert_int_eq(block_rig_io(&rig, blk, op, first * 512, out, n * 512), 0);
        if (op == BLK_WRITE)
            memcpy(model + first * 512, out, n * 512);
        else
            memset(model + first * 512, 0, n * 512);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
        ck_assert_mem_eq(in, model, sizeof in);
    }
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_FLUSH, 0, NULL, 0), 0);
    block_close(blk);
    read_file("disk", 0, in, sizeof in);
    ck_assert_mem_eq(in, base, sizeof in);
    blk = open_ok(&cfg); /* nothing is kept */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert_mem_eq(in, base, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_snapshot_takes_writes_at_once)
{
    enum { N = 512 };
    static struct block_test_req r[N];
    static uint8_t out[N * 512], in[N * 512];
    struct block_config cfg = config(block_rig_image(&rig, "disk", GIB(5)), _i);
    cfg.snapshot = true;
    struct block *blk = open_ok(&cfg);
    fill(out, sizeof out, 21);
    for (unsigned i = 0; i < N; i++) {
        block_test_req_init(&r[i], BLK_WRITE, GIB(5) - (i + 1) * 512, out + i * 512, 512);
        block_submit(blk, &r[i].req);
    }
    block_drain(blk);
    for (unsigned i = 0; i < N; i++) {
        ck_assert(r[i].answered);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, GIB(5) - (i + 1) * 512, in, 512), 0);
        ck_assert_mem_eq(in, out + i * 512, 512);
    }
    block_close(blk);
}
END_TEST

START_TEST(block_snapshot_read_slices_scattered_memory)
{
    static uint8_t model[8192], in[8192];
    struct block_config cfg = config(block_rig_image(&rig, "disk", sizeof model), _i);
    fill(model, sizeof model, 22);
    write_file("disk", 0, model, sizeof model);
    cfg.snapshot = true;
    struct block *blk = open_ok(&cfg);
    for (unsigned i = 0; i < 16; i += 2) { /* every other sector in the scratch file */
        fill(model + i * 512, 512, 100 + i);
        ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, i * 512, model + i * 512, 512), 0);
    }
    struct iovec iov[] = {{in, 100}, {in + 100, 3000}, {in + 3100, 0}, {in + 3100, 5092}};
    struct block_test_req r;
    block_test_req_init(&r, BLK_READ, 0, NULL, sizeof in);
    r.req.iov = iov;
    r.req.niov = 4;
    ck_assert_int_eq(block_rig_do(&rig, blk, &r), 0);
    ck_assert_mem_eq(in, model, sizeof in);
    memset(in, 0, sizeof in);
    r.answered = false;
    block_submit(blk, &r.req);
    block_drain(blk); /* takes the pieces one after another as well */
    ck_assert(r.answered);
    ck_assert_mem_eq(in, model, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_snapshot_survives_a_full_host)
{
    static uint8_t base[8192], out[8192], in[8192];
    struct block_config cfg = config(block_rig_image(&rig, "disk", sizeof base), 0);
    struct raw_seams seams = {.io = &block_rig_faulty_io};
    struct err err = {0};
    fill(base, sizeof base, 23);
    write_file("disk", 0, base, sizeof base);
    cfg.snapshot = true;
    struct block *blk = overlay_open(&cfg, &rig.env, &seams, &err);
    ck_assert_msg(blk, "%s", err.msg);
    fill(out, sizeof out, 24);
    block_faults.write_error = ENOSPC;
    block_faults.write_room = 4096;
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, out, sizeof out), -ENOSPC);
    ck_assert_uint_eq(blk->errors, 1);
    block_faults_reset();
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert_mem_eq(in, base, sizeof in); /* not half of it */
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_WRITE, 0, out, sizeof out), 0);
    ck_assert_int_eq(block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in), 0);
    ck_assert_mem_eq(in, out, sizeof in);
    block_close(blk);
}
END_TEST

START_TEST(block_snapshot_without_a_place_says_so)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    cfg.snapshot = true;
    char *before = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    setenv("TMPDIR", block_rig_path(&rig, "nowhere"), 1);
    refused(&cfg, "TMPDIR chooses the place");
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    free(before);
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
    &block_short_write_is_continued_and_its_error_told,
    &block_shrunk_file_gives_an_error_not_zeroes,
    &block_odd_end_reads_as_padded_with_zeroes,
    &block_direct_takes_any_memory,
    &block_coarse_device_keeps_neighbours,
    &block_coarse_device_serialises_writes_to_one_piece,
    &block_snapshot_leaves_the_image_alone,
    &block_snapshot_takes_writes_at_once,
    &block_snapshot_read_slices_scattered_memory,
};


static Suite *block_suite(bool uring)
{
    Suite *s = suite_create("block");
    TCase *tc = tcase_create("engines");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (unsigned i = 0; i < ARRAY_LEN(engine_tests); i++)
        tcase_add_loop_test(tc, *engine_tests[i], 0, uring ? 2 : 1);
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
    tcase_add_test(tc, block_uses_threads_where_io_uring_is_refused);
    tcase_add_test(tc, block_open_refuses_what_is_no_disk);
    tcase_add_test(tc, block_open_copies_the_serial);
    tcase_add_test(tc, block_lock_keeps_a_second_process_out);
    tcase_add_test(tc, block_lock_keeps_a_second_disk_out);
    tcase_add_test(tc, block_lock_is_understood_by_others);
    tcase_add_test(tc, block_snapshot_survives_a_full_host);
    tcase_add_test(tc, block_snapshot_without_a_place_says_so);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(block_suite(block_rig_has_uring(ARRAY_LEN(engine_tests))));
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
