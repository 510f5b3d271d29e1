// SPDX-License-Identifier: MIT
//
// Neutral cpu_state to and from KVM's register structs (KVM API sections 4.11 to 4.14).
#include <errno.h>

#include "src/accel/kvm/kvm_priv.h"

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

static void sregs_to_state(struct cpu_state *out, struct kvm_sregs *s)
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

static void state_to_sregs(struct kvm_sregs *s, const struct cpu_state *in)
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
}

/* KVM numbers the general registers by name; ours is the instruction encoding's order. */
static void regs_to_state(struct cpu_state *out, const struct kvm_regs *r)
{
    const uint64_t gpr[GPRS] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    for (unsigned i = 0; i < GPRS; i++)
        out->gpr[i] = gpr[i];
    out->rip = r->rip;
    out->rflags = r->rflags;
}

static void state_to_regs(struct kvm_regs *r, const struct cpu_state *in)
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

int kvm_get_state(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_mp_state mp;
    int rc = kvm_ioctl(kv->fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_GET_MP_STATE, &mp);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: read the registers of vCPU %u", v->id);
    *out = (struct cpu_state){0};
    regs_to_state(out, &regs);
    sregs_to_state(out, &sregs);
    if (mp.mp_state < sizeof run_of_mp_state / sizeof run_of_mp_state[0])
        out->run = run_of_mp_state[mp.mp_state];
    return 0;
}

int kvm_set_state(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_mp_state mp = {.mp_state = mp_state_of_run[in->run]};
    state_to_regs(&regs, in);
    int rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &sregs);
    if (!rc) {
        state_to_sregs(&sregs, in);
        rc = kvm_ioctl(kv->fd, KVM_SET_SREGS, &sregs);
    }
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_REGS, &regs);
    if (!rc)
        rc = kvm_ioctl(kv->fd, KVM_SET_MP_STATE, &mp);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set the registers of vCPU %u", v->id);
    return 0;
}
