// SPDX-License-Identifier: MIT
//
// Any bytes as a conversation of a hostile guest with the FUSE server: requests that are nearly
// right, and requests that are nothing at all. For the fuzzer and for a test that always runs.
#pragma once

#include "tests/lib/fuse_rig.h"

struct fuse_chaos {
    struct fuse_rig rig;
    unsigned fds;          /* of the process, before the conversation */
    struct timespec marks[3]; /* change times of what must not change */
    unsigned runs;
};

void fuse_chaos_init(struct fuse_chaos *c);
/* One conversation, then DESTROY; what is wrong afterwards, or NULL. */
const char *fuse_chaos_run(struct fuse_chaos *c, const uint8_t *data, size_t size);
void fuse_chaos_fini(struct fuse_chaos *c);
