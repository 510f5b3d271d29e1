// SPDX-License-Identifier: MIT
//
// One file for two purposes: what is written would destroy what is read, or the other thing that is
// written. Files that are there are known by device and inode, others by their names. Devices and
// pipes may serve many. Left out: files below a shared directory, and names that differ but will be
// one file once it is made.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "src/config/config_parse.h"

#define USES_MAX 128

struct use {
    const char *what, *path;
    bool writes, is_file; /* is_file: dev and ino are known */
    dev_t dev;
    ino_t ino;
};

struct uses {
    struct use list[USES_MAX];
    unsigned n;
};

static void add(struct uses *u, const char *what, const char *path, bool writes)
{
    struct stat st;
    if (!path || u->n == USES_MAX)
        return;
    bool exists = !stat(path, &st);
    if (exists && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISBLK(st.st_mode))
        return;
    if (!strncmp(path, "/dev/std", 8) || !strncmp(path, "/dev/fd/", 8) ||
        !strncmp(path, "/proc/", 6))
        return; /* a descriptor that is shared on purpose */
    struct use *use = &u->list[u->n++];
    *use = (struct use){.what = what, .path = path, .writes = writes, .is_file = exists};
    if (exists) {
        use->dev = st.st_dev;
        use->ino = st.st_ino;
    }
}

/* A backend of a port is a file, a socket, or something else that has no name of its own. */
static void add_backend(struct uses *u, const char *what, const char *backend)
{
    if (backend && !strncmp(backend, "file:", 5))
        add(u, what, backend + 5, true);
    else if (backend && !strncmp(backend, "socket:", 7))
        add(u, what, backend + 7, true);
}

static void add_all(struct uses *u, const struct config *cfg)
{
    add(u, "-kernel", cfg->kernel, false);
    add(u, "-initrd", cfg->initrd, false);
    add(u, "-symbols", cfg->symbols, false);
    for (unsigned i = 0; i < cfg->ndisks; i++) /* disks know each other: see devices/block */
        add(u, "a disk", cfg->disks[i].block.path, false);
    for (unsigned i = 0; i < CONFIG_MAX_SERIALS; i++)
        add_backend(u, "-serial", cfg->serials[i]);
    for (unsigned i = 0; i < cfg->nports; i++)
        add_backend(u, "a port", cfg->ports[i].backend);
    for (unsigned i = 0; i < cfg->nnics; i++)
        add(u, "pcap", cfg->nics[i].net.pcap, true);
    for (unsigned i = 0; i < cfg->ncontrols; i++)
        add(u, cfg->controls[i].kind == CONTROL_QMP ? "-qmp" : "-monitor", cfg->controls[i].path,
            true);
    add(u, "-gdb", cfg->gdb && !strncmp(cfg->gdb, "unix:", 5) ? cfg->gdb + 5 : NULL, true);
    add(u, "-vsock", cfg->vsock.path, true);
    add(u, "-pidfile", cfg->pidfile, true);
    add(u, "-result", cfg->result, true);
    add(u, "-junit", cfg->junit, true);
    add(u, "-exits", cfg->exits_file, true);
    add(u, "-D", cfg->log_file, true);
}

static bool same(const struct use *a, const struct use *b)
{
    if (a->is_file && b->is_file)
        return a->dev == b->dev && a->ino == b->ino;
    return !strcmp(a->path, b->path);
}

int config_check_files(const struct config *cfg, struct err *err)
{
    struct uses u = {.n = 0};
    add_all(&u, cfg);
    for (unsigned i = 0; i < u.n; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct use *a = &u.list[j], *b = &u.list[i];
            if ((a->writes || b->writes) && same(a, b))
                return err_set(err, EINVAL, "'%s' is given twice, for %s and for %s: one of them "
                                            "would destroy it",
                               OPT_QUOTE(b->path), a->what, b->what);
        }
    }
    return 0;
}
