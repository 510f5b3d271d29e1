// SPDX-License-Identifier: MIT
//
// The board: one explicit array of everything that is soldered on, in order of creation. A row says
// when its part is there and how it is made; wires (ports, interrupt lines, clock, backends) are
// handed over here and nowhere else. Addresses come from layout.h.
#include <errno.h>
#include <stdlib.h>

#include "devices/acpi/acpi.h"
#include "devices/debug_exit.h"
#include "devices/fw_cfg.h"
#include "devices/i8042.h"
#include "devices/i6300esb.h"
#include "devices/pit.h"
#include "devices/pm.h"
#include "devices/pvpanic.h"
#include "devices/reset_port.h"
#include "devices/rtc.h"
#include "devices/serial.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/vsock.h"
#include "layout.h"
#include "memmap.h"
#include "src/control/control.h"
#include "src/result/result.h"
#include "src/vm/vm.h"
#include "util.h"

static struct irq_line line(struct vm *vm, unsigned gsi)
{
    return intc_line(vm->accel.intc, gsi);
}

/* A created device goes on the list; NULL passes its error on. */
static int own(struct vm *vm, struct device *dev)
{
    if (!dev)
        return -EINVAL; /* the creator set the message */
    dev->next = vm->devices;
    vm->devices = dev;
    return 0;
}

/* --- legacy parts --- */

static int make_pit(struct vm *vm, struct err *err)
{
    const struct pit_config cfg = {&vm->pio, &vm->clock, line(vm, IRQ_PIT)};
    return own(vm, pit_create(&cfg, err));
}

static int make_rtc(struct vm *vm, struct err *err)
{
    const struct rtc_config cfg = {
        .pio = &vm->pio,
        .clock = &vm->clock,
        .irq = line(vm, IRQ_RTC),
        .ram_size = vm->cfg->ram_size,
        .cpus = vm->cfg->smp,
    };
    return own(vm, rtc_create(&cfg, err));
}

static int make_i8042(struct vm *vm, struct err *err)
{
    const struct i8042_config cfg = {
        .pio = &vm->pio,
        .irq = line(vm, IRQ_KEYBOARD),
        .stop = vm_stop_sink(vm),
    };
    return own(vm, i8042_create(&cfg, err));
}

static int make_pm(struct vm *vm, struct err *err)
{
    const struct pm_config cfg = {
        .pio = &vm->pio,
        .clock = &vm->clock,
        .sci = line(vm, IRQ_SCI),
        .stop = vm_stop_sink(vm),
    };
    struct device *dev = pm_create(&cfg, err);
    vm->pm = dev ? pm_of(dev) : NULL;
    return own(vm, dev);
}

static void note_output(void *self, const uint8_t *bytes, size_t len)
{
    tail_put(self, bytes, len);
}

/* -result wants the last lines of consoles: COM1 and terminals. */
static void tap(struct chr *chr)
{
    chr->tap_self = result_tail();
    chr->tap = chr->tap_self ? note_output : NULL;
}

static int make_serials(struct vm *vm, struct err *err)
{
    static const struct {
        const char *name;
        uint16_t port;
        unsigned irq;
    } com[CONFIG_MAX_SERIALS] = {{"com1", COM1_PORT, IRQ_COM1}, {"com2", COM2_PORT, IRQ_COM2}};
    const struct chr_env env = {&vm->loop, &vm->events, vm_stop_sink(vm), vm->cfg->icount};
    const struct config_hooks *hooks = vm->cfg->hooks;

    for (unsigned i = 0; i < CONFIG_MAX_SERIALS; i++) {
        if (!vm->cfg->serials[i])
            continue;
        vm->chrs[i] = !i && hooks ? hooks->open_com1(hooks->self, &env, err)
                                  : chr_open(vm->cfg->serials[i], &env, err);
        if (!vm->chrs[i])
            return -EINVAL;
        if (i == 0)
            tap(vm->chrs[i]);
        const struct serial_config cfg = {
            .name = com[i].name,
            .pio = &vm->pio,
            .port = com[i].port,
            .irq = line(vm, com[i].irq),
            .clock = &vm->clock,
            .chr = vm->chrs[i],
        };
        int rc = own(vm, serial_create(&cfg, err));
        if (rc)
            return rc;
    }
    return 0;
}

static bool want_debug_exit(const struct vm *vm)
{
    return vm->cfg->debug_exit;
}

static int make_debug_exit(struct vm *vm, struct err *err)
{
    const struct debug_exit_config cfg = {
        .pio = &vm->pio,
        .iobase = vm->cfg->debug_exit_port,
        .iosize = vm->cfg->debug_exit_size,
        .stop = vm_stop_sink(vm),
    };
    return own(vm, debug_exit_create(&cfg, err));
}

static bool want_pvpanic(const struct vm *vm)
{
    return vm->cfg->pvpanic;
}

static int make_pvpanic(struct vm *vm, struct err *err)
{
    const struct pvpanic_config cfg = {&vm->pio, PVPANIC_PORT, vm_panicked, vm};
    return own(vm, pvpanic_create(&cfg, err));
}

/* --- PCI and virtio --- */

static int make_pci_host(struct vm *vm, struct err *err)
{
    vm->reset_port.stop = vm_stop_sink(vm);
    const struct pci_host_config cfg = {
        .pio = &vm->pio,
        .mmio = &vm->mmio,
        .intx = {line(vm, IRQ_PCI_FIRST), line(vm, IRQ_PCI_FIRST + 1)},
        .reset_port = {&reset_port_io, &vm->reset_port},
    };
    vm->pci = pci_host_create(&cfg, err);
    return own(vm, vm->pci ? pci_host_device(vm->pci) : NULL);
}

/* Put a virtio device on the bus that the user chose. The transport owns it from here, also when
 * this fails. */
static int plug_virtio(struct vm *vm, struct virtio *vd, enum virtio_bus bus, unsigned slot,
                       struct err *err)
{
    const struct switchboard *sb = &vm->accel.switchboard;
    if (bus == VIRTIO_BUS_PCI)
        return own(vm, virtio_pci_create(vd, vm->pci, slot, vm->accel.intc, sb, &vm->events, err));
    unsigned nr = vm->nvirtio_mmio++;
    uint64_t base = VIRTIO_MMIO_BASE + nr * VIRTIO_MMIO_STRIDE;
    return own(vm, virtio_mmio_create(vd, &vm->mmio, base, line(vm, VIRTIO_MMIO_GSI + nr), sb,
                                      &vm->events, err));
}

static int make_disks(struct vm *vm, struct err *err)
{
    const struct block_env env = {&vm->loop, &vm->events, vm->cfg->icount ? &vm->clock : NULL};
    for (unsigned i = 0; i < vm->cfg->ndisks; i++) {
        const struct disk_config *disk = &vm->cfg->disks[i];
        vm->blocks[i] = block_open(&disk->block, &env, err);
        if (!vm->blocks[i])
            return -EINVAL;
        struct virtio *vd = virtio_blk_create(vm->blocks[i], disk->queues, &vm->gmem, err);
        int rc = vd ? plug_virtio(vm, vd, disk->bus, PCI_SLOT_DISKS, err) : -ENOMEM;
        if (rc)
            return rc;
    }
    return 0;
}

static bool want_console(const struct vm *vm)
{
    return vm->cfg->virtio_serial;
}

static struct chr *open_port(const struct port_config *p, const struct chr_env *env,
                             struct err *err)
{
    return p->open ? p->open(p->self, env, err) : chr_open(p->backend, env, err);
}

static int make_console(struct vm *vm, struct err *err)
{
    const struct config *cfg = vm->cfg;
    const struct chr_env env = {&vm->loop, &vm->events, vm_stop_sink(vm), cfg->icount};
    struct virtio_console_port ports[CONFIG_MAX_PORTS];
    unsigned room = cfg->max_ports ? cfg->max_ports : 1;
    for (unsigned i = 0; i < cfg->nports; i++) {
        const struct port_config *p = &cfg->ports[i];
        vm->port_chrs[i] = open_port(p, &env, err);
        if (!vm->port_chrs[i])
            return -EINVAL;
        if (p->terminal)
            tap(vm->port_chrs[i]);
        ports[i] = (struct virtio_console_port){p->nr, p->terminal, p->name, vm->port_chrs[i]};
        if (p->nr >= room)
            room = p->nr + 1;
    }
    struct virtio *vd = virtio_console_create(ports, cfg->nports, room, &vm->gmem, err);
    return vd ? plug_virtio(vm, vd, cfg->ports_bus, PCI_SLOT_CONSOLE, err) : -EINVAL;
}

static int make_shares(struct vm *vm, struct err *err)
{
    for (unsigned i = 0; i < vm->cfg->nshares; i++) {
        const struct share_config *share = &vm->cfg->shares[i];
        vm->shares[i] = fs_open(&share->fs, err);
        if (!vm->shares[i])
            return -EINVAL;
        struct virtio *vd = virtio_fs_create(vm->shares[i], share->tag, share->queues, &vm->gmem,
                                             &vm->events, err);
        int rc = vd ? plug_virtio(vm, vd, share->bus, PCI_SLOT_SHARES, err) : -ENOMEM;
        if (rc)
            return rc;
    }
    return 0;
}

static int make_nics(struct vm *vm, struct err *err)
{
    const struct net_env env = {&vm->loop, &vm->events, &vm->clock};
    for (unsigned i = 0; i < vm->cfg->nnics; i++) {
        const struct nic_config *nic = &vm->cfg->nics[i];
        struct virtio_net_settings settings = {.mtu = nic->mtu};
        memcpy(settings.mac, nic->mac, sizeof settings.mac);
        vm->nets[i] = net_open(&nic->net, &env, err);
        if (!vm->nets[i])
            return -EINVAL;
        struct virtio *vd = virtio_net_create(vm->nets[i], &settings, &vm->gmem, err);
        int rc = vd ? plug_virtio(vm, vd, nic->bus, PCI_SLOT_NICS, err) : -ENOMEM;
        if (rc)
            return rc;
    }
    return 0;
}

static bool want_rng(const struct vm *vm)
{
    return vm->cfg->rng;
}

static int make_rng(struct vm *vm, struct err *err)
{
    struct entropy entropy = entropy_host;
    if (vm->cfg->rng_seeded)
        entropy = entropy_seeded_init(&vm->seeded, vm->cfg->rng_seed);
    struct virtio *vd = virtio_rng_create(&entropy, &vm->clock, &vm->gmem, err);
    return vd ? plug_virtio(vm, vd, vm->cfg->rng_bus, PCI_SLOT_RNG, err) : -ENOMEM;
}

static bool want_watchdog(const struct vm *vm)
{
    return vm->cfg->i6300esb;
}

static int make_watchdog(struct vm *vm, struct err *err)
{
    const struct i6300esb_config cfg = {vm->pci, PCI_SLOT_WATCHDOG, &vm->clock,
                                        vm_watchdog_expired, vm};
    return own(vm, i6300esb_create(&cfg, err));
}

static bool want_balloon(const struct vm *vm)
{
    return vm->cfg->balloon.there;
}

static void balloon_changed(void *opaque, uint64_t actual)
{
    struct vm *vm = opaque;
    control_tell_balloon(vm->control, vm->gmem.size - actual);
}

static int make_balloon(struct vm *vm, struct err *err)
{
    const struct config *cfg = vm->cfg;
    const struct virtio_balloon_config settings = {
        .reporting = cfg->balloon.reporting,
        .deflate_on_oom = cfg->balloon.deflate_on_oom,
        .target = cfg->balloon.target,
        .clock = &vm->clock,
        .events = &vm->events,
        .changed = balloon_changed,
        .opaque = vm,
    };
    struct virtio *vd = virtio_balloon_create(&settings, &vm->gmem, err);
    int rc = vd ? plug_virtio(vm, vd, cfg->balloon.bus, PCI_SLOT_BALLOON, err) : -ENOMEM;
    if (rc)
        return rc;
    vm->balloon = vd;
    return 0;
}

static bool want_vsock(const struct vm *vm)
{
    return vm->cfg->vsock.path;
}

static int make_vsock(struct vm *vm, struct err *err)
{
    const struct vsock_env env = {&vm->loop, &vm->events};
    vm->vsock = vsock_open(vm->cfg->vsock.path, &env, err);
    if (!vm->vsock)
        return -EINVAL;
    struct virtio *vd = virtio_vsock_create(vm->vsock, vm->cfg->vsock.cid, &vm->gmem, err);
    return vd ? plug_virtio(vm, vd, vm->cfg->vsock.bus, PCI_SLOT_VSOCK, err) : -ENOMEM;
}

/* --- firmware --- */

static int make_fw_cfg(struct vm *vm, struct err *err)
{
    struct memmap_entry map[MEMMAP_MAX];
    const struct fw_cfg_config cfg = {
        .pio = &vm->pio,
        .gmem = &vm->gmem,
        .ncpus = vm->cfg->smp,
        .ram_size = vm->cfg->ram_size,
        .e820 = map,
        .ne820 = memmap_make(vm->cfg->ram_size, map),
    };
    struct fw_cfg *fw = fw_cfg_create(&cfg, err);
    return own(vm, fw ? fw_cfg_device(fw) : NULL);
}

int machine_write_tables(struct vm *vm, struct err *err)
{
    const struct acpi_config cfg = {
        .ncpus = vm->cfg->smp,
        .nvirtio_mmio = vm->nvirtio_mmio,
        .pci = true,
        .com1 = vm->cfg->serials[0],
        .com2 = vm->cfg->serials[1],
        .fw_cfg = true,
        .pvpanic = vm->cfg->pvpanic,
    };
    return acpi_build(&cfg, &vm->gmem, err);
}

/* --- the array --- */

static const struct part {
    const char *name;
    bool (*wanted)(const struct vm *vm); /* NULL: always */
    int (*make)(struct vm *vm, struct err *err);
} board[] = {
    {"pit", NULL, make_pit},
    {"rtc", NULL, make_rtc},
    {"i8042", NULL, make_i8042},
    {"pm", NULL, make_pm},
    {"serial ports", NULL, make_serials},
    {"pvpanic", want_pvpanic, make_pvpanic},
    {"isa-debug-exit", want_debug_exit, make_debug_exit},
    {"pci host", NULL, make_pci_host},
    {"disks", NULL, make_disks},
    {"virtio entropy", want_rng, make_rng},
    {"watchdog", want_watchdog, make_watchdog},
    {"virtio console", want_console, make_console},
    {"network interfaces", NULL, make_nics},
    {"virtio balloon", want_balloon, make_balloon},
    {"virtio sockets", want_vsock, make_vsock},
    {"shares", NULL, make_shares}, /* last, as they take what slots are left */
    {"fw_cfg", NULL, make_fw_cfg},
};

int machine_create(struct vm *vm, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_LEN(board); i++) {
        if (board[i].wanted && !board[i].wanted(vm))
            continue;
        int rc = board[i].make(vm, err);
        if (rc)
            return rc < 0 && !err->msg[0] ? err_set(err, -rc, "create %s", board[i].name) : rc;
    }
    return 0;
}

void machine_reset(struct vm *vm)
{
    vm->reset_port.value = 0;
    for (struct device *dev = vm->devices; dev; dev = dev->next) {
        if (dev->ops->reset)
            dev->ops->reset(dev);
    }
}

void machine_destroy(struct vm *vm)
{
    while (vm->devices) {
        struct device *dev = vm->devices;
        vm->devices = dev->next;
        dev->ops->fini(dev);
    }
    for (unsigned i = 0; i < CONFIG_MAX_DISKS; i++)
        block_close(vm->blocks[i]);
    for (unsigned i = 0; i < CONFIG_MAX_SHARES; i++)
        fs_close(vm->shares[i]);
    for (unsigned i = 0; i < CONFIG_MAX_NICS; i++)
        net_close(vm->nets[i]);
    vsock_close(vm->vsock);
    for (unsigned i = 0; i < CONFIG_MAX_SERIALS; i++)
        chr_close(vm->chrs[i]);
    for (unsigned i = 0; i < CONFIG_MAX_PORTS; i++)
        chr_close(vm->port_chrs[i]);
}
