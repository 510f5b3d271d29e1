// SPDX-License-Identifier: MIT
//
// The software CPU as a machine that runs the same sequences. It runs first, and finds out what
// cannot be compared: instructions that would reach outside the sandbox, and flags that the
// architecture leaves undefined.
#pragma once

#include "gen.h"

void core_init(bool mode32);
void core_fini(void);

struct core_verdict {
    bool comparable;    /* false: leave out instruction `culprit` and try again */
    unsigned culprit;
    uint32_t undefined; /* flags that are undefined at the end */
    uint64_t executed;
};

/* Run from `m`; afterwards `m` is the state at the end or at the fault. `strict`: undefined flags
 * are compared all the same. */
struct core_verdict core_run(struct machine *m, const uint8_t *code, size_t len,
                             const uint16_t *offsets, unsigned n, bool strict);
