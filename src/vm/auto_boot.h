// SPDX-License-Identifier: MIT
//
// Booting a stock kernel from a disk without an initrd: finding the root, and making the initramfs
// that the kernel's missing drivers call for. Private to src/.
#pragma once

#include "config.h"
#include "loader/cpio.h"
#include "loader/modules.h"

struct auto_boot {
    struct cpio initramfs; /* len 0: none is needed */
    char *cmdline;         /* NULL: the configuration's */
};

/*
 * Look at the kernel, its modules and the disks, before anything runs. Nothing is done for a kernel
 * that is no Linux, that has an initrd, or without a disk or a share named as its root. An error
 * says which module is missing and where it was looked for.
 */
int auto_boot_prepare(struct auto_boot *ab, const struct config *cfg, struct err *err);
void auto_boot_free(struct auto_boot *ab);

/* What a guest needs: modules by name, and a text that only a kernel with the driver inside has. */
struct driver_need {
    const char *module;
    const char *word; /* NULL: nothing in the kernel file tells */
    const char *what_for; /* "the root disk" */
};

/*
 * Put into `set` what of needs[0..n) is not built in. -ENOENT and others with a message: a driver
 * is missing; the message names it, its configuration option and the places looked at, with
 * `advice` where no modules were found.
 */
int drivers_collect(struct module_set *set, const struct config *cfg, const char *release,
                    const struct driver_need *needs, unsigned n, const char *advice,
                    struct err *err);
