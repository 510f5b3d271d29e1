// SPDX-License-Identifier: MIT
//
// Character backends: where the bytes of a serial port or console port come from and go to
// (terminal, file, pty, socket, descriptors, nowhere). A backend never blocks the caller. Bytes
// move when the device asks; the backend only says when asking is worth it. Input that the device
// has no room for stays in the backend, which then stops reading from its own source: nothing is
// lost. Thread: chr_read, chr_write and the client's calls under the device lock; fd work on the
// event loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "event.h"
#include "evloop.h"
#include "stop.h"

struct chr;

/* What a backend tells its device. Called under the device lock (through the event queue). */
struct chr_client {
    void (*readable)(void *self);   /* bytes wait */
    void (*writable)(void *self);   /* a chr_write that was cut short may go on */
    void (*break_seen)(void *self); /* the user asked for a serial break; may be NULL */
    /* The far end came (true) or went (false; every byte it sent was taken before). May be NULL. */
    void (*peer)(void *self, bool here);
    void (*resized)(void *self); /* chr_size gives another answer; may be NULL */
    void *self;
};

struct chr_ops {
    size_t (*read)(struct chr *chr, uint8_t *buf, size_t len);
    size_t (*write)(struct chr *chr, const uint8_t *buf, size_t len);
    void (*fini)(struct chr *chr); /* flush what can be flushed, restore the terminal, free */
    /* Columns and rows of a terminal; false: it is none. NULL: never one. */
    bool (*size)(struct chr *chr, unsigned *cols, unsigned *rows);
    /* The guest opened or closed its end of a console port; NULL: of no interest. */
    void (*guest_open)(struct chr *chr, bool open);
};

struct chr {
    const char *name;
    const struct chr_ops *ops;
    struct chr_client client;
    /* Sees what the device writes. NULL: nobody. */
    void (*tap)(void *self, const uint8_t *bytes, size_t len);
    void *tap_self;
    bool peer_gone; /* what client.peer told last, or would have */
};

/* Take up to len waiting bytes; returns how many (0: none now, `readable` will tell). */
static inline size_t chr_read(struct chr *chr, uint8_t *buf, size_t len)
{
    return chr->ops->read(chr, buf, len);
}

/* Hand over up to len bytes; returns how many were taken (short: `writable` will tell). */
static inline size_t chr_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    size_t n = chr->ops->write(chr, buf, len);
    if (chr->tap)
        chr->tap(chr->tap_self, buf, n);
    return n;
}

static inline bool chr_size(struct chr *chr, unsigned *cols, unsigned *rows)
{
    return chr->ops->size && chr->ops->size(chr, cols, rows);
}

static inline void chr_guest_open(struct chr *chr, bool open)
{
    if (chr->ops->guest_open)
        chr->ops->guest_open(chr, open);
}

/* For backends: the far end came or went. Device lock held. */
static inline void chr_tell_peer(struct chr *chr, bool here)
{
    chr->peer_gone = !here;
    if (chr->client.peer)
        chr->client.peer(chr->client.self, here);
}

/* What every backend is given. */
struct chr_env {
    struct evloop *loop;
    struct event_queue *events;
    struct stop_sink stop; /* Ctrl-A x */
    /* Counted time: a slow reader may hold up the host, for a while, so that the guest does not see
     * it. False: the guest is held back instead, at once. */
    bool patient;
};

/*
 * Open a backend by its description: stdio, file:PATH, pty, none (null is the same), fd:IN:OUT
 * (see chr_fd_open), socket:PATH (a UNIX socket that listens; one client at a time, with nobody
 * there output is dropped). Unknown names list the known ones. The terminal is put in raw mode by
 * tty_raw(), later, so that set-up errors still print well.
 */
struct chr *chr_open(const char *spec, const struct chr_env *env, struct err *err);
void chr_close(struct chr *chr); /* NULL is allowed */

/*
 * Input from one descriptor, output to another (or the same); -1: no input, or output dropped. They
 * stay the caller's, open until chr_close, and their flags as they are: others may share them.
 */
struct chr *chr_fd_open(int in, int out, const struct chr_env *env, struct err *err);

/*
 * Ctrl-A c on a terminal gives the keys that follow to `key`, until it is typed again:
 * CHR_MONITOR_ON, each byte, CHR_MONITOR_OFF. `always`, set before stdio is opened: all of standard
 * input, whatever it is. NULL: nobody wants them. Event loop's thread, without the device lock.
 */
#define CHR_MONITOR_ON (-1)
#define CHR_MONITOR_OFF (-2)
void chr_stdio_monitor(void (*key)(void *self, int key), void *self, bool always);

/* The monitor's words, to where stdio goes. As chr_write, but nothing tells when there is room for
 * what did not fit. */
void chr_stdio_say(const char *text, size_t len);

/* The terminal on stdin got another size. The event loop's thread. */
void chr_stdio_resized(void);

/* Put the terminal on stdin, if it is one, in raw mode; registered so that every way out of the
 * process restores it. */
int tty_raw(struct err *err);

/* Restore the terminal; async-signal-safe; nothing happens when it is not raw. */
void tty_restore(void);
