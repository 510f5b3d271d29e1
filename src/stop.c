// SPDX-License-Identifier: MIT
//
// Stop causes, their words and their exit statuses: see include/stop.h and docs/exit-codes.md.
#include "stop.h"

static const struct {
    const char *words;
    int status;
} causes[] = {
    [STOP_NONE] = {"still running", EXIT_VMM_BUG},
    [STOP_POWEROFF] = {"guest powered off", EXIT_OK},
    [STOP_RESET] = {"guest reset under -no-reboot", EXIT_OK},
    [STOP_DEBUG_EXIT] = {"guest wrote to isa-debug-exit", EXIT_OK},
    [STOP_TRIPLE_FAULT] = {"guest triple fault", EXIT_TRIPLE_FAULT},
    [STOP_QUIT] = {"quit by the user", EXIT_OK},
    [STOP_SIGNAL] = {"ended by a signal", EXIT_SIGNAL_BASE},
    [STOP_TIMEOUT] = {"-timeout passed", EXIT_TIMEOUT},
    [STOP_ENGINE] = {"the engine failed", EXIT_ENGINE_FAILURE},
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
