// SPDX-License-Identifier: MIT
//
// -qmp and -monitor on the command line: where people and programs may steer the machine from. Left
// out: TCP, and waiting for a client before the guest starts.
#include <errno.h>
#include <string.h>

#include "src/config/config_parse.h"
#include "src/control/qmp.h"
#include "util.h"

struct socket_words {
    const char *path;
    bool server, wait, nowait;
};

#define FIELD(member) offsetof(struct socket_words, member)

static const struct opt_row socket_rows[] = {
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = FIELD(path),
     .help = "The socket's name."},
    {.name = "server", .kind = OPT_FLAG, .offset = FIELD(server),
     .help = "Listen there: always so."},
    {.name = "wait", .kind = OPT_FLAG, .offset = FIELD(wait),
     .help = "Start the guest only when a client is there: must be off, and is."},
    {.name = "nowait", .kind = OPT_FLAG, .offset = FIELD(nowait)},
    {0},
};
static const struct opt_keys qmp_socket = {
    .what = "-qmp unix", .rows = socket_rows, .first = "path", .first_always = true};
static const struct opt_keys monitor_socket = {
    .what = "-monitor unix", .rows = socket_rows, .first = "path", .first_always = true};
const struct opt_keys *const qmp_keys[] = {&qmp_socket, NULL};
const struct opt_keys *const monitor_keys[] = {&monitor_socket, NULL};

static int add_socket(struct cmdline *cl, const struct opt_keys *keys, enum control_kind kind,
                      const char *words, struct err *err)
{
    struct socket_words w = {.server = true};
    struct config *cfg = &cl->cfg;
    int rc = opt_parse_keys(keys, &w, words, &cfg->pool, err);
    if (rc)
        return rc;
    if (!w.path)
        return err_set(err, EINVAL, "%s: the path is missing", keys->what);
    if (!w.server || w.wait)
        return err_set(err, EINVAL, "%s: %s; minivmm listens, and starts the guest at once",
                       keys->what,
                       w.wait ? "wait=on is not offered" : "server=off is not offered");
    if (cfg->ncontrols == CONFIG_MAX_CONTROLS)
        return err_set(err, EINVAL, "%s: more than %d control sockets",
                       keys->what, CONFIG_MAX_CONTROLS);
    for (unsigned i = 0; i < cfg->ncontrols; i++) {
        if (!strcmp(cfg->controls[i].path, w.path))
            return err_set(err, EINVAL, "%s: two control sockets have the name '%s'", keys->what,
                           OPT_QUOTE(w.path));
    }
    cfg->controls[cfg->ncontrols++] = (struct control_config){kind, w.path};
    return 0;
}

static bool is_socket(const char *value)
{
    return !strncmp(value, "unix:", 5) && value[5];
}

int config_add_qmp(void *target, const char *value, struct err *err)
{
    if (!strcmp(value, "help")) {
        printf("-qmp takes one of:\n"
               "  unix:PATH[,server=on][,wait=off]   a UNIX socket that minivmm listens on\n"
               "  none                               nothing\n");
        return OPT_STOP;
    }
    if (!strcmp(value, "none"))
        return 0;
    if (!is_socket(value))
        return err_set(err, EINVAL, "-qmp: unknown value '%s' (known: unix:PATH|none)",
                       OPT_QUOTE(value));
    return add_socket(target, &qmp_socket, CONTROL_QMP, value + 5, err);
}

int config_add_monitor(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help")) {
        printf("-monitor takes one of:\n  stdio                              this terminal; no "
               "port of the guest has it then\n  unix:PATH[,server=on][,wait=off]   a UNIX socket "
               "that minivmm listens on\n  none                               nothing but Ctrl-A c "
               "where the guest's console is\n");
        return OPT_STOP;
    }
    if (!strcmp(value, "none"))
        return 0;
    if (!strcmp(value, "stdio")) {
        cl->cfg.monitor_stdio = true;
        return 0;
    }
    if (!is_socket(value))
        return err_set(err, EINVAL, "-monitor: unknown value '%s' (known: stdio|unix:PATH|none)",
                       OPT_QUOTE(value));
    return add_socket(cl, &monitor_socket, CONTROL_MONITOR, value + 5, err);
}

int config_print_qmp_table(void *target, const char *value, struct err *err)
{
    (void)target;
    if (qmp_print_commands(value, stdout))
        return OPT_STOP;
    return err_set(err, EINVAL, "-qmp-table: unknown value '%s' (known: man)", OPT_QUOTE(value));
}
