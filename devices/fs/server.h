// SPDX-License-Identifier: MIT
//
// Inside of the FUSE server: its tables, a request while it is served, and the operations.
//
// Locks: `session` is held for reading by every request and for writing by INIT, DESTROY and reset,
// which empty the tables. `lock` guards the tables; no system call is made under it but close. A
// directory handle's own lock comes before `lock`.
#pragma once

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "devices/fs/host.h"
#include "share.h"

/*
 * A file that the guest knows. Its descriptor (O_PATH) is a cache: it can be closed at any time,
 * and is found again by the names from its parent up, checked by id. A file whose name is gone
 * keeps its descriptor until it is forgotten.
 */
struct inode {
    struct host_id id;
    uint32_t slot, generation;
    bool opaque;    /* mount point of a file system that is not shown: an empty directory */
    uint64_t lookups;
    unsigned refs;  /* requests under way, children, handles */
    struct inode *parent; /* NULL: the root, or no name */
    char *name;
    int fd; /* -1: not open */
    unsigned pins; /* users of fd */
    struct inode *hash_next;
    struct inode *newer, *older; /* among those with a descriptor */
    struct handle *handles;      /* open ones */
    /* The contents that the guest may still have cached: when last opened or written through. */
    struct statx_timestamp seen_mtime;
    uint64_t seen_size;
};

struct inode_slot {
    struct inode *inode; /* NULL: free */
    uint32_t generation, next_free;
};

struct inode_table {
    struct inode_slot *slot;
    uint32_t nslots, cap, free; /* free: first of the list, NO_SLOT: none */
    unsigned count;
    struct inode **bucket;
    uint32_t nbuckets;
    struct inode lru; /* head of a ring: .older is the one used last */
    unsigned nfds, max_fds;
    /* Names being changed by requests of ours, and how many times that began or ended. */
    unsigned changing;
    uint64_t changes;
};

struct handle {
    struct inode *inode;
    struct handle *next; /* of the inode */
    int fd;
    unsigned refs; /* the table's, and requests' */
    bool directory;
    atomic_bool wrote;
    uint32_t flags;
    /* Of a directory: where the guest goes on, and what was read from the host beyond that. */
    pthread_mutex_t lock;
    uint64_t position;
    uint8_t *ahead;
    size_t ahead_len;
};

struct handle_slot {
    struct handle *handle;
    uint32_t generation, next_free;
};

struct handle_table {
    struct handle_slot *slot;
    uint32_t nslots, cap, free;
    unsigned count, max;
};

struct fs {
    char *path;
    bool read_only, map_owner, become_caller;
    enum fs_cache cache;
    uint64_t valid_s; /* how long names and attributes hold */
    uint64_t root_dev;
    uid_t uid;
    gid_t gid;
    int root_fd, proc_fd; /* the directory itself, open for reading; /proc/self/fd */
    pthread_rwlock_t session;
    bool started; /* INIT was answered */
    pthread_mutex_t lock;
    struct inode_table inodes;
    struct handle_table handles;
    atomic_ulong requests, refused;
};

/* One request while it is served. */
struct call {
    struct fs *fs;
    struct fs_request *req;
    struct fuse_in_header h;
    const void *arg;    /* the operation's fixed part */
    const char *text[2]; /* strings after it */
    const uint8_t *tail; /* and what is left */
    size_t tail_len;
    struct inode *inode; /* h.nodeid */
};

typedef int (*op_fn)(struct call *c);

/* --- server.c --- */
/* Room for a reply of len zero bytes, len <= FS_SMALL_REPLY. */
void *call_reply(struct call *c, size_t len);
/* The same for a longer one; NULL: no memory. Cut it by reply_len. */
void *call_reply_large(struct call *c, size_t len);

/* --- inode.c --- */
int inodes_init(struct fs *fs, const struct statx *root, unsigned max_fds);
void inodes_fini(struct fs *fs);
void inodes_reset(struct fs *fs); /* all but the root; no request is under way */
uint64_t inode_nodeid(const struct inode *inode);
struct inode *inode_get(struct fs *fs, uint64_t nodeid); /* NULL: not known */
void inode_put(struct fs *fs, struct inode *inode);
void inode_put_locked(struct fs *fs, struct inode *inode, struct inode **doomed);
void inodes_free(struct inode *doomed); /* those left by inode_put_locked, unlocked */
void inode_forget(struct fs *fs, uint64_t nodeid, uint64_t lookups);

/*
 * What the table says of a file that was just seen as `name` in `parent`; the lookup is counted. fd
 * is an O_PATH descriptor of it, or -1, and belongs to the table from here. -EAGAIN: names moved
 * meanwhile, come again with a descriptor.
 */
struct sighting {
    struct inode *parent;
    const char *name; /* NULL: it has none (an unnamed temporary file) */
    struct statx st;
    int fd;
    bool opaque;
    uint64_t changes; /* from names_reading */
};
int inode_seen(struct fs *fs, const struct sighting *s, struct inode **inode);
uint64_t names_reading(struct fs *fs);

/*
 * Requests that change names say so before and after; in between they find out whom it concerns.
 * The inode of `name`, with a reference and a descriptor of its own, or NULL when the guest does
 * not know it.
 */
void names_change_begin(struct fs *fs);
void names_change_end(struct fs *fs);
struct inode *inode_called(struct fs *fs, int parent_fd, const char *name);
void inode_rename(struct fs *fs, struct inode *inode, struct inode *parent, const char *name);
void inode_unname(struct fs *fs, struct inode *inode, struct inode *parent, const char *name);

/* --- inode_fd.c --- */
/* A descriptor of the inode that stays open until inode_unpin. 0 or -errno, -ESTALE: it is gone. */
int inode_pin(struct fs *fs, struct inode *inode, int *fd);
void inode_unpin(struct fs *fs, struct inode *inode);
int inode_stat(struct fs *fs, struct inode *inode, struct statx *st);
/* Under the lock: a descriptor of the inode joins the cache; one that has to go, or -1. */
int inode_keep_fd(struct fs *fs, struct inode *inode, int fd);
void inode_drop_fd(struct fs *fs, struct inode *inode); /* out of the cache, not closed */
/* Close what has not been used for long; false: there was nothing. */
bool inodes_shrink(struct fs *fs);

/* --- handle.c --- */
void handles_init(struct fs *fs, unsigned max);
void handles_fini(struct fs *fs);
void handles_reset(struct fs *fs);
/* fd belongs to the handle from here, also when this fails. */
int handle_new(struct fs *fs, struct inode *inode, int fd, uint32_t flags, uint64_t *fh);
struct handle *handle_get(struct fs *fs, uint64_t fh, bool directory); /* NULL: not known */
void handle_put(struct fs *fs, struct handle *h);
void handle_release(struct fs *fs, uint64_t fh);

/* --- attr.c --- */
void fill_entry(const struct fs *fs, const struct inode *inode, const struct statx *st,
                struct fuse_entry_out *out);
uint64_t shown_ino(const struct fs *fs, uint64_t dev, uint64_t ino);
/* Look a name up; `out` is filled, and the lookup counted. */
int lookup(struct fs *fs, struct inode *parent, const char *name, struct fuse_entry_out *out);
/* -EPERM: a file of ours does not get these bits. */
int check_mode(const struct fs *fs, uint32_t mode);
/*
 * A change by somebody without rights over set-user-id takes it away; any descriptor of the file.
 */
int clear_set_id(struct fs *fs, int fd);
void become_caller(const struct call *c);
void become_self(const struct call *c);

/* --- the operations --- */
int op_lookup(struct call *c), op_forget(struct call *c), op_batch_forget(struct call *c);
int op_getattr(struct call *c), op_setattr(struct call *c), op_readlink(struct call *c);
int op_access(struct call *c), op_statfs(struct call *c), op_syncfs(struct call *c);
int op_symlink(struct call *c), op_mknod(struct call *c), op_mkdir(struct call *c);
int op_unlink(struct call *c), op_rmdir(struct call *c), op_link(struct call *c);
int op_rename(struct call *c), op_rename2(struct call *c);
int op_open(struct call *c), op_create(struct call *c), op_tmpfile(struct call *c);
int op_read(struct call *c), op_write(struct call *c), op_flush(struct call *c);
int op_release(struct call *c), op_fsync(struct call *c), op_lseek(struct call *c);
int op_fallocate(struct call *c), op_copy_file_range(struct call *c);
int op_opendir(struct call *c), op_readdir(struct call *c), op_readdirplus(struct call *c);
int op_setxattr(struct call *c), op_getxattr(struct call *c), op_listxattr(struct call *c);
int op_removexattr(struct call *c);
