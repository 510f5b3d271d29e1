// SPDX-License-Identifier: MIT
//
// Regular files: open, create, read and write straight between the host's file and the guest's
// memory, and what else works on an open file. Nothing but regular files is ever opened here: the
// guest's kernel does pipes, sockets and device nodes by itself.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "util.h"

/* Flags of open(2) that mean the same here; the rest is the guest kernel's business. */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)
#define COPY_MAX MIB(64) /* per request, so that a worker comes back */

/* --- opening --- */

static bool same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Remember which contents the guest has; true: the same as last time. */
static bool remember_contents(struct fs *fs, struct inode *inode, const struct statx *st)
{
    pthread_mutex_lock(&fs->lock);
    bool same = inode->seen_size == st->stx_size && same_time(&inode->seen_mtime, &st->stx_mtime);
    inode->seen_size = st->stx_size;
    inode->seen_mtime = st->stx_mtime;
    pthread_mutex_unlock(&fs->lock);
    return same;
}

static uint32_t cache_flags(struct fs *fs, struct inode *inode, int fd)
{
    struct statx st;
    if (fs->cache == FS_CACHE_ALWAYS)
        return FOPEN_KEEP_CACHE;
    return !host_stat(fd, "", &st) && remember_contents(fs, inode, &st) ? FOPEN_KEEP_CACHE : 0;
}

/* The descriptor becomes a handle of the inode, also when this fails. */
static int reply_open(struct call *c, struct inode *inode, int fd, uint32_t flags,
                      struct fuse_open_out *out)
{
    out->open_flags = cache_flags(c->fs, inode, fd);
    if ((flags & O_ACCMODE) == O_RDONLY)
        out->open_flags |= FOPEN_NOFLUSH; /* nothing to say at close */
    return handle_new(c->fs, inode, fd, flags, &out->fh);
}

static int open_inode(struct call *c, struct inode *inode, uint32_t flags, uint32_t open_flags,
                      struct fuse_open_out *out)
{
    struct fs *fs = c->fs;
    int path, rc;
    if (inode->id.type != S_IFREG)
        return inode->id.type == S_IFLNK ? -ELOOP : inode->id.type == S_IFDIR ? -EISDIR : -EACCES;
    if (fs->read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        return -EROFS;
    rc = inode_pin(fs, inode, &path);
    if (rc)
        return rc;
    int fd = host_reopen(fs->proc_fd, path, (int)(flags & OPEN_FLAGS));
    if (fd == -ENFILE && inodes_shrink(fs))
        fd = host_reopen(fs->proc_fd, path, (int)(flags & OPEN_FLAGS));
    inode_unpin(fs, inode);
    if (fd < 0)
        return fd;
    if ((flags & O_TRUNC) && (open_flags & FUSE_OPEN_KILL_SUIDGID))
        rc = clear_set_id(fs, fd);
    if (!rc)
        return reply_open(c, inode, fd, flags, out);
    host_close(fd);
    return rc;
}

int op_open(struct call *c)
{
    const struct fuse_open_in *in = c->arg;
    struct fuse_open_out *out = call_reply(c, sizeof *out);
    return open_inode(c, c->inode, in->flags, in->open_flags, out);
}

struct created {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
};

/* A file that was just made and is open as fd: known to the guest from here, or all undone. */
static int introduce(struct call *c, const char *name, uint64_t changes, int fd,
                     struct created *out)
{
    const struct fuse_create_in *in = c->arg;
    struct sighting s = {.parent = c->inode, .name = name, .fd = -1, .changes = changes};
    struct inode *inode;
    int rc = host_stat(fd, "", &s.st);
    /* An O_PATH descriptor of its own keeps what has no name, or may have moved already. */
    if (!rc && name)
        rc = inode_seen(c->fs, &s, &inode);
    if (rc == -EAGAIN || (!rc && !name)) {
        s.fd = host_reopen(c->fs->proc_fd, fd, O_PATH);
        rc = s.fd < 0 ? s.fd : inode_seen(c->fs, &s, &inode);
    }
    if (rc) {
        host_close(fd);
        return rc;
    }
    fill_entry(c->fs, inode, &s.st, &out->entry);
    rc = reply_open(c, inode, fd, in->flags, &out->open);
    if (rc)
        inode_forget(c->fs, inode_nodeid(inode), 1);
    return rc;
}

/* Somebody made it meanwhile, and the guest did not insist on being the first. */
static int open_existing(struct call *c, const struct fuse_create_in *in, struct created *out)
{
    int rc = lookup(c->fs, c->inode, c->text[0], &out->entry);
    if (rc)
        return rc;
    struct inode *inode = inode_get(c->fs, out->entry.nodeid);
    if (!inode)
        return -ESTALE;
    rc = open_inode(c, inode, in->flags, in->open_flags, &out->open);
    inode_put(c->fs, inode);
    if (rc)
        inode_forget(c->fs, out->entry.nodeid, 1);
    return rc;
}

static int create(struct call *c, const struct fuse_create_in *in, const char *name)
{
    int dir, rc = check_mode(c->fs, S_IFREG | in->mode);
    if (!rc)
        rc = inode_pin(c->fs, c->inode, &dir);
    if (rc)
        return rc;
    int flags = (int)(in->flags & OPEN_FLAGS);
    mode_t mode = in->mode & 07777;
    become_caller(c);
    int fd = name ? host_create(dir, name, flags, mode)
                  : host_tmpfile(dir, flags | (int)(in->flags & O_EXCL), mode);
    become_self(c);
    inode_unpin(c->fs, c->inode);
    return fd;
}

int op_create(struct call *c)
{
    const struct fuse_create_in *in = c->arg;
    struct created *out = call_reply(c, sizeof *out);
    uint64_t changes = names_reading(c->fs);
    int fd = create(c, in, c->text[0]);
    if (fd == -EEXIST && !(in->flags & O_EXCL))
        return open_existing(c, in, out);
    return fd < 0 ? fd : introduce(c, c->text[0], changes, fd, out);
}

int op_tmpfile(struct call *c)
{
    const struct fuse_create_in *in = c->arg;
    struct created *out = call_reply(c, sizeof *out);
    int fd = create(c, in, NULL);
    return fd < 0 ? fd : introduce(c, NULL, 0, fd, out);
}

/* --- contents --- */

/* The first `len` bytes of the vector, at most IOV_MAX pieces: how many, and their bytes. */
static int clip(const struct iovec *iov, unsigned n, uint64_t len, struct iovec *to,
                uint64_t *bytes)
{
    int used = 0;
    *bytes = 0;
    while (used < IOV_MAX && (unsigned)used < n && *bytes < len) {
        to[used] = iov[used];
        if (to[used].iov_len > len - *bytes)
            to[used].iov_len = len - *bytes;
        *bytes += to[used++].iov_len;
    }
    return used;
}

/* Move the start of a vector over n bytes. */
static void advance(struct iovec **iov, int *count, size_t n)
{
    while (n && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (n) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

/* To the guest, less than it asked for means that the file ends there: go on until it does. */
static int64_t read_all(int fd, struct iovec *iov, int count, uint64_t offset)
{
    int64_t done = 0;
    while (count) {
        ssize_t n = preadv(fd, iov, count, (off_t)(offset + (uint64_t)done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (!n)
            break;
        done += n;
        advance(&iov, &count, (size_t)n);
    }
    return done;
}

int op_read(struct call *c)
{
    const struct fuse_read_in *in = c->arg;
    struct iovec iov[IOV_MAX];
    uint64_t bytes;
    if (in->size > FS_TRANSFER_MAX || in->size > c->req->room_len ||
        in->offset > (uint64_t)INT64_MAX - in->size)
        return -EINVAL;
    int count = clip(c->req->room, c->req->nroom, in->size, iov, &bytes);
    if (bytes < in->size)
        return -EINVAL; /* in more pieces than any driver makes */
    struct handle *h = handle_get(c->fs, in->fh, false);
    if (!h)
        return -EBADF;
    int64_t n = read_all(h->fd, iov, count, in->offset);
    handle_put(c->fs, h);
    c->req->moved = n < 0 ? 0 : (uint64_t)n;
    return n < 0 ? (int)n : 0;
}

/*
 * Appending is said with each write, as the guest can switch it on and off after opening; what the
 * guest's page cache writes back has its place already.
 */
static int write_flags(const struct fuse_write_in *in)
{
    return (in->flags & O_APPEND) && !(in->write_flags & FUSE_WRITE_CACHE) ? RWF_APPEND : 0;
}

int op_write(struct call *c)
{
    const struct fuse_write_in *in = c->arg;
    struct iovec iov[IOV_MAX];
    uint64_t bytes;
    if (in->size > FS_TRANSFER_MAX || in->size > c->req->data_len ||
        in->offset > (uint64_t)INT64_MAX - in->size)
        return -EINVAL;
    int count = clip(c->req->data, c->req->ndata, in->size, iov, &bytes);
    if (bytes < in->size)
        return -EINVAL;
    struct handle *h = handle_get(c->fs, in->fh, false);
    if (!h)
        return -EBADF;
    ssize_t n;
    do
        n = pwritev2(h->fd, iov, count, (off_t)in->offset, write_flags(in));
    while (n < 0 && errno == EINTR);
    int rc = n < 0 ? -errno : 0;
    atomic_store(&h->wrote, true);
    /* A host user without privileges loses the bits by writing anyway. */
    if (!rc && c->fs->uid == 0 && (in->write_flags & FUSE_WRITE_KILL_SUIDGID))
        rc = clear_set_id(c->fs, h->fd);
    handle_put(c->fs, h);
    struct fuse_write_out *out = call_reply(c, sizeof *out);
    out->size = rc ? 0 : (uint32_t)n;
    return rc;
}

/* --- open files --- */

/*
 * Comes with each close in the guest: some file systems (NFS) tell only at a close of theirs what
 * became of the writes. And what was written here is what the guest's cache has.
 */
int op_flush(struct call *c)
{
    const struct fuse_flush_in *in = c->arg;
    struct handle *h = handle_get(c->fs, in->fh, false);
    struct statx st;
    int rc = 0;
    if (!h)
        return -EBADF;
    if (atomic_load(&h->wrote)) {
        int fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0 && close(fd))
            rc = -errno;
        if (!host_stat(h->fd, "", &st))
            remember_contents(c->fs, h->inode, &st);
    }
    handle_put(c->fs, h);
    return rc;
}

int op_release(struct call *c)
{
    const struct fuse_release_in *in = c->arg;
    handle_release(c->fs, in->fh);
    return 0;
}

/* FSYNC and FSYNCDIR */
int op_fsync(struct call *c)
{
    const struct fuse_fsync_in *in = c->arg;
    struct handle *h = handle_get(c->fs, in->fh, c->h.opcode == FUSE_FSYNCDIR);
    if (!h)
        return -EBADF;
    int r = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(h->fd) : fsync(h->fd);
    int rc = r ? -errno : 0;
    handle_put(c->fs, h);
    return rc;
}

/* Only data and holes come here; the position of the host's descriptor means nothing. */
int op_lseek(struct call *c)
{
    const struct fuse_lseek_in *in = c->arg;
    if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX)
        return -EINVAL;
    struct handle *h = handle_get(c->fs, in->fh, false);
    if (!h)
        return -EBADF;
    off_t at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
    int rc = at < 0 ? -errno : 0;
    handle_put(c->fs, h);
    struct fuse_lseek_out *out = call_reply(c, sizeof *out);
    out->offset = rc ? 0 : (uint64_t)at;
    return rc;
}

int op_fallocate(struct call *c)
{
    const struct fuse_fallocate_in *in = c->arg;
    if (in->offset > INT64_MAX || in->length > INT64_MAX)
        return -EINVAL;
    struct handle *h = handle_get(c->fs, in->fh, false);
    if (!h)
        return -EBADF;
    int rc = 0;
    if (fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length))
        rc = -errno;
    atomic_store(&h->wrote, true);
    handle_put(c->fs, h);
    return rc;
}

int op_copy_file_range(struct call *c)
{
    const struct fuse_copy_file_range_in *in = c->arg;
    if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
        return -EINVAL;
    struct handle *from = handle_get(c->fs, in->fh_in, false);
    struct handle *to = handle_get(c->fs, in->fh_out, false);
    int rc = from && to ? 0 : -EBADF;
    if (!rc) {
        off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
        size_t len = in->len < COPY_MAX ? (size_t)in->len : COPY_MAX;
        ssize_t n = copy_file_range(from->fd, &off_in, to->fd, &off_out, len, 0);
        rc = n < 0 ? -errno : 0;
        atomic_store(&to->wrote, true);
        struct fuse_write_out *out = call_reply(c, sizeof *out);
        out->size = rc ? 0 : (uint32_t)n;
    }
    if (from)
        handle_put(c->fs, from);
    if (to)
        handle_put(c->fs, to);
    return rc;
}
