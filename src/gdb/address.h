// SPDX-License-Identifier: MIT
//
// Where the gdb server listens: unix:PATH or tcp:[HOST]:PORT.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/un.h>

#include "err.h"

struct gdb_address {
    const char *text; /* the user's */
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } name;
    socklen_t len;
};

/* -EINVAL with the reason; text must outlive it. */
int gdb_address_parse(const char *text, struct gdb_address *out, struct err *err);
/* A listening socket, or -errno. *made: a file of that name was made. */
int gdb_address_listen(const struct gdb_address *a, bool *made, struct err *err);
/* Of a client's socket: small packets go at once. */
void gdb_address_tune(int fd);
