// SPDX-License-Identifier: MIT
//
// Reads the rows of template.h.
#include "template.h"

#include <cpuid.h>
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "gen.h"

struct encoding *gen_rows;
uint32_t gen_n_rows;
bool gen_mode32;

static const char *const setup_names[] = {
    "", "bt", "string", "xlat", "popf", "target", "ret", "enter", "rcx", "div", "leave", "vsib",
};

static bool cpuid_bit(unsigned leaf, unsigned reg, unsigned bit)
{
    unsigned r[4] = {0};
    __get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]);
    return r[reg] >> bit & 1;
}

/* CPUID leaf, register (EAX EBX ECX EDX), bit. */
static const struct {
    unsigned leaf, reg, bit;
} features[] = {
    [NEED_ADX] = {7, 1, 19},   [NEED_SHA] = {7, 1, 29},  [NEED_BMI] = {7, 1, 8},
    [NEED_AVX2] = {7, 1, 5},   [NEED_AES] = {1, 2, 25},  [NEED_PCLMUL] = {1, 2, 1},
    [NEED_AVX] = {1, 2, 28},   [NEED_FMA] = {1, 2, 12},  [NEED_F16C] = {1, 2, 29},
    [NEED_SSE42] = {1, 2, 20}, [NEED_MOVBE] = {1, 2, 22}, [NEED_SSE4A] = {0x80000001, 2, 6},
};

static bool host_has(enum template_need need)
{
    return need == NEED_NOTHING ||
           cpuid_bit(features[need].leaf, features[need].reg, features[need].bit);
}

static uint8_t prefix_number(const char *w)
{
    return !strcmp(w, "66") ? 1 : !strcmp(w, "F3") ? 2 : !strcmp(w, "F2") ? 3 : 0;
}

static uint8_t map_number(const char *w)
{
    return !strcmp(w, "0F") ? 1 : !strcmp(w, "0F38") ? 2 : !strcmp(w, "0F3A") ? 3 : 0;
}

/* VEX.L.p.m.W */
static bool parse_vex(struct encoding *e, const char *word)
{
    char l[8], p[4], m[8], w[8];
    if (sscanf(word, "VEX.%7[^.].%3[^.].%7[^.].%7s", l, p, m, w) != 4)
        return false;
    e->vex = true;
    e->vex_l = !strcmp(l, "256") ? 1 : !strcmp(l, "L") || !strcmp(l, "LIG") ? ANY : 0;
    e->vex_w = !strcmp(w, "W1") ? 1 : !strcmp(w, "W0") ? 0 : ANY;
    e->vex_pp = prefix_number(p);
    e->map = map_number(m);
    return e->map != 0;
}

static bool parse_setup(struct encoding *e, const char *w)
{
    for (uint8_t k = 1; k < sizeof setup_names / sizeof *setup_names; k++)
        if (!strcmp(w, setup_names[k])) {
            e->setup = k;
            return true;
        }
    return false;
}

static bool parse_named(struct encoding *e, const char *w)
{
    static const struct {
        const char *word;
        size_t offset;
        uint8_t value;
    } words[] = {
#define FIELD(word, field, value) {word, offsetof(struct encoding, field), value}
        FIELD("m", form, 'm'), FIELD("r", form, 'r'), FIELD("byte", byte, 1),
        FIELD("lock", lock, 1), FIELD("rep", rep, 1), FIELD("+r", plus_r, 1),
        FIELD("v", size, SIZE_V), FIELD("w", size, SIZE_W), FIELD("d64", size, SIZE_D64),
        FIELD("o16", size, SIZE_16), FIELD("o64", size, SIZE_64), FIELD("ib", imm, IMM_8),
        FIELD("iw", imm, IMM_16), FIELD("id", imm, IMM_32), FIELD("iv", imm, IMM_V),
        FIELD("iq", imm, IMM_Q), FIELD("a16", align, 16), FIELD("a32", align, 32),
        FIELD("cb", branch, 1), FIELD("cd", branch, 4), FIELD("moffs", imm, IMM_MOFFS),
        FIELD("only64", only64, 1), FIELD("only32", only32, 1),
#undef FIELD
    };
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (!strcmp(w, words[k].word)) {
            ((uint8_t *)e)[words[k].offset] = words[k].value;
            return true;
        }
    return parse_setup(e, w);
}

/* Upper case: cb, cd are words. */
static bool is_hex_digit(char c)
{
    return isdigit((unsigned char)c) || (c >= 'A' && c <= 'F');
}

static bool parse_word(struct encoding *e, const char *w)
{
    if (!strncmp(w, "VEX.", 4))
        return parse_vex(e, w);
    if (!e->has_opcode && !e->vex && !e->prefix && !e->map && prefix_number(w)) {
        e->prefix = prefix_number(w);
        return true;
    }
    if (!e->has_opcode && !e->vex && !e->map && map_number(w)) {
        e->map = map_number(w);
        return true;
    }
    if (is_hex_digit(w[0]) && is_hex_digit(w[1]) && (!w[2] || !strcmp(w + 2, "+i"))) {
        uint8_t byte = (uint8_t)strtoul(w, NULL, 16);
        if (!e->has_opcode)
            e->opcode = byte;
        else if (e->n_literal < 2)
            e->literal[e->n_literal++] = byte;
        e->has_opcode = true;
        e->literal_plus |= !strcmp(w + 2, "+i");
        return true;
    }
    if (w[0] == '/') {
        e->modrm = true;
        e->ext = w[1] == 'r' ? ANY : (uint8_t)(w[1] - '0');
        return true;
    }
    if (!strncmp(w, "reg=", 4))
        e->reg = w[4];
    else if (!strncmp(w, "rm=", 3))
        e->rm = w[3];
    else if (!strncmp(w, "v=", 2))
        e->v = w[2];
    else if (!strncmp(w, "i<", 2))
        e->imm = IMM_8, e->imm_limit = (uint8_t)atoi(w + 2);
    else
        return parse_named(e, w);
    return true;
}

static bool parse_row(struct encoding *e, const char *text)
{
    char copy[128], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    *e = (struct encoding){.reg = 'g', .rm = 'g'};
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        if (!parse_word(e, w)) {
            fprintf(stderr, "template '%s': cannot read '%s'\n", text, w);
            return false;
        }
    if (!e->v)
        e->v = e->reg;
    return true;
}

static bool add_family(const struct family *f)
{
    for (unsigned k = 0; k < f->count; k++) {
        struct encoding e;
        if (!parse_row(&e, f->rows[k].text))
            return false;
        bool other_mode = gen_mode32 ? e.only64 || e.size == SIZE_64 : e.only32;
        if (other_mode || !host_has(f->rows[k].need))
            continue;
        unsigned weight = f->rows[k].weight ? f->rows[k].weight : 1;
        gen_rows = realloc(gen_rows, (gen_n_rows + weight) * sizeof *gen_rows);
        if (!gen_rows)
            return false;
        for (unsigned w = 0; w < weight; w++)
            gen_rows[gen_n_rows++] = e;
    }
    return true;
}

bool gen_init(const char *family, bool legacy)
{
    gen_mode32 = legacy;
    for (const struct family *const *f = families; *f; f++)
        if (!family || !strcmp(family, (*f)->name))
            if (!add_family(*f))
                return false;
    if (!gen_n_rows)
        fprintf(stderr, "no family '%s'\n", family ? family : "");
    return gen_n_rows != 0;
}
