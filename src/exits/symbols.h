// SPDX-License-Identifier: MIT
//
// Names for addresses of guest code: the functions of an ELF file (vmlinux), or lines "address type
// name" as in System.map and /proc/kallsyms.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct symbol {
    uint64_t address;
    const char *name;
};

struct symbols {
    struct symbol *list; /* ascending */
    size_t n, room;
    uint64_t slide; /* how far the guest moved its code from where the file says (KASLR) */
    char *names;    /* what `list` points into */
    size_t names_len, names_room;
};

/* 0, or -errno with the message, which opens with -symbols. */
int symbols_read(struct symbols *s, const char *path, struct err *err);
void symbols_free(struct symbols *s);

/* The function that address lies in, and how deep; NULL: none is near. */
const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset);

/* Where the file has this name; false: nowhere. */
bool symbols_address(const struct symbols *s, const char *name, uint64_t *address);
