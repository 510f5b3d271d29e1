// SPDX-License-Identifier: MIT
//
// The table of files that the guest knows: by node number (a slot, used again with another
// generation), and by what the host calls the file. An inode holds its parent, so that its path can
// be told as long as it is known. See server.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/fs/server.h"
#include "log.h"
#include "util.h"

#define NO_SLOT UINT32_MAX
#define NODES_MAX (1u << 21)
#define FIRST_BUCKETS 256u
#define PARENTS_MAX 100000 /* steps upwards before names count as a circle */

/* --- slots and buckets, under the lock --- */

static uint32_t bucket_of(const struct inode_table *t, const struct host_id *id)
{
    uint64_t h = (id->ino ^ id->dev * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return (uint32_t)(h >> 32) & (t->nbuckets - 1);
}

static struct inode *find(const struct inode_table *t, const struct host_id *id)
{
    struct inode *i = t->bucket[bucket_of(t, id)];
    while (i && !host_id_same(&i->id, id))
        i = i->hash_next;
    return i;
}

/* More buckets when there are as many inodes as buckets; without memory it only gets slower. */
static void grow_buckets(struct inode_table *t)
{
    if (t->count < t->nbuckets)
        return;
    struct inode_table bigger = {.nbuckets = t->nbuckets * 2};
    bigger.bucket = calloc(bigger.nbuckets, sizeof(struct inode *));
    if (!bigger.bucket)
        return;
    for (uint32_t b = 0; b < t->nbuckets; b++) {
        for (struct inode *i = t->bucket[b], *next; i; i = next) {
            next = i->hash_next;
            uint32_t to = bucket_of(&bigger, &i->id);
            i->hash_next = bigger.bucket[to];
            bigger.bucket[to] = i;
        }
    }
    free(t->bucket);
    t->bucket = bigger.bucket;
    t->nbuckets = bigger.nbuckets;
}

static int take_slot(struct inode_table *t, uint32_t *slot)
{
    if (t->free != NO_SLOT) {
        *slot = t->free;
        t->free = t->slot[*slot].next_free;
        return 0;
    }
    if (t->nslots == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        struct inode_slot *bigger =
            cap <= NODES_MAX ? realloc(t->slot, cap * sizeof *bigger) : NULL;
        if (!bigger)
            return -ENFILE;
        t->slot = bigger;
        t->cap = cap;
    }
    *slot = t->nslots++;
    t->slot[*slot] = (struct inode_slot){0};
    return 0;
}

/* A new inode in the table, with no name, no descriptor and no references. */
static int add(struct inode_table *t, const struct host_id *id, struct inode **inode)
{
    struct inode *i = calloc(1, sizeof *i);
    uint32_t slot;
    if (!i || take_slot(t, &slot)) {
        free(i);
        return i ? -ENFILE : -ENOMEM;
    }
    i->id = *id;
    i->slot = slot;
    i->generation = t->slot[slot].generation;
    i->fd = -1;
    t->slot[slot].inode = i;
    t->count++;
    grow_buckets(t);
    uint32_t b = bucket_of(t, id);
    i->hash_next = t->bucket[b];
    t->bucket[b] = i;
    *inode = i;
    return 0;
}

/* Out of the table; the parent is left to the caller. */
static void drop(struct fs *fs, struct inode *i)
{
    struct inode_table *t = &fs->inodes;
    struct inode **at = &t->bucket[bucket_of(t, &i->id)];
    while (*at != i)
        at = &(*at)->hash_next;
    *at = i->hash_next;
    struct inode_slot *s = &t->slot[i->slot];
    s->inode = NULL;
    s->generation++;
    s->next_free = t->free;
    t->free = i->slot;
    t->count--;
    int fd = i->fd;
    inode_drop_fd(fs, i);
    i->fd = fd; /* inodes_free closes it */
}

/* --- references --- */

uint64_t inode_nodeid(const struct inode *inode)
{
    return (uint64_t)inode->slot + FUSE_ROOT_ID;
}

static struct inode *by_nodeid(const struct inode_table *t, uint64_t nodeid)
{
    uint64_t slot = nodeid - FUSE_ROOT_ID;
    return slot < t->nslots ? t->slot[slot].inode : NULL;
}

struct inode *inode_get(struct fs *fs, uint64_t nodeid)
{
    pthread_mutex_lock(&fs->lock);
    struct inode *i = by_nodeid(&fs->inodes, nodeid);
    if (i)
        i->refs++;
    pthread_mutex_unlock(&fs->lock);
    return i;
}

/* Free what nobody needs, and then perhaps its parent, and so on up. */
static void collect(struct fs *fs, struct inode *i, struct inode **doomed)
{
    while (i && !i->refs && !i->lookups) {
        struct inode *parent = i->parent;
        drop(fs, i);
        i->hash_next = *doomed;
        *doomed = i;
        if (parent)
            parent->refs--;
        i = parent;
    }
}

void inode_put_locked(struct fs *fs, struct inode *inode, struct inode **doomed)
{
    inode->refs--;
    collect(fs, inode, doomed);
}

void inodes_free(struct inode *doomed)
{
    while (doomed) {
        struct inode *i = doomed;
        doomed = i->hash_next;
        if (i->fd >= 0)
            host_close(i->fd);
        free(i->name);
        free(i);
    }
}

void inode_put(struct fs *fs, struct inode *inode)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    inode_put_locked(fs, inode, &doomed);
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
}

void inode_forget(struct fs *fs, uint64_t nodeid, uint64_t lookups)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    struct inode *i = by_nodeid(&fs->inodes, nodeid);
    if (i && nodeid != FUSE_ROOT_ID) {
        if (lookups > i->lookups)
            log_guest("virtio-fs: node %llu forgotten more often than it was looked up",
                      (unsigned long long)nodeid);
        i->lookups -= lookups < i->lookups ? lookups : i->lookups;
        collect(fs, i, &doomed);
    }
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
}

/* --- names, under the lock --- */

static void unname(struct fs *fs, struct inode *i, struct inode **doomed)
{
    struct inode *parent = i->parent;
    free(i->name);
    i->name = NULL;
    i->parent = NULL;
    if (parent)
        inode_put_locked(fs, parent, doomed);
}

/* Would `i` become its own ancestor? The host forbids it; names that are out of date do not. */
static bool is_above(const struct inode *i, const struct inode *parent)
{
    for (unsigned n = 0; parent && n < PARENTS_MAX; n++) {
        if (parent == i)
            return true;
        parent = parent->parent;
    }
    return parent != NULL;
}

static void set_name(struct fs *fs, struct inode *i, struct inode *parent, const char *name,
                     struct inode **doomed)
{
    if (i->parent == parent && i->name && !strcmp(i->name, name))
        return;
    if (inode_nodeid(i) == FUSE_ROOT_ID)
        return;
    bool circle = i->id.type == S_IFDIR && is_above(i, parent);
    char *copy = circle ? NULL : strdup(name);
    if (copy)
        parent->refs++;
    unname(fs, i, doomed);
    i->name = copy;
    i->parent = copy ? parent : NULL;
}

uint64_t names_reading(struct fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    uint64_t changes = fs->inodes.changing ? UINT64_MAX : fs->inodes.changes;
    pthread_mutex_unlock(&fs->lock);
    return changes;
}

void names_change_begin(struct fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    fs->inodes.changing++;
    fs->inodes.changes++;
    pthread_mutex_unlock(&fs->lock);
}

void names_change_end(struct fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    fs->inodes.changing--;
    fs->inodes.changes++;
    pthread_mutex_unlock(&fs->lock);
}

void inode_rename(struct fs *fs, struct inode *inode, struct inode *parent, const char *name)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    set_name(fs, inode, parent, name, &doomed);
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
}

void inode_unname(struct fs *fs, struct inode *inode, struct inode *parent, const char *name)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    if (inode->parent == parent && !strcmp(inode->name, name))
        unname(fs, inode, &doomed);
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
}

struct inode *inode_called(struct fs *fs, int parent_fd, const char *name)
{
    struct statx st;
    int fd = host_open_path(parent_fd, name);
    if (fd == -ENFILE && inodes_shrink(fs))
        fd = host_open_path(parent_fd, name);
    if (fd < 0)
        return NULL;
    if (host_stat(fd, "", &st)) {
        host_close(fd);
        return NULL;
    }
    struct host_id id = host_id_of(&st);
    pthread_mutex_lock(&fs->lock);
    struct inode *i = find(&fs->inodes, &id);
    if (i) {
        i->refs++;
        fd = inode_keep_fd(fs, i, fd);
    }
    pthread_mutex_unlock(&fs->lock);
    if (fd >= 0)
        host_close(fd);
    return i;
}

/* --- lookups --- */

int inode_seen(struct fs *fs, const struct sighting *s, struct inode **inode)
{
    struct inode *doomed = NULL;
    struct host_id id = host_id_of(&s->st);
    int rc = 0, spare = s->fd;

    pthread_mutex_lock(&fs->lock);
    struct inode_table *t = &fs->inodes;
    bool sure = s->name && !t->changing && t->changes == s->changes;
    struct inode *i = find(t, &id);
    if (!sure && s->fd < 0 && !(i && (i->fd >= 0 || i->name))) {
        rc = -EAGAIN;
    } else if (!i) {
        rc = add(t, &id, &i);
        if (!rc)
            i->opaque = s->opaque;
    }
    if (!rc) {
        i->lookups++;
        if (s->name && (sure || !i->name))
            set_name(fs, i, s->parent, s->name, &doomed);
        if (spare >= 0)
            spare = inode_keep_fd(fs, i, spare);
        *inode = i;
    }
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
    if (spare >= 0)
        host_close(spare);
    return rc;
}

/* --- life --- */

int inodes_init(struct fs *fs, const struct statx *root, unsigned max_fds)
{
    struct inode_table *t = &fs->inodes;
    *t = (struct inode_table){.free = NO_SLOT, .nbuckets = FIRST_BUCKETS, .max_fds = max_fds};
    t->lru.newer = t->lru.older = &t->lru;
    t->bucket = calloc(t->nbuckets, sizeof(struct inode *));
    struct host_id id = host_id_of(root);
    struct inode *i;
    if (!t->bucket || add(t, &id, &i))
        return -ENOMEM;
    /* Never in the cache, so never closed. */
    i->fd = fs->root_fd;
    i->refs = 1;
    i->lookups = 1;
    return 0;
}

void inodes_reset(struct fs *fs)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    struct inode_table *t = &fs->inodes;
    for (uint32_t n = 1; n < t->nslots; n++) {
        struct inode *i = t->slot[n].inode;
        if (!i)
            continue;
        drop(fs, i);
        i->hash_next = doomed;
        doomed = i;
    }
    if (t->nslots)
        t->slot[0].inode->refs = 1;
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
}

void inodes_fini(struct fs *fs)
{
    struct inode_table *t = &fs->inodes;
    if (t->nslots) {
        inodes_reset(fs);
        free(t->slot[0].inode);
    }
    free(t->slot);
    free(t->bucket);
}
