// SPDX-License-Identifier: MIT
//
// Numbers that look random and are the same in every run (xorshift). The state is any number but 0.
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void random_bytes(uint64_t *state, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(random_next(state) >> 24);
}

#define RANDOM_SCRIPT_BYTES 600

/* N scripts of up to RANDOM_SCRIPT_BYTES, each given to `run`: what a fuzzer would do. */
static inline void random_scripts(uint64_t *state, unsigned n,
                                  void (*run)(const uint8_t *data, size_t size))
{
    uint8_t script[RANDOM_SCRIPT_BYTES];
    for (unsigned i = 0; i < n; i++) {
        size_t size = 1 + random_next(state) % sizeof script;
        random_bytes(state, script, size);
        run(script, size);
    }
}
