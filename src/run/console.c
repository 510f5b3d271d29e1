// SPDX-License-Identifier: MIT
//
// The guest's first serial port under minivmm run: the kernel's messages. The end of them is kept
// and shown when something went wrong; --verbose shows all of them at once.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "src/run/run.h"

#define SHOW_LINES 15

static const char panic[] = "Kernel panic - not syncing";

static size_t no_input(struct chr *chr, uint8_t *buf, size_t len)
{
    (void)chr, (void)buf, (void)len;
    return 0;
}

static void watch_for_panic(struct run_console *c, char byte)
{
    if (byte != '\n' && c->word_len < sizeof c->word - 1) {
        c->word[c->word_len++] = byte;
        return;
    }
    c->word[c->word_len] = '\0';
    c->panicked |= strstr(c->word, panic) != NULL;
    if (byte == '\n')
        c->word_len = 0;
}

static size_t console_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct run_console *c = (struct run_console *)chr;
    size_t n = c->has_out ? fd_out_write(&c->out, buf, len) : len;
    for (size_t i = 0; i < n; i++) {
        c->tail[c->total++ % RUN_TAIL_BYTES] = (char)buf[i];
        watch_for_panic(c, (char)buf[i]);
    }
    return n;
}

static void console_fini(struct chr *chr)
{
    struct run_console *c = (struct run_console *)chr;
    if (c->has_out)
        fd_out_fini(&c->out);
}

static const struct chr_ops console_ops = {
    .read = no_input,
    .write = console_write,
    .fini = console_fini,
};

struct chr *run_console_open(struct run *run, const struct chr_env *env, struct err *err)
{
    struct run_console *c = &run->console;
    struct fd_handle h;
    c->chr = (struct chr){.name = "console", .ops = &console_ops};
    /* without a standard error there is nobody to show it to */
    if (!run->opt.verbose || fd_share(STDERR_FILENO, O_WRONLY, &h))
        return &c->chr;
    c->has_out = true;
    if (!fd_out_init(&c->out, &h, env, &c->chr, "the kernel's messages", err))
        return &c->chr;
    console_fini(&c->chr);
    return NULL;
}

/* The last lines, without what could move the cursor. */
void run_console_show(const struct run *run)
{
    const struct run_console *c = &run->console;
    uint64_t from = c->total > RUN_TAIL_BYTES ? c->total - RUN_TAIL_BYTES : 0, start = c->total;
    unsigned lines = 0;
    if (run->opt.verbose || !c->total)
        return;
    while (start > from && lines <= SHOW_LINES)
        lines += c->tail[--start % RUN_TAIL_BYTES] == '\n';
    start += lines > SHOW_LINES;
    char line[256];
    size_t len = 0;
    for (uint64_t i = start; i < c->total; i++) {
        char byte = c->tail[i % RUN_TAIL_BYTES];
        if (byte != '\n' && len < sizeof line - 1) {
            if (byte != '\r')
                line[len++] = byte < 0x20 || byte == 0x7f ? '?' : byte;
            continue;
        }
        line[len] = '\0';
        if (len)
            log_error("| %s", line);
        len = 0;
    }
}
