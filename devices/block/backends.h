// SPDX-License-Identifier: MIT
//
// The backends behind block_open, and what tests put in their place.
#pragma once

#include "block.h"
#include "engine.h"

/* What a test may replace; NULL and 0 mean the real thing. */
struct raw_seams {
    const struct host_io *io;
    struct engine *engine;  /* used and not closed; instead of choosing one */
    unsigned dio_align;     /* cut transfers to this alignment, as a direct descriptor demands */
    unsigned logical_block; /* as a device with such sectors */
};

/* A file or block device as it is. */
struct block *raw_open(const struct block_config *cfg, const struct block_env *env,
                       const struct raw_seams *seams, struct err *err);

/* An unlinked sparse file in $TMPDIR or /var/tmp that vanishes with the process. */
struct block *raw_open_scratch(uint64_t size, const struct block_env *env, struct engine *engine,
                               struct err *err);

/* The engine of a raw backend, to share. */
struct engine *raw_engine(struct block *blk);

/* Reads come from the image, writes go to a scratch file. */
struct block *overlay_open(const struct block_config *cfg, const struct block_env *env,
                           const struct raw_seams *seams, struct err *err);
