// SPDX-License-Identifier: MIT
//
// minivmm run and minivmm shell, from options to exit status (docs/exit-codes.md).
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "src/run/run.h"
#include "src/vm/vm.h"
#include "util.h"

/* The machine was ended without a word of the command's end. */
static int status_of_machine(struct run *run, enum stop_cause cause, int status)
{
    run->cause = stop_name(cause);
    if (cause == STOP_RESET && run->console.panicked) { /* panic=-1 on its command line does that */
        run->cause = stop_name(STOP_PANIC);
        log_error("the guest's kernel panicked");
        return EXIT_GUEST_PANIC;
    }
    if (cause == STOP_RESET) {
        log_error("the guest reset itself");
        return EXIT_GUEST_RESET;
    }
    if ((cause == STOP_QUIT || cause == STOP_POWEROFF) && !run->started)
        return RUN_STATUS_FAILED;
    return status;
}

static int status_of_command(struct run *run)
{
    if (run->refused) {
        bool missing = run->exec_errno == ENOENT || run->exec_errno == ENOTDIR;
        run->cause = missing ? "not-found" : "not-executable";
        log_error("%s: %s", OPT_QUOTE(run->opt.command[0]),
                  missing ? "command not found" : strerror(run->exec_errno));
        return missing ? RUN_STATUS_NOT_FOUND : RUN_STATUS_NOT_EXECUTABLE;
    }
    run->cause = run->status > 128 ? "command-signal" : "exit";
    return run->status;
}

static int settle(struct run *run, const struct vm *vm, int status)
{
    enum stop_cause cause = stop_cause_of(atomic_load(&vm->stop));
    bool ended = run->exited || run->refused;
    if (ended && cause == STOP_QUIT)
        return status_of_command(run);
    status = status_of_machine(run, cause, status);
    if (run->failure[0]) {
        run->cause = "failed";
        log_error("%s: the guest could not start the command: %s", run->opt.shell ? "shell" : "run",
                  run->failure);
    }
    if (!run->started)
        run_console_show(run);
    return status;
}

/* What is left to write may take as long as it likes; the user may not. */
static void unblock_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

static int run_machine(struct run *run, struct err *err)
{
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return err_set(err, ENOMEM, "out of memory for the machine");
    int rc = vm_create(vm, &run->cfg, err);
    if (!rc) {
        run->engine = vm->accel.ops->name;
        rc = vm_run(vm, err);
    }
    int status = rc < 0 ? rc : settle(run, vm, rc);
    unblock_signals();
    vm_destroy(vm);
    free(vm);
    return status;
}

/* What minivmm says of its own options, with the names they have here. */
static void say_in_our_words(const char *msg)
{
    static const char *const names[][2] = {
        {"-m", "--memory"}, {"-smp", "--cpus"}, {"-share", "--root, --rw"}, {"-nic", "--net"},
        {"-accel", "--accel"}, {"-append", "--append"}, {"-kernel", "--kernel"},
        {"-modules", "--modules"}, {"-timeout", "--timeout"}, {"-exits", "--exits"},
        {"-symbols", "--symbols"}};
    size_t len = strcspn(msg, ": ");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i][0]) == len && !strncmp(msg, names[i][0], len)) {
            log_error("%s%s", names[i][1], msg + len);
            return;
        }
    }
    log_error("%s", msg);
}

/* A status, or -errno with a message. */
static int run_it(struct run *run, struct err *err)
{
    int rc = run_prepare(run, err);
    if (rc > 0) {
        run->cause = rc == RUN_STATUS_NOT_FOUND ? "not-found" : "not-executable";
        log_error("%s", err->msg);
        return rc;
    }
    log_enable(run->cfg.log_topics);
    return rc < 0 ? rc : run_machine(run, err);
}

static void free_run(struct run *run)
{
    config_free(&run->cfg);
    opt_pool_free(&run->pool);
    free(run->initramfs.data);
    free(run);
}

int run_command(int argc, char **argv)
{
    struct err err = {0};
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        log_error("out of memory");
        return RUN_STATUS_FAILED;
    }
    clock_gettime(CLOCK_MONOTONIC, &run->began);
    run->opt.shell = !strcmp(argv[0], "shell");
    run->cause = "failed";
    int status = run_parse(&run->opt, argc, argv, &err);
    if (!status && run->opt.shell && !isatty(STDIN_FILENO))
        status = err_set(&err, ENOTTY, "shell: standard input is not a terminal (minivmm run -- "
                                       "COMMAND takes any)");
    if (status == OPT_STOP) {
        free_run(run);
        return EXIT_OK;
    }
    if (!status)
        status = run_it(run, &err);
    if (status < 0) {
        say_in_our_words(err.msg);
        status = RUN_STATUS_FAILED;
    }
    if (!status && (run->out.lost || run->err.lost))
        status = RUN_STATUS_LOST;
    err = (struct err){0};
    if (run->opt.json && run_write_result(run, status, &err)) {
        log_error("%s", err.msg);
        status = RUN_STATUS_FAILED;
    }
    free_run(run);
    return status;
}
