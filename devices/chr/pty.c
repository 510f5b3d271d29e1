// SPDX-License-Identifier: MIT
//
// The serial line on a new pseudo-terminal; any terminal program may open its other end, leave
// and come back. With nobody there, output goes nowhere, as on an unplugged cable. The kernel
// does not say when somebody opens the other end: output notices at its next byte, input by
// looking four times a second. The other end starts raw (no echo, no line editing); we hold no
// descriptor of it, else we could not see it closed.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/backends.h"
#include "devices/chr/fdio.h"

struct chr_pty {
    struct chr chr;
    struct fd_out out;
    struct fd_in in;
};

static size_t pty_read(struct chr *chr, uint8_t *buf, size_t len)
{
    return fd_in_read(&((struct chr_pty *)chr)->in, buf, len);
}

static size_t pty_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    return fd_out_write(&((struct chr_pty *)chr)->out, buf, len);
}

static void pty_fini(struct chr *chr)
{
    struct chr_pty *p = (struct chr_pty *)chr;
    fd_in_fini(&p->in);
    fd_out_fini(&p->out);
    free(p);
}

static const struct chr_ops pty_ops = {
    .read = pty_read,
    .write = pty_write,
    .fini = pty_fini,
};

/* Set the other end's modes; closing it again leaves the pair in the state "nobody there". */
static int make_raw(const char *path)
{
    struct termios t;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = tcgetattr(fd, &t) ? -errno : 0;
    if (!rc) {
        cfmakeraw(&t);
        rc = tcsetattr(fd, TCSANOW, &t) ? -errno : 0;
    }
    close(fd);
    return rc;
}

static int open_master(char *path, size_t path_len, struct err *err)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "make a pseudo-terminal (is /dev/pts mounted?)");
    int rc = grantpt(fd) || unlockpt(fd) ? -errno : -ptsname_r(fd, path, path_len);
    if (!rc)
        rc = make_raw(path);
    if (!rc)
        return fd;
    close(fd);
    return err_set_errno(err, -rc, "set up a pseudo-terminal (is /dev/pts mounted?)");
}

/* One descriptor each way, as epoll watches each once; both are of one non-blocking description. */
static int init_ends(struct chr_pty *p, int master, const struct chr_env *env, struct err *err)
{
    struct fd_handle in = {.fd = master, .mode = FD_PTY, .close_it = true};
    struct fd_handle out = in;
    out.fd = fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (out.fd < 0) {
        int e = errno;
        close(master);
        return err_set_errno(err, e, "set up a pseudo-terminal");
    }
    int rc = fd_out_init(&p->out, &out, env, &p->chr, "serial output to the pseudo-terminal", err);
    struct err second = {0};
    int rc2 = fd_in_init(&p->in, &in, env, &p->chr, "serial input from the pseudo-terminal",
                         &(struct fd_in_hooks){.retry = true}, rc ? &second : err);
    if (!rc && !rc2)
        return 0;
    fd_in_fini(&p->in);
    fd_out_fini(&p->out);
    return rc ? rc : rc2;
}

struct chr *chr_pty_open(const char *arg, const struct chr_env *env, struct err *err)
{
    (void)arg;
    char path[64];
    struct chr_pty *p = calloc(1, sizeof *p);
    if (!p) {
        err_set_errno(err, ENOMEM, "open the serial backend 'pty'");
        return NULL;
    }
    p->chr = (struct chr){.name = "pty", .ops = &pty_ops};
    int master = open_master(path, sizeof path, err);
    if (master < 0 || init_ends(p, master, env, err)) {
        free(p);
        return NULL;
    }
    /* The words that scripts written for QEMU look for. */
    fprintf(stderr, "char device redirected to %s\n", path);
    return &p->chr;
}
