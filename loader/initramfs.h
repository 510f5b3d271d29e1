// SPDX-License-Identifier: MIT
//
// The initramfs that minivmm makes itself: its own init (guest-images/init), the modules to insert,
// and the words that tell the init what to do.
#pragma once

#include "cpio.h"
#include "modules.h"

/* minivmm's init, linked in. */
extern const uint8_t init_image[], init_image_end[];

/* Words "key=value", each closed by a zero byte. The first failure is kept. */
struct init_words {
    char *data;
    size_t len, room;
    bool failed;
};

#define INIT_WORDS_MAX ((1u << 20) - 1) /* the init has room for so many bytes */

void init_words_add(struct init_words *words, const char *key, const char *value);
void init_words_free(struct init_words *words);

/* A whole archive. It is the caller's to free (cpio->data), also after an error. */
int initramfs_make(struct cpio *cpio, const struct module_set *modules,
                   const struct init_words *words, struct err *err);
