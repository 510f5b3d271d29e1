// SPDX-License-Identifier: MIT
//
// Command-line options as tables. One row describes an option or a key of an option's value; the
// parser, -h, the manual page and the README's table all walk the same rows, so they cannot
// disagree.
//
// Spelling is QEMU's: long options with one dash (two are accepted), the value as the next
// argument, values like `path,key=value,flag` with `,,` for a comma. `help` as a value lists what
// may stand there.
//
// Everything that returns int returns 0, -EINVAL or -ENOMEM with the message set, or OPT_STOP:
// what was asked for has been printed and nothing should run.
// Left out: short options, abbreviations, and `-option=value` but where a table or row asks for it.
// Thread: set-up only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

#define OPT_STOP 1

enum opt_kind {
    OPT_FLAG,     /* bool; an option takes no value, a key takes on|off or nothing (on) */
    OPT_TEXT,     /* const char *; at most `max` bytes when max is not 0 */
    OPT_FILE,     /* const char *; must not be empty */
    OPT_NUMBER,   /* unsigned, from `min` to `max`; decimal or 0x */
    OPT_CHOICE,   /* an enum: the index in `choices` */
    OPT_CALL,     /* parse() does all of it */
    OPT_ACCEPTED, /* takes no value and does nothing */
};

struct opt_choice {
    const char *name, *help; /* a NULL name ends the list */
};

struct opt_keys;

struct opt_row {
    const char *name;    /* without dashes; NULL ends the table */
    const char *metavar; /* stands for the value; NULL: none, or (OPT_CHOICE) the choices speak */
    bool optional; /* the value is `=VALUE` behind the option's name, or missing (OPT_CALL: NULL) */
    const char *help;    /* plain sentences; NULL: works, but is not shown */
    unsigned group;      /* index in opt_table.groups */
    enum opt_kind kind;
    size_t offset;       /* of the field, in the target */
    const struct opt_choice *choices;
    uint64_t min, max;
    /* OPT_CALL; value is NULL when the row has no metavar */
    int (*parse)(void *target, const char *value, struct err *err);
    const char *const
        *words; /* OPT_CALL: words that may stand there, for completion; NULL: none known */
    const struct opt_keys *const *keys; /* parts of the value, for help; NULL-terminated, or NULL */
};

struct opt_table {
    const char *const *groups; /* headings, NULL-terminated */
    const struct opt_row *rows;
    bool gnu; /* names are shown with two dashes, and --name=value is taken too */
    const struct opt_choice *foreign; /* names that others have, and what to say to them; or NULL */
};

static inline const char *opt_dashes(const struct opt_table *table)
{
    return table->gnu ? "--" : "-";
}

/* The keys of one kind of value. */
struct opt_keys {
    const char *what;         /* "-disk", or a device name */
    const char *help;         /* what it is, where several stand under one option; else NULL */
    const struct opt_row *rows;
    const char *first;        /* key that the first word sets when it has no '='; NULL: none */
    bool first_always;        /* the first word is that key's value even with '=' in it */
};

/* Strings that live as long as whoever owns the pool. */
struct opt_string;
struct opt_pool {
    struct opt_string *head;
};

/* A copy of text[0..len); NULL when out of memory, with the message set. */
char *opt_pool_add(struct opt_pool *pool, const char *text, size_t len, struct err *err);
void opt_pool_free(struct opt_pool *pool);

/* argv[1..argc). Values are not copied: argv must outlive the target. */
int opt_parse(const struct opt_table *table, void *target, int argc, char **argv, struct err *err);

/* `word,key=value,flag`. Values are copied into the pool. */
int opt_parse_keys(const struct opt_keys *keys, void *target, const char *text,
                   struct opt_pool *pool, struct err *err);

/* Decimal, or hexadecimal after 0x; the whole text, no sign, no blanks. False: not that, or over
 * 64 bits. */
bool opt_number(const char *text, uint64_t *out);

/* A number with K, M, G or T behind it (or the small letter); `unit` bytes without. */
int opt_size(const char *what, const char *text, uint64_t unit, uint64_t *bytes, struct err *err);

/* One field. `label` opens error messages ("-timeout", "-disk queues="). */
int opt_assign(const struct opt_row *row, const char *label, void *target, const char *value,
               struct err *err);

/* Is it one of the words that ask a command for help? */
bool opt_asks_help(const char *word);

/* The name a typing error most likely meant, or NULL. */
const char *opt_nearest(const struct opt_row *rows, const char *word);

/* User text fit for a one-line message: control characters become '?', a long text is cut. */
struct opt_quoted {
    char text[84];
};
const char *opt_quote(struct opt_quoted *buf, const char *text);
#define OPT_QUOTE(text) opt_quote(&(struct opt_quoted){{0}}, text)

/* The value as help shows it: the metavar, or the choices with '|' between; "": takes none. */
const char *opt_value_shape(const struct opt_row *row, char *buf, size_t len);

/* What the tables say, in three forms. */
void opt_print_help(const struct opt_table *table, FILE *out);
void opt_print_man(const struct opt_table *table, FILE *out);
void opt_print_markdown(const struct opt_table *table, FILE *out);
/*
 * A completion script for "bash" or "zsh"; `verbs` may stand for the first option. False: neither.
 */
bool opt_print_completion(const struct opt_table *table, const char *const *verbs,
                          const char *shell, FILE *out);
void opt_print_keys(const struct opt_keys *keys, FILE *out);
void opt_print_choices(const char *label, const struct opt_choice *choices, FILE *out);
