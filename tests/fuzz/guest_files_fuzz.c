// SPDX-License-Identifier: MIT
//
// libFuzzer target: any bytes as a disk (partition tables, superblocks), as a kernel module, as a
// module directory's lists, and as a kernel's command line. The first byte chooses.
//
//   clang -fsanitize=fuzzer,address,undefined ... && ./guest_files_fuzz -max_len=16384 CORPUS
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "loader/cmdline.h"
#include "loader/disk_probe.h"
#include "loader/module_dir.h"
#include "loader/stream.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* The input, then zeros up to the disk's size. */
static bool read_bytes(void *opaque, uint64_t offset, void *buf, size_t len)
{
    const struct bytes *bytes = opaque;
    memset(buf, 0, len);
    if (offset < bytes->size)
        memcpy(buf, bytes->data + offset,
               len < bytes->size - offset ? len : (size_t)(bytes->size - offset));
    return true;
}

static void try_disk(const uint8_t *data, size_t size)
{
    static struct disk_parts parts;
    struct disk_fs fs;
    struct bytes bytes = {data, size};
    struct disk_source disk = {read_bytes, &bytes, size + MIB(1)};
    int root = disk_find_root(&disk, &parts, &fs);
    bool there = root <= 0;
    for (unsigned i = 0; i < parts.count; i++) {
        const struct disk_part *part = &parts.part[i];
        if (!part->size || !range_fits(part->offset, part->size, disk.size) ||
            strnlen(part->label, sizeof part->label) == sizeof part->label ||
            strnlen(part->uuid, sizeof part->uuid) == sizeof part->uuid)
            abort();
        there |= (int)part->number == root;
    }
    if (!there)
        abort();
}

static void try_module(const uint8_t *data, size_t size)
{
    struct module_info info;
    uint8_t *out;
    size_t len;
    const struct stream_ops *packed = stream_find(data, size);
    if (packed) {
        if (!stream_unpack(packed, data, size, MIB(1), &out, &len)) {
            if (len > MIB(1))
                abort();
            free(out);
        }
        return;
    }
    if (!module_read_info(data, size, &info) &&
        strlen(info.depends) + strlen(info.vermagic) > 2 * size)
        abort();
}

static void try_lists(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), path[MODULE_PATH_TEXT], name[MODULE_NAME_TEXT];
    memcpy(text, data, size);
    text[size] = '\0';
    struct module_dir dir = {
        .fd = -1, .dep = {text, size}, .builtin = {text, size}, .alias = {text, size}};
    module_find(&dir, "virtio_blk");
    if (module_path(&dir, "a", path))
        abort(); /* there is no directory */
    if (module_alias(&dir, "a", name) && strlen(name) >= sizeof name)
        abort();
    free(text);
}

static void try_cmdline(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), value[16];
    memcpy(text, data, size);
    text[size] = '\0';
    if (cmdline_get(text, "root", value, sizeof value) && strlen(value) >= sizeof value)
        abort();
    cmdline_has(text, "ro");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {try_disk, try_module, try_lists,
                                                               try_cmdline};
    if (size)
        targets[data[0] % ARRAY_LEN(targets)](data + 1, size - 1);
    return 0;
}
