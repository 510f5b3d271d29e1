// SPDX-License-Identifier: MIT
//
// x87, SSE and AVX state of a KVM vCPU: KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS
// (KVM API sections 4.42 to 4.45). The area is that of XSAVE in its standard form (SDM vol. 1
// section 13.4), on hosts without XSAVE that of FXSAVE. A component whose bit in XSTATE_BV is clear
// is in its initial state, whatever the bytes say. What cpu_state has no place for (AVX-512 and
// later) stays as it is; the 64-bit form has no selectors of the last x87 instruction, so those
// read as 0.
#include <errno.h>
#include <string.h>

#include "src/accel/kvm/kvm_priv.h"

enum { COMPONENT_X87 = 1, COMPONENT_SSE = 2, COMPONENT_AVX = 4 };

#define X87_INITIAL_CONTROL 0x37f
#define MXCSR_INITIAL 0x1f80
#define XSAVE_LEAF 0xd

struct legacy_area {
    uint16_t control, status;
    uint8_t valid, reserved; /* one bit per physical register, 1 = in use */
    uint16_t opcode;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    struct {
        uint64_t mantissa;
        uint16_t sign_exp, pad[3];
    } st[8];
    uint64_t xmm[16][2];
    uint64_t unused[12];
    uint64_t components, compaction;
};

_Static_assert(offsetof(struct legacy_area, components) == 512, "XSAVE header");

struct area {
    struct legacy_area *legacy;
    uint64_t *ymm_high; /* two words a register; NULL: none here */
    struct kvm_xsave raw;
};

/* Where the upper halves of YMM lie. */
static void find_parts(const struct kvm_vm *kvm, struct area *a)
{
    void *base = a->raw.region;
    a->legacy = base;
    a->ymm_high = NULL;
    for (unsigned i = 0; kvm->has_xcrs && i < kvm->cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &kvm->cpuid->entries[i];
        if (e->function == XSAVE_LEAF && e->index == 2 && e->eax && e->ebx % 8 == 0 &&
            e->ebx + 256 <= sizeof a->raw.region)
            a->ymm_high = (uint64_t *)base + e->ebx / 8;
    }
}

static int read_area(struct vcpu *v, struct area *a, struct err *err)
{
    const struct kvm_vcpu *kv = v->priv;
    int rc = kvm_ioctl(kv->fd, KVM_GET_XSAVE, &a->raw);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: read the vector registers of vCPU %u", v->id);
    find_parts(v->accel->priv, a);
    return 0;
}

/* --- to the neutral state --- */

static void x87_to_state(struct cpu_x87 *out, const struct legacy_area *in, bool in_use)
{
    if (!in_use) {
        *out = (struct cpu_x87){.control = X87_INITIAL_CONTROL, .empty = 0xff};
        return;
    }
    out->control = in->control;
    out->status = in->status;
    out->opcode = in->opcode & 0x7ff;
    out->empty = (uint8_t)~in->valid;
    out->ip = in->ip;
    out->dp = in->dp;
    for (unsigned n = 0; n < 8; n++) {
        out->st[n].mantissa = in->st[n].mantissa;
        out->st[n].sign_exp = in->st[n].sign_exp;
    }
}

static void vectors_to_state(struct cpu_state *out, const struct area *a, uint64_t components)
{
    bool sse = components & COMPONENT_SSE, avx = components & COMPONENT_AVX && a->ymm_high;
    for (unsigned n = 0; n < 16; n++) {
        for (unsigned w = 0; w < 2; w++) {
            out->ymm[n][w] = sse ? a->legacy->xmm[n][w] : 0;
            out->ymm[n][2 + w] = avx ? a->ymm_high[2 * n + w] : 0;
        }
    }
    out->mxcsr = sse || avx ? a->legacy->mxcsr : MXCSR_INITIAL;
}

int kvm_fpu_get_vectors(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    struct area a;
    int rc = read_area(v, &a, err);
    if (rc)
        return rc;
    uint64_t components = kvm->has_xcrs ? a.legacy->components : COMPONENT_X87 | COMPONENT_SSE;
    x87_to_state(&out->x87, a.legacy, components & COMPONENT_X87);
    vectors_to_state(out, &a, components);
    return 0;
}

int kvm_fpu_get(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_xcrs xcrs;
    int rc = kvm_fpu_get_vectors(v, out, err);
    if (rc)
        return rc;
    out->xcr0 = COMPONENT_X87;
    if (!kvm->has_xcrs)
        return 0;
    rc = kvm_ioctl(kv->fd, KVM_GET_XCRS, &xcrs);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: read XCR0 of vCPU %u", v->id);
    for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++) {
        if (xcrs.xcrs[i].xcr == 0)
            out->xcr0 = xcrs.xcrs[i].value;
    }
    return 0;
}

/* --- from the neutral state --- */

static void x87_from_state(struct legacy_area *out, const struct cpu_x87 *in)
{
    out->control = in->control;
    out->status = in->status;
    out->opcode = in->opcode & 0x7ff;
    out->valid = (uint8_t)~in->empty;
    out->ip = in->ip;
    out->dp = in->dp;
    for (unsigned n = 0; n < 8; n++) {
        out->st[n].mantissa = in->st[n].mantissa;
        out->st[n].sign_exp = in->st[n].sign_exp;
    }
}

static bool has_high_halves(const struct cpu_state *in)
{
    for (unsigned n = 0; n < 16; n++) {
        if (in->ymm[n][2] | in->ymm[n][3])
            return true;
    }
    return false;
}

static void vectors_from_state(struct area *a, const struct cpu_state *in)
{
    for (unsigned n = 0; n < 16; n++) {
        for (unsigned w = 0; w < 2; w++) {
            a->legacy->xmm[n][w] = in->ymm[n][w];
            if (a->ymm_high)
                a->ymm_high[2 * n + w] = in->ymm[n][2 + w];
        }
    }
    a->legacy->mxcsr = in->mxcsr;
}

static int set_xcr0(struct vcpu *v, uint64_t value, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = value}}};
    int rc = value == COMPONENT_X87 ? 0 : -ENOTSUP;
    if (kvm->has_xcrs)
        rc = kvm_ioctl(kv->fd, KVM_SET_XCRS, &xcrs);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set XCR0 of vCPU %u to %#llx", v->id,
                             (unsigned long long)value);
    return 0;
}

int kvm_fpu_set(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    const struct kvm_vcpu *kv = v->priv;
    struct area a;
    int rc = set_xcr0(v, in->xcr0, err);
    if (!rc)
        rc = read_area(v, &a, err);
    if (rc)
        return rc;
    if (!a.ymm_high && has_high_halves(in))
        return err_set(err, ENOTSUP,
                       "-accel kvm: the state of vCPU %u has AVX registers, this host has not",
                       v->id);
    x87_from_state(a.legacy, &in->x87);
    vectors_from_state(&a, in);
    a.legacy->components |= COMPONENT_X87 | COMPONENT_SSE | (a.ymm_high ? COMPONENT_AVX : 0);
    rc = kvm_ioctl(kv->fd, KVM_SET_XSAVE, &a.raw);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set the vector registers of vCPU %u", v->id);
    return 0;
}
