// SPDX-License-Identifier: MIT
//
// The exit report for people at a terminal.
#include <inttypes.h>

#include "src/exits/report.h"
#include "util.h"

struct duration {
    char text[32];
};

static const char *duration(struct duration *d, uint64_t ns)
{
    if (ns < 1000)
        snprintf(d->text, sizeof d->text, "%u ns", (unsigned)ns);
    else if (ns < 1000000)
        snprintf(d->text, sizeof d->text, "%.1f us", (double)ns / 1e3);
    else if (ns < NS_PER_S)
        snprintf(d->text, sizeof d->text, "%.2f ms", (double)ns / 1e6);
    else
        snprintf(d->text, sizeof d->text, "%.2f s", (double)ns / 1e9);
    return d->text;
}
#define DURATION(ns) duration(&(struct duration){{0}}, ns)

static void print_head(const struct exit_report *r, FILE *out)
{
    fprintf(out, "engine %s, %u CPU%s: %" PRIu64 " exits", r->engine, r->vcpus,
            r->vcpus == 1 ? "" : "s", r->exits);
    if (r->profiled)
        fprintf(out, " in %s, of which minivmm worked on them %s", DURATION(r->run_ns),
                DURATION(r->ns));
    fputc('\n', out);
    if (r->profiled && r->looks < r->exits)
        fprintf(out,
                "they came thick: times, addresses and exits by device are estimates from looks at "
                "%" PRIu64 " of them\n",
                r->looks);
}

static void print_reasons(const struct exit_report *r, FILE *out)
{
    fprintf(out, "\n%-40s %12s %11s\n", "reason", "exits", r->profiled ? "time" : "");
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        const struct exit_reason *e = &r->reasons[kind];
        if (e->exits)
            fprintf(out, "%-40s %12" PRIu64 " %11s\n", exit_kind_names[kind], e->exits,
                    r->profiled ? DURATION(e->ns) : "");
    }
}

static void print_devices(const struct exit_report *r, FILE *out)
{
    fprintf(out, "\n%-40s %12s %11s %12s %12s\n", "device", r->profiled ? "exits" : "",
            r->profiled ? "time" : "", "reads", "writes");
    for (unsigned i = 0; i < r->ndevices; i++) {
        const struct exit_device *d = &r->devices[i];
        char name[64], exits[24] = "";
        if (!d->has_base)
            snprintf(name, sizeof name, "%-4s %10s %s", d->reason, "", d->name);
        else
            snprintf(name, sizeof name, "%-4s %#10" PRIx64 " %s", d->reason, d->base, d->name);
        if (r->profiled)
            snprintf(exits, sizeof exits, "%" PRIu64, d->exits);
        fprintf(out, "%-40s %12s %11s %12" PRIu64 " %12" PRIu64 "\n", name, exits,
                r->profiled ? DURATION(d->ns) : "", d->reads, d->writes);
    }
}

static void print_sites(const struct exit_report *r, unsigned most, FILE *out)
{
    if (!r->nsites)
        return;
    fprintf(out, "\n%12s %11s %11s  %-5s %-17s %s\n", "exits", "time", "longest", "does", "to",
            "guest address");
    for (unsigned i = 0; i < r->nsites && i < most; i++) {
        const struct exit_site *s = &r->sites[i];
        fprintf(out, "%12" PRIu64 " %11s %11s  %-5s %-17s ", s->exits, DURATION(s->ns),
                DURATION(s->longest_ns), s->write ? "write" : "read", s->device->name);
        if (s->symbol)
            fprintf(out, "%s+%#" PRIx64 "\n", s->symbol, s->offset);
        else
            fprintf(out, "%#" PRIx64 "\n", s->rip);
    }
    if (r->nsites > most)
        fprintf(out, "... and %u addresses more: -exits=FILE.html shows all\n", r->nsites - most);
}

static void print_counters(const struct exit_report *r, FILE *out)
{
    fprintf(out, "\n%-40s %12s\n", "counted", "");
    for (unsigned i = 0; i < r->ncounters; i++) {
        if (r->counters[i].value)
            fprintf(out, "%-40s %12" PRIu64 "\n", r->counters[i].name, r->counters[i].value);
    }
    fprintf(out, "%-40s %12" PRIu64 "\n%-40s %12" PRIu64 "\n%-40s %12lu\n", "events from outside",
            r->events, "MSIs sent", r->msis, "guest errors", r->guest_errors);
}

void exit_report_text(const struct exit_report *r, unsigned most, FILE *out)
{
    print_head(r, out);
    print_reasons(r, out);
    print_devices(r, out);
    if (r->profiled)
        print_sites(r, most, out);
    print_counters(r, out);
    if (!r->profiled)
        fputs("\ntimes and guest addresses: start with -exits\n", out);
}
