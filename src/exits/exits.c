// SPDX-License-Identifier: MIT
//
// See exits.h.
#include "src/exits/exits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "src/exits/report.h"
#include "src/vm/vm.h"
#include "util.h"

#define ADDRESSES_SHOWN 20

uint64_t exits_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int open_profiles(struct exits *e, struct vm *vm, struct err *err)
{
    unsigned n = vm->cfg->smp;
    e->start_ns = exits_now_ns();
    e->profiles = calloc(n, sizeof e->profiles[0]);
    int rc = e->profiles ? 0 : err_set(err, ENOMEM, "-exits: out of memory");
    for (; !rc && e->nprofiles < n; e->nprofiles++)
        rc = profile_init(&e->profiles[e->nprofiles], e->start_ns, err);
    for (unsigned i = 0; !rc && vm->vcpus && i < n; i++)
        vm->vcpus[i].profile = &e->profiles[i];
    return rc;
}

int exits_open(struct vm *vm, struct err *err)
{
    const struct config *cfg = vm->cfg;
    if (!cfg->exits)
        return 0;
    struct exits *e = vm->exits = calloc(1, sizeof *e);
    if (!e)
        return err_set(err, ENOMEM, "-exits: out of memory");
    e->file.fd = -1;
    int rc = open_profiles(e, vm, err);
    if (!rc && cfg->symbols)
        rc = symbols_read(&e->symbols, cfg->symbols, err);
    if (!rc && cfg->exits_file)
        rc = outfile_open(&e->file, "-exits", cfg->exits_file, err);
    return rc;
}

void exits_close(struct vm *vm)
{
    struct exits *e = vm->exits;
    if (!e)
        return;
    outfile_abandon(&e->file);
    symbols_free(&e->symbols);
    for (unsigned i = 0; i < e->nprofiles; i++)
        profile_fini(&e->profiles[i]);
    free(e->profiles);
    free(e);
    vm->exits = NULL;
}

/* Linux tells the CPU where its system calls enter, and so how far it has moved itself. */
static void find_slide(struct vm *vm, struct symbols *symbols)
{
    struct cpu_state cpu;
    struct err err = {0};
    uint64_t entry;
    if (!vm->vcpus || !symbols_address(symbols, "entry_SYSCALL_64", &entry) ||
        vm->accel.ops->get_state(&vm->vcpus[0], &cpu, &err))
        return;
    uint64_t slide = cpu.msr.lstar - entry;
    symbols->slide = cpu.msr.lstar && slide % MIB(2) == 0 ? slide : 0;
}

static int make(struct vm *vm, struct exit_report *r)
{
    struct symbols *symbols = vm->exits && vm->exits->symbols.n ? &vm->exits->symbols : NULL;
    if (symbols)
        find_slide(vm, symbols);
    return exit_report_make(r, vm, symbols);
}

void exits_print(struct vm *vm, FILE *out)
{
    struct exit_report r;
    if (make(vm, &r)) {
        fputs("out of memory\n", out);
        return;
    }
    exit_report_text(&r, ADDRESSES_SHOWN, out);
    exit_report_free(&r);
}

static void say(struct vm *vm)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return;
    exits_print(vm, f);
    if (!fclose(f))
        log_text(text);
    free(text);
}

bool exits_write(struct vm *vm)
{
    struct exits *e = vm->exits;
    struct exit_report r;
    if (!e)
        return true;
    const char *path = vm->cfg->exits_file;
    if (!path) {
        say(vm);
        return true;
    }
    int rc = make(vm, &r);
    char *text = rc ? NULL : vm->cfg->exits_html ? exit_report_html(&r) : exit_report_json(&r);
    rc = text ? outfile_commit(&e->file, text, strlen(text)) : -ENOMEM;
    free(text);
    exit_report_free(&r);
    if (rc)
        log_error("-exits: write '%s': %s", path, strerror(-rc));
    return !rc;
}
