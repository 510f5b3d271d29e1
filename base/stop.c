// SPDX-License-Identifier: MIT
//
// Stop causes: their names, their words and their exit statuses in one table, which is also what
// docs/exit-codes.md and the manual page say (docs/update.sh). See include/stop.h.
#include "stop.h"

#include <string.h>

static const struct cause {
    const char *name;    /* in -result */
    const char *words;   /* for the closing line */
    int status;          /* or the base of it */
    const char *shape;   /* how documents write the status */
    const char *meaning; /* NULL: not documented */
} causes[STOP_CAUSES] = {
    [STOP_NONE] = {"none", "still running", EXIT_VMM_BUG, "", NULL},
    [STOP_POWEROFF] = {"poweroff", "guest powered off", EXIT_OK, "0",
                       "The guest powered off (ACPI S5)."},
    [STOP_RESET] = {"reset", "guest reset under -no-reboot", EXIT_OK, "0",
                    "The guest reset the machine under -no-reboot (-action reboot=shutdown). "
                    "Without it the guest is started again, which ends nothing."},
    [STOP_QUIT] = {"quit", "quit by the user", EXIT_OK, "0",
                   "The user quit: Ctrl-A x, or quit through a control socket or the monitor."},
    [STOP_ERROR] = {"error", "an error of the host or in setting up", EXIT_HOST_ERROR, "1",
                    "The host refused something or setting up failed: a file that cannot be "
                    "opened or is no kernel, a disk image in use, no /dev/kvm or one that cannot "
                    "run this kernel, no memory. The message says what, which object, why, and "
                    "what to do."},
    [STOP_USAGE] = {"usage", "the command line is wrong", EXIT_USAGE, "2",
                    "The command line is wrong. Nothing was opened."},
    [STOP_DEBUG_EXIT] = {"debug-exit", "guest wrote to isa-debug-exit", EXIT_OK, "2V+1",
                         "The guest wrote V to isa-debug-exit. Only the low 8 bits count, so every "
                         "such status is odd; a write of 0 gives 1."},
    [STOP_TIMEOUT] = {"timeout", "-timeout passed", EXIT_TIMEOUT, "124",
                      "The time of -timeout passed."},
    [STOP_SIGNAL] = {"signal", "ended by a signal", EXIT_SIGNAL_BASE, "128+N",
                     "Ended by signal N: SIGINT, SIGTERM, SIGHUP and SIGQUIT end the run in order, "
                     "with one line. Before the guest starts they have their default effect; "
                     "signals that were ignored when minivmm started stay ignored."},
    [STOP_PANIC] = {"panic", "guest panic", EXIT_GUEST_PANIC, "240",
                    "The guest's kernel panicked and said so through pvpanic (not under -action "
                    "panic=none)."},
    [STOP_TRIPLE_FAULT] = {"triple-fault", "guest triple fault", EXIT_TRIPLE_FAULT, "241",
                           "A CPU of the guest failed to deliver an exception, three levels deep. "
                           "It ends the run with and without -no-reboot, so that it is not taken "
                           "for a reboot."},
    [STOP_WATCHDOG] = {"watchdog", "the watchdog fired", EXIT_WATCHDOG, "242",
                       "The guest did not serve its watchdog in time, under -action "
                       "watchdog=poweroff, or under watchdog=reset (the default) with -no-reboot."},
    [STOP_ENGINE] = {"engine-failure", "the engine failed", EXIT_ENGINE_FAILURE, "244",
                     "The engine could not go on, for instance a failed entry into the guest; the "
                     "line says why."},
    [STOP_BUG] = {"vmm-bug", "a bug in minivmm", EXIT_VMM_BUG, "245",
                  "A bug in minivmm: one line names the signal and the place. The terminal is "
                  "restored; the pidfile stays; there is no core dump."},
};

int stop_exit_status(enum stop_cause cause, unsigned code)
{
    if (cause == STOP_DEBUG_EXIT)
        return (int)((code * 2 + 1) & 0xff);
    if (cause == STOP_SIGNAL)
        return EXIT_SIGNAL_BASE + (int)code;
    return causes[cause].status;
}

const char *stop_describe(enum stop_cause cause)
{
    return causes[cause].words;
}

const char *stop_name(enum stop_cause cause)
{
    return causes[cause].name;
}

/* --- the table in documents --- */

static void print_man(const struct cause *c, FILE *out)
{
    fprintf(out, ".TP\n.B %s\n", c->shape);
    for (const char *p = c->meaning; *p; p++)
        fprintf(out, *p == '-' ? "\\%c" : "%c", *p);
    fprintf(out, "\nCause:\n.BR ");
    for (const char *p = c->name; *p; p++)
        fprintf(out, *p == '-' ? "\\%c" : "%c", *p);
    fprintf(out, " .\n");
}

static void print_markdown(const struct cause *c, FILE *out)
{
    fprintf(out, "| %s | `%s` | %s |\n", c->shape, c->name, c->meaning);
}

/* Ascending by status; the two with a formula stand where their smallest value is. */
static int rank(const struct cause *c)
{
    return c == &causes[STOP_DEBUG_EXIT] ? EXIT_USAGE + 1 : c->status;
}

bool stop_print_table(const char *form, FILE *out)
{
    bool man = !strcmp(form, "man");
    if (!man && strcmp(form, "markdown"))
        return false;
    if (!man)
        fprintf(out, "| status | cause | |\n|---|---|---|\n");
    for (int status = 0; status < 256; status++) {
        for (unsigned i = 0; i < STOP_CAUSES; i++) {
            const struct cause *c = &causes[i];
            if (!c->meaning || rank(c) != status)
                continue;
            if (man)
                print_man(c, out);
            else
                print_markdown(c, out);
        }
    }
    return true;
}
