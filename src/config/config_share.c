// SPDX-License-Identifier: MIT
//
// -share: host directories for the guest. The directory is not looked at here.
// QEMU has no option that means the same: its -virtfs promises 9p, and its virtio-fs wants a
// daemon.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/config/config_parse.h"
#include "util.h"

#define TAG_MAX 36 /* virtio 1.2 section 5.11.4 */
#define QUEUES_MAX 4 /* as many as there are threads that serve */

const struct opt_choice config_share_caches[] = {
    [FS_CACHE_AUTO] = {"auto", "what the host changes shows after a second at most"},
    [FS_CACHE_NONE] = {"none", "the guest asks each time: slow, and always right"},
    [FS_CACHE_ALWAYS] = {"always", "nothing but this guest changes the directory: fast"},
    {0},
};
const struct opt_choice config_share_owners[] = {
    [FS_OWNER_AUTO] = {"auto", "map, but for root keep"},
    [FS_OWNER_MAP] = {"map",
                      "the files of the host user who runs this are root's in the guest, and "
                      "what the guest creates is that user's"},
    [FS_OWNER_KEEP] = {"keep", "user and group numbers are the host's"},
    {0},
};

#define FIELD(field) offsetof(struct share_config, field)
static const struct opt_row share_rows[] = {
    {.name = "dir", .metavar = "DIR", .kind = OPT_FILE, .offset = FIELD(fs.path),
     .help = "The directory."},
    {.name = "tag", .metavar = "TEXT", .kind = OPT_TEXT, .max = TAG_MAX, .offset = FIELD(tag),
     .help = "Its name for mount, at most 36 bytes (default share, then share1, share2 ...)."},
    {.name = "ro", .kind = OPT_FLAG, .offset = FIELD(fs.read_only),
     .help = "The guest cannot write; also readonly, as -disk has it."},
    {.name = "readonly", .kind = OPT_FLAG, .offset = FIELD(fs.read_only)},
    {.name = "cache", .kind = OPT_CHOICE, .choices = config_share_caches, .offset = FIELD(fs.cache),
     .help = "How long the guest may believe what it has seen (default auto)."},
    {.name = "owner", .kind = OPT_CHOICE, .choices = config_share_owners, .offset = FIELD(fs.owner),
     .help = "Whose the files are (default auto)."},
    {.name = "bus", .kind = OPT_CHOICE, .choices = config_buses, .offset = FIELD(bus),
     .help = "How the guest reaches it (default pci)."},
    {0},
};
static const struct opt_keys share = {
    .what = "-share", .rows = share_rows, .first = "dir", .first_always = true};
const struct opt_keys *const share_keys[] = {&share, NULL};

static bool tag_taken(const struct config *cfg, const char *tag)
{
    for (unsigned i = 0; i < cfg->nshares; i++) {
        if (cfg->shares[i].tag && !strcmp(cfg->shares[i].tag, tag))
            return true;
    }
    return false;
}

int config_add_share(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct config *cfg = &cl->cfg;
    struct share_config s = {0};
    int rc = opt_parse_keys(&share, &s, value, &cfg->pool, err);
    if (rc)
        return rc;
    if (cfg->nshares == CONFIG_MAX_SHARES)
        return err_set(err, EINVAL, "-share: more than %d directories", CONFIG_MAX_SHARES);
    if (s.tag && !*s.tag)
        return err_set(err, EINVAL, "-share tag: it is empty");
    if (s.tag && tag_taken(cfg, s.tag))
        return err_set(err, EINVAL, "-share: two directories have the tag '%s'", OPT_QUOTE(s.tag));
    cfg->shares[cfg->nshares++] = s;
    return 0;
}

static int default_tag(struct config *cfg, struct share_config *s, struct err *err)
{
    char tag[16] = "share";
    for (unsigned n = 1; tag_taken(cfg, tag); n++)
        snprintf(tag, sizeof tag, "share%u", n);
    s->tag = opt_pool_add(&cfg->pool, tag, strlen(tag), err);
    return s->tag ? 0 : -ENOMEM;
}

int config_resolve_shares(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    for (unsigned i = 0; i < cfg->nshares; i++) {
        struct share_config *s = &cfg->shares[i];
        int rc = s->tag ? 0 : default_tag(cfg, s, err);
        if (rc)
            return rc;
        s->queues = cfg->smp < QUEUES_MAX ? cfg->smp : QUEUES_MAX;
    }
    return 0;
}
