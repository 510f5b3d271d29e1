// SPDX-License-Identifier: MIT
//
// See frame.h. Only strings and brackets are looked at; whether it is JSON is the parser's
// business.
#include "src/control/frame.h"

static enum frame_result bad(struct frame *f, const char *why, bool line_ends)
{
    frame_next(f);
    f->why = why;
    f->skipping = !line_ends;
    return FRAME_BAD;
}

static void step_string(struct frame *f, char c)
{
    if (f->escaped)
        f->escaped = false;
    else if (c == '\\')
        f->escaped = true;
    else if (c == '"')
        f->in_string = false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum frame_result step(struct frame *f, char c)
{
    if (f->skipping || (!f->depth && is_space(c))) {
        f->skipping = f->skipping && c != '\n';
        return FRAME_MORE;
    }
    if (!f->depth && c != '{')
        return bad(f, "malformed: a command is a JSON object, which begins with '{'", false);
    if (f->len == FRAME_MAX)
        return bad(f, "too long: a command has at most 65536 bytes", c == '\n');
    f->text[f->len++] = c;
    if (f->in_string) {
        if (c == '\n')
            return bad(f, "malformed JSON: a line ends within a string", true);
        step_string(f, c);
    } else if (c == '"') {
        f->in_string = true;
    } else if (c == '{' || c == '[') {
        if (++f->depth > FRAME_DEPTH)
            return bad(f, "too deep: a command nests at most 32 levels", false);
    } else if (c == '}' || c == ']') {
        return --f->depth ? FRAME_MORE : FRAME_DONE;
    }
    return FRAME_MORE;
}

enum frame_result frame_feed(struct frame *f, const char *bytes, size_t n, size_t *used)
{
    for (size_t i = 0; i < n; i++) {
        enum frame_result r = step(f, bytes[i]);
        if (r != FRAME_MORE) {
            *used = i + 1;
            return r;
        }
    }
    *used = n;
    return FRAME_MORE;
}

void frame_next(struct frame *f)
{
    f->len = 0;
    f->depth = 0;
    f->in_string = f->escaped = false;
}
