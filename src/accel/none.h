// SPDX-License-Identifier: MIT
#pragma once

#include "accel.h"

extern const struct accel_ops none_accel;
