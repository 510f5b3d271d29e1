// SPDX-License-Identifier: MIT
//
// A KVM vCPU: creation, KVM_RUN and the translation of its exit reasons, kicks (KVM API
// sections 4.10, 5 and 6).
//
// A kick stores immediate_exit in the shared run page, then signals the thread: the signal ends a
// KVM_RUN under way, the flag ends the next one at once. kvm_vcpu_run clears the flag once, after
// KVM_RUN came back with EINTR, and its caller looks at its requests after that; as requests are
// stored before the kick, none is lost. Both sides store one thing and then load another, so both
// stores must be full barriers. The signal handler has nothing to do.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

static void on_kick(int sig)
{
    (void)sig;
}

static void install_kick_handler(void)
{
    struct sigaction sa = {.sa_handler = on_kick};
    sigemptyset(&sa.sa_mask);
    sigaction(KVM_KICK_SIGNAL, &sa, NULL);
}

int kvm_vcpu_init(struct vcpu *v, struct err *err)
{
    const struct kvm_vm *kvm = v->accel->priv;
    struct kvm_vcpu *kv = calloc(1, sizeof *kv);
    if (!kv)
        return err_set(err, ENOMEM, "-accel kvm: out of memory");
    v->priv = kv;
    kv->fd = kvm_ioctl_number(kvm->vm_fd, KVM_CREATE_VCPU, v->id);
    if (kv->fd < 0) {
        int rc = kv->fd;
        free(kv);
        v->priv = NULL;
        return err_set_errno(err, -rc, "-accel kvm: create vCPU %u", v->id);
    }
    void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kv->fd, 0);
    if (run == MAP_FAILED) {
        int e = errno;
        kvm_vcpu_fini(v);
        return err_set_errno(err, e, "-accel kvm: map the run page of vCPU %u", v->id);
    }
    kv->run = run;
    install_kick_handler();
    int rc = kvm_cpuid_apply(v, err);
    if (!rc && v->id == 0)
        kvm_msrs_find(v);
    return rc;
}

void kvm_vcpu_fini(struct vcpu *v)
{
    struct kvm_vcpu *kv = v->priv;
    if (!kv)
        return;
    const struct kvm_vm *kvm = v->accel->priv;
    free(kv->known);
    if (kv->run)
        munmap(kv->run, kvm->run_size);
    close(kv->fd);
    free(kv);
    v->priv = NULL;
}

static void set_immediate_exit(struct kvm_vcpu *kv, bool on)
{
    __atomic_store_n(&kv->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

void kvm_vcpu_kick(struct vcpu *v)
{
    struct kvm_vcpu *kv = v->priv;
    if (!kv)
        return; /* a reset that failed half-way */
    set_immediate_exit(kv, true);
    if (atomic_load(&kv->running))
        pthread_kill(kv->thread, KVM_KICK_SIGNAL);
}

static const char *const reason_names[] = {
    [KVM_EXIT_UNKNOWN] = "UNKNOWN",
    [KVM_EXIT_EXCEPTION] = "EXCEPTION",
    [KVM_EXIT_IO] = "IO",
    [KVM_EXIT_HYPERCALL] = "HYPERCALL",
    [KVM_EXIT_DEBUG] = "DEBUG",
    [KVM_EXIT_HLT] = "HLT",
    [KVM_EXIT_MMIO] = "MMIO",
    [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
    [KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
    [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
    [KVM_EXIT_INTR] = "INTR",
    [KVM_EXIT_SET_TPR] = "SET_TPR",
    [KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS",
    [KVM_EXIT_NMI] = "NMI",
    [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
    [KVM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
    [KVM_EXIT_HYPERV] = "HYPERV",
    [KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
    [KVM_EXIT_X86_WRMSR] = "X86_WRMSR",
    [KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
    [KVM_EXIT_X86_BUS_LOCK] = "X86_BUS_LOCK",
};

static const char *reason_name(uint32_t reason)
{
    const char *name = reason < ARRAY_LEN(reason_names) ? reason_names[reason] : NULL;
    return name ? name : "of a kind this build does not know";
}

static const char *suberror_name(uint32_t suberror)
{
    static const char *const names[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "the kernel cannot emulate the instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event could not be delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "the CPU gave an unexpected exit reason",
    };
    const char *name = suberror < ARRAY_LEN(names) ? names[suberror] : NULL;
    return name ? name : "unknown suberror";
}

/* The instruction bytes that the kernel could not emulate, where it gives them. */
static void describe_insn(const struct kvm_run *run, char *buf, size_t len)
{
    buf[0] = '\0';
    if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
        !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        return;
    size_t n = (size_t)snprintf(buf, len, "; instruction bytes");
    unsigned count = run->emulation_failure.insn_size;
    for (unsigned i = 0; i < count && i < 15 && n < len; i++)
        n += (size_t)snprintf(buf + n, len - n, " %02x", run->emulation_failure.insn_bytes[i]);
}

static void fail_exit(const struct kvm_run *run, struct vm_exit *out)
{
    char insn[80];
    out->kind = EXIT_FAIL;
    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        snprintf(out->fail.why, sizeof out->fail.why,
                 "KVM_EXIT_FAIL_ENTRY: the CPU refused the guest state, hardware reason %#llx",
                 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        describe_insn(run, insn, sizeof insn);
        snprintf(out->fail.why, sizeof out->fail.why, "KVM_EXIT_INTERNAL_ERROR: %s (suberror %u)%s",
                 suberror_name(run->internal.suberror), run->internal.suberror, insn);
        break;
    default:
        snprintf(out->fail.why, sizeof out->fail.why, "unexpected exit %u (%s)", run->exit_reason,
                 reason_name(run->exit_reason));
        break;
    }
}

static void translate_exit(struct kvm_run *run, struct vm_exit *out)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        out->kind = EXIT_PIO;
        out->pio.port = run->io.port;
        out->pio.size = run->io.size;
        out->pio.write = run->io.direction == KVM_EXIT_IO_OUT;
        out->pio.count = run->io.count;
        out->pio.data = (uint8_t *)run + run->io.data_offset;
        break;
    case KVM_EXIT_MMIO:
        out->kind = EXIT_MMIO;
        out->mmio.addr = run->mmio.phys_addr;
        out->mmio.size = (uint8_t)run->mmio.len;
        out->mmio.write = run->mmio.is_write;
        out->mmio.data = run->mmio.data;
        break;
    case KVM_EXIT_SHUTDOWN:
        out->kind = EXIT_SHUTDOWN;
        break;
    case KVM_EXIT_INTR:
        out->kind = EXIT_INTR;
        break;
    case KVM_EXIT_DEBUG: /* kvm_step.c asks for it */
        *out = (struct vm_exit){.kind = EXIT_STEP, .step.did = STEP_INSN};
        break;
    default:
        fail_exit(run, out);
        break;
    }
}

void kvm_vcpu_run(struct vcpu *v, struct vm_exit *out)
{
    struct kvm_vcpu *kv = v->priv;
    if (!atomic_load(&kv->running)) {
        kv->thread = pthread_self();
        atomic_store(&kv->running, true);
    }
    int rc = ioctl(kv->fd, KVM_RUN, 0);
    kv->known_all = false;
    kv->page_has_regs = rc == 0 && kv->run->kvm_valid_regs;
    if (rc == 0) {
        translate_exit(kv->run, out);
        if (out->kind == EXIT_STEP && v->accel->debug)
            kvm_debug_exit(v, out);
        if (out->kind == EXIT_FAIL && v->accel->debug)
            kvm_debug_failure(v, out);
        kv->unfinished = out->kind == EXIT_PIO || out->kind == EXIT_MMIO;
        return;
    }
    kv->unfinished = false;
    int e = errno;
    set_immediate_exit(kv, false);
    if (e == EINTR || e == EAGAIN) {
        out->kind = EXIT_INTR;
        return;
    }
    out->kind = EXIT_FAIL;
    snprintf(out->fail.why, sizeof out->fail.why, "KVM_RUN: %s", strerror(e));
}

/* An access of several parts exits once for each; none has as many as this. */
#define MAX_PARTS 64

void kvm_vcpu_settle(struct vcpu *v)
{
    struct kvm_vcpu *kv = v->priv;
    const struct accel *a = v->accel;
    for (unsigned part = 0; kv->unfinished && part < MAX_PARTS; part++) {
        struct vm_exit exit;
        kv->page_has_regs = false;
        set_immediate_exit(kv, true); /* and stays so, as a kick may have set it too */
        if (ioctl(kv->fd, KVM_RUN, 0))
            break;
        translate_exit(kv->run, &exit);
        if (exit.kind != EXIT_PIO && exit.kind != EXIT_MMIO)
            break;
        a->io(a->io_opaque, v, &exit);
    }
    kv->unfinished = false;
}
