// SPDX-License-Identifier: MIT
//
// The gate where all vCPUs start, pause and end: `hold` closes it, each vCPU that notices goes
// there and waits. hold is stored before the kick, and the run loop looks at it after run() came
// back, so no request is missed.
#include "src/vm/vm.h"

bool gate_pass(struct vm *vm, const struct vcpu *v)
{
    pthread_mutex_lock(&vm->gate_lock);
    vm->parked++;
    pthread_cond_signal(&vm->all_parked);
    while ((atomic_load(&vm->hold) || vcpu_stays(v)) && !atomic_load(&vm->leaving))
        pthread_cond_wait(&vm->gate_opened, &vm->gate_lock);
    vm->parked--;
    pthread_mutex_unlock(&vm->gate_lock);
    return !atomic_load(&vm->leaving);
}

void vcpus_hold(struct vm *vm)
{
    atomic_store(&vm->hold, true);
    for (unsigned i = 0; i < vm->nthreads; i++)
        vm->accel.ops->kick(&vm->vcpus[i]);
}

void vcpus_wait_held(struct vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    while (vm->parked < vm->nthreads)
        pthread_cond_wait(&vm->all_parked, &vm->gate_lock);
    pthread_mutex_unlock(&vm->gate_lock);
}

void vcpus_release(struct vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    if (!atomic_load(&vm->brakes) && !atomic_load(&vm->stop)) {
        atomic_store(&vm->hold, false);
        pthread_cond_broadcast(&vm->gate_opened);
    }
    pthread_mutex_unlock(&vm->gate_lock);
}

void gate_open_to_leave(struct vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    atomic_store(&vm->leaving, true);
    pthread_cond_broadcast(&vm->gate_opened);
    pthread_mutex_unlock(&vm->gate_lock);
}
