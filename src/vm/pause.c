// SPDX-License-Identifier: MIT
//
// Stopping a running machine where it is and letting it go on, and its power button: what control
// sockets, the monitor and gdb do. Each holds a brake of its own; the machine runs when all are
// off, so that nobody's stop is undone by another who is done with his. The brake that -S sets is
// anybody's to take off.
//
// Time: on engines of our own everything the guest can tell the time by (devices' clock, local APIC
// timers, TSC) comes from one clock, which stands still meanwhile; the guest notices nothing but
// the date. What an engine keeps itself it holds itself; where it cannot, the devices' clock goes
// on too, its watchdog included: two that disagree would be worse for a guest than a jump.
#include "devices/pm.h"
#include "src/control/control.h"
#include "src/vm/vm.h"

static void stop_time(struct vm *vm)
{
    const struct accel_ops *ops = vm->accel.ops;
    if (!ops)
        return;
    pthread_mutex_lock(&vm->lock);
    if (!ops->hold_time || ops->hold_time(&vm->accel, true))
        clock_hold(&vm->clock);
    pthread_mutex_unlock(&vm->lock);
}

static void start_time(struct vm *vm)
{
    const struct accel_ops *ops = vm->accel.ops;
    pthread_mutex_lock(&vm->lock);
    if (ops && ops->hold_time)
        ops->hold_time(&vm->accel, false);
    clock_release(&vm->clock);
    pthread_mutex_unlock(&vm->lock);
}

void vm_begin(struct vm *vm)
{
    vm->stands = atomic_load(&vm->brakes);
    if (vm->stands)
        stop_time(vm);
    vcpus_release(vm);
}

void vm_brake(struct vm *vm, enum vm_brake whose)
{
    atomic_fetch_or(&vm->brakes, whose);
    vcpus_hold(vm);
}

bool vm_pause(struct vm *vm, enum vm_brake whose)
{
    bool news = !(atomic_load(&vm->brakes) & whose);
    vm_brake(vm, whose);
    vcpus_wait_held(vm);
    if (!vm->stands) {
        vm->stands = true;
        stop_time(vm);
        control_tell(vm->control, CONTROL_STOP, false, NULL);
    }
    return news;
}

bool vm_resume(struct vm *vm, enum vm_brake whose)
{
    unsigned mine = whose | BRAKE_START, before = atomic_fetch_and(&vm->brakes, ~mine);
    if (before & ~mine)
        return before & mine;
    if (vm->stands) {
        vm->stands = false;
        start_time(vm);
        control_tell(vm->control, CONTROL_RESUME, false, NULL);
    }
    vcpus_release(vm);
    return before & mine;
}

const char *vm_status(const struct vm *vm)
{
    unsigned brakes = atomic_load(&vm->brakes);
    if (brakes & BRAKE_CONTROL)
        return "paused";
    if (brakes & BRAKE_START)
        return "prelaunch";
    return brakes ? "debug" : "running";
}

void vm_look_begin(struct vm *vm)
{
    vcpus_hold(vm);
    vcpus_wait_held(vm);
}

void vm_look_end(struct vm *vm)
{
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
