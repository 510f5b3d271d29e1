// SPDX-License-Identifier: MIT
//
// Values of options and keys: numbers, sizes, choices, strings that outlive the command line,
// text for messages. See include/opt.h. What is not understood to its last character is refused.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opt.h"
#include "util.h"

struct opt_string {
    struct opt_string *next;
    char text[];
};

char *opt_pool_add(struct opt_pool *pool, const char *text, size_t len, struct err *err)
{
    struct opt_string *s = malloc(sizeof *s + len + 1);
    if (!s) {
        err_set(err, ENOMEM, "out of memory while reading the command line");
        return NULL;
    }
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    s->next = pool->head;
    pool->head = s;
    return s->text;
}

void opt_pool_free(struct opt_pool *pool)
{
    while (pool->head) {
        struct opt_string *s = pool->head;
        pool->head = s->next;
        free(s);
    }
}

const char *opt_quote(struct opt_quoted *buf, const char *text)
{
    size_t room = sizeof buf->text - sizeof "...";
    size_t len = strnlen(text, room + 1);
    bool cut = len > room;
    if (cut) {
        len = room;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--; /* not inside a UTF-8 character */
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        buf->text[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    memcpy(buf->text + len, "...", cut ? sizeof "..." : 0);
    if (!cut)
        buf->text[len] = '\0';
    return buf->text;
}

/* -1 when c is no digit in this base. */
static int digit_value(char c, unsigned base)
{
    int v = -1;
    if (c >= '0' && c <= '9')
        v = c - '0';
    else if (c >= 'a' && c <= 'f')
        v = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        v = c - 'A' + 10;
    return v < (int)base ? v : -1;
}

/* Digits from *text on; *text is left behind the last. 0, -EINVAL without a digit, -ERANGE. */
static int scan_number(const char **text, uint64_t *out)
{
    const char *p = *text;
    unsigned base = 10;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    }
    if (digit_value(*p, base) < 0)
        return -EINVAL;
    uint64_t v = 0;
    for (int d; (d = digit_value(*p, base)) >= 0; p++) {
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return -ERANGE;
    }
    *text = p;
    *out = v;
    return 0;
}

bool opt_number(const char *text, uint64_t *out)
{
    return !scan_number(&text, out) && !*text;
}

int opt_size(const char *what, const char *text, uint64_t unit, uint64_t *bytes, struct err *err)
{
    static const char suffixes[] = "KMGT";
    const char *p = text;
    uint64_t v;
    int rc = scan_number(&p, &v);
    if (rc == -ERANGE)
        return err_set(err, EINVAL, "%s: '%s' is too large", what, OPT_QUOTE(text));
    if (!rc && *p) {
        char upper = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        const char *s = strchr(suffixes, upper);
        if (s) {
            unit = 1ull << (10 * (s - suffixes + 1));
            p++;
        }
    }
    if (rc || *p)
        return err_set(err, EINVAL,
                       "%s: '%s' is not a size: a whole number, then K, M, G or T if you like",
                       what, OPT_QUOTE(text));
    if (__builtin_mul_overflow(v, unit, bytes))
        return err_set(err, EINVAL, "%s: '%s' is too large", what, OPT_QUOTE(text));
    return 0;
}

static int assign_flag(bool *field, const char *label, const char *value, struct err *err)
{
    if (value && strcmp(value, "on") && strcmp(value, "off"))
        return err_set(err, EINVAL, "%s: '%s' is neither on nor off", label, OPT_QUOTE(value));
    *field = !value || !strcmp(value, "on");
    return 0;
}

static int assign_text(const char **field, const struct opt_row *row, const char *label,
                       const char *value, struct err *err)
{
    if (row->kind == OPT_FILE && !*value)
        return err_set(err, EINVAL, "%s: the file name is empty", label);
    if (row->max && strlen(value) > row->max)
        return err_set(err, EINVAL, "%s: '%s' is longer than %u characters", label,
                       OPT_QUOTE(value), (unsigned)row->max);
    *field = value;
    return 0;
}

static int assign_number(unsigned *field, const struct opt_row *row, const char *label,
                         const char *value, struct err *err)
{
    uint64_t v;
    if (!opt_number(value, &v) || v < row->min || v > row->max)
        return err_set(err, EINVAL, "%s: '%s' is not a whole number from %llu to %llu", label,
                       OPT_QUOTE(value), (unsigned long long)row->min,
                       (unsigned long long)row->max);
    *field = (unsigned)v;
    return 0;
}

static int assign_choice(void *field, const struct opt_row *row, const char *label,
                         const char *value, struct err *err)
{
    if (!strcmp(value, "help")) {
        opt_print_choices(label, row->choices, stdout);
        return OPT_STOP;
    }
    for (unsigned i = 0; row->choices[i].name; i++) {
        if (!strcmp(value, row->choices[i].name)) {
            memcpy(field, &i, sizeof i);
            return 0;
        }
    }
    char known[256];
    return err_set(err, EINVAL, "%s: unknown value '%s' (known: %s)", label, OPT_QUOTE(value),
                   opt_value_shape(row, known, sizeof known));
}

int opt_assign(const struct opt_row *row, const char *label, void *target, const char *value,
               struct err *err)
{
    void *field = (char *)target + row->offset;
    switch (row->kind) {
    case OPT_FLAG:
        return assign_flag(field, label, value, err);
    case OPT_TEXT:
    case OPT_FILE:
        return assign_text(field, row, label, value, err);
    case OPT_NUMBER:
        return assign_number(field, row, label, value, err);
    case OPT_CHOICE:
        return assign_choice(field, row, label, value, err);
    case OPT_CALL:
        return row->parse(target, value, err);
    case OPT_ACCEPTED:
        break;
    }
    return 0;
}
