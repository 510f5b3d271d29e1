// SPDX-License-Identifier: MIT
//
// Throw-away snapshots: the guest sees its writes, the image does not change, and a full host is an
// error and no mixture. Tests in a loop run once per engine.
#include <check.h>
#include <errno.h>

#include "tests/lib/block_scene.h"
#include "tests/lib/suite.h"

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

static Suite *snapshot_suite(int engines)
{
    Suite *s = suite_create("block snapshots");
    TCase *tc = tcase_create("snapshot");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, block_snapshot_leaves_the_image_alone, 0, engines);
    tcase_add_loop_test(tc, block_snapshot_takes_writes_at_once, 0, engines);
    tcase_add_loop_test(tc, block_snapshot_read_slices_scattered_memory, 0, engines);
    tcase_add_test(tc, block_snapshot_survives_a_full_host);
    tcase_add_test(tc, block_snapshot_without_a_place_says_so);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(snapshot_suite(block_rig_has_uring(3) ? 3 : 2));
}
