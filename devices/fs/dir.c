// SPDX-License-Identifier: MIT
//
// Directories: opendir, readdir, readdirplus. The offsets are the host file system's own (d_off),
// so that a directory can be left and entered again anywhere. A directory that is not shown (a
// mount of proc and the like) is empty.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "util.h"

#define READ_MAX KIB(64) /* of a reply */
#define CHUNK KIB(16)    /* read from the host at a time */
#define CHUNK_MIN 512    /* the longest entry fits */
#define NOWHERE UINT64_MAX

int op_opendir(struct call *c)
{
    struct fs *fs = c->fs;
    int path;
    if (c->inode->id.type != S_IFDIR)
        return -ENOTDIR;
    int rc = inode_pin(fs, c->inode, &path);
    if (rc)
        return rc;
    int fd = host_reopen(fs->proc_fd, path, O_RDONLY | O_DIRECTORY);
    if (fd == -ENFILE && inodes_shrink(fs))
        fd = host_reopen(fs->proc_fd, path, O_RDONLY | O_DIRECTORY);
    inode_unpin(fs, c->inode);
    if (fd < 0)
        return fd;
    struct fuse_open_out *out = call_reply(c, sizeof *out);
    if (fs->cache == FS_CACHE_ALWAYS)
        out->open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
    return handle_new(fs, c->inode, fd, O_RDONLY | O_DIRECTORY, &out->fh);
}

/* The kernel's struct linux_dirent64. */
struct host_entry {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

/* A reply being filled. */
struct listing {
    struct call *c;
    uint8_t *buf;
    size_t size, used;
    bool plus;
};

static bool is_dot(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Room for one entry was checked. */
static void put(struct listing *l, const struct host_entry *e, const struct fuse_entry_out *entry)
{
    size_t len = strlen(e->name);
    size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    struct fuse_dirent d = {
        .ino = shown_ino(l->c->fs, l->c->inode->id.dev, e->ino),
        .off = (uint64_t)e->off,
        .namelen = (uint32_t)len,
        .type = e->type,
    };
    uint8_t *at = l->buf + l->used;
    memset(at, 0, FUSE_REC_ALIGN(head + len));
    if (l->plus)
        memcpy(at, entry, sizeof *entry);
    memcpy(at + head - FUSE_NAME_OFFSET, &d, FUSE_NAME_OFFSET);
    memcpy(at + head, e->name, len);
    l->used += FUSE_REC_ALIGN(head + len);
}

/* False: no more room. */
static bool add(struct listing *l, const struct host_entry *e)
{
    struct fuse_entry_out entry = {0}; /* node 0: nothing is said of the file itself */
    size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    if (FUSE_REC_ALIGN(head + strlen(e->name)) > l->size - l->used)
        return false;
    if (l->plus && !is_dot(e->name) && lookup(l->c->fs, l->c->inode, e->name, &entry))
        entry = (struct fuse_entry_out){0};
    put(l, e, &entry);
    return true;
}

/*
 * Entries from what was read from the host; how many bytes of it, less than n: the reply is full.
 */
static size_t add_all(struct listing *l, struct handle *h, uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n) {
        struct host_entry *e = (void *)(bytes + at);
        /* What ".." of the shared directory is on the host is nobody's business. */
        if (inode_nodeid(l->c->inode) == FUSE_ROOT_ID && !strcmp(e->name, ".."))
            e->ino = l->c->inode->id.ino;
        if (!add(l, e))
            break;
        h->position = (uint64_t)e->off;
        at += e->reclen;
    }
    return at;
}

/*
 * Keep what did not fit for the next time. It must not be read again: where offsets count entries
 * (tmpfs), those that the guest removes meanwhile would make it miss others.
 */
static int keep(struct handle *h, const uint8_t *bytes, size_t n)
{
    uint8_t *copy = n ? malloc(n) : NULL;
    if (copy)
        memcpy(copy, bytes, n);
    free(h->ahead);
    h->ahead = copy;
    h->ahead_len = copy ? n : 0;
    if (!n || copy)
        return 0;
    h->position = NOWHERE; /* without memory there is only going back */
    return -ENOMEM;
}

/* From what was kept; false: the reply is full, or memory is. */
static bool list_kept(struct listing *l, struct handle *h)
{
    size_t used = add_all(l, h, h->ahead, h->ahead_len);
    bool all = used == h->ahead_len;
    return !keep(h, h->ahead + used, h->ahead_len - used) && all;
}

static int list_more(struct listing *l, struct handle *h)
{
    union {
        struct host_entry align;
        uint8_t bytes[CHUNK];
    } chunk;
    /* About what fits: an entry that says all is some four times as long as the host's. */
    size_t wanted = l->plus ? l->size / 4 : l->size;
    wanted = wanted < CHUNK_MIN ? CHUNK_MIN : wanted < CHUNK ? wanted : CHUNK;
    for (;;) {
        long n = syscall(SYS_getdents64, h->fd, chunk.bytes, wanted);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        size_t used = add_all(l, h, chunk.bytes, (size_t)n);
        if (used < (size_t)n)
            return keep(h, chunk.bytes + used, (size_t)n - used);
    }
}

static int list(struct listing *l, struct handle *h, uint64_t offset)
{
    if (offset != h->position) {
        if (lseek(h->fd, (off_t)offset, SEEK_SET) < 0)
            return -errno;
        h->position = offset;
        keep(h, NULL, 0);
    }
    int rc = !h->ahead_len || list_kept(l, h) ? list_more(l, h) : 0;
    if (!rc && !l->used && h->ahead_len)
        rc = -EINVAL; /* not one entry fits */
    /* What is listed already has been looked up: it must reach the guest. */
    return l->used ? 0 : rc;
}

static int read_directory(struct call *c, bool plus)
{
    const struct fuse_read_in *in = c->arg;
    struct listing l = {.c = c, .size = in->size < READ_MAX ? in->size : READ_MAX, .plus = plus};
    if (in->size > c->req->room_len)
        return -EINVAL;
    struct handle *h = handle_get(c->fs, in->fh, true);
    if (!h)
        return -EBADF;
    int rc = h->inode == c->inode ? 0 : -EBADF;
    if (!rc && !c->inode->opaque && l.size) {
        l.buf = call_reply_large(c, l.size);
        pthread_mutex_lock(&h->lock);
        rc = l.buf ? list(&l, h, in->offset) : -ENOMEM;
        pthread_mutex_unlock(&h->lock);
    }
    handle_put(c->fs, h);
    c->req->reply_len = l.used;
    return rc;
}

int op_readdir(struct call *c)
{
    return read_directory(c, false);
}

int op_readdirplus(struct call *c)
{
    return read_directory(c, true);
}
