// SPDX-License-Identifier: MIT
//
// isa-debug-exit, as test kernels know it from QEMU: a write of v of up to four bytes to any of its
// ports asks the machine to stop with code v (docs/exit-codes.md has the status that follows).
// Reads give 0. It has no state.
#include "devices/debug_exit.h"

#include <errno.h>
#include <stdlib.h>

#include "util.h"

struct debug_exit {
    struct device dev;
    struct debug_exit_config cfg;
    struct region region;
};

static uint64_t debug_exit_read(void *self, uint64_t off, unsigned size)
{
    (void)self, (void)off, (void)size;
    return 0;
}

static void debug_exit_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    const struct debug_exit *dx = self;
    (void)off, (void)size;
    stop_request(&dx->cfg.stop, STOP_DEBUG_EXIT, (unsigned)val);
}

static const struct io_ops debug_exit_io = {debug_exit_read, debug_exit_write, 1, 4};

static void debug_exit_fini(struct device *dev)
{
    struct debug_exit *dx = container_of(dev, struct debug_exit, dev);
    bus_remove(dx->cfg.pio, &dx->region);
    free(dx);
}

static const struct device_ops debug_exit_ops = {NULL, debug_exit_fini};

struct device *debug_exit_create(const struct debug_exit_config *cfg, struct err *err)
{
    struct debug_exit *dx = calloc(1, sizeof *dx);
    if (!dx) {
        err_set(err, ENOMEM, "isa-debug-exit: out of memory");
        return NULL;
    }
    dx->dev = (struct device){.name = "isa-debug-exit", .ops = &debug_exit_ops};
    dx->cfg = *cfg;
    dx->region = (struct region){.name = "isa-debug-exit",
                                 .base = cfg->iobase,
                                 .len = cfg->iosize,
                                 .ops = &debug_exit_io,
                                 .self = dx};
    if (bus_add(cfg->pio, &dx->region, err)) {
        debug_exit_fini(&dx->dev);
        return NULL;
    }
    return &dx->dev;
}
