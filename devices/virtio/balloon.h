// SPDX-License-Identifier: MIT
//
// A virtio memory balloon: memory that the guest gives up on request, and free memory that it tells
// of by itself, go back to the host.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "err.h"
#include "event.h"
#include "gmem.h"
#include "virtio.h"

struct virtio_balloon_config {
    bool reporting;      /* offer free page reporting */
    bool deflate_on_oom; /* the guest may take memory back when it runs out */
    uint64_t target;     /* as virtio_balloon_set_target, from the beginning */
    struct clock *clock;
    struct event_queue *events;
    /* The balloon's size has changed: what it is now. At most once a second of guest time. NULL:
     * nobody wants to know. */
    void (*changed)(void *opaque, uint64_t actual);
    void *opaque;
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
    uint64_t stats_utc_s;       /* when last, by the guest's date; 0: never */
    uint32_t poll_s;            /* see virtio_balloon_poll_stats */
};

/* Give it to a transport, which then owns it. NULL with `err` set on failure. */
struct virtio *virtio_balloon_create(const struct virtio_balloon_config *cfg, struct gmem *gmem,
                                     struct err *err);

/* The next two act through the event queue: under counted time, between two instructions. Both
 * survive a reset. */
/* Ask the guest to give up `bytes` (rounded down to 4 KiB, at most all RAM). */
void virtio_balloon_set_target(struct virtio *vd, uint64_t bytes);
/* Ask for new statistics now and then every so many seconds; 0: no more. */
void virtio_balloon_poll_stats(struct virtio *vd, uint32_t seconds);
struct virtio_balloon_info virtio_balloon_info(struct virtio *vd);
