// SPDX-License-Identifier: MIT
//
// See outfile.h. Rename is atomic; the file is on the disk before its name is, and then the
// directory.
#include "base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int too_long(const char *option, struct err *err)
{
    return err_set(err, ENAMETOOLONG, "%s: the file's name is too long", option);
}

static void find_dir(struct outfile *f)
{
    const char *slash = strrchr(f->path, '/');
    size_t len = slash ? (size_t)(slash - f->path) : 0;
    if (!slash)
        strcpy(f->dir, ".");
    else if (!len)
        strcpy(f->dir, "/");
    else
        snprintf(f->dir, sizeof f->dir, "%.*s", (int)len, f->path);
}

static int open_in_place(struct outfile *f, const char *option, const char *path, struct err *err)
{
    f->in_place = true;
    f->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (f->fd < 0)
        return err_set_errno(err, errno, "%s: open '%s'", option, path);
    fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK);
    return 0;
}

/* It gets a name when it is complete. False: no such files here, or /proc is missing. */
static bool open_unnamed(struct outfile *f)
{
    struct stat st;
    int n = snprintf(f->temp, sizeof f->temp, "%s.%d", f->path, getpid());
    if (n >= (int)sizeof f->temp || !lstat(f->temp, &st) || errno != ENOENT)
        return false;
    f->fd = open(f->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return false;
    snprintf(f->unnamed, sizeof f->unnamed, "/proc/self/fd/%d", f->fd);
    if (!access(f->unnamed, F_OK))
        return true;
    close(f->fd);
    f->fd = -1;
    return false;
}

static int open_temp(struct outfile *f, const char *option, struct err *err)
{
    if (open_unnamed(f))
        return 0;
    int n = snprintf(f->temp, sizeof f->temp, "%s.XXXXXX", f->path);
    if (n >= (int)sizeof f->temp)
        return too_long(option, err);
    mode_t mask = umask(0);
    umask(mask);
    f->fd = mkostemp(f->temp, O_CLOEXEC);
    if (f->fd < 0)
        return err_set_errno(err, errno, "%s: create a file beside '%s'", option, f->path);
    f->named = true;
    fchmod(f->fd, 0666 & ~mask);
    return 0;
}

/* /dev/stdout may be a regular file, which others write to as well. */
static bool is_descriptor(const char *path)
{
    return !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6);
}

int outfile_open(struct outfile *f, const char *option, const char *path, struct err *err)
{
    struct stat st;
    *f = (struct outfile){.fd = -1};
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        return err_set(err, EISDIR, "%s: '%s' is a directory", option, path);
    if (exists && (!S_ISREG(st.st_mode) || is_descriptor(path)))
        return open_in_place(f, option, path, err);
    if (exists && access(path, W_OK)) /* what may not be written is not replaced either */
        return err_set_errno(err, errno, "%s: write '%s'", option, path);
    if (exists && !realpath(path, f->path)) /* a symbolic link stays one */
        return err_set_errno(err, errno, "%s: find '%s'", option, path);
    if (!exists && snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
        return too_long(option, err);
    find_dir(f);
    return open_temp(f, option, err);
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static int move_in_place(struct outfile *f)
{
    if (fsync(f->fd))
        return -errno;
    if (!f->named && linkat(AT_FDCWD, f->unnamed, AT_FDCWD, f->temp, AT_SYMLINK_FOLLOW))
        return -errno;
    f->named = true;
    if (rename(f->temp, f->path))
        return -errno;
    f->named = false;
    int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) { /* one that cannot be read cannot be synced either */
        fsync(dir);
        close(dir);
    }
    return 0;
}

int outfile_commit(struct outfile *f, const char *text, size_t len)
{
    int rc = write_all(f->fd, text, len);
    if (!rc && !f->in_place)
        rc = move_in_place(f);
    outfile_abandon(f);
    return rc;
}

void outfile_abandon(struct outfile *f)
{
    if (f->fd < 0)
        return;
    close(f->fd);
    f->fd = -1;
    if (f->named)
        unlink(f->temp);
    f->named = false;
}
