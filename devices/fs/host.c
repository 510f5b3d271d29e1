// SPDX-License-Identifier: MIT
//
// Names to files, confined: openat2 with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
// RESOLVE_NO_MAGICLINKS, statx that follows nothing. See host.h.
#include "devices/fs/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util.h"

#define KEPT_FOR_OTHERS 192 /* disks, consoles, event descriptors, interrupts */
#define FDS_MAX (1u << 20)
#define WANTED (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)
#define RACES 16 /* tries when the host renames under us */

static atomic_uint fds_limit, fds_used;

/* --- descriptors --- */

unsigned host_fds_init(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            limit.rlim_cur = before;
    }
    uint64_t ours = limit.rlim_cur > FDS_MAX ? FDS_MAX : limit.rlim_cur;
    ours = ours > 2 * KEPT_FOR_OTHERS ? ours - KEPT_FOR_OTHERS : ours / 2;
    atomic_store(&fds_limit, (unsigned)ours);
    return (unsigned)ours;
}

static bool fd_take(void)
{
    if (atomic_fetch_add(&fds_used, 1) < atomic_load(&fds_limit))
        return true;
    atomic_fetch_sub(&fds_used, 1);
    return false;
}

/* A descriptor that was just made, or its errno; gives the place back if there is none. */
static int fd_or_errno(long fd)
{
    if (fd >= 0)
        return (int)fd;
    int e = errno;
    atomic_fetch_sub(&fds_used, 1);
    return e == EMFILE ? -ENFILE : -e;
}

void host_close(int fd)
{
    close(fd);
    atomic_fetch_sub(&fds_used, 1);
}

/* --- looking --- */

uint64_t host_dev_of(const struct statx *st)
{
    return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

struct host_id host_id_of(const struct statx *st)
{
    struct host_id id = {.dev = host_dev_of(st), .ino = st->stx_ino, .type = st->stx_mode & S_IFMT};
    if (st->stx_mask & STATX_BTIME) {
        id.born_s = st->stx_btime.tv_sec;
        id.born_ns = st->stx_btime.tv_nsec;
    }
    if (st->stx_mask & STATX_MNT_ID)
        id.mount = st->stx_mnt_id;
    return id;
}

int host_stat(int dirfd, const char *name, struct statx *st)
{
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
    return statx(dirfd, name, flags, WANTED, st) ? -errno : 0;
}

/* --- opening --- */

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    if (!fd_take())
        return -ENFILE;
    long fd = -1;
    for (unsigned i = 0; i < RACES; i++) {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd_or_errno(fd);
}

int host_open_root(const char *path)
{
    if (!fd_take())
        return -ENFILE;
    return fd_or_errno(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
}

int host_open_proc(void)
{
    if (!fd_take())
        return -ENFILE;
    int fd = fd_or_errno(open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct statfs fs;
    if (fd < 0 || (!fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC))
        return fd;
    host_close(fd);
    return -ENOENT;
}

int host_open_path(int dirfd, const char *path)
{
    return open_beneath(dirfd, path, O_PATH, 0);
}

int host_create(int dirfd, const char *name, int flags, mode_t mode)
{
    return open_beneath(dirfd, name, flags | O_CREAT | O_EXCL, mode);
}

int host_tmpfile(int dirfd, int flags, mode_t mode)
{
    return open_beneath(dirfd, ".", flags | O_TMPFILE, mode);
}

struct host_fd_name host_fd_name(int fd)
{
    struct host_fd_name name;
    snprintf(name.text, sizeof name.text, "%d", fd);
    return name;
}

int host_reopen(int proc_fd, int fd, int flags)
{
    struct host_fd_name name = host_fd_name(fd);
    if (!fd_take())
        return -ENFILE;
    int r;
    do
        r = openat(proc_fd, name.text, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (r < 0 && errno == EINTR);
    return fd_or_errno(r);
}

bool host_fs_holds_files(int fd)
{
    static const uint32_t kinds[] = {
        EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC,
        OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC,
        SMB2_SUPER_MAGIC, FUSE_SUPER_MAGIC, V9FS_MAGIC, MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC,
        ISOFS_SUPER_MAGIC, SQUASHFS_MAGIC, EROFS_SUPER_MAGIC_V1, REISERFS_SUPER_MAGIC,
        NILFS_SUPER_MAGIC, UDF_SUPER_MAGIC, OCFS2_SUPER_MAGIC, CEPH_SUPER_MAGIC, ECRYPTFS_SUPER_MAGIC,
        0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */, 0x3153464a /* jfs */,
        0x5346544e /* ntfs */, 0x7366746e /* ntfs3 */, 0x01161970 /* gfs2 */,
        0x0bd00bd0 /* lustre */, 0x482b /* hfs+ */, 0x24051905 /* ubifs */,
        0x01021997 /* 9p */, 0x61756673 /* aufs */, 0x786f4256 /* vboxsf */,
    };
    struct statfs fs;
    if (fstatfs(fd, &fs))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    }
    return false;
}

/* --- users --- */

/* Of the thread alone; the C library's wrappers are that too. Group first, while we still may. */
void host_become(uint32_t uid, uint32_t gid)
{
    setfsgid(gid);
    setfsuid(uid);
}

void host_return(void)
{
    setfsuid(geteuid());
    setfsgid(getegid());
}
