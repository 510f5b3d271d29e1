// SPDX-License-Identifier: MIT
//
// The FUSE server's front: what a request of each operation looks like, the checks that come before
// it is carried out, INIT and DESTROY. A request is malformed when its fixed part, its strings or
// its room for the reply are too short; it is then refused and nothing else happens.
// Not offered (-ENOSYS, which makes the guest's kernel do without): locks (they hold between the
// guest's processes), bmap, poll, DAX mappings. Not negotiated: export, ACLs, writeback cache.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "log.h"
#include "util.h"

#define OLDEST_MINOR 31
#define MAX_BACKGROUND 64
#define PAGE_BYTES 4096u

_Static_assert(sizeof(struct fuse_in_header) == FS_HEADER_IN, "header of requests");
_Static_assert(sizeof(struct fuse_out_header) == FS_HEADER_OUT, "header of replies");
_Static_assert(sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out) <= FS_SMALL_REPLY,
               "the longest reply of fixed size");

static int op_init(struct call *c), op_destroy(struct call *c), op_interrupt(struct call *c);
static int op_ioctl(struct call *c);

/* What stands behind the fixed part. */
enum strings {
    NOTHING,
    NAME,      /* of a file: one component */
    NAMES,     /* two of them */
    NAME_TEXT, /* a name, and any text */
    TEXT,      /* any text */
};

enum {
    CHANGES = 1,   /* refused on a read-only share */
    NO_REPLY = 2,
    NO_NODE = 4,   /* the header names no file */
    SHARED = 8,    /* takes the session for itself */
    ANY_DIR = 16,  /* also of a directory whose contents are not shown */
};

#define SIZE(type) sizeof(struct fuse_##type)

static const struct op {
    op_fn fn;
    uint16_t in, out; /* fixed part of arguments and of the reply */
    uint8_t strings, flags;
} ops[] = {
    [FUSE_LOOKUP] = {op_lookup, 0, SIZE(entry_out), NAME, ANY_DIR},
    [FUSE_FORGET] = {op_forget, SIZE(forget_in), 0, NOTHING, NO_REPLY | NO_NODE},
    [FUSE_GETATTR] = {op_getattr, SIZE(getattr_in), SIZE(attr_out), NOTHING, ANY_DIR},
    [FUSE_SETATTR] = {op_setattr, SIZE(setattr_in), SIZE(attr_out), NOTHING, CHANGES},
    [FUSE_READLINK] = {op_readlink, 0, 0, NOTHING, 0},
    [FUSE_SYMLINK] = {op_symlink, 0, SIZE(entry_out), NAME_TEXT, CHANGES},
    [FUSE_MKNOD] = {op_mknod, SIZE(mknod_in), SIZE(entry_out), NAME, CHANGES},
    [FUSE_MKDIR] = {op_mkdir, SIZE(mkdir_in), SIZE(entry_out), NAME, CHANGES},
    [FUSE_UNLINK] = {op_unlink, 0, 0, NAME, CHANGES},
    [FUSE_RMDIR] = {op_rmdir, 0, 0, NAME, CHANGES},
    [FUSE_RENAME] = {op_rename, SIZE(rename_in), 0, NAMES, CHANGES},
    [FUSE_RENAME2] = {op_rename2, SIZE(rename2_in), 0, NAMES, CHANGES},
    [FUSE_LINK] = {op_link, SIZE(link_in), SIZE(entry_out), NAME, CHANGES},
    [FUSE_OPEN] = {op_open, SIZE(open_in), SIZE(open_out), NOTHING, 0},
    [FUSE_CREATE] = {op_create, SIZE(create_in), SIZE(entry_out) + SIZE(open_out), NAME, CHANGES},
    [FUSE_TMPFILE] = {op_tmpfile, SIZE(create_in), SIZE(entry_out) + SIZE(open_out), NOTHING,
                      CHANGES},
    [FUSE_READ] = {op_read, SIZE(read_in), 0, NOTHING, 0},
    [FUSE_WRITE] = {op_write, SIZE(write_in), SIZE(write_out), NOTHING, CHANGES},
    [FUSE_STATFS] = {op_statfs, 0, SIZE(statfs_out), NOTHING, ANY_DIR},
    [FUSE_RELEASE] = {op_release, SIZE(release_in), 0, NOTHING, NO_NODE},
    [FUSE_FSYNC] = {op_fsync, SIZE(fsync_in), 0, NOTHING, NO_NODE},
    [FUSE_SETXATTR] = {op_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, 0, TEXT, CHANGES},
    [FUSE_GETXATTR] = {op_getxattr, SIZE(getxattr_in), 0, TEXT, 0},
    [FUSE_LISTXATTR] = {op_listxattr, SIZE(getxattr_in), 0, NOTHING, 0},
    [FUSE_REMOVEXATTR] = {op_removexattr, 0, 0, TEXT, CHANGES},
    [FUSE_FLUSH] = {op_flush, SIZE(flush_in), 0, NOTHING, NO_NODE},
    [FUSE_INIT] = {op_init, 16, SIZE(init_out), NOTHING, NO_NODE | SHARED},
    [FUSE_OPENDIR] = {op_opendir, SIZE(open_in), SIZE(open_out), NOTHING, ANY_DIR},
    [FUSE_READDIR] = {op_readdir, SIZE(read_in), 0, NOTHING, ANY_DIR},
    [FUSE_READDIRPLUS] = {op_readdirplus, SIZE(read_in), 0, NOTHING, ANY_DIR},
    [FUSE_RELEASEDIR] = {op_release, SIZE(release_in), 0, NOTHING, NO_NODE},
    [FUSE_FSYNCDIR] = {op_fsync, SIZE(fsync_in), 0, NOTHING, NO_NODE},
    [FUSE_ACCESS] = {op_access, SIZE(access_in), 0, NOTHING, ANY_DIR},
    [FUSE_INTERRUPT] = {op_interrupt, SIZE(interrupt_in), 0, NOTHING, NO_NODE | NO_REPLY},
    [FUSE_DESTROY] = {op_destroy, 0, 0, NOTHING, NO_NODE | SHARED},
    [FUSE_IOCTL] = {op_ioctl, 0, 0, NOTHING, NO_NODE},
    [FUSE_BATCH_FORGET] = {op_batch_forget, SIZE(batch_forget_in), 0, NOTHING, NO_REPLY | NO_NODE},
    [FUSE_FALLOCATE] = {op_fallocate, SIZE(fallocate_in), 0, NOTHING, CHANGES | NO_NODE},
    [FUSE_LSEEK] = {op_lseek, SIZE(lseek_in), SIZE(lseek_out), NOTHING, NO_NODE},
    [FUSE_COPY_FILE_RANGE] = {op_copy_file_range, SIZE(copy_file_range_in), SIZE(write_out),
                              NOTHING, CHANGES | NO_NODE},
    [FUSE_SYNCFS] = {op_syncfs, SIZE(syncfs_in), 0, NOTHING, NO_NODE},
};

/* --- replies --- */

void *call_reply(struct call *c, size_t len)
{
    memset(c->req->small, 0, len);
    c->req->reply = c->req->small;
    c->req->reply_len = len;
    return c->req->small;
}

void *call_reply_large(struct call *c, size_t len)
{
    c->req->large = calloc(1, len);
    c->req->reply = c->req->large;
    c->req->reply_len = len;
    return c->req->large;
}

void fs_request_done(struct fs_request *req)
{
    free(req->large);
    req->large = NULL;
}

/* --- the session --- */

static void session_reset(struct fs *fs)
{
    handles_reset(fs);
    inodes_reset(fs);
    fs->started = false;
}

#define WANTED_FLAGS                                                                               \
    (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |              \
     FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_ASYNC_DIO |         \
     FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS)

static int op_init(struct call *c)
{
    const struct fuse_init_in *in = c->arg;
    struct fuse_init_out *out = call_reply(c, sizeof *out);
    out->major = FUSE_KERNEL_VERSION;
    out->minor = FUSE_KERNEL_MINOR_VERSION;
    if (in->major > FUSE_KERNEL_VERSION)
        return 0; /* the guest comes again with ours */
    if (in->major < FUSE_KERNEL_VERSION || in->minor < OLDEST_MINOR) {
        log_guest("virtio-fs: FUSE %u.%u is too old, 7.%d is the least", in->major, in->minor,
                  OLDEST_MINOR);
        return -EPROTO;
    }
    session_reset(c->fs);
    c->fs->started = true;
    out->max_readahead = in->max_readahead;
    out->flags = in->flags & (uint32_t)WANTED_FLAGS;
    out->max_background = MAX_BACKGROUND;
    out->congestion_threshold = MAX_BACKGROUND / 4 * 3;
    out->max_write = FS_TRANSFER_MAX;
    out->max_pages = FS_TRANSFER_MAX / PAGE_BYTES;
    out->time_gran = 1;
    log_msg(LOG_VIRTIO, "virtio-fs: FUSE 7.%u, flags %#x of %#x", in->minor, out->flags, in->flags);
    return 0;
}

static int op_destroy(struct call *c)
{
    session_reset(c->fs);
    return 0;
}

/* Nothing here waits for anything but the host's disk, so there is nothing to interrupt. */
static int op_interrupt(struct call *c)
{
    (void)c;
    return 0;
}

static int op_ioctl(struct call *c)
{
    (void)c;
    return -ENOTTY;
}

void fs_reset(struct fs *fs)
{
    pthread_rwlock_wrlock(&fs->session);
    session_reset(fs);
    pthread_rwlock_unlock(&fs->session);
}

/* --- checks --- */

size_t fs_args_len(const uint8_t header[FS_HEADER_IN], size_t len)
{
    size_t args = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    return load_le32(header + 4) == FUSE_WRITE && len > args ? args : len;
}

/* The next string; NULL unless it ends inside the request. */
static const char *next_text(struct call *c)
{
    const uint8_t *end = memchr(c->tail, 0, c->tail_len);
    if (!end)
        return NULL;
    const char *text = (const char *)c->tail;
    c->tail_len -= (size_t)(end + 1 - c->tail);
    c->tail = end + 1;
    return text;
}

static bool is_component(const char *name)
{
    return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

static int take_strings(struct call *c, enum strings strings)
{
    unsigned n = strings == NOTHING ? 0 : strings == NAMES || strings == NAME_TEXT ? 2 : 1;
    for (unsigned i = 0; i < n; i++) {
        c->text[i] = next_text(c);
        if (!c->text[i])
            return -EINVAL;
        bool name = strings == NAME || strings == NAMES || (strings == NAME_TEXT && !i);
        if (strlen(c->text[i]) > (name || strings == TEXT ? NAME_MAX : PATH_MAX - 1))
            return -ENAMETOOLONG;
        if (name && !is_component(c->text[i]))
            return -EINVAL;
    }
    return 0;
}

static int check(struct call *c, const struct op *op)
{
    const struct fs_request *req = c->req;
    size_t fixed = sizeof c->h + op->in;
    if (req->args_len < fixed)
        return -EINVAL;
    if (!(op->flags & NO_REPLY) && (!req->can_reply || req->room_len < op->out))
        return -EINVAL;
    c->arg = req->args + sizeof c->h;
    c->tail = req->args + fixed;
    c->tail_len = req->args_len - fixed;
    return take_strings(c, op->strings);
}

/* What this server's own rules say; -ENOSYS and malformed requests are the guest's fault. */
static int admit(struct call *c, const struct op *op)
{
    if (!c->fs->started && op->fn != op_init && op->fn != op_destroy)
        return -EIO;
    if (c->fs->read_only && (op->flags & CHANGES))
        return -EROFS;
    if (op->flags & NO_NODE)
        return 0;
    c->inode = inode_get(c->fs, c->h.nodeid);
    if (!c->inode)
        return -ESTALE;
    return c->inode->opaque && !(op->flags & ANY_DIR) ? -EACCES : 0;
}

static const struct op *find_op(uint32_t opcode)
{
    return opcode < ARRAY_LEN(ops) && ops[opcode].fn ? &ops[opcode] : NULL;
}

static void lock_session(struct fs *fs, const struct op *op)
{
    if (op->flags & SHARED)
        pthread_rwlock_wrlock(&fs->session);
    else
        pthread_rwlock_rdlock(&fs->session);
}

static int serve(struct call *c, const struct op *op)
{
    lock_session(c->fs, op);
    int rc = admit(c, op);
    if (!rc)
        rc = op->fn(c);
    if (c->inode)
        inode_put(c->fs, c->inode);
    pthread_rwlock_unlock(&c->fs->session);
    return rc;
}

void fs_serve(struct fs *fs, struct fs_request *req)
{
    struct call c = {.fs = fs, .req = req};
    int rc = -EINVAL;
    req->no_reply = false;
    req->reply_len = 0;
    req->moved = 0;
    req->large = NULL;
    const struct op *op = NULL;
    if (req->args_len >= sizeof c.h) {
        memcpy(&c.h, req->args, sizeof c.h);
        op = find_op(c.h.opcode);
        rc = op ? check(&c, op) : -ENOSYS;
    }
    bool refused = rc;
    if (!rc)
        rc = serve(&c, op);
    if (op && (op->flags & NO_REPLY))
        req->no_reply = true;
    if (!rc && req->reply_len > req->room_len)
        rc = -ERANGE;
    req->error = rc;
    if (rc)
        req->reply_len = req->moved = 0;
    atomic_fetch_add(&fs->requests, 1);
    atomic_fetch_add(&fs->refused, refused || rc == -EROFS);
}

/* --- threads --- */

/* The guest's kernel has applied its process's umask already; ours must not come on top. */
void fs_thread_init(void)
{
    if (!unshare(CLONE_FS))
        umask(0);
    else
        log_msg(LOG_VIRTIO, "virtio-fs: this process's umask applies to what the guest creates");
}
