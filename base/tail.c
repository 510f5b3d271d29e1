// SPDX-License-Identifier: MIT
//
// See tail.h. A guest may write anything: lines without end, control bytes, half characters.
#include "base/tail.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct tail_line *current(struct tail *t)
{
    if (!t->open) {
        t->open = true;
        t->line[t->count++ % TAIL_LINES].len = 0;
    }
    return &t->line[(t->count - 1) % TAIL_LINES];
}

static void end_line(struct tail *t)
{
    struct tail_line *l = current(t);
    while (l->len && l->text[l->len - 1] == '\r')
        l->len--;
    t->open = false;
}

void tail_put(struct tail *t, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct tail_line *l = current(t);
        if (bytes[i] == '\n')
            end_line(t);
        else if (l->len < TAIL_LINE_BYTES)
            l->text[l->len++] = (char)bytes[i];
    }
}

unsigned tail_count(const struct tail *t)
{
    return t->count < TAIL_LINES ? (unsigned)t->count : TAIL_LINES;
}

const struct tail_line *tail_get(const struct tail *t, unsigned i)
{
    return &t->line[(t->count - tail_count(t) + i) % TAIL_LINES];
}

/* --- UTF-8 --- */

/* The character at p, its bytes in *n; -1: none (RFC 3629: shortest form, no surrogates). */
static int decode(const unsigned char *p, size_t left, size_t *n)
{
    static const int lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (!len || len > left || p[0] > 0xf4)
        return -1;
    int c = len == 1 ? p[0] : p[0] & (0xff >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < lowest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    *n = len;
    return c;
}

static bool fits_xml(int c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xfffe && c != 0xffff);
}

char *text_clean(const char *text, size_t len, int xml)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = malloc(3 * len + 1), *to = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < len;) {
        size_t n = 1;
        int c = decode((const unsigned char *)text + i, len - i, &n);
        bool good = c > 0 && (!xml || fits_xml(c));
        memcpy(to, good ? text + i : replacement, good ? n : 3);
        to += good ? n : 3;
        i += n;
    }
    *to = '\0';
    return out;
}
