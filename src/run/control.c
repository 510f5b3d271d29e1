// SPDX-License-Identifier: MIT
//
// The control channel of minivmm run: lines in both directions (guest-images/init/run.c has the
// words). The guest is hostile: lines are bounded, numbers checked, words out of order ignored.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "src/run/run.h"

void run_check_complete(struct run *run)
{
    if (run->exited && run->out.total >= run->out_bytes && run->err.total >= run->err_bytes)
        stop_request(&run->stop, STOP_QUIT, 0);
}

/* --- from the guest --- */

static void on_exit_line(struct run *run, const char *text)
{
    unsigned long long out, err;
    int status, end = 0;
    if (run->exited ||
        sscanf(text, "%d %llu %llu%n", &status, &out, &err, &end) != 3 || text[end] ||
        status < 0 || status > 255)
        return;
    run->status = status;
    run->out_bytes = out;
    run->err_bytes = err;
    run->exited = true;
    clock_gettime(CLOCK_MONOTONIC, &run->ended);
    run_check_complete(run);
}

static void on_exec_line(struct run *run, const char *text)
{
    uint64_t error;
    if (run->started || run->refused || !opt_number(text, &error) || !error || error > 4095)
        return;
    run->exec_errno = (int)error;
    run->refused = true;
    stop_request(&run->stop, STOP_QUIT, 0);
}

static void on_fail_line(struct run *run, const char *text)
{
    if (run->started || run->failure[0])
        return;
    snprintf(run->failure, sizeof run->failure, "%s", OPT_QUOTE(text));
    stop_request(&run->stop, STOP_QUIT, 0);
}

static void obey(struct run *run, const char *line)
{
    if (!strcmp(line, "start") && !run->started) {
        run->started = true;
        clock_gettime(CLOCK_MONOTONIC, &run->ran);
    } else if (!strncmp(line, "exit ", 5)) {
        on_exit_line(run, line + 5);
    } else if (!strncmp(line, "exec ", 5)) {
        on_exec_line(run, line + 5);
    } else if (!strncmp(line, "fail ", 5)) {
        on_fail_line(run, line + 5);
    } else {
        log_guest("run: control line '%s' is not understood", OPT_QUOTE(line));
    }
}

static size_t control_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct run_control *c = (struct run_control *)chr;
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != '\n' && c->line_len < sizeof c->line - 1) {
            c->line[c->line_len++] = (char)buf[i];
        } else if (buf[i] != '\n') {
            c->line_cut = true;
        } else {
            c->line[c->line_len] = '\0';
            if (!c->line_cut && strlen(c->line) == c->line_len)
                obey(c->run, c->line);
            c->line_len = 0;
            c->line_cut = false;
        }
    }
    return len;
}

/* --- to the guest --- */

static size_t control_read(struct chr *chr, uint8_t *buf, size_t len)
{
    struct run_control *c = (struct run_control *)chr;
    size_t n = len < c->out_len ? len : c->out_len;
    memcpy(buf, c->out, n);
    memmove(c->out, c->out + n, c->out_len - n);
    c->out_len -= n;
    return n;
}

/* A guest that takes nothing loses lines. */
void run_control_send(struct run *run, const char *line)
{
    struct run_control *c = &run->control;
    size_t len = strlen(line);
    if (len > sizeof c->out - c->out_len)
        return;
    memcpy(c->out + c->out_len, line, len);
    c->out_len += len;
    event_post(&c->readable);
}

static void tell_readable(void *self)
{
    struct run_control *c = self;
    if (c->chr.client.readable)
        c->chr.client.readable(c->chr.client.self);
}

static void tell_size(void *self)
{
    struct run_control *c = self;
    struct winsize size;
    char line[40];
    if (!c->run->opt.shell || ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
        return;
    snprintf(line, sizeof line, "size %u %u\n", size.ws_row, size.ws_col);
    run_control_send(c->run, line);
}

void run_control_resized(struct run *run)
{
    event_post(&run->control.resized);
}

static void control_fini(struct chr *chr)
{
    struct run_control *c = (struct run_control *)chr;
    event_cancel(&c->readable);
    event_cancel(&c->resized);
}

static const struct chr_ops control_ops = {
    .read = control_read,
    .write = control_write,
    .fini = control_fini,
};

struct chr *run_control_open(struct run *run, const struct chr_env *env, struct err *err)
{
    struct run_control *c = &run->control;
    (void)err;
    c->chr = (struct chr){.name = "control", .ops = &control_ops};
    c->run = run;
    event_init(&c->readable, env->events, tell_readable, c);
    event_init(&c->resized, env->events, tell_size, c);
    return &c->chr;
}
