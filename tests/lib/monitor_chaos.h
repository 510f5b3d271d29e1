// SPDX-License-Identifier: MIT
//
// Any bytes typed at the human monitor: over its socket by a client that may not read, or on a terminal, where Ctrl-A c takes turns between guest
// and monitor. A model of its own says which bytes belong to whom. For tests/fuzz/monitor_fuzz.c and a slice of it in the unit tests; what must
// hold is checked all the time.
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Takes over standard input and output. The program includes tests/lib/fake_terminal.h. */
void monitor_chaos_init(void);
/* The first byte says where they are typed. */
void monitor_chaos_run(const uint8_t *data, size_t size);
void monitor_chaos_fini(void);

/* How often what happened, so that a test can tell that the generator is worth its name. */
struct monitor_chaos_reach {
    uint64_t to_guest, breaks, turns, lines, quits, unread;
};
struct monitor_chaos_reach monitor_chaos_reach(void);
