// SPDX-License-Identifier: MIT
//
// The PCI host bridge: bus 0, reached by configuration mechanism #1 (PCI Local Bus 3.0 section
// 3.2.2.3.2) and by ECAM (PCI Express Base section 7.2.2). Plays the firmware's part too: slots,
// BAR addresses and interrupt lines are given at pci_add. The INTA pins of all slots share two
// wires; a wire is up while any function behind it asserts.
// Left out: other buses, multi-function slots, hot plug.
#include "regs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "util.h"

#define CONFIG_PORT 0xCF8 /* CONFIG_ADDRESS, CONFIG_DATA */
enum { PORT_ADDRESS = 0, PORT_RESET = RESET_PORT - CONFIG_PORT, PORT_DATA = 4, PORT_BYTES = 8 };
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS 0x80fffffcu /* the others read as zero */

/* --- configuration accesses --- */

/* devfn: device in bits 7-3, function in bits 2-0. */
static struct pci_func *func_at(const struct pci_host *host, unsigned bus, unsigned devfn)
{
    if (bus || devfn % 8)
        return NULL;
    return host->slots[devfn / 8 % PCI_SLOTS];
}

/* What CONFIG_DATA reaches now, or NULL. */
static struct pci_func *addressed(const struct pci_host *host)
{
    if (!(host->address & ADDRESS_ENABLE))
        return NULL;
    return func_at(host, host->address >> 16 & 0xff, host->address >> 8 & 0xff);
}

static bool is_reset_port(const struct pci_host *host, uint64_t off, unsigned size)
{
    return off == PORT_RESET && size == 1 && host->cfg.reset_port.ops;
}

static uint64_t ports_read(void *self, uint64_t off, unsigned size)
{
    struct pci_host *host = self;
    if (off == PORT_ADDRESS && size == 4)
        return host->address;
    if (is_reset_port(host, off, size))
        return host->cfg.reset_port.ops->read(host->cfg.reset_port.self, 0, 1);
    if (off < PORT_DATA)
        return ~0ull;
    struct pci_func *func = addressed(host);
    if (!func)
        return ~0ull;
    return pci_config_read(func, (host->address & 0xfc) + (unsigned)off - PORT_DATA, size);
}

static void ports_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pci_host *host = self;
    if (off == PORT_ADDRESS && size == 4) {
        host->address = (uint32_t)val & ADDRESS_BITS;
    } else if (is_reset_port(host, off, size)) {
        host->cfg.reset_port.ops->write(host->cfg.reset_port.self, 0, 1, val);
    } else if (off >= PORT_DATA) {
        struct pci_func *func = addressed(host);
        if (func)
            pci_config_write(func, (host->address & 0xfc) + (unsigned)off - PORT_DATA, size,
                             (uint32_t)val);
    }
}

static const struct io_ops ports_ops = {
    .read = ports_read, .write = ports_write, .min = 1, .max = 4};

static bool crosses_function(uint64_t off, unsigned size)
{
    return off % PCI_CONFIG_SIZE + size > PCI_CONFIG_SIZE;
}

static uint64_t ecam_read(void *self, uint64_t off, unsigned size)
{
    struct pci_host *host = self;
    if (crosses_function(off, size)) {
        uint64_t val = 0;
        for (unsigned i = 0; i < size; i++)
            val |= (ecam_read(host, off + i, 1) & 0xff) << (8 * i);
        return val;
    }
    struct pci_func *func = func_at(host, (unsigned)(off >> 20), off >> 12 & 0xff);
    return func ? pci_config_read(func, off % PCI_CONFIG_SIZE, size) : ~0ull;
}

static void ecam_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pci_host *host = self;
    if (crosses_function(off, size)) {
        for (unsigned i = 0; i < size; i++)
            ecam_write(host, off + i, 1, val >> (8 * i));
        return;
    }
    struct pci_func *func = func_at(host, (unsigned)(off >> 20), off >> 12 & 0xff);
    if (func)
        pci_config_write(func, off % PCI_CONFIG_SIZE, size, (uint32_t)val);
}

static const struct io_ops ecam_ops = {.read = ecam_read, .write = ecam_write, .min = 1, .max = 4};

/* --- INTx --- */

unsigned pci_slot_gsi(unsigned slot)
{
    return IRQ_PCI_FIRST + slot % 2;
}

/* Slots on the wire of `slot`, as bits. */
static uint32_t wire_mates(unsigned slot)
{
    return slot % 2 ? 0xaaaaaaaau : 0x55555555u;
}

static void intx_wire(void *opaque, unsigned slot, bool level)
{
    struct pci_host *host = opaque;
    bool before = host->intx_asserted & wire_mates(slot);
    if (level)
        host->intx_asserted |= 1u << slot;
    else
        host->intx_asserted &= ~(1u << slot);
    bool after = host->intx_asserted & wire_mates(slot);
    if (before != after)
        irq_set(&host->cfg.intx[pci_slot_gsi(slot) - IRQ_PCI_FIRST], after);
}

/* --- slots --- */

struct pci_func *pci_host_func(const struct pci_host *host, unsigned slot)
{
    return slot < PCI_SLOTS ? host->slots[slot] : NULL;
}

/* Addresses for all BARs; the window's rest moves on only when all fit. */
static int bars_assign(struct pci_host *host, struct pci_func *func, struct err *err)
{
    uint64_t next = host->next_bar;
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &func->bar[n];
        if (!bar->size)
            continue;
        if (!is_power_of_two(bar->size) || bar->size < 4096 || bar->size > PCI_WINDOW_SIZE)
            return err_set(err, EINVAL, "pci: %s has BAR %u of impossible size 0x%llx",
                           func->device.name, n, (unsigned long long)bar->size);
        uint64_t base = align_up(next, bar->size);
        if (!range_fits(base - PCI_WINDOW_BASE, bar->size, PCI_WINDOW_SIZE))
            return err_set(err, ENOSPC,
                           "pci: no room for BAR %u (0x%llx bytes) of %s in the PCI window",
                           n, (unsigned long long)bar->size, func->device.name);
        store_le32(func->config + REG_BAR0 + 4 * n, (uint32_t)base);
        next = base + bar->size;
    }
    host->next_bar = next;
    return 0;
}

int pci_add(struct pci_host *host, struct pci_func *func, unsigned slot, struct err *err)
{
    unsigned taken = 0;
    for (; taken < PCI_SLOTS && host->slots[slot % PCI_SLOTS]; taken++)
        slot++;
    slot %= PCI_SLOTS;
    if (taken == PCI_SLOTS)
        return err_set(err, ENOSPC, "pci: no free slot for %s (all %u taken); use fewer devices",
                       func->device.name, PCI_SLOTS);
    int ret = bars_assign(host, func, err);
    if (ret)
        return ret;
    func->slot = slot;
    func->host = host;
    func->intx = (struct irq_line){.set = intx_wire, .opaque = host, .n = slot};
    if (func->config[REG_INTERRUPT_PIN])
        func->config[REG_INTERRUPT_LINE] = (uint8_t)pci_slot_gsi(slot);
    func->config[REG_COMMAND] |= COMMAND_MEMORY & func->wmask[REG_COMMAND];
    memcpy(func->reset_config, func->config, sizeof func->config);
    host->slots[slot] = func;
    pci_bars_update(func);
    for (unsigned n = 0; n < PCI_BARS; n++) {
        if (!func->bar[n].size || func->bar[n].mapped)
            continue;
        pci_remove(func);
        return err_set(err, EBUSY,
                       "pci: BAR %u of %s cannot be mapped: something else is in the PCI window",
                       n, func->device.name);
    }
    return 0;
}

void pci_remove(struct pci_func *func)
{
    if (!func->host)
        return;
    pci_intx_set(func, false);
    func->config[REG_COMMAND] &= (uint8_t)~COMMAND_MEMORY;
    pci_bars_update(func);
    func->host->slots[func->slot] = NULL;
    func->host = NULL;
    func->intx = (struct irq_line){0};
}

/* --- the bridge itself --- */

static struct pci_host *host_of(struct device *dev)
{
    return container_of(dev, struct pci_host, bridge.device);
}

static void host_reset(struct device *dev)
{
    struct pci_host *host = host_of(dev);
    host->address = 0;
    pci_func_reset(&host->bridge);
}

static void host_fini(struct device *dev)
{
    struct pci_host *host = host_of(dev);
    pci_remove(&host->bridge);
    bus_remove(host->cfg.pio, &host->ports);
    bus_remove(host->cfg.mmio, &host->ecam);
    free(host);
}

static const struct device_ops host_ops = {.reset = host_reset, .fini = host_fini};

struct pci_host *pci_host_create(const struct pci_host_config *cfg, struct err *err)
{
    static const struct pci_ident ident = {
        .vendor = 0x1b36, .device = 0x0008, .subvendor = 0x1af4, .subdevice = 0x1100,
        .class_code = 0x060000,
    };
    struct pci_host *host = calloc(1, sizeof *host);
    if (!host) {
        err_set(err, ENOMEM, "pci: no memory for the host bridge");
        return NULL;
    }
    host->cfg = *cfg;
    host->next_bar = PCI_WINDOW_BASE;
    host->ports = (struct region){.name = "pci-config",
                                  .base = CONFIG_PORT,
                                  .len = PORT_BYTES,
                                  .ops = &ports_ops,
                                  .self = host};
    host->ecam = (struct region){.name = "pci-ecam",
                                 .base = ECAM_BASE,
                                 .len = ECAM_SIZE,
                                 .ops = &ecam_ops,
                                 .self = host};
    host->bridge.device = (struct device){.name = "pci-host", .ops = &host_ops};
    pci_func_init(&host->bridge, &ident);
    if (bus_add(cfg->pio, &host->ports, err) || bus_add(cfg->mmio, &host->ecam, err) ||
        pci_add(host, &host->bridge, 0, err)) {
        host_fini(&host->bridge.device);
        return NULL;
    }
    return host;
}

struct device *pci_host_device(struct pci_host *host)
{
    return &host->bridge.device;
}
