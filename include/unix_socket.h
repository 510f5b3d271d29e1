// SPDX-License-Identifier: MIT
//
// UNIX stream sockets under a name of the file system. Thread: any.
#pragma once

#include "err.h"

/*
 * Listen under `path`, for our user alone (mode 0600 before it has the name). A name that nobody
 * listens on any more is taken over; any other that exists is an error. Returns the descriptor,
 * close-on-exec and non-blocking, whose owner removes the name at the end; or -errno. `who` begins
 * the message: "-qmp: ", or "".
 */
int unix_listen(const char *who, const char *path, int backlog, struct err *err);

/*
 * The next one who came there, close-on-exec and non-blocking; -1 with errno: nobody (EAGAIN), or
 * why not. When the process has no descriptor left, one in reserve lets him in to be hung up on: he
 * would wait in vain, and the event loop be told of him all the time.
 */
int unix_accept(int listener);
