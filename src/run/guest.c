// SPDX-License-Identifier: MIT
//
// What minivmm run makes of its options before the machine runs: paths checked, the command looked
// up, the initramfs with the words for the guest, and the configuration of the machine.
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "loader/initramfs.h"
#include "loader/modules.h"
#include "src/vm/auto_boot.h"
#include "src/run/run.h"
#include "util.h"

static const char *keep(struct run *run, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Text that lives as long as the run; NULL when out of memory. */
static const char *keep(struct run *run, struct err *err, const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        err_set(err, ENOMEM, "out of memory for the command line");
        return NULL;
    }
    const char *kept = opt_pool_add(&run->pool, text, (size_t)n, err);
    free(text);
    return kept;
}

/* --- paths --- */

/* A path in the guest: what follows the root's own; NULL: it is outside. */
static const char *below_root(const struct run *run, const char *path)
{
    size_t len = strlen(run->root);
    if (len == 1)
        return path;
    if (strncmp(path, run->root, len) || (path[len] && path[len] != '/'))
        return NULL;
    return path[len] ? path + len : "/";
}

static int find_root(struct run *run, struct err *err)
{
    struct stat st;
    char root[PATH_MAX];
    const char *given = run->opt.root ? run->opt.root : "/";
    if (!realpath(given, root) || stat(root, &st))
        return err_set_errno(err, errno, "--root: open '%s'", given);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ENOTDIR, "--root: '%s' is not a directory", given);
    memcpy(run->root, root, strlen(root) + 1);
    if (!getcwd(run->cwd, sizeof run->cwd) || !below_root(run, run->cwd))
        strcpy(run->cwd, run->root);
    return 0;
}

static int find_writable(struct run *run, struct err *err)
{
    for (unsigned i = 0; i < run->opt.nrw; i++) {
        struct stat st;
        char path[PATH_MAX];
        const char *given = run->opt.rw[i];
        if (!realpath(given, path) || stat(path, &st))
            return err_set_errno(err, errno, "--rw: open '%s'", given);
        if (!S_ISDIR(st.st_mode))
            return err_set(err, ENOTDIR, "--rw: '%s' is not a directory", given);
        const char *below = below_root(run, path);
        if (!below || !strcmp(below, "/"))
            return err_set(err, EINVAL, "--rw: '%s' is not below the root '%s'", given, run->root);
        if (access(path, W_OK))
            return err_set_errno(err, errno, "--rw: '%s' cannot be written to", given);
        run->opt.rw[i] = keep(run, err, "%s", path);
        if (!run->opt.rw[i])
            return -ENOMEM;
    }
    return 0;
}

/* --- the environment --- */

static const char *const usual_env[] = {
    "PATH=", "HOME=",      "USER=", "LOGNAME=",  "SHELL=", "TERM=",
    "COLORTERM=", "LANG=", "LANGUAGE=", "LC_", "TZ=",    "PWD=",
};

static bool is_usual(const char *variable)
{
    for (size_t i = 0; i < ARRAY_LEN(usual_env); i++) {
        if (!strncmp(variable, usual_env[i], strlen(usual_env[i])))
            return true;
    }
    return false;
}

static bool is_given(const struct run *run, const char *variable)
{
    size_t len = strcspn(variable, "=");
    for (unsigned i = 0; i < run->opt.nenv; i++) {
        if (!strncmp(run->opt.env[i], variable, len) &&
            (!run->opt.env[i][len] || run->opt.env[i][len] == '='))
            return true;
    }
    return false;
}

static const char *path_variable(const struct run *run)
{
    for (unsigned i = 0; i < run->opt.nenv; i++) {
        if (!strncmp(run->opt.env[i], "PATH=", 5))
            return run->opt.env[i] + 5;
    }
    const char *path = getenv("PATH");
    return path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static void add_env(const struct run *run, struct init_words *words)
{
    for (char **variable = environ; *variable; variable++) {
        if (is_usual(*variable) && !is_given(run, *variable))
            init_words_add(words, "env", *variable);
    }
    for (unsigned i = 0; i < run->opt.nenv; i++) {
        const char *given = run->opt.env[i];
        if (strchr(given, '=')) {
            init_words_add(words, "env", given);
            continue;
        }
        size_t len = strlen(given);
        for (char **variable = environ; *variable; variable++) {
            if (!strncmp(*variable, given, len) && (*variable)[len] == '=')
                init_words_add(words, "env", *variable);
        }
    }
}

/* --- the command --- */

/* 0, or the exit status that a shell gives for such a file. */
static int judge_file(const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return errno == EACCES ? RUN_STATUS_NOT_EXECUTABLE : RUN_STATUS_NOT_FOUND;
    /* everybody's x will do: in the guest the command is root's */
    return S_ISREG(st.st_mode) && st.st_mode & 0111 ? 0 : RUN_STATUS_NOT_EXECUTABLE;
}

/* On the host's own root it can be seen at once whether there is such a command. */
static int look_up_command(struct run *run, struct err *err)
{
    const char *name = run->opt.command[0];
    int status = RUN_STATUS_NOT_FOUND;
    if (strcmp(run->root, "/"))
        return 0;
    if (strchr(name, '/')) {
        status = judge_file(name);
    } else {
        for (const char *dirs = path_variable(run); status && dirs;) {
            char path[PATH_MAX];
            int len = (int)strcspn(dirs, ":");
            int n = snprintf(path, sizeof path, "%.*s/%s", len ? len : 1, len ? dirs : ".", name);
            int one = n > 0 && (size_t)n < sizeof path ? judge_file(path) : status;
            if (one != RUN_STATUS_NOT_FOUND)
                status = one;
            dirs = dirs[len] ? dirs + len + 1 : NULL;
        }
    }
    if (status)
        err_set(err, ENOENT, "%s: %s", OPT_QUOTE(name),
                status == RUN_STATUS_NOT_FOUND ? "command not found" : "cannot be executed");
    return status;
}

/* --- the initramfs --- */

static void add_terminal(struct init_words *words)
{
    struct winsize size;
    char number[16];
    init_words_add(words, "tty", "1");
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
        return;
    snprintf(number, sizeof number, "%u", size.ws_row);
    init_words_add(words, "rows", number);
    snprintf(number, sizeof number, "%u", size.ws_col);
    init_words_add(words, "columns", number);
}

static void add_words(struct run *run, struct init_words *words)
{
    struct utsname uts;
    init_words_add(words, "mode", "run");
    init_words_add(words, "cwd", below_root(run, run->cwd));
    if (!uname(&uts))
        init_words_add(words, "hostname", uts.nodename);
    for (unsigned i = 0; i < run->opt.nrw; i++) {
        char word[PATH_MAX + 16];
        snprintf(word, sizeof word, "rw%u:%s", i, below_root(run, run->opt.rw[i]));
        init_words_add(words, "rw", word);
    }
    if (run->opt.net)
        init_words_add(words, "net", "1");
    if (run->opt.shell)
        add_terminal(words);
    add_env(run, words);
    for (char **arg = run->opt.command; *arg; arg++)
        init_words_add(words, "arg", *arg);
}

static int make_initramfs(struct run *run, struct err *err)
{
    static const struct driver_need needs[] = {
        {"virtio_pci", "virtio-pci", "minivmm run"},
        {"virtio_console", "virtio_console", "minivmm run"},
        {"virtiofs", "virtiofs", "minivmm run"},
        {"overlay", "overlayfs: ", "minivmm run"},
        {"virtio_net", "virtio/net:online", "--net"}, /* the last, see below */
    };
    unsigned n = ARRAY_LEN(needs) - !run->opt.net;
    struct init_words words = {0};
    struct module_set *set = calloc(1, sizeof *set);
    if (!set)
        return err_set(err, ENOMEM, "out of memory for kernel modules");
    int rc = drivers_collect(set, &run->cfg, run->release, needs, n, "give --modules DIR", err);
    if (!rc) {
        add_words(run, &words);
        if (words.failed)
            rc = err_set(err, E2BIG, "the command and its environment are longer than %u KiB",
                         INIT_WORDS_MAX >> 10);
    }
    if (!rc)
        rc = initramfs_make(&run->initramfs, set, &words, err);
    init_words_free(&words);
    module_set_free(set);
    free(set);
    return rc;
}

/* --- the machine --- */

static struct chr *open_stdin(void *self, const struct chr_env *env, struct err *err)
{
    struct run *run = self;
    return run_stream_open(&run->in, "standard input", STDIN_FILENO, false, env, err);
}

static struct chr *open_stdout(void *self, const struct chr_env *env, struct err *err)
{
    struct run *run = self;
    return run_stream_open(&run->out, "standard output", STDOUT_FILENO, true, env, err);
}

static struct chr *open_stderr(void *self, const struct chr_env *env, struct err *err)
{
    struct run *run = self;
    return run_stream_open(&run->err, "standard error", STDERR_FILENO, true, env, err);
}

static struct chr *open_control(void *self, const struct chr_env *env, struct err *err)
{
    struct run *run = self;
    run->stop = env->stop;
    return run_control_open(run, env, err);
}

static struct chr *open_com1(void *self, const struct chr_env *env, struct err *err)
{
    return run_console_open(self, env, err);
}

static void resized(void *self)
{
    run_control_resized(self);
}

static int add_ports(struct run *run, struct err *err)
{
    /* numbers are the guest's: guest-images/init/run.c */
    const struct port_config ports[] = {
        {.nr = 1, .name = "minivmm.stdin", .open = open_stdin, .self = run},
        {.nr = 2, .name = "minivmm.stdout", .open = open_stdout, .self = run},
        {.nr = 3, .name = "minivmm.stderr", .open = open_stderr, .self = run},
        {.nr = 4, .name = "minivmm.control", .open = open_control, .self = run},
    };
    int rc = 0;
    run->in.run = run->out.run = run->err.run = run;
    for (size_t i = 0; i < ARRAY_LEN(ports) && !rc; i++)
        rc = config_add_port(&run->cfg, &ports[i], err);
    run->hooks = (struct config_hooks){
        .open_com1 = open_com1, .resized = resized, .self = run, .two_dashes = true};
    run->cfg.hooks = &run->hooks;
    return rc;
}

/* A path for -share, where a comma is written twice. */
static const char *share_text(struct run *run, const char *path, const char *rest, struct err *err)
{
    char text[2 * PATH_MAX + 64];
    size_t n = 0;
    for (; *path; path++) {
        text[n++] = *path;
        if (*path == ',')
            text[n++] = ',';
    }
    snprintf(text + n, sizeof text - n, "%s", rest);
    return keep(run, err, "%s", text);
}

struct args {
    char *argv[64];
    int argc;
};

static void add_arg(struct args *args, const char *name, const char *value)
{
    args->argv[args->argc++] = (char *)(uintptr_t)name;
    if (value)
        args->argv[args->argc++] = (char *)(uintptr_t)value;
}

/* As a command line, so that there is one place that knows what options mean. */
static int make_config(struct run *run, struct err *err)
{
    const struct run_options *opt = &run->opt;
    struct args args = {0};
    enum config_outcome outcome;
    /* self-tests of ciphers take a second on a software engine */
    const char *append = keep(run, err, "console=ttyS0 panic=-1 cryptomgr.notests=1%s%s%s",
                              opt->verbose ? "" : " quiet loglevel=4", opt->append ? " " : "",
                              opt->append ? opt->append : "");
    const char *root = share_text(run, run->root, ",tag=root,ro", err);
    const char *exits = opt->exits ? keep(run, err, "-exits=%s", opt->exits) : "-exits";
    if (!append || !root || !exits)
        return -ENOMEM;
    add_arg(&args, "minivmm", NULL);
    add_arg(&args, "-kernel", run->kernel);
    add_arg(&args, "-append", append);
    add_arg(&args, "-serial", "null");
    add_arg(&args, "-no-reboot", NULL);
    add_arg(&args, "-nic", opt->net ? "user,ipv6=off" : "none");
    add_arg(&args, "-m", opt->memory ? opt->memory : "1G");
    add_arg(&args, "-smp", opt->cpus ? opt->cpus : "1");
    add_arg(&args, "-share", root);
    if (!opt->verbose)
        add_arg(&args, "-d", "none");
    if (opt->modules)
        add_arg(&args, "-modules", opt->modules);
    if (opt->accel)
        add_arg(&args, "-accel", opt->accel);
    if (opt->timeout)
        add_arg(&args, "-timeout", opt->timeout);
    if (opt->wants_exits)
        add_arg(&args, exits, NULL);
    if (opt->symbols)
        add_arg(&args, "-symbols", opt->symbols);
    for (unsigned i = 0; i < opt->nrw; i++) {
        char rest[32];
        snprintf(rest, sizeof rest, ",tag=rw%u", i);
        const char *text = share_text(run, opt->rw[i], rest, err);
        if (!text)
            return -ENOMEM;
        add_arg(&args, "-share", text);
    }
    int rc = config_parse(&run->cfg, args.argc, args.argv, &outcome, err);
    if (rc)
        return rc;
    return outcome == CONFIG_RUN ? 0 : OPT_STOP;
}

int run_prepare(struct run *run, struct err *err)
{
    int rc = find_root(run, err);
    if (!rc)
        rc = find_writable(run, err);
    if (!rc)
        rc = look_up_command(run, err);
    if (!rc)
        rc = run_find_kernel(run, err);
    if (!rc)
        rc = make_config(run, err);
    if (!rc)
        rc = make_initramfs(run, err);
    if (!rc)
        rc = add_ports(run, err);
    run->hooks.initrd = run->initramfs.data;
    run->hooks.initrd_size = run->initramfs.len;
    return rc;
}
