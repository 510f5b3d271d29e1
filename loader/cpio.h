// SPDX-License-Identifier: MIT
//
// A writer of initramfs archives in memory: cpio's "newc" form, the one that the kernel unpacks
// (kernel Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root,
// all times are zero, names are used as given (without a slash in front). The first failure is
// kept, so that one look at the end (cpio_finish) is enough.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct cpio {
    uint8_t *data;
    size_t len, room;
    unsigned inode;
    int failed; /* 0 or -errno */
};

/* Parents first: the kernel makes no missing directory. */
void cpio_add_dir(struct cpio *cpio, const char *name, unsigned mode);
void cpio_add_file(struct cpio *cpio, const char *name, unsigned mode, const void *data,
                   size_t len);

/* Closes the archive; cpio->data is the caller's to free, also after an error. */
int cpio_finish(struct cpio *cpio, struct err *err);
