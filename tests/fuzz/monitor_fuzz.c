// SPDX-License-Identifier: MIT
//
// Any bytes typed at the human monitor, on a terminal or over its socket. See tests/lib/monitor_chaos.h for what they mean and what must hold.
// build/fuzz/monitor_fuzz -runs=1000000 -max_len=400 -dict=tests/fuzz/monitor_fuzz.dict
#include <stdbool.h>
#include <stdlib.h>

#include "tests/fuzz/asserts.h"
#include "tests/lib/fake_terminal.h"
#include "tests/lib/monitor_chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        monitor_chaos_init();
        atexit(monitor_chaos_fini);
    }
    ready = true;
    monitor_chaos_run(data, size);
    return 0;
}
