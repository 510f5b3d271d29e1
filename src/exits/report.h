// SPDX-License-Identifier: MIT
//
// The exits of a machine, added up over its vCPUs: what -exits writes at the end and `info exits`
// shows. Times are nanoseconds of the host.
#pragma once

#include <stdio.h>

#include "accel.h"
#include "src/exits/profile.h"
#include "src/exits/symbols.h"

struct vm;

#define EXIT_COUNTERS_MOST 64

/* One word for each kind of exit. */
extern const char *const exit_kind_names[EXIT_KINDS];

struct exit_reason {
    uint64_t exits, ns;
};

struct exit_device {
    const char *reason;
    const char *name;
    bool has_base;
    uint64_t base;          /* port or gpa */
    uint64_t reads, writes; /* accesses that it saw: one exit may be several (string I/O), or a part
                               of one. Unclaimed: bytes */
    uint64_t exits, ns;
    uint64_t slices[PROFILE_SLICES];
};

struct exit_site {
    uint64_t rip;
    const char *symbol; /* NULL: unknown */
    uint64_t offset;    /* in it */
    const struct exit_device *device;
    bool write;
    uint64_t exits, ns, longest_ns;
};

struct exit_report {
    const char *engine;
    unsigned vcpus;
    bool profiled;              /* -exits was given: all that comes from looks is there */
    uint64_t run_ns, ns;        /* from the start; of minivmm's work for exits */
    uint64_t exits;             /* all */
    uint64_t looks;             /* so many exits were looked at; as many as `exits`: each was */
    struct exit_reason reasons[EXIT_KINDS];
    struct exit_device *devices; /* as they lie on their bus, ports first */
    unsigned ndevices;
    struct exit_site *sites; /* what took longest first */
    unsigned nsites;
    struct exit_reason elsewhere; /* addresses beyond PROFILE_SITES_MOST */
    uint64_t slice_ns;
    unsigned nslices;                                  /* of each device's timeline */
    struct accel_counter counters[EXIT_COUNTERS_MOST]; /* the engine's, sums over vCPUs */
    unsigned ncounters;
    uint64_t events, msis;
    unsigned long guest_errors;
};

/* vCPUs are stopped; device lock not held. `symbols` may be NULL. 0 or -ENOMEM. */
int exit_report_make(struct exit_report *r, struct vm *vm, const struct symbols *symbols);
void exit_report_free(struct exit_report *r);

/* Forms. Text: the addresses up to `most`. JSON and HTML are malloc'ed, NULL without memory. */
void exit_report_text(const struct exit_report *r, unsigned most, FILE *out);
char *exit_report_json(const struct exit_report *r);
char *exit_report_html(const struct exit_report *r);
