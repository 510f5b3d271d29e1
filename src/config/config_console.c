// SPDX-License-Identifier: MIT
//
// Character devices on the command line: -serial, -chardev, -console, and the -device kinds of the
// virtio console. What a port is connected to is written down as chr_open takes it; nothing is
// opened here. A backend serves one port.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/config/config_parse.h"
#include "chr.h"
#include "util.h"

#define CHARDEV_PREFIX "chardev:"

/* --- -chardev --- */

struct chardev_words {
    const char *id, *path;
    unsigned in, out;
    bool server, wait;
};

#define FIELD(member) offsetof(struct chardev_words, member)
#define ID_ROW                                                                                     \
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = FIELD(id),                         \
     .help = "A name for -device and -serial; no two share one."}

static const struct opt_row plain_rows[] = {ID_ROW, {0}};
static const struct opt_row file_rows[] = {
    ID_ROW,
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = FIELD(path),
     .help = "The file that gets the output."},
    {0},
};
static const struct opt_row fd_rows[] = {
    ID_ROW,
    {.name = "in", .metavar = "N", .kind = OPT_NUMBER, .max = 0xfffff, .offset = FIELD(in),
     .help = "The descriptor to read; without it there is no input."},
    {.name = "out", .metavar = "N", .kind = OPT_NUMBER, .max = 0xfffff, .offset = FIELD(out),
     .help = "The descriptor to write, perhaps the same; without it output is dropped."},
    {0},
};
static const struct opt_row socket_rows[] = {
    ID_ROW,
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = FIELD(path),
     .help = "The socket's name."},
    {.name = "server", .kind = OPT_FLAG, .offset = FIELD(server),
     .help = "Listen there: must be on."},
    {.name = "wait", .kind = OPT_FLAG, .offset = FIELD(wait),
     .help = "Start the guest only when a client is there: must be off."},
    {0},
};

static const struct opt_keys stdio_keys = {
    .what = "stdio", .rows = plain_rows, .help = "This terminal; Ctrl-A x quits."};
static const struct opt_keys pty_keys = {
    .what = "pty", .rows = plain_rows, .help = "A new pseudo-terminal, whose name is printed."};
static const struct opt_keys null_keys = {
    .what = "null", .rows = plain_rows, .help = "Nothing: output is dropped, there is no input."};
static const struct opt_keys file_keys = {
    .what = "file", .rows = file_rows, .help = "A file that gets the output."};
static const struct opt_keys fd_keys = {
    .what = "fd", .rows = fd_rows, .help = "Descriptors that minivmm inherited."};
static const struct opt_keys socket_keys = {
    .what = "socket", .rows = socket_rows,
    .help = "A UNIX socket that one client at a time connects to; without one output is dropped."};
const struct opt_keys *const chardev_keys[] = {&stdio_keys, &pty_keys,    &null_keys, &file_keys,
                                               &fd_keys,    &socket_keys, NULL};

static int print_chardevs(void)
{
    printf("-chardev takes one of (NAME,help lists its keys):\n");
    for (const struct opt_keys *const *k = chardev_keys; *k; k++)
        printf("  %-8s %s\n", (*k)->what, (*k)->help);
    return OPT_STOP;
}

static const struct opt_keys *find_kind(const char *value, size_t len)
{
    for (const struct opt_keys *const *k = chardev_keys; *k; k++) {
        if (strlen((*k)->what) == len && !strncmp((*k)->what, value, len))
            return *k;
    }
    return NULL;
}

static int check_words(const struct opt_keys *kind, const struct chardev_words *w, struct err *err)
{
    if (!w->id || !*w->id)
        return err_set(err, EINVAL, "-chardev %s: no id=ID, so nothing can name it", kind->what);
    if ((kind == &file_keys || kind == &socket_keys) && !w->path)
        return err_set(err, EINVAL, "-chardev %s: no path=PATH", kind->what);
    if (kind == &socket_keys && (!w->server || w->wait))
        return err_set(err, EINVAL,
                       "-chardev socket: minivmm only listens, and waits for nobody: write "
                       "server=on,wait=off");
    if (kind == &fd_keys && w->in == UINT32_MAX && w->out == UINT32_MAX)
        return err_set(err, EINVAL, "-chardev fd: neither in=N nor out=N");
    return 0;
}

/* As chr_open takes it. */
static const char *backend_text(struct cmdline *cl, const struct opt_keys *kind,
                                const struct chardev_words *w, struct err *err)
{
    char text[4200];
    int n;
    if (kind == &fd_keys)
        n = snprintf(text, sizeof text, "fd:%d:%d", (int)w->in, (int)w->out);
    else if (w->path)
        n = snprintf(text, sizeof text, "%s:%s", kind->what, w->path);
    else
        return kind->what;
    if (n >= (int)sizeof text) {
        err_set(err, EINVAL, "-chardev %s: the path is too long", kind->what);
        return NULL;
    }
    return opt_pool_add(&cl->cfg.pool, text, (size_t)n, err);
}

static struct chardev *find_chardev(struct cmdline *cl, const char *id)
{
    for (unsigned i = 0; i < cl->nchardevs; i++) {
        if (!strcmp(cl->chardevs[i].id, id))
            return &cl->chardevs[i];
    }
    return NULL;
}

int config_add_chardev(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct chardev_words w = {.in = UINT32_MAX, .out = UINT32_MAX, .wait = true};
    if (!strcmp(value, "help"))
        return print_chardevs();
    size_t len = strcspn(value, ",");
    const struct opt_keys *kind = find_kind(value, len);
    if (!kind)
        return err_set(err, EINVAL,
                       "-chardev: unknown backend '%s' (known: stdio, pty, null, file, fd, socket)",
                       OPT_QUOTE(value));
    int rc = value[len] ? opt_parse_keys(kind, &w, value + len + 1, &cl->cfg.pool, err) : 0;
    if (!rc)
        rc = check_words(kind, &w, err);
    if (rc)
        return rc;
    if (find_chardev(cl, w.id))
        return err_set(err, EINVAL, "-chardev: two have the id '%s'", OPT_QUOTE(w.id));
    if (cl->nchardevs == ARRAY_LEN(cl->chardevs))
        return err_set(err, EINVAL, "-chardev: more than %zu", ARRAY_LEN(cl->chardevs));
    const char *backend = backend_text(cl, kind, &w, err);
    if (!backend)
        return err->msg[0] ? -EINVAL : -ENOMEM;
    cl->chardevs[cl->nchardevs++] = (struct chardev){w.id, backend, false};
    return 0;
}

/* The backend with this id, for one user. */
static int take_chardev(struct cmdline *cl, const char *user, const char *id, const char **backend,
                        struct err *err)
{
    struct chardev *c = find_chardev(cl, id);
    if (!c)
        return err_set(err, EINVAL, "%s: no -chardev has the id '%s'", user, OPT_QUOTE(id));
    if (c->used)
        return err_set(err, EINVAL, "%s: -chardev '%s' serves another port already", user,
                       OPT_QUOTE(id));
    c->used = true;
    *backend = c->backend;
    return 0;
}

/* --- -serial, -console --- */

/* What chr_open gets for a value of -serial or -console; "": nothing there; NULL: nobody knows it.
 */
static const char *simple_backend(const char *value)
{
    static const char *const known[][2] = {{"stdio", "stdio"}, {"mon:stdio", "stdio"},
                                           {"pty", "pty"},     {"null", "null"},
                                           {"none", ""}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!strcmp(value, known[i][0]))
            return known[i][1];
    }
    bool argument = (!strncmp(value, "file:", 5) && value[5]) ||
                    (!strncmp(value, CHARDEV_PREFIX, 8) && value[8]);
    return argument ? value : NULL;
}

static int print_backends(const char *option)
{
    printf("%s takes one of:\n"
           "  stdio       this terminal; Ctrl-A x quits (mon:stdio is the same)\n"
           "  file:PATH   a file that gets the output\n"
           "  pty         a new pseudo-terminal, whose name is printed\n"
           "  chardev:ID  what -chardev ...,id=ID describes\n"
           "  null        nothing: output is dropped, there is no input\n"
           "  none        the port is not there\n",
           option);
    return OPT_STOP;
}

static int unknown_backend(const char *option, const char *value, struct err *err)
{
    return err_set(err, EINVAL,
                   "%s: unknown value '%s' (known: "
                   "stdio|file:PATH|pty|chardev:ID|null|none)", option,
                   OPT_QUOTE(value));
}

int config_add_serial(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help"))
        return print_backends("-serial");
    const char *backend = simple_backend(value);
    if (!backend)
        return unknown_backend("-serial", value, err);
    if (cl->nserials == CONFIG_MAX_SERIALS)
        return err_set(err, EINVAL, "-serial: there are only %d serial ports", CONFIG_MAX_SERIALS);
    cl->cfg.serials[cl->nserials++] = *backend ? backend : NULL;
    return 0;
}

static int add_request(struct cmdline *cl, const struct port_request *req, struct err *err)
{
    if (cl->nports == CONFIG_MAX_PORTS)
        return err_set(err, EINVAL, "%s: more than %d ports", req->user, CONFIG_MAX_PORTS);
    cl->ports[cl->nports++] = *req;
    return 0;
}

int config_add_console(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (!strcmp(value, "help"))
        return print_backends("-console");
    const char *backend = simple_backend(value);
    if (!backend)
        return unknown_backend("-console", value, err);
    if (cl->console)
        return err_set(err, EINVAL, "-console: there can be only one (others are -device "
                                    "virtconsole)");
    if (!*backend)
        return 0;
    cl->console = true;
    const struct port_request req = {
        .user = "-console", .backend = backend, .port = {.terminal = true, .nr = 0}};
    return add_request(cl, &req, err);
}

/* --- -device --- */

struct serial_words {
    const char *id;
    unsigned max_ports;
};

static const struct opt_row serial_rows[] = {
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = offsetof(struct serial_words, id),
     .help = "A name; there is one such device, so nothing needs it."},
    {.name = "max_ports", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = CONFIG_MAX_PORTS,
     .offset = offsetof(struct serial_words, max_ports),
     .help = "Room for port numbers below this (default what is needed)."},
    {0},
};
static const struct opt_row port_rows[] = {
    {.name = "chardev", .metavar = "ID", .kind = OPT_TEXT,
     .offset = offsetof(struct port_request, chardev), .help = "What it is connected to."},
    {.name = "name", .metavar = "TEXT", .kind = OPT_TEXT, .max = 63,
     .offset = offsetof(struct port_request, port.name),
     .help = "Its name in the guest, as in /dev/virtio-ports/TEXT."},
    {.name = "nr", .metavar = "N", .kind = OPT_NUMBER, .max = CONFIG_MAX_PORTS - 1,
     .offset = offsetof(struct port_request, port.nr),
     .help = "Its number (default the first that is free; 0 is for a virtconsole)."},
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = offsetof(struct port_request, id),
     .help = "A name; nothing needs it."},
    {.name = "bus", .metavar = "ID", .kind = OPT_TEXT, .offset = offsetof(struct port_request, bus),
     .help = "Accepted: there is one virtio-serial device."},
    {0},
};
const struct opt_keys config_virtio_serial_pci = {
    .what = "virtio-serial-pci", .rows = serial_rows,
    .help = "What virtio ports are on, on PCI; also named virtio-serial. It comes by itself when "
            "there are ports."};
const struct opt_keys config_virtio_serial_mmio = {
    .what = "virtio-serial-device", .rows = serial_rows,
    .help = "What virtio ports are on, on virtio-mmio."};
const struct opt_keys config_virtconsole = {
    .what = "virtconsole", .rows = port_rows, .help = "A virtio terminal: /dev/hvc0 and so on."};
const struct opt_keys config_virtserialport = {
    .what = "virtserialport", .rows = port_rows,
    .help = "A virtio channel for bytes: /dev/virtio-ports/NAME, /dev/vport*pN."};

static int add_serial_device(struct cmdline *cl, const struct opt_keys *keys, enum virtio_bus bus,
                             const char *words, struct err *err)
{
    struct serial_words w = {0};
    int rc = words ? opt_parse_keys(keys, &w, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (cl->cfg.virtio_serial)
        return err_set(err, EINVAL, "-device %s: there can be only one", keys->what);
    cl->cfg.virtio_serial = true;
    cl->cfg.ports_bus = bus;
    cl->cfg.max_ports = w.max_ports;
    return 0;
}

int config_add_virtio_serial_pci(struct cmdline *cl, const char *words, struct err *err)
{
    return add_serial_device(cl, &config_virtio_serial_pci, VIRTIO_BUS_PCI, words, err);
}

int config_add_virtio_serial_mmio(struct cmdline *cl, const char *words, struct err *err)
{
    return add_serial_device(cl, &config_virtio_serial_mmio, VIRTIO_BUS_MMIO, words, err);
}

static int add_port_device(struct cmdline *cl, const struct opt_keys *keys, bool terminal,
                           const char *words, struct err *err)
{
    struct port_request req = {.user = terminal ? "-device virtconsole" : "-device virtserialport",
                               .port = {.terminal = terminal, .nr = PORT_NR_ANY}};
    int rc = words ? opt_parse_keys(keys, &req, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (!req.chardev)
        return err_set(err, EINVAL, "%s: no chardev=ID", req.user);
    return add_request(cl, &req, err);
}

int config_add_virtconsole(struct cmdline *cl, const char *words, struct err *err)
{
    return add_port_device(cl, &config_virtconsole, true, words, err);
}

int config_add_virtserialport(struct cmdline *cl, const char *words, struct err *err)
{
    return add_port_device(cl, &config_virtserialport, false, words, err);
}

/* --- putting it together --- */

static bool number_taken(const struct config *cfg, unsigned nr)
{
    for (unsigned i = 0; i < cfg->nports; i++) {
        if (cfg->ports[i].nr == nr)
            return true;
    }
    return false;
}

int config_add_port(struct config *cfg, const struct port_config *port, struct err *err)
{
    struct port_config p = *port;
    if (p.nr == PORT_NR_ANY) {
        p.nr = p.terminal ? 0 : 1;
        while (number_taken(cfg, p.nr))
            p.nr++;
    }
    if (p.nr >= CONFIG_MAX_PORTS || (cfg->max_ports && p.nr >= cfg->max_ports))
        return err_set(err, EINVAL, "virtio port %u: there is room for ports below %u", p.nr,
                       cfg->max_ports ? cfg->max_ports : CONFIG_MAX_PORTS);
    if (number_taken(cfg, p.nr))
        return err_set(err, EINVAL, "virtio port %u is asked for twice", p.nr);
    if (!p.nr && !p.terminal)
        return err_set(err, EINVAL, "virtio port 0 can only be a virtconsole");
    cfg->virtio_serial = true;
    cfg->ports[cfg->nports++] = p;
    return 0;
}

static int resolve_backend(struct cmdline *cl, const char *user, const char **backend,
                           struct err *err)
{
    if (!*backend || strncmp(*backend, CHARDEV_PREFIX, strlen(CHARDEV_PREFIX)))
        return 0;
    return take_chardev(cl, user, *backend + strlen(CHARDEV_PREFIX), backend, err);
}

/* Ports with a number of their own first, so that the others fill the gaps. */
static int resolve_ports(struct cmdline *cl, bool numbered, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < cl->nports && !rc; i++) {
        struct port_request *req = &cl->ports[i];
        if ((req->port.nr != PORT_NR_ANY) != numbered)
            continue;
        req->port.backend = req->backend;
        rc = req->chardev ? take_chardev(cl, req->user, req->chardev, &req->port.backend, err)
                          : resolve_backend(cl, req->user, &req->port.backend, err);
        if (!rc)
            rc = config_add_port(&cl->cfg, &req->port, err);
    }
    return rc;
}

static unsigned count_stdio(const struct config *cfg)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CONFIG_MAX_SERIALS; i++)
        n += cfg->serials[i] && !strcmp(cfg->serials[i], "stdio");
    for (unsigned i = 0; i < cfg->nports; i++)
        n += cfg->ports[i].backend && !strcmp(cfg->ports[i].backend, "stdio");
    return n;
}

bool config_has_stdio(const struct config *cfg)
{
    return count_stdio(cfg) > 0;
}

int config_resolve_console(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    int rc = 0;
    for (unsigned i = 0; i < cl->nserials && !rc; i++)
        rc = resolve_backend(cl, "-serial", &cfg->serials[i], err);
    if (!rc)
        rc = resolve_ports(cl, true, err);
    if (!rc)
        rc = resolve_ports(cl, false, err);
    for (unsigned i = 0; i < cl->nchardevs && !rc; i++) {
        if (!cl->chardevs[i].used)
            rc = err_set(err, EINVAL, "-chardev: nothing uses '%s'", OPT_QUOTE(cl->chardevs[i].id));
    }
    if (rc)
        return rc;
    unsigned stdio = count_stdio(cfg);
    if (stdio && cfg->monitor_stdio)
        return err_set(err, EINVAL, "-monitor stdio: a port has stdio already, where Ctrl-A c is "
                                    "the monitor");
    stdio += cfg->monitor_stdio;
    if (stdio > 1)
        return err_set(err, EINVAL, "two ports cannot both have stdio");
    if (!cl->nserials)
        cfg->serials[0] = stdio ? "null" : "stdio";
    return 0;
}
