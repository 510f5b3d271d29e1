// SPDX-License-Identifier: MIT
//
// Opening and closing a shared directory, and what can be wrong with it.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "util.h"

#define VALID_AUTO_S 1
#define VALID_ALWAYS_S 86400

/* The kernel must be able to resolve names beneath a directory (Linux 5.6). */
static int check_confinement(const struct fs *fs, struct err *err)
{
    int fd = host_open_path(fs->root_fd, ".");
    if (fd >= 0) {
        host_close(fd);
        return 0;
    }
    if (fd == -ENOSYS || fd == -EPERM)
        return err_set(err, -fd,
                       "-share: '%s' cannot be confined: the host's kernel has no openat2 (Linux "
                       "5.6), or forbids it here",
                       fs->path);
    return err_set_errno(err, -fd, "-share: open '%s'", fs->path);
}

static int open_root(struct fs *fs, struct err *err)
{
    fs->root_fd = host_open_root(fs->path);
    if (fs->root_fd < 0)
        return err_set_errno(err, -fs->root_fd, "-share: open the directory '%s'", fs->path);
    if (!host_fs_holds_files(fs->root_fd))
        return err_set(err, EINVAL,
                       "-share: '%s' is on a file system of the kernel's own, or of a kind that is "
                       "not known here: share a directory of files",
                       fs->path);
    if (faccessat(fs->root_fd, ".", X_OK, AT_EACCESS))
        return err_set_errno(err, errno, "-share: enter the directory '%s'", fs->path);
    fs->proc_fd = host_open_proc();
    if (fs->proc_fd < 0)
        return err_set_errno(err, -fs->proc_fd,
                             "-share: /proc/self/fd is needed to open files: mount /proc");
    return check_confinement(fs, err);
}

static int make_tables(struct fs *fs, unsigned max_fds, struct err *err)
{
    struct statx st;
    int rc = host_stat(fs->root_fd, "", &st);
    if (rc)
        return err_set_errno(err, -rc, "-share: look at '%s'", fs->path);
    fs->root_dev = host_dev_of(&st);
    /* Open files need theirs; those of nodes are a cache. */
    handles_init(fs, max_fds / 2);
    if (inodes_init(fs, &st, max_fds / 4))
        return err_set(err, ENOMEM, "-share: no memory for the tables of '%s'", fs->path);
    return 0;
}

static void configure(struct fs *fs, const struct fs_config *cfg)
{
    static const uint64_t valid_s[] = {
        [FS_CACHE_AUTO] = VALID_AUTO_S,
        [FS_CACHE_NONE] = 0,
        [FS_CACHE_ALWAYS] = VALID_ALWAYS_S,
    };
    fs->uid = geteuid();
    fs->gid = getegid();
    fs->read_only = cfg->read_only;
    fs->cache = cfg->cache;
    fs->valid_s = valid_s[cfg->cache];
    fs->map_owner = cfg->owner == FS_OWNER_MAP || (cfg->owner == FS_OWNER_AUTO && fs->uid != 0);
    fs->become_caller = !fs->map_owner && fs->uid == 0;
}

struct fs *fs_open(const struct fs_config *cfg, struct err *err)
{
    struct fs *fs = calloc(1, sizeof *fs);
    if (!fs) {
        err_set(err, ENOMEM, "-share: no memory for '%s'", cfg->path);
        return NULL;
    }
    fs->root_fd = fs->proc_fd = -1;
    pthread_rwlock_init(&fs->session, NULL);
    pthread_mutex_init(&fs->lock, NULL);
    configure(fs, cfg);
    unsigned max_fds = host_fds_init();
    fs->path = strdup(cfg->path);
    int rc = fs->path ? open_root(fs, err) : err_set(err, ENOMEM, "-share: no memory");
    if (!rc)
        rc = make_tables(fs, max_fds, err);
    if (!rc)
        return fs;
    fs_close(fs);
    return NULL;
}

void fs_close(struct fs *fs)
{
    if (!fs)
        return;
    if (fs->inodes.bucket) {
        handles_fini(fs);
        inodes_fini(fs);
    }
    if (fs->proc_fd >= 0)
        host_close(fs->proc_fd);
    if (fs->root_fd >= 0)
        host_close(fs->root_fd);
    pthread_mutex_destroy(&fs->lock);
    pthread_rwlock_destroy(&fs->session);
    free(fs->path);
    free(fs);
}
