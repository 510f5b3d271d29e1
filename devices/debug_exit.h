// SPDX-License-Identifier: MIT
//
// isa-debug-exit: a port through which a guest ends the run with a status of its choice. Thread:
// under the device lock.
#pragma once

#include "bus.h"
#include "device.h"
#include "err.h"
#include "stop.h"

struct debug_exit_config {
    struct bus *pio;
    struct stop_sink stop;
    unsigned iobase, iosize; /* ports [iobase, iobase + iosize) */
};

/* NULL on error. */
struct device *debug_exit_create(const struct debug_exit_config *cfg, struct err *err);
