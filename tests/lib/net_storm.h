// SPDX-License-Identifier: MIT
//
// A hostile driver of the network interface, steered by bytes: chains with any descriptors, headers
// and frames, kicks, control commands, frames and refusals from the backend, resets with any
// features. For the fuzzer and for a deterministic test.
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The machine, made once. */
void net_storm_init(void);
void net_storm_fini(void);
/* Play one script from a fresh device; asserts that what must hold does. */
void net_storm_run(const uint8_t *script, size_t size);
/* How far the scripts got, to tell a good generator from a bad one. */
struct net_storm_reach {
    uint64_t sent, received, dropped, breakdowns, commands;
};
struct net_storm_reach net_storm_reach(void);
