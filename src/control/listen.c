// SPDX-License-Identifier: MIT
//
// The names of control sockets and who comes there. See server.h.
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/control/server.h"

/* Is this the name of a socket whose owner is no more? */
static bool is_left_over(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)addr, sizeof *addr) && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

struct client *listener_place(struct listener *l)
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
    int fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        client_open(place, l, fd);
    else if (errno == EMFILE || errno == ENFILE)
        listener_look(l, false); /* until a client leaves: there is nothing to do but spin */
}

/* The mode is the socket's before it has a name, so nobody else finds it open for a moment. */
static int bind_and_listen(struct listener *l, const char *option, struct err *err)
{
    const char *path = l->addr.sun_path;
    int fd = l->watch.fd;
    if (is_left_over(&l->addr))
        unlink(path);
    if (fchmod(fd, S_IRUSR | S_IWUSR) || bind(fd, (const struct sockaddr *)&l->addr, sizeof l->addr)) {
        int e = errno;
        return err_set_errno(err, e, "%s: listen on '%s'%s", option, path,
                             e == EADDRINUSE ? " (the name is taken: remove it or choose another)" : "");
    }
    l->bound = true;
    if (listen(fd, CONTROL_CLIENTS))
        return err_set_errno(err, errno, "%s: listen on '%s'", option, path);
    int rc = evloop_add(l->control->loop, &l->watch);
    return rc ? err_set_errno(err, -rc, "%s: watch the socket '%s'", option, path) : 0;
}

int listener_open(struct listener *l, const char *option, const char *path, struct err *err)
{
    if (strlen(path) >= sizeof l->addr.sun_path)
        return err_set(err, ENAMETOOLONG, "%s: the name of a socket has at most %zu bytes, this one %zu", option,
                       sizeof l->addr.sun_path - 1, strlen(path));
    l->addr.sun_family = AF_UNIX;
    memcpy(l->addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    l->watch = (struct fd_watch){.fd = fd, .events = EPOLLIN, .ready = somebody_came, .self = l};
    if (fd < 0)
        return err_set_errno(err, errno, "%s: make a socket for '%s'", option, path);
    return bind_and_listen(l, option, err);
}

void listener_close(struct listener *l)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        client_close(&l->clients[i]);
    evloop_remove(l->control->loop, &l->watch);
    if (l->watch.fd >= 0)
        close(l->watch.fd);
    l->watch.fd = -1;
    if (l->bound)
        unlink(l->addr.sun_path);
    l->bound = false;
}
