// SPDX-License-Identifier: MIT
//
// Looking inside, on the command line: the debugger, the exit report, the log.
#include <errno.h>
#include <string.h>

#include "log.h"
#include "src/config/config_parse.h"
#include "src/gdb/gdb.h"
#include "util.h"

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && !strcmp(text + len - end_len, end);
}

int config_set_exits(void *target, const char *value, struct err *err)
{
    struct config *cfg = &((struct cmdline *)target)->cfg;
    cfg->exits_html = value && ends_in(value, ".html");
    if (value && !cfg->exits_html && !ends_in(value, ".json"))
        return err_set(err, EINVAL, "-exits: '%s' ends neither in .json nor in .html, which says "
                                    "what to write",
                       OPT_QUOTE(value));
    cfg->exits = true;
    cfg->exits_file = value;
    return 0;
}

static int unknown_topic(const char *list, struct err *err)
{
    char known[128] = "", word[32];
    size_t n = 0, len = strcspn(list, ",");
    for (const char *const *name = log_topic_names; *name && n < sizeof known; name++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s, ", *name);
    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word), list);
    return err_set(err, EINVAL, "-d: unknown topic '%s' (known: %sall, none)",
                   OPT_QUOTE(word), known);
}

int config_set_log(void *target, const char *value, struct err *err)
{
    struct config *cfg = &((struct cmdline *)target)->cfg;
    if (!strcmp(value, "help")) {
        log_print_topics(stdout);
        return OPT_STOP;
    }
    const char *bad = log_parse(value, &cfg->log_topics);
    if (bad)
        return unknown_topic(bad, err);
    cfg->log_items = value;
    return 0;
}

int config_set_gdb(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    cl->cfg.gdb = value;
    return gdb_check_address(value, err);
}

int config_set_gdb_port(void *target, const char *value, struct err *err)
{
    (void)value;
    return config_set_gdb(target, "tcp::1234", err);
}
