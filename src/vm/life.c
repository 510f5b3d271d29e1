// SPDX-License-Identifier: MIT
//
// The life of a machine: set-up in order, boot, the serving loop, restart, the end. See
// src/vm/vm.h.
//
// Order of set-up: root and initramfs, boot plan; event loop and clock; RAM; engine and VM; board
// (buses, devices, backends); vCPUs; boot (RAM contents, firmware tables, registers); signals;
// threads at the gate; raw terminal; go. A reset repeats from "boot" after resetting devices and
// engine. Until its signals are the event loop's, the process dies of them as any other would:
// there is nothing to put back yet.
#include "src/vm/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/chr/tty.h"
#include "layout.h"
#include "log.h"
#include "src/control/control.h"
#include "src/exits/exits.h"
#include "src/gdb/gdb.h"
#include "util.h"

static int create_vcpus(struct vm *vm, struct err *err)
{
    if (!(vm->accel.ops->caps & ACCEL_CAP_CPU))
        return 0;
    vm->vcpus = calloc(vm->accel.nvcpus, sizeof vm->vcpus[0]);
    if (!vm->vcpus)
        return err_set(err, ENOMEM, "out of memory for %u vCPUs", vm->accel.nvcpus);
    vm->accel.vcpus = vm->vcpus;
    int rc = 0;
    for (unsigned i = 0; i < vm->accel.nvcpus && !rc; i++) {
        vm->vcpus[i] = (struct vcpu){.id = i, .accel = &vm->accel};
        rc = vm->accel.ops->vcpu_init(&vm->vcpus[i], err);
    }
    return rc;
}

/* --- set-up --- */

static int plan_boot(struct vm *vm, enum kernel_unpack unpack, struct err *err)
{
    const struct config *cfg = vm->cfg;
    const struct config_hooks *hooks = cfg->hooks;
    const struct boot_request req = {
        .kernel = cfg->kernel,
        .initrd = cfg->initrd,
        .initrd_data = hooks ? hooks->initrd : vm->auto_boot.initramfs.data,
        .initrd_size = hooks ? hooks->initrd_size : vm->auto_boot.initramfs.len,
        .cmdline = vm->auto_boot.cmdline ? vm->auto_boot.cmdline : cfg->append,
        .ram_size = cfg->ram_size,
        .rsdp = ACPI_TABLES,
        .unpack = unpack,
    };
    return boot_plan_make(&req, &vm->plan, err);
}

/*
 * What to boot is planned before the engine is opened, since not every engine can run everything;
 * who unpacks a kernel depends on the engine: by the host it pays only where guest code is slow,
 * and costs KASLR.
 */
static int plan_first(struct vm *vm, struct err *err)
{
    bool ours = vm->cfg->unpack == KERNEL_UNPACK_AUTO;
    return plan_boot(vm, ours ? KERNEL_UNPACK_GUEST : vm->cfg->unpack, err);
}

static int plan_again(struct vm *vm, struct err *err)
{
    bool ours = vm->cfg->unpack == KERNEL_UNPACK_AUTO;
    if (!ours || !vm->plan.linux_entry || vm->accel.ops->caps & ACCEL_CAP_NATIVE)
        return 0;
    boot_plan_free(&vm->plan);
    return plan_boot(vm, KERNEL_UNPACK_AUTO, err);
}

/* Events are delivered by the event loop, or, under counted time, by the engine between two
 * instructions. */
static void on_posted(void *opaque)
{
    struct vm *vm = opaque;
    if (!vm->cfg->icount)
        evloop_wake(&vm->loop);
    else if (vm->accel.ops)
        vm->accel.ops->look(&vm->accel);
}

static void init_lock(pthread_mutex_t *lock, bool recursive)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_DEFAULT);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

int vm_create(struct vm *vm, const struct config *cfg, struct err *err)
{
    *vm = (struct vm){.cfg = cfg,
                      .loop = {.epoll_fd = -1, .wake_fd = -1},
                      .brakes = cfg->start_stopped ? BRAKE_START : 0};
    init_lock(&vm->lock, cfg->lockstep.leader != NULL);
    pthread_mutex_init(&vm->gate_lock, NULL);
    pthread_cond_init(&vm->gate_opened, NULL);
    pthread_cond_init(&vm->all_parked, NULL);
    event_queue_init(&vm->events, on_posted, vm);
    vm_power_init(vm);
    bus_init(&vm->pio, "pio", 0x10000);
    bus_init(&vm->mmio, "mmio", 0);

    int rc = auto_boot_prepare(&vm->auto_boot, cfg, err);
    if (!rc)
        rc = plan_first(vm, err);
    if (!rc)
        rc = watches_open(vm, err);
    if (!rc)
        rc = gmem_init(&vm->gmem, cfg->ram_size, RAM_HOLE_START, RAM_HOLE_END, err);
    if (!rc)
        rc = vm_open_engine(vm, err);
    if (!rc)
        rc = plan_again(vm, err);
    if (!rc)
        rc = machine_create(vm, err);
    if (!rc)
        rc = create_vcpus(vm, err);
    if (!rc)
        rc = exits_open(vm, err);
    if (!rc)
        rc = control_open(vm, &vm->control, err);
    if (!rc)
        rc = gdb_open(vm, &vm->gdb, err);
    return rc;
}

/* Kernel, tables and registers in place for the first instruction. */
static int boot(struct vm *vm, struct err *err)
{
    int rc = boot_apply(&vm->plan, &vm->gmem, err);
    if (!rc)
        rc = machine_write_tables(vm, err);
    if (!rc && vm->vcpus)
        rc = vm->accel.ops->set_state(&vm->vcpus[0], &vm->plan.cpu, err);
    return rc;
}

/*
 * The guest asked for a reset: power-on state everywhere, then boot again. vCPUs are at the gate.
 */
static int restart(struct vm *vm, struct err *err)
{
    pthread_mutex_lock(&vm->lock);
    vm->restarts++;
    machine_reset(vm);
    pthread_mutex_unlock(&vm->lock);
    gmem_zero(&vm->gmem);
    int rc = vm->accel.ops->reset(&vm->accel, err);
    if (!rc)
        rc = boot(vm, err);
    if (!rc)
        gdb_restarted(vm->gdb);
    return rc;
}

static int write_pidfile(struct vm *vm, struct err *err)
{
    const char *path = vm->cfg->pidfile;
    if (!path)
        return 0;
    FILE *f = fopen(path, "we");
    if (!f)
        return err_set_errno(err, errno, "-pidfile: create '%s'", path);
    struct stat st;
    vm->pidfile_made =
        !fstat(fileno(f), &st) && S_ISREG(st.st_mode); /* /dev/null is not ours to unlink */
    fprintf(f, "%d\n", (int)getpid());
    if (fclose(f))
        return err_set_errno(err, errno, "-pidfile: write '%s'", path);
    return 0;
}

/* --- running --- */

static void serve_once(struct vm *vm)
{
    evloop_run_once(&vm->loop, -1);
    if (!vm->cfg->icount) {
        pthread_mutex_lock(&vm->lock);
        event_queue_run(&vm->events);
        clock_fire_due(&vm->clock);
        pthread_mutex_unlock(&vm->lock);
    }
    control_deliver(vm->control);
}

/* Serve until a stop that is not answered by a restart. */
static int serve(struct vm *vm, struct err *err)
{
    for (;;) {
        while (!atomic_load(&vm->stop))
            serve_once(vm);
        unsigned stop = atomic_load(&vm->stop);
        if (!stop_is_restart(vm, stop))
            return 0;
        vcpus_hold(vm);
        vcpus_wait_held(vm);
        int rc = restart(vm, err);
        if (rc)
            return rc;
        control_tell(vm->control, CONTROL_RESET, stop >> 8 == STOP_BY_MACHINE, NULL);
        if (atomic_compare_exchange_strong(&vm->stop, &stop, 0))
            vcpus_release(vm);
        control_deliver(vm->control);
    }
}

/* One line for every end that a script should hear about. */
static void say_why(const struct vm *vm, enum stop_cause cause, unsigned code)
{
    switch (cause) {
    case STOP_TRIPLE_FAULT:
        log_error("%s on vCPU %u", stop_describe(cause), code);
        break;
    case STOP_PANIC:
    case STOP_WATCHDOG:
        log_error("%s", stop_describe(cause));
        break;
    case STOP_TIMEOUT:
        log_error("%s-timeout of %u s passed",
                  vm->cfg->hooks && vm->cfg->hooks->two_dashes ? "-" : "", vm->cfg->timeout_s);
        break;
    case STOP_SIGNAL:
        log_error("%s %u (%s)", stop_describe(cause), code, strsignal((int)code));
        break;
    default:
        break;
    }
}

int vm_run(struct vm *vm, struct err *err)
{
    int rc = boot(vm, err);
    if (!rc)
        rc = watch_signals(vm, err);
    if (!rc)
        rc = vcpus_start(vm, err);
    if (!rc)
        rc = write_pidfile(vm, err);
    if (!rc)
        rc = tty_raw(err);
    if (rc)
        return rc;

    vm_begin(vm);
    rc = serve(vm, err);
    vcpus_end(vm);
    control_tell_end(vm->control, atomic_load(&vm->stop));
    tty_restore();
    bool written = exits_write(vm);
    report_icount(vm);
    if (rc)
        return rc;
    unsigned stop = atomic_load(&vm->stop);
    say_why(vm, stop_cause_of(stop), stop >> 8);
    rc = stop_exit_status(stop_cause_of(stop), stop >> 8);
    gdb_ended(vm->gdb, (unsigned)rc);
    return !written && rc == EXIT_OK ? EXIT_HOST_ERROR : rc;
}

/* --- the end --- */

void vm_destroy(struct vm *vm)
{
    vcpus_end(vm);
    gdb_close(vm->gdb);
    vm->gdb = NULL;
    control_close(vm->control);
    vm->control = NULL;
    exits_close(vm);
    pthread_mutex_lock(&vm->lock);
    machine_destroy(vm);
    pthread_mutex_unlock(&vm->lock);
    for (unsigned i = 0; vm->vcpus && i < vm->accel.nvcpus; i++)
        vm->accel.ops->vcpu_fini(&vm->vcpus[i]);
    free(vm->vcpus);
    if (vm->accel.ops)
        vm->accel.ops->vm_fini(&vm->accel);
    gmem_fini(&vm->gmem);
    boot_plan_free(&vm->plan);
    auto_boot_free(&vm->auto_boot);
    watches_close(vm);
    event_queue_fini(&vm->events);
    evloop_fini(&vm->loop);
    if (vm->pidfile_made)
        unlink(vm->cfg->pidfile);
    pthread_cond_destroy(&vm->all_parked);
    pthread_cond_destroy(&vm->gate_opened);
    pthread_mutex_destroy(&vm->gate_lock);
    pthread_mutex_destroy(&vm->lock);
}
