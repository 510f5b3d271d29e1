// SPDX-License-Identifier: MIT
//
// 64-bit long mode: says hello and proves that this is the mode it is in.
#include "guest.h"

void guest_main(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0xc0000080));
    CHECK(lo & 1u << 10); /* EFER.LMA */
    print("hello from long mode, pointers of %u bits\n", (unsigned)sizeof(void *) * 8);
}
