// SPDX-License-Identifier: MIT
//
// What state a virtio device is in, and telling the driver that it changed: what queues and devices
// ask and say. Breaking down is virtio 1.2 section 2.1.2.
#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "virtio.h"

bool virtio_has(const struct virtio *vd, uint64_t feature)
{
    return vd->regs.accepted & feature;
}

bool virtio_running(const struct virtio *vd)
{
    unsigned bits = VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | VIRTIO_FAILED;
    return (vd->regs.status & bits) == VIRTIO_DRIVER_OK;
}

void virtio_broken(struct virtio *vd, const char *fmt, ...)
{
    char what[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    log_guest("%s: needs reset: %s", vd->ops->name, what);
    vd->breakdowns++;
    vd->regs.status = (uint8_t)(vd->regs.status | VIRTIO_NEEDS_RESET);
    if (vd->regs.status & VIRTIO_DRIVER_OK)
        vd->transport->raise_config(vd);
}

void virtio_config_changed(struct virtio *vd)
{
    vd->regs.config_dirty = true;
    if (vd->regs.status & VIRTIO_DRIVER_OK)
        vd->transport->raise_config(vd);
}
