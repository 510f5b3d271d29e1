// SPDX-License-Identifier: MIT
//
// The command line of `minivmm run` and `minivmm shell`: options, `--`, the command.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/run.h"

static int set_timeout(void *target, const char *value, struct err *err);
static int add_rw(void *target, const char *value, struct err *err);
static int add_env(void *target, const char *value, struct err *err);
static int set_exits(void *target, const char *value, struct err *err);
static int print_help(void *target, const char *value, struct err *err);
static int print_table(void *target, const char *value, struct err *err);

enum { GROUP_COMMAND, GROUP_MACHINE, GROUP_TELL };
static const char *const groups[] = {
    [GROUP_COMMAND] = "What the command finds",
    [GROUP_MACHINE] = "Machine",
    [GROUP_TELL] = "Results and help",
    NULL,
};

#define FIELD(member) offsetof(struct run_options, member)
static const struct opt_row rows[] = {
    {.name = "root", .metavar = "DIR", .group = GROUP_COMMAND, .kind = OPT_FILE,
     .offset = FIELD(root),
     .help = "Its root directory (default /). It is read-only for the guest; what the command "
             "writes goes to the guest's memory and is gone at the end."},
    {.name = "rw", .metavar = "DIR", .group = GROUP_COMMAND, .kind = OPT_CALL, .parse = add_rw,
     .help = "A directory below the root that the command writes to for good, at the same place; "
             "may be repeated."},
    {.name = "env", .metavar = "NAME[=VALUE]", .group = GROUP_COMMAND, .kind = OPT_CALL,
     .parse = add_env,
     .help = "A variable for its environment, with the value it has here unless one is given; may "
             "be repeated. Without it there are PATH, HOME, USER, LOGNAME, SHELL, TERM, COLORTERM, "
             "LANG, LANGUAGE, LC_*, TZ and PWD."},
    {.name = "net", .group = GROUP_COMMAND, .kind = OPT_FLAG, .offset = FIELD(net),
     .help = "A network (IPv4) to where this host can go, as of minivmm -nic user: the command is "
             "at 10.0.2.15, this host's 127.0.0.1 at 10.0.2.2."},

    {.name = "timeout", .metavar = "SECONDS", .group = GROUP_MACHINE, .kind = OPT_CALL,
     .parse = set_timeout, .help = "End with status 124 after so long (default: never)."},
    {.name = "memory", .metavar = "SIZE", .group = GROUP_MACHINE, .kind = OPT_TEXT,
     .offset = FIELD(memory), .help = "RAM, as for minivmm -m (default 1G)."},
    {.name = "cpus", .metavar = "N", .group = GROUP_MACHINE, .kind = OPT_TEXT,
     .offset = FIELD(cpus), .help = "CPUs, as for minivmm -smp (default 1)."},
    {.name = "kernel", .metavar = "FILE", .group = GROUP_MACHINE, .kind = OPT_FILE,
     .offset = FIELD(kernel),
     .help = "The kernel. Without it: $MINIVMM_KERNEL, the host's own in /boot, the newest in "
             "/boot that can be read, or the one that minivmm's tests fetched."},
    {.name = "modules", .metavar = "DIR", .group = GROUP_MACHINE, .kind = OPT_FILE,
     .offset = FIELD(modules), .help = "Where its modules are, as for minivmm -modules."},
    {.name = "append", .metavar = "TEXT", .group = GROUP_MACHINE, .kind = OPT_TEXT,
     .offset = FIELD(append), .help = "More parameters for the kernel."},
    {.name = "accel", .metavar = "NAME[:NAME]...", .group = GROUP_MACHINE, .kind = OPT_TEXT,
     .offset = FIELD(accel), .help = "The engine, as for minivmm -accel (default auto)."},

    {.name = "json", .metavar = "FILE", .group = GROUP_TELL, .kind = OPT_FILE,
     .offset = FIELD(json), .help = "Write how it went to a file, as one JSON object."},
    {.name = "exits", .metavar = "[=FILE.json|=FILE.html]", .optional = true, .group = GROUP_TELL,
     .kind = OPT_CALL, .parse = set_exits,
     .help = "Tell at the end for what the guest came to minivmm, as for minivmm -exits: on "
             "standard error or into a file."},
    {.name = "symbols", .metavar = "FILE", .group = GROUP_TELL, .kind = OPT_FILE,
     .offset = FIELD(symbols), .help = "With --exits: names for guest addresses, as for minivmm "
                                       "-symbols."},
    {.name = "verbose", .group = GROUP_TELL, .kind = OPT_FLAG, .offset = FIELD(verbose),
     .help = "Show the kernel's messages, and minivmm's own, on standard error."},
    {.name = "help", .group = GROUP_TELL, .kind = OPT_CALL, .parse = print_help,
     .help = "Print this list and stop, also as -h."},
    {.name = "h", .kind = OPT_CALL, .parse = print_help},
    {.name = "option-table", .metavar = "man", .kind = OPT_CALL, .parse = print_table},
    {0},
};
static const struct opt_table table = {.groups = groups, .rows = rows, .gnu = true};

static int print_help(void *target, const char *value, struct err *err)
{
    (void)target, (void)value, (void)err;
    printf("Usage: minivmm run [OPTION]... -- COMMAND [ARGUMENT]...\n"
           "       minivmm shell [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
           "Runs a command of this system in a virtual machine: run with its standard streams and\n"
           "its exit status, shell on this terminal.\n\n");
    opt_print_help(&table, stdout);
    return OPT_STOP;
}

/* For docs/update.sh. */
static int print_table(void *target, const char *value, struct err *err)
{
    (void)target, (void)value, (void)err;
    opt_print_man(&table, stdout);
    return OPT_STOP;
}

static int set_timeout(void *target, const char *value, struct err *err)
{
    uint64_t seconds;
    if (!opt_number(value, &seconds) || !seconds || seconds > UINT32_MAX)
        return err_set(err, EINVAL, "--timeout: '%s' is not a whole number of seconds, 1 or more",
                       OPT_QUOTE(value));
    ((struct run_options *)target)->timeout = value;
    return 0;
}

static int add_rw(void *target, const char *value, struct err *err)
{
    struct run_options *opt = target;
    if (!*value)
        return err_set(err, EINVAL, "--rw: the directory's name is empty");
    if (opt->nrw == RUN_MAX_RW)
        return err_set(err, EINVAL, "--rw: more than %d directories", RUN_MAX_RW);
    opt->rw[opt->nrw++] = value;
    return 0;
}

static int add_env(void *target, const char *value, struct err *err)
{
    struct run_options *opt = target;
    if (!*value || *value == '=')
        return err_set(err, EINVAL, "--env: '%s' has no name", OPT_QUOTE(value));
    if (opt->nenv == RUN_MAX_ENV)
        return err_set(err, EINVAL, "--env: more than %d variables", RUN_MAX_ENV);
    opt->env[opt->nenv++] = value;
    return 0;
}

static int set_exits(void *target, const char *value, struct err *err)
{
    struct run_options *opt = target;
    (void)err; /* minivmm's own option looks at the file's name */
    opt->wants_exits = true;
    opt->exits = value;
    return 0;
}

static const struct opt_row *find_row(const char *arg)
{
    const char *name = arg + 1 + (arg[1] == '-');
    for (const struct opt_row *row = rows; row->name; row++) {
        if (!strcmp(row->name, name))
            return row;
    }
    return NULL; /* --name=value is none either: it stands alone */
}

/* Where the options end: at "--", or at the first word that is none. */
static int find_command(int argc, char **argv)
{
    int i = 1;
    while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--")) {
        const struct opt_row *row = find_row(argv[i]);
        i += row && row->metavar && !row->optional ? 2 : 1;
    }
    return i < argc ? i : argc;
}

static void shell_command(struct run_options *opt)
{
    static char sh[] = "/bin/sh", *words[2];
    char *shell = getenv("SHELL");
    words[0] = shell && *shell == '/' ? shell : sh;
    opt->command = words;
}

int run_parse(struct run_options *opt, int argc, char **argv, struct err *err)
{
    int end = find_command(argc, argv);
    int rc = opt_parse(&table, opt, end, argv, err);
    if (rc)
        return rc;
    if (opt->json && opt->exits && !strcmp(opt->json, opt->exits))
        return err_set(err, EINVAL, "--json and --exits: both would write '%s'",
                       OPT_QUOTE(opt->json));
    if (end < argc && strcmp(argv[end], "--"))
        return err_set(err, EINVAL, "%s: '%s' is not an option; a command stands behind --, as in "
                                    "minivmm %s -- %s",
                       argv[0], OPT_QUOTE(argv[end]), argv[0],
                       OPT_QUOTE(argv[end]));
    if (end + 1 < argc) {
        opt->command = argv + end + 1;
        if (!*opt->command[0])
            return err_set(err, EINVAL, "%s: the command's name is empty", argv[0]);
        return 0;
    }
    if (!opt->shell)
        return err_set(err, EINVAL, "run: no command: minivmm run [OPTION]... -- COMMAND "
                                "[ARGUMENT]... (minivmm run --help lists the options)");
    shell_command(opt);
    return 0;
}
