// SPDX-License-Identifier: MIT
//
// A virtio console device (virtio 1.2 section 5.3): terminals (hvc0 ...) and byte channels with
// names (/dev/virtio-ports/NAME), each on a character backend.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "chr.h"
#include "err.h"
#include "gmem.h"
#include "virtio.h"

/* Port numbers are below this: two queues each, and two for control. */
#define VIRTIO_CONSOLE_MAX_PORTS ((VIRTIO_MAX_QUEUES - 2) / 2)
#define VIRTIO_CONSOLE_NAME_MAX 63

struct virtio_console_port {
    unsigned nr;      /* no two the same; port 0 is for a terminal only */
    bool terminal;    /* hvc, else a channel */
    const char *name; /* copied; NULL: none */
    struct chr *chr;  /* stays the caller's and must outlive the device; NULL: nothing there */
};

/*
 * A device with these ports and room for port numbers below `max_ports`. Give it to a transport,
 * which then owns it. NULL with `err` set on failure.
 */
struct virtio *virtio_console_create(const struct virtio_console_port *ports, unsigned nports,
                                     unsigned max_ports, struct gmem *gmem, struct err *err);

/* What a guest did wrong and was ignored for, so far. */
uint64_t virtio_console_ignored(struct virtio *vd);
