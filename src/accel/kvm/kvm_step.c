// SPDX-License-Identifier: MIT
//
// A KVM vCPU one instruction at a time, as a follower of the lockstep runner (KVM API section 4.87, KVM_SET_GUEST_DEBUG). KVM steps with
// the trap flag, which the guest's own pushes of RFLAGS would show and which the delivery of an exception clears: where that matters
// the runner names the address at which to stop, and a debug register does it. The guest's debug registers do nothing meanwhile.
#include <stdio.h>
#include <string.h>

#include "src/accel/kvm/kvm_priv.h"

#define DR7_GLOBAL_0 0x402u /* breakpoint 0: execution; bit 10 is always set */

/* The trap flag has to be set anew each time: KVM remembers where it set it. */
static int arm(const struct kvm_vcpu *kv, const uint64_t *until)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    if (until) {
        debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[0] = *until;
        debug.arch.debugreg[7] = DR7_GLOBAL_0;
    }
    return kvm_ioctl(kv->fd, KVM_SET_GUEST_DEBUG, &debug);
}

void kvm_vcpu_step(struct vcpu *v, const uint64_t *until, struct vm_exit *out)
{
    const struct kvm_vcpu *kv = v->priv;
    int rc = arm(kv, until);
    if (!rc) {
        kvm_vcpu_run(v, out);
        return;
    }
    out->kind = EXIT_FAIL;
    snprintf(out->fail.why, sizeof out->fail.why, "KVM_SET_GUEST_DEBUG: %s", strerror(-rc));
}
