// SPDX-License-Identifier: MIT
//
// An opened disk image: the descriptor, what it can do, and the lock that keeps others away.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "block.h"

struct image {
    int fd;
    char *path;
    bool block_device;
    uint64_t size;            /* bytes the guest sees, multiple of 512 */
    uint64_t data_end;        /* bytes the file has; below size only when read-only */
    unsigned logical_block, physical_block;
    unsigned dio_align;       /* of offset and length; 1: through the page cache, anything goes */
    unsigned dio_mem_align;   /* of memory */
    bool can_discard;
};

/* Refuses what cannot be a disk, and what somebody else uses. */
int image_open(struct image *img, const struct block_config *cfg, struct err *err);
/* A scratch file of this size, unlocked: nobody can find it. */
int image_open_scratch(struct image *img, uint64_t size, struct err *err);
void image_close(struct image *img);

/* Exclusive for writing, shared for reading; released when fd is closed. */
int image_lock(int fd, const char *path, bool writable, struct err *err);
