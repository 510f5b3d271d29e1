// SPDX-License-Identifier: MIT
//
// /init of the measured guest: the first instruction of user space ends the machine through isa-debug-exit (port 0xf4, value 0, so the VMM's
// status is 1). No C library, so that nothing but the kernel is measured.
#include <sys/syscall.h>

#define DEBUG_EXIT 0xf4

void _start(void);

void _start(void)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_iopl), "D"(3L) : "rcx", "r11", "memory");
    __asm__ volatile("outb %0, %1" : : "a"((unsigned char)0), "Nd"((unsigned short)DEBUG_EXIT));
    for (;;)
        ;
}
