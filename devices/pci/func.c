// SPDX-License-Identifier: MIT
//
// Making a PCI function: type 0 configuration header, BARs, capability list (PCI Local Bus 3.0
// section 6). What the guest does to them afterwards is in config.c. Left out: I/O and 64-bit BARs,
// expansion ROM, power management, multi-function slots.
#include "regs.h"

#include <string.h>

#include "util.h"

#define STATUS_CAP_LIST 0x0010

void pci_func_init(struct pci_func *func, const struct pci_ident *id)
{
    memset(func->config, 0, sizeof func->config);
    memset(func->wmask, 0, sizeof func->wmask);
    memset(func->bar, 0, sizeof func->bar);
    func->host = NULL;
    func->msix = NULL;
    func->cap_end = CAPS_START;
    func->last_cap = 0;
    func->intx = (struct irq_line){0};
    func->intx_level = false;

    uint8_t *c = func->config;
    store_le16(c + REG_VENDOR, id->vendor);
    store_le16(c + REG_DEVICE, id->device);
    c[REG_REVISION] = id->revision;
    c[REG_CLASS] = (uint8_t)id->class_code;
    c[REG_CLASS + 1] = (uint8_t)(id->class_code >> 8);
    c[REG_CLASS + 2] = (uint8_t)(id->class_code >> 16);
    store_le16(c + REG_SUBVENDOR, id->subvendor);
    store_le16(c + REG_SUBDEVICE, id->subdevice);
    c[REG_INTERRUPT_PIN] = id->interrupt_pin ? 1 : 0;

    store_le16(func->wmask + REG_COMMAND, COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_PARITY |
                                              COMMAND_SERR | COMMAND_INTX_DISABLE);
    func->wmask[REG_CACHE_LINE] = 0xff;
    func->wmask[REG_LATENCY] = 0xff;
    func->wmask[REG_INTERRUPT_LINE] = id->interrupt_pin ? 0xff : 0;
}

void pci_bar_init(struct pci_func *func, unsigned n, uint64_t size, const char *name,
                  const struct io_ops *ops, void *self)
{
    struct pci_bar *bar = &func->bar[n];
    bar->size = size;
    bar->mapped = false;
    bar->region = (struct region){.name = name, .len = size, .ops = ops, .self = self};
    store_le32(func->wmask + bar_reg(n), (uint32_t)~(size - 1));
}

unsigned pci_cap_add(struct pci_func *func, uint8_t cap_id, unsigned len)
{
    unsigned off = func->cap_end;
    if (len < 2 || !range_fits(off, len, CAPS_END))
        return 0;
    func->config[off] = cap_id;
    if (func->last_cap) {
        func->config[func->last_cap + 1] = (uint8_t)off;
    } else {
        func->config[REG_CAPABILITIES] = (uint8_t)off;
        func->config[REG_STATUS] |= STATUS_CAP_LIST;
    }
    func->last_cap = off;
    func->cap_end = (unsigned)align_up(off + len, 4);
    return off;
}
