// SPDX-License-Identifier: MIT
//
// Doorbells through ioeventfd (KVM API section 4.59): the kernel swallows the guest's write and
// signals an eventfd, which the event loop turns into the doorbell's event.
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

/*
 * The event loop's side of one doorbell. A guest can take its doorbells down on a vCPU thread while
 * the loop's thread is in bell_ready, so these live, eventfd included, until the VM ends, and are
 * used again. A late bell_ready then at worst rings once for nothing.
 */
struct kvm_bell {
    struct kvm_bell *next;
    struct fd_watch watch;
    struct doorbell *_Atomic bell; /* NULL: free */
};

static void bell_ready(void *self, uint32_t events)
{
    (void)events;
    struct kvm_bell *b = self;
    uint64_t n;
    struct doorbell *bell = b->bell;
    if (read(b->watch.fd, &n, sizeof n) == sizeof n && bell)
        event_post(&bell->event);
}

static int set_ioeventfd(const struct kvm_vm *kvm, const struct doorbell *bell, int fd, bool on)
{
    struct kvm_ioeventfd io = {
        .datamatch = bell->value,
        .addr = bell->addr,
        .len = bell->len,
        .fd = fd,
        .flags = (bell->match ? 1u << kvm_ioeventfd_flag_nr_datamatch : 0) |
                 (bell->pio ? 1u << kvm_ioeventfd_flag_nr_pio : 0) |
                 (on ? 0 : 1u << kvm_ioeventfd_flag_nr_deassign),
    };
    return kvm_ioctl(kvm->vm_fd, KVM_IOEVENTFD, &io);
}

static struct kvm_bell *new_bell(struct kvm_vm *kvm)
{
    struct kvm_bell *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->watch = (struct fd_watch){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .events = EPOLLIN,
        .ready = bell_ready,
        .self = b,
    };
    if (b->watch.fd < 0 || evloop_add(kvm->loop, &b->watch)) {
        if (b->watch.fd >= 0)
            close(b->watch.fd);
        free(b);
        return NULL;
    }
    b->next = kvm->bells;
    kvm->bells = b;
    return b;
}

static struct kvm_bell *free_bell(struct kvm_vm *kvm)
{
    for (struct kvm_bell *b = kvm->bells; b; b = b->next) {
        if (!b->bell)
            return b;
    }
    return new_bell(kvm);
}

static int bell_add(void *opaque, struct doorbell *bell)
{
    struct kvm_vm *kvm = opaque;
    if (!bell->len && !kvm->doorbell_any_len)
        return -ENOTSUP;
    struct kvm_bell *b = free_bell(kvm);
    if (!b)
        return -ENOMEM;
    b->bell = bell;
    int rc = set_ioeventfd(kvm, bell, b->watch.fd, true);
    if (rc)
        b->bell = NULL;
    bell->shortcut = b;
    return rc;
}

static void bell_remove(void *opaque, struct doorbell *bell)
{
    struct kvm_bell *b = bell->shortcut;
    set_ioeventfd(opaque, bell, b->watch.fd, false);
    b->bell = NULL;
    event_cancel(&bell->event);
}

void kvm_doorbell_init(struct accel *a)
{
    a->switchboard = (struct switchboard){bell_add, bell_remove, a->priv};
}

void kvm_doorbell_fini(struct kvm_vm *kvm)
{
    while (kvm->bells) {
        struct kvm_bell *b = kvm->bells;
        kvm->bells = b->next;
        evloop_remove(kvm->loop, &b->watch);
        close(b->watch.fd);
        free(b);
    }
}
