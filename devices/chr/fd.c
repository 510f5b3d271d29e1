// SPDX-License-Identifier: MIT
//
// A port on descriptors that somebody else opened: ours by inheritance (-chardev fd), or those of
// code that runs the machine. They may be shared with other processes, so fd_share decides how they
// are used without waiting and without changing what is common. Either may be missing.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/fdio.h"

struct chr_fd {
    struct chr chr;
    bool has_in, has_out;
    struct fd_in in;
    struct fd_out out;
    char in_what[40], out_what[40];
};

static size_t fd_chr_read(struct chr *chr, uint8_t *buf, size_t len)
{
    struct chr_fd *f = (struct chr_fd *)chr;
    return f->has_in ? fd_in_read(&f->in, buf, len) : 0;
}

static size_t fd_chr_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct chr_fd *f = (struct chr_fd *)chr;
    return f->has_out ? fd_out_write(&f->out, buf, len) : len;
}

static void fd_chr_fini(struct chr *chr)
{
    struct chr_fd *f = (struct chr_fd *)chr;
    if (f->has_in)
        fd_in_fini(&f->in);
    if (f->has_out)
        fd_out_fini(&f->out);
    free(f);
}

static const struct chr_ops fd_chr_ops = {
    .read = fd_chr_read,
    .write = fd_chr_write,
    .fini = fd_chr_fini,
};

/* epoll takes a descriptor once: the second use of a socket gets a number of its own. */
static int share(int fd, int access, bool second, struct fd_handle *h, const char *what,
                 struct err *err)
{
    int rc = fd_share(fd, access, h);
    if (rc)
        return err_set_errno(err, -rc, "use descriptor %d for %s", fd, what);
    if (!second || h->close_it)
        return 0;
    h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    h->close_it = h->fd >= 0;
    return h->close_it ? 0 : err_set_errno(err, errno, "use descriptor %d twice", fd);
}

static int check_access(int fd, int refused, const char *what, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return err_set_errno(err, errno, "use descriptor %d for %s", fd, what);
    if ((flags & O_ACCMODE) == refused)
        return err_set(err, EBADF, "use descriptor %d for %s: it is open for the other direction",
                       fd, what);
    return 0;
}

static int open_in(struct chr_fd *f, int fd, const struct chr_env *env, struct err *err)
{
    struct fd_handle h;
    snprintf(f->in_what, sizeof f->in_what, "input from descriptor %d", fd);
    int rc = check_access(fd, O_WRONLY, "input", err);
    if (!rc)
        rc = share(fd, O_RDONLY, false, &h, "input", err);
    if (rc)
        return rc;
    f->has_in = true;
    return fd_in_init(&f->in, &h, env, &f->chr, f->in_what, NULL, err);
}

static int open_out(struct chr_fd *f, int fd, bool second, const struct chr_env *env,
                    struct err *err)
{
    struct fd_handle h;
    snprintf(f->out_what, sizeof f->out_what, "output to descriptor %d", fd);
    int rc = check_access(fd, O_RDONLY, "output", err);
    if (!rc)
        rc = share(fd, O_WRONLY, second, &h, "output", err);
    if (rc)
        return rc;
    f->has_out = true;
    return fd_out_init(&f->out, &h, env, &f->chr, f->out_what, err);
}

struct chr *chr_fd_open(int in, int out, const struct chr_env *env, struct err *err)
{
    struct chr_fd *f = calloc(1, sizeof *f);
    if (!f) {
        err_set_errno(err, ENOMEM, "open descriptors as a port");
        return NULL;
    }
    f->chr = (struct chr){.name = "fd", .ops = &fd_chr_ops};
    int rc = in >= 0 ? open_in(f, in, env, err) : 0;
    if (!rc && out >= 0)
        rc = open_out(f, out, in == out, env, err);
    if (!rc)
        return &f->chr;
    fd_chr_fini(&f->chr);
    return NULL;
}
