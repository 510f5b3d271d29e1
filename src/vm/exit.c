// SPDX-License-Identifier: MIT
//
// What the VMM does for each kind of exit: one handler a kind, in a table. Device access happens
// here, under the device lock.
#include <string.h>

#include "log.h"
#include "src/exits/exits.h"
#include "src/gdb/gdb.h"
#include "src/vm/vm.h"

static void on_pio(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    (void)v;
    pthread_mutex_lock(&vm->lock);
    if (exit->pio.write)
        bus_write_string(&vm->pio, exit->pio.port, exit->pio.size, exit->pio.count, exit->pio.data);
    else
        bus_read_string(&vm->pio, exit->pio.port, exit->pio.size, exit->pio.count, exit->pio.data);
    pthread_mutex_unlock(&vm->lock);
}

static void on_mmio(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    (void)v;
    pthread_mutex_lock(&vm->lock);
    if (exit->mmio.write)
        bus_write_string(&vm->mmio, exit->mmio.addr, exit->mmio.size, 1, exit->mmio.data);
    else
        bus_read_string(&vm->mmio, exit->mmio.addr, exit->mmio.size, 1, exit->mmio.data);
    pthread_mutex_unlock(&vm->lock);
}

static void on_shutdown(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    (void)exit;
    vm_request_stop(vm, STOP_TRIPLE_FAULT, v->id);
}

static void on_intr(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    (void)vm, (void)v, (void)exit; /* the run loop looks at its requests */
}

static void on_fail(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    struct cpu_state cpu;
    struct err err = {0};
    char regs[2048] = "\n";
    if (!vm_claim_stop(vm, STOP_ENGINE, v->id))
        return; /* one line per run */
    int rc = v->accel->ops->get_state(v, &cpu, &err);
    if (!rc && !v->story)
        cpu_state_format(&cpu, regs + 1, sizeof regs - 1);
    regs[strlen(regs) - 1] = '\0';
    log_error("engine %s failed on vCPU %u at rip %#llx: %s%s", v->accel->ops->name, v->id,
              rc ? 0ull : (unsigned long long)cpu.rip, exit->fail.why, regs);
    for (const char *line = v->story; line && *line;) {
        size_t len = strcspn(line, "\n");
        log_error("%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static void on_debug(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    (void)v;
    if (vm->gdb)
        gdb_told(vm->gdb, exit);
}

static void (*const handlers[EXIT_KINDS])(struct vm *, struct vcpu *, struct vm_exit *) = {
    [EXIT_PIO] = on_pio,   [EXIT_MMIO] = on_mmio, [EXIT_SHUTDOWN] = on_shutdown,
    [EXIT_INTR] = on_intr, [EXIT_FAIL] = on_fail, [EXIT_STEP] = on_intr,
    [EXIT_DEBUG] = on_debug,
};

static const struct region *region_of(struct vm *vm, const struct vm_exit *exit)
{
    pthread_mutex_lock(&vm->lock);
    const struct region *region = exit->kind == EXIT_PIO    ? bus_find(&vm->pio, exit->pio.port)
                                  : exit->kind == EXIT_MMIO ? bus_find(&vm->mmio, exit->mmio.addr)
                                                            : NULL;
    pthread_mutex_unlock(&vm->lock);
    return region;
}

/* The same, looked at for the exit report; seldom, so none of it burdens the others. */
__attribute__((noinline)) static void handle_watched(struct vm *vm, struct vcpu *v,
                                                     struct vm_exit *exit)
{
    bool access = exit->kind == EXIT_PIO || exit->kind == EXIT_MMIO;
    bool write = exit->kind == EXIT_PIO ? exit->pio.write : access && exit->mmio.write;
    struct profile_look look = {
        .kind = exit->kind,
        .pace = profile_pace(exit),
        .region = region_of(vm, exit),
        .write = write,
        .rip = access ? v->accel->ops->rip(v) : 0,
        .begin_ns = exits_now_ns(),
    };
    handlers[exit->kind](vm, v, exit);
    look.end_ns = exits_now_ns();
    profile_add(v->profile, &look);
}

void exit_handle(struct vm *vm, struct vcpu *v, struct vm_exit *exit)
{
    v->exits[exit->kind]++;
    if (v->profile && profile_due(v->profile, exit))
        handle_watched(vm, v, exit);
    else if (exit->kind == EXIT_PIO) /* most are: known at once */
        on_pio(vm, v, exit);
    else
        handlers[exit->kind](vm, v, exit);
}
