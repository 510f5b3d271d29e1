// SPDX-License-Identifier: MIT
//
// A virtio memory balloon: memory that the guest gives up on request, and free memory that it tells
// of by itself, go back to the host.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "gmem.h"
#include "virtio.h"

struct virtio_balloon_config {
    bool reporting;      /* offer free page reporting */
    bool deflate_on_oom; /* the guest may take memory back when it runs out */
};

/* Statistics of the guest's, section 5.5.6.4. */
enum balloon_stat {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_HUGETLB_ALLOCATIONS,
    BALLOON_HUGETLB_FAILURES,
    BALLOON_STATS,
};
extern const char *const balloon_stat_names[BALLOON_STATS];
#define BALLOON_NOT_TOLD UINT64_MAX

struct virtio_balloon_info {
    uint64_t target, actual;    /* bytes that the guest is asked to give up, and says it has */
    uint64_t inflated, reported; /* bytes that the host got back so far */
    uint64_t ignored;           /* pages that are no RAM, and chains without sense */
    uint64_t stats[BALLOON_STATS]; /* as last told; BALLOON_NOT_TOLD */
    uint64_t stats_told;        /* how often */
};

/* Give it to a transport, which then owns it. NULL with `err` set on failure. */
struct virtio *virtio_balloon_create(const struct virtio_balloon_config *cfg, struct gmem *gmem,
                                     struct err *err);

/* Ask the guest to give up `bytes` (rounded down to 4 KiB, at most all RAM). Survives a reset. */
void virtio_balloon_set_target(struct virtio *vd, uint64_t bytes);
/* Ask the guest for new statistics; false: its driver has not told any yet, or is at it. */
bool virtio_balloon_ask_stats(struct virtio *vd);
struct virtio_balloon_info virtio_balloon_info(struct virtio *vd);
