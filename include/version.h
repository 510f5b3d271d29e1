// SPDX-License-Identifier: MIT
//
// The one place that knows which release this is.
#pragma once

#define MINIVMM_VERSION "0.1.0"
