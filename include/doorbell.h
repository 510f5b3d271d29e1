// SPDX-License-Identifier: MIT
//
// Doorbells: guest writes that mean only "look at your queue". An engine that can (KVM's ioeventfd)
// takes the write without an exit to user space and posts the event instead; otherwise the write
// arrives at the device's region as any other, and the device rings itself. Both ways end in the
// same `ring`. Thread: add and remove under the device lock; ring runs under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct doorbell {
    bool pio;
    uint64_t addr;
    unsigned len; /* bytes of the matching write; 0: any */
    bool match;   /* only writes of `value` */
    uint64_t value;
    struct event event; /* event_init'ed by the owner: fire = ring */
    void *shortcut;     /* the switchboard's, while added */
    bool added;
};

/* Who can shortcut doorbells. Zeros: nobody, and doorbell_add is a no-op. */
struct switchboard {
    int (*add)(void *opaque, struct doorbell *bell);
    void (*remove)(void *opaque, struct doorbell *bell);
    void *opaque;
};

/* Ask for a shortcut; without one, the write simply keeps coming through the bus. */
static inline void doorbell_add(const struct switchboard *sb, struct doorbell *bell)
{
    if (sb->add && !bell->added)
        bell->added = sb->add(sb->opaque, bell) == 0;
}

static inline void doorbell_remove(const struct switchboard *sb, struct doorbell *bell)
{
    if (bell->added)
        sb->remove(sb->opaque, bell);
    bell->added = false;
}
