// SPDX-License-Identifier: MIT
//
// isa-debug-exit: ends with the code that the command line gives (code=), which the runner sees as
// exit status 2 * code + 1. Reading the port does nothing.
#include "guest.h"

void guest_main(void)
{
    uint32_t code = asked_number("code=", PASS);
    CHECK(inb(DEBUG_EXIT) == 0);
    CHECK(inb(DEBUG_EXIT + 3) == 0);
    print("ending with code %u\n", code);
    outl(DEBUG_EXIT, code);
    print("still here\n");
}
