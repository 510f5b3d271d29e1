// SPDX-License-Identifier: MIT
//
// Bytes through file descriptors that may not be ours alone and must never make us wait: what the
// stdio, file and pty backends are made of.
//
// How waiting is avoided. O_NONBLOCK belongs to the open file description, and those of stdin and
// stdout are shared with the shell and with whatever else writes to the same terminal or pipe;
// set there it would break them, and outlive us. So a pipe or terminal is opened once more
// through /proc/self/fd, which gives a description of our own that may be non-blocking (FD_OWN;
// FD_PTY is the same for a pty master, of which a write tells whether anybody is there). A socket
// has MSG_DONTWAIT. What epoll refuses (regular files, /dev/null) never waits (FD_FILE). What
// remains (FD_POLLED: a terminal that belongs to another user after su, no /proc) is polled and
// written a little at a time by the event loop alone, without a lock: were another process to
// fill the terminal in between, the loop would wait a moment, the guest would not.
//
// Threads: the read, write and init calls under the device lock; fd work on the event loop; between
// the two one mutex per direction, under which only log.h's lock is taken. fini when the loop no
// longer runs.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "chr.h"

enum fd_mode { FD_OWN, FD_PTY, FD_SOCKET, FD_FILE, FD_POLLED };

struct fd_handle {
    int fd;
    enum fd_mode mode;
    bool close_it;
    size_t burst; /* FD_POLLED: most bytes that a positive poll makes room for */
};

/*
 * Take a descriptor that is shared with others (stdin, stdout) for O_RDONLY or O_WRONLY use.
 * -errno if it is closed.
 */
int fd_share(int fd, int access, struct fd_handle *out);

/* Transfer without waiting: bytes moved, 0 for end of file, -EAGAIN, or another negative errno. */
ssize_t fd_read(const struct fd_handle *h, uint8_t *buf, size_t len);
ssize_t fd_write(const struct fd_handle *h, const uint8_t *buf, size_t len);

#define FD_RING 65536u /* a power of two */

/*
 * The way out: straight to the descriptor while that takes it, else through a ring; a full ring
 * holds the guest back.
 */
struct fd_out {
    /* A write failed; true: said already. Any thread, lock held. NULL: a warning says it. */
    bool (*failed)(void *self, int errnum);
    void *self;        /* of failed */
    int patience_ms;   /* how long fd_out_fini waits for a reader that takes nothing */
    const char *what; /* for messages: "serial output to stdout" */
    struct chr *chr;
    struct evloop *loop;
    struct fd_handle h;
    struct fd_watch watch;
    struct event writable;
    pthread_mutex_t lock;
    bool armed;          /* the loop will come when the descriptor takes more */
    bool cut_short;      /* the device waits for `writable` */
    bool warned;
    bool patient;
    uint32_t head, tail; /* free-running: head - tail bytes wait */
    uint8_t ring[FD_RING];
};

/* On failure the caller still calls the matching fini; so for fd_in_init. */
int fd_out_init(struct fd_out *out, const struct fd_handle *h, const struct chr_env *env,
                struct chr *chr, const char *what, struct err *err);
size_t fd_out_write(struct fd_out *out, const uint8_t *buf, size_t len);
/* Flush, giving up when the reader takes nothing for patience_ms (FD_OUT_STUCK_MS unless set after
 * fd_out_init); then close. */
void fd_out_fini(struct fd_out *out);

#define FD_OUT_STUCK_MS 2000
#define FD_OUT_ROUND_MS 20

#define FD_IN_BREAK 0x100 /* in the stream of what was read: the user asked for a break here */
#define FD_IN_NOTHING (-1)

/* How a backend shapes its input. On the event loop's thread, without locks. */
struct fd_in_hooks {
    /* What becomes of a byte: a byte, FD_IN_BREAK or FD_IN_NOTHING. NULL: all pass. */
    int (*filter)(void *self, uint8_t byte);
    bool (*may_read)(void *self); /* false: not now, ask again soon; NULL: always */
    void (*ended)(void *self); /* nothing will come any more, device lock held; NULL: no matter */
    void *self;
    bool retry; /* EIO comes and goes (pty without peer, terminal in other hands): try again soon */
};

/* The way in: the loop reads ahead into a ring until that is full, the device takes from it. */
struct fd_in {
    const char *what;
    struct chr *chr;
    struct evloop *loop;
    struct fd_handle h;
    struct fd_in_hooks hooks;
    struct fd_watch watch, retry;
    struct event arrived, break_at, end_at;
    pthread_mutex_t lock;
    bool armed;        /* the loop will come by itself when there is more */
    bool ended;        /* end of file or error */
    bool end_told;     /* the device knows, having taken everything */
    bool break_posted; /* nothing is given out until the device heard of the break */
    uint32_t head, tail;
    uint16_t ring[FD_RING];
};

int fd_in_init(struct fd_in *in, const struct fd_handle *h, const struct chr_env *env,
               struct chr *chr, const char *what, const struct fd_in_hooks *hooks,
               struct err *err);
size_t fd_in_read(struct fd_in *in, uint8_t *buf, size_t len);
void fd_in_fini(struct fd_in *in);
