// SPDX-License-Identifier: MIT
//
// pvpanic as QEMU has it on the ISA bus, found by guests through ACPI (QEMU0001): one port. A read
// tells which events are known, a write of event bits reports them. It has no state.
// Left out: the PCI variant, the shutdown event.
#include "devices/pvpanic.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define KNOWN (PVPANIC_PANICKED | PVPANIC_CRASHLOADED)

struct pvpanic {
    struct device dev;
    struct pvpanic_config cfg;
    struct region region;
};

static uint64_t pvpanic_read(void *self, uint64_t off, unsigned size)
{
    (void)self, (void)off, (void)size;
    return KNOWN;
}

static void pvpanic_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    const struct pvpanic *p = self;
    (void)off, (void)size;
    if (val & ~(uint64_t)KNOWN)
        log_guest("pvpanic: unknown event bits %#llx", (unsigned long long)val);
    if (val & KNOWN)
        p->cfg.event(p->cfg.opaque, val & KNOWN);
}

static const struct io_ops pvpanic_io = {pvpanic_read, pvpanic_write, 1, 1};

static void pvpanic_fini(struct device *dev)
{
    struct pvpanic *p = container_of(dev, struct pvpanic, dev);
    bus_remove(p->cfg.pio, &p->region);
    free(p);
}

static const struct device_ops pvpanic_ops = {NULL, pvpanic_fini};

struct device *pvpanic_create(const struct pvpanic_config *cfg, struct err *err)
{
    struct pvpanic *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(err, ENOMEM, "pvpanic: out of memory");
        return NULL;
    }
    p->dev = (struct device){.name = "pvpanic", .ops = &pvpanic_ops};
    p->cfg = *cfg;
    p->region = (struct region){
        .name = "pvpanic", .base = cfg->port, .len = 1, .ops = &pvpanic_io, .self = p};
    if (bus_add(cfg->pio, &p->region, err)) {
        pvpanic_fini(&p->dev);
        return NULL;
    }
    return &p->dev;
}
