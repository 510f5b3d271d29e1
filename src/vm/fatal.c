// SPDX-License-Identifier: MIT
//
// The handlers of fatal signals: see fatal.h. Everything here is async-signal-safe: no stdio, no
// locks, no memory. The line names the place as an offset into the program, which is what addr2line
// wants of a position-independent one.
#include "src/vm/fatal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "chr.h"
#include "stop.h"
#include "util.h"

/* A reader of our stderr that reads no more must not keep us. */
#define PATIENCE_MS 1000

extern const char __executable_start[], etext[]; /* the linker's */

static const struct {
    int sig;
    const char *name;
} faults[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"},
    {SIGABRT, "SIGABRT"}, {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"},
};

/* What else would end us by default. The event loop has those that users send. */
static const int strays[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGUSR1, SIGUSR2, SIGIO, SIGPWR};

/* Those that the event loop takes once there is one. */
static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static void (*_Atomic told)(enum stop_cause cause, int status, const char *line);

struct line {
    char text[256];
    size_t len;
};

static void put(struct line *l, const char *s)
{
    while (*s && l->len < sizeof l->text)
        l->text[l->len++] = *s++;
}

static void put_number(struct line *l, uintptr_t v, unsigned base)
{
    char digits[24];
    char *p = digits + sizeof digits - 1;
    *p = '\0';
    do
        *--p = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    put(l, base == 16 ? "0x" : "");
    put(l, p);
}

static void put_place(struct line *l, const ucontext_t *context)
{
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    bool ours = at >= (uintptr_t)__executable_start && at < (uintptr_t)etext;
    put(l, ours ? " at minivmm+" : " at ");
    put_number(l, ours ? at - (uintptr_t)__executable_start : at, 16);
}

static const char *fault_name(int sig)
{
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i].sig == sig)
            return faults[i].name;
    }
    return "?";
}

static void say(const struct line *l)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        return;
    while (write(STDERR_FILENO, l->text, l->len) < 0 && errno == EINTR)
        ;
}

static void tell_end(enum stop_cause cause, int status, const char *text)
{
    void (*tell)(enum stop_cause, int, const char *) = atomic_exchange(&told, NULL);
    if (tell)
        tell(cause, status, text);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    static atomic_flag first = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&first))
        pause(); /* another thread is on its way out for all */

    struct line l = {.len = 0};
    tty_restore();
    put(&l, "minivmm: bug: signal ");
    put_number(&l, (uintptr_t)sig, 10);
    put(&l, " (");
    put(&l, fault_name(sig));
    put(&l, ")");
    put_place(&l, context);
    if (info->si_code > 0) { /* not sent by a process */
        put(&l, ", address ");
        put_number(&l, (uintptr_t)info->si_addr, 16);
    }
    put(&l, "; please report it with the command line and what 'minivmm -version' says\n");
    say(&l);
    l.text[l.len - 1] = '\0'; /* in place of the newline */
    tell_end(STOP_BUG, EXIT_VMM_BUG, l.text + strlen("minivmm: "));
    _exit(EXIT_VMM_BUG);
}

/* Restore, then die of the same signal as if we had never caught it. */
static void on_stray(int sig)
{
    struct line l = {.len = 0};
    tty_restore();
    put(&l, "ended by a signal ");
    put_number(&l, (uintptr_t)sig, 10);
    l.text[l.len] = '\0';
    tell_end(STOP_SIGNAL, EXIT_SIGNAL_BASE + sig, l.text);
    signal(sig, SIG_DFL);
    raise(sig); /* held back until this handler returns */
}

/* What was ignored when we started stays so: whoever started us wants it. */
static void handle(const int *sigs, size_t n, void (*handler)(int))
{
    const struct sigaction ours = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    for (size_t i = 0; i < n; i++) {
        struct sigaction old;
        if (!sigaction(sigs[i], &ours, &old) && old.sa_handler == SIG_IGN)
            sigaction(sigs[i], &old, NULL);
    }
}

void fatal_use_stack(void *stack, stack_t *before)
{
    const stack_t ss = {.ss_sp = stack, .ss_size = FATAL_STACK_BYTES};
    sigaltstack(&ss, before);
}

void fatal_install(void)
{
    static char stack[FATAL_STACK_BYTES];
    fatal_use_stack(stack, NULL);

    struct sigaction on_bug = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t unblock;
    sigemptyset(&unblock);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        sigaddset(&on_bug.sa_mask, faults[i].sig); /* a second one inside the handler kills */
        sigaddset(&unblock, faults[i].sig);
    }
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        sigaction(faults[i].sig, &on_bug, NULL);
    pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);

    handle(strays, ARRAY_LEN(strays), on_stray);
}

void fatal_tell(void (*tell)(enum stop_cause cause, int status, const char *line))
{
    atomic_store(&told, tell);
    handle(ends, ARRAY_LEN(ends), tell ? on_stray : SIG_DFL);
}
