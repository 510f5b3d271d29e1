// SPDX-License-Identifier: MIT
//
// Where the gdb server listens: unix:PATH or tcp:[HOST]:PORT.
#pragma once

#include <netinet/in.h>

#include "err.h"

struct gdb_address {
    const char *text; /* the user's */
    const char *path; /* in it; NULL: a port */
    struct sockaddr_in port;
};

/* -EINVAL with the reason; text must outlive it. */
int gdb_address_parse(const char *text, struct gdb_address *out, struct err *err);
/* A listening socket, or -errno. The file `path` is there then, for the caller to remove. */
int gdb_address_listen(const struct gdb_address *a, struct err *err);
/* Of a client's socket: small packets go at once. */
void gdb_address_tune(int fd);
