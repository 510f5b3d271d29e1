// SPDX-License-Identifier: MIT
//
// See terminal.h. The terminal is in raw mode, so echo and the erasing of a letter are done here;
// where standard input is none there is no echo. Left out: history, moving within the line.
#include "src/control/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chr.h"
#include "src/control/monitor.h"
#include "src/vm/vm.h"

#define CTRL_U 0x15
#define DELETE 0x7f

struct terminal_monitor {
    struct vm *vm;
    struct chr *chr; /* ours under -monitor stdio; else NULL */
    bool echo;
    char line[MONITOR_LINE];
    size_t len;
};

static void say(struct terminal_monitor *t, const char *text, size_t len)
{
    pthread_mutex_lock(&t->vm->lock);
    chr_stdio_say(text, len);
    pthread_mutex_unlock(&t->vm->lock);
}

static void say_text(struct terminal_monitor *t, const char *text)
{
    say(t, text, strlen(text));
}

static void run_line(struct terminal_monitor *t)
{
    if (t->echo)
        say_text(t, "\n");
    t->line[t->len] = '\0';
    t->len = 0;
    char *text = monitor_run(t->vm, t->line);
    if (text)
        say_text(t, text);
    free(text);
    say_text(t, MONITOR_PROMPT);
}

static void erase(struct terminal_monitor *t)
{
    if (!t->len)
        return;
    t->len--;
    if (t->echo)
        say_text(t, "\b \b");
}

static void on_key(void *self, int key)
{
    struct terminal_monitor *t = self;
    char letter = (char)key;
    if (key == CHR_MONITOR_ON) {
        t->len = 0;
        say_text(t, "\nminivmm monitor: help lists commands, Ctrl-A c goes back\n" MONITOR_PROMPT);
    } else if (key == CHR_MONITOR_OFF) {
        say_text(t, "\n");
    } else if (key == '\r' || key == '\n') {
        run_line(t);
    } else if (key == '\b' || key == DELETE) {
        erase(t);
    } else if (key == CTRL_U) {
        while (t->len)
            erase(t);
    } else if (key >= ' ' && key < DELETE && t->len < sizeof t->line - 1) {
        t->line[t->len++] = letter;
        if (t->echo)
            say(t, &letter, 1);
    }
}

int terminal_open(struct vm *vm, struct terminal_monitor **out, struct err *err)
{
    struct terminal_monitor *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEM, "-monitor: out of memory");
    *out = t;
    t->vm = vm;
    t->echo = isatty(STDIN_FILENO);
    chr_stdio_monitor(on_key, t, vm->cfg->monitor_stdio);
    if (!vm->cfg->monitor_stdio)
        return 0;
    const struct chr_env env = {&vm->loop, &vm->events, vm_stop_sink(vm), vm->cfg->icount};
    t->chr = chr_open("stdio", &env, err);
    if (!t->chr)
        return -EINVAL;
    say_text(t, MONITOR_PROMPT);
    return 0;
}

void terminal_close(struct terminal_monitor *t)
{
    if (!t)
        return;
    chr_stdio_monitor(NULL, NULL, false);
    pthread_mutex_lock(&t->vm->lock);
    chr_close(t->chr);
    pthread_mutex_unlock(&t->vm->lock);
    free(t);
}
