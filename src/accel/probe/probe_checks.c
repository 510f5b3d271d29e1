// SPDX-License-Identifier: MIT
//
// What each guest of the probe must have seen, as tables: values it stored and traps it took, with
// the words for when they differ. SDM vol. 2 (SYSCALL, SYSRET, PUSHF, POPF, STR), vol. 3 chapter 6.
#include "src/accel/probe/probe_checks.h"
#include "util.h"

#include <stdio.h>

#define FL_IF 0x200ull
#define ALL (~0ull)
#define ANY 0ull
#define USER_FLAGS 0x202ull
#define PF_WRITE 2
#define PF_USER 4
#define MAX_VALS 9
#define MAX_TRAPS 5

struct want_val {
    const char *what;
    uint64_t val, mask;
};

struct want_trap {
    unsigned vector;
    uint64_t error;
    const uint8_t *rip; /* NULL: not looked at */
    uint16_t cs;
    uint64_t rflags, rflags_mask;
    uint64_t cr2; /* 0: not looked at */
};

static const struct {
    const uint8_t *entry;
    struct want_val val[MAX_VALS];
    unsigned ntraps;
    struct want_trap trap[MAX_TRAPS];
} wanted[PROBE_CHECKS] = {
    [PROBE_RUNS] = {.entry = probe_runs, .val = {{"the word it stored", 0x600d, ALL}}},
    [PROBE_SPEED] = {.entry = probe_speed},
    [PROBE_SYSCALL] =
        {
            .entry = probe_syscall,
            .val = {{"RCX after SYSCALL", 0, ANY}, /* the address: below */
                    {"R11 after SYSCALL", USER_FLAGS, ALL},
                    {"CS after SYSCALL", PROBE_SEL_CODE, ALL},
                    {"SS after SYSCALL", PROBE_SEL_STACK, ALL},
                    {"IF after SYSCALL", 0, FL_IF},
                    {"IF after SYSRET", FL_IF, FL_IF},
                    {"CS after SYSRET", PROBE_SEL_USER_CODE, ALL},
                    {"SS after SYSRET", PROBE_SEL_USER_STACK, ALL}},
        },
    [PROBE_FLAGS] =
        {
            .entry = probe_flags,
            .val = {{"IF in ring 0 after CLI", 0, FL_IF},
                    {"IF in ring 0 after STI", FL_IF, FL_IF},
                    {"IF in ring 3, entered with IF on,", FL_IF, FL_IF},
                    {"IF after a POPF in ring 3 without IF", FL_IF, FL_IF},
                    {"IF in ring 3, entered with IF off,", 0, FL_IF},
                    {"IF after a POPF in ring 3 with IF", 0, FL_IF}},
            .ntraps = 2,
            .trap = {{6, 0, NULL, PROBE_SEL_USER_CODE, FL_IF, FL_IF, 0},
                     {6, 0, NULL, PROBE_SEL_USER_CODE, 0, FL_IF, 0}},
        },
    [PROBE_SEGMENTS] =
        {
            .entry = probe_segments,
            .val = {{"CS in ring 0", PROBE_SEL_CODE, ALL},
                    {"SS in ring 0", PROBE_SEL_STACK, ALL},
                    {"TR in ring 0", PROBE_SEL_TSS, ALL},
                    {"the GDT's base in ring 0", PROBE_GDT, ALL},
                    {"CS in ring 3", PROBE_SEL_USER_CODE, ALL},
                    {"SS in ring 3", PROBE_SEL_USER_STACK, ALL},
                    {"TR in ring 3", PROBE_SEL_TSS, ALL},
                    {"LDTR in ring 3", 0, ALL},
                    {"the GDT's base in ring 3", PROBE_GDT, ALL}},
            .ntraps = 1,
            .trap = {{6, 0, NULL, PROBE_SEL_USER_CODE, 0, 0, 0}},
        },
    [PROBE_EXCEPTIONS] =
        {
            .entry = probe_exceptions,
            .ntraps = 5,
            .trap = {{6, 0, probe_ud_ring0, PROBE_SEL_CODE, 0, 0, 0},
                     {14, PF_WRITE, probe_pf_ring0, PROBE_SEL_CODE, 0, 0, PROBE_UNMAPPED},
                     {6, 0, probe_ud_ring3, PROBE_SEL_USER_CODE, FL_IF, FL_IF, 0},
                     {14, PF_USER, probe_pf_ring3, PROBE_SEL_USER_CODE, FL_IF, FL_IF,
                      PROBE_UNMAPPED},
                     {PROBE_INT_VECTOR, 0, probe_after_int, PROBE_SEL_USER_CODE, FL_IF, FL_IF, 0}},
        },
};

const uint8_t *probe_entry(enum probe_what what)
{
    return wanted[what].entry;
}

static bool differs(const char *what, uint64_t val, uint64_t want, struct probe_check *out)
{
    if (val == want)
        return false;
    out->answer = PROBE_WRONG;
    snprintf(out->why, sizeof out->why, "%s is %#llx instead of %#llx", what,
             (unsigned long long)val, (unsigned long long)want);
    return true;
}

static bool trap_differs(const struct probe_trap *t, const struct want_trap *w,
                         struct probe_check *out)
{
    char what[64];
    if (t->vector != w->vector) {
        out->answer = PROBE_WRONG;
        snprintf(out->why, sizeof out->why, "exception %llu at %#llx instead of %u",
                 (unsigned long long)t->vector, (unsigned long long)t->rip, w->vector);
        return true;
    }
    const struct {
        const char *what;
        uint64_t val, want;
    } fields[] = {
        {"the error code", t->error, w->error},
        {"RIP", t->rip, w->rip ? probe_address(w->rip) : t->rip},
        {"CS", t->cs, w->cs},
        {"IF", t->rflags & w->rflags_mask, w->rflags},
        {"CR2", t->cr2, w->cr2 ? w->cr2 : t->cr2},
    };
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
        snprintf(what, sizeof what, "%s of exception %u", fields[i].what, w->vector);
        if (differs(what, fields[i].val, fields[i].want, out))
            return true;
    }
    return false;
}

void probe_judge(enum probe_what what, const struct probe_saw *saw, struct probe_check *out)
{
    *out = (struct probe_check){.answer = PROBE_OK};
    for (unsigned i = 0; i < wanted[what].ntraps && i < saw->ntraps; i++) {
        if (trap_differs(&saw->trap[i], &wanted[what].trap[i], out))
            return;
    }
    unsigned n = wanted[what].ntraps;
    if (saw->ntraps > n && n < PROBE_TRAPS) {
        out->answer = PROBE_WRONG;
        snprintf(out->why, sizeof out->why, "unexpected exception %llu, error code %#llx, at %#llx",
                 (unsigned long long)saw->trap[n].vector, (unsigned long long)saw->trap[n].error,
                 (unsigned long long)saw->trap[n].rip);
        return;
    }
    if (differs("the number of exceptions", saw->ntraps, n, out))
        return;
    if (what == PROBE_SYSCALL &&
        differs("RCX after SYSCALL", saw->val[0], probe_address(probe_syscall_return), out))
        return;
    for (unsigned i = 0; i < MAX_VALS && wanted[what].val[i].what; i++) {
        const struct want_val *w = &wanted[what].val[i];
        if (differs(w->what, saw->val[i] & w->mask, w->val, out))
            return;
    }
}
