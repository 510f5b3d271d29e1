// SPDX-License-Identifier: MIT
//
// LD_PRELOAD library that counts a VMM's exits to user space: how many times KVM_RUN came back with an exit reason (kicks by signals not
// counted). Works the same for every VMM that calls the C library's ioctl. The count goes to standard error when the process ends.
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_ulong exits, syscalls;

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    long rc = syscall(SYS_ioctl, fd, request, arg);
    atomic_fetch_add(&syscalls, 1);
    if (request == KVM_RUN && rc == 0)
        atomic_fetch_add(&exits, 1);
    return (int)rc;
}

__attribute__((destructor)) static void report(void)
{
    fprintf(stderr, "exits to user space: %lu (ioctls: %lu)\n", exits, syscalls);
}
