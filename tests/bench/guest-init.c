// SPDX-License-Identifier: MIT
//
// /init of the measured guest: the first thing user space does is to end the machine. A child writes to isa-debug-exit (port 0xf4, the VMM's
// status is 1); where the port cannot be reached that child dies, and the parent resets the machine, which under -no-reboot ends the VMM too.
// No C library, so that nothing but the kernel is measured.
#include <linux/reboot.h>
#include <sys/syscall.h>

#define DEBUG_EXIT 0xf4

void _start(void);

static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

void _start(void)
{
    if (call(SYS_vfork, 0, 0, 0) == 0) {
        call(SYS_iopl, 3, 0, 0);
        __asm__ volatile("outb %0, %1" : : "a"((unsigned char)0), "Nd"((unsigned short)DEBUG_EXIT));
        call(SYS_exit, 0, 0, 0);
    }
    call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART);
    for (;;)
        ;
}
