// SPDX-License-Identifier: MIT
//
// A host directory served to the guest in the FUSE protocol (linux/fuse.h, 7.31 and newer): one
// request in, one reply out. Whoever carries the requests (virtio-fs) copies a request's header and
// arguments once and hands them over; file contents move straight between the host's file and the
// guest's memory.
// Everything stays below the directory: names are single components, resolved one at a time from
// descriptors that are inside it, and symbolic links are read for the guest, never followed.
// Thread: fs_serve from any number of threads at once, never under the device lock (it waits for
// the host); the rest from one thread while no fs_serve runs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "err.h"

/* How long the guest may believe what it was told of names and attributes. */
enum fs_cache {
    FS_CACHE_AUTO,   /* one second; file contents until size or times change */
    FS_CACHE_NONE,   /* ask again each time */
    FS_CACHE_ALWAYS, /* for good: nobody else changes the directory */
};

enum fs_owner {
    FS_OWNER_AUTO, /* map, but for root keep */
    FS_OWNER_MAP,  /* the host user's files are the guest's root's; there is no other owner */
    FS_OWNER_KEEP, /* numbers as they are */
};

struct fs_config {
    const char *path;
    bool read_only;
    enum fs_cache cache;
    enum fs_owner owner;
};

struct fs;

/* Room for every reply of fixed size, without its header. */
#define FS_SMALL_REPLY 160
/* Header and arguments together are never longer than this. */
#define FS_ARGS_MAX (72u << 10)
#define FS_HEADER_IN 40
#define FS_HEADER_OUT 16
/* Bytes of file contents in one request. */
#define FS_TRANSFER_MAX (1u << 20)

struct fs_request {
    /* Header and arguments, a copy that nobody else writes to, aligned to 8. */
    const uint8_t *args;
    size_t args_len;
    /* What follows the arguments: file contents, in memory that may change at any moment. */
    const struct iovec *data;
    unsigned ndata;
    uint64_t data_len;
    /* Where the reply may go, behind its header; false: not even a header fits. */
    bool can_reply;
    const struct iovec *room;
    unsigned nroom;
    uint64_t room_len;

    /* The answer. */
    bool no_reply;     /* this operation has none */
    int error;         /* 0 or a negative errno; then there is no payload */
    const void *reply; /* reply_len bytes, to be copied into the room */
    size_t reply_len;
    uint64_t moved;    /* bytes that are in the room already; then there is no `reply` */
    uint8_t small[FS_SMALL_REPLY] __attribute__((aligned(8)));
    void *large;       /* a reply that is not small; fs_request_done frees it */
};

/*
 * Bytes of header and arguments of the request that starts with this header, the rest being file
 * contents; at most `len`.
 */
size_t fs_args_len(const uint8_t header[FS_HEADER_IN], size_t len);

/* Open the directory. NULL with `err` set on failure. */
struct fs *fs_open(const struct fs_config *cfg, struct err *err);
void fs_close(struct fs *fs);

/*
 * Once on each thread that will serve, before it does: files get the modes that the guest asks for.
 */
void fs_thread_init(void);
void fs_serve(struct fs *fs, struct fs_request *req);
void fs_request_done(struct fs_request *req);

/* Forget every node and handle: the guest's driver starts anew. */
void fs_reset(struct fs *fs);

/* --- all that the guest can hold, for whoever lists or saves it --- */
struct fs_node_info {
    uint64_t nodeid, generation, lookups;
    const char *path; /* below the directory, "" for itself; NULL: it has no name any more */
    uint32_t type;    /* as in st_mode */
};

struct fs_handle_info {
    uint64_t fh, nodeid;
    uint32_t flags;     /* of open(2) */
    bool directory;
    uint64_t position;  /* of a directory: where the next read goes on */
};

/* Both return 0, or -ENOMEM when a path did not fit into memory. */
int fs_each_node(struct fs *fs, void (*fn)(void *opaque, const struct fs_node_info *node),
                 void *opaque);
int fs_each_handle(struct fs *fs, void (*fn)(void *opaque, const struct fs_handle_info *handle),
                   void *opaque);

struct fs_counters {
    uint64_t requests, refused; /* refused: malformed, or not allowed by this server's own rules */
    unsigned nodes, handles, descriptors;
};
struct fs_counters fs_count(struct fs *fs);
