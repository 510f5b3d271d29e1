// SPDX-License-Identifier: MIT
//
// The watchdog of Intel's 6300ESB. Thread: under the device lock.
#pragma once

#include "clock.h"
#include "device.h"
#include "err.h"
#include "pci.h"

struct i6300esb_config {
    struct pci_host *host;
    unsigned slot; /* as in pci_add */
    struct clock *clock;
    void (*expired)(void *opaque); /* the guest has not shown signs of life in time */
    void *opaque;
};

/* NULL on error. */
struct device *i6300esb_create(const struct i6300esb_config *cfg, struct err *err);
