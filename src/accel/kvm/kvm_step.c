// SPDX-License-Identifier: MIT
//
// A KVM vCPU one instruction at a time, as a follower of the lockstep runner (KVM API section 4.87,
// KVM_SET_GUEST_DEBUG). KVM steps with the trap flag, which the guest's own pushes of RFLAGS would
// show and which the delivery of an exception clears: where that matters the runner names the place
// at which to stop. A breakpoint register does that on real processors; as emulated ones may have
// none, an OUT stands there besides, which leaves the vCPU in any case. In ring 3, where OUT
// faults, the trap flag is used after all, as often as needed. The guest's own debug registers do
// nothing meanwhile.
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "src/accel/kvm/kvm_priv.h"

#define DR7_GLOBAL_0 0x402u /* breakpoint 0: execution; bit 10 is always set */
#define STOP_PORT 0xed
#define MAX_TRAPS (1u << 24)

static const uint8_t stop_code[2] = {0xe6, STOP_PORT};

/* Guest code that an OUT replaces for a while. */
struct patch {
    uint8_t *byte[2]; /* NULL: not there */
    uint8_t was[2];
};

static int arm(const struct kvm_vcpu *kv, const struct step_target *until)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    if (until && !until->user) {
        debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[0] = until->address;
        debug.arch.debugreg[7] = DR7_GLOBAL_0;
    }
    return kvm_ioctl(kv->fd, KVM_SET_GUEST_DEBUG, &debug);
}

static uint8_t *byte_at(const struct vcpu *v, uint64_t linear)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_translation t = {.linear_address = linear};
    if (kvm_ioctl(kv->fd, KVM_TRANSLATE, &t) || !t.valid)
        return NULL;
    return gmem_ptr(v->accel->gmem, t.physical_address, 1);
}

/* Both bytes or none. */
static void put_patch(const struct vcpu *v, uint64_t at, struct patch *p)
{
    *p = (struct patch){.byte = {byte_at(v, at), byte_at(v, at + 1)}};
    if (!p->byte[0] || !p->byte[1])
        p->byte[0] = p->byte[1] = NULL;
    for (unsigned i = 0; i < 2 && p->byte[i]; i++) {
        p->was[i] = *p->byte[i];
        *p->byte[i] = stop_code[i];
    }
}

/* Unless the guest has written there. */
static void take_patch(const struct patch *p)
{
    for (unsigned i = 0; i < 2 && p->byte[i]; i++) {
        if (*p->byte[i] == stop_code[i])
            *p->byte[i] = p->was[i];
    }
}

/* KVM ends the OUT as it enters the vCPU; then we are behind it, and go back. */
static bool is_stop(struct kvm_vcpu *kv, const struct vm_exit *exit)
{
    struct kvm_regs regs;
    if (exit->kind != EXIT_PIO || !exit->pio.write || exit->pio.port != STOP_PORT)
        return false;
    __atomic_store_n(&kv->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    ioctl(kv->fd, KVM_RUN, 0);
    __atomic_store_n(&kv->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    kv->unfinished = kv->page_has_regs = false;
    if (kvm_ioctl(kv->fd, KVM_GET_REGS, &regs))
        return false;
    regs.rip -= sizeof stop_code;
    return !kvm_ioctl(kv->fd, KVM_SET_REGS, &regs);
}

static void run_to(struct vcpu *v, const struct step_target *until, struct vm_exit *out)
{
    struct kvm_vcpu *kv = v->priv;
    struct patch patch;
    put_patch(v, until->address, &patch);
    kvm_vcpu_run(v, out);
    if (patch.byte[0] && is_stop(kv, out))
        *out = (struct vm_exit){.kind = EXIT_STEP, .step.did = STEP_INSN};
    take_patch(&patch);
}

static void trap_to(struct vcpu *v, const struct step_target *until, struct vm_exit *out)
{
    const struct kvm_vcpu *kv = v->priv;
    unsigned n = 0;
    do
        kvm_vcpu_run(v, out);
    while (out->kind == EXIT_STEP && kv->run->debug.arch.pc != until->address && ++n < MAX_TRAPS &&
           !arm(kv, until));
}

/* The trap flag has to be set anew each time: KVM remembers where it set it. */
void kvm_vcpu_step(struct vcpu *v, const struct step_target *until, struct vm_exit *out)
{
    const struct kvm_vcpu *kv = v->priv;
    int rc = arm(kv, until);
    if (rc) {
        out->kind = EXIT_FAIL;
        snprintf(out->fail.why, sizeof out->fail.why, "KVM_SET_GUEST_DEBUG: %s", strerror(-rc));
    } else if (!until) {
        kvm_vcpu_run(v, out);
    } else if (until->user) {
        trap_to(v, until, out);
    } else {
        run_to(v, until, out);
    }
}
