// SPDX-License-Identifier: MIT
//
// Helper programs: parts that need a library which exists only as a shared one. minivmm is one
// static file, so it carries such a program as bytes and runs it as a child process; a bug in the
// library then meets no guest memory either. Thread: any.
#pragma once

#include <sys/types.h>

struct helper_image {
    const char *name;                 /* as ps shows it */
    const unsigned char *begin, *end; /* an ELF file */
};

/*
 * Run it with `in` as its standard input and `out` as its output (-1: /dev/null); both stay the
 * caller's. Its environment is empty, its signals are as at the start of any program. Who calls
 * waits for its end: status 127 is a program whose library is not installed. Returns 0 or -errno.
 */
int helper_start(const struct helper_image *image, int in, int out, pid_t *pid);
