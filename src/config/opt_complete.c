// SPDX-License-Identifier: MIT
//
// Completion scripts for bash and zsh, made from the option tables: docs/completions, which
// docs/update.sh keeps current. Options, words that may stand for a value, keys behind commas and
// what may stand for those, file names where a file is meant. What differs between options is data;
// the code in the scripts is always the same.
#include <ctype.h>
#include <string.h>

#include "opt.h"
#include "util.h"

/* --- what may stand for a value --- */

enum value_kind { VALUE_NONE, VALUE_OTHER, VALUE_FILE, VALUE_WORDS, VALUE_KEYS, VALUE_KINDS };

/* Several keyed values under one option (-device): the first word says which. */
static bool has_kinds(const struct opt_row *row)
{
    return row->keys && row->keys[0]->help;
}

static enum value_kind value_kind(const struct opt_row *row)
{
    if (row->kind == OPT_FLAG || row->kind == OPT_ACCEPTED || row->optional ||
        (row->kind == OPT_CALL && !row->metavar))
        return VALUE_NONE;
    if (row->kind == OPT_FILE)
        return VALUE_FILE;
    if (has_kinds(row))
        return VALUE_KINDS;
    if (row->keys)
        return VALUE_KEYS;
    return row->kind == OPT_CHOICE || row->words || strchr(row->metavar, '|') ? VALUE_WORDS
                                                                              : VALUE_OTHER;
}

/* "stdio|file:PATH|pty": each up to its first capital. */
static void print_alternatives(const char *shape, FILE *out)
{
    for (bool first = true; *shape; first = false) {
        size_t len = strcspn(shape, "|"), plain = 0;
        while (plain < len && !isupper((unsigned char)shape[plain]))
            plain++;
        if (plain)
            fprintf(out, "%s%.*s", first ? "" : " ", (int)plain, shape);
        shape += len + (shape[len] == '|');
    }
}

static void print_words(const struct opt_row *row, FILE *out)
{
    const char *gap = "";
    for (const struct opt_choice *c = row->kind == OPT_CHOICE ? row->choices : NULL; c && c->name;
         c++) {
        fprintf(out, "%s%s", gap, c->name);
        gap = " ";
    }
    for (const char *const *w = row->words; w && *w; w++) {
        fprintf(out, "%s%s", gap, *w);
        gap = " ";
    }
    if (row->kind != OPT_CHOICE && !row->words)
        print_alternatives(row->metavar, out);
}


static bool is_first(const struct opt_keys *keys, const struct opt_row *row)
{
    return keys->first && !strcmp(keys->first, row->name);
}

/* What may stand first without its key: "file", words, or nothing. */
static void print_first(const struct opt_keys *keys, const struct opt_row *option, FILE *out)
{
    if (option && option->words) {
        print_words(option, out);
        return;
    }
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        if (!is_first(keys, row))
            continue;
        enum value_kind kind = value_kind(row);
        if (kind == VALUE_FILE)
            fputs("<file>", out);
        else if (kind == VALUE_WORDS)
            print_words(row, out);
    }
}

/* "ro snapshot cache=": keys with a value end in '='. */
static void print_keys(const struct opt_keys *keys, FILE *out)
{
    const char *gap = "";
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        if (!row->help || (keys->first_always && is_first(keys, row)))
            continue;
        fprintf(out, "%s%s%s", gap, row->name, row->kind == OPT_FLAG ? "" : "=");
        gap = " ";
    }
}

/*
 * The data: an associative array that has for option "disk" what may stand first under "disk", the
 * keys under "disk,", the values of a key under "disk,cache"; for a kind of device the same under
 * "device:NAME,".
 */
struct data {
    FILE *out;
    bool pairs; /* zsh: 'INDEX' 'WORDS'; bash: ['INDEX']='WORDS' */
};

static void begin_entry(const struct data *d, const char *a, const char *between, const char *b)
{
    fprintf(d->out, d->pairs ? "  '%s%s%s' '" : "  ['%s%s%s']='", a, between, b);
}

static void end_entry(const struct data *d)
{
    fputs("'\n", d->out);
}

static void print_keyed(const struct data *d, const char *index, const struct opt_keys *keys)
{
    begin_entry(d, index, ",", "");
    print_keys(keys, d->out);
    end_entry(d);
    for (const struct opt_row *row = keys->rows; row->name; row++) {
        enum value_kind kind = value_kind(row);
        if (!row->help || (kind != VALUE_FILE && kind != VALUE_WORDS))
            continue;
        begin_entry(d, index, ",", row->name);
        if (kind == VALUE_FILE)
            fputs("<file>", d->out);
        else
            print_words(row, d->out);
        end_entry(d);
    }
}

static void print_kinds(const struct data *d, const struct opt_row *row)
{
    char index[96];
    begin_entry(d, row->name, "", "");
    for (const struct opt_keys *const *k = row->keys; *k; k++)
        fprintf(d->out, "%s ", (*k)->what);
    fputs("help", d->out);
    end_entry(d);
    for (const struct opt_keys *const *k = row->keys; *k; k++) {
        snprintf(index, sizeof index, "%s:%s", row->name, (*k)->what);
        print_keyed(d, index, *k);
    }
}

static void print_value(const struct data *d, const struct opt_row *row)
{
    enum value_kind kind = value_kind(row);
    if (kind == VALUE_NONE)
        return;
    if (kind == VALUE_KINDS) {
        print_kinds(d, row);
        return;
    }
    begin_entry(d, row->name, "", "");
    if (kind == VALUE_FILE)
        fputs("<file>", d->out);
    else if (kind == VALUE_WORDS)
        print_words(row, d->out);
    else if (kind == VALUE_KEYS)
        print_first(row->keys[0], row, d->out);
    end_entry(d);
    if (kind == VALUE_KEYS)
        print_keyed(d, row->name, row->keys[0]);
}

static void print_data(const struct opt_table *table, const struct data *d)
{
    for (const struct opt_row *row = table->rows; row->name; row++) {
        if (row->help)
            print_value(d, row);
    }
}

/* --- bash --- */

static const char bash_code[] =
    "# All words that may follow in place of the last part of $1; $2: index of the data.\n"
    "_minivmm_value() {\n"
    "    local cur=$1 index=$2 done='' part=$1 words\n"
    "    if [[ -v _minivmm_data[\"$index,\"] || $cur == *,* ]]; then\n"
    "        part=${cur##*,}\n"
    "        done=${cur%\"$part\"}\n"
    "    fi\n"
    "    if [[ $done ]]; then\n"
    "        local kind=$index:${cur%%,*}\n"
    "        [[ -v _minivmm_data[\"$kind,\"] ]] && index=$kind\n"
    "        index+=,\n"
    "    fi\n"
    "    if [[ $part == *=* ]]; then\n"
    "        index=${index%,},${part%%=*}\n"
    "        done+=${part%%=*}=\n"
    "        part=${part#*=}\n"
    "    fi\n"
    "    words=${_minivmm_data[\"$index\"]-}\n"
    "    [[ $done || $index == *,* ]] || words+=\" ${_minivmm_data[\"$index,\"]-}\"\n"
    "    compopt -o nospace 2>/dev/null\n"
    "    if [[ $words == *'<file>'* ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -P \"$done\" -f -- \"$part\")\n"
    "        words=${words//'<file>'/}\n"
    "    fi\n"
    "    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"$done\" -W \"$words\" -- \"$part\")\n"
    "}\n"
    "\n"
    "_minivmm() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words cur prev\n"
    "    COMPREPLY=()\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line != *[[:space:]] ]] || words+=('')\n"
    "    cur=${words[-1]} prev=${words[-2]-}\n"
    "    prev=${prev#-}\n"
    "    prev=${prev#-}\n"
    "    if [[ ${words[-2]-} == -* && -v _minivmm_data[\"$prev\"] ]]; then\n"
    "        _minivmm_value \"$cur\" \"$prev\"\n"
    "        # readline replaces only what follows the last break character\n"
    "        local strip=''\n"
    "        [[ $cur != *[=:]* ]] || strip=${cur%\"${cur##*[=:]}\"}\n"
    "        COMPREPLY=(\"${COMPREPLY[@]#\"$strip\"}\")\n"
    "    elif ((${#words[@]} == 2)) && [[ $cur != -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$_minivmm_verbs $_minivmm_options\" -- \"$cur\")\n"
    "    else\n"
    "        local second=''\n"
    "        [[ $cur != --* ]] || second=-\n"
    "        mapfile -t COMPREPLY < <(compgen -P \"$second\" -W \"$_minivmm_options\" -- "
    "\"${cur#\"$second\"}\")\n"
    "    fi\n"
    "}\n"
    "complete -F _minivmm minivmm\n";

static void print_verbs(const char *const *verbs, FILE *out)
{
    for (const char *const *v = verbs; *v; v++)
        fprintf(out, "%s%s", v == verbs ? "" : " ", *v);
}

static void print_bash(const struct opt_table *table, const char *const *verbs, FILE *out)
{
    fputs("# SPDX-License-Identifier: MIT\n"
          "#\n"
          "# bash completion for minivmm. Made by docs/update.sh from the option table.\n"
          "_minivmm_options='",
          out);
    for (const struct opt_row *row = table->rows; row->name; row++) {
        if (row->help)
            fprintf(out, "%s-%s", row == table->rows ? "" : " ", row->name);
    }
    fputs("'\n_minivmm_verbs='", out);
    print_verbs(verbs, out);
    fputs("'\n# What may stand for a value: by option; by \"option,\" its keys; by \"option,key\" their "
          "values.\ndeclare -gA _minivmm_data=(\n",
          out);
    print_data(table, &(struct data){out, false});
    fprintf(out, ")\n\n%s", bash_code);
}

/* --- zsh --- */

/* Text inside single quotes inside an _arguments description. */
static void zsh_text(const char *text, FILE *out)
{
    size_t len = strcspn(text, ".");
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", text[i]))
            fprintf(out, "\\%c", text[i]);
        else
            fputc(text[i], out);
    }
}

static void zsh_option(const struct opt_row *row, FILE *out)
{
    fprintf(out, "    '*-%s[", row->name);
    zsh_text(row->help, out);
    fputc(']', out);
    if (value_kind(row) != VALUE_NONE)
        fprintf(out, ":value:{_minivmm_value %s}", row->name);
    fputs("' \\\n", out);
}

static const char zsh_code[] =
    "# What may follow; $1: index of the data.\n"
    "_minivmm_value() {\n"
    "  local index=$1 words\n"
    "  if [[ $PREFIX == *,* ]]; then\n"
    "    [[ -n ${_minivmm_data[$index:${PREFIX%%,*},]-} ]] && index=$index:${PREFIX%%,*}\n"
    "    index+=,\n"
    "    compset -P '*,'\n"
    "  fi\n"
    "  if [[ $PREFIX == *=* ]]; then\n"
    "    index=${index%,},${PREFIX%%=*}\n"
    "    compset -P '*='\n"
    "  fi\n"
    "  words=${_minivmm_data[$index]-}\n"
    "  [[ $index == *,* ]] || words+=\" ${_minivmm_data[$index,]-}\"\n"
    "  if [[ $words == *'<file>'* ]]; then\n"
    "    _files\n"
    "    words=${words//<file>/}\n"
    "  fi\n"
    "  compadd -S '' -- ${=words}\n"
    "}\n";

static void print_zsh(const struct opt_table *table, const char *const *verbs, FILE *out)
{
    fputs("#compdef minivmm\n"
          "# SPDX-License-Identifier: MIT\n"
          "#\n"
          "# zsh completion for minivmm. Made by docs/update.sh from the option table.\n"
          "typeset -gA _minivmm_data\n"
          "_minivmm_data=(\n",
          out);
    print_data(table, &(struct data){out, true});
    fprintf(out, ")\n\n%s\n_minivmm() {\n  if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then\n"
                 "    compadd -- ",
            zsh_code);
    print_verbs(verbs, out);
    fputs("\n  fi\n  _arguments -S \\\n", out);
    for (const struct opt_row *row = table->rows; row->name; row++) {
        if (row->help)
            zsh_option(row, out);
    }
    fputs("    && return 0\n}\n\n_minivmm \"$@\"\n", out);
}

bool opt_print_completion(const struct opt_table *table, const char *const *verbs,
                          const char *shell, FILE *out)
{
    if (!strcmp(shell, "bash"))
        print_bash(table, verbs, out);
    else if (!strcmp(shell, "zsh"))
        print_zsh(table, verbs, out);
    else
        return false;
    return true;
}
