// SPDX-License-Identifier: MIT
//
// One client: bytes in, to the protocol or the monitor; answers out. Nothing waits for a client.
// One that does not read is not read from either, so what is kept for it is bounded:
// CLIENT_OUT_HIGH and the answers to CLIENT_READ bytes of commands.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/control/server.h"

static bool is_full(const struct client *c)
{
    return c->out_len > CLIENT_OUT_HIGH;
}

/* Wait for what makes sense now. */
static void watch_again(struct client *c)
{
    uint32_t events = (c->out_len ? EPOLLOUT : 0u) | (c->ended || is_full(c) ? 0u : EPOLLIN);
    if (events != c->watch.events)
        evloop_modify(c->listener->control->loop, &c->watch, events);
}

void client_close(struct client *c)
{
    struct listener *l = c->listener;
    if (!l)
        return;
    evloop_remove(l->control->loop, &c->watch);
    close(c->watch.fd);
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_cap = 0;
    c->listener = NULL;
    if (l->watch.added)
        listener_look(l, true);
}

void client_flush(struct client *c)
{
    size_t done = 0;
    while (done < c->out_len) {
        ssize_t n =
            send(c->watch.fd, c->out + done, c->out_len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            client_close(c);
            return;
        }
        if (n < 0)
            break;
        done += (size_t)n;
    }
    if (done)
        memmove(c->out, c->out + done, c->out_len - done);
    c->out_len -= done;
    if (!c->out_len && c->ended)
        client_close(c);
}

void client_say(struct client *c, const char *text, size_t len)
{
    size_t need = c->out_len + len;
    if (need > c->out_cap) {
        size_t cap = need < 4096 ? 4096 : need + need / 2;
        char *bigger = realloc(c->out, cap);
        if (!bigger) {
            c->ended = true; /* an answer is missing: let it start anew */
            return;
        }
        c->out = bigger;
        c->out_cap = cap;
    }
    memcpy(c->out + c->out_len, text, len);
    c->out_len = need;
}

/* One line; NULL for want of memory. */
static void say_line(struct client *c, char *line)
{
    if (line) {
        client_say(c, line, strlen(line));
        client_say(c, "\r\n", 2);
    } else {
        c->ended = true;
    }
    free(line);
}

/* --- QMP --- */

static void take_qmp(struct client *c, const char *bytes, size_t n)
{
    for (size_t used; n && !c->ended; bytes += used, n -= used) {
        enum frame_result r = frame_feed(&c->frame, bytes, n, &used);
        if (r == FRAME_MORE)
            continue;
        char *reply = r == FRAME_BAD ? qmp_bad(c->frame.why)
                                     : qmp_answer(&c->qmp, c->frame.text, c->frame.len);
        if (r == FRAME_DONE)
            frame_next(&c->frame);
        control_deliver(c->listener->control); /* what the command caused comes before its answer */
        if (!c->listener)
            return; /* gone meanwhile */
        say_line(c, reply);
    }
}

/* --- the monitor --- */

static void run_line(struct client *c)
{
    c->line[c->line_len] = '\0';
    char *text = c->line_skips ? strdup("the line is too long\n") : monitor_run(c->qmp.vm, c->line);
    c->line_len = 0;
    c->line_skips = false;
    if (text)
        client_say(c, text, strlen(text));
    free(text);
    client_say(c, MONITOR_PROMPT, strlen(MONITOR_PROMPT));
}

static void take_monitor(struct client *c, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !c->ended; i++) {
        if (bytes[i] == '\n')
            run_line(c);
        else if (c->line_len == sizeof c->line - 1)
            c->line_skips = true;
        else if (bytes[i] != '\r')
            c->line[c->line_len++] = bytes[i];
    }
}

/* --- both --- */

static void take(struct client *c)
{
    char bytes[CLIENT_READ];
    ssize_t n = recv(c->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        c->ended = true;
    else if (c->listener->kind == CONTROL_QMP)
        take_qmp(c, bytes, (size_t)n);
    else
        take_monitor(c, bytes, (size_t)n);
}

static void client_ready(void *self, uint32_t events)
{
    struct client *c = self;
    if (events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLIN))) {
        client_close(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP) && !c->ended && !is_full(c))
        take(c);
    if (c->listener)
        client_flush(c);
    if (c->listener)
        watch_again(c);
}

void client_open(struct client *c, struct listener *l, int fd)
{
    c->watch =
        (struct fd_watch){.fd = fd, .events = EPOLLIN | EPOLLOUT, .ready = client_ready, .self = c};
    c->listener = l;
    c->ended = c->line_skips = false;
    c->line_len = 0;
    c->qmp = (struct qmp_state){.vm = l->control->vm};
    c->frame.skipping = false;
    frame_next(&c->frame);
    if (evloop_add(l->control->loop, &c->watch)) {
        client_close(c);
        return;
    }
    if (l->kind == CONTROL_QMP)
        say_line(c, qmp_greeting());
    else
        client_say(c, MONITOR_PROMPT, strlen(MONITOR_PROMPT));
}
