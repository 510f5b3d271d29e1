// SPDX-License-Identifier: MIT
//
// The serial line's output to a file, from its beginning; no input. Each byte is written as it
// comes, so the file is complete whatever becomes of us. The path may name a fifo or terminal:
// those may be slow (see fdio.h), never in the way.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/backends.h"
#include "devices/chr/fdio.h"

struct chr_file {
    struct chr chr;
    struct fd_out out;
    char what[256];
};

static size_t file_read(struct chr *chr, uint8_t *buf, size_t len)
{
    (void)chr;
    (void)buf;
    (void)len;
    return 0;
}

static size_t file_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    return fd_out_write(&((struct chr_file *)chr)->out, buf, len);
}

static void file_fini(struct chr *chr)
{
    struct chr_file *f = (struct chr_file *)chr;
    fd_out_fini(&f->out);
    free(f);
}

static const struct chr_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .fini = file_fini,
};

static int open_path(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd >= 0)
        return fd;
    if (errno == ENXIO)
        return err_set(err, ENXIO, "open '%s' for serial output: nobody reads this fifo; start its "
                                   "reader first",
                       path);
    return err_set_errno(err, errno, "open '%s' for serial output", path);
}

struct chr *chr_file_open(const char *arg, const struct chr_env *env, struct err *err)
{
    struct chr_file *f = calloc(1, sizeof *f);
    if (!f) {
        err_set_errno(err, ENOMEM, "open the serial backend 'file'");
        return NULL;
    }
    f->chr = (struct chr){.name = "file", .ops = &file_ops};
    snprintf(f->what, sizeof f->what, "serial output to '%s'", arg);
    int fd = open_path(arg, err);
    if (fd < 0) {
        free(f);
        return NULL;
    }
    struct fd_handle h = {.fd = fd, .mode = FD_OWN, .close_it = true};
    if (fd_out_init(&f->out, &h, env, &f->chr, f->what, err)) {
        file_fini(&f->chr);
        return NULL;
    }
    return &f->chr;
}
