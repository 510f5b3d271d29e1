// SPDX-License-Identifier: MIT
//
// For the tests of the FUSE server: a scratch directory with a shared one in it, and requests made
// and answered without a guest.
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "share.h"

#define FUSE_RIG_ROOM (FS_TRANSFER_MAX + 4096u)

struct fuse_rig {
    char top[64];    /* the scratch directory: share/ is shared, outside/ is not */
    char share[80];
    struct fs *fs;
    uint32_t uid, gid; /* of the guest's process */
    /* the last reply */
    int error;
    bool replied;
    size_t len; /* of its payload */
    uint8_t *out;
};

/* The directories, and INIT done; cfg->path is set here. */
void fuse_rig_init(struct fuse_rig *r, struct fs_config cfg);
void fuse_rig_fini(struct fuse_rig *r); /* all files are removed */
void fuse_rig_reopen(struct fuse_rig *r, struct fs_config cfg);

/* Any bytes as a request, and room for `room` bytes of reply without header; -1: no room at all. */
int fuse_raw(struct fuse_rig *r, const void *bytes, size_t len, long room);
/* header.len, arguments, then strings with their NULs (NULL: none). Returns the error, 0 or negative. */
int fuse_call(struct fuse_rig *r, uint32_t op, uint64_t node, const void *arg, size_t len,
              const char *a, const char *b);
int fuse_init(struct fuse_rig *r, uint32_t major, uint32_t minor);

/* What tests want most. Each checks nothing; the result is 0 or a negative errno. */
int fuse_lookup(struct fuse_rig *r, uint64_t dir, const char *name, struct fuse_entry_out *e);
uint64_t fuse_node(struct fuse_rig *r, const char *path); /* looks up component by component; 0 */
void fuse_forget(struct fuse_rig *r, uint64_t node, uint64_t n);
int fuse_getattr(struct fuse_rig *r, uint64_t node, struct fuse_attr *a);
int fuse_setattr(struct fuse_rig *r, uint64_t node, struct fuse_setattr_in in);
int fuse_mkdir(struct fuse_rig *r, uint64_t dir, const char *name, uint32_t mode);
int fuse_create(struct fuse_rig *r, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
                uint64_t *node, uint64_t *fh);
int fuse_open(struct fuse_rig *r, uint64_t node, uint32_t flags, uint64_t *fh);
int fuse_opendir(struct fuse_rig *r, uint64_t node, uint64_t *fh);
long fuse_read(struct fuse_rig *r, uint64_t node, uint64_t fh, uint64_t off, uint32_t size);
long fuse_write(struct fuse_rig *r, uint64_t node, uint64_t fh, uint64_t off, const void *data,
                uint32_t size, uint32_t flags);
int fuse_release(struct fuse_rig *r, uint64_t fh);
int fuse_rename(struct fuse_rig *r, uint64_t from, const char *a, uint64_t to, const char *b,
                uint32_t flags);
int fuse_link(struct fuse_rig *r, uint64_t node, uint64_t dir, const char *name);
int fuse_unlink(struct fuse_rig *r, uint64_t dir, const char *name);
int fuse_symlink(struct fuse_rig *r, uint64_t dir, const char *name, const char *target);

/* The host's side: paths are relative to top. */
void host_put(struct fuse_rig *r, const char *path, const char *text);
bool host_has(struct fuse_rig *r, const char *path);
const char *host_get(struct fuse_rig *r, const char *path); /* up to 4 KiB; static; NULL: not there */
const char *host_path(struct fuse_rig *r, const char *path); /* static, four at a time */
unsigned host_fds_open(void); /* descriptors of this process */
