// SPDX-License-Identifier: MIT
//
// Short words for the tests of block backends: one rig per program, images in it, and looks at the
// file that go past the backend.
#pragma once

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/block_rig.h"
#include "util.h"

static struct block_rig rig;

static inline void setup(void)
{
    block_rig_init(&rig);
}

static inline void teardown(void)
{
    block_rig_fini(&rig);
}

enum { ENGINE_THREADS, ENGINE_COUNTED, ENGINE_URING };

static inline struct block_config config(const char *path, int engine)
{
    rig.env.counted = engine == ENGINE_COUNTED ? &rig.clock : NULL;
    return (struct block_config){
        .path = path, .aio = engine == ENGINE_URING ? BLK_AIO_URING : BLK_AIO_THREADS};
}

static inline struct block *open_ok(const struct block_config *cfg)
{
    struct err err = {0};
    struct block *blk = block_open(cfg, &rig.env, &err);
    ck_assert_msg(blk, "%s", err.msg);
    return blk;
}

static inline struct block *open_image(uint64_t size, int engine)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", size), engine);
    return open_ok(&cfg);
}

static inline struct block *open_seams(const struct block_config *cfg,
                                       const struct raw_seams *seams)
{
    struct err err = {0};
    struct block *blk = raw_open(cfg, &rig.env, seams, &err);
    ck_assert_msg(blk, "%s", err.msg);
    return blk;
}

static inline struct block *open_faulty(uint64_t size)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", size), 0);
    struct raw_seams seams = {.io = &block_rig_faulty_io};
    return open_seams(&cfg, &seams);
}

static inline void fill(uint8_t *buf, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        buf[i] = (uint8_t)(x >> 24);
    }
}

static inline bool all_zero(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i])
            return false;
    return true;
}

/* What a fresh look at the file shows, past our descriptors. */
static inline void read_file(const char *name, uint64_t off, void *buf, size_t len)
{
    int fd = open(block_rig_path(&rig, name), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, buf, len, (off_t)off), (ssize_t)len);
    close(fd);
}

static inline void write_file(const char *name, uint64_t off, const void *buf, size_t len)
{
    int fd = open(block_rig_path(&rig, name), O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, buf, len, (off_t)off), (ssize_t)len);
    close(fd);
}

/* Opening cfg fails with one line that says `why`. */
static inline void refused(const struct block_config *cfg, const char *why)
{
    struct err err = {0};
    struct block *blk = block_open(cfg, &rig.env, &err);
    ck_assert_ptr_null(blk);
    ck_assert_msg(strstr(err.msg, why), "'%s' does not say '%s'", err.msg, why);
    ck_assert_ptr_null(strchr(err.msg, '\n'));
}
