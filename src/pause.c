// SPDX-License-Identifier: MIT
//
// Stopping a running machine where it is and letting it go on, and its power button: what control sockets and the monitor do.
//
// Time: on engines of our own everything the guest can tell the time by (devices' clock, local APIC timers, TSC) comes from one clock, which
// stands still meanwhile; the guest notices nothing but the date. Under KVM TSC, kvmclock and local APIC timers are the kernel's and go on, so
// the devices' clock goes on too, its watchdog included: two that disagree would be worse for a guest than a jump.
#include "devices/pm.h"
#include "src/control/control.h"
#include "src/vm.h"

static bool stops_time(const struct vm *vm)
{
    return vm->accel.ops && !(vm->accel.ops->caps & ACCEL_CAP_NATIVE);
}

bool vm_pause(struct vm *vm)
{
    if (vm->paused)
        return false;
    vm->paused = true;
    vcpus_hold(vm);
    vcpus_wait_held(vm);
    pthread_mutex_lock(&vm->lock);
    if (stops_time(vm))
        clock_hold(&vm->clock);
    pthread_mutex_unlock(&vm->lock);
    control_tell(vm->control, CONTROL_STOP, false, NULL);
    return true;
}

bool vm_resume(struct vm *vm)
{
    if (!vm->paused)
        return false;
    vm->paused = false;
    pthread_mutex_lock(&vm->lock);
    clock_release(&vm->clock);
    pthread_mutex_unlock(&vm->lock);
    control_tell(vm->control, CONTROL_RESUME, false, NULL);
    if (!atomic_load(&vm->stop))
        vcpus_release(vm);
    return true;
}

void vm_look_begin(struct vm *vm)
{
    vcpus_hold(vm);
    vcpus_wait_held(vm);
}

void vm_look_end(struct vm *vm)
{
    if (!vm->paused && !atomic_load(&vm->stop))
        vcpus_release(vm);
}

static void power_pressed(void *self)
{
    struct vm *vm = self;
    pm_power_button(vm->pm);
    control_tell(vm->control, CONTROL_POWERDOWN, false, NULL);
}

void vm_power_init(struct vm *vm)
{
    event_init(&vm->power, &vm->events, power_pressed, vm);
}

/* As an event, so that under counted time it lies between two instructions. */
void vm_press_power(struct vm *vm)
{
    event_post(&vm->power);
}
