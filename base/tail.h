// SPDX-License-Identifier: MIT
//
// The last lines that the guest wrote to its consoles, for -result and -junit.
// Thread: tail_put under the device lock; the others when the guest no longer runs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TAIL_LINES 50
#define TAIL_LINE_BYTES 1000 /* what is longer is cut */

struct tail_line {
    size_t len;
    char text[TAIL_LINE_BYTES];
};

struct tail {
    uint64_t count;  /* lines begun; the last is at (count - 1) % TAIL_LINES */
    int open;        /* that line has no end yet */
    struct tail_line line[TAIL_LINES];
};

void tail_put(struct tail *t, const uint8_t *bytes, size_t len);

/* How many lines there are, and the i-th, oldest first. */
unsigned tail_count(const struct tail *t);
const struct tail_line *tail_get(const struct tail *t, unsigned i);

/*
 * A copy with every byte that is not UTF-8, and NUL, replaced by U+FFFD; with `xml` also the
 * characters that XML 1.0 cannot hold. malloc'ed, zero-terminated; NULL without memory.
 */
char *text_clean(const char *text, size_t len, int xml);
