// SPDX-License-Identifier: MIT
//
// One ioctl, as all of the KVM engine issues them: signals that have nothing to do with it do not
// make it fail.
#include <errno.h>
#include <sys/ioctl.h>

#include "src/accel/kvm/kvm_priv.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;
    do {
        rc = ioctl(fd, request, arg);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

int kvm_ioctl_number(int fd, unsigned long request, unsigned long arg)
{
    return kvm_ioctl(fd, request, (void *)(uintptr_t)arg);
}
