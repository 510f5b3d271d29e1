// SPDX-License-Identifier: MIT
//
// `minivmm probe [--json]`: measures every engine that has a CPU and prints what came out, for
// people as a table, for programs as JSON. Unlike the choice at the start of a machine it takes no
// short way: all guests run, on all engines.
//
// Keys of the JSON are stable: engines (name, opens, usable, reason, mips or null, checks (runs,
// speed, syscall, flags, segments, exceptions: each result and why), milliseconds), ranking (names,
// best first), choice (a name or null), hardware (does CPUID show SVM or VMX). More may be added.
#include "src/commands/probe_command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "opt.h"
#include "src/accel/choose.h"
#include "stop.h"

#define MAX_ENGINES 8

/* Where there is hardware, all of it takes a few milliseconds, unless that hardware is itself
 * emulated: then the figures are worth waiting for. */
#define HARDWARE_BUDGET_MS 3000

struct row {
    const struct accel_ops *ops;
    struct probe_result probe;
    struct verdict verdict;
};

static unsigned probe_all(struct row rows[MAX_ENGINES])
{
    unsigned n = 0;
    unsigned budget_ms = choose_host_has_hardware() ? HARDWARE_BUDGET_MS : PROBE_BUDGET_MS;
    for (const struct accel_ops *const *ops = accel_list; *ops && n < MAX_ENGINES; ops++) {
        if (!((*ops)->caps & ACCEL_CAP_CPU))
            continue;
        rows[n].ops = *ops;
        probe_engine(*ops, budget_ms, &rows[n].probe);
        choose_judge(*ops, &rows[n].probe, &rows[n].verdict);
        n++;
    }
    return n;
}

/* --- for people --- */

static void print_row(const struct row *row)
{
    char mips[32] = "-";
    if (row->probe.mips > 0)
        snprintf(mips, sizeof mips, "%.1f", row->probe.mips);
    printf("%-8s %-7s %8s  %s\n", row->ops->name, row->verdict.usable ? "yes" : "no", mips,
           row->verdict.reason);
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        const struct probe_check *c = &row->probe.check[i];
        if (c->answer == PROBE_WRONG)
            printf("%27s%s: %s\n", "", probe_names[i], c->why);
    }
}

static void print_table(const struct row *rows, unsigned n)
{
    printf("%-8s %-7s %8s  %s\n", "engine", "usable", "MIPS", "reason");
    for (unsigned i = 0; i < n; i++)
        print_row(&rows[i]);
    const char *separator = "ranking: ";
    for (unsigned i = 0; i < n; i++) {
        if (!rows[i].verdict.usable)
            continue;
        printf("%s%s", separator, rows[i].ops->name);
        separator = ", ";
    }
    putchar('\n');
}

/* --- for programs --- */

static json_t *json_checks(const struct probe_result *probe)
{
    json_t *checks = json_object();
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        const struct probe_check *c = &probe->check[i];
        json_object_set_new(checks, probe_keys[i],
                            json_pack("{s:s, s:s?}", "result", probe_answers[c->answer], "why",
                                      c->why[0] ? c->why : NULL));
    }
    return checks;
}

static json_t *json_row(const struct row *row)
{
    json_t *mips = row->probe.mips > 0 ? json_real(row->probe.mips) : json_null();
    return json_pack("{s:s, s:b, s:b, s:s, s:o, s:o, s:f}", "name", row->ops->name, "opens",
                     row->probe.opened, "usable", row->verdict.usable, "reason",
                     row->verdict.reason, "mips", mips, "checks", json_checks(&row->probe),
                     "milliseconds", row->probe.ms);
}

static int print_json(const struct row *rows, unsigned n)
{
    json_t *engines = json_array(), *ranking = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_array_append_new(engines, json_row(&rows[i]));
        if (rows[i].verdict.usable)
            json_array_append_new(ranking, json_string(rows[i].ops->name));
    }
    const char *choice = json_string_value(json_array_get(ranking, 0));
    json_t *all = json_pack("{s:s?, s:O, s:O, s:b}", "choice", choice, "ranking", ranking,
                            "engines", engines, "hardware", choose_host_has_hardware());
    int rc = all ? json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;
    json_decref(all);
    json_decref(ranking);
    json_decref(engines);
    if (rc)
        return rc;
    putchar('\n');
    return 0;
}

int probe_command(int argc, char **argv)
{
    struct row rows[MAX_ENGINES];
    bool json = argc == 2 && (!strcmp(argv[1], "--json") || !strcmp(argv[1], "-json"));
    if (argc == 2 && opt_asks_help(argv[1])) {
        puts("Usage: minivmm probe [--json]\n"
             "Runs tiny guests on each engine and tells which work right and fast on this host.");
        return EXIT_OK;
    }
    if (argc > 2 || (argc == 2 && !json)) {
        log_error("probe: unknown argument '%s' (known: --json)", OPT_QUOTE(argv[argc - 1]));
        return EXIT_USAGE;
    }
    unsigned n = probe_all(rows);
    if (!json) {
        print_table(rows, n);
    } else if (print_json(rows, n)) {
        log_error("probe: cannot write the JSON: out of memory, or standard output is closed");
        return EXIT_HOST_ERROR;
    }
    return EXIT_OK;
}
