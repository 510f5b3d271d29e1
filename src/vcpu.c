// SPDX-License-Identifier: MIT
//
// vCPU threads and the one run loop. All vCPUs start, pause and end at a gate: `hold` closes it, each vCPU that notices goes there and waits.
// hold is stored before the kick, and the loop looks at it after run() came back, so no request is missed.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "src/vm.h"

/* Wait at the gate. False when the vCPU should end. */
static bool pass_gate(struct vm *vm)
{
    pthread_mutex_lock(&vm->gate_lock);
    vm->parked++;
    pthread_cond_signal(&vm->all_parked);
    while (atomic_load(&vm->hold) && !atomic_load(&vm->leaving))
        pthread_cond_wait(&vm->gate_opened, &vm->gate_lock);
    vm->parked--;
    pthread_mutex_unlock(&vm->gate_lock);
    return !atomic_load(&vm->leaving);
}

static void *vcpu_main(void *arg)
{
    struct vcpu_thread *t = arg;
    struct vm *vm = t->vm;
    struct vcpu *v = t->vcpu;
    struct vm_exit exit;
    char name[16];
    stack_t before;

    snprintf(name, sizeof name, "vcpu%u", v->id);
    prctl(PR_SET_NAME, name);
    fatal_use_stack(t->fatal_stack, &before);
    while (!atomic_load(&vm->hold) || pass_gate(vm)) {
        v->accel->ops->run(v, &exit);
        v->exits[exit.kind]++;
        exit_handle(vm, v, &exit);
    }
    sigaltstack(&before, NULL);
    return NULL;
}

int vcpus_start(struct vm *vm, struct err *err)
{
    atomic_store(&vm->hold, true);
    if (!vm->vcpus)
        return 0;
    /* An engine that takes turns runs all vCPUs from the thread of the first. */
    unsigned wanted = vm->accel.ops->caps & ACCEL_CAP_THREADS ? vm->accel.nvcpus : 1;
    vm->threads = calloc(wanted, sizeof vm->threads[0]);
    if (!vm->threads)
        return err_set(err, ENOMEM, "out of memory for %u vCPU threads", wanted);
    for (unsigned i = 0; i < wanted; i++) {
        vm->threads[i].vm = vm;
        vm->threads[i].vcpu = &vm->vcpus[i];
        /* Signals that end the process are blocked already (vm.c) and stay so in this thread. */
        int rc = pthread_create(&vm->threads[i].thread, NULL, vcpu_main, &vm->threads[i]);
        if (rc)
            return err_set_errno(err, rc, "-smp: start the thread of vCPU %u", i);
        vm->nthreads++;
    }
    return 0;
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
    atomic_store(&vm->hold, false);
    pthread_cond_broadcast(&vm->gate_opened);
    pthread_mutex_unlock(&vm->gate_lock);
}

void vcpus_end(struct vm *vm)
{
    vcpus_hold(vm);
    pthread_mutex_lock(&vm->gate_lock);
    atomic_store(&vm->leaving, true);
    pthread_cond_broadcast(&vm->gate_opened);
    pthread_mutex_unlock(&vm->gate_lock);
    for (unsigned i = 0; i < vm->nthreads; i++)
        pthread_join(vm->threads[i].thread, NULL);
    vm->nthreads = 0;
    free(vm->threads);
    vm->threads = NULL;
}
