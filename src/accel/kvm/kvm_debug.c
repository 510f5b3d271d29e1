// SPDX-License-Identifier: MIT
//
// KVM with a debugger's plan (KVM API section 4.87, KVM_SET_GUEST_DEBUG). Breakpoints are INT3 in
// guest memory, there only while the plan is set, that is while vCPUs may run; what has no place in
// memory now takes one of the four breakpoint registers, as do hard breakpoints and watched data.
// INT3s and debug traps of the guest's own are given back to it. Its own breakpoint registers rest
// meanwhile.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/accel/kvm/kvm_priv.h"

#define INT3 0xcc
#define DR6_STEP 0x4000u
#define DR7_ALWAYS 0x400u
#define TRAP_BP 3

/* --- breakpoints in memory --- */

static void take_patches(struct kvm_vm *kvm)
{
    for (unsigned n = 0; n < kvm->debug.npatches; n++) {
        const struct kvm_patch *p = &kvm->debug.patches[n];
        if (*p->at == INT3) /* else the guest has written there */
            *p->at = p->was;
    }
    kvm->debug.npatches = 0;
}

static bool put_patch(struct accel *a, const struct debug_point *point)
{
    struct kvm_vm *kvm = a->priv;
    uint8_t *at = point->mapped ? gmem_ptr(a->gmem, point->gpa, 1) : NULL;
    if (!at)
        return false;
    if (*at != INT3)
        kvm->debug.patches[kvm->debug.npatches++] = (struct kvm_patch){at, *at};
    *at = INT3;
    return true;
}

/* --- breakpoint registers --- */

static bool put_register(struct kvm_debug *d, const struct debug_point *point, uint64_t at,
                         unsigned size)
{
    static const uint8_t rw[] = {
        [DEBUG_WRITE] = 1, [DEBUG_READ] = 3, [DEBUG_ACCESS] = 3, [DEBUG_BREAK] = 0};
    static const uint8_t len[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    unsigned n = d->nregs;
    if (n == 4)
        return false;
    uint64_t kind = rw[point->kind == DEBUG_BREAK_HARD ? DEBUG_BREAK : point->kind];
    d->points[n] = point;
    d->arch.debugreg[n] = at;
    d->arch.debugreg[7] |= 2ull << (2 * n) | (kind | (uint64_t)len[size] << 2) << (16 + 4 * n);
    d->nregs++;
    return true;
}

/* Aligned pieces of 8, 4, 2, 1 bytes. */
static bool put_watch(struct kvm_debug *d, const struct debug_point *point)
{
    uint64_t at = point->address, left = point->len;
    while (left) {
        unsigned size = 8;
        while (size > left || at & (size - 1))
            size /= 2;
        if (!put_register(d, point, at, size))
            return false;
        at += size;
        left -= size;
    }
    return true;
}

static bool put_point(struct accel *a, const struct debug_point *point)
{
    struct kvm_vm *kvm = a->priv;
    if (point->kind == DEBUG_BREAK && put_patch(a, point))
        return true;
    if (point->kind == DEBUG_BREAK || point->kind == DEBUG_BREAK_HARD)
        return put_register(&kvm->debug, point, point->address, 1);
    return put_watch(&kvm->debug, point);
}

/* --- vCPUs --- */

static int arm(const struct vcpu *v, uint32_t inject)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_guest_debug debug = {.control = inject};
    if (v->accel->debug) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
        if (v->debug_run == DEBUG_STEP)
            debug.control |= KVM_GUESTDBG_SINGLESTEP | kvm->debug.block_irq;
        if (kvm->debug.nregs)
            debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch = kvm->debug.arch;
    }
    return kvm_ioctl(kv->fd, KVM_SET_GUEST_DEBUG, &debug);
}

int kvm_debug_arm_all(struct accel *a, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < a->nvcpus && !rc; i++)
        rc = arm(&a->vcpus[i], 0);
    return rc ? err_set_errno(err, -rc, "-accel kvm: KVM_SET_GUEST_DEBUG") : 0;
}

static uint32_t find_block_irq(const struct kvm_vm *kvm)
{
    int can = kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
    return can > 0 ? (uint32_t)can & KVM_GUESTDBG_BLOCKIRQ : 0;
}

int kvm_set_debug(struct accel *a, const struct debug_plan *plan, struct err *err)
{
    struct kvm_vm *kvm = a->priv;
    take_patches(kvm);
    kvm->debug =
        (struct kvm_debug){.arch.debugreg[7] = DR7_ALWAYS, .block_irq = find_block_irq(kvm)};
    a->debug = plan;
    int rc = 0;
    for (unsigned n = 0; plan && n < plan->npoints && !rc; n++) {
        if (!put_point(a, &plan->points[n]))
            rc = err_set(err, ENOSPC, "a processor has four breakpoint registers");
    }
    if (!rc)
        rc = kvm_debug_arm_all(a, err);
    if (rc && plan)
        kvm_set_debug(a, NULL, &(struct err){0});
    return rc;
}

/* --- exits --- */

static const struct debug_point *point_at(const struct accel *a, uint64_t pc)
{
    for (unsigned n = 0; n < a->debug->npoints; n++) {
        const struct debug_point *p = &a->debug->points[n];
        if (p->kind == DEBUG_BREAK && p->address == pc)
            return p;
    }
    return NULL;
}

static const struct debug_point *register_hit(const struct kvm_debug *d, uint64_t dr6)
{
    for (unsigned n = 0; n < d->nregs; n++) {
        if (dr6 >> n & 1)
            return d->points[n];
    }
    return NULL;
}

/* The guest's own. It looks at its INT3s itself, wherever it runs them. */
static void give_back(struct vcpu *v, uint32_t exception, struct vm_exit *out)
{
    int rc = arm(v, exception == TRAP_BP ? KVM_GUESTDBG_INJECT_BP : KVM_GUESTDBG_INJECT_DB);
    *out = (struct vm_exit){.kind = EXIT_INTR};
    if (rc && rc != -EBUSY) {
        out->kind = EXIT_FAIL;
        snprintf(out->fail.why, sizeof out->fail.why, "KVM_SET_GUEST_DEBUG: %s", strerror(-rc));
    }
}

static bool is_patched(const struct kvm_debug *d, const uint8_t *at)
{
    for (unsigned n = 0; n < d->npatches; n++) {
        if (d->patches[n].at == at)
            return true;
    }
    return false;
}

/*
 * KVM without hardware behind it does not emulate INT3 in kernel mode, but stops there: as good, if
 * the INT3 is ours.
 */
void kvm_debug_failure(struct vcpu *v, struct vm_exit *out)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    if (kv->run->exit_reason != KVM_EXIT_INTERNAL_ERROR || kvm_ioctl(kv->fd, KVM_GET_REGS, &regs) ||
        kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs))
        return;
    const struct debug_point *hit = point_at(v->accel, sregs.cs.base + regs.rip);
    if (!hit || !hit->mapped || !is_patched(&kvm->debug, gmem_ptr(v->accel->gmem, hit->gpa, 1)))
        return;
    *out = (struct vm_exit){.kind = EXIT_DEBUG, .debug = {.vcpu = v, .point = *hit}};
}

void kvm_debug_exit(struct vcpu *v, struct vm_exit *out)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    const struct kvm_debug_exit_arch *arch = &kv->run->debug.arch;
    bool bp = arch->exception == TRAP_BP, stepping = v->debug_run == DEBUG_STEP;
    const struct debug_point *hit =
        bp ? point_at(v->accel, arch->pc) : register_hit(&kvm->debug, arch->dr6);
    if (!hit && (bp || !stepping || !(arch->dr6 & DR6_STEP))) {
        give_back(v, arch->exception, out);
        return;
    }
    *out = (struct vm_exit){.kind = EXIT_DEBUG, .debug = {.vcpu = v, .stepped = !hit}};
    if (hit)
        out->debug.point = *hit;
}
