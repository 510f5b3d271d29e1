// SPDX-License-Identifier: MIT
//
// Any bytes from a client of a control socket: see control_chaos (tests/lib/control_rig.h), which says what must hold.
#include "tests/lib/control_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct control_rig rig;
    if (!rig.vm.cfg)
        control_rig_open(&rig);
    control_chaos(&rig, data, size);
    return 0;
}
