// SPDX-License-Identifier: MIT
//
// Interrupts through the in-kernel controllers: GSI lines (KVM_IRQ_LINE), messages
// (KVM_SIGNAL_MSI), and irqfds for MSI-X vectors, so that an interrupt is one write to an eventfd.
// KVM API sections 4.25, 4.52 (KVM_SET_GSI_ROUTING), 4.71, 4.75 (KVM_IRQFD).
//
// Routes are those of a PC: GSI 0-15 reach the 8259 pins of the same number and, but for GSI 2 (the
// cascade), the IOAPIC pins; ISA interrupt 0 is wired to IOAPIC pin 2, which the MADT tells the
// guest. GSIs from 24 up are ours for MSI routes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

#define ISA_PIC_PINS 16
#define IOAPIC_PIN_OF_IRQ0 2

static struct kvm_vm *vm_of(struct intc *intc)
{
    return container_of(intc, struct kvm_vm, intc);
}

static void add_pin_route(struct kvm_irq_routing *r, unsigned gsi, unsigned chip, unsigned pin)
{
    r->entries[r->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = chip, .pin = pin},
    };
}

static void fill_pin_routes(struct kvm_irq_routing *r)
{
    for (unsigned gsi = 0; gsi < ISA_PIC_PINS; gsi++)
        add_pin_route(r, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
    for (unsigned gsi = 0; gsi < GSI_COUNT; gsi++) {
        if (gsi == 0)
            add_pin_route(r, 0, KVM_IRQCHIP_IOAPIC, IOAPIC_PIN_OF_IRQ0);
        else if (gsi != IOAPIC_PIN_OF_IRQ0)
            add_pin_route(r, gsi, KVM_IRQCHIP_IOAPIC, gsi);
    }
}

static void kvm_gsi_set(struct intc *intc, unsigned gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};
    kvm_ioctl(vm_of(intc)->vm_fd, KVM_IRQ_LINE, &line);
}

static void kvm_msi_send(struct intc *intc, const struct msi_msg *msg)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)msg->addr,
        .address_hi = (uint32_t)(msg->addr >> 32),
        .data = msg->data,
    };
    int rc = kvm_ioctl(vm_of(intc)->vm_fd, KVM_SIGNAL_MSI, &msi);
    if (rc < 0)
        log_guest("MSI to %#llx, data %#x goes nowhere: %s", (unsigned long long)msg->addr,
                  msg->data, strerror(-rc));
}

static int set_routes(struct kvm_vm *kvm)
{
    return kvm_ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, kvm->routes);
}

static struct kvm_irq_routing_entry *find_route(struct kvm_vm *kvm, unsigned gsi)
{
    for (unsigned i = KVM_PIN_ROUTES - 1; i < kvm->routes->nr; i++) {
        if (kvm->routes->entries[i].gsi == gsi)
            return &kvm->routes->entries[i];
    }
    return NULL;
}

static void drop_route(struct kvm_vm *kvm, unsigned gsi)
{
    struct kvm_irq_routing_entry *e = find_route(kvm, gsi);
    if (e)
        *e = kvm->routes->entries[--kvm->routes->nr];
    kvm->msi_gsi_used[gsi - GSI_COUNT] = false;
}

static int take_gsi(struct kvm_vm *kvm)
{
    for (unsigned i = 0; i < KVM_MSI_ROUTES; i++) {
        if (!kvm->msi_gsi_used[i]) {
            kvm->msi_gsi_used[i] = true;
            return (int)(GSI_COUNT + i);
        }
    }
    return -ENOSPC;
}

static int attach_irqfd(struct kvm_vm *kvm, struct msi_source *src)
{
    src->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (src->fd < 0)
        return -errno;
    struct kvm_irqfd irqfd = {.fd = (uint32_t)src->fd, .gsi = src->gsi};
    int rc = kvm_ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd);
    if (rc)
        close(src->fd);
    return rc;
}

static int kvm_msi_bind(struct intc *intc, struct msi_source *src)
{
    struct kvm_vm *kvm = vm_of(intc);
    int gsi = take_gsi(kvm);
    if (gsi < 0)
        return gsi;
    src->gsi = (unsigned)gsi;
    kvm->routes->entries[kvm->routes->nr++] = (struct kvm_irq_routing_entry){
        .gsi = src->gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = {.address_lo = (uint32_t)src->msg.addr,
                  .address_hi = (uint32_t)(src->msg.addr >> 32),
                  .data = src->msg.data},
    };
    int rc = set_routes(kvm);
    if (!rc)
        rc = attach_irqfd(kvm, src);
    if (rc)
        drop_route(kvm, src->gsi);
    return rc;
}

static void kvm_msi_unbind(struct intc *intc, struct msi_source *src)
{
    struct kvm_vm *kvm = vm_of(intc);
    struct kvm_irqfd irqfd = {
        .fd = (uint32_t)src->fd,
        .gsi = src->gsi,
        .flags = KVM_IRQFD_FLAG_DEASSIGN,
    };
    kvm_ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd);
    close(src->fd);
    drop_route(kvm, src->gsi);
}

static void kvm_msi_raise(struct intc *intc, struct msi_source *src)
{
    (void)intc;
    uint64_t one = 1;
    while (write(src->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static const struct intc_ops kvm_intc_ops = {
    .gsi_set = kvm_gsi_set,
    .msi_send = kvm_msi_send,
    .msi_bind = kvm_msi_bind,
    .msi_unbind = kvm_msi_unbind,
    .msi_raise = kvm_msi_raise,
};

int kvm_irq_reset(struct accel *a, struct err *err)
{
    struct kvm_vm *kvm = a->priv;
    kvm->routes->nr = 0;
    fill_pin_routes(kvm->routes);
    int rc = set_routes(kvm);
    return rc ? err_set_errno(err, -rc, "-accel kvm: set interrupt routes") : 0;
}

int kvm_irq_init(struct accel *a, struct err *err)
{
    struct kvm_vm *kvm = a->priv;
    kvm->routes = calloc(1, sizeof *kvm->routes +
                                (KVM_PIN_ROUTES + KVM_MSI_ROUTES) * sizeof kvm->routes->entries[0]);
    if (!kvm->routes)
        return err_set(err, ENOMEM, "-accel kvm: out of memory");
    kvm->intc.ops = &kvm_intc_ops;
    a->intc = &kvm->intc;
    return kvm_irq_reset(a, err);
}

void kvm_irq_fini(struct kvm_vm *kvm)
{
    free(kvm->routes);
}
