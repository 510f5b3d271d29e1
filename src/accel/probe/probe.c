// SPDX-License-Identifier: MIT
//
// Runs the guests of the probe on an engine: a machine of 2 MiB without devices, one vCPU, one
// guest after the other. See probe.h.
#include "src/accel/probe/probe.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus.h"
#include "clock.h"
#include "layout.h"
#include "src/accel/probe/probe_checks.h"
#include "util.h"

#define PROBE_RAM MIB(2)

/*
 * Supervisor code is timed in rounds of growing length, until one is long enough to be timed well.
 */
#define FIRST_TURNS 20
#define GROWTH 8
#define LONG_ENOUGH_NS 1000000
#define MAX_TURNS (1u << 28)

const char *const probe_keys[PROBE_CHECKS] = {
    [PROBE_RUNS] = "runs",   [PROBE_SPEED] = "speed",       [PROBE_SYSCALL] = "syscall",
    [PROBE_FLAGS] = "flags", [PROBE_SEGMENTS] = "segments", [PROBE_EXCEPTIONS] = "exceptions",
};
const char *const probe_names[PROBE_CHECKS] = {
    [PROBE_RUNS] = "64-bit code",       [PROBE_SPEED] = "supervisor loop",
    [PROBE_SYSCALL] = "SYSCALL",        [PROBE_FLAGS] = "PUSHF/POPF",
    [PROBE_SEGMENTS] = "segment reads", [PROBE_EXCEPTIONS] = "exceptions",
};
const char *const probe_answers[] = {
    [PROBE_NOT_RUN] = "not run", [PROBE_OK] = "ok", [PROBE_WRONG] = "wrong"};

struct rig {
    struct accel accel;
    struct vcpu vcpu;
    struct gmem gmem;
    struct evloop loop;
    struct clock clock;
    struct bus pio, mmio;
    pthread_mutex_t lock;
    bool done, strayed; /* wrote to the port of the end; touched anything else outside RAM */
    uint64_t end_ns;    /* of the budget */
    unsigned guest_ms;  /* that one guest has to come to its end */
};

/* Kicks the vCPU when its time is over. */
struct alarm_clock {
    struct vcpu *vcpu;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t off;
    struct timespec deadline;
    bool is_off;
    atomic_bool rang;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *alarm_main(void *arg)
{
    struct alarm_clock *a = arg;
    int rc = 0;
    pthread_mutex_lock(&a->lock);
    while (!a->is_off && !rc)
        rc = pthread_cond_clockwait(&a->off, &a->lock, CLOCK_MONOTONIC, &a->deadline);
    if (!a->is_off) {
        atomic_store(&a->rang, true);
        a->vcpu->accel->ops->kick(a->vcpu);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static int alarm_set(struct alarm_clock *a, struct vcpu *v, uint64_t at_ns)
{
    *a = (struct alarm_clock){
        .vcpu = v,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .off = PTHREAD_COND_INITIALIZER,
        .deadline = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)},
    };
    return -pthread_create(&a->thread, NULL, alarm_main, a);
}

static void alarm_clear(struct alarm_clock *a)
{
    pthread_mutex_lock(&a->lock);
    a->is_off = true;
    pthread_cond_signal(&a->off);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
}

/* An access outside RAM: the end, or astray. */
static void take_exit(struct rig *r, const struct vm_exit *exit)
{
    if (exit->kind == EXIT_PIO && exit->pio.write && exit->pio.port == PROBE_DONE_PORT)
        r->done = true;
    else
        r->strayed = true;
}

/* For engines that answer exits inside run(). */
static void on_io(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    struct rig *r = opaque;
    take_exit(r, exit);
    if (!exit->pio.write && exit->kind == EXIT_PIO)
        memset(exit->pio.data, 0xff, (size_t)exit->pio.size * exit->pio.count);
    v->accel->ops->kick(v);
}

/* No guest of ours waits for a timer. */
static void ignore_deadline(void *opaque, uint64_t deadline_ns)
{
    (void)opaque, (void)deadline_ns;
}

static void say_wrong(struct probe_check *out, const char *why)
{
    out->answer = PROBE_WRONG;
    snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, why);
}

/* Until the guest says that it is done. False, with the reason in *out: it never does. */
static bool run_to_end(struct rig *r, const struct alarm_clock *alarm, struct probe_check *out)
{
    struct vm_exit exit;
    r->done = r->strayed = false;
    while (!r->done) {
        r->accel.ops->run(&r->vcpu, &exit);
        switch (exit.kind) {
        case EXIT_PIO:
        case EXIT_MMIO:
            take_exit(r, &exit);
            break;
        case EXIT_SHUTDOWN:
            say_wrong(out, "triple fault");
            return false;
        case EXIT_FAIL:
            say_wrong(out, exit.fail.why);
            return false;
        default: /* EXIT_INTR: the alarm's kick, or a late one of the last guest's */
            break;
        }
        if (r->strayed) {
            say_wrong(out, "it touched what is not there");
            return false;
        }
        if (!r->done && atomic_load(&alarm->rang)) {
            snprintf(out->why, sizeof out->why, "no end within %u ms", r->guest_ms);
            out->answer = PROBE_WRONG;
            return false;
        }
    }
    return true;
}

/* One guest from its first instruction to its end, and how long that took. */
static bool run_guest(struct rig *r, enum probe_what what, uint64_t rcx, uint64_t *ns,
                      struct probe_check *out)
{
    struct err err = {0};
    struct cpu_state cpu;
    struct alarm_clock alarm;
    probe_guest_state(&cpu, probe_entry(what), rcx);
    int rc = probe_guest_load(&r->gmem, &err);
    if (!rc)
        rc = r->accel.ops->set_state(&r->vcpu, &cpu, &err);
    uint64_t start = now_ns(), end = start + r->guest_ms * 1000000ull;
    if (!rc && alarm_set(&alarm, &r->vcpu, end < r->end_ns ? end : r->end_ns))
        rc = err_set(&err, EAGAIN, "no thread for the alarm clock");
    if (rc) {
        say_wrong(out, err.msg);
        return false;
    }
    bool ended = run_to_end(r, &alarm, out);
    *ns = now_ns() - start;
    alarm_clear(&alarm);
    return ended;
}

static void check_once(struct rig *r, enum probe_what what, struct probe_check *out)
{
    struct probe_saw saw;
    uint64_t ns;
    if (!run_guest(r, what, 0, &ns, out))
        return;
    if (gmem_read(&r->gmem, PROBE_SAW, &saw, sizeof saw))
        say_wrong(out, "its memory is gone");
    else
        probe_judge(what, &saw, out);
}

/*
 * The first, shortest round tells what a round costs beside its turns, and is taken off the others.
 * A round that does not end in time is no loss: the one before it did.
 */
static void measure(struct rig *r, struct probe_result *out)
{
    struct probe_check *check = &out->check[PROBE_SPEED];
    uint64_t fixed_ns, ns = 0;
    if (!run_guest(r, PROBE_SPEED, FIRST_TURNS, &fixed_ns, check))
        return;
    for (uint64_t turns = FIRST_TURNS * GROWTH; turns <= MAX_TURNS; turns *= GROWTH) {
        struct probe_check round = {0};
        if (!run_guest(r, PROBE_SPEED, turns, &ns, &round)) {
            if (check->answer != PROBE_OK)
                *check = round;
            return;
        }
        if (ns <= fixed_ns)
            continue;
        out->mips =
            (double)((turns - FIRST_TURNS) * PROBE_LOOP_INSNS) * 1e3 / (double)(ns - fixed_ns);
        check->answer = PROBE_OK;
        if (ns - fixed_ns >= LONG_ENOUGH_NS)
            return;
    }
}

static void run_checks(struct rig *r, struct probe_result *out)
{
    static const enum probe_what singles[] = {PROBE_SYSCALL, PROBE_FLAGS, PROBE_SEGMENTS,
                                              PROBE_EXCEPTIONS};
    check_once(r, PROBE_RUNS, &out->check[PROBE_RUNS]);
    if (out->check[PROBE_RUNS].answer != PROBE_OK)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(singles) && now_ns() < r->end_ns; i++)
        check_once(r, singles[i], &out->check[singles[i]]);
    if (now_ns() < r->end_ns)
        measure(r, out);
}

static void with_vm(struct rig *r, struct probe_result *out)
{
    const struct accel_ops *ops = r->accel.ops;
    if (ops->vm_init(&r->accel, &out->err))
        return;
    if (!ops->vcpu_init(&r->vcpu, &out->err)) {
        out->opened = true;
        run_checks(r, out);
    }
    ops->vcpu_fini(&r->vcpu);
    ops->vm_fini(&r->accel);
}

void probe_engine(const struct accel_ops *ops, unsigned budget_ms, struct probe_result *out)
{
    uint64_t start = now_ns();
    struct rig r = {.loop = {.epoll_fd = -1, .wake_fd = -1}, .lock = PTHREAD_MUTEX_INITIALIZER};
    *out = (struct probe_result){0};
    r.end_ns = start + budget_ms * 1000000ull;
    r.guest_ms = budget_ms / 6;
    r.vcpu.accel = &r.accel;
    r.accel = (struct accel){
        .ops = ops,
        .gmem = &r.gmem,
        .loop = &r.loop,
        .lock = &r.lock,
        .pio = &r.pio,
        .mmio = &r.mmio,
        .clock = &r.clock,
        .io = on_io,
        .io_opaque = &r,
        .vcpus = &r.vcpu,
        .nvcpus = 1,
    };
    bus_init(&r.pio, "pio", 0x10000);
    bus_init(&r.mmio, "mmio", 0);
    clock_init_host(&r.clock, ignore_deadline, NULL);
    if (!evloop_init(&r.loop, &out->err) &&
        !gmem_init(&r.gmem, PROBE_RAM, RAM_HOLE_START, RAM_HOLE_END, &out->err))
        with_vm(&r, out);
    gmem_fini(&r.gmem);
    evloop_fini(&r.loop);
    out->ms = (double)(now_ns() - start) / 1e6;
}
