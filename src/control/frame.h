// SPDX-License-Identifier: MIT
//
// JSON objects out of a stream of bytes: where one begins and ends, before anything is parsed, with
// bounds on length and depth. What is no object, too long or too deep is told once and skipped to
// the end of its line, so a confused client can go on with a new line.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FRAME_MAX 65536
#define FRAME_DEPTH 32

enum frame_result {
    FRAME_MORE, /* all bytes taken, nothing complete */
    FRAME_DONE, /* text[0..len) is one object; frame_next before the next feed */
    FRAME_BAD,  /* `why`; go on feeding */
};

struct frame {
    size_t len;
    unsigned depth;
    bool in_string, escaped, skipping;
    const char *why;
    char text[FRAME_MAX];
};

/* Take bytes up to the end of an object or to a fault; *used says how many. */
enum frame_result frame_feed(struct frame *f, const char *bytes, size_t n, size_t *used);
void frame_next(struct frame *f);
