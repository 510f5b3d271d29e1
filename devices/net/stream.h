// SPDX-License-Identifier: MIT
//
// Frames over a connected stream socket, as QEMU's stream netdev and passt speak it: a 32-bit
// big-endian length, then the frame. One read takes what is there, frames are lent from the
// buffer; small frames go out together. Both buffers are bounded.
// Thread: as include/net.h.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"

struct stream {
    const struct net_env *env;
    struct fd_watch watch; /* fd: -1 when not connected */
    struct event woken;    /* the descriptor became ready */
    uint8_t *in, *out;     /* made with the first connection */
    size_t in_start, in_end, out_start, out_end;
    bool refused;          /* a send found no room: tell when there is some again */
    atomic_bool hung_up;   /* the peer will send no more; there may be frames left to read */
    bool lost;             /* the peer went, or sent nonsense; fd still open */
    void (*readable)(void *self);
    void (*writable)(void *self);
    void (*gone)(void *self); /* the peer is gone: call stream_disconnect, then do as you please */
    void *self;
};

/* Fill in env, self and the three functions first. */
void stream_init(struct stream *s);
/* Take over a connected socket; it becomes non-blocking. */
int stream_connect(struct stream *s, int fd);
void stream_disconnect(struct stream *s);
void stream_fini(struct stream *s);

static inline bool stream_connected(const struct stream *s)
{
    return s->watch.fd >= 0;
}

/* Is there room for so many frames, made by sending if need be? If not, it is told later when there
 * is. */
bool stream_room(struct stream *s, unsigned frames, size_t bytes);
bool stream_send(struct stream *s, const struct iovec *iov, unsigned niov, size_t len);
void stream_flush(struct stream *s);
/* The next whole frame in place; the caller may write to it. False: none yet. */
bool stream_peek(struct stream *s, uint8_t **data, size_t *len);
void stream_next(struct stream *s);
