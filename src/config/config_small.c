// SPDX-License-Identifier: MIT
//
// Small devices on the command line (entropy, balloon, panic notifier, watchdog), and what the
// machine does when the guest resets, panics or falls silent: -action and its relatives.
#include <errno.h>
#include <string.h>

#include "src/config/config_parse.h"
#include "util.h"

/* --- -device --- */

struct rng_words {
    const char *id;
    unsigned seed;
};

static const struct opt_row rng_rows[] = {
    {.name = "seed", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = UINT32_MAX,
     .offset = offsetof(struct rng_words, seed),
     .help = "Not the host's random bytes but the same ones at every run: for tests."},
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = offsetof(struct rng_words, id),
     .help = "A name; nothing needs it."},
    {0},
};
static const struct opt_row id_rows[] = {
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = 0,
     .help = "A name; nothing needs it."},
    {0},
};
const struct opt_keys config_rng_pci = {
    .what = "virtio-rng-pci", .rows = rng_rows,
    .help = "Random bytes of the host's for the guest; also named virtio-rng."};
const struct opt_keys config_rng_mmio = {
    .what = "virtio-rng-device", .rows = rng_rows, .help = "The same on virtio-mmio."};
const struct opt_keys config_pvpanic = {
    .what = "pvpanic", .rows = id_rows,
    .help = "How a guest's kernel says that it panicked. It is there without being asked for."};
const struct opt_keys config_i6300esb = {
    .what = "i6300esb", .rows = id_rows, .help = "A watchdog; see -action watchdog=."};

static int add_rng(struct cmdline *cl, const struct opt_keys *keys, enum virtio_bus bus,
                   const char *words, struct err *err)
{
    struct rng_words w = {0};
    int rc = words ? opt_parse_keys(keys, &w, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (cl->cfg.rng)
        return err_set(err, EINVAL, "-device %s: there can be only one", keys->what);
    cl->cfg.rng = true;
    cl->cfg.rng_bus = bus;
    cl->cfg.rng_seeded = w.seed != 0;
    cl->cfg.rng_seed = w.seed;
    return 0;
}

int config_add_rng_pci(struct cmdline *cl, const char *words, struct err *err)
{
    return add_rng(cl, &config_rng_pci, VIRTIO_BUS_PCI, words, err);
}

int config_add_rng_mmio(struct cmdline *cl, const char *words, struct err *err)
{
    return add_rng(cl, &config_rng_mmio, VIRTIO_BUS_MMIO, words, err);
}

int config_add_pvpanic(struct cmdline *cl, const char *words, struct err *err)
{
    const char *id;
    return words ? opt_parse_keys(&config_pvpanic, &id, words, &cl->cfg.pool, err) : 0;
}

int config_add_i6300esb(struct cmdline *cl, const char *words, struct err *err)
{
    const char *id;
    int rc = words ? opt_parse_keys(&config_i6300esb, &id, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (cl->cfg.i6300esb)
        return err_set(err, EINVAL, "-device i6300esb: there can be only one");
    cl->cfg.i6300esb = true;
    return 0;
}

struct balloon_words {
    const char *id, *target;
    bool reporting, deflate_on_oom;
};

#define FIELD(member) offsetof(struct balloon_words, member)
static const struct opt_row balloon_rows[] = {
    {.name = "free-page-reporting", .kind = OPT_FLAG, .offset = FIELD(reporting),
     .help = "The guest tells of memory that it has freed, and the host gets it back (default "
             "on)."},
    {.name = "deflate-on-oom", .kind = OPT_FLAG, .offset = FIELD(deflate_on_oom),
     .help = "A guest that runs out of memory takes it from the balloon (default off)."},
    {.name = "target", .metavar = "SIZE", .kind = OPT_TEXT, .offset = FIELD(target),
     .help = "Memory that the guest is to give up from the beginning: MiB, or with K, M, G or T "
             "behind it (default 0)."},
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = FIELD(id),
     .help = "Its name for control clients: minivmm-qmp(7), qom-get (default balloon0)."},
    {0},
};
#undef FIELD
const struct opt_keys config_balloon_pci = {
    .what = "virtio-balloon-pci", .rows = balloon_rows,
    .help = "Memory that the guest does not need goes back to the host; also named "
            "virtio-balloon."};
const struct opt_keys config_balloon_mmio = {
    .what = "virtio-balloon-device", .rows = balloon_rows, .help = "The same on virtio-mmio."};

static int add_balloon(struct cmdline *cl, const struct opt_keys *keys, enum virtio_bus bus,
                       const char *words, struct err *err)
{
    struct config *cfg = &cl->cfg;
    struct balloon_words w = {.id = "balloon0", .reporting = true};
    uint64_t target = 0;
    int rc = words ? opt_parse_keys(keys, &w, words, &cfg->pool, err) : 0;
    if (!rc && w.target)
        rc = opt_size("virtio-balloon target", w.target, MIB(1), &target, err);
    if (rc)
        return rc;
    if (cfg->balloon.there)
        return err_set(err, EINVAL, "-device %s: there can be only one", keys->what);
    cfg->balloon.there = true;
    cfg->balloon.bus = bus;
    cfg->balloon.id = w.id;
    cfg->balloon.reporting = w.reporting;
    cfg->balloon.deflate_on_oom = w.deflate_on_oom;
    cfg->balloon.target = target;
    return 0;
}

int config_add_balloon_pci(struct cmdline *cl, const char *words, struct err *err)
{
    return add_balloon(cl, &config_balloon_pci, VIRTIO_BUS_PCI, words, err);
}

int config_add_balloon_mmio(struct cmdline *cl, const char *words, struct err *err)
{
    return add_balloon(cl, &config_balloon_mmio, VIRTIO_BUS_MMIO, words, err);
}

int config_resolve_balloon(const struct config *cfg, struct err *err)
{
    if (cfg->balloon.target < cfg->ram_size)
        return 0;
    return err_set(err, EINVAL, "virtio-balloon: target=%lluM is no less than the guest's memory "
                                "(%lluM)",
                   (unsigned long long)(cfg->balloon.target >> 20),
                   (unsigned long long)(cfg->ram_size >> 20));
}

/* --- -action --- */

struct action_words {
    enum { REBOOT_RESET, REBOOT_SHUTDOWN } reboot;
    enum panic_action panic;
    enum { SHUTDOWN_POWEROFF } shutdown;
    enum watchdog_action watchdog;
};

static const struct opt_choice reboot_actions[] = {
    [REBOOT_RESET] = {"reset", "start the guest again"},
    [REBOOT_SHUTDOWN] = {"shutdown", "end, as -no-reboot does"},
    {0},
};
static const struct opt_choice shutdown_actions[] = {
    [SHUTDOWN_POWEROFF] = {"poweroff", "end"},
    {0},
};
static const struct opt_choice panic_actions[] = {
    [PANIC_SHUTDOWN] = {"shutdown", "end with status 240"},
    [PANIC_EXIT_FAILURE] = {"exit-failure", "the same"},
    [PANIC_NONE] = {"none", "a warning; the guest goes on"},
    {0},
};
const struct opt_choice config_watchdog_actions[] = {
    [WATCHDOG_RESET] = {"reset", "start the guest again; under -no-reboot end with status 242"},
    [WATCHDOG_POWEROFF] = {"poweroff", "end with status 242"},
    [WATCHDOG_SHUTDOWN] = {"shutdown", "press the guest's power button"},
    [WATCHDOG_NONE] = {"none", "a warning; the guest goes on"},
    {0},
};

#define FIELD(member) offsetof(struct action_words, member)
static const struct opt_row action_rows[] = {
    {.name = "reboot", .kind = OPT_CHOICE, .choices = reboot_actions, .offset = FIELD(reboot),
     .help = "When the guest resets the machine (default reset)."},
    {.name = "shutdown", .kind = OPT_CHOICE, .choices = shutdown_actions, .offset = FIELD(shutdown),
     .help = "When the guest powers off."},
    {.name = "panic", .kind = OPT_CHOICE, .choices = panic_actions, .offset = FIELD(panic),
     .help = "When its kernel says through pvpanic that it panicked (default shutdown)."},
    {.name = "watchdog", .kind = OPT_CHOICE, .choices = config_watchdog_actions,
     .offset = FIELD(watchdog), .help = "When its watchdog fires (default reset)."},
    {0},
};
static const struct opt_keys action = {.what = "-action", .rows = action_rows};
const struct opt_keys *const action_keys[] = {&action, NULL};

int config_set_action(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct config *cfg = &cl->cfg;
    struct action_words w = {
        .reboot = cfg->no_reboot ? REBOOT_SHUTDOWN : REBOOT_RESET,
        .panic = cfg->panic_action,
        .watchdog = cfg->watchdog_action,
    };
    int rc = opt_parse_keys(&action, &w, value, &cfg->pool, err);
    if (rc)
        return rc;
    cfg->no_reboot = w.reboot == REBOOT_SHUTDOWN;
    cfg->panic_action = w.panic;
    cfg->watchdog_action = w.watchdog;
    return 0;
}

/* --- -junit --- */

static const struct opt_row junit_rows[] = {
    {.name = "path", .metavar = "FILE", .kind = OPT_FILE,
     .offset = offsetof(struct cmdline, cfg.junit), .help = "The file."},
    {.name = "pass", .metavar = "STATUS", .kind = OPT_NUMBER, .max = 255,
     .offset = offsetof(struct cmdline, cfg.junit_pass),
     .help = "An exit status that means passed, beside 0: what the guest makes of "
             "isa-debug-exit."},
    {0},
};
static const struct opt_keys junit = {
    .what = "-junit", .rows = junit_rows, .first = "path", .first_always = true};
const struct opt_keys *const junit_keys[] = {&junit, NULL};

int config_set_junit(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    return opt_parse_keys(&junit, cl, value, &cl->cfg.pool, err);
}

int config_accept_no_display(void *target, const char *value, struct err *err)
{
    (void)target;
    if (!strcmp(value, "none"))
        return 0;
    return err_set(err, EINVAL, "there is no display, so none is all that -display and -vga take, "
                                "not '%s'",
                   OPT_QUOTE(value));
}
