// SPDX-License-Identifier: MIT
//
// A hostile gdb client: packets, registers, memory, breakpoints and steps in any order. See tests/lib/gdb_chaos.h for what the bytes mean.
// build/fuzz/gdb_fuzz -runs=1000000 -max_len=1024 -dict=tests/fuzz/gdb_fuzz.dict
#include "tests/lib/gdb_chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gdb_chaos_run(data, size);
    return 0;
}
