// SPDX-License-Identifier: MIT
//
// The host CPU as a machine that runs a code sequence from a given state to its end or to its first
// fault.
#pragma once

#include "gen.h"

/* Map code and sandbox, take the signals. False, with a message, when that cannot be had here. */
bool host_init(bool mode32);

/* Run `len` bytes at CODE_BASE from `m`; afterwards `m` is the state at the end or at the fault. */
void host_run(struct machine *m, const uint8_t *code, size_t len);
