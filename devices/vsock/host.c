// SPDX-License-Identifier: MIT
//
// Names and handshakes on the host: the socket that we listen on, "CONNECT PORT\n" and its answer,
// and the sockets that the guest's connections go to. See vsock.h.
// The name is removed at the end.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock/priv.h"
#include "unix_socket.h"

#define ACCEPT_TURN 16

/* --- the listening socket --- */

static void listener_ready(void *self, uint32_t events)
{
    (void)events;
    event_post(&((struct vsock *)self)->accept_it);
}

void host_listen_again(struct vsock *v)
{
    evloop_modify(v->env.loop, &v->listener, EPOLLIN | EPOLLONESHOT);
}

int host_listen(struct vsock *v, struct err *err)
{
    const char *path = v->addr.sun_path;
    int fd = unix_listen("-vsock: ", path, 64, err);
    v->listener = (struct fd_watch){
        .fd = fd, .events = EPOLLIN | EPOLLONESHOT, .ready = listener_ready, .self = v};
    if (fd < 0)
        return fd;
    v->bound = true;
    int rc = evloop_add(v->env.loop, &v->listener);
    return rc ? err_set_errno(err, -rc, "-vsock: watch the socket '%s'", path) : 0;
}

void host_end(struct vsock *v)
{
    event_cancel(&v->accept_it);
    evloop_remove(v->env.loop, &v->listener);
    if (v->listener.fd >= 0)
        close(v->listener.fd);
    if (v->bound)
        unlink(v->addr.sun_path);
}

/* --- connections that the host begins --- */

/* False: nobody waits. */
static bool accept_one(struct vsock *v)
{
    int fd = unix_accept(v->listener.fd);
    if (fd < 0) {
        host_listen_again(v);
        return false;
    }
    struct conn *c = mux_new(v);
    if (!c)
        close(fd);
    if (!c || conn_attach(c, fd))
        return true;
    c->state = CONN_HANDSHAKE;
    c->waiting_in = true;
    conn_arm(c);
    return true;
}

void host_accept(void *self)
{
    struct vsock *v = self;
    unsigned n = 0;
    while (n < ACCEPT_TURN && accept_one(v))
        n++;
    if (n == ACCEPT_TURN)
        host_listen_again(v);
}

/* The port of "CONNECT PORT\n"; false: something else. */
static bool parse_line(const char *line, unsigned len, uint32_t *port)
{
    static const char word[] = "CONNECT ";
    const unsigned skip = sizeof word - 1;
    uint64_t n = 0;
    if (len > skip && line[len - 1] == '\r')
        len--;
    if (len <= skip || memcmp(line, word, skip))
        return false;
    for (unsigned i = skip; i < len; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        n = n * 10 + (unsigned)(line[i] - '0');
        if (n > UINT32_MAX)
            return false;
    }
    *port = (uint32_t)n;
    return true;
}

static void ask_guest(struct conn *c, uint32_t port)
{
    struct vsock *v = c->v;
    while (mux_find(v, v->next_port, port))
        v->next_port = v->next_port < HOST_PORT_LAST ? v->next_port + 1 : HOST_PORT_FIRST;
    mux_set_ports(c, v->next_port, port);
    v->next_port = v->next_port < HOST_PORT_LAST ? v->next_port + 1 : HOST_PORT_FIRST;
    c->state = CONN_REQUESTED;
    c->waiting_in = false;
    conn_owe(c, DUE_REQUEST);
    conn_arm(c);
}

/* Byte by byte: what follows the line belongs to the guest. */
void host_handshake(struct conn *c)
{
    struct vsock *v = c->v;
    uint32_t port;
    for (;;) {
        char byte;
        ssize_t n = recv(c->watch.fd, &byte, 1, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            c->waiting_in = true;
            conn_arm(c);
            return;
        }
        if (n <= 0 || (byte != '\n' && c->line_len == HANDSHAKE_MAX))
            break;
        if (byte != '\n') {
            c->line[c->line_len++] = byte;
            continue;
        }
        if (!parse_line(c->line, c->line_len, &port) || !v->client.running(v->client.self))
            break;
        ask_guest(c, port);
        return;
    }
    conn_free(c);
}

bool host_confirm(struct conn *c)
{
    char text[32];
    int len = snprintf(text, sizeof text, "OK %u\n", c->host_port);
    c->v->count.accepted++;
    return send(c->watch.fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
}

/* --- connections that the guest begins --- */

struct conn *host_connect(struct vsock *v, uint32_t port)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s_%u", v->addr.sun_path, port);
    if (len < 0 || (size_t)len >= sizeof addr.sun_path)
        return NULL;
    struct conn *c = mux_new(v);
    if (!c)
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    /* A UNIX socket connects at once or, its listener being behind, not at all. */
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr)) {
        close(fd);
        return NULL;
    }
    return conn_attach(c, fd) ? NULL : c;
}
