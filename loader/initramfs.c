// SPDX-License-Identifier: MIT
//
// See initramfs.h.
#include "initramfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void init_words_add(struct init_words *words, const char *key, const char *value)
{
    size_t key_len = strlen(key), value_len = strlen(value);
    size_t need = words->len + key_len + 1 + value_len + 1;
    if (words->failed)
        return;
    if (need > words->room) {
        size_t room = need + need / 2;
        char *data = need > INIT_WORDS_MAX ? NULL : realloc(words->data, room);
        if (!data) {
            words->failed = true;
            return;
        }
        words->data = data;
        words->room = room;
    }
    char *at = words->data + words->len;
    memcpy(at, key, key_len);
    at[key_len] = '=';
    memcpy(at + key_len + 1, value, value_len + 1);
    words->len = need;
}

void init_words_free(struct init_words *words)
{
    free(words->data);
    *words = (struct init_words){0};
}

int initramfs_make(struct cpio *cpio, const struct module_set *modules,
                   const struct init_words *words, struct err *err)
{
    struct init_words all = {0};
    cpio_add_dir(cpio, "dev", 0755);
    cpio_add_dir(cpio, "proc", 0555);
    cpio_add_dir(cpio, "sys", 0555);
    cpio_add_dir(cpio, "minivmm", 0755);
    cpio_add_file(cpio, "init", 0755, init_image, (size_t)(init_image_end - init_image));
    for (unsigned i = 0; modules && i < modules->count; i++) {
        const struct module_image *image = &modules->image[i];
        char name[sizeof "/minivmm/.ko" + MODULE_NAME_TEXT];
        snprintf(name, sizeof name, "/minivmm/%s.ko", image->name);
        init_words_add(&all, "module", name);
        cpio_add_file(cpio, name + 1, 0644, image->data, image->len);
    }
    size_t total = all.len + words->len;
    char *text = malloc(total ? total : 1);
    if (text && !all.failed && !words->failed && total <= INIT_WORDS_MAX) {
        if (all.len)
            memcpy(text, all.data, all.len);
        if (words->len)
            memcpy(text + all.len, words->data, words->len);
        cpio_add_file(cpio, "minivmm/words", 0600, text, total);
    } else {
        cpio->failed = cpio->failed ? cpio->failed : -E2BIG;
    }
    free(text);
    init_words_free(&all);
    return cpio_finish(cpio, err);
}
