// SPDX-License-Identifier: MIT
//
// --json: how a command went, as one object. Keys are stable; more may be added. "cause" tells what
// "status" alone cannot: whether 124 was the command's own, say.
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "src/run/run.h"

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static json_t *seconds(const struct run *run)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    json_t *start = run->started ? json_real(seconds_between(&run->began, &run->ran)) : json_null();
    json_t *command = run->exited ? json_real(seconds_between(&run->ran, &run->ended))
                                  : json_null();
    return json_pack("{s:o, s:o, s:f}", "start", start, "command", command, "total",
                     seconds_between(&run->began, &now));
}

/* Bytes that are no UTF-8 become '?', since JSON has no other place for them. */
static json_t *text(const char *bytes)
{
    json_t *string = json_string(bytes);
    if (string)
        return string;
    char *copy = strdup(bytes);
    for (char *c = copy; c && *c; c++)
        *c = *c & 0x80 ? '?' : *c;
    string = json_string(copy ? copy : "?");
    free(copy);
    return string;
}

static json_t *command_words(const struct run *run)
{
    json_t *words = json_array();
    for (char **arg = run->opt.command; arg && *arg; arg++)
        json_array_append_new(words, text(*arg));
    return words;
}

int run_write_result(const struct run *run, int status, struct err *err)
{
    json_t *guest = run->exited ? json_integer(run->status) : json_null();
    json_t *signal = run->exited && run->status > 128 ? json_integer(run->status - 128)
                                                      : json_null();
    json_t *all = json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:s?, s:o, s:{s:I, s:I, s:I}}",
                            "schema", 1, "status", status, "cause", run->cause, "command_status",
                            guest, "signal", signal, "command", command_words(run), "kernel",
                            text(run->kernel), "engine", run->engine, "seconds", seconds(run),
                            "bytes", "stdin", (json_int_t)run->in.total, "stdout",
                            (json_int_t)run->out.total, "stderr", (json_int_t)run->err.total);
    int rc = all ? json_dump_file(all, run->opt.json, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;
    json_decref(all);
    return rc ? err_set_errno(err, errno ? errno : EIO, "--json: write '%s'", run->opt.json) : 0;
}
