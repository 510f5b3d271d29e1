// SPDX-License-Identifier: MIT
//
// See result.h. The state is the process's: signal handlers need it too.
#include "src/result/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "log.h"
#include "src/vm/fatal.h"
#include "base/outfile.h"
#include "src/vm/vm.h"
#include "util.h"

static struct state {
    const struct config *cfg;
    struct outfile json, junit;
    struct tail *tail;
    struct result r;
    uint64_t start_ns;
} self = {.json.fd = -1, .junit.fd = -1};

static uint64_t now_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool wanted(void)
{
    return self.json.fd >= 0 || self.junit.fd >= 0;
}

static void drop(void)
{
    outfile_abandon(&self.json);
    outfile_abandon(&self.junit);
    free(self.tail);
    self.tail = NULL;
}

int result_open(const struct config *cfg, struct err *err)
{
    self.cfg = cfg;
    int rc = cfg->result ? outfile_open(&self.json, "-result", cfg->result, err) : 0;
    if (!rc && cfg->junit)
        rc = outfile_open(&self.junit, "-junit", cfg->junit, err);
    if (!rc && wanted()) {
        self.tail = calloc(1, sizeof *self.tail);
        rc = self.tail ? 0 : err_set(err, ENOMEM, "-result: no memory for the last lines");
    }
    if (rc) {
        drop();
        return rc;
    }
    if (!wanted())
        return 0;
    self.start_ns = now_ns(CLOCK_MONOTONIC);
    self.r.started_s = (int64_t)time(NULL);
    self.r.tail = self.tail;
    fatal_tell(result_fatal);
    return 0;
}

struct tail *result_tail(void)
{
    return self.tail;
}

void result_take(const struct vm *vm, int status)
{
    struct result *r = &self.r;
    if (!wanted())
        return;
    if (status >= 0) {
        unsigned stop = atomic_load(&vm->stop);
        r->cause = stop_cause_of(stop);
        r->code = stop >> 8;
        r->has_guest_status = r->cause == STOP_DEBUG_EXIT;
        r->guest_status = r->code;
    }
    r->engine = vm->accel.ops ? vm->accel.ops->name : NULL;
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        for (unsigned i = 0; vm->vcpus && i < vm->accel.nvcpus; i++)
            r->exits[kind] += vm->vcpus[i].exits[kind];
    }
    r->guest_ns = vm->clock.ops ? clock_now_ns(&vm->clock) : 0;
    r->restarts = vm->restarts;
    r->panics = vm->panics;
    r->watchdogs = vm->watchdogs;
}

static uint64_t cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* Errors of set-up have a status and no cause yet. */
static void complete(int status, char *message, size_t len)
{
    struct result *r = &self.r;
    if (r->cause == STOP_NONE)
        r->cause = STOP_ERROR;
    r->status = status;
    r->message = log_last_error(message, len) ? message : NULL;
    r->wall_ns = now_ns(CLOCK_MONOTONIC) - self.start_ns;
    r->cpu_ns = cpu_ns();
    r->ended_s = (int64_t)time(NULL);
}

static int write_out(struct outfile *f, const char *option, const char *path, char *text)
{
    int rc = text ? outfile_commit(f, text, strlen(text)) : -ENOMEM;
    outfile_abandon(f);
    free(text);
    if (rc)
        log_error("%s: write '%s': %s", option, path, strerror(-rc));
    return rc;
}

int result_close(int status)
{
    char message[4096];
    int rc = 0;
    if (!wanted())
        return status;
    fatal_tell(NULL);
    complete(status, message, sizeof message);
    if (self.json.fd >= 0)
        rc |= write_out(&self.json, "-result", self.cfg->result, result_json(&self.r));
    if (self.junit.fd >= 0)
        rc |= write_out(&self.junit, "-junit", self.cfg->junit, result_junit(&self.r, self.cfg));
    drop();
    return rc && status == EXIT_OK ? EXIT_HOST_ERROR : status;
}

/* --- from a signal handler --- */

struct sheet {
    char text[1024];
    size_t len;
};

static void put(struct sheet *s, const char *text)
{
    while (*text && s->len < sizeof s->text)
        s->text[s->len++] = *text++;
}

static void put_status(struct sheet *s, int status)
{
    char digits[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10), '\0'};
    put(s, status >= 100 ? digits : status >= 10 ? digits + 1 : digits + 2);
}

static void fatal_json(enum stop_cause cause, int status, const char *line)
{
    struct sheet s = {.len = 0};
    put(&s, "{\"schema\": 1, \"cause\": \"");
    put(&s, stop_name(cause));
    put(&s, "\", \"status\": ");
    put_status(&s, status);
    put(&s, ", \"guest_status\": null, \"signal\": ");
    if (cause == STOP_SIGNAL)
        put_status(&s, status - EXIT_SIGNAL_BASE);
    else
        put(&s, "null");
    put(&s, ", \"message\": \"");
    put(&s, line);
    put(&s, "\", \"engine\": null, \"started\": null, \"ended\": null, \"wall_s\": null, "
            "\"guest_time_s\": null, \"cpu_s\": null, \"restarts\": null, \"panics\": null, "
            "\"watchdogs\": null, \"exits\": null, \"console\": []}\n");
    outfile_commit(&self.json, s.text, s.len);
}

static void fatal_junit(enum stop_cause cause, const char *line)
{
    struct sheet s = {.len = 0};
    put(&s, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"minivmm\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n"
            "<testcase classname=\"minivmm\" name=\"run\"><error type=\"");
    put(&s, stop_name(cause));
    put(&s, "\" message=\"");
    put(&s, line);
    put(&s, "\"/></testcase>\n</testsuite>\n");
    outfile_commit(&self.junit, s.text, s.len);
}

void result_fatal(enum stop_cause cause, int status, const char *line)
{
    if (self.json.fd >= 0)
        fatal_json(cause, status, line);
    if (self.junit.fd >= 0)
        fatal_junit(cause, line);
}
