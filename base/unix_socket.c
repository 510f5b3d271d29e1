// SPDX-License-Identifier: MIT
//
// Listening on UNIX sockets: see unix_socket.h.
#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static atomic_int reserve = -1; /* the process's last descriptor */

static void make_reserve(void)
{
    int none = -1, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !atomic_compare_exchange_strong(&reserve, &none, fd))
        close(fd);
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Is this the name of a socket whose owner is no more? */
static bool is_left_over(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = new_socket();
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)addr, sizeof *addr) && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int take_name(int fd, const char *who, const struct sockaddr_un *addr, struct err *err)
{
    if (is_left_over(addr))
        unlink(addr->sun_path);
    if (!fchmod(fd, S_IRUSR | S_IWUSR) && !bind(fd, (const struct sockaddr *)addr, sizeof *addr))
        return 0;
    int e = errno;
    return err_set_errno(err, e, "%slisten on '%s'%s", who, addr->sun_path,
                         e == EADDRINUSE ? " (the name is taken: remove it or choose another)"
                                         : "");
}

int unix_listen(const char *who, const char *path, int backlog, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof addr.sun_path)
        return err_set(err, ENAMETOOLONG,
                       "%sthe name of a socket has at most %zu bytes, this one %zu", who,
                       sizeof addr.sun_path - 1, len);
    memcpy(addr.sun_path, path, len + 1);
    int fd = new_socket();
    if (fd < 0)
        return err_set_errno(err, errno, "%smake a socket for '%s'", who, path);
    int rc = take_name(fd, who, &addr, err);
    if (!rc && listen(fd, backlog)) {
        rc = err_set_errno(err, errno, "%slisten on '%s'", who, path);
        unlink(path);
    }
    if (rc)
        close(fd);
    else
        make_reserve();
    return rc ? rc : fd;
}

static int accept_next(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int unix_accept(int listener)
{
    int fd = accept_next(listener);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
        return fd;
    fd = atomic_exchange(&reserve, -1);
    if (fd >= 0)
        close(fd);
    fd = accept_next(listener);
    if (fd >= 0)
        close(fd);
    make_reserve();
    errno = fd >= 0 ? EAGAIN : EMFILE;
    return -1;
}
