// SPDX-License-Identifier: MIT
//
// The reset control register of PC chipsets, one byte at port 0xCF9, also the ACPI reset register.
// It lies inside the PCI host's address port (0xCF8-0xCFB), so it is no region of its own: the PCI
// host hands its one-byte accesses at 0xCF9 to reset_port_io with a struct reset_port as self.
// Thread: under the device lock.
#pragma once

#include <stdint.h>

#include "bus.h"
#include "stop.h"

#define RESET_PORT_ACPI_VALUE 0x06 /* what the FADT tells guests to write */

struct reset_port {
    uint8_t value;
    struct stop_sink stop;
};

/* One byte wide. A register of zeros is out of reset; no other set-up. */
extern const struct io_ops reset_port_io;
