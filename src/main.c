// SPDX-License-Identifier: MIT
//
// From argv to exit status: parse, build, run, clean up. The only place that prints errors and leaves the process.
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "config.h"
#include "log.h"
#include "src/vm.h"
#include "stop.h"

static int complain(const struct err *err, int status)
{
    fprintf(stderr, "minivmm: %s\n", err->msg);
    return status;
}

static int run_machine(const struct config *cfg)
{
    struct err err = {0};
    struct vm vm;
    int status = vm_create(&vm, cfg, &err);
    if (!status)
        status = vm_run(&vm, &err);
    vm_destroy(&vm);
    return status < 0 ? complain(&err, EXIT_HOST_ERROR) : status;
}

static int open_log(const struct config *cfg, struct err *err)
{
    if (cfg->log_file) {
        int rc = log_open(cfg->log_file, err);
        if (rc)
            return rc;
    }
    return cfg->log_items ? log_enable(cfg->log_items, err) : 0;
}

int main(int argc, char **argv)
{
    struct config cfg;
    struct err err = {0};
    enum config_outcome outcome = CONFIG_STOP;
    int status = config_parse(&cfg, argc, argv, &outcome, &err);
    if (status)
        return complain(&err, status == -EINVAL ? EXIT_USAGE : EXIT_HOST_ERROR);
    if (outcome == CONFIG_RUN) {
        if (cfg.name)
            prctl(PR_SET_NAME, cfg.name);
        status = open_log(&cfg, &err) < 0 ? complain(&err, EXIT_HOST_ERROR) : run_machine(&cfg);
        log_close();
    }
    config_free(&cfg);
    return status;
}
