// SPDX-License-Identifier: MIT
//
// Opening and closing of all that is in src/control/, and the events that clients are told. See
// control.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "src/control/server.h"
#include "src/control/terminal.h"
#include "src/vm/vm.h"
#include "util.h"

int control_open(struct vm *vm, struct control **out, struct err *err)
{
    const struct config *cfg = vm->cfg;
    bool terminal = !cfg->hooks && (cfg->monitor_stdio || config_has_stdio(cfg));
    if (!cfg->ncontrols && !terminal)
        return 0;
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return err_set(err, ENOMEM, "-qmp: out of memory");
    *out = control;
    control->vm = vm;
    control->loop = &vm->loop;
    pthread_mutex_init(&control->lock, NULL);
    int rc = 0;
    for (unsigned i = 0; i < cfg->ncontrols && !rc; i++) {
        struct listener *l = &control->listeners[control->nlisteners++];
        l->control = control;
        l->kind = cfg->controls[i].kind;
        l->watch.fd = -1;
        rc = listener_open(l, l->kind == CONTROL_QMP ? "-qmp" : "-monitor", cfg->controls[i].path,
                           err);
    }
    return !rc && terminal ? terminal_open(vm, &control->terminal, err) : rc;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    for (unsigned i = 0; i < control->nlisteners; i++)
        listener_close(&control->listeners[i]);
    terminal_close(control->terminal);
    pthread_mutex_destroy(&control->lock);
    free(control);
}

/* --- events --- */

static uint64_t utc_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void tell(struct control *control, struct control_news news)
{
    if (!control)
        return;
    news.utc_us = utc_us();
    pthread_mutex_lock(&control->lock);
    if (control->ntold < CONTROL_TOLD)
        control->told[control->ntold++] = news;
    pthread_mutex_unlock(&control->lock);
    evloop_wake(control->loop);
}

void control_tell(struct control *control, enum control_event event, bool guest, const char *word)
{
    tell(control, (struct control_news){.event = event, .guest = guest, .word = word});
}

void control_tell_balloon(struct control *control, uint64_t bytes)
{
    tell(control,
         (struct control_news){.event = CONTROL_BALLOON_CHANGE, .guest = true, .bytes = bytes});
}

static void tell_client(struct client *client, const char *line)
{
    if (!client->listener || !client->qmp.negotiated || client->out_len > CLIENT_OUT_HIGH)
        return;
    client_say(client, line, strlen(line));
    client_say(client, "\r\n", 2);
    if (!(client->watch.events & EPOLLOUT))
        evloop_modify(client->listener->control->loop, &client->watch,
                      client->watch.events | EPOLLOUT);
}

static void tell_all(struct control *control, const char *line)
{
    for (unsigned l = 0; l < control->nlisteners; l++) {
        for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
            tell_client(&control->listeners[l].clients[i], line);
    }
}

void control_deliver(struct control *control)
{
    if (!control)
        return;
    pthread_mutex_lock(&control->lock);
    for (unsigned i = 0; i < control->ntold; i++) {
        char *line = qmp_event(&control->told[i]);
        if (line)
            tell_all(control, line);
        free(line);
    }
    control->ntold = 0;
    pthread_mutex_unlock(&control->lock);
}

void control_tell_end(struct control *control, unsigned stop)
{
    static const struct {
        const char *reason;
        bool guest;
    } reasons[STOP_CAUSES] = {
        [STOP_NONE] = {"host-error", false},        [STOP_POWEROFF] = {"guest-shutdown", true},
        [STOP_RESET] = {"guest-reset", true},       [STOP_DEBUG_EXIT] = {"guest-shutdown", true},
        [STOP_TRIPLE_FAULT] = {"guest-reset", true}, [STOP_QUIT] = {"host-ui", false},
        [STOP_SIGNAL] = {"host-signal", false},     [STOP_TIMEOUT] = {"host-signal", false},
        [STOP_ENGINE] = {"host-error", false},      [STOP_PANIC] = {"guest-panic", true},
        [STOP_WATCHDOG] = {"guest-reset", true},    [STOP_ERROR] = {"host-error", false},
        [STOP_USAGE] = {"host-error", false},       [STOP_BUG] = {"host-error", false},
    };
    if (!control)
        return;
    enum stop_cause cause = stop_cause_of(stop);
    const char *reason = reasons[cause].reason;
    bool guest = reasons[cause].guest;
    if (stop >> 8 == STOP_BY_CONTROL && (cause == STOP_QUIT || cause == STOP_RESET)) {
        reason = cause == STOP_QUIT ? "host-qmp-quit" : "host-qmp-system-reset";
        guest = false;
    }
    control_tell(control, CONTROL_SHUTDOWN, guest, reason);
    control_deliver(control);
    for (unsigned l = 0; l < control->nlisteners; l++) {
        for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
            struct client *client = &control->listeners[l].clients[i];
            if (client->listener)
                client_flush(client);
        }
    }
}
