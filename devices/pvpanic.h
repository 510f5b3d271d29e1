// SPDX-License-Identifier: MIT
//
// pvpanic: a port on which a guest kernel says that it has panicked. Thread: under the device lock.
#pragma once

#include "bus.h"
#include "device.h"
#include "err.h"

/* Event bits; the guest sees which are known by reading the port. */
#define PVPANIC_PANICKED 1u
#define PVPANIC_CRASHLOADED 2u /* it panicked, and a crash kernel takes over */

struct pvpanic_config {
    struct bus *pio;
    uint16_t port;
    /* Told of each write, with the known bits of it (one at least). */
    void (*event)(void *opaque, unsigned bits);
    void *opaque;
};

/* NULL on error. */
struct device *pvpanic_create(const struct pvpanic_config *cfg, struct err *err);
