// SPDX-License-Identifier: MIT
#pragma once

#include "accel.h"

/* One word for each kind of exit. */
extern const char *const report_exit_names[EXIT_KINDS];
