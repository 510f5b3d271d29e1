// SPDX-License-Identifier: MIT
//
// Nanoseconds of guest time to ticks of an oscillator and back, for devices whose crystal is no
// round number of nanoseconds. Both ways count from guest time 0 with 128-bit products, so that
// nothing is rounded twice and a periodic device that counts in ticks never drifts.
#pragma once

#include <stdint.h>

#include "clock.h"
#include "util.h"

/* Whole ticks of a `hz` oscillator that have passed at `ns`. */
static inline uint64_t ticks_from_ns(uint64_t ns, uint64_t hz)
{
    return (uint64_t)((unsigned __int128)ns * hz / NS_PER_S);
}

/*
 * The first nanosecond at which ticks_from_ns() gives `ticks`; CLOCK_NEVER when it lies beyond the
 * clock's range.
 */
static inline uint64_t ns_from_ticks(uint64_t ticks, uint64_t hz)
{
    unsigned __int128 ns = ((unsigned __int128)ticks * NS_PER_S + (hz - 1)) / hz;
    return ns < CLOCK_NEVER ? (uint64_t)ns : CLOCK_NEVER;
}
