// SPDX-License-Identifier: MIT
//
// The table of commands as a part of the man page minivmm-qmp(7): see docs/update.sh.
#include <string.h>

#include "src/control/monitor.h"
#include "src/control/qmp.h"

static void man_word(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++)
        fprintf(out, *p == '-' ? "\\%c" : "%c", *p);
}

static void man_text(FILE *out, const char *text)
{
    man_word(out, text);
    fputc('\n', out);
}

static void man_command(const struct qmp_command *cmd, FILE *out)
{
    fprintf(out, ".TP\n.B ");
    man_text(out, cmd->name);
    man_text(out, cmd->help);
    for (unsigned i = 0; i < QMP_ARGS && cmd->args[i].name; i++) {
        const struct qmp_arg *arg = &cmd->args[i];
        fprintf(out, ".br\nArgument\n.BR ");
        man_word(out, arg->name);
        fprintf(out, " \" (%s%s):\"\n", qmp_type_names[arg->type],
                arg->optional ? ", optional" : "");
        man_text(out, arg->help);
    }
    fprintf(out, ".br\nReturns: ");
    man_text(out, cmd->returns ? cmd->returns : "an empty object.");
    if (cmd->errors) {
        fprintf(out, ".br\nErrors: ");
        man_text(out, cmd->errors);
    }
}

bool qmp_print_commands(const char *form, FILE *out)
{
    if (strcmp(form, "man"))
        return false;
    for (const struct qmp_command *cmd = qmp_commands; cmd->name; cmd++)
        man_command(cmd, out);
    fprintf(out, ".SH THE HUMAN MONITOR\n");
    monitor_print_man(out);
    return true;
}
