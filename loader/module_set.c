// SPDX-License-Identifier: MIT
//
// Modules and what they need, in an order in which they can be inserted: depth first, each module
// after its dependencies. See modules.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/module_dir.h"
#include "loader/stream.h"
#include "util.h"

#define MODULE_MAX MIB(64)  /* of one, unpacked; the biggest ones have a few MiB */
#define MODULES_BYTES MIB(256)

static int add(struct module_set *set, const struct module_dir *dir, const char *name,
               struct err *err);

static bool is_in(const struct module_set *set, const char *normal)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (!strcmp(set->image[i].name, normal))
            return true;
    }
    for (unsigned i = 0; i < set->nopen; i++) {
        if (!strcmp(set->open[i], normal))
            return true; /* a circle: whoever began it comes later */
    }
    return false;
}

static int read_module(const struct module_dir *dir, const char *path, struct module_image *image,
                       struct err *err)
{
    int rc = module_file_read(dir->fd, path, MODULE_MAX, &image->data, &image->len);
    if (rc)
        return err_set_errno(err, -rc, "read kernel module '%s/%s'", dir->path, path);
    const struct stream_ops *packed = stream_find(image->data, image->len);
    if (!packed)
        return 0;
    uint8_t *raw = image->data;
    rc = stream_unpack(packed, raw, image->len, MODULE_MAX, &image->data, &image->len);
    free(raw);
    if (!rc)
        return 0;
    image->data = NULL;
    return err_set_errno(err, -rc, "unpack kernel module '%s/%s'", dir->path, path);
}

/* The word at *text, up to a blank or a comma; *text goes behind it. False at the end. */
static bool next_word(const char **text, char word[MODULE_NAME_TEXT])
{
    *text += strspn(*text, " ,\t");
    size_t len = strcspn(*text, " ,\t"), n = len < MODULE_NAME_TEXT ? len : MODULE_NAME_TEXT - 1;
    memcpy(word, *text, n);
    word[n] = '\0';
    *text += len;
    return len;
}

/*
 * The names of algorithms, as soft dependencies have them, where modules.alias does not say which
 * module has them.
 */
static const char *const algorithms[][2] = {
    {"crc32c", "crc32c_generic"},      {"crc32c", "crc32c_intel"},
    {"xxhash64", "xxhash_generic"},    {"sha256", "sha256_generic"},
    {"blake2b_256", "blake2b_generic"}, {"crc32", "crc32_generic"},
};

/* Whoever is not there is not needed: a soft dependency is a wish. */
static int add_wish(struct module_set *set, const struct module_dir *dir, const char *word,
                    struct err *err)
{
    char normal[MODULE_NAME_TEXT], other[MODULE_NAME_TEXT];
    module_name_normal(word, normal);
    if (module_find(dir, normal) != MODULE_NOWHERE)
        return add(set, dir, normal, err);
    if (module_alias(dir, word, other) && module_find(dir, other) == MODULE_FILE)
        return add(set, dir, other, err);
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(algorithms) && !rc; i++) {
        if (!strcmp(algorithms[i][0], normal) &&
            module_find(dir, algorithms[i][1]) == MODULE_FILE)
            rc = add(set, dir, algorithms[i][1], err);
    }
    return rc;
}

/* "pre: a b post: c": those before. */
static int add_soft(struct module_set *set, const struct module_dir *dir, const char *text,
                    struct err *err)
{
    char word[MODULE_NAME_TEXT];
    bool before = false;
    int rc = 0;
    while (!rc && next_word(&text, word)) {
        if (!strcmp(word, "pre:") || !strcmp(word, "post:"))
            before = word[1] == 'r';
        else if (before)
            rc = add_wish(set, dir, word, err);
    }
    return rc;
}

static int check_release(const struct module_set *set, const struct module_dir *dir,
                         const char *path, const struct module_info *info, struct err *err)
{
    size_t len = strcspn(info->vermagic, " ");
    if (!set->release ||
        (strlen(set->release) == len && !memcmp(set->release, info->vermagic, len)))
        return 0;
    char made_for[MODULE_NAME_TEXT];
    for (size_t i = 0; i < sizeof made_for; i++) {
        char c = i < len && i < sizeof made_for - 1 ? info->vermagic[i] : '\0';
        made_for[i] = c && (c < 0x21 || c > 0x7e) ? '?' : c;
    }
    return err_set(err, EINVAL,
                   "kernel module '%s/%s' is for kernel %s, but the kernel is %s: give its modules "
                   "with -modules DIR",
                   dir->path, path, made_for[0] ? made_for : "(unknown)", set->release);
}

/* What this module needs, with its name among those that are open. */
static int add_needs(struct module_set *set, const struct module_dir *dir, const char *path,
                     const struct module_image *image, struct err *err)
{
    struct module_info info;
    if (module_read_info(image->data, image->len, &info))
        return err_set(err, EINVAL, "'%s/%s' is no x86-64 kernel module", dir->path, path);
    int rc = check_release(set, dir, path, &info, err);
    for (unsigned i = 0; i < info.nsoftdeps && !rc; i++)
        rc = add_soft(set, dir, info.softdep[i], err);
    char word[MODULE_NAME_TEXT];
    for (const char *text = info.depends; !rc && next_word(&text, word);)
        rc = add(set, dir, word, err);
    return rc;
}

static int keep(struct module_set *set, const struct module_image *image, struct err *err)
{
    if (set->count == MODULES_MAX || image->len > MODULES_BYTES - set->bytes)
        return err_set(err, E2BIG, "kernel module '%s' is one too many: %u modules of %zu KiB are"
                                   " there already", image->name, set->count, set->bytes >> 10);
    set->image[set->count++] = *image;
    set->bytes += image->len;
    return 0;
}

static int add(struct module_set *set, const struct module_dir *dir, const char *name,
               struct err *err)
{
    struct module_image image = {0};
    char path[MODULE_PATH_TEXT];
    module_name_normal(name, image.name);
    if (is_in(set, image.name) || module_find(dir, image.name) == MODULE_BUILTIN)
        return 0;
    if (!module_path(dir, image.name, path))
        return err_set(err, ENOENT, "there is no kernel module %s in '%s'%s%s", image.name,
                       dir->path, set->nopen ? ", which is needed by " : "",
                       set->nopen ? set->open[set->nopen - 1] : "");
    if (set->nopen == ARRAY_LEN(set->open))
        return err_set(err, ELOOP, "kernel modules in '%s' depend on each other more than %zu deep",
                       dir->path, ARRAY_LEN(set->open));
    int rc = read_module(dir, path, &image, err);
    if (rc)
        return rc;
    memcpy(set->open[set->nopen++], image.name, MODULE_NAME_TEXT);
    rc = add_needs(set, dir, path, &image, err);
    set->nopen--;
    if (!rc)
        rc = keep(set, &image, err);
    if (rc)
        free(image.data);
    return rc;
}

int module_set_add(struct module_set *set, const struct module_dir *dir, const char *name,
                   struct err *err)
{
    return add(set, dir, name, err);
}

void module_set_free(struct module_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        free(set->image[i].data);
    *set = (struct module_set){0};
}
