// SPDX-License-Identifier: MIT
//
// State of a KVM vCPU that follows in lockstep, read and set after every instruction: only what can
// have changed since the last time. A follower executes no WRMSR, XSETBV or MOV to debug registers
// and takes no interrupts, so those registers are as they were set. General and system registers
// come with each exit in the run page where the kernel offers that (KVM API section 6.74,
// KVM_CAP_SYNC_REGS).
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/kvm/kvm_priv.h"

/* `known` is what the vCPU has; parts that instructions change are right until it runs again. */
void kvm_follow_begin(struct vcpu *v, const struct cpu_state *is)
{
    const struct kvm_vm *kvm = v->accel->priv;
    struct kvm_vcpu *kv = v->priv;
    if (!kv->known)
        kv->known = malloc(sizeof *kv->known); /* without it, all is read and set each time */
    if (!kv->known)
        return;
    *kv->known = *is;
    kv->known_all = true;
    if (kvm->has_sync_regs)
        kv->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

static int read_registers(const struct kvm_vcpu *kv, struct cpu_state *out)
{
    struct kvm_regs regs = kv->run->s.regs.regs;
    struct kvm_sregs sregs = kv->run->s.regs.sregs;
    int rc = 0;
    if (!kv->page_has_regs)
        rc = kvm_ioctl(kv->fd, KVM_GET_REGS, &regs);
    if (!rc && !kv->page_has_regs)
        rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
    kvm_regs_to_state(out, &regs);
    kvm_sregs_to_state(out, &sregs);
    return rc;
}

int kvm_follow_get(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    struct kvm_vcpu *kv = v->priv;
    kvm_vcpu_settle(v);
    *out = *kv->known;
    int rc = read_registers(kv, out);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: read the registers of vCPU %u", v->id);
    rc = kvm_fpu_get_vectors(v, out, err);
    if (!rc)
        rc = kvm_msr_get_kernel_gs_base(v, out, err);
    if (!rc) {
        *kv->known = *out;
        kv->known_all = true;
    }
    return rc;
}

#define DIFFERS(member) memcmp(&in->member, &is->member, sizeof in->member)

static bool system_differs(const struct cpu_state *in, const struct cpu_state *is)
{
    return DIFFERS(seg) || DIFFERS(gdt) || DIFFERS(idt) || in->cr0 != is->cr0 ||
           in->cr2 != is->cr2 || in->cr3 != is->cr3 || in->cr4 != is->cr4 || in->cr8 != is->cr8 ||
           in->efer != is->efer || in->apic_base != is->apic_base;
}

static bool general_differ(const struct cpu_state *in, const struct cpu_state *is)
{
    return DIFFERS(gpr) || in->rip != is->rip || in->rflags != is->rflags;
}

static bool vectors_differ(const struct cpu_state *in, const struct cpu_state *is)
{
    return DIFFERS(x87) || DIFFERS(ymm) || in->mxcsr != is->mxcsr || in->xcr0 != is->xcr0;
}

static int set_registers(const struct kvm_vcpu *kv, const struct cpu_state *in, bool all)
{
    const struct cpu_state *is = kv->known;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_debugregs debug;
    int rc = 0;
    if (all || system_differs(in, is)) {
        rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
        kvm_state_to_sregs(&sregs, in);
        if (!rc)
            rc = kvm_ioctl(kv->fd, KVM_SET_SREGS, &sregs);
    }
    kvm_state_to_regs(&regs, in);
    if (!rc && (all || general_differ(in, is)))
        rc = kvm_ioctl(kv->fd, KVM_SET_REGS, &regs);
    kvm_state_to_debug(&debug, in);
    if (!rc && DIFFERS(dr))
        rc = kvm_ioctl(kv->fd, KVM_SET_DEBUGREGS, &debug);
    return rc;
}

int kvm_follow_set(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    struct kvm_vcpu *kv = v->priv;
    const struct cpu_state *is = kv->known;
    bool all = !kv->known_all;
    kvm_vcpu_settle(v);
    int rc = set_registers(kv, in, all);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set the registers of vCPU %u", v->id);
    if (all || vectors_differ(in, is))
        rc = kvm_fpu_set(v, in, err);
    if (!rc && (all || DIFFERS(msr)))
        rc = kvm_msrs_set(v, in, err);
    *kv->known = *in;
    kv->known_all = !rc;
    kv->page_has_regs = false;
    return rc;
}
