// SPDX-License-Identifier: MIT
//
// A hostile driver of virtio sockets, told what to do by bytes, with host programs that connect,
// talk nonsense, stop reading and leave in between. For tests/fuzz/vsock_fuzz.c and a slice of it in
// the unit tests. What must hold is checked all the time; a failure ends the process.
#pragma once

#include <stddef.h>
#include <stdint.h>

void vsock_chaos_init(void);
void vsock_chaos_run(const uint8_t *script, size_t size);
void vsock_chaos_fini(void);

/* How often what happened, so that a test can tell that the generator is worth its name. */
struct vsock_chaos_reach {
    uint64_t accepted, connected, resets, overruns, breakdowns, to_guest, to_host;
};
struct vsock_chaos_reach vsock_chaos_reach(void);
