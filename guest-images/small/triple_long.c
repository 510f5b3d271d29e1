// SPDX-License-Identifier: MIT
//
// A triple fault: an exception without an interrupt table to deliver it by, nor the double fault.
#include "guest.h"

void guest_main(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } nothing = {0, 0};
    print("three faults follow\n");
    __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
    print("still here\n");
}
