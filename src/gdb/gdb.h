// SPDX-License-Identifier: MIT
//
// The gdb server of a machine: -gdb, -s, -S. One client at a time, on the event loop's thread; see
// stub.h for what it says.
#pragma once

#include "accel.h"
#include "err.h"

struct vm;
struct gdb;

/* Listens where the configuration says; *out stays NULL where it says nothing. */
int gdb_open(struct vm *vm, struct gdb **out, struct err *err);
/* On the vCPU's thread: an EXIT_DEBUG. */
void gdb_told(struct gdb *g, const struct vm_exit *exit);
/* The guest was started anew; vCPUs are stopped. NULL does nothing, here and below. */
void gdb_restarted(struct gdb *g);
/* vCPUs have ended, the process will with this status. */
void gdb_ended(struct gdb *g, unsigned status);
void gdb_close(struct gdb *g);

/* Is it unix:PATH or tcp:[HOST]:PORT? For the command line. */
int gdb_check_address(const char *text, struct err *err);
