// SPDX-License-Identifier: MIT
//
// The human monitor: one line in, text for people out. The same for -monitor, Ctrl-A c and
// human-monitor-command.
#pragma once

#include <stdio.h>

struct vm;

#define MONITOR_LINE 256
#define MONITOR_PROMPT "(minivmm) "
#define MONITOR_TEXT 32768 /* of an answer; what is longer is cut */

/* malloc'ed; NULL: no memory. */
char *monitor_run(struct vm *vm, const char *line);

/* What monitor_run takes, for documents: "man". */
void monitor_print_man(FILE *out);

/* info.c: one table of what `info` shows. */
struct monitor_info {
    const char *name, *help; /* a NULL name ends the table */
    void (*print)(struct vm *vm, FILE *out);
};
extern const struct monitor_info monitor_infos[];
