// SPDX-License-Identifier: MIT
//
// Runs random instruction sequences on the host CPU and on the software CPU from the same state and
// compares everything: registers, flags but for undefined ones, vectors, x87, memory, faults. A
// sequence that differs is shrunk and printed with its seed.
//
//   compare [--family NAME] [--seed N] [--count N] [--seconds N] [--length N] [--mode 64|32]
//   [--strict]
//
// Case k of seed N is the first case of seed N + k; so `--seed` with the printed number and
// `--count 1` repeats it.
#include <Zydis/Zydis.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core.h"
#include "host.h"

#define ARITH_FLAGS 0x8d5u
#define COMPARED_FLAGS (ARITH_FLAGS | 1u << 10 | 1u << 14 | 1u << 21) /* DF, NT, ID */

static struct options {
    const char *family;
    uint64_t seed, count, seconds;
    unsigned length;
    bool strict, mode32;
} opt = {.seed = 1, .count = 100000, .length = 12};

/* --- one difference, as text --- */

static unsigned n_diffs;

static void differ(bool print, const char *what, unsigned n, const void *host, const void *core,
                   size_t len)
{
    if (!memcmp(host, core, len))
        return;
    n_diffs++;
    if (!print)
        return;
    printf("  %s", what);
    if (n != ~0u)
        printf(" %u", n);
    printf(": host ");
    for (size_t k = len; k--;)
        printf("%02x", ((const uint8_t *)host)[k]);
    printf(" core ");
    for (size_t k = len; k--;)
        printf("%02x", ((const uint8_t *)core)[k]);
    printf("\n");
}

#define DIFFER(what, field) differ(print, what, ~0u, &host->field, &core->field, sizeof host->field)

static void differ_vectors(const struct machine *host, const struct machine *core, bool print)
{
    for (unsigned n = 0; n < 16; n++)
        differ(print, "ymm", n, host->ymm[n], core->ymm[n], sizeof host->ymm[n]);
    DIFFER("mxcsr", mxcsr);
}

/* Empty registers have no value of their own but are compared too: FXSAVE shows them. */
static void differ_x87(const struct machine *host, const struct machine *core, bool print)
{
    DIFFER("fcw", fcw);
    DIFFER("fsw", fsw);
    DIFFER("x87 valid", valid);
    for (unsigned n = 0; n < 8; n++)
        differ(print, "st", n, host->st[n], core->st[n], 10);
}

static bool same(const struct machine *host, const struct machine *core, uint32_t undefined,
                 bool print)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    uint64_t mask = COMPARED_FLAGS & ~(uint64_t)undefined;
    uint64_t host_flags = host->rflags & mask, core_flags = core->rflags & mask;
    n_diffs = 0;
    for (unsigned n = 0; n < 16; n++)
        differ(print, names[n], ~0u, &host->gpr[n], &core->gpr[n], 8);
    DIFFER("fault", fault);
    DIFFER("error code", error);
    DIFFER("fault address", cr2);
    DIFFER("rip", rip);
    differ(print, "flags", ~0u, &host_flags, &core_flags, 4);
    differ_vectors(host, core, print);
    differ_x87(host, core, print);
    for (unsigned n = 0; memcmp(host->mem, core->mem, SANDBOX_SIZE) && n < SANDBOX_SIZE; n += 8)
        differ(print, "memory at", n, host->mem + n, core->mem + n, 8);
    return n_diffs == 0;
}

/* --- one case --- */

static uint64_t executed, dropped;

static void drop_insn(struct sequence *seq, unsigned k)
{
    memmove(&seq->insn[k], &seq->insn[k + 1], (seq->n - k - 1) * sizeof seq->insn[0]);
    seq->n--;
}

enum outcome { SAME, DIFFERENT, INCOMPARABLE };

static enum outcome run_once(const struct sequence *seq, const struct machine *start,
                             unsigned *culprit, bool print)
{
    static struct machine host, core;
    uint8_t code[CODE_SIZE];
    uint16_t offsets[SEQ_MAX + 1];
    size_t len = seq_layout(seq, code, offsets);
    core = *start;
    struct core_verdict v = core_run(&core, code, len, offsets, seq->n, opt.strict);
    *culprit = v.culprit;
    if (!v.comparable)
        return INCOMPARABLE;
    executed += v.executed;
    host = *start;
    host_run(&host, code, len);
    return same(&host, &core, v.undefined, print) ? SAME : DIFFERENT;
}

/* Leave out what cannot be compared until the rest can. */
static enum outcome run_case(struct sequence *seq, const struct machine *start)
{
    unsigned culprit;
    while (seq->n) {
        enum outcome o = run_once(seq, start, &culprit, false);
        if (o != INCOMPARABLE)
            return o;
        drop_insn(seq, culprit);
        dropped++;
    }
    return SAME;
}

static void shrink(struct sequence *seq, const struct machine *start)
{
    unsigned culprit;
    bool smaller = true;
    while (smaller) {
        smaller = false;
        for (unsigned k = seq->n; k-- > 0;) {
            struct sequence shorter = *seq;
            drop_insn(&shorter, k);
            if (run_once(&shorter, start, &culprit, false) == DIFFERENT) {
                *seq = shorter;
                smaller = true;
            }
        }
    }
}

static void print_case(uint64_t seed, const struct sequence *seq, const struct machine *start)
{
    uint8_t code[CODE_SIZE];
    uint16_t offsets[SEQ_MAX + 1];
    unsigned culprit;
    seq_layout(seq, code, offsets);
    printf("seed %llu differs:\n", (unsigned long long)seed);
    for (unsigned k = 0; k < seq->n; k++) {
        ZydisDisassembledInstruction d;
        unsigned len = offsets[k + 1] - offsets[k];
        printf("    ");
        for (unsigned n = 0; n < 12; n++)
            n < len ? (void)printf("%02x", code[offsets[k] + n]) : (void)printf("  ");
        if (ZYAN_SUCCESS(ZydisDisassembleIntel(opt.mode32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
                                                          : ZYDIS_MACHINE_MODE_LONG_64,
                                               CODE_BASE + offsets[k], code + offsets[k], len, &d)))
            printf("  %s", d.text);
        printf("\n");
    }
    printf("  before: flags %llx mxcsr %x fcw %x fsw %x valid %x\n",
           (unsigned long long)start->rflags, start->mxcsr, start->fcw, start->fsw, start->valid);
    for (unsigned n = 0; n < 16; n++)
        printf("%s%016llx%s", n % 8 ? " " : "    ", (unsigned long long)start->gpr[n],
               n % 8 == 7 ? "\n" : "");
    run_once(seq, start, &culprit, true);
}

/* --- all cases --- */

static bool parse_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"family", required_argument, NULL, 'f'}, {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},  {"seconds", required_argument, NULL, 't'},
        {"length", required_argument, NULL, 'l'}, {"mode", required_argument, NULL, 'm'},
        {"strict", no_argument, NULL, 'x'},       {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;
        switch (c) {
        case 'f':
            opt.family = optarg;
            break;
        case 's':
            opt.seed = n;
            break;
        case 'c':
            opt.count = n;
            break;
        case 't':
            opt.seconds = n;
            break;
        case 'l':
            opt.length = (unsigned)n;
            break;
        case 'm':
            opt.mode32 = n == 32;
            break;
        case 'x':
            opt.strict = true;
            break;
        default:
            return false;
        }
    }
    return opt.length > 0;
}

static struct rng rng_of_seed(uint64_t seed)
{
    struct rng r = {.state = seed * 0xd1342543de82ef95ull + 0x632be59bd9b4e019ull};
    rng_next(&r);
    return r;
}

int main(int argc, char **argv)
{
    if (!parse_options(argc, argv)) {
        fprintf(stderr, "usage: compare [--family NAME] [--seed N] [--count N] [--seconds N] "
                        "[--length N] [--mode 64|32] [--strict]\n");
        return 2;
    }
    core_init(opt.mode32); /* first: it may take SIGFPE too */
    if (!gen_init(opt.family, opt.mode32) || !host_init(opt.mode32))
        return 77; /* cannot run here */
    static struct machine start;
    unsigned failures = 0;
    uint64_t k = 0;
    time_t end = time(NULL) + (time_t)opt.seconds;
    for (; k < opt.count && failures < 10; k++) {
        if (opt.seconds && k % 256 == 0 && time(NULL) >= end)
            break;
        struct sequence seq;
        struct rng r = rng_of_seed(opt.seed + k);
        gen_case(&r, 1 + rng_below(&r, opt.length), &seq, &start);
        if (run_case(&seq, &start) != DIFFERENT)
            continue;
        failures++;
        shrink(&seq, &start);
        print_case(opt.seed + k, &seq, &start);
    }
    core_fini();
    printf("%llu sequences, %llu instructions, %llu left out, %u differ\n", (unsigned long long)k,
           (unsigned long long)executed, (unsigned long long)dropped, failures);
    return failures ? 1 : 0;
}
