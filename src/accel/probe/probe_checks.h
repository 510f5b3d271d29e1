// SPDX-License-Identifier: MIT
//
// What each guest of the probe must have seen.
#pragma once

#include "src/accel/probe/probe.h"
#include "src/accel/probe/probe_guest.h"

/* The entry of a check's guest. */
const uint8_t *probe_entry(enum probe_what what);

/* Judge what a guest that came to its end left behind. */
void probe_judge(enum probe_what what, const struct probe_saw *saw, struct probe_check *out);
