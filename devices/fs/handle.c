// SPDX-License-Identifier: MIT
//
// Open files and directories of the guest: a table by file handle, whose upper half is a
// generation, so that a handle that was released does not lead to its successor. See server.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/fs/server.h"

#define NO_SLOT UINT32_MAX

static struct handle_slot *slot_of(struct handle_table *t, uint64_t fh)
{
    uint32_t n = (uint32_t)fh;
    if (n >= t->nslots || t->slot[n].generation != fh >> 32 || !t->slot[n].handle)
        return NULL;
    return &t->slot[n];
}

static int take_slot(struct handle_table *t, uint32_t *n)
{
    if (t->count >= t->max)
        return -ENFILE;
    if (t->free != NO_SLOT) {
        *n = t->free;
        t->free = t->slot[*n].next_free;
    } else {
        if (t->nslots == t->cap) {
            uint32_t cap = t->cap ? t->cap * 2 : 64;
            struct handle_slot *bigger = realloc(t->slot, cap * sizeof *bigger);
            if (!bigger)
                return -ENOMEM;
            t->slot = bigger;
            t->cap = cap;
        }
        *n = t->nslots++;
        t->slot[*n] = (struct handle_slot){0};
    }
    t->count++;
    return 0;
}

int handle_new(struct fs *fs, struct inode *inode, int fd, uint32_t flags, uint64_t *fh)
{
    struct handle_table *t = &fs->handles;
    struct handle *h = malloc(sizeof *h);
    uint32_t n;
    int rc = -ENOMEM;
    pthread_mutex_lock(&fs->lock);
    if (h)
        rc = take_slot(t, &n);
    if (!rc) {
        memset(h, 0, sizeof *h);
        h->inode = inode;
        h->fd = fd;
        h->refs = 1;
        h->flags = flags;
        h->directory = inode->id.type == S_IFDIR;
        pthread_mutex_init(&h->lock, NULL);
        inode->refs++;
        h->next = inode->handles;
        inode->handles = h;
        t->slot[n].handle = h;
        *fh = (uint64_t)t->slot[n].generation << 32 | n;
    }
    pthread_mutex_unlock(&fs->lock);
    if (rc) {
        host_close(fd);
        free(h);
    }
    return rc;
}

struct handle *handle_get(struct fs *fs, uint64_t fh, bool directory)
{
    pthread_mutex_lock(&fs->lock);
    struct handle_slot *s = slot_of(&fs->handles, fh);
    struct handle *h = s && s->handle->directory == directory ? s->handle : NULL;
    if (h)
        h->refs++;
    pthread_mutex_unlock(&fs->lock);
    return h;
}

void handle_put(struct fs *fs, struct handle *h)
{
    struct inode *doomed = NULL;
    pthread_mutex_lock(&fs->lock);
    bool last = !--h->refs;
    if (last) {
        struct handle **at = &h->inode->handles;
        while (*at != h)
            at = &(*at)->next;
        *at = h->next;
        inode_put_locked(fs, h->inode, &doomed);
    }
    pthread_mutex_unlock(&fs->lock);
    inodes_free(doomed);
    if (!last)
        return;
    host_close(h->fd);
    free(h->ahead);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static struct handle *take_out(struct handle_table *t, uint32_t n)
{
    struct handle_slot *s = &t->slot[n];
    struct handle *h = s->handle;
    s->handle = NULL;
    s->generation++;
    s->next_free = t->free;
    t->free = n;
    t->count--;
    return h;
}

void handle_release(struct fs *fs, uint64_t fh)
{
    struct handle *h = NULL;
    pthread_mutex_lock(&fs->lock);
    if (slot_of(&fs->handles, fh))
        h = take_out(&fs->handles, (uint32_t)fh);
    pthread_mutex_unlock(&fs->lock);
    if (h)
        handle_put(fs, h);
}

void handles_init(struct fs *fs, unsigned max)
{
    fs->handles = (struct handle_table){.free = NO_SLOT, .max = max};
}

void handles_reset(struct fs *fs)
{
    for (uint32_t n = 0; n < fs->handles.nslots; n++) {
        if (fs->handles.slot[n].handle)
            handle_put(fs, take_out(&fs->handles, n));
    }
}

void handles_fini(struct fs *fs)
{
    handles_reset(fs);
    free(fs->handles.slot);
}
