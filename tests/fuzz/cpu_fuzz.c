// SPDX-License-Identifier: MIT
//
// Guest code of chance: see tests/lib/x86_chaos.h for what is run and what must hold.
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/x86_chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chaos *ch;
    if (!ch)
        ch = chaos_new();
    if (!chaos_run(ch, data, size)) {
        fprintf(stderr, "mode %u: %s\n", data[0] % CHAOS_MODES, chaos_why(ch));
        abort();
    }
    return 0;
}
