// SPDX-License-Identifier: MIT
//
// The options that size the machine and choose its engine: -m, -smp, -accel, -machine,
// -enable-kvm, -cpu. CPU topology is not shown to guests: every vCPU is a socket of its own. -smp
// accepts QEMU's words and checks that they agree with each other, so that a command line made
// for QEMU means the same number of CPUs here.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel.h"
#include "src/accel/choose.h"
#include "src/config/config_parse.h"
#include "util.h"

#define RAM_MIN MIB(16)
#define RAM_MAX GIB(1024)
#define PAGE_BYTES 4096

static int set_memory_size(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    uint64_t bytes;
    int rc = opt_size("-m", value, MIB(1), &bytes, err);
    if (rc)
        return rc;
    if (bytes < RAM_MIN || bytes > RAM_MAX)
        return err_set(err, EINVAL, "-m: '%s' is %s (a guest has from 16M to 1T)", OPT_QUOTE(value),
                       bytes < RAM_MIN ? "too small" : "too large");
    cl->cfg.ram_size = align_up(bytes, PAGE_BYTES);
    return 0;
}

static const struct opt_row memory_rows[] = {
    {.name = "size", .metavar = "SIZE", .kind = OPT_CALL, .parse = set_memory_size,
     .help = "RAM of the guest: MiB, or with K, M, G or T behind it; rounded up to 4 KiB."},
    {0},
};
static const struct opt_keys memory = {.what = "-m", .rows = memory_rows, .first = "size"};

int config_set_memory(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    return opt_parse_keys(&memory, cl, value, &cl->cfg.pool, err);
}

/* 0: not given */
struct smp_words {
    unsigned cpus, sockets, cores, threads, maxcpus;
};

#define SMP_ROW(word, text)                                                                       \
    {.name = #word, .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = VCPU_MAX,                \
     .offset = offsetof(struct smp_words, word), .help = text}

static const struct opt_row smp_rows[] = {
    SMP_ROW(cpus, "How many CPUs; without it, the product of the others."),
    SMP_ROW(sockets, "Must fit the number of CPUs; guests see one socket for each CPU."),
    SMP_ROW(cores, "Must fit, like sockets."),
    SMP_ROW(threads, "Must fit, like sockets."),
    SMP_ROW(maxcpus, "Must be the number of CPUs: none can be added later."),
    {0},
};
static const struct opt_keys smp = {.what = "-smp", .rows = smp_rows, .first = "cpus"};
const struct opt_keys *const smp_keys[] = {&smp, NULL};

static unsigned or_one(unsigned n)
{
    return n ? n : 1;
}

int config_set_smp(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct smp_words w = {0};
    int rc = opt_parse_keys(&smp, &w, value, &cl->cfg.pool, err);
    if (rc)
        return rc;
    unsigned product = or_one(w.sockets) * or_one(w.cores) * or_one(w.threads);
    bool all_given = w.sockets && w.cores && w.threads;
    unsigned cpus = w.cpus ? w.cpus : product;
    if (all_given ? cpus != product : cpus % product)
        return err_set(err, EINVAL, "-smp: %u CPUs do not fit sockets=%u, cores=%u, threads=%u",
                       cpus, or_one(w.sockets), or_one(w.cores), or_one(w.threads));
    if (cpus > VCPU_MAX)
        return err_set(err, EINVAL, "-smp: %u CPUs are too many (at most %u)", cpus, VCPU_MAX);
    if (w.maxcpus && w.maxcpus != cpus)
        return err_set(err, EINVAL,
                       "-smp: maxcpus is %u but there are %u CPUs, and none can be added later",
                       w.maxcpus, cpus);
    cl->cfg.smp = cpus;
    return 0;
}

#define LOCKSTEP "lockstep="
#define LOCKSTEP_EVERY_MAX 1000000u

/* The pairs that are possible, for messages. */
static const char *lockstep_pairs(char *buf, size_t len)
{
    buf[0] = '\0';
    for (const struct accel_ops *const *lead = accel_list; *lead; lead++) {
        for (const struct accel_ops *const *follow = accel_list; *follow; follow++) {
            size_t n = strlen(buf);
            if ((*lead)->caps & ACCEL_CAP_LEAD && (*follow)->caps & ACCEL_CAP_FOLLOW)
                snprintf(buf + n, len - n, "%s" LOCKSTEP "%s,%s", n ? " and " : "", (*lead)->name,
                         (*follow)->name);
        }
    }
    return buf;
}

static int wants_two(struct err *err)
{
    char pairs[128];
    return err_set(err, EINVAL, "-accel lockstep: wants two engines; possible: %s",
                   lockstep_pairs(pairs, sizeof pairs));
}

static int add_accel(struct config *cfg, const char *name, struct err *err)
{
    if (!strcmp(name, "lockstep"))
        return wants_two(err);
    if (strcmp(name, CHOOSE_AUTO) && !accel_find(OPT_QUOTE(name), err))
        return -EINVAL;
    for (unsigned i = 0; i < cfg->naccels; i++) {
        if (!strcmp(cfg->accels[i], name))
            return 0;
    }
    if (cfg->naccels == CONFIG_MAX_ACCELS)
        return err_set(err, EINVAL, "-accel: more than %d engines", CONFIG_MAX_ACCELS);
    cfg->accels[cfg->naccels++] = name;
    return 0;
}

static void print_accels(void)
{
    printf("-accel takes these engines, with ':' between to try one after the other:\n");
    printf("  %-8s the first of these that has a CPU and works right and fast on this host\n",
           CHOOSE_AUTO);
    for (const struct accel_ops *const *ops = accel_list; *ops; ops++)
        printf("  %-8s %s\n", (*ops)->name, (*ops)->help);
    char pairs[128];
    printf("-accel lockstep=LEADER,FOLLOWER[,every=N] compares two of them, instruction by "
           "instruction; possible:\n  %s\n",
           lockstep_pairs(pairs, sizeof pairs));
}

static int add_accels(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help")) {
        print_accels();
        return OPT_STOP;
    }
    for (bool more = true; more;) {
        size_t len = strcspn(value, ":");
        char *name = opt_pool_add(&cl->cfg.pool, value, len, err);
        if (!name)
            return -ENOMEM;
        int rc = add_accel(&cl->cfg, name, err);
        if (rc)
            return rc;
        more = value[len];
        value += len + more;
    }
    return 0;
}

/* The whole value is looked at before its keys are. */
static int lockstep_elsewhere(void *target, const char *value, struct err *err)
{
    (void)target, (void)value;
    return err_set(err, EINVAL, "-accel: lockstep= stands first and alone, with every= only");
}

static const struct opt_row accel_rows[] = {
    {.name = "engine", .metavar = "NAME[:NAME]...", .kind = OPT_CALL, .parse = add_accels,
     .help = "The engines to try, in this order; -accel help lists them."},
    {.name = "lockstep", .metavar = "LEADER,FOLLOWER[,every=N]", .kind = OPT_CALL,
     .parse = lockstep_elsewhere,
     .help = "In the place of NAME: two engines run the same guest and are compared after each "
             "instruction, or each N; the first difference ends the run with both register sets. "
             "The leader is interp, the follower interp or kvm."},
    {.name = "probe", .kind = OPT_FLAG, .offset = offsetof(struct cmdline, cfg.accel_probe),
     .help = "Refuse to boot Linux on a KVM that is found to be unfit for it (default on)."},
    {0},
};
static const struct opt_keys accel = {.what = "-accel", .rows = accel_rows, .first = "engine"};
const struct opt_keys *const accel_keys[] = {&accel, NULL};

/* --- lockstep=LEADER,FOLLOWER[,every=N] --- */

static bool can_be(const char *name, uint32_t cap)
{
    struct err ignored = {0};
    const struct accel_ops *ops = accel_find(name, &ignored);
    return ops && ops->caps & cap;
}

static int lockstep_every(struct config *cfg, const char *text, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n < 1 || n > LOCKSTEP_EVERY_MAX)
        return err_set(err, EINVAL, "-accel lockstep: every='%s' is no number from 1 to %u",
                       OPT_QUOTE(text),
                       LOCKSTEP_EVERY_MAX);
    cfg->lockstep.every = (unsigned)n;
    return 0;
}

static int lockstep_engines(struct config *cfg, const char *leader, const char *follower,
                            struct err *err)
{
    char pairs[128];
    struct err ignored = {0};
    const char *names[] = {leader, follower};
    if (!follower)
        return wants_two(err);
    for (unsigned i = 0; i < 2; i++) {
        if (!accel_find(names[i], &ignored))
            return err_set(err, EINVAL, "-accel lockstep: unknown engine '%s'; possible: %s",
                           OPT_QUOTE(names[i]),
                           lockstep_pairs(pairs, sizeof pairs));
    }
    if (!can_be(leader, ACCEL_CAP_LEAD) || !can_be(follower, ACCEL_CAP_FOLLOW))
        return err_set(err, EINVAL, "-accel lockstep: %s cannot be compared with %s as its leader; "
                                    "possible: %s",
                       follower, leader, lockstep_pairs(pairs, sizeof pairs));
    cfg->lockstep.leader = leader;
    cfg->lockstep.follower = follower;
    return 0;
}

static int set_lockstep(struct config *cfg, const char *value, struct err *err)
{
    char pairs[128];
    char *words =
        opt_pool_add(&cfg->pool, value + strlen(LOCKSTEP), strlen(value) - strlen(LOCKSTEP), err);
    char *name = opt_pool_add(&cfg->pool, value, strlen(value), err), *rest = words;
    if (!words || !name)
        return -ENOMEM;
    const char *engines[2] = {NULL, NULL};
    unsigned n = 0;
    int rc = 0;
    cfg->lockstep.every = 1;
    while (rest && !rc) {
        const char *word = strsep(&rest, ",");
        if (!strncmp(word, "every=", 6))
            rc = lockstep_every(cfg, word + 6, err);
        else if (strchr(word, '='))
            rc = err_set(err, EINVAL, "-accel lockstep: unknown key '%.*s' (known: every)",
                         (int)strcspn(word, "="), word);
        else if (n == 2)
            rc = err_set(err, EINVAL, "-accel lockstep: more than two engines; possible: %s",
                         lockstep_pairs(pairs, sizeof pairs));
        else
            engines[n++] = word;
    }
    if (!rc)
        rc = lockstep_engines(cfg, engines[0], engines[1], err);
    if (!rc && cfg->naccels == CONFIG_MAX_ACCELS)
        rc = err_set(err, EINVAL, "-accel: more than %d engines", CONFIG_MAX_ACCELS);
    if (!rc)
        cfg->accels[cfg->naccels++] = name;
    return rc;
}

int config_set_accel(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help"))
        return add_accels(target, value, err);
    if (!strncmp(value, LOCKSTEP, strlen(LOCKSTEP)))
        return set_lockstep(&cl->cfg, value, err);
    return opt_parse_keys(&accel, cl, value, &cl->cfg.pool, err);
}

int config_enable_kvm(void *target, const char *value, struct err *err)
{
    (void)value;
    struct cmdline *cl = target;
    return add_accel(&cl->cfg, "kvm", err);
}

#define CPU_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,+-_="

int config_set_cpu(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help")) {
        cpu_print_help(stdout);
        return OPT_STOP;
    }
    if (value[strspn(value, CPU_CHARACTERS)])
        return err_set(err, EINVAL, "-cpu: '%s' is not MODEL[,+FEATURE][,-FEATURE]... (-cpu help "
                                    "lists both)",
                       OPT_QUOTE(value));
    return cpu_choice_parse(&cl->cfg.cpu, value, err);
}

static const struct opt_choice machine_types[] = {
    {"pc", "the one board there is"},
    {"q35", "the same"},
    {0},
};
static const struct opt_row machine_rows[] = {
    {.name = "type", .kind = OPT_CHOICE, .choices = machine_types,
     .offset = offsetof(struct cmdline, machine),
     .help = "Accepted for command lines made for QEMU; all types are the same board."},
    {.name = "accel", .metavar = "NAME[:NAME]...", .kind = OPT_CALL, .parse = add_accels,
     .help = "As -accel."},
    {0},
};
static const struct opt_keys machine = {.what = "-machine", .rows = machine_rows, .first = "type"};
const struct opt_keys *const machine_keys[] = {&machine, NULL};

int config_set_machine(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    return opt_parse_keys(&machine, cl, value, &cl->cfg.pool, err);
}
