// SPDX-License-Identifier: MIT
//
// The lockstep runner: one machine, two engines, compared instruction by instruction. a->lockstep
// says which.
#pragma once

#include "accel.h"

extern const struct accel_ops lockstep_accel;
