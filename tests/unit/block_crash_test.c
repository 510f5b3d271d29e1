// SPDX-License-Identifier: MIT
//
// Nothing that was acknowledged as stable is lost in a power cut. A guest's mix of
// overlapping-free writes, zeroes, discards, reads and flushes runs with several requests in
// flight; every system call (threads) or engine operation (io_uring) is recorded; then the power
// is cut after every step, see tests/lib/block_powercut.h. The judge itself is tried on hosts that
// forget to sync: it must see it.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/block_powercut.h"
#include "tests/lib/block_rig.h"
#include "tests/lib/suite.h"
#include "util.h"

#define REQUESTS 600
#define DEPTH 8
#define MOST_SECTORS 24

struct guest_req {
    struct block_test_req t; /* first: block_test_done knows it */
    struct guest *guest;
    unsigned id;
    bool busy, write;
    uint32_t version;
    uint64_t first, n;
    uint8_t *buf;
};

struct guest {
    struct block_rig rig;
    struct block *blk;
    struct guest_req req[DEPTH];
    uint32_t version, now[POWERCUT_SECTORS]; /* what a read must find */
    uint32_t random;
    bool flushes, fua;
};

struct scene {
    const char *name;
    enum blk_cache cache;
    bool flushes;  /* the guest sends FLUSH; otherwise, or */
    bool fua;      /* every write is to be stable when answered */
    bool uring;
    unsigned dio_align;
    bool forgetful;
};

static uint32_t pick(struct guest *g, uint32_t below)
{
    g->random = g->random * 1664525u + 1013904223u;
    return (g->random >> 8) % below;
}

static void guest_done(struct blk_req *req)
{
    struct guest_req *r = (struct guest_req *)req;
    struct guest *g = r->guest;
    block_test_done(req);
    ck_assert_int_eq(req->result, 0);
    r->busy = false;
    if (req->op == BLK_FLUSH) {
        powercut_sync_end(r->id, true);
    } else if (r->write) {
        powercut_write_end(r->id, req->len, req->fua);
        for (uint64_t s = 0; s < r->n; s++)
            g->now[r->first + s] = r->version;
    } else {
        for (uint64_t s = 0; s < r->n; s++)
            ck_assert_uint_eq(powercut_version(r->buf + s * 512, r->first + s),
                              g->now[r->first + s]);
    }
}

/* A free slot, or NULL. */
static struct guest_req *free_slot(struct guest *g)
{
    for (unsigned i = 0; i < DEPTH; i++)
        if (!g->req[i].busy)
            return &g->req[i];
    return NULL;
}

/* A well-behaved guest does not touch what it has in flight. */
static bool place(struct guest *g, struct guest_req *r)
{
    r->n = 1 + pick(g, MOST_SECTORS);
    r->first = pick(g, POWERCUT_SECTORS - (uint32_t)r->n + 1);
    for (unsigned i = 0; i < DEPTH; i++)
        if (g->req[i].busy && ranges_overlap(r->first, r->n, g->req[i].first, g->req[i].n))
            return false;
    return true;
}

static enum blk_op pick_op(struct guest *g)
{
    uint32_t n = pick(g, 100);
    if (g->flushes && n < 20)
        return BLK_FLUSH;
    if (n < 30)
        return BLK_READ;
    if (n < 35)
        return BLK_DISCARD;
    return n < 45 ? BLK_WRITE_ZEROES : BLK_WRITE;
}

static void guest_start(struct guest *g, struct guest_req *r, enum blk_op op)
{
    uint64_t len = op == BLK_FLUSH ? 0 : r->n * 512;
    r->write = op != BLK_READ && op != BLK_FLUSH;
    r->version = op == BLK_WRITE ? ++g->version : 0;
    for (uint64_t s = 0; op == BLK_WRITE && s < r->n; s++)
        powercut_fill(r->buf + s * 512, r->first + s, r->version);
    block_test_req_init(&r->t, op, op == BLK_FLUSH ? 0 : r->first * 512, r->buf, len);
    r->t.req.done = guest_done;
    r->t.req.fua = r->write && (g->fua || (g->flushes && !pick(g, 16)));
    r->t.req.unmap = pick(g, 2);
    if (op == BLK_FLUSH)
        r->id = powercut_sync_begin(POWERCUT_GUEST);
    else if (r->write)
        r->id = powercut_write_begin(POWERCUT_GUEST, r->first * 512, len, r->t.req.iov,
                                     r->t.req.niov);
    if (op == BLK_FLUSH)
        r->n = 0;
    r->busy = true;
    block_submit(g->blk, &r->t.req);
}

static void guest_run(struct guest *g)
{
    for (unsigned i = 0; i < REQUESTS;) {
        struct guest_req *r = free_slot(g);
        if (r && place(g, r)) {
            guest_start(g, r, pick_op(g));
            i++;
            if (pick(g, 3))
                continue; /* more in this batch */
        }
        block_commit(g->blk);
        if (!event_queue_run(&g->rig.events))
            evloop_run_once(&g->rig.loop, 10);
    }
    block_drain(g->blk);
    for (unsigned i = 0; i < DEPTH; i++)
        ck_assert(!g->req[i].busy);
}

static void guest_init(struct guest *g, const struct scene *scene)
{
    g->random = 12345;
    g->flushes = scene->flushes;
    g->fua = scene->fua;
    for (unsigned i = 0; i < DEPTH; i++) {
        g->req[i].guest = g;
        g->req[i].buf = aligned_alloc(4096, align_up(MOST_SECTORS * 512, 4096));
    }
    block_rig_init(&g->rig);
}

static void guest_fini(struct guest *g)
{
    for (unsigned i = 0; i < DEPTH; i++)
        free(g->req[i].buf);
    block_rig_fini(&g->rig);
}

static struct powercut_result play(const struct scene *scene)
{
    static struct guest guest;
    struct err err = {0};
    memset(&guest, 0, sizeof guest);
    guest_init(&guest, scene);
    struct block_config cfg = {.path = block_rig_image(&guest.rig, "disk", POWERCUT_BYTES),
                               .cache = scene->cache};
    struct engine *inner = NULL;
    struct raw_seams seams = {
        .io = scene->forgetful ? &powercut_forgetful_io : &powercut_io,
        .dio_align = scene->dio_align,
    };
    if (scene->uring) {
        ck_assert_msg(!uring_open(&inner, &guest.rig.env, &err), "%s", err.msg);
        seams.engine = powercut_engine(inner, &guest.rig.env, scene->forgetful);
    }
    guest.blk = raw_open(&cfg, &guest.rig.env, &seams, &err);
    ck_assert_msg(guest.blk, "%s", err.msg);
    powercut_start();
    guest_run(&guest);
    block_close(guest.blk);
    engine_close(seams.engine);
    engine_close(inner);
    guest_fini(&guest);
    struct powercut_result result = powercut_judge();
    powercut_start();
    return result;
}

static const struct scene sound[] = {
    {.name = "writeback, flushes", .flushes = true},
    {.name = "writeback, all writes stable", .fua = true},
    {.name = "none, flushes", .cache = BLK_CACHE_NONE, .flushes = true},
    {.name = "none, all writes stable", .cache = BLK_CACHE_NONE, .fua = true},
    {.name = "coarse, flushes", .flushes = true, .dio_align = 4096},
    {.name = "coarse, all writes stable", .fua = true, .dio_align = 4096},
    {.name = "uring, writeback, flushes", .uring = true, .flushes = true},
    {.name = "uring, writeback, all writes stable", .uring = true, .fua = true},
    {.name = "uring, none, flushes", .uring = true, .cache = BLK_CACHE_NONE, .flushes = true},
    {.name = "uring, none, all stable", .uring = true, .cache = BLK_CACHE_NONE, .fua = true},
    {.name = "uring, coarse, flushes", .uring = true, .flushes = true, .dio_align = 4096},
};

static const struct scene broken[] = {
    {.name = "the host forgets to sync", .flushes = true, .forgetful = true},
    {.name = "the host forgets to sync, all writes stable", .fua = true, .forgetful = true},
    {.name = "cache=unsafe", .cache = BLK_CACHE_UNSAFE, .flushes = true},
    {.name = "uring, forgets to sync", .uring = true, .flushes = true, .forgetful = true},
};

/* io_uring scenes come last, so that a run without them is a shorter loop. */
static int count(const struct scene *scenes, unsigned n, bool uring)
{
    int count = 0;
    for (unsigned i = 0; i < n; i++)
        count += scenes[i].uring == uring;
    return count;
}

START_TEST(block_power_cut_takes_nothing_acknowledged)
{
    const struct scene *scene = &sound[_i];
    struct powercut_result result = play(scene);
    ck_assert_msg(result.losses == 0, "%s: %u losses in %u cuts", scene->name, result.losses,
                  result.cuts);
    ck_assert_uint_gt(result.cuts, REQUESTS);
    ck_assert_uint_gt(result.syncs, 20);
}
END_TEST

START_TEST(block_power_cut_shows_a_host_that_forgets)
{
    const struct scene *scene = &broken[_i];
    struct powercut_result result = play(scene);
    ck_assert_msg(result.losses > 0, "%s: no loss seen in %u cuts", scene->name, result.cuts);
}
END_TEST

/* The judge by hand: what it must and must not mind. */
static unsigned judge_one(bool flush_after_end, bool second_write)
{
    uint8_t buf[512];
    struct iovec iov = {buf, 512};
    powercut_start();
    powercut_fill(buf, 3, 1);
    unsigned g = powercut_write_begin(POWERCUT_GUEST, 1536, 512, &iov, 1);
    unsigned h = powercut_write_begin(POWERCUT_HOST, 1536, 512, &iov, 1);
    unsigned hs = 0;
    if (!flush_after_end)
        hs = powercut_sync_begin(POWERCUT_HOST);
    powercut_write_end(h, 512, false);
    powercut_write_end(g, 512, false);
    unsigned gs = powercut_sync_begin(POWERCUT_GUEST);
    if (flush_after_end)
        hs = powercut_sync_begin(POWERCUT_HOST);
    powercut_sync_end(hs, true);
    powercut_sync_end(gs, true);
    if (second_write) {
        powercut_fill(buf, 3, 2);
        powercut_write_begin(POWERCUT_HOST, 1536, 512, &iov, 1); /* nobody asked for it */
    }
    unsigned losses = powercut_judge().losses;
    powercut_start();
    return losses;
}

START_TEST(block_power_cut_judge_knows_a_sync_that_came_too_early)
{
    ck_assert_uint_eq(judge_one(true, false), 0);
    ck_assert_uint_gt(judge_one(false, false), 0);
    ck_assert_uint_gt(judge_one(true, true), 0);
}
END_TEST

int main(void)
{
    int nsound = count(sound, ARRAY_LEN(sound), false);
    int nbroken = count(broken, ARRAY_LEN(broken), false);
    int uring_sound = count(sound, ARRAY_LEN(sound), true);
    int uring_broken = count(broken, ARRAY_LEN(broken), true);
    if (block_rig_has_uring((unsigned)(uring_sound + uring_broken))) {
        nsound += uring_sound;
        nbroken += uring_broken;
    }
    Suite *s = suite_create("block power cuts");
    TCase *tc = tcase_create("cuts");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, block_power_cut_takes_nothing_acknowledged, 0, nsound);
    tcase_add_loop_test(tc, block_power_cut_shows_a_host_that_forgets, 0, nbroken);
    tcase_add_test(tc, block_power_cut_judge_knows_a_sync_that_came_too_early);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
