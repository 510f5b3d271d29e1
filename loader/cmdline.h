// SPDX-License-Identifier: MIT
//
// Reading a Linux command line: parameters between blanks, double quotes around blanks that belong
// to a value, and an end at "--", behind which words are for the guest's init. Used on the host and
// in the guest's init, so it needs no libc but memory functions.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The next parameter from *at on, without its quotes, cut to the room; *at goes behind it. */
bool cmdline_next(const char **at, char *param, size_t room);

/* The value of the last parameter "key=value"; false: there is none, and value is left alone. */
bool cmdline_get(const char *cmdline, const char *key, char *value, size_t room);

/* Is this word there, alone? */
bool cmdline_has(const char *cmdline, const char *word);
