// SPDX-License-Identifier: MIT
//
// Any bytes as the deeds of a hostile guest and of lively backends: for console_fuzz.c and for a
// fixed number of them in a unit test.
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Does what the bytes say, then checks that a reset mends everything. Aborts when it does not. */
void console_chaos_run(const uint8_t *data, size_t size);
