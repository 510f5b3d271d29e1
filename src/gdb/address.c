// SPDX-License-Identifier: MIT
//
// Addresses of the gdb server. A debugger reads and changes all of the guest, so by itself a port
// is open to this host only, and a socket in the file system to its owner (unix_socket.h). Left
// out: names of hosts (they need the resolver), IPv6.
#include "src/gdb/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "opt.h"
#include "unix_socket.h"

#define FORMS "unix:PATH or tcp:[HOST]:PORT"

static int parse_unix(const char *path, struct gdb_address *out, struct err *err)
{
    if (!*path)
        return err_set(err, EINVAL, "-gdb: the path is empty (%s)", FORMS);
    out->path = path;
    return 0;
}

static bool parse_host(const char *host, size_t len, struct in_addr *out)
{
    char text[16];
    if (!len || (len == 9 && !memcmp(host, "localhost", 9))) {
        out->s_addr = htonl(INADDR_LOOPBACK);
        return true;
    }
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET, text, out) == 1;
}

static int parse_tcp(const char *rest, struct gdb_address *out, struct err *err)
{
    const char *colon = strrchr(rest, ':');
    uint64_t port;
    if (!colon)
        return err_set(err, EINVAL, "-gdb: '%s' has no port (%s)", OPT_QUOTE(out->text), FORMS);
    if (!opt_number(colon + 1, &port) || !port || port > 65535)
        return err_set(err, EINVAL, "-gdb: '%s' is not a port from 1 to 65535",
                       OPT_QUOTE(colon + 1));
    out->port.sin_family = AF_INET;
    out->port.sin_port = htons((uint16_t)port);
    if (!parse_host(rest, (size_t)(colon - rest), &out->port.sin_addr))
        return err_set(err, EINVAL, "-gdb: '%s': the host is an IPv4 address, localhost or nothing",
                       OPT_QUOTE(out->text));
    return 0;
}

int gdb_address_parse(const char *text, struct gdb_address *out, struct err *err)
{
    *out = (struct gdb_address){.text = text};
    if (!strncmp(text, "unix:", 5))
        return parse_unix(text + 5, out, err);
    if (!strncmp(text, "tcp:", 4))
        return parse_tcp(text + 4, out, err);
    return err_set(err, EINVAL, "-gdb: '%s' is not %s", OPT_QUOTE(text), FORMS);
}

static int listen_port(const struct gdb_address *a, struct err *err)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "-gdb: make a socket for '%s'", a->text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!bind(fd, (const struct sockaddr *)&a->port, sizeof a->port) && !listen(fd, 1))
        return fd;
    int e = errno;
    close(fd);
    return err_set_errno(err, e, "-gdb: listen on '%s'%s", a->text,
                         e == EADDRINUSE ? " (choose another port)" : "");
}

int gdb_address_listen(const struct gdb_address *a, struct err *err)
{
    return a->path ? unix_listen("-gdb: ", a->path, 1, err) : listen_port(a, err);
}

void gdb_address_tune(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* no harm to others */
}
