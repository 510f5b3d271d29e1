// SPDX-License-Identifier: MIT
//
// Extended attributes: those named user.*, on files and directories. The others mean something to
// the host (capabilities, labels, ACLs), so the guest neither sees nor sets them.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "devices/fs/server.h"
#include "util.h"

#define PREFIX "user."
#define SIZE_MAX_BYTES KIB(64) /* XATTR_SIZE_MAX, XATTR_LIST_MAX */

/* The name that the host knows an O_PATH descriptor by. */
struct xattr_path {
    char text[32];
};

static struct xattr_path path_of(int fd)
{
    struct xattr_path p;
    snprintf(p.text, sizeof p.text, "/proc/self/fd/%d", fd);
    return p;
}

static int check(const struct call *c, const char *name)
{
    if (c->inode->id.type != S_IFREG && c->inode->id.type != S_IFDIR)
        return -EOPNOTSUPP;
    return name && strncmp(name, PREFIX, strlen(PREFIX)) ? -EOPNOTSUPP : 0;
}

int op_setxattr(struct call *c)
{
    const struct fuse_setxattr_in *in = c->arg; /* of which only size and flags are there */
    int fd, rc = check(c, c->text[0]);
    if (!rc && in->size > c->tail_len)
        rc = -EINVAL;
    if (!rc)
        rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    if (setxattr(path_of(fd).text, c->text[0], c->tail, in->size, (int)in->flags))
        rc = -errno;
    inode_unpin(c->fs, c->inode);
    return rc;
}

int op_removexattr(struct call *c)
{
    int fd, rc = check(c, c->text[0]);
    if (!rc)
        rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    if (removexattr(path_of(fd).text, c->text[0]))
        rc = -errno;
    inode_unpin(c->fs, c->inode);
    return rc;
}

/* A size of 0 asks how much there is. */
static int reply_size(struct call *c, size_t size)
{
    if (c->req->room_len < sizeof(struct fuse_getxattr_out))
        return -EINVAL;
    struct fuse_getxattr_out *out = call_reply(c, sizeof *out);
    out->size = (uint32_t)size;
    return 0;
}

static int reply_value(struct call *c, size_t asked, ssize_t n)
{
    if (n < 0)
        return -errno;
    if (!asked)
        return reply_size(c, (size_t)n);
    c->req->reply_len = (size_t)n;
    return (size_t)n > asked ? -ERANGE : 0;
}

int op_getxattr(struct call *c)
{
    const struct fuse_getxattr_in *in = c->arg;
    size_t size = in->size < SIZE_MAX_BYTES ? in->size : SIZE_MAX_BYTES;
    int fd, rc = check(c, c->text[0]);
    void *value = NULL;
    if (!rc && size) {
        value = call_reply_large(c, size);
        rc = value ? 0 : -ENOMEM;
    }
    if (!rc)
        rc = inode_pin(c->fs, c->inode, &fd);
    if (rc)
        return rc;
    rc = reply_value(c, size, getxattr(path_of(fd).text, c->text[0], value, size));
    inode_unpin(c->fs, c->inode);
    return rc;
}

/* Keep the names that are shown; how many bytes are left. */
static size_t keep_user(char *list, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t n = strnlen(list + at, len - at) + 1;
        if (n > len - at)
            break;
        if (!strncmp(list + at, PREFIX, strlen(PREFIX))) {
            memmove(list + kept, list + at, n);
            kept += n;
        }
        at += n;
    }
    return kept;
}

int op_listxattr(struct call *c)
{
    const struct fuse_getxattr_in *in = c->arg;
    int fd, rc = check(c, NULL);
    if (rc)
        return rc == -EOPNOTSUPP && !in->size ? reply_size(c, 0) : rc;
    char *names = call_reply_large(c, SIZE_MAX_BYTES);
    rc = names ? inode_pin(c->fs, c->inode, &fd) : -ENOMEM;
    if (rc)
        return rc;
    ssize_t n = listxattr(path_of(fd).text, names, SIZE_MAX_BYTES);
    rc = n < 0 ? -errno : 0;
    inode_unpin(c->fs, c->inode);
    return rc ? rc : reply_value(c, in->size, (ssize_t)keep_user(names, (size_t)n));
}
