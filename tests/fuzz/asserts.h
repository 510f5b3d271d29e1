// SPDX-License-Identifier: MIT
//
// What the assertions of the test rigs come down to in a fuzzer, where no Check runner is: abort.
// Include it in the fuzzer's one file, and do not link libcheck.
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void _mark_point(const char *file, int line)
{
    (void)file, (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
    fprintf(stderr, "%s:%d: %s %s\n", file, line, expr, msg ? msg : "");
    abort();
}
