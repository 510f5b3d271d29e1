// SPDX-License-Identifier: MIT
//
// -icount: guest time by executed instructions. QEMU's words are understood where they mean what
// happens here; `auto` would let the host's speed decide, and is refused.
#include <errno.h>
#include <string.h>

#include "accel.h"
#include "src/accel/choose.h"
#include "src/config/config_parse.h"

static int set_shift(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    uint64_t n;
    if (!strcmp(value, "auto"))
        return err_set(err, EINVAL,
                       "-icount: 'auto' would follow the host's speed, and no two runs would be "
                       "equal: give a number from 0 to %d (an instruction is 2^N ns)",
                       CLOCK_COUNTED_SHIFT_MAX);
    if (!opt_number(value, &n) || n > CLOCK_COUNTED_SHIFT_MAX)
        return err_set(err, EINVAL,
                       "-icount: '%s' is not a whole number from 0 to %d (an instruction is 2^N "
                       "ns)",
                       OPT_QUOTE(value), CLOCK_COUNTED_SHIFT_MAX);
    cl->cfg.icount = true;
    cl->cfg.icount_shift = (unsigned)n;
    return 0;
}

static int set_seed(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!opt_number(value, &cl->cfg.icount_seed))
        return err_set(err, EINVAL, "-icount seed: '%s' is not a whole number of 64 bits",
                       OPT_QUOTE(value));
    return 0;
}

static const struct opt_choice only_off[] = {{"off", "always so: time never waits for the host's"},
                                             {0}};
static const struct opt_row icount_rows[] = {
    {.name = "shift", .metavar = "N", .kind = OPT_CALL, .parse = set_shift,
     .help = "An instruction is 2^N ns, N from 0 to 10."},
    {.name = "seed", .metavar = "S", .kind = OPT_CALL, .parse = set_seed,
     .help = "What the guest's RDRAND and RDSEED start from (default 0)."},
    {.name = "sleep", .kind = OPT_CHOICE, .choices = only_off,
     .offset = offsetof(struct cmdline, icount_off),
     .help = "Accepted for command lines made for QEMU."},
    {.name = "align", .kind = OPT_CHOICE, .choices = only_off,
     .offset = offsetof(struct cmdline, icount_off),
     .help = "The same."},
    {0},
};
static const struct opt_keys icount = {.what = "-icount", .rows = icount_rows, .first = "shift"};
const struct opt_keys *const icount_keys[] = {&icount, NULL};

int config_set_icount(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    int rc = opt_parse_keys(&icount, cl, value, &cl->cfg.pool, err);
    if (!rc && !cl->cfg.icount)
        rc = err_set(err, EINVAL, "-icount: how long is an instruction? Give shift=N, N from 0 to "
                                  "%d",
                     CLOCK_COUNTED_SHIFT_MAX);
    return rc;
}

/* "interp, auto": the engines that can, and what chooses among them. */
static const char *list_counting(char *buf, size_t len)
{
    size_t n = 0;
    for (const struct accel_ops *const *ops = accel_list; *ops && n < len; ops++) {
        if ((*ops)->caps & ACCEL_CAP_COUNTS)
            n += (size_t)snprintf(buf + n, len - n, "%s, ", (*ops)->name);
    }
    if (n < len)
        snprintf(buf + n, len - n, CHOOSE_AUTO);
    return buf;
}

int config_resolve_icount(const struct config *cfg, struct err *err)
{
    char possible[96];
    if (cfg->icount && cfg->lockstep.leader)
        return err_set(err, EINVAL, "-icount: -accel lockstep steps the time of both engines "
                                    "itself; give one of the two options");
    for (unsigned i = 0; cfg->icount && i < cfg->naccels; i++) {
        const char *name = cfg->accels[i];
        if (!strcmp(name, CHOOSE_AUTO))
            continue;
        const struct accel_ops *ops = accel_find(name, err);
        if (!ops)
            return -EINVAL;
        if (!(ops->caps & ACCEL_CAP_COUNTS))
            return err_set(err, EINVAL, "-icount: engine %s does not count instructions (possible: "
                                        "%s)",
                           name, list_counting(possible, sizeof possible));
    }
    return 0;
}
