// SPDX-License-Identifier: MIT
//
// The option parser: walks argv along a table of rows, and keyed values along theirs. See
// include/opt.h.
#include "opt.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static bool takes_value(const struct opt_row *row)
{
    return row->metavar || row->kind == OPT_CHOICE;
}

/* May its value stand behind a '='? */
static bool may_be_joined(const struct opt_table *table, const struct opt_row *row)
{
    return row->optional || (table->gnu && takes_value(row));
}

static const struct opt_row *find_row(const struct opt_row *rows, const char *name, size_t len)
{
    for (; rows->name; rows++) {
        if (strlen(rows->name) == len && !memcmp(rows->name, name, len))
            return rows;
    }
    return NULL;
}

/* Typing errors between two words: a letter too many, too few, wrong, or swapped with the next. */
static unsigned edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
    enum { MAX = 32 };
    unsigned d[MAX + 1][MAX + 1];
    if (alen > MAX || blen > MAX)
        return MAX;
    for (unsigned i = 0; i <= alen; i++) {
        for (unsigned j = 0; j <= blen; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[alen][blen];
}

bool opt_asks_help(const char *word)
{
    return !strcmp(word, "-h") || !strcmp(word, "-help") || !strcmp(word, "--help") ||
           !strcmp(word, "help");
}

const char *opt_nearest(const struct opt_row *rows, const char *word)
{
    size_t len = strlen(word);
    const char *nearest = NULL;
    unsigned best =
        len < 5 ? 2 : 3; /* more than two errors, in a short word one, is another word */
    for (; rows->name; rows++) {
        unsigned d = edit_distance(word, len, rows->name, strlen(rows->name));
        if (len >= 3 && !strncmp(rows->name, word, len))
            d = 1; /* an abbreviation */
        if (rows->help && d < best && d < len) {
            best = d;
            nearest = rows->name;
        }
    }
    return nearest;
}

static int unknown_option(const struct opt_table *table, const char *arg, const char *name,
                          struct err *err)
{
    size_t len = strcspn(name, "=");
    for (const struct opt_choice *f = table->foreign; f && f->name; f++) {
        if (!strcmp(f->name, name))
            return err_set(err, EINVAL, "-%s: %s", f->name, f->help);
    }
    if (name[len] && find_row(table->rows, name, len) && table->gnu)
        return err_set(err, EINVAL, "%s%.*s takes no value, but '%s' was given", opt_dashes(table),
                       (int)len, name, OPT_QUOTE(arg));
    if (name[len] && find_row(table->rows, name, len))
        return err_set(err, EINVAL,
                       "unknown option '%s': a value is the next argument, as in -%.*s %s",
                       OPT_QUOTE(arg), (int)len, name, OPT_QUOTE(name + len + 1));
    const char *near = opt_nearest(table->rows, name);
    if (near)
        return err_set(err, EINVAL, "unknown option '%s': did you mean %s%s?", OPT_QUOTE(arg),
                       opt_dashes(table), near);
    return err_set(err, EINVAL, "unknown option '%s' (minivmm -h lists them)", OPT_QUOTE(arg));
}

/* A value that was forgotten, or is an empty variable of the shell. */
static bool is_option(const struct opt_table *table, const char *word)
{
    size_t dashes = strspn(word, "-");
    return (dashes == 1 || dashes == 2) &&
           find_row(table->rows, word + dashes, strlen(word + dashes));
}

int opt_parse(const struct opt_table *table, void *target, int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char *name = arg + (arg[0] == '-') + (arg[0] == '-' && arg[1] == '-');
        if (name == arg || !*name)
            return err_set(
                err, EINVAL,
                "'%s' is not an option: a kernel is -kernel FILE, a disk -disk FILE (-h lists all)",
                OPT_QUOTE(arg));
        size_t len = strcspn(name, "=");
        const struct opt_row *row = find_row(table->rows, name, len);
        if (!row || (name[len] && !may_be_joined(table, row)))
            return unknown_option(table, arg, name, err);
        char label[40], shape[128];
        snprintf(label, sizeof label, "%s%s", opt_dashes(table), row->name);
        const char *value = name[len] ? name + len + 1 : NULL;
        if (takes_value(row) && !row->optional && !value) {
            if (++i == argc)
                return err_set(err, EINVAL, "%s needs a value: %s %s", label, label,
                               opt_value_shape(row, shape, sizeof shape));
            value = argv[i];
            if (row->kind != OPT_TEXT && is_option(table, value))
                return err_set(err, EINVAL,
                               "%s needs a value, and what follows is the option %s: %s %s", label,
                               value, label, opt_value_shape(row, shape, sizeof shape));
        }
        int rc = opt_assign(row, label, target, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* May this row be set by its name? A first word that is always first may not. */
static bool has_key_name(const struct opt_keys *keys, const struct opt_row *row)
{
    return !keys->first_always || strcmp(row->name, keys->first);
}

/* "a, b, c" of all keys that help shows. */
static const char *list_keys(const struct opt_keys *keys, char *buf, size_t len)
{
    size_t n = 0;
    buf[0] = '\0';
    for (const struct opt_row *row = keys->rows; row->name && n < len; row++) {
        if (row->help && has_key_name(keys, row))
            n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", row->name);
    }
    return buf;
}

/* Ends the word at `text`, `,,` made one comma, in place. The word after it, or NULL at the end. */
static char *cut_word(char *text)
{
    char *end = text;
    for (;; text++) {
        if (!*text) {
            *end = '\0';
            return NULL;
        }
        if (*text == ',' && *++text != ',') {
            *end = '\0';
            return text;
        }
        *end++ = *text;
    }
}

static int assign_word(const struct opt_keys *keys, void *target, char *word, bool first,
                       struct err *err)
{
    char known[256], label[96];
    if (!strcmp(word, "help")) {
        opt_print_keys(keys, stdout);
        return OPT_STOP;
    }
    const char *key = word;
    char *value = strchr(word, '=');
    bool bare = first && keys->first && (keys->first_always || !value);
    if (bare) {
        key = keys->first;
        value = word;
    } else if (value) {
        *value++ = '\0';
    }
    const struct opt_row *row = find_row(keys->rows, key, strlen(key));
    if (!row || (!bare && !has_key_name(keys, row)))
        return err_set(err, EINVAL, "%s: unknown key '%s' (known: %s)", keys->what, OPT_QUOTE(key),
                       list_keys(keys, known, sizeof known));
    if (!value && row->kind != OPT_FLAG)
        return err_set(err, EINVAL, "%s %s needs a value: %s=%s", keys->what, row->name, row->name,
                       opt_value_shape(row, known, sizeof known));
    if (bare)
        snprintf(label, sizeof label, "%s", keys->what);
    else
        snprintf(label, sizeof label, "%s %s", keys->what, row->name);
    return opt_assign(row, label, target, value, err);
}

int opt_parse_keys(const struct opt_keys *keys, void *target, const char *text,
                   struct opt_pool *pool, struct err *err)
{
    char *word = opt_pool_add(pool, text, strlen(text), err);
    if (!word)
        return -ENOMEM;
    for (bool first = true; word; first = false) {
        char *next = cut_word(word);
        if (!*word && !(first && keys->first))
            return err_set(err, EINVAL, "%s: an empty word between commas (a comma itself is ',,')",
                           keys->what);
        int rc = assign_word(keys, target, word, first, err);
        if (rc)
            return rc;
        word = next;
    }
    return 0;
}
