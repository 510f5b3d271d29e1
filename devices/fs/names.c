// SPDX-License-Identifier: MIT
//
// Operations that make, move and remove names. Before a name goes or moves, the file behind it gets
// a descriptor if the guest knows it: it may be open there, and is found by nothing else
// afterwards.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "devices/fs/server.h"

/* Reply with what `name` now is. */
static int reply_entry(struct call *c, const char *name)
{
    struct fuse_entry_out *out = call_reply(c, sizeof *out);
    return lookup(c->fs, c->inode, name, out);
}

int op_symlink(struct call *c)
{
    int dir, rc = inode_pin(c->fs, c->inode, &dir);
    if (rc)
        return rc;
    if (!*c->text[1])
        rc = -ENOENT;
    become_caller(c);
    if (!rc && symlinkat(c->text[1], dir, c->text[0]))
        rc = -errno;
    become_self(c);
    inode_unpin(c->fs, c->inode);
    return rc ? rc : reply_entry(c, c->text[0]);
}

int op_mknod(struct call *c)
{
    const struct fuse_mknod_in *in = c->arg;
    uint32_t type = in->mode & S_IFMT;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
        return -EPERM;
    int rc = check_mode(c->fs, in->mode);
    int dir;
    if (!rc)
        rc = inode_pin(c->fs, c->inode, &dir);
    if (rc)
        return rc;
    become_caller(c);
    if (mknodat(dir, c->text[0], in->mode, 0))
        rc = -errno;
    become_self(c);
    inode_unpin(c->fs, c->inode);
    return rc ? rc : reply_entry(c, c->text[0]);
}

int op_mkdir(struct call *c)
{
    const struct fuse_mkdir_in *in = c->arg;
    int dir, rc = inode_pin(c->fs, c->inode, &dir);
    if (rc)
        return rc;
    become_caller(c);
    if (mkdirat(dir, c->text[0], in->mode & 07777))
        rc = -errno;
    become_self(c);
    inode_unpin(c->fs, c->inode);
    return rc ? rc : reply_entry(c, c->text[0]);
}

static int remove_name(struct call *c, int flags)
{
    struct fs *fs = c->fs;
    int dir, rc = inode_pin(fs, c->inode, &dir);
    if (rc)
        return rc;
    names_change_begin(fs);
    struct inode *victim = inode_called(fs, dir, c->text[0]);
    if (unlinkat(dir, c->text[0], flags))
        rc = -errno;
    if (!rc && victim)
        inode_unname(fs, victim, c->inode, c->text[0]);
    names_change_end(fs);
    if (victim)
        inode_put(fs, victim);
    inode_unpin(fs, c->inode);
    return rc;
}

int op_unlink(struct call *c)
{
    return remove_name(c, 0);
}

int op_rmdir(struct call *c)
{
    return remove_name(c, AT_REMOVEDIR);
}

/* --- rename --- */

/* Both ends of a rename: directory, its descriptor, the name, and who is known by it. */
struct end {
    struct inode *dir;
    int fd;
    const char *name;
    struct inode *known;
};

static void moved(struct fs *fs, const struct end *from, const struct end *to, unsigned flags)
{
    if (from->known == to->known)
        return; /* two links of one file: nothing happened */
    if (to->known && !(flags & RENAME_EXCHANGE))
        inode_unname(fs, to->known, to->dir, to->name);
    else if (to->known)
        inode_rename(fs, to->known, from->dir, from->name);
    if (from->known)
        inode_rename(fs, from->known, to->dir, to->name);
}

static int rename_between(struct fs *fs, struct end *from, struct end *to, unsigned flags)
{
    int rc = 0;
    names_change_begin(fs);
    from->known = inode_called(fs, from->fd, from->name);
    to->known = inode_called(fs, to->fd, to->name);
    if (renameat2(from->fd, from->name, to->fd, to->name, flags))
        rc = -errno;
    else
        moved(fs, from, to, flags);
    names_change_end(fs);
    if (from->known)
        inode_put(fs, from->known);
    if (to->known)
        inode_put(fs, to->known);
    return rc;
}

static int rename_to(struct call *c, uint64_t newdir, unsigned flags)
{
    struct fs *fs = c->fs;
    struct end from = {.dir = c->inode, .name = c->text[0]};
    struct end to = {.dir = inode_get(fs, newdir), .name = c->text[1]};
    if (!to.dir)
        return -ESTALE;
    int rc = to.dir->opaque ? -EACCES : inode_pin(fs, from.dir, &from.fd);
    if (!rc) {
        rc = inode_pin(fs, to.dir, &to.fd);
        if (!rc) {
            rc = rename_between(fs, &from, &to, flags);
            inode_unpin(fs, to.dir);
        }
        inode_unpin(fs, from.dir);
    }
    inode_put(fs, to.dir);
    return rc;
}

int op_rename(struct call *c)
{
    const struct fuse_rename_in *in = c->arg;
    return rename_to(c, in->newdir, 0);
}

int op_rename2(struct call *c)
{
    const struct fuse_rename2_in *in = c->arg;
    if (in->flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    return rename_to(c, in->newdir, in->flags);
}

int op_link(struct call *c)
{
    const struct fuse_link_in *in = c->arg;
    struct fs *fs = c->fs;
    struct inode *old = inode_get(fs, in->oldnodeid);
    if (!old)
        return -ESTALE;
    int fd, dir, rc = inode_pin(fs, old, &fd);
    if (!rc) {
        rc = inode_pin(fs, c->inode, &dir);
        if (!rc) {
            struct host_fd_name name = host_fd_name(fd);
            if (linkat(fs->proc_fd, name.text, dir, c->text[0], AT_SYMLINK_FOLLOW))
                rc = -errno;
            inode_unpin(fs, c->inode);
        }
        inode_unpin(fs, old);
    }
    inode_put(fs, old);
    return rc ? rc : reply_entry(c, c->text[0]);
}
