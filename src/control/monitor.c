// SPDX-License-Identifier: MIT
//
// Commands of the human monitor: see monitor.h.
#include "src/control/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "opt.h"
#include "src/control/balloon.h"
#include "src/vm/vm.h"

static void do_stop(struct vm *vm, const char *arg, FILE *out)
{
    (void)arg;
    if (!vm_pause(vm, BRAKE_CONTROL))
        fputs("stopped already\n", out);
}

static void do_cont(struct vm *vm, const char *arg, FILE *out)
{
    (void)arg;
    bool was = vm_resume(vm, BRAKE_CONTROL);
    if (atomic_load(&vm->brakes))
        fputs("gdb holds it, until it says continue or detach\n", out);
    else if (!was)
        fputs("running already\n", out);
}

static void do_powerdown(struct vm *vm, const char *arg, FILE *out)
{
    (void)arg, (void)out;
    vm_press_power(vm);
}

static void do_reset(struct vm *vm, const char *arg, FILE *out)
{
    (void)arg, (void)out;
    vm_request_stop(vm, STOP_RESET, STOP_BY_CONTROL);
}

static void do_quit(struct vm *vm, const char *arg, FILE *out)
{
    (void)arg, (void)out;
    vm_request_stop(vm, STOP_QUIT, 0);
}

static void do_help(struct vm *vm, const char *arg, FILE *out);

static const struct command {
    const char *name, *arg, *help; /* arg NULL: takes none */
    void (*run)(struct vm *vm, const char *arg, FILE *out);
} commands[] = {
    {"stop", NULL, "stop all CPUs where they are", do_stop},
    {"cont", NULL, "let them go on", do_cont},
    {"system_powerdown", NULL, "press the power button", do_powerdown},
    {"system_reset", NULL, "reset the machine", do_reset},
    {"balloon", "SIZE", "leave the guest so much memory: MiB, or with K, M, G or T behind it",
     balloon_type},
    {"quit", NULL, "end it at once", do_quit},
    {"help", NULL, "this list", do_help},
    {0},
};

static void list_infos(FILE *out)
{
    for (const struct monitor_info *i = monitor_infos; i->name; i++)
        fprintf(out, "info %-16s %s\n", i->name, i->help);
}

static void do_help(struct vm *vm, const char *arg, FILE *out)
{
    (void)vm, (void)arg;
    for (const struct command *c = commands; c->name; c++)
        fprintf(out, "%s %-*s %s\n", c->name, (int)(20 - strlen(c->name)), c->arg ? c->arg : "",
                c->help);
    list_infos(out);
}

void monitor_print_man(FILE *out)
{
    for (const struct command *c = commands; c->name; c++)
        fprintf(out, ".TP\n.B %s%s%s\n%s\n", c->name, c->arg ? " " : "", c->arg ? c->arg : "",
                c->help);
    for (const struct monitor_info *i = monitor_infos; i->name; i++)
        fprintf(out, ".TP\n.B info %s\n%s\n", i->name, i->help);
}

static void run_info(struct vm *vm, const char *what, FILE *out)
{
    for (const struct monitor_info *i = monitor_infos; what && i->name; i++) {
        if (!strcmp(i->name, what)) {
            i->print(vm, out);
            return;
        }
    }
    if (what)
        fprintf(out, "info: nothing is called '%s'; there are\n", OPT_QUOTE(what));
    list_infos(out);
}

static void run_words(struct vm *vm, char *line, FILE *out)
{
    char *rest = NULL;
    const char *word = strtok_r(line, " \t", &rest);
    const char *second = word ? strtok_r(NULL, " \t", &rest) : NULL;
    if (!word)
        return;
    if (!strcmp(word, "info")) {
        run_info(vm, second, out);
        return;
    }
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(c->name, word))
            continue;
        if (!second != !c->arg)
            fprintf(out, "%s takes %s\n", c->name, c->arg ? c->arg : "no argument");
        else
            c->run(vm, second, out);
        return;
    }
    fprintf(out, "there is no command '%s'; help lists them\n", OPT_QUOTE(word));
}

char *monitor_run(struct vm *vm, const char *line)
{
    char *text = NULL, *copy = strdup(line);
    size_t len = 0;
    FILE *out = copy ? open_memstream(&text, &len) : NULL;
    if (out) {
        run_words(vm, copy, out);
        fclose(out);
    }
    free(copy);
    if (text && len > MONITOR_TEXT)
        strcpy(text + MONITOR_TEXT - 8, "\n[...]\n");
    return text;
}
