// SPDX-License-Identifier: MIT
//
// Requests to stop, from whoever makes them: the first wins, except that a restart gives way to a
// signal, the user or -timeout.
#include "src/vm/vm.h"

bool stop_is_restart(const struct vm *vm, unsigned stop)
{
    return stop_cause_of(stop) == STOP_RESET && !vm->cfg->no_reboot;
}

static bool from_outside(enum stop_cause cause)
{
    return cause == STOP_SIGNAL || cause == STOP_QUIT || cause == STOP_TIMEOUT;
}

bool vm_claim_stop(struct vm *vm, enum stop_cause cause, unsigned code)
{
    unsigned now = 0;
    while (!atomic_compare_exchange_weak(&vm->stop, &now, (unsigned)cause | code << 8)) {
        if (now && !(stop_is_restart(vm, now) && from_outside(cause)))
            return false;
    }
    vcpus_hold(vm);
    evloop_wake(&vm->loop);
    return true;
}

void vm_request_stop(void *opaque, enum stop_cause cause, unsigned code)
{
    vm_claim_stop(opaque, cause, code);
}

struct stop_sink vm_stop_sink(struct vm *vm)
{
    return (struct stop_sink){vm_request_stop, vm};
}
