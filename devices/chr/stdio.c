// SPDX-License-Identifier: MIT
//
// The serial line on our own stdin and stdout (fdio.h says how these are read and written without waiting).
// Only when stdin is a terminal does Ctrl-A open a command; a pipe or file is passed on byte for byte. Commands are
// read ahead of the guest, so they work when it hangs, until FD_RING bytes of unread input lie before them.
// While the process is in the terminal's background it leaves input alone (reading would stop it) and looks again now
// and then.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
    struct fd_out out;
    struct fd_in in;
};

static bool in_use; /* there is one stdin */

static void print_help(void)
{
    fputs("\n"
          "Ctrl-A h       this help\n"
          "Ctrl-A x       quit\n"
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
    case 'b':
        return FD_IN_BREAK;
    case 'a':
    case ESCAPE:
        return ESCAPE;
    default:
        return FD_IN_NOTHING;
    }
}

static int filter_key(void *self, uint8_t byte)
{
    struct chr_stdio *s = self;
    if (s->escaped) {
        s->escaped = false;
        return run_command(s, byte);
    }
    if (byte != ESCAPE)
        return byte;
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

static void stdio_fini(struct chr *chr)
{
    struct chr_stdio *s = (struct chr_stdio *)chr;
    fd_in_fini(&s->in);
    fd_out_fini(&s->out);
    tty_restore();
    in_use = false;
    free(s);
}

static const struct chr_ops stdio_ops = {stdio_read, stdio_write, stdio_fini};

static int init_out(struct chr_stdio *s, const struct chr_env *env, struct err *err)
{
    struct fd_handle h;
    int rc = fd_share(STDOUT_FILENO, O_WRONLY, &h);
    if (rc)
        return err_set_errno(err, -rc, "stdout is not usable for the serial port (redirect it)");
    rc = fd_out_init(&s->out, &h, env, &s->chr, "serial output to stdout", err);
    if (rc)
        fd_out_fini(&s->out);
    return rc;
}

static int init_in(struct chr_stdio *s, const struct chr_env *env, struct err *err)
{
    struct fd_in_hooks terminal = {
        .filter = filter_key,
        .may_read = may_read_terminal,
        .self = s,
        .retry = true,
    };
    struct fd_handle h;
    int rc = fd_share(STDIN_FILENO, O_RDONLY, &h);
    if (rc)
        return err_set_errno(err, -rc,
                             "stdin is not usable for the serial port (try < /dev/null)");
    rc = fd_in_init(&s->in, &h, env, &s->chr, "serial input from stdin",
                    isatty(STDIN_FILENO) ? &terminal : NULL, err);
    if (rc)
        fd_in_fini(&s->in);
    return rc;
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
    if (init_out(s, env, err))
        goto out_free;
    if (init_in(s, env, err))
        goto out_close;
    in_use = true;
    return &s->chr;

out_close:
    fd_out_fini(&s->out);
out_free:
    free(s);
    return NULL;
}
