// SPDX-License-Identifier: MIT
//
// A hostile driver of the virtio console: rings, control messages, kicks and resets in any order,
// with backends that come, go and block. See tests/lib/console_chaos.c for what the bytes mean.
#include "tests/lib/console_chaos.h"
#include "tests/fuzz/asserts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    console_chaos_run(data, size);
    return 0;
}
