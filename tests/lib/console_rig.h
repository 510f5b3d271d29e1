// SPDX-License-Identifier: MIT
//
// For the tests of the virtio console: a character backend in memory, and a driver that knows the
// device's queues.
#pragma once

#include "chr.h"
#include "devices/virtio/console.h"
#include "tests/lib/virtio_rig.h"

struct fake_chr {
    struct chr chr;
    const uint8_t *input; /* [at, len) waits */
    size_t at, len;
    uint8_t output[1u << 16]; /* the first bytes; `taken` counts on */
    size_t taken;
    size_t room; /* takes no more than this; SIZE_MAX: all */
    bool guest_open, closed;
    unsigned cols, rows; /* 0: no terminal */
};

enum { EV_READY, EV_ADD, EV_REMOVE, EV_PORT_READY, EV_CONSOLE, EV_RESIZE, EV_OPEN, EV_NAME };

#define CONSOLE_BASE 0xd0000000ull
#define CONSOLE_RING_SIZE 64
#define CONSOLE_RINGS 8 /* ports 0 to 2 and control */
#define CONTROL_RX 2
#define CONTROL_TX 3
#define RX_OF(nr) ((nr) ? 2 + 2 * (nr) : 0)
#define TX_OF(nr) (RX_OF(nr) + 1)

/* Buffers of queue q: 64 of 4 KiB. */
#define CONSOLE_BUFFER(q, i) (0x100000ull + 0x40000ull * (q) + 0x1000ull * (i))

struct console_rig {
    struct rig rig;
    struct fake_chr chr[3];
    struct virtio *vd;
    struct port port;
    struct ring ring[CONSOLE_RINGS];
};

/* Ports 0 (terminal), 1 ("one"), 2 (without a name). */
void console_rig_init(struct console_rig *c);
void console_rig_fini(struct console_rig *c);
/* Reset and negotiate; all rings empty. */
void console_rig_start(struct console_rig *c, uint64_t features);
