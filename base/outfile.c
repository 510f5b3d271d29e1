// SPDX-License-Identifier: MIT
//
// See outfile.h. Rename is atomic; the file is on the disk before its name is, and then the
// directory. Where the file system can, the file has no name at all until then, so that not even a
// process that is killed leaves one behind.
#include "base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

/* -errno; EOPNOTSUPP: not on this file system. */
static int open_nameless(struct outfile *f)
{
    uint32_t word = 0;
    size_t len = strlen(f->temp) - strlen("XXXXXX");
    f->fd = open(f->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return errno == EISDIR ? -EOPNOTSUPP : -errno; /* a kernel that does not know the flag */
    getrandom(&word, sizeof word, 0);
    snprintf(f->temp + len, sizeof f->temp - len, "%06x", word & 0xffffff);
    f->nameless = true;
    return 0;
}

static int open_named(struct outfile *f)
{
    mode_t mask = umask(0);
    umask(mask);
    f->fd = mkostemp(f->temp, O_CLOEXEC);
    if (f->fd < 0)
        return -errno;
    fchmod(f->fd, 0666 & ~mask);
    return 0;
}

static int open_temp(struct outfile *f, const char *option, struct err *err)
{
    int n = snprintf(f->temp, sizeof f->temp, "%s.XXXXXX", f->path);
    if (n >= (int)sizeof f->temp)
        return too_long(option, err);
    int rc = open_nameless(f);
    if (rc == -EOPNOTSUPP)
        rc = open_named(f);
    return rc ? err_set_errno(err, -rc, "%s: create a file beside '%s'", option, f->path) : 0;
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

/* Its temporary name. By the descriptor's own name, as AT_EMPTY_PATH wants a privilege. */
static int give_name(struct outfile *f)
{
    char self[] = "/proc/self/fd/##########";
    char *p = self + strlen("/proc/self/fd/"), digits[10];
    unsigned n = 0;
    for (int fd = f->fd; fd || !n; fd /= 10)
        digits[n++] = (char)('0' + fd % 10);
    while (n)
        *p++ = digits[--n];
    *p = '\0';
    if (linkat(AT_FDCWD, self, AT_FDCWD, f->temp, AT_SYMLINK_FOLLOW))
        return -errno;
    f->nameless = false;
    return 0;
}

static int move_in_place(struct outfile *f)
{
    if (fsync(f->fd))
        return -errno;
    int rc = f->nameless ? give_name(f) : 0;
    if (rc)
        return rc;
    if (rename(f->temp, f->path))
        return -errno;
    f->temp[0] = '\0';
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
    if (f->temp[0] && !f->nameless)
        unlink(f->temp);
}
