// SPDX-License-Identifier: MIT
//
// See accel_rig.h.
#include "tests/lib/accel_rig.h"

#include <string.h>

#include "layout.h"
#include "src/accel/probe/probe_guest.h"
#include "util.h"

static void ignore_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque, (void)deadline_ns;
}

static void take_exit(struct accel_rig *r, struct vm_exit *exit)
{
    if (exit->kind == EXIT_PIO && exit->pio.write && exit->pio.port == PROBE_DONE_PORT)
        r->done = true;
    else
        r->strayed = true;
    if (exit->kind == EXIT_PIO && !exit->pio.write)
        memset(exit->pio.data, 0xff, (size_t)exit->pio.size * exit->pio.count);
    if (exit->kind == EXIT_MMIO && !exit->mmio.write)
        memset(exit->mmio.data, 0xff, exit->mmio.size);
}

/* For engines that answer exits inside run(). */
static void on_io(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    take_exit(opaque, exit);
    v->accel->ops->kick(v);
}

static int open_parts(struct accel_rig *r, struct err *err)
{
    int rc = evloop_init(&r->loop, err);
    if (!rc)
        rc = gmem_init(&r->gmem, MIB(2), RAM_HOLE_START, RAM_HOLE_END, err);
    if (!rc)
        rc = r->accel.ops->vm_init(&r->accel, err);
    if (rc) {
        r->accel.ops = NULL;
        return rc;
    }
    return r->accel.ops->vcpu_init(&r->vcpu, err);
}

int accel_rig_open(struct accel_rig *r, const struct accel_ops *ops, struct err *err)
{
    return accel_rig_open_lockstep(r, ops, NULL, err);
}

int accel_rig_open_lockstep(struct accel_rig *r, const struct accel_ops *ops, const struct lockstep_config *config,
                            struct err *err)
{
    pthread_mutexattr_t attr;
    *r = (struct accel_rig){.loop = {.epoll_fd = -1, .wake_fd = -1}};
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&r->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    r->vcpu.accel = &r->accel;
    r->accel = (struct accel){
        .ops = ops,
        .gmem = &r->gmem,
        .loop = &r->loop,
        .lock = &r->lock,
        .pio = &r->pio,
        .mmio = &r->mmio,
        .clock = &r->clock,
        .io = on_io,
        .io_opaque = r,
        .vcpus = &r->vcpu,
        .nvcpus = 1,
        .lockstep = config,
    };
    bus_init(&r->pio, "pio", 0x10000);
    bus_init(&r->mmio, "mmio", 0);
    clock_init_host(&r->clock, ignore_deadline, NULL);
    int rc = open_parts(r, err);
    if (rc)
        accel_rig_close(r);
    return rc;
}

void accel_rig_close(struct accel_rig *r)
{
    if (r->accel.ops) {
        r->accel.ops->vcpu_fini(&r->vcpu);
        r->accel.ops->vm_fini(&r->accel);
    }
    gmem_fini(&r->gmem);
    evloop_fini(&r->loop);
    pthread_mutex_destroy(&r->lock);
}

void accel_rig_load(struct accel_rig *r, const void *code, size_t len, struct cpu_state *cpu)
{
    struct err err;
    probe_guest_load(&r->gmem, &err);
    gmem_write(&r->gmem, PROBE_CODE, code, len);
    probe_guest_state(cpu, probe_code, 0);
}

void accel_rig_load_after(struct accel_rig *r, const void *code, size_t len, struct cpu_state *cpu)
{
    struct err err;
    probe_guest_load(&r->gmem, &err);
    gmem_write(&r->gmem, ACCEL_RIG_CODE, code, len);
    probe_guest_state(cpu, probe_code, 0);
    cpu->rip = ACCEL_RIG_CODE;
}

void accel_rig_user(struct cpu_state *cpu)
{
    cpu->rflags |= 0x3000;
    cpu->gpr[RSP] = PROBE_USER_STACK;
    cpu->seg[SEG_CS].sel = PROBE_SEL_USER_CODE;
    cpu->seg[SEG_CS].dpl = 3;
    cpu->seg[SEG_SS].sel = PROBE_SEL_USER_STACK;
    cpu->seg[SEG_SS].dpl = 3;
}

bool accel_rig_run(struct accel_rig *r, struct vm_exit *end)
{
    r->done = r->strayed = false;
    while (!r->done && !r->strayed) {
        r->accel.ops->run(&r->vcpu, end);
        if (end->kind == EXIT_PIO || end->kind == EXIT_MMIO)
            take_exit(r, end);
        else if (end->kind != EXIT_INTR)
            return false;
    }
    return r->done;
}
