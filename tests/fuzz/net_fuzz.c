// SPDX-License-Identifier: MIT
//
// Fuzzes the network interface, its header and chains and the offloads behind it: tests/lib/net_storm.h
// plays the input as a script of a hostile driver. build/fuzz/net_fuzz -runs=1000000 -max_len=800
// The test library asserts through Check, whose runner is not here: a failed assertion aborts.
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/net_storm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void _mark_point(const char *file, int line)
{
    (void)file, (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
    fprintf(stderr, "%s:%d: %s%s%s\n", file, line, expr, msg ? ": " : "", msg ? msg : "");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        net_storm_init();
    ready = true;
    net_storm_run(data, size);
    return 0;
}
