// SPDX-License-Identifier: MIT
//
// Addresses of the gdb server. A debugger reads and changes all of the guest, so by itself a port is open to this host only, and a socket in
// the file system to its owner (mode 0600). Left out: names of hosts (they need the resolver), IPv6.
#include "src/gdb/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opt.h"

#define FORMS "unix:PATH or tcp:[HOST]:PORT"

static int parse_unix(const char *path, struct gdb_address *out, struct err *err)
{
    struct sockaddr_un *un = &out->name.un;
    if (!*path)
        return err_set(err, EINVAL, "-gdb: the path is empty (%s)", FORMS);
    if (strlen(path) >= sizeof un->sun_path)
        return err_set(err, EINVAL, "-gdb: '%s': a socket's name has at most %zu bytes", OPT_QUOTE(path), sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    out->len = sizeof *un;
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
    struct sockaddr_in *in = &out->name.in;
    const char *colon = strrchr(rest, ':');
    uint64_t port;
    if (!colon)
        return err_set(err, EINVAL, "-gdb: '%s' has no port (%s)", OPT_QUOTE(out->text), FORMS);
    if (!opt_number(colon + 1, &port) || !port || port > 65535)
        return err_set(err, EINVAL, "-gdb: '%s' is not a port from 1 to 65535", OPT_QUOTE(colon + 1));
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    out->len = sizeof *in;
    if (!parse_host(rest, (size_t)(colon - rest), &in->sin_addr))
        return err_set(err, EINVAL, "-gdb: '%s': the host is an IPv4 address, localhost or nothing", OPT_QUOTE(out->text));
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

/* A file that is there already is left alone, even a socket that nobody listens on: it may be anybody's. */
int gdb_address_listen(const struct gdb_address *a, bool *made, struct err *err)
{
    bool local = a->name.any.sa_family == AF_UNIX;
    int one = 1, fd = socket(a->name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "-gdb: make a socket for '%s'", a->text);
    if (local)
        fchmod(fd, 0600); /* the mode that the name will have */
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int rc = bind(fd, &a->name.any, a->len);
    *made = local && !rc;
    if (!rc)
        rc = listen(fd, 1);
    if (!rc)
        return fd;
    int e = errno;
    close(fd);
    return err_set_errno(err, e, "-gdb: listen on '%s'%s", a->text,
                         e != EADDRINUSE ? "" : local ? " (the name is taken: remove it or choose another)" : " (choose another port)");
}

void gdb_address_tune(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* no harm to others */
}
