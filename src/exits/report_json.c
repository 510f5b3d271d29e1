// SPDX-License-Identifier: MIT
//
// The exit report for programs and browsers: JSON, and a page that has this JSON in it (page.html).
// Addresses are hexadecimal strings, as they are more than a JSON number holds everywhere; times
// are nanoseconds. A device is referred to by its place in `devices`.
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/exits/report.h"
#include "version.h"

#define REPORT_SCHEMA 1

static void put_number(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *hex(uint64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%#" PRIx64, n);
    return json_string(text);
}

static json_t *reasons(const struct exit_report *r)
{
    json_t *list = json_array();
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        if (!r->reasons[kind].exits)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(exit_kind_names[kind]));
        put_number(o, "exits", r->reasons[kind].exits);
        put_number(o, "ns", r->reasons[kind].ns);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *timeline(const struct exit_report *r, const struct exit_device *d)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->nslices; i++)
        json_array_append_new(list, json_integer((json_int_t)d->slices[i]));
    return list;
}

static json_t *devices(const struct exit_report *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->ndevices; i++) {
        const struct exit_device *d = &r->devices[i];
        json_t *o = json_object();
        json_object_set_new(o, "reason", json_string(d->reason));
        json_object_set_new(o, "name", json_string(d->name));
        json_object_set_new(o, "base", d->has_base ? hex(d->base) : json_null());
        put_number(o, "reads", d->reads);
        put_number(o, "writes", d->writes);
        put_number(o, "exits", d->exits);
        put_number(o, "ns", d->ns);
        json_object_set_new(o, "timeline", timeline(r, d));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *sites(const struct exit_report *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->nsites; i++) {
        const struct exit_site *s = &r->sites[i];
        json_t *o = json_object();
        json_object_set_new(o, "rip", hex(s->rip));
        json_object_set_new(o, "symbol", s->symbol ? json_string(s->symbol) : json_null());
        put_number(o, "offset", s->offset);
        put_number(o, "device", (uint64_t)(s->device - r->devices));
        json_object_set_new(o, "write", json_boolean(s->write));
        put_number(o, "exits", s->exits);
        put_number(o, "ns", s->ns);
        put_number(o, "longest_ns", s->longest_ns);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *counters(const struct exit_report *r)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < r->ncounters; i++)
        put_number(o, r->counters[i].name, r->counters[i].value);
    put_number(o, "events from outside", r->events);
    put_number(o, "MSIs sent", r->msis);
    put_number(o, "guest errors", r->guest_errors);
    return o;
}

static json_t *whole(const struct exit_report *r)
{
    json_t *o = json_object(), *elsewhere = json_object();
    put_number(o, "schema", REPORT_SCHEMA);
    json_object_set_new(o, "version", json_string(MINIVMM_VERSION));
    json_object_set_new(o, "engine", json_string(r->engine));
    put_number(o, "vcpus", r->vcpus);
    put_number(o, "run_ns", r->run_ns);
    put_number(o, "ns", r->ns);
    put_number(o, "exits", r->exits);
    put_number(o, "looks", r->looks);
    json_object_set_new(o, "reasons", reasons(r));
    json_object_set_new(o, "devices", devices(r));
    json_object_set_new(o, "addresses", sites(r));
    put_number(elsewhere, "exits", r->elsewhere.exits);
    put_number(elsewhere, "ns", r->elsewhere.ns);
    json_object_set_new(o, "elsewhere", elsewhere);
    put_number(o, "slice_ns", r->slice_ns);
    json_object_set_new(o, "counters", counters(r));
    return o;
}

static char *dump(const struct exit_report *r, size_t flags)
{
    json_t *o = whole(r);
    char *text = json_dumps(o, flags);
    json_decref(o);
    return text;
}

char *exit_report_json(const struct exit_report *r)
{
    char *text = dump(r, JSON_INDENT(1)), *whole_text = NULL;
    if (text && asprintf(&whole_text, "%s\n", text) < 0)
        whole_text = NULL;
    free(text);
    return whole_text;
}

/* --- the page --- */

extern const char page_image[], page_image_end[];

/* In a page, no text may look like the end of the element that it stands in. */
static void put_json(FILE *out, const char *json)
{
    for (; *json; json++) {
        if (*json == '<')
            fputs("\\u003c", out);
        else
            fputc(*json, out);
    }
}

char *exit_report_html(const struct exit_report *r)
{
    static const char mark[] = "@REPORT@";
    size_t page = (size_t)(page_image_end - page_image), len;
    const char *hole = memmem(page_image, page, mark, sizeof mark - 1);
    char *json = dump(r, JSON_COMPACT), *text = NULL;
    FILE *out = json && hole ? open_memstream(&text, &len) : NULL;
    if (out) {
        const char *rest = hole + sizeof mark - 1;
        fwrite(page_image, 1, (size_t)(hole - page_image), out);
        put_json(out, json);
        fwrite(rest, 1, (size_t)(page_image_end - rest), out);
        if (fclose(out)) {
            free(text);
            text = NULL;
        }
    }
    free(json);
    return text;
}
