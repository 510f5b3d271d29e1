// SPDX-License-Identifier: MIT
//
// The two forms of a result. JSON: all keys every time, null where there is nothing; keys may be
// added, none changes its meaning within a schema number. JUnit: one suite with one case, which
// passed when the status is 0 or the one that -junit pass= names, was skipped when it was ended
// from outside before it was done, is an error when the host or minivmm is to blame, else a
// failure.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/exits/report.h"
#include "src/result/result.h"
#include "util.h"

/* --- JSON --- */

static json_t *json_text(const char *text, size_t len)
{
    char *clean = text_clean(text, len, 0);
    json_t *json = clean ? json_string(clean) : NULL;
    free(clean);
    return json;
}

static json_t *json_seconds(uint64_t ns)
{
    return json_real((double)ns / (double)NS_PER_S);
}

static json_t *json_time(int64_t s)
{
    char text[32];
    struct tm tm;
    time_t t = (time_t)s;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

static json_t *json_exits(const struct result *r)
{
    json_t *exits = json_object();
    uint64_t total = 0;
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        json_object_set_new(exits, exit_kind_names[kind], json_integer((json_int_t)r->exits[kind]));
        total += r->exits[kind];
    }
    json_object_set_new(exits, "total", json_integer((json_int_t)total));
    return exits;
}

static json_t *json_console(const struct tail *tail)
{
    json_t *lines = json_array();
    for (unsigned i = 0; tail && i < tail_count(tail); i++) {
        const struct tail_line *l = tail_get(tail, i);
        json_array_append_new(lines, json_text(l->text, l->len));
    }
    return lines;
}

char *result_json(const struct result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "schema", json_integer(RESULT_SCHEMA));
    json_object_set_new(o, "cause", json_string(stop_name(r->cause)));
    json_object_set_new(o, "status", json_integer(r->status));
    json_object_set_new(o, "guest_status",
                        r->has_guest_status ? json_integer(r->guest_status) : json_null());
    json_object_set_new(o, "signal",
                        r->cause == STOP_SIGNAL ? json_integer(r->code) : json_null());
    json_object_set_new(o, "message",
                        r->message ? json_text(r->message, strlen(r->message)) : json_null());
    json_object_set_new(o, "engine", r->engine ? json_string(r->engine) : json_null());
    json_object_set_new(o, "started", json_time(r->started_s));
    json_object_set_new(o, "ended", json_time(r->ended_s));
    json_object_set_new(o, "wall_s", json_seconds(r->wall_ns));
    json_object_set_new(o, "guest_time_s", json_seconds(r->guest_ns));
    json_object_set_new(o, "cpu_s", json_seconds(r->cpu_ns));
    json_object_set_new(o, "restarts", json_integer(r->restarts));
    json_object_set_new(o, "panics", json_integer(r->panics));
    json_object_set_new(o, "watchdogs", json_integer(r->watchdogs));
    json_object_set_new(o, "exits", json_exits(r));
    json_object_set_new(o, "console", json_console(r->tail));
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    size_t len = text ? strlen(text) : 0;
    char *line = text ? realloc(text, len + 2) : NULL;
    if (line)
        memcpy(line + len, "\n", 2);
    return line;
}

/* --- JUnit --- */

static void put_xml(FILE *out, const char *text, size_t len)
{
    char *clean = text_clean(text, len, 1);
    for (const char *p = clean ? clean : ""; *p; p++) {
        switch (*p) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\n': /* attributes would make them blanks */
            fputs("&#10;", out);
            break;
        case '\r':
            fputs("&#13;", out);
            break;
        case '\t':
            fputs("&#9;", out);
            break;
        default:
            fputc(*p, out);
        }
    }
    free(clean);
}

/* The element that says how it did not pass; NULL: it passed. */
static const char *verdict(const struct result *r, unsigned pass)
{
    if (r->status == EXIT_OK ? r->cause != STOP_QUIT : r->status == (int)pass)
        return NULL;
    switch (r->cause) {
    case STOP_QUIT:
    case STOP_SIGNAL:
        return "skipped";
    case STOP_ERROR:
    case STOP_ENGINE:
    case STOP_BUG:
        return "error";
    default:
        return "failure";
    }
}

static void put_verdict(FILE *out, const struct result *r, const char *element)
{
    const char *message = r->message ? r->message : stop_describe(r->cause);
    fprintf(out, "    <%s", element);
    if (strcmp(element, "skipped"))
        fprintf(out, " type=\"%s\"", stop_name(r->cause));
    fputs(" message=\"", out);
    put_xml(out, message, strlen(message));
    fprintf(out, "\"/>\n");
}

static const char *case_name(const struct config *cfg)
{
    const char *name = cfg->name ? cfg->name : cfg->kernel ? cfg->kernel : "run";
    const char *slash = strrchr(name, '/');
    return !cfg->name && slash ? slash + 1 : name;
}

char *result_junit(const struct result *r, const struct config *cfg)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    const char *element = verdict(r, cfg->junit_pass);
    double seconds = (double)r->wall_ns / (double)NS_PER_S;
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"minivmm\" tests=\"1\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" "
            "time=\"%.3f\">\n"
            "  <testcase classname=\"minivmm\" name=\"",
            element && !strcmp(element, "failure"), element && !strcmp(element, "error"),
            element && !strcmp(element, "skipped"), seconds);
    put_xml(out, case_name(cfg), strlen(case_name(cfg)));
    fprintf(out, "\" time=\"%.3f\">\n", seconds);
    if (element)
        put_verdict(out, r, element);
    fputs("    <system-out>", out);
    for (unsigned i = 0; r->tail && i < tail_count(r->tail); i++) {
        const struct tail_line *l = tail_get(r->tail, i);
        put_xml(out, l->text, l->len);
        fputc('\n', out);
    }
    fputs("</system-out>\n  </testcase>\n</testsuite>\n", out);
    bool failed = ferror(out);
    if (fclose(out) || failed) {
        free(text);
        return NULL;
    }
    return text;
}
