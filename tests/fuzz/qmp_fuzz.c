// SPDX-License-Identifier: MIT
//
// Any bytes from a client of a control socket: see control_chaos (tests/lib/control_rig.h), which says what must hold.
// build/fuzz/qmp_fuzz -runs=1000000 -max_len=2000 -dict=tests/fuzz/qmp_fuzz.dict
#include <stdlib.h>

#include "tests/lib/control_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct control_rig rig;

static void close_rig(void)
{
    control_rig_close(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.vm.cfg) {
        control_rig_open(&rig);
        atexit(close_rig);
    }
    control_chaos(&rig, data, size);
    return 0;
}
