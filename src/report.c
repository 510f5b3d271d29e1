// SPDX-License-Identifier: MIT
//
// The totals that `-d exits` prints when the machine ends: exits to user space by kind, and the
// accesses behind them by region.
#include "src/report.h"

#include <inttypes.h>

#include "log.h"
#include "src/vm.h"

const char *const report_exit_names[EXIT_KINDS] = {
    [EXIT_PIO] = "pio",   [EXIT_MMIO] = "mmio", [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_INTR] = "intr", [EXIT_FAIL] = "fail", [EXIT_STEP] = "step",
    [EXIT_DEBUG] = "debug",
};

static void report_bus(const struct bus *bus)
{
    for (unsigned i = 0; i < bus->nregions; i++) {
        const struct region *r = bus->regions[i];
        if (r->reads || r->writes)
            log_msg(LOG_EXITS, "%s %#" PRIx64 " %s: %" PRIu64 " reads, %" PRIu64 " writes",
                    bus->name, r->base, r->name, r->reads, r->writes);
    }
    log_msg(LOG_EXITS, "%s unclaimed: %" PRIu64 " byte reads, %" PRIu64 " byte writes", bus->name,
            bus->unclaimed_reads, bus->unclaimed_writes);
}

void report_exits(const struct vm *vm)
{
    if (!log_on(LOG_EXITS))
        return;
    uint64_t total = 0;
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        uint64_t n = 0;
        for (unsigned i = 0; vm->vcpus && i < vm->accel.nvcpus; i++)
            n += vm->vcpus[i].exits[kind];
        log_msg(LOG_EXITS, "%s: %" PRIu64, report_exit_names[kind], n);
        total += n;
    }
    log_msg(LOG_EXITS, "total: %" PRIu64, total);
    report_bus(&vm->pio);
    report_bus(&vm->mmio);
    log_msg(LOG_EXITS, "events delivered: %" PRIu64 "; guest errors: %lu", vm->events.delivered,
            log_guest_count());
    if (vm->accel.intc)
        log_msg(LOG_EXITS, "MSIs sent: %" PRIu64, vm->accel.intc->msis_sent);
}
