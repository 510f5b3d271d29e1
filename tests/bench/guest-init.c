// SPDX-License-Identifier: MIT
//
// /init of the measured guest: the first thing user space does is to reset the machine, which under -no-reboot ends the VMM with status 0. No C
// library, so that nothing but the kernel is measured.
#include <linux/reboot.h>
#include <sys/syscall.h>

void _start(void);

void _start(void)
{
    register long command __asm__("rdx") = LINUX_REBOOT_CMD_RESTART;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_reboot), "D"(LINUX_REBOOT_MAGIC1), "S"(LINUX_REBOOT_MAGIC2), "r"(command)
                     : "rcx", "r11", "memory");
    for (;;)
        ;
}
