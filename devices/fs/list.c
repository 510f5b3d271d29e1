// SPDX-License-Identifier: MIT
//
// All that the guest holds, told by path: nodes with their generation and count, open handles with
// their flags and positions. Enough to find everything again in another process.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/fs/server.h"

/* Path below the root; false: no name, or out of memory (*out is NULL and *oom set). */
static char *path_of(const struct inode *inode, bool *oom)
{
    size_t len = 0;
    for (const struct inode *i = inode; i->name; i = i->parent)
        len += strlen(i->name) + 1;
    char *path = malloc(len + 1);
    if (!path) {
        *oom = true;
        return NULL;
    }
    char *at = path + (len ? len - 1 : 0);
    *at = '\0';
    for (const struct inode *i = inode; i->name; i = i->parent) {
        size_t n = strlen(i->name);
        at -= n;
        memcpy(at, i->name, n);
        if (at != path)
            *--at = '/';
    }
    return path;
}

/* A file below one that has lost its name has none either. */
static bool has_path(const struct inode *inode)
{
    while (inode->name)
        inode = inode->parent;
    return inode_nodeid(inode) == FUSE_ROOT_ID;
}

int fs_each_node(struct fs *fs, void (*fn)(void *opaque, const struct fs_node_info *node),
                 void *opaque)
{
    bool oom = false;
    pthread_rwlock_wrlock(&fs->session);
    for (uint32_t n = 0; n < fs->inodes.nslots; n++) {
        const struct inode *i = fs->inodes.slot[n].inode;
        if (!i)
            continue;
        char *path = has_path(i) ? path_of(i, &oom) : NULL;
        const struct fs_node_info info = {
            .nodeid = inode_nodeid(i),
            .generation = i->generation,
            .lookups = i->lookups,
            .path = path,
            .type = i->id.type,
        };
        fn(opaque, &info);
        free(path);
    }
    pthread_rwlock_unlock(&fs->session);
    return oom ? -ENOMEM : 0;
}

int fs_each_handle(struct fs *fs, void (*fn)(void *opaque, const struct fs_handle_info *handle),
                   void *opaque)
{
    pthread_rwlock_wrlock(&fs->session);
    for (uint32_t n = 0; n < fs->handles.nslots; n++) {
        const struct handle_slot *s = &fs->handles.slot[n];
        if (!s->handle)
            continue;
        const struct fs_handle_info info = {
            .fh = (uint64_t)s->generation << 32 | n,
            .nodeid = inode_nodeid(s->handle->inode),
            .flags = s->handle->flags,
            .directory = s->handle->directory,
            .position = s->handle->position,
        };
        fn(opaque, &info);
    }
    pthread_rwlock_unlock(&fs->session);
    return 0;
}

struct fs_counters fs_count(struct fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    struct fs_counters c = {
        .requests = fs->requests,
        .refused = fs->refused,
        .nodes = fs->inodes.count,
        .handles = fs->handles.count,
        .descriptors = fs->inodes.nfds + fs->handles.count,
    };
    pthread_mutex_unlock(&fs->lock);
    return c;
}
