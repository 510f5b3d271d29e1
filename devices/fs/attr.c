// SPDX-License-Identifier: MIT
//
// What the guest is told of a file, and changing it: lookup, getattr, setattr, readlink, access,
// statfs. Owners: with owner=map the host user's files are the guest root's, and there is no giving
// them away; with keep, numbers are shown as they are, and the host decides.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "util.h"

#define MODE_BITS 07777u

/* --- telling --- */

/*
 * The guest sees one file system. Files of others that are mounted below get numbers that differ
 * from those of the first in their upper bits, so that two files never look like links of one.
 */
uint64_t shown_ino(const struct fs *fs, uint64_t dev, uint64_t ino)
{
    return dev == fs->root_dev ? ino
                               : ino ^ ((dev * 0x9e3779b97f4a7c15ull) & 0x7fffff0000000000ull);
}

static void fill_attr(const struct fs *fs, const struct statx *st, struct fuse_attr *attr)
{
    *attr = (struct fuse_attr){
        .ino = shown_ino(fs, host_dev_of(st), st->stx_ino),
        .size = st->stx_size,
        .blocks = st->stx_blocks,
        .atime = (uint64_t)st->stx_atime.tv_sec,
        .mtime = (uint64_t)st->stx_mtime.tv_sec,
        .ctime = (uint64_t)st->stx_ctime.tv_sec,
        .atimensec = st->stx_atime.tv_nsec,
        .mtimensec = st->stx_mtime.tv_nsec,
        .ctimensec = st->stx_ctime.tv_nsec,
        .mode = st->stx_mode,
        .nlink = st->stx_nlink,
        .uid = fs->map_owner && st->stx_uid == fs->uid ? 0 : st->stx_uid,
        .gid = fs->map_owner && st->stx_gid == fs->gid ? 0 : st->stx_gid,
        /* as the kernel packs a device number into 32 bits */
        .rdev = (st->stx_rdev_minor & 0xff) | st->stx_rdev_major << 8 |
                (st->stx_rdev_minor & ~0xffu) << 12,
        .blksize = st->stx_blksize,
    };
}

void fill_entry(const struct fs *fs, const struct inode *inode, const struct statx *st,
                struct fuse_entry_out *out)
{
    *out = (struct fuse_entry_out){
        .nodeid = inode_nodeid(inode),
        .generation = inode->generation,
        .entry_valid = fs->valid_s,
        .attr_valid = fs->valid_s,
    };
    fill_attr(fs, st, &out->attr);
}

static void reply_attr(struct call *c, const struct statx *st)
{
    struct fuse_attr_out *out = call_reply(c, sizeof *out);
    out->attr_valid = c->fs->valid_s;
    fill_attr(c->fs, st, &out->attr);
}

/* --- lookup --- */

/* The name leads to another file system: is it one to show? Needs a descriptor to find out. */
static int look_across(struct sighting *s)
{
    int rc = host_stat(s->fd, "", &s->st);
    if (rc)
        return rc;
    bool across = host_dev_of(&s->st) != s->parent->id.dev;
    if (!across || host_fs_holds_files(s->fd))
        return 0;
    s->opaque = true;
    return S_ISDIR(s->st.stx_mode) ? 0 : -EACCES;
}

static int look(struct fs *fs, int parent_fd, struct sighting *s, bool open, struct inode **inode)
{
    int rc;
    s->changes = names_reading(fs);
    s->fd = -1;
    if (!open) {
        rc = host_stat(parent_fd, s->name, &s->st);
        if (!rc && host_dev_of(&s->st) != s->parent->id.dev)
            rc = -EAGAIN;
        return rc ? rc : inode_seen(fs, s, inode);
    }
    s->fd = host_open_path(parent_fd, s->name);
    if (s->fd == -ENFILE && inodes_shrink(fs))
        s->fd = host_open_path(parent_fd, s->name);
    if (s->fd < 0)
        return s->fd;
    rc = look_across(s);
    if (!rc)
        return inode_seen(fs, s, inode);
    host_close(s->fd);
    return rc;
}

int lookup(struct fs *fs, struct inode *parent, const char *name, struct fuse_entry_out *out)
{
    struct sighting s = {.parent = parent, .name = name};
    struct inode *inode = NULL;
    int fd;
    if (parent->opaque)
        return -ENOENT;
    int rc = inode_pin(fs, parent, &fd);
    if (rc)
        return rc;
    rc = look(fs, fd, &s, false, &inode);
    if (rc == -EAGAIN)
        rc = look(fs, fd, &s, true, &inode);
    inode_unpin(fs, parent);
    if (!rc)
        fill_entry(fs, inode, &s.st, out);
    return rc;
}

/* That there is no such name is worth remembering as well: node 0. */
int op_lookup(struct call *c)
{
    struct fuse_entry_out *out = call_reply(c, sizeof *out);
    int rc = lookup(c->fs, c->inode, c->text[0], out);
    if (rc == -ENOENT && c->fs->valid_s && c->inode->id.type == S_IFDIR) {
        out->entry_valid = c->fs->valid_s;
        return 0;
    }
    return rc;
}

int op_forget(struct call *c)
{
    const struct fuse_forget_in *in = c->arg;
    inode_forget(c->fs, c->h.nodeid, in->nlookup);
    return 0;
}

int op_batch_forget(struct call *c)
{
    const struct fuse_batch_forget_in *in = c->arg;
    struct fuse_forget_one one;
    for (uint32_t i = 0; i < in->count && (i + 1) * sizeof one <= c->tail_len; i++) {
        memcpy(&one, c->tail + i * sizeof one, sizeof one);
        inode_forget(c->fs, one.nodeid, one.nlookup);
    }
    return 0;
}

/* --- getattr and its kin --- */

int op_getattr(struct call *c)
{
    const struct fuse_getattr_in *in = c->arg;
    struct handle *h = NULL;
    struct statx st;
    int rc;
    if (in->getattr_flags & FUSE_GETATTR_FH)
        h = handle_get(c->fs, in->fh, c->inode->id.type == S_IFDIR);
    if (h && h->inode == c->inode)
        rc = host_stat(h->fd, "", &st);
    else
        rc = inode_stat(c->fs, c->inode, &st);
    if (h)
        handle_put(c->fs, h);
    if (!rc)
        reply_attr(c, &st);
    return rc;
}

int op_readlink(struct call *c)
{
    int fd, rc = -EINVAL;
    if (c->inode->id.type != S_IFLNK)
        return rc;
    char *target = call_reply_large(c, PATH_MAX);
    rc = target ? inode_pin(c->fs, c->inode, &fd) : -ENOMEM;
    if (rc)
        return rc;
    ssize_t n = readlinkat(fd, "", target, PATH_MAX);
    rc = n < 0 ? -errno : 0;
    inode_unpin(c->fs, c->inode);
    if (!rc)
        c->req->reply_len = (size_t)n;
    return rc;
}

/* The guest's kernel decides by owner and mode; this is the host's own opinion of this process. */
int op_access(struct call *c)
{
    const struct fuse_access_in *in = c->arg;
    int fd;
    if (c->fs->read_only && (in->mask & W_OK) &&
        (c->inode->id.type == S_IFREG || c->inode->id.type == S_IFDIR))
        return -EROFS;
    int rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    struct host_fd_name name = host_fd_name(fd);
    if (c->inode->id.type != S_IFLNK &&
        faccessat(c->fs->proc_fd, name.text, (int)(in->mask & (R_OK | W_OK | X_OK)), 0))
        rc = -errno;
    inode_unpin(c->fs, c->inode);
    return rc;
}

int op_statfs(struct call *c)
{
    struct statfs s;
    int fd, rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    rc = fstatfs(fd, &s) ? -errno : 0;
    inode_unpin(c->fs, c->inode);
    if (rc)
        return rc;
    struct fuse_statfs_out *out = call_reply(c, sizeof *out);
    out->st = (struct fuse_kstatfs){
        .blocks = s.f_blocks,
        .bfree = s.f_bfree,
        .bavail = s.f_bavail,
        .files = s.f_files,
        .ffree = s.f_ffree,
        .bsize = (uint32_t)s.f_bsize,
        .frsize = (uint32_t)s.f_frsize,
        .namelen = NAME_MAX,
    };
    return 0;
}

int op_syncfs(struct call *c)
{
    if (c->fs->read_only)
        return 0;
    return syncfs(c->fs->root_fd) ? -errno : 0;
}

/* --- setattr --- */

int check_mode(const struct fs *fs, uint32_t mode)
{
    /* To other users of the host such a program would run as the one who shares the directory. */
    bool would_run_as_us = !S_ISDIR(mode) && (mode & (S_ISUID | S_ISGID));
    return fs->map_owner && would_run_as_us ? -EPERM : 0;
}

static int set_mode(struct call *c, int fd, uint32_t mode)
{
    struct host_fd_name name = host_fd_name(fd);
    if (c->inode->id.type == S_IFLNK)
        return -EOPNOTSUPP;
    int rc = check_mode(c->fs, c->inode->id.type | (mode & MODE_BITS));
    if (rc)
        return rc;
    return fchmodat(c->fs->proc_fd, name.text, mode & MODE_BITS, 0) ? -errno : 0;
}

static int set_owner(struct call *c, int fd, const struct fuse_setattr_in *in)
{
    const struct fs *fs = c->fs;
    uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
    gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
    if (fs->map_owner) {
        if (uid == 0)
            uid = fs->uid;
        if (gid == 0)
            gid = fs->gid;
        bool foreign = gid != (gid_t)-1 && gid != fs->gid;
        if ((uid != (uid_t)-1 && uid != fs->uid) || (foreign && fs->uid == 0))
            return -EPERM; /* for others than root, the host knows their groups */
    }
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

static int set_size(struct call *c, int fd, const struct fuse_setattr_in *in)
{
    struct handle *h = in->valid & FATTR_FH ? handle_get(c->fs, in->fh, false) : NULL;
    int rc, own = -1;
    if (h && h->inode == c->inode && (h->flags & O_ACCMODE) != O_RDONLY) {
        fd = h->fd;
    } else {
        own = c->inode->id.type == S_IFREG ? host_reopen(c->fs->proc_fd, fd, O_WRONLY) : -EINVAL;
        fd = own;
    }
    rc = fd < 0 ? fd : in->size > INT64_MAX ? -EINVAL : 0;
    if (!rc && ftruncate(fd, (off_t)in->size))
        rc = -errno;
    if (own >= 0)
        host_close(own);
    if (h)
        handle_put(c->fs, h);
    return rc;
}

static struct timespec time_wanted(uint32_t valid, uint32_t set, uint32_t now, uint64_t s,
                                   uint32_t ns)
{
    if (valid & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!(valid & set))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)ns};
}

static int set_times(struct call *c, int fd, const struct fuse_setattr_in *in)
{
    uint32_t v = in->valid;
    if (in->atimensec >= NS_PER_S || in->mtimensec >= NS_PER_S)
        return -EINVAL;
    struct timespec ts[2] = {
        time_wanted(v, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
        time_wanted(v, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
    };
    struct host_fd_name name = host_fd_name(fd);
    int r = c->inode->id.type == S_IFLNK ? utimensat(fd, "", ts, AT_EMPTY_PATH)
                                         : utimensat(c->fs->proc_fd, name.text, ts, 0);
    return r ? -errno : 0;
}

int clear_set_id(struct fs *fs, int fd)
{
    struct statx st;
    int rc = host_stat(fd, "", &st);
    if (rc || !S_ISREG(st.stx_mode))
        return rc;
    uint32_t mode = st.stx_mode & MODE_BITS & ~(uint32_t)S_ISUID;
    if (mode & S_IXGRP)
        mode &= ~(uint32_t)S_ISGID;
    struct host_fd_name name = host_fd_name(fd);
    if (mode == (st.stx_mode & MODE_BITS))
        return 0;
    return fchmodat(fs->proc_fd, name.text, mode, 0) ? -errno : 0;
}

static int change(struct call *c, int fd, const struct fuse_setattr_in *in)
{
    int rc = 0;
    if (in->valid & FATTR_MODE)
        rc = set_mode(c, fd, in->mode);
    if (!rc && (in->valid & (FATTR_UID | FATTR_GID)))
        rc = set_owner(c, fd, in);
    if (!rc && (in->valid & FATTR_SIZE))
        rc = set_size(c, fd, in);
    if (!rc && (in->valid & FATTR_KILL_SUIDGID))
        rc = clear_set_id(c->fs, fd);
    if (!rc && (in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW)))
        rc = set_times(c, fd, in);
    return rc;
}

int op_setattr(struct call *c)
{
    struct statx st;
    int fd, rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    rc = change(c, fd, c->arg);
    if (!rc)
        rc = host_stat(fd, "", &st);
    inode_unpin(c->fs, c->inode);
    if (!rc)
        reply_attr(c, &st);
    return rc;
}

/* --- whose name it is done in --- */

void become_caller(const struct call *c)
{
    if (c->fs->become_caller)
        host_become(c->h.uid, c->h.gid);
}

void become_self(const struct call *c)
{
    if (c->fs->become_caller)
        host_return();
}
