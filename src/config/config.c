// SPDX-License-Identifier: MIT
//
// From the command line to the resolved configuration: the option rows, defaults, and the checks
// that need more than one option. Pure but for what help options print: no file is opened, no
// engine touched. See include/config.h.
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "src/config/config_net.h"
#include "src/config/config_parse.h"
#include "layout.h"
#include "log.h"
#include "stop.h"
#include "util.h"
#include "version.h"

#define RAM_DEFAULT MIB(512)

static int set_initrd(void *target, const char *value, struct err *err);
static int set_name(void *target, const char *value, struct err *err);
static int print_help(void *target, const char *value, struct err *err);
static int print_version(void *target, const char *value, struct err *err);
static int print_option_table(void *target, const char *value, struct err *err);
static int print_exit_table(void *target, const char *value, struct err *err);
static int print_completion(void *target, const char *value, struct err *err);

enum {
    GROUP_BOOT, GROUP_MACHINE, GROUP_DISKS, GROUP_NET, GROUP_CONSOLE, GROUP_CONTROL, GROUP_RUN,
    GROUP_TELL,
};
static const char *const groups[] = {
    [GROUP_BOOT] = "What to boot",
    [GROUP_MACHINE] = "Machine",
    [GROUP_DISKS] = "Disks and devices",
    [GROUP_NET] = "Network",
    [GROUP_CONSOLE] = "Console",
    [GROUP_CONTROL] = "Control",
    [GROUP_RUN] = "Running",
    [GROUP_TELL] = "Looking inside, and help",
    NULL,
};

const struct opt_choice config_unpack_modes[] = {
    [KERNEL_UNPACK_AUTO] = {"auto", "the guest itself on kvm, where that is fast and keeps "
                                     "KASLR; else the host if it can"},
    [KERNEL_UNPACK_HOST] = {"host", "minivmm, before the guest starts; there is no KASLR then"},
    [KERNEL_UNPACK_GUEST] = {"guest", "the kernel's own code"},
    {0},
};

#define FIELD(member) offsetof(struct cmdline, cfg.member)

static const char *const accel_words[] = {"auto", "kvm", "interp", "none", NULL};

static const struct opt_row rows[] = {
    {.name = "kernel", .metavar = "FILE", .group = GROUP_BOOT, .kind = OPT_FILE,
     .offset = FIELD(kernel), .help = "The kernel to boot."},
    {.name = "initrd", .metavar = "FILE|none", .group = GROUP_BOOT, .kind = OPT_CALL,
     .parse = set_initrd,
     .help = "The initial RAM disk. Without it, for a Linux kernel whose drivers for its root disk "
             "are modules, minivmm makes one; none: it does not, and looks for no root either."},
    {.name = "modules", .metavar = "DIR", .group = GROUP_BOOT, .kind = OPT_FILE,
     .offset = FIELD(modules),
     .help = "Where the kernel's modules are: what /lib/modules/RELEASE is, or a directory that "
             "holds RELEASE or lib/modules/RELEASE. Without it they are looked for in modules and "
             "lib/modules beside the kernel file (or what it is a link to) and beside its "
             "directory, and in /lib/modules."},
    {.name = "append", .metavar = "TEXT", .group = GROUP_BOOT, .kind = OPT_TEXT,
     .offset = FIELD(append),
     .help = "The kernel's command line. Without this option it is console=ttyS0. Where there are "
             "disks, no initrd and no root= here, the root is looked for (a partition of the type "
             "Linux root, the biggest other one with a file system of Linux, or the whole disk), "
             "and root= and rw (ro for a read-only disk) are added."},
    {.name = "kernel-unpack", .group = GROUP_BOOT, .kind = OPT_CHOICE,
     .choices = config_unpack_modes, .offset = FIELD(unpack),
     .help = "Who decompresses a bzImage (default auto)."},

    {.name = "m", .metavar = "[size=]SIZE", .group = GROUP_MACHINE, .kind = OPT_CALL,
     .parse = config_set_memory,
     .help = "RAM: MiB, or with K, M, G or T behind it; from 16M to 1T, rounded up to 4 KiB. "
             "Default 512M (QEMU's is 128M, too small for many kernels)."},
    {.name = "smp", .metavar = "[cpus=]N[,KEY=N]...", .group = GROUP_MACHINE, .kind = OPT_CALL,
     .parse = config_set_smp, .keys = smp_keys, .help = "CPUs, from 1 to 255 (default 1)."},
    {.name = "accel", .metavar = "NAME[:NAME]...[,probe=off]", .group = GROUP_MACHINE,
     .kind = OPT_CALL, .parse = config_set_accel, .words = accel_words, .keys = accel_keys,
     .help = "The engine that runs the CPUs; of several, also by repeating the option, the first "
             "that works. auto (the default) takes kvm where it works right and fast, else interp, "
             "and says so; minivmm probe shows what was measured. kvm needs /dev/kvm and never "
             "gives way to another engine; interp works anywhere; none has no CPU at all and is "
             "for tests of devices; lockstep=interp,kvm compares two."},
    {.name = "icount", .metavar = "[shift=]N[,KEY=VALUE]...", .group = GROUP_MACHINE,
     .kind = OPT_CALL,
     .parse = config_set_icount, .keys = icount_keys,
     .help = "Guest time counts executed instructions instead of following the host's clock: each "
             "is 2^N nanoseconds, N from 0 to 10. Equal command lines and disks then give equal "
             "runs, as long as no input comes from outside. While all CPUs wait, time jumps to the "
             "next timer. The date starts at 2024-01-01 00:00 UTC. With software engines only; -d "
             "icount prints the count at the end."},
    {.name = "enable-kvm", .group = GROUP_MACHINE, .kind = OPT_CALL, .parse = config_enable_kvm,
     .help = "The same as -accel kvm."},
    {.name = "cpu", .metavar = "MODEL[,+F][,-F]...", .group = GROUP_MACHINE, .kind = OPT_CALL,
     .parse = config_set_cpu,
     .help = "The processor that the guest sees, and features to add or leave out; -cpu help lists "
             "both. max (the default) is all that the engine can offer; host the same, and an "
             "error with an engine that does not run on the host's CPU; x86-64-v1, -v2 and -v3 are "
             "the same on every engine and host, or an error."},
    {.name = "machine", .metavar = "[type=]TYPE[,accel=NAME[:NAME]...]", .group = GROUP_MACHINE,
     .kind = OPT_CALL, .parse = config_set_machine, .keys = machine_keys,
     .help = "The board, also as -M."},
    {.name = "M", .metavar = "TYPE", .kind = OPT_CALL, .parse = config_set_machine},

    {.name = "disk", .metavar = "PATH[,KEY[=VALUE]]...", .group = GROUP_DISKS, .kind = OPT_CALL,
     .parse = config_add_disk, .keys = disk_keys,
     .help = "A raw image as a virtio disk; may be repeated. The first is /dev/vda. In a path, "
             "',,' is a comma."},
    {.name = "drive", .metavar = "file=PATH[,KEY[=VALUE]]...", .group = GROUP_DISKS,
     .kind = OPT_CALL, .parse = config_add_drive, .keys = drive_keys,
     .help = "The same in QEMU's words; may be repeated."},
    {.name = "device", .metavar = "NAME[,KEY[=VALUE]]...", .group = GROUP_DISKS, .kind = OPT_CALL,
     .parse = config_add_device, .keys = device_keys,
     .help = "Add a device; may be repeated. NAME,help lists its keys."},
    {.name = "snapshot", .group = GROUP_DISKS, .kind = OPT_FLAG, .offset = FIELD(snapshot),
     .help = "Throw away what is written to disks: snapshot for all of them."},
    {.name = "share", .metavar = "DIR[,KEY[=VALUE]]...", .group = GROUP_DISKS, .kind = OPT_CALL,
     .parse = config_add_share, .keys = share_keys,
     .help = "A host directory for the guest, by virtio-fs; may be repeated. There: mount -t "
             "virtiofs share /mnt."},

    {.name = "vsock", .metavar = "PATH[,KEY=VALUE]...", .group = GROUP_DISKS, .kind = OPT_CALL,
     .parse = config_set_vsock, .keys = vsock_keys,
     .help = "Virtio sockets through UNIX sockets of the host. A host program connects to PATH, "
             "says CONNECT PORT and a newline, and reads OK; a guest that connects to CID 2, port "
             "P, reaches whoever listens on PATH_P."},

    {.name = "nic", .metavar = "KIND[,KEY[=VALUE]]...", .group = GROUP_NET, .kind = OPT_CALL,
     .parse = config_add_nic, .keys = nic_keys,
     .help = "A virtio network interface; may be repeated. KIND is user, tap, socket, stream or "
             "none, and KIND,help lists its keys. Without any of -nic and -netdev there is one of "
             "kind user: the guest is 10.0.2.15 by DHCP, the host 10.0.2.2, the name server "
             "10.0.2.3. -nic none leaves it out."},
    {.name = "netdev", .metavar = "KIND,id=ID[,KEY[=VALUE]]...", .group = GROUP_NET,
     .kind = OPT_CALL, .parse = config_add_netdev,
     .help = "The same in two halves, as QEMU has it: -device virtio-net-pci,netdev=ID is the "
             "other."},

    {.name = "serial", .metavar = "stdio|file:PATH|pty|chardev:ID|null|none",
     .group = GROUP_CONSOLE, .kind = OPT_CALL, .parse = config_add_serial,
     .help = "Where the first serial port (COM1, ttyS0) goes; given again, the second (COM2, "
             "ttyS1). stdio is the terminal, where Ctrl-A x quits (mon:stdio is the same); null "
             "swallows everything; none leaves the port out. Default: stdio, unless another port "
             "has that, and no second port."},
    {.name = "console", .metavar = "stdio|file:PATH|pty|chardev:ID|null", .group = GROUP_CONSOLE,
     .kind = OPT_CALL, .parse = config_add_console,
     .help = "A virtio terminal, hvc0, and where it goes. Faster than a serial port, but the "
             "kernel speaks there only when its driver has come."},
    {.name = "chardev", .metavar = "BACKEND,id=ID[,KEY=VALUE]...", .group = GROUP_CONSOLE,
     .kind = OPT_CALL, .parse = config_add_chardev, .keys = chardev_keys,
     .help = "Something that a port can be connected to: -device virtconsole,chardev=ID, -device "
             "virtserialport,chardev=ID, -serial chardev:ID."},
    {.name = "nographic", .group = GROUP_CONSOLE, .kind = OPT_ACCEPTED,
     .help = "Accepted and always so: there is no display. The same are -display none and -vga "
             "none."},
    {.name = "display", .metavar = "none", .kind = OPT_CALL, .parse = config_accept_no_display},
    {.name = "vga", .metavar = "none", .kind = OPT_CALL, .parse = config_accept_no_display},

    {.name = "qmp", .metavar = "unix:PATH|none", .group = GROUP_CONTROL, .kind = OPT_CALL,
     .parse = config_add_qmp,
     .keys = qmp_keys,
     .help = "Listen on a UNIX socket for programs that look into the machine and steer it, in "
             "QEMU's protocol: minivmm-qmp(7); may be repeated. From a shell: minivmm ctl PATH "
             "COMMAND [KEY=VALUE]..."},
    {.name = "monitor", .metavar = "stdio|unix:PATH|none", .group = GROUP_CONTROL, .kind = OPT_CALL,
     .parse = config_add_monitor, .keys = monitor_keys,
     .help = "The same for people: help lists its commands. Where the guest's console is on the "
             "terminal, Ctrl-A c switches to it and back without this option."},

    {.name = "no-reboot", .group = GROUP_RUN, .kind = OPT_FLAG, .offset = FIELD(no_reboot),
     .help = "End when the guest resets the machine, instead of starting it again."},
    {.name = "action", .metavar = "EVENT=ACTION[,EVENT=ACTION]...", .group = GROUP_RUN,
     .kind = OPT_CALL, .parse = config_set_action, .keys = action_keys,
     .help = "What to do when something happens to the guest."},
    {.name = "watchdog-action", .group = GROUP_RUN, .kind = OPT_CHOICE,
     .choices = config_watchdog_actions, .offset = FIELD(watchdog_action),
     .help = "The same as -action watchdog=."},
    {.name = "timeout", .metavar = "SECONDS", .group = GROUP_RUN, .kind = OPT_NUMBER,
     .max = UINT32_MAX, .offset = FIELD(timeout_s),
     .help = "End with status 124 after so long (default 0: never)."},
    {.name = "result", .metavar = "FILE", .group = GROUP_RUN, .kind = OPT_FILE,
     .offset = FIELD(result),
     .help = "Write how the run ended to a JSON file: cause, status, times, counters, last lines."},
    {.name = "junit", .metavar = "FILE[,pass=STATUS]", .group = GROUP_RUN, .kind = OPT_CALL,
     .parse = config_set_junit, .keys = junit_keys, .help = "The same as a JUnit test report."},
    {.name = "pidfile", .metavar = "FILE", .group = GROUP_RUN, .kind = OPT_FILE,
     .offset = FIELD(pidfile), .help = "Write the process id to a file."},
    {.name = "name", .metavar = "[guest=]TEXT", .group = GROUP_RUN, .kind = OPT_CALL,
     .parse = set_name,
     .help = "A name for the guest; the process shows it as its own in ps and top."},

    {.name = "gdb", .metavar = "unix:PATH|tcp:[HOST]:PORT", .group = GROUP_TELL, .kind = OPT_CALL,
     .parse = config_set_gdb,
     .help = "Listen for gdb there (target remote PATH, or HOST:PORT); without HOST for clients on "
             "this host only. The guest runs until gdb connects."},
    {.name = "s", .group = GROUP_TELL, .kind = OPT_CALL, .parse = config_set_gdb_port,
     .help = "The same as -gdb tcp::1234."},
    {.name = "S", .group = GROUP_TELL, .kind = OPT_FLAG, .offset = FIELD(start_stopped),
     .help = "Do not run the guest until gdb, QMP (cont) or the monitor (cont) says so."},

    {.name = "exits", .metavar = "[=FILE.json|=FILE.html]", .optional = true, .group = GROUP_TELL,
     .kind = OPT_CALL,
     .parse = config_set_exits,
     .help = "Tell at the end for what the guest left the engine and came to minivmm: reasons, "
             "devices, guest addresses, how often, how long it took here, and when. As text, or "
             "into a file for programs or for a browser."},
    {.name = "symbols", .metavar = "FILE", .group = GROUP_TELL, .kind = OPT_FILE,
     .offset = FIELD(symbols),
     .help = "With -exits: names for the addresses, from the kernel's vmlinux, or from a "
             "System.map or /proc/kallsyms."},

    {.name = "d", .metavar = "TOPIC[,TOPIC]...", .group = GROUP_TELL, .kind = OPT_CALL,
     .parse = config_set_log, .words = log_topic_names,
     .help = "Log these topics; -d help lists them. -d none: not even the engine that was chosen."},
    {.name = "D", .metavar = "FILE", .group = GROUP_TELL, .kind = OPT_FILE,
     .offset = FIELD(log_file), .help = "Log to a file instead of standard error."},
    {.name = "n", .group = GROUP_TELL, .kind = OPT_FLAG, .offset = offsetof(struct cmdline, print),
     .help = "Print the resolved configuration and stop."},
    {.name = "h", .group = GROUP_TELL, .kind = OPT_CALL, .parse = print_help,
     .help = "Print this list and stop, also as -help. As a value, help lists what may stand "
             "there."},
    {.name = "help", .kind = OPT_CALL, .parse = print_help},
    {.name = "version", .group = GROUP_TELL, .kind = OPT_CALL, .parse = print_version,
     .help = "Print the version and stop."},
    {.name = "completion", .metavar = "bash|zsh", .kind = OPT_CALL, .parse = print_completion},
    {.name = "exit-table", .metavar = "man|markdown", .kind = OPT_CALL, .parse = print_exit_table},
    {.name = "option-table", .metavar = "man|markdown", .kind = OPT_CALL,
     .parse = print_option_table},
    {.name = "qmp-table", .metavar = "man", .kind = OPT_CALL, .parse = config_print_qmp_table},
    {0},
};
static const struct opt_table table = {.groups = groups, .rows = rows, .foreign = config_foreign};

static int print_help(void *target, const char *value, struct err *err)
{
    (void)target, (void)value, (void)err;
    printf("Usage: minivmm -kernel FILE [OPTION]...\n"
           "       minivmm run [OPTION]... -- COMMAND [ARGUMENT]...\n"
           "       minivmm shell [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
           "       minivmm probe [--json]\n"
           "       minivmm ctl PATH COMMAND [KEY=VALUE]...\n"
           "Boots a kernel in a virtual machine, with its console on this terminal.\n\n");
    opt_print_help(&table, stdout);
    return OPT_STOP;
}

static int print_version(void *target, const char *value, struct err *err)
{
    (void)target, (void)value, (void)err;
    printf("minivmm " MINIVMM_VERSION "\nMIT licence; comes without warranty.\n");
    return OPT_STOP;
}

/* For docs/update.sh. */
static int print_option_table(void *target, const char *value, struct err *err)
{
    (void)target;
    if (!strcmp(value, "man"))
        opt_print_man(&table, stdout);
    else if (!strcmp(value, "markdown"))
        opt_print_markdown(&table, stdout);
    else
        return err_set(err, EINVAL, "-option-table: unknown value '%s' (known: man|markdown)",
                       OPT_QUOTE(value));
    return OPT_STOP;
}

static int set_initrd(void *target, const char *value, struct err *err)
{
    struct config *cfg = &((struct cmdline *)target)->cfg;
    if (!*value)
        return err_set(err, EINVAL, "-initrd: the file name is empty");
    cfg->no_initrd = !strcmp(value, "none");
    cfg->initrd = cfg->no_initrd ? NULL : value;
    return 0;
}

/* What may stand in place of the first option. */
static const char *const verbs[] = {"probe", "run", "shell", "ctl", NULL};

static int print_completion(void *target, const char *value, struct err *err)
{
    (void)target;
    if (opt_print_completion(&table, verbs, value, stdout))
        return OPT_STOP;
    return err_set(err, EINVAL, "-completion: unknown value '%s' (known: bash|zsh)",
                   OPT_QUOTE(value));
}

static int print_exit_table(void *target, const char *value, struct err *err)
{
    (void)target;
    if (stop_print_table(value, stdout))
        return OPT_STOP;
    return err_set(err, EINVAL, "-exit-table: unknown value '%s' (known: man|markdown)",
                   OPT_QUOTE(value));
}

static const struct opt_row name_rows[] = {
    {.name = "guest", .metavar = "TEXT", .kind = OPT_TEXT, .offset = FIELD(name),
     .help = "The name."},
    {0},
};

static int set_name(void *target, const char *value, struct err *err)
{
    static const struct opt_keys keys = {.what = "-name", .rows = name_rows, .first = "guest"};
    struct cmdline *cl = target;
    return opt_parse_keys(&keys, cl, value, &cl->cfg.pool, err);
}

/* The command line of a kernel that was given none. */
static int default_append(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    /* A serial port that leads nowhere only because the terminal has stdio is no console. */
    bool serial =
        cfg->serials[0] && (cl->nserials || !cl->console || strcmp(cfg->serials[0], "null"));
    const char *words[] = {
        serial ? "console=ttyS0" : "",
        cl->console ? "console=hvc0" : "",
        !cfg->ndisks || cfg->initrd          ? ""
        : cfg->disks[0].block.read_only ? "root=/dev/vda ro"
                                             : "root=/dev/vda rw",
    };
    char text[96] = "";
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n && *words[i] ? " " : "",
                              words[i]);
    cfg->append = opt_pool_add(&cfg->pool, text, n, err);
    return cfg->append ? 0 : -ENOMEM;
}

static int check_mmio_slots(const struct config *cfg, struct err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < cfg->ndisks; i++)
        n += cfg->disks[i].bus == VIRTIO_BUS_MMIO;
    for (unsigned i = 0; i < cfg->nnics; i++)
        n += cfg->nics[i].bus == VIRTIO_BUS_MMIO;
    for (unsigned i = 0; i < cfg->nshares; i++)
        n += cfg->shares[i].bus == VIRTIO_BUS_MMIO;
    n += cfg->rng && cfg->rng_bus == VIRTIO_BUS_MMIO;
    n += cfg->balloon.there && cfg->balloon.bus == VIRTIO_BUS_MMIO;
    n += cfg->vsock.path && cfg->vsock.bus == VIRTIO_BUS_MMIO;
    n += cfg->virtio_serial && cfg->ports_bus == VIRTIO_BUS_MMIO;
    if (n <= VIRTIO_MMIO_SLOTS)
        return 0;
    return err_set(err, EINVAL, "%u devices on virtio-mmio: there is room for %d (others fit pci)",
                   n,
                   VIRTIO_MMIO_SLOTS);
}

/* After -S. On a terminal the monitor is behind Ctrl-A c. */
static bool can_let_go(const struct config *cfg)
{
    return cfg->gdb || cfg->ncontrols || cfg->monitor_stdio ||
           (config_has_stdio(cfg) && isatty(STDIN_FILENO));
}

/* Defaults, and what only the whole command line can tell. */
static int resolve(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    if (!cfg->kernel && (cfg->append || cfg->initrd))
        return err_set(err, EINVAL, "%s without -kernel: there is no kernel that could use it",
                       cfg->append ? "-append" : "-initrd");
    if (!cfg->kernel)
        return err_set(err, EINVAL, "nothing to boot: give a kernel with -kernel FILE (minivmm -h "
                                    "lists all options)");
    if (cfg->lockstep.leader && cfg->naccels > 1)
        return err_set(err, EINVAL, "-accel lockstep: it is the one engine or none; take the other "
                                    "-accel away");
    if (cfg->symbols && !cfg->exits)
        return err_set(err, EINVAL, "-symbols without -exits: nothing would be named");
    if (!cfg->naccels)
        cfg->accels[cfg->naccels++] = "auto";
    int rc = config_resolve_icount(cfg, err);
    if (!rc)
        rc = config_resolve_disks(cl, err);
    if (!rc)
        rc = config_resolve_nics(cl, err);
    if (!rc)
        rc = config_resolve_console(cl, err);
    if (!rc && cfg->start_stopped && !can_let_go(cfg))
        return err_set(err, EINVAL, "-S without -gdb, -s, -qmp, -monitor or a console on a "
                                    "terminal: nobody could let the guest go");
    if (!rc)
        rc = config_resolve_shares(cl, err);
    if (!rc)
        rc = config_resolve_balloon(cfg, err);
    if (!rc)
        rc = check_mmio_slots(cfg, err);
    cfg->append_default = !cfg->append;
    if (!rc && cfg->append_default)
        rc = default_append(cl, err);
    return rc;
}

int config_parse(struct config *cfg, int argc, char **argv, enum config_outcome *outcome,
                 struct err *err)
{
    struct cmdline cl = {
        .cfg = {.ram_size = RAM_DEFAULT, .smp = 1, .accel_probe = true, .pvpanic = true}};
    *outcome = CONFIG_STOP;
    int rc = opt_parse(&table, &cl, argc, argv, err);
    if (!rc)
        rc = resolve(&cl, err);
    if (!rc && cl.print)
        config_print(&cl.cfg, stdout);
    else if (!rc)
        *outcome = CONFIG_RUN;
    if (rc)
        config_free(&cl.cfg);
    *cfg = cl.cfg;
    return rc < 0 ? rc : 0;
}

void config_free(struct config *cfg)
{
    opt_pool_free(&cfg->pool);
    *cfg = (struct config){0};
}
