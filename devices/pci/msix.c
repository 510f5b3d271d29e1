// SPDX-License-Identifier: MIT
//
// MSI-X (PCI Local Bus 3.0 section 6.8.2): capability, and one BAR with the vector table at 0 and
// the pending bits after it. A vector is armed while MSI-X is enabled and neither the function
// nor the vector is masked; only then does the interrupt controller know its message
// (msi_program), so that it may keep a fast way for it. What happens meanwhile becomes a pending
// bit. Pending bits are forgotten when the guest disables MSI-X.
#include "msix.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define CAP_ID_MSIX 0x11
#define CAP_BYTES 12
#define MAX_VECTORS 2048

enum { CAP_CONTROL = 2, CAP_TABLE = 4, CAP_PBA = 8 };
#define CONTROL_ENABLE 0x8000
#define CONTROL_MASK 0x4000

enum { ENTRY_ADDR = 0, ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_BYTES = 16 };
#define ENTRY_MASKED 1

struct msix {
    struct pci_func *func;
    struct intc *intc;
    unsigned vectors, cap;
    uint64_t table_bytes; /* the PBA follows at once */
    uint64_t pba_bytes;
    bool enabled;         /* message control as acted on */
    bool masked;
    uint8_t *table;
    uint8_t *pba;
    bool *armed;
    struct msi_source *sources;
};

static bool pending(const struct msix *m, unsigned v)
{
    return m->pba[v / 8] & (1u << (v % 8));
}

static void set_pending(struct msix *m, unsigned v, bool on)
{
    uint8_t bit = (uint8_t)(1u << (v % 8));
    m->pba[v / 8] = (uint8_t)(on ? m->pba[v / 8] | bit : m->pba[v / 8] & ~bit);
}

static void vector_disarm(struct msix *m, unsigned v)
{
    if (m->armed[v])
        msi_release(m->intc, &m->sources[v]);
    m->armed[v] = false;
}

/* Arm, re-arm with a changed message, or disarm, as the registers now say. */
static void vector_update(struct msix *m, unsigned v)
{
    const uint8_t *entry = m->table + (size_t)v * ENTRY_BYTES;
    if (!m->enabled || m->masked || (entry[ENTRY_CONTROL] & ENTRY_MASKED)) {
        vector_disarm(m, v);
        return;
    }
    struct msi_source *src = &m->sources[v];
    struct msi_msg msg = {.addr = load_le64(entry + ENTRY_ADDR),
                          .data = load_le32(entry + ENTRY_DATA)};
    if (!m->armed[v] || src->msg.addr != msg.addr || src->msg.data != msg.data)
        msi_program(m->intc, src, &msg);
    m->armed[v] = true;
    if (pending(m, v)) {
        set_pending(m, v, false);
        msi_raise(m->intc, src);
    }
}

static uint32_t bar_read32(const struct msix *m, uint64_t off)
{
    if (off < m->table_bytes)
        return load_le32(m->table + off);
    if (off - m->table_bytes < m->pba_bytes)
        return load_le32(m->pba + (off - m->table_bytes));
    return 0;
}

static uint64_t bar_read(void *self, uint64_t off, unsigned size)
{
    const struct msix *m = self;
    if (off % 4) {
        log_guest("pci 00:%02x.0: MSI-X read at 0x%llx is not aligned", m->func->slot,
                  (unsigned long long)off);
        return ~0ull;
    }
    uint64_t val = bar_read32(m, off);
    if (size == 8)
        val |= (uint64_t)bar_read32(m, off + 4) << 32;
    return val;
}

static void bar_write32(struct msix *m, uint64_t off, uint32_t val)
{
    if (off >= m->table_bytes)
        return; /* pending bits are read-only */
    unsigned field = off % ENTRY_BYTES;
    if (field == ENTRY_CONTROL)
        val &= ENTRY_MASKED;
    else if (field == ENTRY_ADDR)
        val &= ~3u;
    store_le32(m->table + off, val);
    vector_update(m, (unsigned)(off / ENTRY_BYTES));
}

static void bar_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct msix *m = self;
    if (off % 4) {
        log_guest("pci 00:%02x.0: MSI-X write at 0x%llx is not aligned", m->func->slot,
                  (unsigned long long)off);
        return;
    }
    bar_write32(m, off, (uint32_t)val);
    if (size == 8)
        bar_write32(m, off + 4, (uint32_t)(val >> 32));
}

static const struct io_ops bar_ops = {.read = bar_read, .write = bar_write, .min = 4, .max = 8};

void msix_control_written(struct pci_func *func)
{
    struct msix *m = func->msix;
    uint16_t control = load_le16(func->config + m->cap + CAP_CONTROL);
    bool enabled = control & CONTROL_ENABLE, masked = control & CONTROL_MASK;
    if (enabled == m->enabled && masked == m->masked)
        return;
    m->enabled = enabled;
    m->masked = masked;
    if (!enabled)
        memset(m->pba, 0, m->pba_bytes);
    for (unsigned v = 0; v < m->vectors; v++)
        vector_update(m, v);
}

bool msix_enabled(const struct pci_func *func)
{
    return func->msix && func->msix->enabled;
}

void msix_notify(struct pci_func *func, unsigned v)
{
    struct msix *m = func->msix;
    if (!m || v >= m->vectors || !m->enabled)
        return;
    if (m->armed[v])
        msi_raise(m->intc, &m->sources[v]);
    else
        set_pending(m, v, true);
}

void msix_reset(struct pci_func *func)
{
    struct msix *m = func->msix;
    if (!m)
        return;
    m->enabled = m->masked = false;
    func->config[m->cap + CAP_CONTROL + 1] &= (uint8_t)~((CONTROL_ENABLE | CONTROL_MASK) >> 8);
    memset(m->pba, 0, m->pba_bytes);
    memset(m->table, 0, m->table_bytes);
    for (unsigned v = 0; v < m->vectors; v++) {
        vector_disarm(m, v);
        m->table[(size_t)v * ENTRY_BYTES + ENTRY_CONTROL] = ENTRY_MASKED;
    }
}

static uint64_t bar_size(uint64_t bytes)
{
    uint64_t size = 4096;
    while (size < bytes)
        size *= 2;
    return size;
}

static struct msix *msix_alloc(unsigned vectors)
{
    struct msix *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->vectors = vectors;
    m->table_bytes = (uint64_t)vectors * ENTRY_BYTES;
    m->pba_bytes = (uint64_t)(vectors + 63) / 64 * 8;
    m->table = calloc(vectors, ENTRY_BYTES);
    m->pba = calloc(m->pba_bytes, 1);
    m->armed = calloc(vectors, sizeof *m->armed);
    m->sources = calloc(vectors, sizeof *m->sources);
    return m;
}

static void msix_free(struct msix *m)
{
    free(m->table);
    free(m->pba);
    free(m->armed);
    free(m->sources);
    free(m);
}

int msix_init(struct pci_func *func, unsigned n, unsigned vectors, struct intc *intc)
{
    if (!vectors || vectors > MAX_VECTORS || n >= PCI_BARS || func->bar[n].size || func->msix)
        return -EINVAL;
    struct msix *m = msix_alloc(vectors);
    if (!m)
        return -ENOMEM;
    if (!m->table || !m->pba || !m->armed || !m->sources) {
        msix_free(m);
        return -ENOMEM;
    }
    m->cap = pci_cap_add(func, CAP_ID_MSIX, CAP_BYTES);
    if (!m->cap) {
        msix_free(m);
        return -EINVAL;
    }
    m->func = func;
    m->intc = intc;
    uint8_t *cap = func->config + m->cap;
    store_le16(cap + CAP_CONTROL, (uint16_t)(vectors - 1));
    store_le32(cap + CAP_TABLE, n);
    store_le32(cap + CAP_PBA, (uint32_t)m->table_bytes | n);
    store_le16(func->wmask + m->cap + CAP_CONTROL, CONTROL_ENABLE | CONTROL_MASK);
    pci_bar_init(func, n, bar_size(m->table_bytes + m->pba_bytes), "msix", &bar_ops, m);
    func->msix = m;
    msix_reset(func);
    return 0;
}

void msix_fini(struct pci_func *func)
{
    struct msix *m = func->msix;
    if (!m)
        return;
    for (unsigned v = 0; v < m->vectors; v++)
        vector_disarm(m, v);
    func->msix = NULL;
    msix_free(m);
}
