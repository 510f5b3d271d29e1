// SPDX-License-Identifier: MIT
//
// The exit report (-exits), from opening its file to writing it. See report.h for what it says,
// profile.h for what it is made of.
#pragma once

#include <stdio.h>

#include "err.h"
#include "src/exits/profile.h"
#include "src/exits/symbols.h"
#include "base/outfile.h"

struct vm;

struct exits {
    struct profile *profiles; /* one for each vCPU */
    unsigned nprofiles;
    uint64_t start_ns;
    struct outfile file;
    struct symbols symbols;
};

/* The host's monotonic clock. */
uint64_t exits_now_ns(void);

/* What -exits and -symbols ask for; vm->exits stays NULL when that is nothing. 0, or -errno with
 * the message; exits_close in any case. */
int exits_open(struct vm *vm, struct err *err);
/* Write the report. vCPUs have ended. False, with an error line: the file could not be written. */
bool exits_write(struct vm *vm);
void exits_close(struct vm *vm);

/* For people, as things are now, with -exits or without: vCPUs are stopped. */
void exits_print(struct vm *vm, FILE *out);
