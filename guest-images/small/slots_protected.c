// SPDX-License-Identifier: MIT
//
// Which device is in which slot, as layout.h has it: what a guest calls its network interfaces
// follows from that, so that nothing may move when a disk is added.
#include "guest.h"

static const char *name_of(uint32_t id)
{
    switch (id) {
    case 0x10411af4: return "network";
    case 0x10421af4: return "disk";
    case 0x10431af4: return "console";
    case 0x10441af4: return "entropy";
    case 0x10451af4: return "balloon";
    case 0x10531af4: return "sockets";
    case 0x105a1af4: return "share";
    case 0x25ab8086: return "watchdog";
    default: return "bridge";
    }
}

void guest_main(void)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        uint32_t id = pci_read(slot, 0);
        if (id != 0xffffffff)
            print("%x %s\n", slot, name_of(id));
    }
}
