// SPDX-License-Identifier: MIT
//
// The model-specific registers of cpu_state in a KVM vCPU (KVM API sections 4.18, 4.19). Which of
// them this kernel and CPU have is found out once by reading: the kernel's own list
// (KVM_GET_MSR_INDEX_LIST) leaves out the MTRRs. One that is not there reads as 0. Setting stops at
// the first register that is refused; that matters only where it does not hold the wanted value
// already. Those that tell KVM to write to guest memory are set only when they are to be others
// than they are, and never in lockstep: there the leader's stores are copied.
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "log.h"
#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

#define MSR_KERNEL_GS_BASE 0xc0000102u

struct row {
    uint32_t index;
    size_t field; /* in struct cpu_msrs */
    bool stores;  /* setting it stores to guest memory */
};

#define ROW(n, member) {(n), offsetof(struct cpu_msrs, member), false}
#define STORING_ROW(n, member) {(n), offsetof(struct cpu_msrs, member), true}
#define ROWS4(n, member, i)                                                                        \
    ROW((n), member[(i)]), ROW((n) + 1, member[(i) + 1]), ROW((n) + 2, member[(i) + 2]),           \
        ROW((n) + 3, member[(i) + 3])

static const struct row rows[] = {
    ROW(0x3b, tsc_adjust),
    ROW(0x48, spec_ctrl),
    ROW(0x174, sysenter_cs),
    ROW(0x175, sysenter_esp),
    ROW(0x176, sysenter_eip),
    ROW(0x17a, mcg_status),
    ROW(0x1a0, misc_enable),
    ROW(0x1d9, debugctl),
    ROWS4(0x200, mtrr_var, 0),
    ROWS4(0x204, mtrr_var, 4),
    ROWS4(0x208, mtrr_var, 8),
    ROWS4(0x20c, mtrr_var, 12),
    ROW(0x250, mtrr_fix[0]),
    ROW(0x258, mtrr_fix[1]),
    ROW(0x259, mtrr_fix[2]),
    ROWS4(0x268, mtrr_fix, 3),
    ROWS4(0x26c, mtrr_fix, 7),
    ROW(0x277, pat),
    ROW(0x2ff, mtrr_def_type),
    ROW(0xda0, xss),
    STORING_ROW(0x4b564d00, kvm_wall_clock),
    STORING_ROW(0x4b564d01, kvm_system_time),
    ROW(0xc0000081, star),
    ROW(0xc0000082, lstar),
    ROW(0xc0000083, cstar),
    ROW(0xc0000084, sfmask),
    ROW(MSR_KERNEL_GS_BASE, kernel_gs_base),
    ROW(0xc0000103, tsc_aux),
};

_Static_assert(ARRAY_LEN(rows) == sizeof(struct cpu_msrs) / sizeof(uint64_t), "all of cpu_msrs");
_Static_assert(ARRAY_LEN(rows) <= 64, "kvm_vm.msrs_here has a bit for each");

union list {
    struct kvm_msrs msrs;
    uint8_t room[sizeof(struct kvm_msrs) + ARRAY_LEN(rows) * sizeof(struct kvm_msr_entry)];
};

static uint64_t value_of(const struct cpu_msrs *m, const struct row *row)
{
    uint64_t val;
    memcpy(&val, (const char *)m + row->field, sizeof val);
    return val;
}

bool kvm_msr_read(const struct vcpu *v, uint32_t index, uint64_t *val)
{
    const struct kvm_vcpu *kv = v->priv;
    union list list = {.msrs = {.nmsrs = 1}};
    list.msrs.entries[0].index = index;
    if (kvm_ioctl(kv->fd, KVM_GET_MSRS, &list) != 1)
        return false;
    *val = list.msrs.entries[0].data;
    return true;
}

bool kvm_msr_write(const struct vcpu *v, uint32_t index, uint64_t val)
{
    const struct kvm_vcpu *kv = v->priv;
    union list list = {.msrs = {.nmsrs = 1}};
    list.msrs.entries[0] = (struct kvm_msr_entry){.index = index, .data = val};
    return kvm_ioctl(kv->fd, KVM_SET_MSRS, &list) == 1;
}

void kvm_msrs_find(struct vcpu *v)
{
    struct kvm_vm *kvm = v->accel->priv;
    uint64_t val;
    kvm->msrs_here = 0;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (kvm_msr_read(v, rows[i].index, &val))
            kvm->msrs_here |= 1ull << i;
        else
            log_msg(LOG_ACCEL, "kvm: MSR %#x is not there", rows[i].index);
    }
}

int kvm_msrs_get(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    union list list = {0};
    const struct row *wanted[ARRAY_LEN(rows)];
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (kvm->msrs_here >> i & 1) {
            list.msrs.entries[n].index = rows[i].index;
            wanted[n++] = &rows[i];
        }
    }
    list.msrs.nmsrs = n;
    int got = kvm_ioctl(kv->fd, KVM_GET_MSRS, &list);
    if (got < (int)n)
        return err_set(err, EIO, "-accel kvm: MSR %#x of vCPU %u cannot be read",
                       wanted[got > 0 ? got : 0]->index, v->id);
    for (unsigned i = 0; i < n; i++)
        memcpy((char *)&out->msr + wanted[i]->field, &list.msrs.entries[i].data, sizeof(uint64_t));
    return 0;
}

int kvm_msr_get_kernel_gs_base(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    if (kvm_msr_read(v, MSR_KERNEL_GS_BASE, &out->msr.kernel_gs_base))
        return 0;
    return err_set(err, EIO, "-accel kvm: MSR %#x of vCPU %u cannot be read", MSR_KERNEL_GS_BASE,
                   v->id);
}

static bool is_to_be_set(const struct vcpu *v, const struct row *row, uint64_t val)
{
    uint64_t is;
    if (!row->stores)
        return true;
    return !v->accel->watch && !(kvm_msr_read(v, row->index, &is) && is == val);
}

/* Sets rows from `first` on; the row that was refused, or ARRAY_LEN(rows). */
static unsigned set_from(const struct vcpu *v, const struct cpu_msrs *in, unsigned first)
{
    const struct kvm_vm *kvm = v->accel->priv;
    const struct kvm_vcpu *kv = v->priv;
    union list list = {0};
    unsigned row_of[ARRAY_LEN(rows) + 1], n = 0;
    for (unsigned i = first; i < ARRAY_LEN(rows); i++) {
        uint64_t val = value_of(in, &rows[i]);
        if (kvm->msrs_here >> i & 1 && is_to_be_set(v, &rows[i], val)) {
            list.msrs.entries[n].index = rows[i].index;
            list.msrs.entries[n].data = val;
            row_of[n++] = i;
        }
    }
    row_of[n] = ARRAY_LEN(rows);
    list.msrs.nmsrs = n;
    int taken = kvm_ioctl(kv->fd, KVM_SET_MSRS, &list);
    return row_of[taken > 0 ? taken : 0];
}

int kvm_msrs_set(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    for (unsigned next = 0; next < ARRAY_LEN(rows); next++) {
        next = set_from(v, &in->msr, next);
        if (next == ARRAY_LEN(rows))
            break;
        uint64_t wanted = value_of(&in->msr, &rows[next]), is = 0;
        if (!kvm_msr_read(v, rows[next].index, &is) || is != wanted)
            return err_set(err, EINVAL, "-accel kvm: KVM refuses %#llx for MSR %#x of vCPU %u",
                           (unsigned long long)wanted, rows[next].index, v->id);
    }
    return 0;
}
