// SPDX-License-Identifier: MIT
//
// What the tests of block backends share: an event loop and queue run by the test itself, images
// in a folder of their own, requests that can be waited for, and a host_io that fails on demand.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "block.h"
#include "devices/block/backends.h"

struct block_rig {
    struct evloop loop;
    struct event_queue events;
    struct block_env env;
    struct clock clock; /* for env.counted; stepped while a request is waited for */
    char dir[256];
};

void block_rig_init(struct block_rig *rig);
void block_rig_fini(struct block_rig *rig);

/* Path of a file in the rig's folder; good until the next call but three. */
const char *block_rig_path(const struct block_rig *rig, const char *name);
/* A sparse file of this size; returns its path. */
const char *block_rig_image(const struct block_rig *rig, const char *name, uint64_t size);

/* Can io_uring be used here? Otherwise prints that `tests` tests are skipped, and why. */
bool block_rig_has_uring(unsigned tests);

/* A request with one iovec, and whether it was answered. */
struct block_test_req {
    struct blk_req req;
    struct iovec iov;
    bool answered;
};

void block_test_req_init(struct block_test_req *r, enum blk_op op, uint64_t off, void *buf,
                         uint64_t len);
void block_test_done(struct blk_req *req);
/* Run the loop and the queue until r is answered; its result. */
int block_rig_wait(struct block_rig *rig, struct block_test_req *r);
/* Submit, commit, wait. */
int block_rig_do(struct block_rig *rig, struct block *blk, struct block_test_req *r);
int block_rig_io(struct block_rig *rig, struct block *blk, enum blk_op op, uint64_t off, void *buf,
                 uint64_t len);

/* Faults of block_rig_faulty_io; all zero means none. Set while nothing is in flight. */
struct block_faults {
    uint64_t max_bytes;     /* a call moves no more than this */
    bool interrupt;         /* every other call fails with EINTR first */
    int read_error, write_error, sync_error, fallocate_error;
    int64_t write_room;     /* with write_error: bytes that go through before it */
    unsigned sync_failures; /* with sync_error: how many fail; 0 is all */
    bool moves_nothing;     /* transfers return 0 */
    bool hold_sync;         /* fdatasync waits until block_faults_release_sync */
};

extern struct block_faults block_faults;
extern const struct host_io block_rig_faulty_io;

void block_faults_reset(void);
void block_faults_release_sync(void);
unsigned block_faults_syncs(void); /* calls of fdatasync so far */
