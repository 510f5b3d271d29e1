// SPDX-License-Identifier: MIT
//
// The choice between the engines: the one for counted time, else io_uring where the host lets us,
// else threads.
#include "engine.h"
#include "log.h"

int engine_open(struct engine **eng, const struct block_config *cfg, const struct block_env *env,
                const struct host_io *io, struct err *err)
{
    if (env->counted)
        return counted_open(eng, env, io, err);
    if (cfg->aio == BLK_AIO_THREADS || io != &host_io_system)
        return threads_open(eng, env, io, err);
    if (cfg->aio == BLK_AIO_URING)
        return uring_open(eng, env, err);
    /* Containers often forbid io_uring; that is no reason to bother the user. */
    struct err why = {0};
    int r = uring_open(eng, env, &why);
    if (!r)
        return 0;
    log_msg(LOG_BLOCK, "disk '%s': using threads: %s", cfg->path, why.msg);
    return threads_open(eng, env, io, err);
}
