// SPDX-License-Identifier: MIT
//
// pvpanic: the port tells which events it knows; a crash-kernel event changes nothing; a panic ends
// the machine.
#include "guest.h"

void guest_main(void)
{
    CHECK(inb(PVPANIC) == 3);
    outb(PVPANIC, 0);
    outb(PVPANIC, 2);
    print("crash kernel announced\n");
    outb(PVPANIC, 1);
    print("FAILED: the panic was not heard\n");
    finish(FAIL);
}
