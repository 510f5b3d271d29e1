// SPDX-License-Identifier: MIT
//
// Errors as answers. A function that can fail for a reason outside the program takes `struct err *`
// last, returns a negative errno, and words the message once, where it knows most. Only main() and
// control replies print it. A message is one line without a final full stop or newline: what
// failed, which object, why, what to do.
#pragma once

struct err {
    char msg[512];
};

/* Store a message and return -errnum (errnum > 0). The first message wins: the innermost knows
 * most. */
int err_set(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and the system's text for errnum appended. */
int err_set_errno(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
