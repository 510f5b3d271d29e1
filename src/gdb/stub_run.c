// SPDX-License-Identifier: MIT
//
// The stub's continue and step. The plan is set when the guest goes and gone when it stops, so that
// memory is the guest's own whenever anybody looks. While one thread steps and gdb says nothing of
// the others, they stay.
#include <string.h>

#include "src/gdb/stub.h"

static void go(struct stub *s)
{
    struct err err = {0};
    bool wanted = s->plan.npoints;
    for (unsigned n = 0; n < s->accel->nvcpus; n++)
        wanted |= s->accel->vcpus[n].debug_run != DEBUG_GO;
    stub_locate_points(s);
    if (wanted && s->accel->ops->set_debug(s->accel, &s->plan, &err)) {
        stub_error(s, 28);
        stub_send(s);
        return;
    }
    s->running = true;
    s->host->resume(s->opaque);
}

static void set_all(struct stub *s, enum debug_run what)
{
    for (unsigned n = 0; n < s->accel->nvcpus; n++)
        s->accel->vcpus[n].debug_run = what;
}

/* At another place than the present one; "C05;addr" has a signal before it, which a machine knows
 * not what to do with. */
static void set_place(struct stub *s, unsigned vcpu, const char *args)
{
    struct cpu_state cpu;
    struct err err = {0};
    uint64_t address;
    if (!packet_number(&args, &address) || *args || !stub_state(s, vcpu, &cpu))
        return;
    cpu.rip = address;
    s->accel->ops->set_state(&s->accel->vcpus[vcpu], &cpu, &err);
}

static const char *behind_signal(const struct stub *s, const char *args)
{
    char command = (char)s->in.body[0];
    if (command != 'C' && command != 'S')
        return args;
    const char *semicolon = strchr(args, ';');
    return semicolon ? semicolon + 1 : "";
}

void stub_continue(struct stub *s, const char *args, size_t len)
{
    (void)len;
    set_place(s, s->thread, behind_signal(s, args));
    set_all(s, DEBUG_GO);
    go(s);
}

void stub_step(struct stub *s, const char *args, size_t len)
{
    (void)len;
    unsigned vcpu = s->step_thread < 0 ? s->thread : (unsigned)s->step_thread;
    set_place(s, vcpu, behind_signal(s, args));
    set_all(s, DEBUG_STAY);
    s->accel->vcpus[vcpu].debug_run = DEBUG_STEP;
    go(s);
}

/* One `c`, `s`, or those with a signal, and the threads it is for; the first that names a thread
 * holds. */
static bool take_action(struct stub *s, const char **p, bool *decided)
{
    char action = **p;
    uint64_t signal;
    int vcpu = -1;
    if (!action || !strchr("cCsS", action))
        return false;
    (*p)++;
    if ((action == 'C' || action == 'S') && !packet_number(p, &signal))
        return false;
    if (**p == ':') {
        (*p)++;
        if (!stub_parse_thread(s, p, &vcpu))
            return false;
    }
    for (unsigned n = 0; n < s->accel->nvcpus; n++) {
        if (decided[n] || (vcpu >= 0 && (unsigned)vcpu != n))
            continue;
        decided[n] = true;
        s->accel->vcpus[n].debug_run = action == 'c' || action == 'C' ? DEBUG_GO : DEBUG_STEP;
    }
    return true;
}

void stub_vcont(struct stub *s, const char *args, size_t len)
{
    bool decided[VCPU_MAX] = {false}, ok = *args == ';';
    (void)len;
    set_all(s, DEBUG_STAY);
    while (ok && *args == ';') {
        args++;
        ok = take_action(s, &args, decided);
    }
    if (ok && !*args) {
        go(s);
        return;
    }
    set_all(s, DEBUG_GO);
    stub_error(s, 22);
    stub_send(s);
}
