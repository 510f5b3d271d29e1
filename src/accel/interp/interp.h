// SPDX-License-Identifier: MIT
//
// The interpreter engine's door.
#pragma once

#include "accel.h"

extern const struct accel_ops interp_accel;
