// SPDX-License-Identifier: MIT
//
// PCI: one bus of functions behind a host bridge (PCI Local Bus 3.0; PCI Express Base for ECAM).
// A device fills a pci_func, gives it BARs whose contents are ordinary bus regions, and
// optionally MSI-X. The host bridge owns configuration mechanism #1 (0xCF8/0xCFC) and ECAM, BAR
// sizing and decoding, command-register enables, INTx routing and capability lists. The VMM plays
// firmware: BARs and interrupt lines are assigned before the guest starts, decoding of memory
// BARs on.
// Thread: everything under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "device.h"
#include "err.h"
#include "irq.h"

struct pci_host;
struct pci_func;

#define PCI_CONFIG_SIZE 4096
#define PCI_BARS 6
#define PCI_SLOTS 32

struct pci_bar {
    uint64_t size;        /* 0: absent; power of two >= 4096 */
    struct region region; /* base kept in step with the BAR register while decoding is on */
    bool mapped;          /* on the bus: decoding on, inside PCI_WINDOW, and on nobody else */
};

struct pci_func_ops {
    /*
     * Memory decoding was switched or a BAR moved: `base` fields are valid while bar[n].mapped.
     * May be NULL.
     */
    void (*remapped)(struct pci_func *func);
    /*
     * A guest access to [off, off+size) that touches the capability list (0x40 to cap_end), any
     * capability in it: the owner looks whether it is its own. `config_reading` runs before
     * config[] is read, `config_written` after the bytes have landed. For capabilities that are
     * windows, as VIRTIO_PCI_CAP_PCI_CFG. Either may be NULL.
     */
    void (*config_written)(struct pci_func *func, unsigned off, unsigned size);
    void (*config_reading)(struct pci_func *func, unsigned off, unsigned size);
};

struct msix;

struct pci_func {
    struct device device; /* the owner fills name and ops; the board resets it like any device */
    const struct pci_func_ops *pci_ops;
    struct pci_host *host;
    unsigned slot;
    uint8_t config[PCI_CONFIG_SIZE];  /* what the guest reads */
    uint8_t wmask[PCI_CONFIG_SIZE];   /* bits the guest may write */
    uint8_t reset_config[PCI_CONFIG_SIZE]; /* config at pci_add, restored by pci_func_reset */
    struct pci_bar bar[PCI_BARS];     /* 32-bit memory BARs only */
    unsigned cap_end;                 /* first free byte of the capability area */
    unsigned last_cap;
    struct irq_line intx;             /* set by pci_add */
    bool intx_level;
    struct msix *msix;                /* NULL: none; devices/pci/msix.h */
};

struct pci_ident {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_code; /* 24 bits: base, sub, prog-if */
    uint8_t revision;
    bool interrupt_pin; /* has INTA */
};

/* Start a function: config header, empty capability list. */
void pci_func_init(struct pci_func *func, const struct pci_ident *id);

/* Declare memory BAR n (32-bit, non-prefetchable) of `size` bytes with these registers. */
void pci_bar_init(struct pci_func *func, unsigned n, uint64_t size, const char *name,
                  const struct io_ops *ops, void *self);

/*
 * Append a capability of `len` bytes (header included); returns its config offset, 0 when it does
 * not fit below 0x100. Bytes after the header are zero and read-only until the caller fills
 * config[] and wmask[].
 */
unsigned pci_cap_add(struct pci_func *func, uint8_t cap_id, unsigned len);

/*
 * Plug into `slot`, or if that is taken the next free one, slot 0 after the last; assign BARs and
 * the interrupt line. The function must be complete.
 */
int pci_add(struct pci_host *host, struct pci_func *func, unsigned slot, struct err *err);

/*
 * Unplug: BARs off the bus, INTx dropped, slot free. For the owner's fini, before the host's;
 * nothing happens when not plugged in.
 */
void pci_remove(struct pci_func *func);

/*
 * Drop INTx, reset MSI-X, restore config space with the assigned BARs (and so their mapping). For
 * the owner's reset.
 */
void pci_func_reset(struct pci_func *func);

/*
 * A guest access to config space: size 1, 2 or 4, any alignment inside the 4 KiB. What the host
 * bridge does for both mechanisms.
 */
uint32_t pci_config_read(struct pci_func *func, unsigned off, unsigned size);
void pci_config_write(struct pci_func *func, unsigned off, unsigned size, uint32_t val);

/*
 * Drive INTx; suppressed by the interrupt-disable bit and while MSI-X is enabled, reflected in
 * the status register.
 */
void pci_intx_set(struct pci_func *func, bool level);

/*
 * MSI-X with `vectors` vectors (1 to 2048) in its own BAR n (table and PBA). 0, -ENOMEM, or
 * -EINVAL for what cannot be.
 */
int msix_init(struct pci_func *func, unsigned n, unsigned vectors, struct intc *intc);
void msix_fini(struct pci_func *func); /* after pci_remove; nothing happens without MSI-X */
void msix_reset(struct pci_func *func); /* pci_func_reset does it too */
bool msix_enabled(const struct pci_func *func);
/*
 * Send vector v, or remember it as pending while it is masked. Ignored outside the table and
 * while MSI-X is not enabled.
 */
void msix_notify(struct pci_func *func, unsigned v);

struct pci_host_config {
    struct bus *pio, *mmio;
    struct irq_line intx[2];  /* GSI IRQ_PCI_FIRST and the one after */
    struct {                  /* byte accesses to 0xCF9, inside CONFIG_ADDRESS; ops NULL: none */
        const struct io_ops *ops;
        void *self;
    } reset_port;
};

/* The host bridge at slot 0. Freed by its device's fini. */
struct pci_host *pci_host_create(const struct pci_host_config *cfg, struct err *err);
struct device *pci_host_device(struct pci_host *host);

/*
 * GSI that INTA of a slot is wired to: what _PRT and the interrupt-line register say. Pin p (0 to
 * 3) of slot s is where INTA of slot s + p is.
 */
unsigned pci_slot_gsi(unsigned slot);
/* The function in a slot, or NULL. */
struct pci_func *pci_host_func(const struct pci_host *host, unsigned slot);
