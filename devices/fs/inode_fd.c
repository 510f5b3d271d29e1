// SPDX-License-Identifier: MIT
//
// Descriptors of inodes: a cache in order of use, and the way back from names to a descriptor when
// one was closed. What is found under the names must be the file that was known (host_id), else it
// is -ESTALE and the guest looks again.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "devices/fs/server.h"

#define SHRINK_BY 64
#define ROUNDS_MAX 64 /* pieces of PATH_MAX that a path may have */
#define RACES_MAX 8   /* times that a name may have moved while it was followed */
#define STEPS_MAX (PATH_MAX / 2)

/* --- the cache, under the lock --- */

static bool evictable(const struct inode *i)
{
    return !i->pins && i->name; /* without a name there is no way back */
}

static void ring_remove(struct inode *i)
{
    i->newer->older = i->older;
    i->older->newer = i->newer;
    i->newer = i->older = NULL;
}

static void ring_add(struct inode_table *t, struct inode *i)
{
    i->newer = &t->lru;
    i->older = t->lru.older;
    i->older->newer = i;
    t->lru.older = i;
}

static void touch(struct inode_table *t, struct inode *i)
{
    if (i->newer) { /* not the root */
        ring_remove(i);
        ring_add(t, i);
    }
}

void inode_drop_fd(struct fs *fs, struct inode *inode)
{
    if (!inode->newer)
        return;
    ring_remove(inode);
    fs->inodes.nfds--;
    inode->fd = -1;
}

/*
 * The least used that may go; NULL: none was near. Those in the way count as used, so that the next
 * search does not meet them again.
 */
static struct inode *oldest(struct inode_table *t)
{
    for (unsigned n = 0; n < SHRINK_BY && t->nfds; n++) {
        struct inode *i = t->lru.newer;
        if (evictable(i))
            return i;
        touch(t, i);
    }
    return NULL;
}

int inode_keep_fd(struct fs *fs, struct inode *inode, int fd)
{
    struct inode_table *t = &fs->inodes;
    if (inode->fd >= 0)
        return fd;
    struct inode *old = t->nfds >= t->max_fds ? oldest(t) : NULL;
    inode->fd = fd;
    ring_add(t, inode);
    t->nfds++;
    if (!old)
        return -1;
    int spare = old->fd;
    inode_drop_fd(fs, old);
    return spare;
}

bool inodes_shrink(struct fs *fs)
{
    int gone[SHRINK_BY];
    unsigned n = 0;
    pthread_mutex_lock(&fs->lock);
    for (struct inode *i; n < SHRINK_BY && (i = oldest(&fs->inodes)); n++) {
        gone[n] = i->fd;
        inode_drop_fd(fs, i);
    }
    pthread_mutex_unlock(&fs->lock);
    for (unsigned i = 0; i < n; i++)
        host_close(gone[i]);
    return n > 0;
}

/* --- the way back --- */

/* From a descriptor (base, pinned) by known names (path) to an inode without one (target, held). */
struct route {
    struct inode *base, *target;
    const char *path;
    uint64_t changes;
    char buf[PATH_MAX];
};

/*
 * Climb from the inode to the next one above that has a descriptor. If the names between are too
 * long for one call, the target is an inode half way, and the caller comes again. Under the lock.
 */
static int find_route(struct fs *fs, struct inode *inode, struct route *r)
{
    char *end = r->buf + sizeof r->buf - 1, *at = end;
    *end = '\0';
    r->target = inode;
    for (unsigned n = 0; inode->fd < 0; n++) {
        if (!inode->name || n == ROUNDS_MAX * STEPS_MAX)
            return -ESTALE;
        size_t len = strlen(inode->name);
        if ((size_t)(at - r->buf) < len + 1) {
            r->target = inode;
            at = end;
        }
        if (at != end)
            *--at = '/';
        at -= len;
        memcpy(at, inode->name, len);
        inode = inode->parent;
    }
    r->base = inode;
    r->base->pins++;
    r->base->refs++;
    r->target->refs++;
    r->path = at;
    r->changes = fs->inodes.changing ? UINT64_MAX : fs->inodes.changes;
    return 0;
}

static int open_checked(const struct route *r, const struct fs *fs)
{
    struct statx st;
    int fd = host_open_path(r->base->fd, r->path);
    if (fd < 0)
        return fd;
    int rc = host_stat(fd, "", &st);
    struct host_id id = host_id_of(&st);
    if (!rc && !host_id_same(&id, &r->target->id))
        rc = -ESTALE;
    /* Numbers of file systems come and go, too. */
    if (!rc && id.dev != fs->root_dev && !r->target->opaque &&
        !host_fs_holds_files(fd))
        rc = -ESTALE;
    if (!rc)
        return fd;
    host_close(fd);
    return rc;
}

static int walk(struct fs *fs, const struct route *r)
{
    int fd = open_checked(r, fs);
    if (fd == -ENFILE && inodes_shrink(fs))
        fd = open_checked(r, fs);
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    bool moved = fs->inodes.changing || fs->inodes.changes != r->changes;
    r->base->pins--;
    int spare = fd >= 0 ? inode_keep_fd(fs, r->target, fd) : -1;
    inode_put_locked(fs, r->base, &doomed);
    inode_put_locked(fs, r->target, &doomed);
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
    if (spare >= 0)
        host_close(spare);
    if (fd >= 0)
        return 0;
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ESTALE || fd == -EXDEV)
        return moved ? -EAGAIN : -ESTALE;
    return fd;
}

/* The host took the names away, but the guest has the file open: from there to an O_PATH one. */
static int find_by_handle(struct fs *fs, struct inode *inode)
{
    pthread_mutex_lock(&fs->lock);
    struct handle *h = inode->handles;
    if (h)
        h->refs++;
    pthread_mutex_unlock(&fs->lock);
    if (!h)
        return -ESTALE;
    int fd = host_reopen(fs->proc_fd, h->fd, O_PATH);
    handle_put(fs, h);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&fs->lock);
    int spare = inode_keep_fd(fs, inode, fd);
    pthread_mutex_unlock(&fs->lock);
    if (spare >= 0)
        host_close(spare);
    return 0;
}

static int find_by_name(struct fs *fs, struct inode *inode)
{
    struct route r;
    pthread_mutex_lock(&fs->lock);
    bool open = inode->fd >= 0;
    int rc = open ? 0 : find_route(fs, inode, &r);
    pthread_mutex_unlock(&fs->lock);
    return open || rc ? rc : walk(fs, &r);
}

static bool pin_open(struct fs *fs, struct inode *inode, int *fd)
{
    pthread_mutex_lock(&fs->lock);
    bool open = inode->fd >= 0;
    if (open) {
        inode->pins++;
        touch(&fs->inodes, inode);
        *fd = inode->fd;
    }
    pthread_mutex_unlock(&fs->lock);
    return open;
}

int inode_pin(struct fs *fs, struct inode *inode, int *fd)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        if (pin_open(fs, inode, fd))
            return 0;
        int rc = find_by_name(fs, inode);
        if (rc == -ESTALE || (rc == -EAGAIN && i >= RACES_MAX))
            rc = find_by_handle(fs, inode);
        if (rc && rc != -EAGAIN)
            return rc;
    }
    return -ESTALE;
}

void inode_unpin(struct fs *fs, struct inode *inode)
{
    pthread_mutex_lock(&fs->lock);
    inode->pins--;
    pthread_mutex_unlock(&fs->lock);
}

/* --- attributes, for which the parent's descriptor will do --- */

static int stat_by_name(struct fs *fs, struct inode *inode, struct statx *st)
{
    char name[NAME_MAX + 1] = "";
    struct inode *parent = NULL;
    pthread_mutex_lock(&fs->lock);
    if (inode->fd < 0 && inode->name) {
        parent = inode->parent;
        parent->refs++;
        memcpy(name, inode->name, strlen(inode->name) + 1);
    }
    pthread_mutex_unlock(&fs->lock);
    if (!parent)
        return -EAGAIN;
    int fd, rc = inode_pin(fs, parent, &fd);
    if (!rc) {
        rc = host_stat(fd, name, st);
        inode_unpin(fs, parent);
    }
    inode_put(fs, parent);
    if (rc)
        return rc;
    struct host_id id = host_id_of(st);
    return host_id_same(&id, &inode->id) ? 0 : -EAGAIN;
}

int inode_stat(struct fs *fs, struct inode *inode, struct statx *st)
{
    if (!stat_by_name(fs, inode, st))
        return 0;
    int fd, rc = inode_pin(fs, inode, &fd);
    if (rc)
        return rc;
    rc = host_stat(fd, "", st);
    inode_unpin(fs, inode);
    return rc;
}
