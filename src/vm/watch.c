// SPDX-License-Identifier: MIT
//
// What the event loop of a machine watches for itself: the guest's timers (under host time; counted
// time is the engine's), signals, and the end of -timeout.
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/chr/tty.h"
#include "src/vm/vm.h"
#include "util.h"

static struct itimerspec absolute_time(uint64_t ns)
{
    return (struct itimerspec){
        .it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)},
    };
}

/*
 * The clock's earliest deadline moved: the timerfd follows. Under the device lock, on any thread.
 */
static void on_rearm(void *opaque, uint64_t deadline_ns)
{
    struct vm *vm = opaque;
    struct itimerspec when = {0};
    if (deadline_ns != CLOCK_NEVER)
        when = absolute_time(vm->clock.base_ns + deadline_ns);
    timerfd_settime(vm->timer_watch.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Due timers fire in vm_run's loop, after any wake-up. */
static void on_timer(void *self, uint32_t events)
{
    (void)events;
    struct vm *vm = self;
    uint64_t n;
    if (read(vm->timer_watch.fd, &n, sizeof n) < 0)
        return; /* re-armed meanwhile */
}

static void on_timeout(void *self, uint32_t events)
{
    (void)events;
    vm_request_stop(self, STOP_TIMEOUT, 0);
}

static void on_signal(void *self, uint32_t events)
{
    (void)events;
    struct vm *vm = self;
    struct signalfd_siginfo info;
    if (read(vm->signal_watch.fd, &info, sizeof info) != sizeof info)
        return;
    switch (info.ssi_signo) {
    case SIGTSTP:
        tty_lend();
        raise(SIGSTOP);
        break;
    case SIGCONT: /* whoever was in front meanwhile may have changed the modes, also after a SIGSTOP
                   */
        tty_raw_again();
        break;
    case SIGWINCH:
        chr_stdio_resized();
        if (vm->cfg->hooks && vm->cfg->hooks->resized)
            vm->cfg->hooks->resized(vm->cfg->hooks->self);
        break;
    default:
        vm_request_stop(vm, STOP_SIGNAL, info.ssi_signo);
        break;
    }
}

static int add_watch(struct vm *vm, struct fd_watch *w, int fd, void (*ready)(void *, uint32_t),
                     const char *what, struct err *err)
{
    *w = (struct fd_watch){.fd = fd, .events = EPOLLIN, .ready = ready, .self = vm};
    int rc = fd < 0 ? -errno : evloop_add(&vm->loop, w);
    if (rc && fd >= 0)
        close(fd);
    return rc ? err_set_errno(err, -rc, "create the %s", what) : 0;
}

/* Signals that whoever started us ignores (nohup, a script's background) stay ignored; blocking
 * would bring them back. */
int watch_signals(struct vm *vm, struct err *err)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        struct sigaction old;
        if (!sigaction(ours[i], NULL, &old) && old.sa_handler != SIG_IGN)
            sigaddset(&set, ours[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return add_watch(vm, &vm->signal_watch, fd, on_signal, "signal descriptor", err);
}

static int watch_timeout(struct vm *vm, struct err *err)
{
    if (!vm->cfg->timeout_s)
        return 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int rc = add_watch(vm, &vm->timeout_watch, fd, on_timeout, "-timeout timer", err);
    struct itimerspec when = {.it_value.tv_sec = vm->cfg->timeout_s};
    if (!rc)
        timerfd_settime(fd, 0, &when, NULL);
    return rc;
}

static int watch_host_clock(struct vm *vm, struct err *err)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    clock_init_host(&vm->clock, on_rearm, vm);
    return add_watch(vm, &vm->timer_watch, fd, on_timer, "guest timer", err);
}

/* Lockstep's runner steps the time that both engines see. */
static int open_clock(struct vm *vm, struct err *err)
{
    if (vm->cfg->icount)
        clock_init_counted(&vm->clock, vm->cfg->icount_shift, CLOCK_COUNTED_UTC_S * NS_PER_S);
    else if (vm->cfg->lockstep.leader)
        clock_init_stepped(&vm->clock, (uint64_t)time(NULL) * NS_PER_S);
    else
        return watch_host_clock(vm, err);
    return 0;
}

int watches_open(struct vm *vm, struct err *err)
{
    int rc = evloop_init(&vm->loop, err);
    if (rc)
        return rc;
    rc = open_clock(vm, err);
    if (!rc)
        rc = watch_timeout(vm, err);
    return rc;
}

static void close_watch(struct vm *vm, struct fd_watch *w)
{
    if (!w->added)
        return;
    evloop_remove(&vm->loop, w);
    close(w->fd);
}

void watches_close(struct vm *vm)
{
    close_watch(vm, &vm->timeout_watch);
    close_watch(vm, &vm->signal_watch);
    close_watch(vm, &vm->timer_watch);
}
