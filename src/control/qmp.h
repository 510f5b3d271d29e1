// SPDX-License-Identifier: MIT
//
// QMP, the protocol: one message in, one reply out; and the commands as a table, which the man page
// minivmm-qmp(7) is made of too. Knows no sockets.
//
// Left out of QMP: out-of-band execution, and single-quoted strings, which only QEMU takes.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "src/control/control.h"

enum qmp_type { QMP_STRING, QMP_INT, QMP_BOOL, QMP_ARRAY, QMP_ANY };

struct qmp_arg {
    const char *name; /* NULL ends the list */
    enum qmp_type type;
    bool optional;
    const char *help;
};

#define QMP_ARGS 4

struct qmp_command {
    const char *name; /* NULL ends the table */
    const char *help, *returns; /* plain sentences; returns NULL: an empty object */
    struct qmp_arg args[QMP_ARGS];
    const char
        *errors; /* a sentence: which it fails with, and when; NULL: with none but for arguments */
    /*
     * args are checked. A new reference in *ret, or NULL for an empty object. -errno: err says why;
     * the error's class is DeviceNotFound for -ENOENT, DeviceNotActive for -ENODEV, GenericError
     * for any other.
     */
    int (*run)(struct vm *vm, const json_t *args, json_t **ret, struct err *err);
};

extern const struct qmp_command qmp_commands[];
extern const char *const qmp_type_names[];

/* What control_tell was told. */
struct control_news {
    enum control_event event;
    bool guest;
    const char *word;
    uint64_t bytes; /* of the balloon's */
    uint64_t utc_us;
};

/* Of one client. */
struct qmp_state {
    struct vm *vm;
    bool negotiated;
};

/* Each returns one line, malloc'ed, without a newline; NULL: no memory. */
char *qmp_greeting(void);
char *qmp_answer(struct qmp_state *s, const char *text, size_t len);
char *qmp_bad(const char *why); /* what came was no message */
char *qmp_event(const struct control_news *news);

/* The table for docs/update.sh: "man". False: another form. */
bool qmp_print_commands(const char *form, FILE *out);

json_t *qmp_version(void);

/* A string of whatever origin: JSON's are UTF-8, file names need not be. */
json_t *qmp_text(const char *text);
