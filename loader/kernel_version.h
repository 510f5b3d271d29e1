// SPDX-License-Identifier: MIT
//
// What a kernel file says of itself: its release (as uname -r has it), and whether a word occurs in
// it, which tells a driver that is built in from one that is not where no modules.builtin is there
// to say so.
#pragma once

#include "err.h"
#include "loader.h"

#define KERNEL_RELEASE_TEXT 65 /* as utsname has it */

/*
 * From a bzImage's header, or from the banner in an ELF (vmlinux). 0; -ENOENT with no message: it
 * says nothing, so it is most likely no Linux; another -errno when it cannot be read.
 */
int kernel_read_release(const char *path, char release[KERNEL_RELEASE_TEXT], struct err *err);

/*
 * For each of words[0..n): does it occur in the (unpacked) kernel? 0, or -errno when that cannot be
 * seen; then nothing is said about the words.
 */
int kernel_find_words(const char *path, const char *const *words, bool *found, unsigned n,
                      struct err *err);
