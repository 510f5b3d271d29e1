// SPDX-License-Identifier: MIT
//
// fw_cfg: see fw_cfg.h. Selector (16 bits, little-endian) and data (8 bits) at FW_CFG_PORT and
// +1; the DMA address, big-endian, in two halves at +4 and +8, where writing the low half starts
// the transfer. Reads past the end of an item, and of items that do not exist, give zeros. Left
// out: writable items.
#include "fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "log.h"
#include "util.h"

#define ID_TRADITIONAL 1u
#define ID_DMA 2u
#define DMA_SIGNATURE "QEMU CFG"

/* Control field of a DMA request; bits 16-31 are the key of SELECT. */
enum dma_control {
    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
    DMA_TRANSFERS = DMA_READ | DMA_SKIP | DMA_WRITE,
    DMA_KNOWN = DMA_TRANSFERS | DMA_SELECT,
};
#define DMA_REQUEST_BYTES 16 /* control, length: 32 bits; address: 64 bits; all big-endian */

struct blob {
    uint8_t *data; /* NULL: empty */
    size_t len;
};

struct file {
    char name[FW_CFG_NAME_BYTES];
    struct blob blob;
};

struct fw_cfg {
    struct device device;
    struct bus *pio;
    struct gmem *gmem;
    struct region ports, dma_port;
    struct blob keys[FW_CFG_FILE_FIRST];
    struct file files[FW_CFG_MAX_FILES]; /* by name; file i has key FW_CFG_FILE_FIRST + i */
    unsigned nfiles;
    struct fw_cfg_regs {
        uint16_t key;
        uint64_t offset; /* into the item; at most its length */
        uint32_t dma_high;
    } regs;
};

static void store_be16(uint8_t *p, uint16_t v)
{
    store_le16(p, __builtin_bswap16(v));
}

static void store_be32(uint8_t *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}

static uint32_t load_be32(const uint8_t *p)
{
    return __builtin_bswap32(load_le32(p));
}

/* --- items --- */

static int blob_set(struct blob *blob, const void *data, size_t len, struct err *err)
{
    uint8_t *copy = NULL;
    if (len) {
        copy = malloc(len);
        if (!copy)
            return err_set(err, ENOMEM, "fw_cfg: no memory for an item of %zu bytes", len);
        memcpy(copy, data, len);
    }
    free(blob->data);
    *blob = (struct blob){.data = copy, .len = len};
    return 0;
}

int fw_cfg_add_key(struct fw_cfg *fw, uint16_t key, const void *data, size_t len, struct err *err)
{
    if (key >= FW_CFG_FILE_FIRST)
        return err_set(err, EINVAL, "fw_cfg: key 0x%x belongs to files", key);
    return blob_set(&fw->keys[key], data, len, err);
}

/* The directory item: a count, then size, key and name of each file. */
static int directory_update(struct fw_cfg *fw, struct err *err)
{
    enum { ENTRY_BYTES = 8 + FW_CFG_NAME_BYTES };
    uint8_t dir[4 + FW_CFG_MAX_FILES * ENTRY_BYTES] = {0};
    store_be32(dir, fw->nfiles);
    for (unsigned i = 0; i < fw->nfiles; i++) {
        uint8_t *entry = dir + 4 + i * ENTRY_BYTES;
        store_be32(entry, (uint32_t)fw->files[i].blob.len);
        store_be16(entry + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        memcpy(entry + 8, fw->files[i].name, FW_CFG_NAME_BYTES);
    }
    return fw_cfg_add_key(fw, FW_CFG_FILE_DIR, dir, 4 + fw->nfiles * ENTRY_BYTES, err);
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
                    struct err *err)
{
    if (!name[0] || strlen(name) >= FW_CFG_NAME_BYTES)
        return err_set(err, EINVAL, "fw_cfg: file name '%s' is empty or longer than %d bytes", name,
                       FW_CFG_NAME_BYTES - 1);
    if (len > UINT32_MAX)
        return err_set(err, EFBIG, "fw_cfg: file '%s' of %zu bytes is 4 GiB or more", name, len);
    if (fw->nfiles == FW_CFG_MAX_FILES)
        return err_set(err, ENOSPC, "fw_cfg: no room for file '%s' (%d at most)", name,
                       FW_CFG_MAX_FILES);
    unsigned at = 0;
    while (at < fw->nfiles && strcmp(fw->files[at].name, name) < 0)
        at++;
    if (at < fw->nfiles && !strcmp(fw->files[at].name, name))
        return err_set(err, EEXIST, "fw_cfg: file '%s' was added twice", name);

    struct file file = {0};
    memcpy(file.name, name, strlen(name));
    int ret = blob_set(&file.blob, data, len, err);
    if (ret)
        return ret;
    memmove(&fw->files[at + 1], &fw->files[at], (fw->nfiles - at) * sizeof fw->files[0]);
    fw->files[at] = file;
    fw->nfiles++;
    return directory_update(fw, err);
}

/* The item the guest has selected; an empty one when it does not exist. */
static struct blob selected(const struct fw_cfg *fw)
{
    unsigned key = fw->regs.key;
    if (key < FW_CFG_FILE_FIRST)
        return fw->keys[key];
    if (key - FW_CFG_FILE_FIRST < fw->nfiles)
        return fw->files[key - FW_CFG_FILE_FIRST].blob;
    return (struct blob){0};
}

static void select_key(struct fw_cfg *fw, uint16_t key)
{
    fw->regs.key = key;
    fw->regs.offset = 0;
}

/* Move on by up to `want` bytes; *from is where they are. Returns how many there were. */
static uint64_t advance(struct fw_cfg *fw, uint64_t want, const uint8_t **from)
{
    struct blob item = selected(fw);
    uint64_t off = fw->regs.offset < item.len ? fw->regs.offset : item.len;
    uint64_t n = want < item.len - off ? want : item.len - off;
    *from = n ? item.data + off : NULL;
    fw->regs.offset = off + n;
    return n;
}

/* --- selector and data ports --- */

static uint64_t ports_read(void *self, uint64_t off, unsigned size)
{
    struct fw_cfg *fw = self;
    if (off != 1 || size != 1)
        return ~0ull;
    const uint8_t *from;
    return advance(fw, 1, &from) ? *from : 0;
}

static void ports_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct fw_cfg *fw = self;
    if (off == 0 && size == 2)
        select_key(fw, (uint16_t)val);
    else
        log_guest("fw_cfg: write of %u bytes at port offset %u ignored", size, (unsigned)off);
}

static const struct io_ops ports_ops = {
    .read = ports_read, .write = ports_write, .min = 1, .max = 2};

/* --- DMA --- */

/* Item bytes, then zeros, to guest RAM. All of the target must be RAM. */
static int dma_read(struct fw_cfg *fw, gpa_t to, uint64_t len)
{
    if (!gmem_ptr(fw->gmem, to, len))
        return -EFAULT;
    const uint8_t *from;
    uint64_t n = advance(fw, len, &from);
    if (n && gmem_write(fw->gmem, to, from, n))
        return -EFAULT;
    return n < len ? gmem_fill(fw->gmem, to + n, 0, len - n) : 0;
}

/* Carry out a request; 0, or DMA_ERROR as the control field shall say. */
static uint32_t dma_run(struct fw_cfg *fw, uint32_t control, uint32_t len, gpa_t addr)
{
    uint32_t op = control & 0xffff, transfer = op & DMA_TRANSFERS;
    if ((op & ~(uint32_t)DMA_KNOWN) || (transfer && !is_power_of_two(transfer))) {
        log_guest("fw_cfg: DMA control 0x%08x makes no sense", control);
        return DMA_ERROR;
    }
    if (op & DMA_SELECT)
        select_key(fw, (uint16_t)(control >> 16));
    if (!transfer || !len)
        return 0;
    const uint8_t *unused;
    switch (transfer) {
    case DMA_READ:
        if (!dma_read(fw, addr, len))
            return 0;
        log_guest("fw_cfg: DMA of %u bytes to 0x%llx, which is not RAM", len,
                  (unsigned long long)addr);
        return DMA_ERROR;
    case DMA_SKIP:
        advance(fw, len, &unused);
        return 0;
    default:
        log_guest("fw_cfg: DMA write to item 0x%x refused", fw->regs.key);
        return DMA_ERROR;
    }
}

static void dma_start(struct fw_cfg *fw, gpa_t at)
{
    uint8_t req[DMA_REQUEST_BYTES];
    if (gmem_read(fw->gmem, at, req, sizeof req)) {
        log_guest("fw_cfg: DMA request at 0x%llx, which is not RAM", (unsigned long long)at);
        return;
    }
    gpa_t addr = (uint64_t)load_be32(req + 8) << 32 | load_be32(req + 12);
    uint8_t control[4];
    store_be32(control, dma_run(fw, load_be32(req), load_be32(req + 4), addr));
    gmem_write(fw->gmem, at, control, sizeof control); /* was RAM just now, so it is */
}

/* The DMA address register reads as a signature. */
static uint64_t dma_port_read(void *self, uint64_t off, unsigned size)
{
    (void)self;
    static const uint8_t signature[] = DMA_SIGNATURE;
    uint64_t val = 0;
    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)signature[off + i] << (8 * i);
    return val;
}

static void dma_port_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct fw_cfg *fw = self;
    uint32_t half = __builtin_bswap32((uint32_t)val);
    if (off == 0 && size == 4) {
        fw->regs.dma_high = half;
    } else if (off == 4 && size == 4) {
        uint64_t at = (uint64_t)fw->regs.dma_high << 32 | half;
        fw->regs.dma_high = 0;
        dma_start(fw, at);
    } else {
        log_guest("fw_cfg: write of %u bytes to the DMA address ignored", size);
    }
}

static const struct io_ops dma_port_ops = {
    .read = dma_port_read, .write = dma_port_write, .min = 1, .max = 4};

/* --- life --- */

static int add_numbers(struct fw_cfg *fw, const struct fw_cfg_config *cfg, struct err *err)
{
    uint8_t id[4], ram_size[8], ncpus[2];
    store_le32(id, ID_TRADITIONAL | ID_DMA);
    store_le64(ram_size, cfg->ram_size);
    store_le16(ncpus, (uint16_t)cfg->ncpus);
    const struct {
        uint16_t key;
        const void *data;
        size_t len;
    } items[] = {
        {FW_CFG_SIGNATURE, "QEMU", 4},
        {FW_CFG_ID, id, sizeof id},
        {FW_CFG_RAM_SIZE, ram_size, sizeof ram_size},
        {FW_CFG_NB_CPUS, ncpus, sizeof ncpus},
        {FW_CFG_MAX_CPUS, ncpus, sizeof ncpus},
    };
    for (unsigned i = 0; i < ARRAY_LEN(items); i++) {
        int ret = fw_cfg_add_key(fw, items[i].key, items[i].data, items[i].len, err);
        if (ret)
            return ret;
    }
    return directory_update(fw, err);
}

static int add_e820(struct fw_cfg *fw, const struct fw_cfg_config *cfg, struct err *err)
{
    enum { ENTRY_BYTES = 20 };
    if (!cfg->ne820)
        return 0;
    uint8_t *table = calloc(cfg->ne820, ENTRY_BYTES);
    if (!table)
        return err_set(err, ENOMEM, "fw_cfg: no memory for the memory map");
    for (unsigned i = 0; i < cfg->ne820; i++) {
        uint8_t *entry = table + (size_t)i * ENTRY_BYTES;
        store_le64(entry, cfg->e820[i].base);
        store_le64(entry + 8, cfg->e820[i].size);
        store_le32(entry + 16, cfg->e820[i].type);
    }
    int ret = fw_cfg_add_file(fw, "etc/e820", table, (size_t)cfg->ne820 * ENTRY_BYTES, err);
    free(table);
    return ret;
}

static struct fw_cfg *fw_cfg_of(struct device *dev)
{
    return container_of(dev, struct fw_cfg, device);
}

static void fw_cfg_reset(struct device *dev)
{
    fw_cfg_of(dev)->regs = (struct fw_cfg_regs){0};
}

static void fw_cfg_fini(struct device *dev)
{
    struct fw_cfg *fw = fw_cfg_of(dev);
    bus_remove(fw->pio, &fw->ports);
    bus_remove(fw->pio, &fw->dma_port);
    for (unsigned i = 0; i < FW_CFG_FILE_FIRST; i++)
        free(fw->keys[i].data);
    for (unsigned i = 0; i < fw->nfiles; i++)
        free(fw->files[i].blob.data);
    free(fw);
}

static const struct device_ops fw_cfg_ops = {.reset = fw_cfg_reset, .fini = fw_cfg_fini};

struct fw_cfg *fw_cfg_create(const struct fw_cfg_config *cfg, struct err *err)
{
    struct fw_cfg *fw = calloc(1, sizeof *fw);
    if (!fw) {
        err_set(err, ENOMEM, "fw_cfg: no memory for the device");
        return NULL;
    }
    fw->device = (struct device){.name = "fw_cfg", .ops = &fw_cfg_ops};
    fw->pio = cfg->pio;
    fw->gmem = cfg->gmem;
    fw->ports = (struct region){
        .name = "fw_cfg", .base = FW_CFG_PORT, .len = 2, .ops = &ports_ops, .self = fw};
    fw->dma_port = (struct region){
        .name = "fw_cfg-dma", .base = FW_CFG_PORT + 4, .len = 8, .ops = &dma_port_ops, .self = fw};
    if (bus_add(cfg->pio, &fw->ports, err) || bus_add(cfg->pio, &fw->dma_port, err) ||
        add_numbers(fw, cfg, err) || add_e820(fw, cfg, err)) {
        fw_cfg_fini(&fw->device);
        return NULL;
    }
    return fw;
}

struct device *fw_cfg_device(struct fw_cfg *fw)
{
    return &fw->device;
}
