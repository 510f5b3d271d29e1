// SPDX-License-Identifier: MIT
//
// The KVM engine: opening /dev/kvm, checking what it can do, creating the VM and its memslots.
// KVM API sections 4.1 to 4.5 and 4.35 (KVM_SET_USER_MEMORY_REGION). Interrupts, vCPUs, state,
// CPUID and doorbells have files of their own beside this one.
#include "src/accel/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

/* Every capability we use. All of them are in Linux 4.12 (2017) and later. */
static const struct {
    int cap;
    const char *name;
} needed_caps[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},       {KVM_CAP_IRQCHIP, "in-kernel irqchip"},
    {KVM_CAP_IRQ_ROUTING, "irq routing"},       {KVM_CAP_IRQFD, "irqfd"},
    {KVM_CAP_IOEVENTFD, "ioeventfd"},           {KVM_CAP_SIGNAL_MSI, "signal MSI"},
    {KVM_CAP_EXT_CPUID, "extended CPUID"},      {KVM_CAP_MP_STATE, "MP state"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"}, {KVM_CAP_VCPU_EVENTS, "vCPU events"},
    {KVM_CAP_DEBUGREGS, "debug registers"},     {KVM_CAP_XSAVE, "XSAVE state"},
};

static int open_kvm(struct err *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
        return err_set(
            err, errno,
            "-accel kvm: no usable /dev/kvm: enable virtualization in the firmware and load "
            "kvm-intel or kvm-amd");
    case EACCES:
    case EPERM:
        return err_set(err, errno,
                       "-accel kvm: no permission to open /dev/kvm: add yourself to its group "
                       "('sudo usermod -aG kvm $USER', then log in again)");
    default:
        return err_set_errno(err, errno, "-accel kvm: open /dev/kvm");
    }
}

static int check_api(int fd, struct err *err)
{
    int version = kvm_ioctl_number(fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return err_set(err, ENOTSUP, "-accel kvm: /dev/kvm speaks API version %d, need %d", version,
                       KVM_API_VERSION);
    for (unsigned i = 0; i < ARRAY_LEN(needed_caps); i++) {
        if (kvm_ioctl_number(fd, KVM_CHECK_EXTENSION, (unsigned long)needed_caps[i].cap) <= 0)
            return err_set(err, ENOTSUP,
                           "-accel kvm: this kernel's KVM lacks %s; Linux 4.12 or newer has it",
                           needed_caps[i].name);
    }
    return 0;
}

static int check_vcpu_count(const struct kvm_vm *kvm, unsigned n, struct err *err)
{
    int max = kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    if (max <= 0)
        max = 4; /* KVM API 4.7: assume 4 where the kernel does not say */
    if (n > (unsigned)max)
        return err_set(err, EINVAL, "-smp %u: this host's KVM allows at most %d vCPUs", n, max);
    return 0;
}

static int add_memslots(const struct kvm_vm *kvm, const struct gmem *gm, struct err *err)
{
    for (unsigned i = 0; i < gm->nslots; i++) {
        struct kvm_userspace_memory_region slot = {
            .slot = i,
            .guest_phys_addr = gm->slots[i].base,
            .memory_size = gm->slots[i].size,
            .userspace_addr = (uintptr_t)gm->slots[i].host,
        };
        int rc = kvm_ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);
        if (rc)
            return err_set_errno(err, -rc, "-accel kvm: memslot of %llu MiB at %#llx",
                                 (unsigned long long)(slot.memory_size >> 20),
                                 (unsigned long long)slot.guest_phys_addr);
    }
    return 0;
}

/*
 * The VM proper. Pages for Intel's real-mode emulation must be named before the first vCPU exists.
 */
static int create_vm(struct kvm_vm *kvm, const struct gmem *gm, struct err *err)
{
    kvm->vm_fd = kvm_ioctl_number(kvm->sys_fd, KVM_CREATE_VM, 0);
    if (kvm->vm_fd < 0)
        return err_set_errno(err, -kvm->vm_fd, "-accel kvm: create a VM");
    uint64_t identity = KVM_IDENTITY_BASE;
    int rc = kvm_ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (!rc)
        rc = kvm_ioctl_number(kvm->vm_fd, KVM_SET_TSS_ADDR, KVM_IDENTITY_BASE + 0x1000);
    if (!rc)
        rc = kvm_ioctl_number(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0);
    if (rc)
        return err_set_errno(err, -rc, "-accel kvm: set up the VM");
    return add_memslots(kvm, gm, err);
}

static void kvm_vm_fini(struct accel *a)
{
    struct kvm_vm *kvm = a->priv;
    if (!kvm)
        return;
    kvm_doorbell_fini(kvm);
    kvm_irq_fini(kvm);
    if (kvm->vm_fd >= 0)
        close(kvm->vm_fd);
    if (kvm->sys_fd >= 0)
        close(kvm->sys_fd);
    free(kvm->cpuid);
    free(kvm);
    a->priv = NULL;
    a->intc = NULL;
}

/* Steps that KVM itself must take, in order; on failure the caller unwinds with kvm_vm_fini. */
static int init_steps(struct accel *a, struct kvm_vm *kvm, struct err *err)
{
    kvm->sys_fd = open_kvm(err);
    if (kvm->sys_fd < 0)
        return kvm->sys_fd;
    int rc = check_api(kvm->sys_fd, err);
    if (!rc)
        rc = check_vcpu_count(kvm, a->nvcpus, err);
    if (!rc)
        rc = create_vm(kvm, a->gmem, err);
    if (rc)
        return rc;
    kvm->run_size = (size_t)kvm_ioctl_number(kvm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    kvm->doorbell_any_len =
        kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
    kvm->tsc_deadline =
        kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    int synced = kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
    kvm->has_sync_regs = synced > 0 && (unsigned)synced & KVM_SYNC_X86_SREGS;
    kvm->has_xcrs = kvm_ioctl_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
    rc = kvm_irq_init(a, err);
    return rc ? rc : kvm_cpuid_init(a, err);
}

static int kvm_vm_init(struct accel *a, struct err *err)
{
    struct kvm_vm *kvm = calloc(1, sizeof *kvm);
    if (!kvm)
        return err_set(err, ENOMEM, "-accel kvm: out of memory");
    kvm->sys_fd = kvm->vm_fd = -1;
    kvm->loop = a->loop;
    a->priv = kvm;
    int rc = init_steps(a, kvm, err);
    if (rc) {
        kvm_vm_fini(a);
        return rc;
    }
    kvm_doorbell_init(a);
    return 0;
}

/*
 * A fresh VM is the only state that is power-on state in every register that this or a later kernel
 * knows of, so a reset makes one: the same steps as at the start, around the same guest RAM.
 */
static int kvm_reset(struct accel *a, struct err *err)
{
    for (unsigned i = 0; i < a->nvcpus; i++)
        kvm_vcpu_fini(&a->vcpus[i]);
    struct kvm_vm *kvm = a->priv;
    close(kvm->vm_fd);
    int rc = create_vm(kvm, a->gmem, err);
    if (!rc)
        rc = kvm_irq_reset(a, err);
    for (unsigned i = 0; i < a->nvcpus && !rc; i++)
        rc = kvm_vcpu_init(&a->vcpus[i], err);
    if (!rc && a->debug)
        rc = kvm_debug_arm_all(a, err);
    if (!rc)
        kvm_time_renew(a);
    return rc;
}

const struct accel_ops kvm_accel = {
    .name = "kvm",
    .help = "hardware virtualization through the host kernel's /dev/kvm",
    .caps = ACCEL_CAP_CPU | ACCEL_CAP_IRQCHIP | ACCEL_CAP_THREADS | ACCEL_CAP_DOORBELLS |
            ACCEL_CAP_NATIVE | ACCEL_CAP_FOLLOW,
    .vm_init = kvm_vm_init,
    .vm_fini = kvm_vm_fini,
    .reset = kvm_reset,
    .vcpu_init = kvm_vcpu_init,
    .vcpu_fini = kvm_vcpu_fini,
    .run = kvm_vcpu_run,
    .kick = kvm_vcpu_kick,
    .get_state = kvm_get_state,
    .set_state = kvm_set_state,
    .rip = kvm_rip,
    .counters = kvm_counters,
    .set_debug = kvm_set_debug,
    .hold_time = kvm_hold_time,
    .step = kvm_vcpu_step,
};
