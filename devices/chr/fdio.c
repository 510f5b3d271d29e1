// SPDX-License-Identifier: MIT
//
// Descriptors that do not make us wait: see fdio.h for the ways.
#include "devices/chr/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening a pty master again would make a new pair. */
static bool is_pty_master(int fd)
{
    unsigned n;
    return ioctl(fd, TIOCGPTN, &n) == 0;
}

static int reopen(int fd, int access)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int fd_share(int fd, int access, struct fd_handle *out)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    *out = (struct fd_handle){.fd = fd, .mode = FD_POLLED, .burst = 1};
    if (S_ISSOCK(st.st_mode)) {
        out->mode = FD_SOCKET;
        return 0;
    }
    if (S_ISFIFO(st.st_mode))
        out->burst = PIPE_BUF;
    if (S_ISFIFO(st.st_mode) || (isatty(fd) && !is_pty_master(fd))) {
        int own = reopen(fd, access);
        if (own >= 0)
            *out = (struct fd_handle){.fd = own, .mode = FD_OWN, .close_it = true};
    }
    return 0;
}

static short poll_now(const struct fd_handle *h, short events)
{
    struct pollfd p = {.fd = h->fd, .events = events};
    return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

/*
 * May a write be tried? 0, -EAGAIN, or -EIO: a pty without peer takes bytes until its buffer is
 * full, for nobody.
 */
static int check_writable(const struct fd_handle *h)
{
    if (h->mode != FD_PTY && h->mode != FD_POLLED)
        return 0;
    short state = poll_now(h, POLLOUT);
    if ((state & POLLHUP) && !(state & POLLERR))
        return -EIO;
    return h->mode == FD_PTY || (state & (POLLOUT | POLLERR)) ? 0 : -EAGAIN;
}

ssize_t fd_read(const struct fd_handle *h, uint8_t *buf, size_t len)
{
    ssize_t n;
    if (h->mode == FD_POLLED && !poll_now(h, POLLIN))
        return -EAGAIN;
    do
        n = h->mode == FD_SOCKET ? recv(h->fd, buf, len, MSG_DONTWAIT) : read(h->fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t fd_write(const struct fd_handle *h, const uint8_t *buf, size_t len)
{
    ssize_t n = check_writable(h);
    if (n)
        return n;
    if (h->mode == FD_POLLED && len > h->burst)
        len = h->burst;
    do
        n = h->mode == FD_SOCKET ? send(h->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : write(h->fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
