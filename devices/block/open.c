// SPDX-License-Identifier: MIT
//
// From a disk's configuration to its backend: see include/block.h.
#include <string.h>

#include "backends.h"

struct block *block_open(const struct block_config *cfg, const struct block_env *env,
                         struct err *err)
{
    struct block *blk = cfg->snapshot ? overlay_open(cfg, env, NULL, err)
                                      : raw_open(cfg, env, NULL, err);
    if (blk && cfg->serial)
        strncpy(blk->serial, cfg->serial, sizeof blk->serial - 1);
    return blk;
}
