// SPDX-License-Identifier: MIT
//
// See report.h. Exact counts come from vCPUs and buses; times, addresses and the timeline from the
// vCPUs' profiles.
#include "src/exits/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "src/exits/exits.h"
#include "src/vm/vm.h"

const char *const exit_kind_names[EXIT_KINDS] = {
    [EXIT_PIO] = "pio",   [EXIT_MMIO] = "mmio", [EXIT_SHUTDOWN] = "shutdown", [EXIT_INTR] = "intr",
    [EXIT_FAIL] = "fail", [EXIT_STEP] = "step", [EXIT_DEBUG] = "debug",
};

static const char unclaimed[] = "nobody there", none[] = "-", many[] = "all others";

/* --- devices: a row for each region that was accessed, and for what reached none --- */

static struct exit_device *add_row(struct exit_report *r, const char *reason, const char *name)
{
    struct exit_device *d = &r->devices[r->ndevices++];
    *d = (struct exit_device){.reason = reason, .name = name};
    return d;
}

static void add_bus(struct exit_report *r, enum exit_kind kind, const struct bus *bus)
{
    for (unsigned i = 0; i < bus->nregions; i++) {
        const struct region *region = bus->regions[i];
        if (!region->reads && !region->writes)
            continue;
        struct exit_device *d = add_row(r, exit_kind_names[kind], region->name);
        d->has_base = true;
        d->base = region->base;
        d->reads = region->reads;
        d->writes = region->writes;
    }
    if (!bus->unclaimed_reads && !bus->unclaimed_writes)
        return;
    struct exit_device *d = add_row(r, exit_kind_names[kind], unclaimed);
    d->reads = bus->unclaimed_reads;
    d->writes = bus->unclaimed_writes;
}

static bool is_access(const struct profile_track *t)
{
    return t->kind == EXIT_PIO || t->kind == EXIT_MMIO;
}

/* A BAR may have been moved away since: then the row is made now. */
static struct exit_device *row_of(struct exit_report *r, const struct profile_track *t)
{
    const char *reason = t->kind == EXIT_KINDS ? none : exit_kind_names[t->kind];
    const char *name = t->region               ? t->region->name
                       : is_access(t)          ? unclaimed
                       : t->kind == EXIT_KINDS ? many
                                               : none;
    for (unsigned i = 0; i < r->ndevices; i++) {
        struct exit_device *d = &r->devices[i];
        if (d->reason == reason && d->name == name && (!t->region || d->base == t->region->base))
            return d;
    }
    struct exit_device *d = add_row(r, reason, name);
    if (t->region) {
        d->has_base = true;
        d->base = t->region->base;
        d->reads = t->region->reads;
        d->writes = t->region->writes;
    }
    return d;
}

/* --- profiles --- */

/* A profile whose slices are shorter than the report's. */
static void add_slices(const struct exit_report *r, struct exit_device *d, const struct profile *p,
                       const struct profile_track *t)
{
    for (unsigned i = 0; i < PROFILE_SLICES; i++)
        d->slices[i * p->slice_ns / r->slice_ns] += t->slices[i];
}

static bool has_address(const struct profile_track *t)
{
    return is_access(t) || t->kind == EXIT_KINDS;
}

static void add_sites(struct exit_report *r, const struct profile *p, struct exit_device **rows)
{
    for (unsigned i = 0; i < p->room; i++) {
        const struct profile_site *from = &p->sites[i];
        if (from->used && has_address(&p->tracks[from->track]))
            r->sites[r->nsites++] = (struct exit_site){
                .rip = from->rip,
                .device = rows[from->track],
                .write = from->write,
                .exits = from->exits,
                .ns = from->ns,
                .longest_ns = from->longest_ns,
            };
    }
    r->elsewhere.exits += p->others.exits;
    r->elsewhere.ns += p->others.ns;
}

static int same_together(const void *a, const void *b)
{
    const struct exit_site *x = a, *y = b;
    if (x->rip != y->rip)
        return x->rip < y->rip ? -1 : 1;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->write - y->write;
}

static int longest_first(const void *a, const void *b)
{
    const struct exit_site *x = a, *y = b;
    return x->ns != y->ns ? (x->ns < y->ns ? 1 : -1) : same_together(a, b);
}

/* Several vCPUs run the same code. */
static void merge_sites(struct exit_report *r)
{
    unsigned kept = 0;
    qsort(r->sites, r->nsites, sizeof r->sites[0], same_together);
    for (unsigned i = 0; i < r->nsites; i++) {
        struct exit_site *to = &r->sites[kept - 1], *from = &r->sites[i];
        if (!kept || same_together(to, from)) {
            r->sites[kept++] = *from;
            continue;
        }
        to->exits += from->exits;
        to->ns += from->ns;
        if (from->longest_ns > to->longest_ns)
            to->longest_ns = from->longest_ns;
    }
    r->nsites = kept;
    qsort(r->sites, r->nsites, sizeof r->sites[0], longest_first);
}

static void add_profile(struct exit_report *r, const struct profile *p)
{
    struct exit_device *rows[PROFILE_TRACKS_MOST];
    for (unsigned i = 0; i < p->ntracks; i++) {
        const struct profile_track *t = &p->tracks[i];
        struct exit_device *d = rows[i] = row_of(r, t);
        d->exits += t->exits;
        d->ns += t->ns;
        if (t->kind < EXIT_KINDS)
            r->reasons[t->kind].ns += t->ns;
        r->ns += t->ns;
        add_slices(r, d, p, t);
    }
    add_sites(r, p, rows);
    r->looks += p->looks;
}

/* One width of slices for all, in which the run has room. */
static void choose_slices(struct exit_report *r, const struct exits *exits)
{
    r->slice_ns = PROFILE_SLICE_NS;
    for (unsigned i = 0; i < r->vcpus; i++) {
        if (exits->profiles[i].slice_ns > r->slice_ns)
            r->slice_ns = exits->profiles[i].slice_ns;
    }
    while (r->run_ns / r->slice_ns >= PROFILE_SLICES)
        r->slice_ns *= 2;
    r->nslices = (unsigned)(r->run_ns / r->slice_ns) + 1;
}

static void add_profiles(struct exit_report *r, const struct exits *exits,
                         const struct symbols *symbols)
{
    r->run_ns = exits_now_ns() - exits->start_ns;
    choose_slices(r, exits);
    for (unsigned i = 0; i < r->vcpus; i++)
        add_profile(r, &exits->profiles[i]);
    merge_sites(r);
    for (unsigned i = 0; symbols && i < r->nsites; i++)
        r->sites[i].symbol = symbols_find(symbols, r->sites[i].rip, &r->sites[i].offset);
}

/* --- counters --- */

static void add_counters(struct exit_report *r, struct vcpu *v)
{
    struct accel_counter own[EXIT_COUNTERS_MOST];
    unsigned n = v->accel->ops->counters ? v->accel->ops->counters(v, own, EXIT_COUNTERS_MOST) : 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = 0;
        while (at < r->ncounters && strcmp(r->counters[at].name, own[i].name))
            at++;
        if (at == EXIT_COUNTERS_MOST)
            continue;
        if (at < r->ncounters)
            r->counters[at].value += own[i].value;
        else
            r->counters[r->ncounters++] = own[i];
    }
}

static void add_vcpu(struct exit_report *r, struct vcpu *v)
{
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
        r->reasons[kind].exits += v->exits[kind];
        r->exits += v->exits[kind];
    }
    add_counters(r, v);
}

static int make_room(struct exit_report *r, const struct vm *vm)
{
    size_t devices = vm->pio.nregions + vm->mmio.nregions + 2, sites = 1;
    for (unsigned i = 0; r->profiled && i < r->vcpus; i++) {
        profile_settle(&vm->exits->profiles[i]);
        devices += vm->exits->profiles[i].ntracks;
        sites += vm->exits->profiles[i].nsites;
    }
    r->devices = calloc(devices, sizeof r->devices[0]);
    r->sites = calloc(sites, sizeof r->sites[0]);
    return r->devices && r->sites ? 0 : -ENOMEM;
}

int exit_report_make(struct exit_report *r, struct vm *vm, const struct symbols *symbols)
{
    *r = (struct exit_report){
        .engine = vm->accel.ops->name,
        .vcpus = vm->vcpus ? vm->accel.nvcpus : 0,
        .profiled = vm->exits != NULL,
        .guest_errors = log_guest_count(),
    };
    pthread_mutex_lock(&vm->lock);
    int rc = make_room(r, vm);
    if (!rc) {
        for (unsigned i = 0; i < r->vcpus; i++)
            add_vcpu(r, &vm->vcpus[i]);
        add_bus(r, EXIT_PIO, &vm->pio);
        add_bus(r, EXIT_MMIO, &vm->mmio);
        if (r->profiled)
            add_profiles(r, vm->exits, symbols);
        r->events = vm->events.delivered;
        r->msis = vm->accel.intc ? vm->accel.intc->msis_sent : 0;
    }
    pthread_mutex_unlock(&vm->lock);
    if (rc)
        exit_report_free(r);
    return rc;
}

void exit_report_free(struct exit_report *r)
{
    free(r->devices);
    free(r->sites);
    *r = (struct exit_report){0};
}
