// SPDX-License-Identifier: MIT
//
// What is on a disk: partition tables (UEFI 2.10 section 5.3 GPT, and the older MBR with its chain
// of logical partitions) and the file systems a Linux root may have, by their superblocks. Numbers
// are the kernel's: partition 2 of vda is vda2. The same code runs on the host (which modules does
// the root need?) and in the guest's init (which device has this label?), so it needs no libc but
// memory functions, and takes bytes through a callback. All that is read is hostile.
// Left out: sectors other than 512 bytes, the backup GPT, BSD and Sun labels.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_source {
    bool (*read)(void *opaque, uint64_t offset, void *buf, size_t len); /* all of it, or false */
    void *opaque;
    uint64_t size; /* bytes; reads stay below it */
};

enum disk_table { DISK_TABLE_NONE, DISK_TABLE_MBR, DISK_TABLE_GPT };

#define DISK_MAX_PARTS 64
#define DISK_UUID_TEXT 37
#define DISK_LABEL_TEXT 65

struct disk_part {
    unsigned number;
    uint64_t offset, size; /* bytes; inside the disk */
    uint8_t type[16];      /* GPT: the type as it lies on disk; MBR: the first byte */
    char uuid[DISK_UUID_TEXT];   /* as PARTUUID= has it, small letters */
    char label[DISK_LABEL_TEXT]; /* as PARTLABEL= has it; "" on MBR */
};

struct disk_parts {
    enum disk_table table;
    unsigned count;
    struct disk_part part[DISK_MAX_PARTS];
};

struct disk_fs {
    const char *type; /* as mount has it; NULL: none that is known */
    bool mountable;   /* false: a container (LUKS, LVM, RAID) that needs more than a mount */
    char uuid[DISK_UUID_TEXT];
    char label[DISK_LABEL_TEXT];
};

void disk_read_parts(const struct disk_source *disk, struct disk_parts *parts);

/* The file system that begins at `offset`, where `size` bytes are. */
void disk_read_fs(const struct disk_source *disk, uint64_t offset, uint64_t size,
                  struct disk_fs *fs);

/*
 * The root of a disk: the partition of the type "Linux root (x86-64)"; else the biggest of a Linux
 * type that holds a file system; else the biggest with a file system of Linux; else, on a disk
 * without partitions, the whole disk. The partition's number, 0 for the whole disk, -1: there is
 * none. fs says what it holds.
 */
int disk_find_root(const struct disk_source *disk, struct disk_parts *parts, struct disk_fs *fs);
