// SPDX-License-Identifier: MIT
//
// A PCI function's configuration space as the guest sees it: BAR sizing and decoding, INTx gating
// (PCI Local Bus 3.0 section 6). Every guest write passes `wmask`; what a register does beyond
// holding bits follows from comparing afterwards, so a write of any width and alignment has the
// effect of its bytes. The bridge forwards PCI_WINDOW and nothing else: a BAR that the guest moves
// onto RAM, ECAM or an interrupt controller, or onto another BAR, is not on the bus until it (or
// the other) moves on.
#include <errno.h>
#include <string.h>

#include "regs.h"
#include "layout.h"
#include "log.h"
#include "msix.h"
#include "util.h"

#define STATUS_INTERRUPT 0x0008
#define STATUS_W1C_HIGH 0xf9 /* error bits 8 and 11-15 of status, as bits of its high byte */

/* --- BAR decoding --- */

/* The address BAR n answers at by its registers; 0: none. */
static uint64_t bar_wanted(const struct pci_func *func, unsigned n)
{
    if (!func->bar[n].size || !(load_le16(func->config + REG_COMMAND) & COMMAND_MEMORY))
        return 0;
    return load_le32(func->config + bar_reg(n)) & ~0xfu;
}

static bool bars_unmap_stale(struct pci_func *func)
{
    bool changed = false;
    for (unsigned n = 0; n < PCI_BARS; n++) {
        struct pci_bar *bar = &func->bar[n];
        if (!bar->mapped || bar_wanted(func, n) == bar->region.base)
            continue;
        bus_remove(func->host->cfg.mmio, &bar->region);
        bar->mapped = false;
        changed = true;
    }
    return changed;
}

static int bar_map(struct pci_func *func, unsigned n, uint64_t base, struct err *err)
{
    struct pci_bar *bar = &func->bar[n];
    if (base < PCI_WINDOW_BASE || !range_fits(base - PCI_WINDOW_BASE, bar->size, PCI_WINDOW_SIZE))
        return err_set(err, EINVAL, "outside the PCI window");
    bar->region.base = base;
    int ret = bus_add(func->host->cfg.mmio, &bar->region, err);
    bar->mapped = ret == 0;
    return ret;
}

static bool bars_map_missing(struct pci_func *func, bool tell)
{
    bool changed = false;
    for (unsigned n = 0; n < PCI_BARS; n++) {
        uint64_t base = bar_wanted(func, n);
        if (!base || func->bar[n].mapped)
            continue;
        struct err why = {{0}};
        if (!bar_map(func, n, base, &why))
            changed = true;
        else if (tell)
            log_guest("pci 00:%02x.0: BAR %u at 0x%llx is not mapped: %s", func->slot, n,
                      (unsigned long long)base, why.msg);
    }
    return changed;
}

static void tell_remapped(struct pci_func *func)
{
    if (func->pci_ops && func->pci_ops->remapped)
        func->pci_ops->remapped(func);
}

void pci_bars_update(struct pci_func *func)
{
    struct pci_host *host = func->host;
    if (!host)
        return;
    bool freed = bars_unmap_stale(func);
    bool mapped = bars_map_missing(func, true);
    if (freed || mapped)
        tell_remapped(func);
    for (unsigned slot = 0; freed && slot < PCI_SLOTS; slot++) {
        struct pci_func *other = host->slots[slot];
        if (other && other != func && bars_map_missing(other, false))
            tell_remapped(other);
    }
}

/* --- INTx --- */

static void intx_update(struct pci_func *func)
{
    bool disabled = load_le16(func->config + REG_COMMAND) & COMMAND_INTX_DISABLE;
    irq_set(&func->intx, func->intx_level && !disabled && !msix_enabled(func));
}

void pci_intx_set(struct pci_func *func, bool level)
{
    func->intx_level = level;
    if (level)
        func->config[REG_STATUS] |= STATUS_INTERRUPT;
    else
        func->config[REG_STATUS] &= (uint8_t)~STATUS_INTERRUPT;
    intx_update(func);
}

/* --- configuration space as the guest sees it --- */

static bool touches_caps(const struct pci_func *func, unsigned off, unsigned size)
{
    return ranges_overlap(off, size, CAPS_START, func->cap_end - CAPS_START);
}

uint32_t pci_config_read(struct pci_func *func, unsigned off, unsigned size)
{
    if (size > 4 || !range_fits(off, size, PCI_CONFIG_SIZE))
        return UINT32_MAX;
    if (func->pci_ops && func->pci_ops->config_reading && touches_caps(func, off, size))
        func->pci_ops->config_reading(func, off, size);
    uint32_t val = 0;
    for (unsigned i = 0; i < size; i++)
        val |= (uint32_t)func->config[off + i] << (8 * i);
    return val;
}

void pci_config_write(struct pci_func *func, unsigned off, unsigned size, uint32_t val)
{
    if (size > 4 || !range_fits(off, size, PCI_CONFIG_SIZE))
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(val >> (8 * i)), mask = func->wmask[off + i];
        uint8_t *at = &func->config[off + i];
        *at = (uint8_t)((*at & ~mask) | (byte & mask));
        if (off + i == REG_STATUS + 1)
            *at &= (uint8_t)~(byte & STATUS_W1C_HIGH);
    }
    if (func->msix)
        msix_control_written(func);
    intx_update(func);
    if (ranges_overlap(off, size, REG_COMMAND, 2) ||
        ranges_overlap(off, size, REG_BAR0, 4 * PCI_BARS))
        pci_bars_update(func);
    if (func->pci_ops && func->pci_ops->config_written && touches_caps(func, off, size))
        func->pci_ops->config_written(func, off, size);
}

void pci_func_reset(struct pci_func *func)
{
    if (!func->host)
        return;
    pci_intx_set(func, false);
    msix_reset(func);
    memcpy(func->config, func->reset_config, sizeof func->config);
    pci_bars_update(func);
}
