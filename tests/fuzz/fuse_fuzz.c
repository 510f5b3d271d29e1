// SPDX-License-Identifier: MIT
//
// Any bytes as what a guest says to the FUSE server (tests/lib/fuse_chaos.h). The directory is a
// throw-away one; after each run nothing outside of it may have changed and nothing may be left
// open. Leave the temporary directory with `-rss_limit_mb` as it is; $TMPDIR says where.
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/fuse_chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuse_chaos chaos;

static void end(void)
{
    fuse_chaos_fini(&chaos);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!chaos.rig.fs) {
        fuse_chaos_init(&chaos);
        atexit(end);
    }
    const char *wrong = fuse_chaos_run(&chaos, data, size);
    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
    return 0;
}
