// SPDX-License-Identifier: MIT
//
// A file that is complete or not there: opened early, so that errors show before there is anything
// to lose, written at the end beside its place and moved there. What is no regular file (a pipe,
// /dev/stdout) is written as it is.
// Where the file system has files without a name (O_TMPFILE), a process that is killed leaves
// nothing behind.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct outfile {
    int fd; /* -1: none */
    bool in_place, named; /* named: `temp` is there */
    char unnamed[32];     /* where the file without a name is found */
    char path[PATH_MAX], temp[PATH_MAX], dir[PATH_MAX];
};

/* `option` opens error messages. */
int outfile_open(struct outfile *f, const char *option, const char *path, struct err *err);

/* All of it, to stable storage. 0 or -errno. Async-signal-safe. The file is closed. */
int outfile_commit(struct outfile *f, const char *text, size_t len);

/* Nothing was written: leave no trace. Async-signal-safe. */
void outfile_abandon(struct outfile *f);
