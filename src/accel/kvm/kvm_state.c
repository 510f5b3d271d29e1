// SPDX-License-Identifier: MIT
//
// Neutral cpu_state to and from KVM's register structs (KVM API sections 4.11 to 4.14 registers,
// 4.31 and 4.32 vCPU events, 4.33 and 4.34 debug registers, 4.38 and 4.39 MP state). Vector state
// is in kvm_fpu.c, MSRs are in kvm_msr.c. Reading and writing first finish an access that the last
// exit left half-done, since KVM completes it only when the vCPU is entered again.
#include <errno.h>
#include <string.h>

#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

#define RFLAGS_IF 0x200u

static void seg_from_kvm(struct cpu_seg *out, const struct kvm_segment *in)
{
    *out = (struct cpu_seg){
        .base = in->base, .limit = in->limit, .sel = in->selector, .type = in->type, .dpl = in->dpl,
        .s = in->s, .present = in->present, .avl = in->avl, .l = in->l, .db = in->db, .g = in->g,
        .unusable = in->unusable,
    };
}

static void seg_to_kvm(struct kvm_segment *out, const struct cpu_seg *in)
{
    *out = (struct kvm_segment){
        .base = in->base, .limit = in->limit, .selector = in->sel, .type = in->type, .dpl = in->dpl,
        .s = in->s, .present = in->present, .avl = in->avl, .l = in->l, .db = in->db, .g = in->g,
        .unusable = in->unusable,
    };
}

/* Our order of segments to KVM's. */
static struct kvm_segment *kvm_seg(struct kvm_sregs *s, enum cpu_sreg which)
{
    struct kvm_segment *const by_name[SEGS] = {
        [SEG_ES] = &s->es, [SEG_CS] = &s->cs, [SEG_SS] = &s->ss, [SEG_DS] = &s->ds,
        [SEG_FS] = &s->fs, [SEG_GS] = &s->gs, [SEG_LDTR] = &s->ldt, [SEG_TR] = &s->tr,
    };
    return by_name[which];
}

void kvm_sregs_to_state(struct cpu_state *out, struct kvm_sregs *s)
{
    for (unsigned i = 0; i < SEGS; i++)
        seg_from_kvm(&out->seg[i], kvm_seg(s, i));
    out->gdt = (struct cpu_table){s->gdt.base, s->gdt.limit};
    out->idt = (struct cpu_table){s->idt.base, s->idt.limit};
    out->cr0 = s->cr0;
    out->cr2 = s->cr2;
    out->cr3 = s->cr3;
    out->cr4 = s->cr4;
    out->cr8 = s->cr8;
    out->efer = s->efer;
    out->apic_base = s->apic_base;
}

void kvm_state_to_sregs(struct kvm_sregs *s, const struct cpu_state *in)
{
    for (unsigned i = 0; i < SEGS; i++)
        seg_to_kvm(kvm_seg(s, i), &in->seg[i]);
    s->gdt = (struct kvm_dtable){.base = in->gdt.base, .limit = in->gdt.limit};
    s->idt = (struct kvm_dtable){.base = in->idt.base, .limit = in->idt.limit};
    s->cr0 = in->cr0;
    s->cr2 = in->cr2;
    s->cr3 = in->cr3;
    s->cr4 = in->cr4;
    s->cr8 = in->cr8;
    s->efer = in->efer;
    s->apic_base = in->apic_base;
}

/* KVM numbers the general registers by name; ours is the instruction encoding's order. */
void kvm_regs_to_state(struct cpu_state *out, const struct kvm_regs *r)
{
    const uint64_t gpr[GPRS] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    for (unsigned i = 0; i < GPRS; i++)
        out->gpr[i] = gpr[i];
    out->rip = r->rip;
    out->rflags = r->rflags;
}

void kvm_state_to_regs(struct kvm_regs *r, const struct cpu_state *in)
{
    const uint64_t *g = in->gpr;
    *r = (struct kvm_regs){
        .rax = g[RAX], .rcx = g[RCX], .rdx = g[RDX], .rbx = g[RBX],
        .rsp = g[RSP], .rbp = g[RBP], .rsi = g[RSI], .rdi = g[RDI],
        .r8 = g[R8],   .r9 = g[R9],   .r10 = g[R10], .r11 = g[R11],
        .r12 = g[R12], .r13 = g[R13], .r14 = g[R14], .r15 = g[R15],
        .rip = in->rip, .rflags = in->rflags,
    };
}

static const enum cpu_run run_of_mp_state[] = {
    [KVM_MP_STATE_RUNNABLE] = CPU_RUNNING,
    [KVM_MP_STATE_UNINITIALIZED] = CPU_WAIT_FOR_SIPI,
    [KVM_MP_STATE_INIT_RECEIVED] = CPU_WAIT_FOR_SIPI,
    [KVM_MP_STATE_HALTED] = CPU_HALTED,
    [KVM_MP_STATE_SIPI_RECEIVED] = CPU_RUNNING,
};

static const __u32 mp_state_of_run[] = {
    [CPU_RUNNING] = KVM_MP_STATE_RUNNABLE,
    [CPU_HALTED] = KVM_MP_STATE_HALTED,
    [CPU_WAIT_FOR_SIPI] = KVM_MP_STATE_UNINITIALIZED,
};

/* --- debug registers --- */

static void debug_to_state(struct cpu_state *out, const struct kvm_debugregs *d)
{
    for (unsigned i = 0; i < 4; i++)
        out->dr[i] = d->db[i];
    out->dr[6] = d->dr6;
    out->dr[7] = d->dr7;
}

void kvm_state_to_debug(struct kvm_debugregs *d, const struct cpu_state *in)
{
    *d = (struct kvm_debugregs){.dr6 = in->dr[6], .dr7 = in->dr[7]};
    for (unsigned i = 0; i < 4; i++)
        d->db[i] = in->dr[i];
}

/* --- events --- */

static void events_to_state(struct cpu_state *out, const struct kvm_vcpu_events *e)
{
    out->interrupt_shadow = e->interrupt.shadow;
    out->nmi_blocked = e->nmi.masked;
    out->nmi_pending = e->nmi.pending;
}

/*
 * Nothing that was on its way to the guest goes on with another state. A shadow of STI is
 * impossible while interrupts are off (Intel's CPUs refuse to be entered so), one of MOV SS never
 * is.
 */
static void state_to_events(struct kvm_vcpu_events *e, const struct cpu_state *in)
{
    bool interrupts_on = in->rflags & RFLAGS_IF;
    uint8_t shadow = interrupts_on ? KVM_X86_SHADOW_INT_STI : KVM_X86_SHADOW_INT_MOV_SS;
    *e = (struct kvm_vcpu_events){
        .interrupt.shadow = in->interrupt_shadow ? shadow : 0,
        .nmi.pending = in->nmi_pending,
        .nmi.masked = in->nmi_blocked,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };
}

/* --- all of it --- */

uint64_t kvm_rip(struct vcpu *v)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    return kvm_ioctl(kv->fd, KVM_GET_REGS, &regs) ? 0 : regs.rip;
}

int kvm_get_state(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_mp_state mp;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    if (v->accel->watch && kv->known)
        return kvm_follow_get(v, out, err);
    kvm_vcpu_settle(v);
    int rc = kvm_ioctl(kv->fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_MP_STATE, &mp);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_DEBUGREGS, &debug);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_VCPU_EVENTS, &events);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: read the registers of vCPU %u", v->id);
    memset(out, 0, sizeof *out); /* equal states are equal bytes */
    kvm_regs_to_state(out, &regs);
    kvm_sregs_to_state(out, &sregs);
    if (mp.mp_state < ARRAY_LEN(run_of_mp_state))
        out->run = run_of_mp_state[mp.mp_state];
    debug_to_state(out, &debug);
    events_to_state(out, &events);
    rc = kvm_fpu_get(v, out, err);
    return rc ? rc : kvm_msrs_get(v, out, err);
}

/* Registers before events: setting them drops a pending exception. */
int kvm_set_state(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_mp_state mp = {.mp_state = mp_state_of_run[in->run]};
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    if (v->accel->watch && kv->known)
        return kvm_follow_set(v, in, err);
    kvm_state_to_regs(&regs, in);
    kvm_state_to_debug(&debug, in);
    state_to_events(&events, in);
    kvm_vcpu_settle(v);
    int rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
    if (!rc) {
        kvm_state_to_sregs(&sregs, in);
        rc = kvm_ioctl(kv->fd, KVM_SET_SREGS, &sregs);
    }
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_REGS, &regs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_MP_STATE, &mp);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_DEBUGREGS, &debug);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_VCPU_EVENTS, &events);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set the registers of vCPU %u", v->id);
    rc = kvm_fpu_set(v, in, err);
    if (!rc)
        rc = kvm_msrs_set(v, in, err);
    if (!rc && v->accel->watch)
        kvm_follow_begin(v, in);
    return rc;
}
