// SPDX-License-Identifier: MIT
//
// A virtio entropy device.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "err.h"
#include "gmem.h"
#include "virtio.h"

/* Where random bytes come from. */
struct entropy {
    size_t (*get)(void *self, void *buf, size_t len); /* never waits; how many (0: none now) */
    void *self;
};

/* The host's. */
extern const struct entropy entropy_host;

/* The same bytes at every run, for tests and for runs that are to repeat exactly. */
struct entropy_seeded {
    uint64_t state;
};
struct entropy entropy_seeded_init(struct entropy_seeded *s, uint64_t seed);

/* Give it to a transport, which then owns it. NULL with `err` set on failure. */
struct virtio *virtio_rng_create(const struct entropy *entropy, struct clock *clock,
                                 struct gmem *gmem, struct err *err);
