// SPDX-License-Identifier: MIT
//
// 32-bit protected mode: says hello and proves that this is the mode it is in.
#include "guest.h"

void guest_main(void)
{
    uint32_t cr0;
    __asm__("mov %%cr0, %0" : "=r"(cr0));
    CHECK(cr0 & 1);
    CHECK(!(cr0 >> 31));
    print("hello from protected mode, pointers of %u bits\n", (unsigned)sizeof(void *) * 8);
}
