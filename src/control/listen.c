// SPDX-License-Identifier: MIT
//
// The names of control sockets and who comes there. See server.h.
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "src/control/server.h"
#include "unix_socket.h"

/* The next free place, or NULL. */
static struct client *listener_place(struct listener *l)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (!l->clients[i].listener)
            return &l->clients[i];
    }
    return NULL;
}

void listener_look(struct listener *l, bool on)
{
    evloop_modify(l->control->loop, &l->watch, on ? EPOLLIN : 0);
}

static void somebody_came(void *self, uint32_t events)
{
    struct listener *l = self;
    (void)events;
    struct client *place = listener_place(l);
    if (!place) {
        listener_look(l, false);
        return;
    }
    int fd = unix_accept(l->watch.fd);
    if (fd >= 0)
        client_open(place, l, fd);
}

int listener_open(struct listener *l, const char *option, const char *path, struct err *err)
{
    char who[32];
    snprintf(who, sizeof who, "%s: ", option);
    int fd = unix_listen(who, path, CONTROL_CLIENTS, err);
    l->watch = (struct fd_watch){.fd = fd, .events = EPOLLIN, .ready = somebody_came, .self = l};
    if (fd < 0)
        return fd;
    l->path = path;
    int rc = evloop_add(l->control->loop, &l->watch);
    return rc ? err_set_errno(err, -rc, "%swatch the socket '%s'", who, path) : 0;
}

void listener_close(struct listener *l)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        client_close(&l->clients[i]);
    evloop_remove(l->control->loop, &l->watch);
    if (l->watch.fd >= 0)
        close(l->watch.fd);
    l->watch.fd = -1;
    if (l->path)
        unlink(l->path);
    l->path = NULL;
}
