// SPDX-License-Identifier: MIT
//
// What the KVM engine's files share: the VM and vCPU handles, and one function group per file.
// Interface: Documentation/virt/kvm/api.rst of the Linux kernel, called "KVM API" below.
#pragma once

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "accel.h"
#include "layout.h"

/* Signal that gets a vCPU thread out of KVM_RUN. */
#define KVM_KICK_SIGNAL SIGUSR1

#define KVM_MSI_ROUTES 512
#define KVM_PIN_ROUTES (16 + GSI_COUNT)

struct kvm_bell;

/* A debugger's plan as KVM takes it (kvm_debug.c). */
struct kvm_patch {
    uint8_t *at, was;
};

struct kvm_debug {
    struct kvm_patch patches[DEBUG_POINTS_MAX]; /* INT3s in guest memory */
    unsigned npatches;
    struct kvm_guest_debug_arch arch;
    const struct debug_point *points[4]; /* of the breakpoint registers */
    unsigned nregs;
    uint32_t block_irq; /* KVM_GUESTDBG_BLOCKIRQ where the kernel has it */
};

/* Where the guest's time stands (kvm_time.c). */
struct kvm_time {
    bool stands;
    struct kvm_clock_data clock;
    uint64_t tsc; /* of the first vCPU */
};

struct kvm_vm {
    int sys_fd, vm_fd;
    size_t run_size;          /* bytes of a vCPU's run page */
    bool doorbell_any_len;    /* KVM_CAP_IOEVENTFD_ANY_LENGTH */
    bool tsc_deadline;        /* KVM_CAP_TSC_DEADLINE_TIMER */
    bool has_sync_regs;       /* KVM_CAP_SYNC_REGS */
    bool has_xcrs;            /* KVM_CAP_XCRS: the host has XSAVE */
    uint64_t msrs_here;       /* of kvm_msr.c's table, a bit each */
    struct kvm_cpuid2 *cpuid; /* what vCPUs are offered, but for their own ids */
    struct intc intc;
    struct kvm_bell *bells; /* kvm_doorbell.c */
    struct evloop *loop;
    bool msi_gsi_used[KVM_MSI_ROUTES];
    struct kvm_debug debug;
    struct kvm_time time;
    struct kvm_irq_routing *routes; /* pins first, then one entry per bound MSI */
};

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    atomic_bool running; /* thread is valid */
    struct cpu_state *known; /* kvm_follow.c; NULL: does not follow */
    bool known_all;      /* ... in all parts */
    bool page_has_regs;  /* the run page has the registers as they are */
    uint64_t deadline;   /* kvm_time.c: IA32_TSC_DEADLINE while time stands */
    bool unfinished;     /* the last exit was an access that KVM completes at the next entry */
};

/* kvm_ioctl.c: an ioctl that repeats on EINTR; -errno on failure. With a pointer, or a number. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_number(int fd, unsigned long request, unsigned long arg);

/* kvm_vcpu.c */
int kvm_vcpu_init(struct vcpu *v, struct err *err);
void kvm_vcpu_fini(struct vcpu *v);
void kvm_vcpu_run(struct vcpu *v, struct vm_exit *out);
void kvm_vcpu_kick(struct vcpu *v);
/*
 * Finish what the last exit began, without running the guest. The next run() may come back at once.
 */
void kvm_vcpu_settle(struct vcpu *v);

/* kvm_stats.c */
unsigned kvm_counters(struct vcpu *v, struct accel_counter *out, unsigned most);

/* kvm_state.c */
uint64_t kvm_rip(struct vcpu *v);
int kvm_get_state(struct vcpu *v, struct cpu_state *out, struct err *err);
int kvm_set_state(struct vcpu *v, const struct cpu_state *in, struct err *err);

void kvm_regs_to_state(struct cpu_state *out, const struct kvm_regs *r);
void kvm_state_to_regs(struct kvm_regs *r, const struct cpu_state *in);
void kvm_sregs_to_state(struct cpu_state *out, struct kvm_sregs *s);
void kvm_state_to_sregs(struct kvm_sregs *s, const struct cpu_state *in);
void kvm_state_to_debug(struct kvm_debugregs *d, const struct cpu_state *in);

/* kvm_follow.c: the same where only differences matter. */
void kvm_follow_begin(struct vcpu *v, const struct cpu_state *is);
int kvm_follow_get(struct vcpu *v, struct cpu_state *out, struct err *err);
int kvm_follow_set(struct vcpu *v, const struct cpu_state *in, struct err *err);

/* kvm_step.c: for the lockstep runner. */
void kvm_vcpu_step(struct vcpu *v, const struct step_target *until, struct vm_exit *out);

/* kvm_debug.c */
int kvm_set_debug(struct accel *a, const struct debug_plan *plan, struct err *err);
int kvm_debug_arm_all(struct accel *a, struct err *err); /* vCPUs were made anew */
/* what KVM_EXIT_DEBUG means with a plan */
void kvm_debug_exit(struct vcpu *v, struct vm_exit *out);
void kvm_debug_failure(struct vcpu *v, struct vm_exit *out); /* an EXIT_FAIL may be a breakpoint */

/* kvm_time.c */
bool kvm_hold_time(struct accel *a, bool on);
void kvm_time_renew(struct accel *a); /* vCPUs were made anew */

/* kvm_fpu.c: x87, vectors, XCR0. */
int kvm_fpu_get(struct vcpu *v, struct cpu_state *out, struct err *err);
int kvm_fpu_get_vectors(struct vcpu *v, struct cpu_state *out, struct err *err); /* all but XCR0 */
int kvm_fpu_set(struct vcpu *v, const struct cpu_state *in, struct err *err);

/* kvm_msr.c; which there are depends on the CPUID, which is set before. */
void kvm_msrs_find(struct vcpu *v);
/* SWAPGS changes it */
int kvm_msr_get_kernel_gs_base(struct vcpu *v, struct cpu_state *out, struct err *err);
bool kvm_msr_read(const struct vcpu *v, uint32_t index, uint64_t *val); /* false: there is none */
bool kvm_msr_write(const struct vcpu *v, uint32_t index, uint64_t val);
int kvm_msrs_get(struct vcpu *v, struct cpu_state *out, struct err *err);
int kvm_msrs_set(struct vcpu *v, const struct cpu_state *in, struct err *err);

/* kvm_irq.c: the in-kernel PIC, IOAPIC and local APICs. */
int kvm_irq_init(struct accel *a, struct err *err);
int kvm_irq_reset(struct accel *a, struct err *err);
void kvm_irq_fini(struct kvm_vm *kvm);

/* kvm_doorbell.c: ioeventfd. */
void kvm_doorbell_init(struct accel *a);
void kvm_doorbell_fini(struct kvm_vm *kvm);

/* kvm_cpuid.c: the CPUID and MSR policy. */
int kvm_cpuid_init(struct accel *a, struct err *err);
int kvm_cpuid_apply(struct vcpu *v, struct err *err);
