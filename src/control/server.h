// SPDX-License-Identifier: MIT
//
// Inside src/control/: listeners, clients and their buffers. Everything has a fixed place in struct
// control, so that a handler may close any client while others of the same round of the event loop
// still wait for theirs.
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <sys/un.h>

#include "config.h"
#include "evloop.h"
#include "src/control/control.h"
#include "src/control/frame.h"
#include "src/control/monitor.h"
#include "src/control/qmp.h"

#define CONTROL_CLIENTS 8  /* of one listener; more wait until one leaves */
#define CONTROL_TOLD 64    /* events between two deliveries */
#define CLIENT_READ 1024   /* bytes at a time: what one can ask for in them bounds the answers */
#define CLIENT_OUT_HIGH                                                                            \
    (256 * 1024) /* with more unread a client is not read from, and events pass it by */

struct client {
    struct listener *listener; /* NULL: nobody here */
    struct fd_watch watch;
    bool ended; /* sends no more; closed when it has got what is due to it */
    char *out;
    size_t out_len, out_cap;
    struct qmp_state qmp;
    struct frame frame;
    char line[MONITOR_LINE];
    size_t line_len;
    bool line_skips;
};

struct listener {
    struct control *control;
    enum control_kind kind;
    struct fd_watch watch;
    const char *path; /* the configuration's; NULL: no name is ours */
    struct client clients[CONTROL_CLIENTS];
};

struct control {
    struct vm *vm;
    struct evloop *loop;
    struct listener listeners[CONFIG_MAX_CONTROLS];
    unsigned nlisteners;
    struct terminal_monitor *terminal; /* on stdio; or NULL */
    pthread_mutex_t lock; /* a leaf: what was told */
    struct control_news told[CONTROL_TOLD];
    unsigned ntold;
};

/* listen.c. A socket's name is there for its owner only (0600); one that nobody listens on any more
 * is taken over. */
int listener_open(struct listener *l, const char *option, const char *path, struct err *err);
void listener_close(struct listener *l);
/* Look for new clients, or leave them waiting. */
void listener_look(struct listener *l, bool on);

/* client.c */
void client_open(struct client *client, struct listener *l,
                 int fd); /* fd is the client's from here */
void client_close(struct client *client);
void client_say(struct client *client, const char *text, size_t len);
/* Send what the socket takes now. */
void client_flush(struct client *client);

