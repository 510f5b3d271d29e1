// SPDX-License-Identifier: MIT
//
// A triple fault from protected mode: a software interrupt beyond the limit of the table, under
// -no-reboot and without it, where it is no reboot either.
#include "guest.h"

void guest_main(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } nothing = {0, 0};
    print("three faults follow\n");
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
    print("still here\n");
}
