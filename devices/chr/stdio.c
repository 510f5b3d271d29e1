// SPDX-License-Identifier: MIT
//
// The serial line on our own stdin and stdout (fdio.h says how these are read and written without
// waiting). Only when stdin is a terminal does Ctrl-A open a command; a pipe or file is passed on
// byte for byte. Commands are read ahead of the guest, so they work when it hangs, until FD_RING
// bytes of unread input lie before them. While the process is in the terminal's background it
// leaves input alone (reading would stop it) and looks again now and then.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/backends.h"
#include "devices/chr/fdio.h"
#include "devices/chr/tty.h"

#define ESCAPE 0x01 /* Ctrl-A */

struct chr_stdio {
    struct chr chr;
    struct stop_sink stop;
    bool escaped;    /* Ctrl-A was typed, its command not yet */
    bool background; /* the terminal was another job's when last seen */
    struct event resized;
    struct fd_out out;
    struct fd_in in;
};

static struct chr_stdio *in_use; /* there is one stdin */
static struct {
    void (*key)(void *self, int key);
    void *self;
    bool always, on;
} monitor;

void chr_stdio_monitor(void (*key)(void *self, int key), void *self, bool always)
{
    monitor.key = key;
    monitor.self = self;
    monitor.always = always;
    monitor.on = always && key;
}

void chr_stdio_say(const char *text, size_t len)
{
    if (in_use)
        fd_out_write(&in_use->out, (const uint8_t *)text, len);
}

static void switch_monitor(void)
{
    if (!monitor.key || monitor.always)
        return;
    monitor.on = !monitor.on;
    monitor.key(monitor.self, monitor.on ? CHR_MONITOR_ON : CHR_MONITOR_OFF);
}

static void print_help(void)
{
    fputs("\n"
          "Ctrl-A h       this help\n"
          "Ctrl-A x       quit\n"
          "Ctrl-A c       the monitor, and back\n"
          "Ctrl-A b       send a break\n"
          "Ctrl-A a       send Ctrl-A (Ctrl-A Ctrl-A does the same)\n",
          stderr);
}

static int run_command(struct chr_stdio *s, uint8_t key)
{
    switch (key) {
    case 'x':
        stop_request(&s->stop, STOP_QUIT, 0);
        return FD_IN_NOTHING;
    case 'h':
    case '?':
        print_help();
        return FD_IN_NOTHING;
    case 'c':
        switch_monitor();
        return FD_IN_NOTHING;
    case 'b':
        return FD_IN_BREAK;
    case 'a':
    case ESCAPE:
        return ESCAPE;
    default:
        return FD_IN_NOTHING;
    }
}

/* What is for the monitor is not for the guest. */
static int pass(int byte)
{
    if (!monitor.on || byte < 0 || byte == FD_IN_BREAK)
        return byte;
    monitor.key(monitor.self, byte);
    return FD_IN_NOTHING;
}

static int filter_key(void *self, uint8_t byte)
{
    struct chr_stdio *s = self;
    if (s->escaped) {
        s->escaped = false;
        return pass(run_command(s, byte));
    }
    if (byte != ESCAPE || !isatty(STDIN_FILENO))
        return pass(byte);
    s->escaped = true;
    return FD_IN_NOTHING;
}

static bool may_read_terminal(void *self)
{
    struct chr_stdio *s = self;
    bool was_background = s->background;
    s->background = !tty_in_foreground(STDIN_FILENO);
    if (was_background && !s->background)
        tty_raw_again();
    return !s->background;
}

static size_t stdio_read(struct chr *chr, uint8_t *buf, size_t len)
{
    return fd_in_read(&((struct chr_stdio *)chr)->in, buf, len);
}

static size_t stdio_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    return fd_out_write(&((struct chr_stdio *)chr)->out, buf, len);
}

static bool stdio_size(struct chr *chr, unsigned *cols, unsigned *rows)
{
    struct winsize w;
    (void)chr;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col || !w.ws_row)
        return false;
    *cols = w.ws_col;
    *rows = w.ws_row;
    return true;
}

static void tell_resized(void *self)
{
    const struct chr_client *client = &((struct chr_stdio *)self)->chr.client;
    if (client->resized)
        client->resized(client->self);
}

void chr_stdio_resized(void)
{
    if (in_use)
        event_post(&in_use->resized);
}

static void stdio_fini(struct chr *chr)
{
    struct chr_stdio *s = (struct chr_stdio *)chr;
    event_cancel(&s->resized);
    fd_in_fini(&s->in);
    fd_out_fini(&s->out);
    tty_restore();
    in_use = NULL;
    free(s);
}

static const struct chr_ops stdio_ops = {
    .read = stdio_read,
    .write = stdio_write,
    .fini = stdio_fini,
    .size = stdio_size,
};

/* Both before either is used: what is opened meanwhile would take a closed one's number. */
static int share_both(struct fd_handle *in, struct fd_handle *out, struct err *err)
{
    if (fcntl(STDIN_FILENO, F_GETFD) < 0)
        return err_set_errno(err, errno, "stdin is not usable for the serial port "
                                         "(try < /dev/null)");
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
        return err_set_errno(err, errno, "stdout is not usable for the serial port "
                                         "(try > /dev/null)");
    int rc = fd_share(STDOUT_FILENO, O_WRONLY, out);
    if (rc)
        return err_set_errno(err, -rc, "look at stdout for the serial port");
    rc = fd_share(STDIN_FILENO, O_RDONLY, in);
    if (!rc)
        return 0;
    if (out->close_it)
        close(out->fd);
    return err_set_errno(err, -rc, "look at stdin for the serial port");
}

static int init_ends(struct chr_stdio *s, const struct chr_env *env, struct err *err)
{
    struct fd_in_hooks terminal = {
        .filter = filter_key,
        .may_read = may_read_terminal,
        .self = s,
        .retry = true,
    };
    bool keys = isatty(STDIN_FILENO);
    if (!keys)
        terminal = (struct fd_in_hooks){.filter = filter_key, .self = s};
    struct fd_handle in, out;
    int rc = share_both(&in, &out, err);
    if (rc)
        return rc;
    rc = fd_out_init(&s->out, &out, env, &s->chr, "serial output to stdout", err);
    struct err second = {0};
    int rc2 = fd_in_init(&s->in, &in, env, &s->chr, "serial input from stdin",
                         keys || monitor.on ? &terminal : NULL, rc ? &second : err);
    if (!rc && !rc2)
        return 0;
    fd_in_fini(&s->in);
    fd_out_fini(&s->out);
    return rc ? rc : rc2;
}

struct chr *chr_stdio_open(const char *arg, const struct chr_env *env, struct err *err)
{
    (void)arg;
    if (in_use) {
        err_set(err, EBUSY, "serial backend 'stdio' is already taken by another port; "
                            "give this one file:PATH, pty or none");
        return NULL;
    }
    struct chr_stdio *s = calloc(1, sizeof *s);
    if (!s) {
        err_set_errno(err, ENOMEM, "open the serial backend 'stdio'");
        return NULL;
    }
    s->chr = (struct chr){.name = "stdio", .ops = &stdio_ops};
    s->stop = env->stop;
    if (init_ends(s, env, err)) {
        free(s);
        return NULL;
    }
    event_init(&s->resized, env->events, tell_resized, s);
    in_use = s;
    tty_claim();
    return &s->chr;
}
