// SPDX-License-Identifier: MIT
//
// Image locks, understood by QEMU as well: two programs that write one image destroy it, and a
// reader of an image that changes sees nonsense. A user says what he does with an image by read
// locks on single bytes at USES + permission, and what he cannot bear in others at DENIES +
// permission; then he looks whether anybody does what he denies, or denies what he does. Locks
// come before looking, so of two who come at once at least one sees the other. Locks belong to the
// open file description (OFD), so they survive close() of an unrelated descriptor of the same
// file, and end with the process.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "log.h"
#include "util.h"

enum { USES = 100, DENIES = 200 };
enum { PERM_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3 };

static struct flock byte_lock(short type, int byte)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

/* 0, or a negative errno; -EAGAIN when somebody holds it exclusively. */
static int take(int fd, int byte)
{
    struct flock fl = byte_lock(F_RDLCK, byte);
    if (!fcntl(fd, F_OFD_SETLK, &fl))
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

/* -EAGAIN when anybody else holds a lock there. */
static int look(int fd, int byte)
{
    struct flock fl = byte_lock(F_WRLCK, byte);
    if (fcntl(fd, F_OFD_GETLK, &fl))
        return -errno;
    return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static int lock_bytes(int fd, bool writable)
{
    const int ours[] = {USES + PERM_READ, DENIES + PERM_WRITE, DENIES + PERM_RESIZE,
                        USES + PERM_WRITE};
    const int theirs[] = {DENIES + PERM_READ, USES + PERM_WRITE, USES + PERM_RESIZE,
                          DENIES + PERM_WRITE};
    unsigned n = writable ? 4 : 3;
    int r = 0;
    for (unsigned i = 0; !r && i < n; i++)
        r = take(fd, ours[i]);
    for (unsigned i = 0; !r && i < n; i++)
        r = look(fd, theirs[i]);
    return r;
}

/* True when descriptor `fd` of process `pid` is this file, and locks it. */
static bool holds(const char *pid, const char *fd, const struct stat *file)
{
    char path[64], line[256];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%.20s/fd/%.20s", pid, fd);
    if (stat(path, &st) || st.st_dev != file->st_dev || st.st_ino != file->st_ino)
        return false;
    snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%.20s", pid, fd);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = !strncmp(line, "lock:", 5);
    if (f)
        fclose(f);
    return found;
}

static bool process_holds(const char *pid, int our_fd, const struct stat *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (struct dirent *d; dir && !found && (d = readdir(dir));)
        found = isdigit((unsigned char)d->d_name[0]) &&
                !(atoi(pid) == getpid() && atoi(d->d_name) == our_fd) &&
                holds(pid, d->d_name, file);
    if (dir)
        closedir(dir);
    return found;
}

/* The kernel does not tell who holds an OFD lock; /proc shows it for processes we may look into.
 * 0 when not found. */
static int find_holder(int fd)
{
    struct stat st;
    DIR *proc = fstat(fd, &st) ? NULL : opendir("/proc");
    int pid = 0;
    for (struct dirent *d; proc && !pid && (d = readdir(proc));)
        if (isdigit((unsigned char)d->d_name[0]) && process_holds(d->d_name, fd, &st))
            pid = atoi(d->d_name);
    if (proc)
        closedir(proc);
    return pid;
}

static int busy(int fd, const char *path, bool writable, struct err *err)
{
    int pid = find_holder(fd);
    const char *advice =
        writable ? "stop it; if it only reads (ro, snapshot), read here too; else give each a copy"
                 : "stop it, or give each its own copy";
    if (pid == getpid())
        return err_set(err, EBUSY, "disk '%s' is given twice, and not read-only both times", path);
    if (pid)
        return err_set(err, EBUSY, "disk '%s' is in use by another process (pid %d); %s", path, pid,
                       advice);
    return err_set(err, EBUSY, "disk '%s' is in use by another process; %s", path, advice);
}

int image_lock(int fd, const char *path, bool writable, struct err *err)
{
    int r = lock_bytes(fd, writable);
    if (r == -EAGAIN)
        return busy(fd, path, writable, err);
    if (r)
        log_warn("disk '%s': no lock (%s); nothing keeps other programs from writing to it", path,
                 strerror(-r));
    return 0;
}
