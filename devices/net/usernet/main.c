// SPDX-License-Identifier: MIT
//
// The helper process of the `user` network backend: frames between the socket on its standard input
// (user_link.h) and libslirp. It opens no file but the resolver's configuration, starts nothing,
// and ends when the socket does.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devices/net/stream.h"
#include "devices/net/user_link.h"
#include "devices/net/usernet/slirp.h"
#include "util.h"

#define BATCH 256 /* frames one way before the other way has its turn */

struct helper {
    struct evloop loop;
    struct event_queue events;
    struct clock clock;
    struct net_env env;
    struct stream stream;
    struct net *net;
    struct event again; /* a batch was cut short */
    uint64_t deadline_ns;
    bool gone;
};

/* --- frames --- */

static void pump_in(void *self)
{
    struct helper *h = self;
    uint8_t *data;
    size_t len;
    unsigned n = 0;
    static const struct net_offload none;
    for (; n < BATCH && stream_peek(&h->stream, &data, &len); n++) {
        struct iovec iov = {data, len};
        if (!net_send(h->net, 0, &iov, 1, len, &none))
            break;
        stream_next(&h->stream);
    }
    if (n)
        net_flush(h->net, 0);
    if (n == BATCH)
        event_post(&h->again);
}

static void pump_out(void *self)
{
    struct helper *h = self;
    struct net_frame f;
    while (net_peek(h->net, 0, &f)) {
        union {
            const uint8_t *in;
            void *out;
        } data = {.in = f.data};
        struct iovec iov = {data.out, f.len};
        if (!stream_send(&h->stream, &iov, 1, f.len))
            break;
        net_next(h->net, 0, &f);
    }
    stream_flush(&h->stream);
}

static void on_net_readable(void *self, unsigned queue)
{
    (void)queue;
    pump_out(self);
}

/* From within pump_out, so not at once. */
static void on_net_writable(void *self, unsigned queue)
{
    (void)queue;
    event_post(&((struct helper *)self)->again);
}

static void on_gone(void *self)
{
    ((struct helper *)self)->gone = true;
}

/* --- life --- */

static void on_rearm(void *opaque, uint64_t deadline_ns)
{
    ((struct helper *)opaque)->deadline_ns = deadline_ns;
}

static int wait_ms(const struct helper *h)
{
    uint64_t now = clock_now_ns(&h->clock);
    if (h->deadline_ns == CLOCK_NEVER)
        return -1;
    uint64_t ms = h->deadline_ns > now ? (h->deadline_ns - now) / 1000000 + 1 : 0;
    return ms > 60000 ? 60000 : (int)ms;
}

static void wake(void *opaque)
{
    evloop_wake(&((struct helper *)opaque)->loop);
}

/* The most that is needed of a process with sockets, in case somebody takes it over. */
static void drop_rights(void)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGPIPE};
    const struct rlimit none = {0, 0};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN); /* whoever started us decides when we end */
    close_range(3, ~0u, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
}

static bool read_config(struct net_user_config *cfg)
{
    for (size_t done = 0; done < sizeof *cfg;) {
        ssize_t n = read(STDIN_FILENO, (char *)cfg + done, sizeof *cfg - done);
        if (!n || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void greet(struct helper *h, const char *trouble)
{
    char text[USERNET_GREETING] = "";
    struct iovec iov = {text, sizeof text};
    memcpy(text, trouble, strnlen(trouble, sizeof text - 1));
    stream_send(&h->stream, &iov, 1, sizeof text);
    stream_flush(&h->stream);
}

static int open_all(struct helper *h, const struct net_user_config *cfg)
{
    struct err err = {{0}};
    event_queue_init(&h->events, wake, h);
    clock_init_host(&h->clock, on_rearm, h);
    h->deadline_ns = CLOCK_NEVER;
    if (evloop_init(&h->loop, &err))
        return 1;
    h->env = (struct net_env){&h->loop, &h->events, &h->clock};
    h->stream = (struct stream){.env = &h->env, .readable = pump_in, .writable = pump_out,
                                .gone = on_gone, .self = h};
    stream_init(&h->stream);
    event_init(&h->again, &h->events, pump_in, h);
    if (stream_connect(&h->stream, STDIN_FILENO))
        return 1;
    h->net = net_slirp_open(cfg, &h->env, &err);
    greet(h, err.msg);
    if (!h->net)
        return 1;
    h->net->client = (struct net_client){
        .readable = on_net_readable, .writable = on_net_writable, .self = h};
    return 0;
}

int main(void)
{
    static struct helper h;
    static struct net_user_config cfg;
    drop_rights();
    if (!read_config(&cfg) || open_all(&h, &cfg))
        return 1;
    while (!h.gone) {
        evloop_run_once(&h.loop, wait_ms(&h));
        event_queue_run(&h.events);
        clock_fire_due(&h.clock);
    }
    return 0;
}
