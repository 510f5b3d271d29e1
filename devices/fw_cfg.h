// SPDX-License-Identifier: MIT
//
// fw_cfg: QEMU's interface by which firmware and guests fetch blobs from the VMM (QEMU
// docs/specs/fw_cfg). I/O port variant with DMA. The board adds keys and files before the guest
// starts; the guest only reads.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "device.h"
#include "err.h"
#include "gmem.h"
#include "memmap.h"

struct fw_cfg_config {
    struct bus *pio;
    struct gmem *gmem;
    unsigned ncpus;
    uint64_t ram_size;              /* bytes */
    const struct memmap_entry *e820; /* ne820 of them, copied */
    unsigned ne820;
};

/* Well-known keys. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
};

#define FW_CFG_MAX_FILES 64
#define FW_CFG_NAME_BYTES 56 /* terminating zero included */

struct fw_cfg;

/* At FW_CFG_PORT of layout.h. Freed by its device's fini. */
struct fw_cfg *fw_cfg_create(const struct fw_cfg_config *cfg, struct err *err);
struct device *fw_cfg_device(struct fw_cfg *fw);

/* Set the contents of a key below FW_CFG_FILE_FIRST (a copy is kept; a second call replaces). */
int fw_cfg_add_key(struct fw_cfg *fw, uint16_t key, const void *data, size_t len, struct err *err);

/*
 * Add a file (a copy is kept). Keys are given in order of names, so they may change until the
 * last file is in.
 */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
                    struct err *err);
