// SPDX-License-Identifier: MIT
//
// From argv to exit status: parse, build, run, clean up. The only place that prints errors and
// leaves the process.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "src/commands/ctl_command.h"
#include "src/vm/fatal.h"
#include "src/commands/probe_command.h"
#include "src/result/result.h"
#include "src/run/run.h"
#include "src/vm/vm.h"
#include "stop.h"

static int complain(const struct err *err, int status)
{
    log_error("%s", err->msg);
    return status;
}

/* What is opened later takes the lowest free number: a disk must not become stdout. */
static int fill_standard_fds(struct err *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return err_set_errno(err, errno,
                                 "descriptor %d is closed, and /dev/null cannot be opened", fd);
    }
    return 0;
}

/*
 * A reader that went away or a file-size limit is an error of one write, not the end of the guest.
 */
static void ignore_write_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* What an informational option printed must have arrived; a reader that took what it wanted and
 * left is content. */
static int close_output(int status)
{
    struct err err = {0};
    if (!fflush(stdout) || errno == EPIPE)
        return status;
    err_set_errno(&err, errno, "write to standard output");
    return complain(&err, EXIT_HOST_ERROR);
}

static int run_machine(const struct config *cfg)
{
    struct err err = {0};
    struct vm vm;
    int status = vm_create(&vm, cfg, &err);
    if (!status)
        status = vm_run(&vm, &err);
    result_take(&vm, status);
    vm_destroy(&vm);
    return status < 0 ? complain(&err, EXIT_HOST_ERROR) : status;
}

static int open_log(const struct config *cfg, struct err *err)
{
    log_enable(cfg->log_topics);
    return cfg->log_file ? log_open(cfg->log_file, err) : 0;
}

int main(int argc, char **argv)
{
    struct config cfg;
    struct err err = {0};
    enum config_outcome outcome = CONFIG_STOP;
    fatal_install();
    ignore_write_signals();
    if (fill_standard_fds(&err))
        return complain(&err, EXIT_HOST_ERROR);
    if (argc > 1 && !strcmp(argv[1], "probe"))
        return close_output(probe_command(argc - 1, argv + 1));
    if (argc > 1 && !strcmp(argv[1], "ctl"))
        return close_output(ctl_command(argc - 1, argv + 1));
    if (argc > 1 && (!strcmp(argv[1], "run") || !strcmp(argv[1], "shell")))
        return close_output(run_command(argc - 1, argv + 1));
    int status = config_parse(&cfg, argc, argv, &outcome, &err);
    if (!status && outcome == CONFIG_RUN)
        status = config_check_files(&cfg, &err);
    if (status)
        return complain(&err, status == -EINVAL ? EXIT_USAGE : EXIT_HOST_ERROR);
    if (outcome == CONFIG_RUN) {
        if (cfg.name)
            prctl(PR_SET_NAME, cfg.name);
        if (result_open(&cfg, &err) || open_log(&cfg, &err))
            status = complain(&err, EXIT_HOST_ERROR);
        else
            status = run_machine(&cfg);
        status = result_close(status);
        log_close();
    }
    config_free(&cfg);
    return close_output(status);
}
