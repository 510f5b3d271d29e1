// SPDX-License-Identifier: MIT
//
// What the option tables say, for three readers: -h (and `help` as a value) on a terminal, the
// OPTIONS section of the manual page, the table in README.md. docs/update.sh puts the last two
// where they belong.
#include <string.h>

#include "opt.h"
#include "util.h"

#define HELP_COLUMN 26
#define HELP_WIDTH 80

const char *opt_value_shape(const struct opt_row *row, char *buf, size_t len)
{
    if (row->metavar || row->kind != OPT_CHOICE) {
        snprintf(buf, len, "%s", row->metavar ? row->metavar : "");
        return buf;
    }
    size_t n = 0;
    buf[0] = '\0';
    for (const struct opt_choice *c = row->choices; c->name && n < len; c++)
        n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? "|" : "", c->name);
    return buf;
}

/* Between the name and that. */
static const char *gap(const struct opt_row *row, const char *shape)
{
    return row->optional || !*shape ? "" : " ";
}

/* Words of `text` from `column` on, wrapped at HELP_WIDTH; the cursor stands at `at`. */
static void print_wrapped(const char *text, size_t at, size_t column, FILE *out)
{
    bool start = true;
    if (at >= column) {
        fputc('\n', out);
        at = 0;
    }
    while (*text) {
        size_t len = strcspn(text, " ");
        if (!start && at + 1 + len > HELP_WIDTH) {
            fputc('\n', out);
            at = 0;
            start = true;
        }
        size_t pad = at < column ? column - at : start ? 0 : 1;
        fprintf(out, "%*s%.*s", (int)pad, "", (int)len, text);
        at += pad + len;
        start = false;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_entry(const char *left, const char *help, FILE *out)
{
    fprintf(out, "  %s", left);
    print_wrapped(help, strlen(left) + 2, HELP_COLUMN, out);
}

void opt_print_help(const struct opt_table *table, FILE *out)
{
    for (unsigned g = 0; table->groups[g]; g++) {
        fprintf(out, "%s%s:\n", g ? "\n" : "", table->groups[g]);
        for (const struct opt_row *row = table->rows; row->name; row++) {
            if (!row->help || row->group != g)
                continue;
            char shape[128], left[192];
            opt_value_shape(row, shape, sizeof shape);
            snprintf(left, sizeof left, "%s%s%s%s", opt_dashes(table), row->name, gap(row, shape),
                     shape);
            print_entry(left, row->help, out);
        }
    }
}

/* How a key is written: "ro[=on|off]", "serial=TEXT", and the first word without its name. */
static const char *key_shape(const struct opt_keys *keys, const struct opt_row *row, char *buf,
                             size_t len)
{
    char shape[128];
    opt_value_shape(row, shape, sizeof shape);
    if (row->kind == OPT_FLAG)
        snprintf(buf, len, "%s[=on|off]", row->name);
    else if (keys->first && keys->first_always && !strcmp(keys->first, row->name))
        snprintf(buf, len, "%s", shape);
    else if (keys->first && !strcmp(keys->first, row->name))
        snprintf(buf, len, "[%s=]%s", row->name, shape);
    else
        snprintf(buf, len, "%s=%s", row->name, shape);
    return buf;
}

void opt_print_keys(const struct opt_keys *keys, FILE *out)
{
    char left[192];
    fprintf(out, "%s takes, separated by commas:\n", keys->what);
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        if (row->help)
            print_entry(key_shape(keys, row, left, sizeof left), row->help, out);
    }
}

void opt_print_choices(const char *label, const struct opt_choice *choices, FILE *out)
{
    fprintf(out, "%s takes one of:\n", label);
    for (; choices->name; choices++)
        print_entry(choices->name, choices->help, out);
}

/* Text for roff: no requests at line starts, dashes that can be copied. */
static void man_text(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void man_entry(const char *name, const char *shape, const char *between, const char *help,
                      FILE *out)
{
    fputs(".TP\n\\fB", out);
    man_text(name, out);
    fputs("\\fR", out);
    fputs(*shape ? between : "", out);
    fputs("\\fI", out);
    man_text(shape, out);
    fputs("\\fR\n", out);
    man_text(help, out);
    fputc('\n', out);
}

static void man_choices(const struct opt_choice *choices, FILE *out)
{
    fputs(".RS\n", out);
    for (; choices->name; choices++)
        man_entry(choices->name, "", "", choices->help, out);
    fputs(".RE\n", out);
}

static void man_keys(const struct opt_keys *keys, FILE *out)
{
    fputs(".RS\n", out);
    if (keys->help) {
        man_entry(keys->what, "", "", keys->help, out);
        fputs(".RS\n", out);
    }
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        char shape[192];
        if (!row->help)
            continue;
        key_shape(keys, row, shape, sizeof shape);
        man_entry(shape, "", "", row->help, out);
        if (row->kind == OPT_CHOICE)
            man_choices(row->choices, out);
    }
    if (keys->help)
        fputs(".RE\n", out);
    fputs(".RE\n", out);
}

void opt_print_man(const struct opt_table *table, FILE *out)
{
    for (unsigned g = 0; table->groups[g]; g++) {
        fprintf(out, ".SS %s\n", table->groups[g]);
        for (const struct opt_row *row = table->rows; row->name; row++) {
            char name[64], shape[128];
            if (!row->help || row->group != g)
                continue;
            snprintf(name, sizeof name, "%s%s", opt_dashes(table), row->name);
            opt_value_shape(row, shape, sizeof shape);
            man_entry(name, shape, gap(row, shape), row->help, out);
            if (row->kind == OPT_CHOICE)
                man_choices(row->choices, out);
            for (const struct opt_keys *const *keys = row->keys; keys && *keys; keys++)
                man_keys(*keys, out);
        }
    }
}

/* Text for a cell of a Markdown table. */
static void markdown_text(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void markdown_keys(const struct opt_keys *keys, FILE *out)
{
    fputs(keys->help ? " `" : " Keys: ", out);
    if (keys->help)
        fprintf(out, "%s`: ", keys->what);
    bool any = false;
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        char shape[192];
        if (!row->help || (keys->first && !strcmp(keys->first, row->name)))
            continue;
        fputs(any ? ", `" : "`", out);
        markdown_text(key_shape(keys, row, shape, sizeof shape), out);
        fputc('`', out);
        any = true;
    }
    fputc('.', out);
}

void opt_print_markdown(const struct opt_table *table, FILE *out)
{
    for (unsigned g = 0; table->groups[g]; g++) {
        fprintf(out, "%s| %s | |\n|---|---|\n", g ? "\n" : "", table->groups[g]);
        for (const struct opt_row *row = table->rows; row->name; row++) {
            char shape[128];
            if (!row->help || row->group != g)
                continue;
            opt_value_shape(row, shape, sizeof shape);
            fprintf(out, "| `-%s%s", row->name, gap(row, shape));
            markdown_text(shape, out);
            fputs("` | ", out);
            markdown_text(row->help, out);
            for (const struct opt_keys *const *keys = row->keys; keys && *keys; keys++)
                markdown_keys(*keys, out);
            fputs(" |\n", out);
        }
    }
}
