// SPDX-License-Identifier: MIT
//
// What `info` of the monitor shows. Each takes the lock that what it reads is under; registers are
// read with the vCPUs held for a moment.
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "src/control/balloon.h"
#include "src/control/monitor.h"
#include "src/exits/exits.h"
#include "src/vm/vm.h"
#include "util.h"
#include "version.h"

static void print_status(struct vm *vm, FILE *out)
{
    fprintf(out, "VM status: %s\n", vm_status(vm));
    if (vm->clock.ops) {
        pthread_mutex_lock(&vm->lock);
        uint64_t ns = clock_now_ns(&vm->clock);
        pthread_mutex_unlock(&vm->lock);
        fprintf(out, "guest time: %" PRIu64 ".%03" PRIu64 " s, restarts: %u\n",
                (uint64_t)(ns / NS_PER_S), (uint64_t)(ns % NS_PER_S / 1000000), vm->restarts);
    }
}

static void print_registers(struct vm *vm, FILE *out)
{
    vm_look_begin(vm);
    for (unsigned i = 0; vm->vcpus && i < vm->accel.nvcpus; i++) {
        struct cpu_state cpu;
        struct err err = {{0}};
        char text[2048];
        fprintf(out, "CPU#%u\n", i);
        if (vm->accel.ops->get_state(&vm->vcpus[i], &cpu, &err)) {
            fprintf(out, "cannot be read: %s\n", err.msg);
            continue;
        }
        cpu_state_format(&cpu, text, sizeof text);
        fputs(text, out);
    }
    vm_look_end(vm);
    if (!vm->vcpus)
        fputs("this machine has no CPU\n", out);
}

static void print_bus(const struct bus *bus, FILE *out)
{
    fprintf(out, "%s\n", bus->name);
    for (unsigned i = 0; i < bus->nregions; i++) {
        const struct region *r = bus->regions[i];
        fprintf(out, "  %016" PRIx64 "-%016" PRIx64 "  %s\n", r->base, r->base + (r->len - 1),
                r->name);
    }
}

static void print_mtree(struct vm *vm, FILE *out)
{
    pthread_mutex_lock(&vm->lock);
    fputs("ram\n", out);
    for (unsigned i = 0; i < vm->gmem.nslots; i++)
        fprintf(out, "  %016" PRIx64 "-%016" PRIx64 "  ram\n", vm->gmem.slots[i].base,
                vm->gmem.slots[i].base + (vm->gmem.slots[i].size - 1));
    print_bus(&vm->mmio, out);
    print_bus(&vm->pio, out);
    pthread_mutex_unlock(&vm->lock);
}

static void print_func(const struct pci_func *f, FILE *out)
{
    fprintf(out, "00:%02x.0  %04x:%04x  class %02x%02x  %s\n", f->slot, load_le16(f->config),
            load_le16(f->config + 2), f->config[11], f->config[10],
            f->device.name ? f->device.name : "");
    if (f->config[0x3d])
        fprintf(out, "    INT%c on GSI %u%s\n", 'A' + f->config[0x3d] - 1, pci_slot_gsi(f->slot),
                f->msix && msix_enabled(f) ? ", MSI-X in use" : "");
    for (unsigned n = 0; n < PCI_BARS; n++) {
        if (f->bar[n].size)
            fprintf(out, "    BAR %u: %#" PRIx64 " bytes %s %#" PRIx64 "\n", n, f->bar[n].size,
                    f->bar[n].mapped ? "at" : "not mapped, last at", f->bar[n].region.base);
    }
}

static void print_pci(struct vm *vm, FILE *out)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned slot = 0; vm->pci && slot < PCI_SLOTS; slot++) {
        const struct pci_func *f = pci_host_func(vm->pci, slot);
        if (f)
            print_func(f, out);
    }
    pthread_mutex_unlock(&vm->lock);
}

static void print_irq(struct vm *vm, FILE *out)
{
    const struct intc *intc = vm->accel.intc;
    if (!intc) {
        fputs("this machine has no interrupt controller\n", out);
        return;
    }
    pthread_mutex_lock(&vm->lock);
    for (unsigned gsi = 0; gsi < INTC_GSIS; gsi++) {
        if (intc->raised[gsi] || intc->level[gsi])
            fprintf(out, "GSI %2u: raised %" PRIu64 " times%s\n", gsi, intc->raised[gsi],
                    intc->level[gsi] ? ", up now" : "");
    }
    fprintf(out, "MSI: %" PRIu64 " sent\n", intc->msis_sent);
    pthread_mutex_unlock(&vm->lock);
}

static void print_block(struct vm *vm, FILE *out)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->cfg->ndisks; i++) {
        const struct disk_config *d = &vm->cfg->disks[i];
        const struct block *b = vm->blocks[i];
        fprintf(out, "%s%u: %s (raw%s%s)\n", d->id ? d->id : "disk", i, d->block.path,
                d->block.read_only ? ", read-only" : "", d->block.snapshot ? ", snapshot" : "");
        if (b)
            fprintf(out,
                    "    %" PRIu64 " bytes; reads %" PRIu64 " (%" PRIu64 " bytes), writes %" PRIu64
                    " (%" PRIu64 " bytes), flushes %" PRIu64 ", errors %" PRIu64
                    ", in flight %" PRIu64 "\n",
                    b->size, b->count.reads, b->count.read_bytes, b->count.writes,
                    b->count.write_bytes, b->flushes, b->errors, b->in_flight);
    }
    pthread_mutex_unlock(&vm->lock);
    if (!vm->cfg->ndisks)
        fputs("no disks\n", out);
}

static void print_network(struct vm *vm, FILE *out)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->cfg->nnics; i++) {
        const uint8_t *m = vm->cfg->nics[i].mac;
        const struct net *n = vm->nets[i];
        fprintf(out, "nic%u: %s, mac %02x:%02x:%02x:%02x:%02x:%02x, link %s\n", i,
                n ? n->kind : "none", m[0], m[1], m[2], m[3], m[4], m[5],
                n && n->link ? "up" : "down");
        if (n)
            fprintf(out,
                    "    from the guest %" PRIu64 " frames (%" PRIu64 " bytes), to it %" PRIu64
                    " (%" PRIu64 " bytes)\n",
                    n->count.tx_frames, n->count.tx_bytes, n->count.rx_frames, n->count.rx_bytes);
    }
    pthread_mutex_unlock(&vm->lock);
    if (!vm->cfg->nnics)
        fputs("no network interfaces\n", out);
}

static void print_exits(struct vm *vm, FILE *out)
{
    vm_look_begin(vm);
    exits_print(vm, out);
    vm_look_end(vm);
}

static void print_version(struct vm *vm, FILE *out)
{
    fprintf(out, "minivmm %s, engine %s\n", MINIVMM_VERSION,
            vm->accel.ops ? vm->accel.ops->name : "none");
}

const struct monitor_info monitor_infos[] = {
    {"status", "running or paused, guest time", print_status},
    {"registers", "registers of all CPUs", print_registers},
    {"mtree", "who is where: RAM, memory-mapped registers, ports", print_mtree},
    {"pci", "PCI functions and their BARs", print_pci},
    {"irq", "interrupt lines and how often devices raised them", print_irq},
    {"block", "disks and what was done with them", print_block},
    {"network", "network interfaces and what went through them", print_network},
    {"balloon", "how much memory the balloon leaves to the guest, and the guest's statistics",
     balloon_print},
    {"exits", "why the CPUs came back to minivmm, and for which device", print_exits},
    {"version", "which minivmm and engine this is", print_version},
    {NULL, NULL, NULL},
};
