// SPDX-License-Identifier: MIT
//
// The host's side of a shared directory: every system call that turns a name into a file. A name
// here is one component, or several known ones; none of them may be a symbolic link, and nothing
// above the starting descriptor can be reached.
// Descriptors are counted over all shares, so that guests cannot take those that the rest of the
// program needs: each descriptor of the server comes from one of these functions and goes back by
// host_close. Thread: any.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * What makes two looks at a file the same file. Numbers of inodes are used again, hence the time; a
 * directory can be mounted at two places, hence the mount.
 */
struct host_id {
    uint64_t dev, ino, mount;
    int64_t born_s;
    uint32_t born_ns, type;
};

static inline bool host_id_same(const struct host_id *a, const struct host_id *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->mount == b->mount &&
           a->born_s == b->born_s && a->born_ns == b->born_ns && a->type == b->type;
}

struct host_id host_id_of(const struct statx *st);
uint64_t host_dev_of(const struct statx *st);

/* Raise the limit of descriptors as far as it goes; how many shares may use. */
unsigned host_fds_init(void);
void host_close(int fd);

/* One component below dirfd, a link itself rather than its target; "": dirfd's own. 0 or -errno. */
int host_stat(int dirfd, const char *name, struct statx *st);

/* These return a descriptor or -errno; -ENFILE when the share of descriptors is used up. */
int host_open_root(const char *path);
/* O_PATH, for any type of file. */
int host_open_path(int dirfd, const char *path);
/* A regular file that must not exist yet. */
int host_create(int dirfd, const char *name, int flags, mode_t mode);
int host_tmpfile(int dirfd, int flags, mode_t mode);
/*
 * Open what an O_PATH descriptor stands for, through proc_fd (/proc/self/fd). That name leads to
 * the very file, wherever its path leads by now; the caller has checked the file's type on the same
 * descriptor.
 */
int host_reopen(int proc_fd, int fd, int flags);
int host_open_proc(void);

/* "N" for the names in /proc/self/fd. */
struct host_fd_name {
    char text[12];
};
struct host_fd_name host_fd_name(int fd);

/*
 * May files of this file system be shown? Only kinds that hold files: in those where the kernel
 * shows itself (proc, sysfs, cgroup ...) a file can be the memory of this very program.
 */
bool host_fs_holds_files(int fd);

/* Act as a user of the host from here to host_return; only root can. */
void host_become(uint32_t uid, uint32_t gid);
void host_return(void);
