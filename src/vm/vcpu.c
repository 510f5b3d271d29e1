// SPDX-License-Identifier: MIT
//
// vCPU threads and the one run loop.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "src/vm/vm.h"

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
    atomic_store(&t->tid, gettid());
    fatal_use_stack(t->fatal_stack, &before);
    while ((!atomic_load(&vm->hold) && !vcpu_stays(v)) || gate_pass(vm, v)) {
        v->accel->ops->run(v, &exit);
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
        /* Signals that end the process are blocked already (life.c) and stay so in this thread. */
        int rc = pthread_create(&vm->threads[i].thread, NULL, vcpu_main, &vm->threads[i]);
        if (rc)
            return err_set_errno(err, rc, "-smp: start the thread of vCPU %u", i);
        vm->nthreads++;
    }
    return 0;
}

void vcpus_end(struct vm *vm)
{
    vcpus_hold(vm);
    gate_open_to_leave(vm);
    for (unsigned i = 0; i < vm->nthreads; i++)
        pthread_join(vm->threads[i].thread, NULL);
    vm->nthreads = 0;
    free(vm->threads);
    vm->threads = NULL;
}
