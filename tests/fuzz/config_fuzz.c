// SPDX-License-Identifier: MIT
//
// Any command line: the input's bytes, cut at newlines, are argv. What parses must print and
// free; what does not must have said why in one line. Run with -close_fd_mask=1: help goes to
// standard output.
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define MAX_ARGS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const struct config *cfg)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return;
    config_print(cfg, f);
    fclose(f);
    if (!cfg->kernel || !cfg->append || !cfg->naccels || !cfg->smp || cfg->smp > 255 ||
        cfg->ram_size % 4096 || cfg->ndisks > CONFIG_MAX_DISKS || len < 100)
        abort();
    for (unsigned i = 0; i < cfg->ndisks; i++) {
        const struct disk_config *d = &cfg->disks[i];
        if (!d->attached || !d->block.path[0] || !d->queues)
            abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *argv[MAX_ARGS + 1] = {(char[]){"minivmm"}};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    int argc = 1;
    for (char *arg = text; arg && argc < MAX_ARGS; argc++) {
        argv[argc] = arg;
        arg = strchr(arg, '\n');
        if (arg)
            *arg++ = '\0';
    }

    struct config cfg;
    struct err err = {{0}};
    enum config_outcome outcome;
    int rc = config_parse(&cfg, argc, argv, &outcome, &err);
    if (rc ? !err.msg[0] || strpbrk(err.msg, "\n\r\033") : err.msg[0])
        abort();
    if (!rc && outcome == CONFIG_RUN)
        check_config(&cfg);
    config_free(&cfg);
    free(text);
    return 0;
}
