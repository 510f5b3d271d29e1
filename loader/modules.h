// SPDX-License-Identifier: MIT
//
// Kernel modules on the host: the directory that belongs to a kernel, which modules it has, what is
// built in, and the files to insert, dependencies first. Where a module is, modules.dep tells, else
// modules.order; what it needs, its own .modinfo (so depmod need not have run); what is built in,
// modules.builtin. Soft dependencies ("pre:") come along where they can be found.
// Directories may be anyone's: sizes, counts and depths are bounded, names are checked, and what is
// malformed is one line or is passed over.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define MODULE_NAME_TEXT 64
#define MODULES_MAX 96

struct module_text { /* one of the directory's lists; data ends with a zero byte */
    char *data;
    size_t len;
};

struct module_dir {
    char *path;
    int fd; /* of the directory */
    struct module_text dep, order, builtin, alias;
};

/*
 * Open DIR if it looks like what /lib/modules/RELEASE is: it holds one of the lists, or modules.
 * -ENOENT without a message: it does not.
 */
int module_dir_open(struct module_dir *dir, const char *path, struct err *err);
void module_dir_close(struct module_dir *dir);

/*
 * The directory for a kernel: in `given` (-modules) if that is not NULL, else beside the kernel
 * file and in /lib/modules. *tried, the caller's to free, lists the places looked at, also after an
 * error; -ENOENT without a message: none has it.
 */
int module_dir_find(struct module_dir *dir, const char *given, const char *kernel,
                    const char *release, char **tried, struct err *err);

/* '-' and '_' are the same in names. */
enum module_where { MODULE_NOWHERE, MODULE_BUILTIN, MODULE_FILE };
enum module_where module_find(const struct module_dir *dir, const char *name);

/* Can MODULE_NOWHERE be believed? Not without a list of what is built in. */
static inline bool module_dir_knows_builtin(const struct module_dir *dir)
{
    return dir->builtin.data;
}

/* A module's file, unpacked. */
struct module_image {
    char name[MODULE_NAME_TEXT];
    uint8_t *data;
    size_t len;
};

struct module_set {
    const char *release; /* what modules must be made for; NULL: not checked */
    unsigned count;
    struct module_image image[MODULES_MAX]; /* in an order in which they can be inserted */
    unsigned nopen;                         /* names on the way from a module to its dependency */
    char open[16][MODULE_NAME_TEXT];
    size_t bytes;
};

/*
 * Add a module and what it needs. Nothing happens for one that is built in or there already.
 * -ENOENT with a message: it, or one that it needs, is not there.
 */
int module_set_add(struct module_set *set, const struct module_dir *dir, const char *name,
                   struct err *err);
void module_set_free(struct module_set *set);

/* What .modinfo says; the texts point into the image. */
struct module_info {
    const char *depends; /* names with commas; "" for none */
    const char *vermagic;
    const char *softdep[8];
    unsigned nsoftdeps;
};

/* -EINVAL without a message when it is no x86-64 kernel module. */
int module_read_info(const uint8_t *data, size_t len, struct module_info *info);

/* The kernel's configuration option that a module of ours comes from, or NULL. */
const char *module_config_option(const char *name);
