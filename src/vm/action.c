// SPDX-License-Identifier: MIT
//
// What happens when the guest panics or its watchdog fires: -action.
#include "devices/pm.h"
#include "devices/pvpanic.h"
#include "log.h"
#include "src/control/control.h"
#include "src/vm/vm.h"

void vm_panicked(void *opaque, unsigned bits)
{
    struct vm *vm = opaque;
    vm->panics++;
    control_tell(vm->control, CONTROL_GUEST_PANICKED, true,
                 vm->cfg->panic_action == PANIC_NONE || !(bits & PVPANIC_PANICKED) ? "run"
                                                                                   : "poweroff");
    if (!(bits & PVPANIC_PANICKED))
        log_notice("guest panic: its crash kernel takes over");
    else if (vm->cfg->panic_action == PANIC_NONE)
        log_warn("guest panic; it goes on (-action panic=none)");
    else
        vm_request_stop(vm, STOP_PANIC, 0);
}

void vm_watchdog_expired(void *opaque)
{
    static const char *const words[] = {[WATCHDOG_RESET] = "reset",
                                        [WATCHDOG_POWEROFF] = "poweroff",
                                        [WATCHDOG_SHUTDOWN] = "shutdown",
                                        [WATCHDOG_NONE] = "none"};
    struct vm *vm = opaque;
    vm->watchdogs++;
    control_tell(vm->control, CONTROL_WATCHDOG, true, words[vm->cfg->watchdog_action]);
    switch (vm->cfg->watchdog_action) {
    case WATCHDOG_RESET:
        if (!vm->cfg->no_reboot) {
            log_warn("the watchdog fired: the guest is reset");
            vm_request_stop(vm, STOP_RESET, 0);
            break;
        }
        vm_request_stop(vm, STOP_WATCHDOG, 0);
        break;
    case WATCHDOG_POWEROFF:
        vm_request_stop(vm, STOP_WATCHDOG, 0);
        break;
    case WATCHDOG_SHUTDOWN:
        log_warn("the watchdog fired: the guest's power button is pressed");
        pm_power_button(vm->pm);
        control_tell(vm->control, CONTROL_POWERDOWN, true, NULL);
        break;
    case WATCHDOG_NONE:
        log_warn("the watchdog fired; the guest goes on (-action watchdog=none)");
        break;
    }
}
