// SPDX-License-Identifier: MIT
//
// See cpio.h.
#include "cpio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

#define HEADER_BYTES 110
#define NAME_MAX_BYTES 4096
#define FILE_MAX_BYTES MIB(512)

/* Room for `len` more bytes, zeroed; NULL after a failure. */
static uint8_t *grow(struct cpio *cpio, size_t len)
{
    size_t need = cpio->len + len;
    if (cpio->failed)
        return NULL;
    if (need > cpio->room) {
        size_t room = need < KIB(64) ? KIB(64) : need + need / 2;
        uint8_t *data = realloc(cpio->data, room);
        if (!data) {
            cpio->failed = -ENOMEM;
            return NULL;
        }
        cpio->data = data;
        cpio->room = room;
    }
    uint8_t *at = cpio->data + cpio->len;
    memset(at, 0, len);
    cpio->len = need;
    return at;
}

static void add(struct cpio *cpio, const char *name, unsigned mode, const void *data, size_t len)
{
    size_t name_len = strlen(name) + 1;
    if (name_len > NAME_MAX_BYTES || len > FILE_MAX_BYTES) {
        cpio->failed = cpio->failed ? cpio->failed : -E2BIG;
        return;
    }
    /* name and data each end at a multiple of four bytes from the archive's start */
    size_t head = align_up(HEADER_BYTES + name_len, 4);
    uint8_t *at = grow(cpio, head + align_up(len, 4));
    if (!at)
        return;
    char header[HEADER_BYTES + 1];
    snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
             cpio->inode++, mode, 0u, 0u, S_ISDIR(mode) ? 2u : 1u, 0u, (unsigned)len, 0u, 0u, 0u,
             0u, (unsigned)name_len, 0u);
    memcpy(at, header, HEADER_BYTES);
    memcpy(at + HEADER_BYTES, name, name_len);
    if (len)
        memcpy(at + head, data, len);
}

void cpio_add_dir(struct cpio *cpio, const char *name, unsigned mode)
{
    add(cpio, name, S_IFDIR | mode, NULL, 0);
}

void cpio_add_file(struct cpio *cpio, const char *name, unsigned mode, const void *data, size_t len)
{
    add(cpio, name, S_IFREG | mode, data, len);
}

int cpio_finish(struct cpio *cpio, struct err *err)
{
    add(cpio, "TRAILER!!!", 0, NULL, 0);
    if (cpio->failed)
        return err_set_errno(err, -cpio->failed, "make the initramfs");
    return 0;
}
