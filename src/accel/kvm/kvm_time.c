// SPDX-License-Identifier: MIT
//
// The guest's time while it is stopped (KVM API sections 4.30 and 4.31;
// Documentation/virt/kvm/devices/vcpu.rst, KVM_VCPU_TSC_CTRL). TSCs are turned back by what passed
// meanwhile, all by the same, so that they stay as far apart as they were; kvmclock goes on from
// where it was; TSC deadlines are set again, by the TSC as it then is. A kernel that cannot set the
// TSC's offset (before 5.16) lets all of it go on. Left out: local APIC timers that count their own
// clock. They cannot be set without setting all of the APIC, and with it losing an interrupt that
// comes at that moment; so one of these may be early.
#include <string.h>

#include "log.h"
#include "src/accel/kvm/kvm_priv.h"

#define MSR_TSC 0x10u
#define MSR_TSC_DEADLINE 0x6e0u

static int tsc_offset(const struct vcpu *v, unsigned long request, uint64_t *offset)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};
    return kvm_ioctl(kv->fd, request, &attr);
}

static bool can_stand(const struct accel *a)
{
    uint64_t offset, tsc;
    return !tsc_offset(&a->vcpus[0], KVM_GET_DEVICE_ATTR, &offset) &&
           kvm_msr_read(&a->vcpus[0], MSR_TSC, &tsc);
}

static bool stand(struct accel *a, struct kvm_time *t)
{
    struct kvm_vm *kvm = a->priv;
    *t = (struct kvm_time){0};
    if (!can_stand(a) || kvm_ioctl(kvm->vm_fd, KVM_GET_CLOCK, &t->clock))
        return false;
    for (unsigned i = 0; i < a->nvcpus; i++) {
        struct kvm_vcpu *kv = a->vcpus[i].priv;
        if (!kvm_msr_read(&a->vcpus[i], MSR_TSC_DEADLINE, &kv->deadline))
            kv->deadline = 0;
    }
    t->stands = kvm_msr_read(&a->vcpus[0], MSR_TSC, &t->tsc);
    return t->stands;
}

static int turn_back(const struct vcpu *v, uint64_t cycles)
{
    uint64_t offset;
    int rc = tsc_offset(v, KVM_GET_DEVICE_ATTR, &offset);
    offset -= rc ? 0 : cycles;
    return rc ? rc : tsc_offset(v, KVM_SET_DEVICE_ATTR, &offset);
}

static void go_on(struct accel *a, struct kvm_time *t)
{
    struct kvm_vm *kvm = a->priv;
    struct kvm_clock_data clock = {.clock = t->clock.clock};
    uint64_t now = t->tsc;
    int rc = 0;
    kvm_msr_read(&a->vcpus[0], MSR_TSC, &now);
    for (unsigned i = 0; i < a->nvcpus && !rc; i++)
        rc = turn_back(&a->vcpus[i], now - t->tsc);
    if (!rc)
        rc = kvm_ioctl(kvm->vm_fd, KVM_SET_CLOCK, &clock);
    for (unsigned i = 0; i < a->nvcpus; i++) {
        const struct kvm_vcpu *kv = a->vcpus[i].priv;
        if (kv->deadline)
            kvm_msr_write(&a->vcpus[i], MSR_TSC_DEADLINE, kv->deadline);
    }
    t->stands = false;
    if (rc)
        log_error("-accel kvm: the guest's time jumps: %s", strerror(-rc));
}

bool kvm_hold_time(struct accel *a, bool on)
{
    struct kvm_vm *kvm = a->priv;
    if (on)
        return kvm->time.stands || stand(a, &kvm->time);
    if (kvm->time.stands)
        go_on(a, &kvm->time);
    return true;
}

void kvm_time_renew(struct accel *a)
{
    struct kvm_vm *kvm = a->priv;
    if (kvm->time.stands)
        stand(a, &kvm->time);
}
