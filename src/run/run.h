// SPDX-License-Identifier: MIT
//
// `minivmm run` and `minivmm shell`: one command of the host's own file system, in a virtual
// machine made for it. The guest's side is guest-images/init/run.c, which also tells the words of
// the control channel. Private to src/run/, but for run_command.
//
// Thread: options before the machine runs; the rest under the device lock while it runs, and on the
// main thread when it has ended.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "chr.h"
#include "config.h"
#include "devices/chr/fdio.h"
#include "loader/cpio.h"
#include "loader/kernel_version.h"
#include "opt.h"

#define RUN_MAX_RW (CONFIG_MAX_SHARES - 1)
#define RUN_MAX_ENV 64
#define RUN_TAIL_BYTES 8192
#define RUN_STATUS_LOST 1     /* instead of the command's 0: its output could not be written */
#define RUN_STATUS_FAILED 125 /* the VMM failed before the command ran */
#define RUN_STATUS_NOT_EXECUTABLE 126
#define RUN_STATUS_NOT_FOUND 127

struct run_options {
    bool shell;
    const char *timeout, *memory, *cpus, *accel; /* as minivmm's own options take them; or NULL */
    const char *kernel, *modules, *append, *root, *json;
    bool net, verbose, wants_exits;
    const char *exits, *symbols; /* exits: the file, or NULL */
    const char *rw[RUN_MAX_RW];
    unsigned nrw;
    const char *env[RUN_MAX_ENV]; /* NAME or NAME=VALUE */
    unsigned nenv;
    char **command; /* NULL-terminated */
};

/* One standard stream: a port's backend on a descriptor of ours. */
struct run_stream {
    struct chr chr;   /* what the device knows */
    struct chr inner; /* what fd_in and fd_out know; its news go on to chr's client, or to us */
    struct run *run;
    int fd;
    bool has_in, has_out;
    uint64_t total; /* bytes given to the guest, or taken from it */
    struct fd_in in;
    struct fd_out out;
    bool closed;         /* nobody reads our output */
    bool lost;           /* some of it could not be written */
    struct event closed_at;
    unsigned escapes;    /* shell: how many Ctrl-] came in a row */
    bool background;
};

/* The control channel. */
struct run_control {
    struct chr chr;
    struct run *run;
    struct event readable, resized;
    char line[512]; /* from the guest, so far */
    size_t line_len;
    bool line_cut;
    char out[512];  /* to the guest, not yet taken */
    size_t out_len;
};

/* The first serial port: kept for the case of need, shown at once when verbose. */
struct run_console {
    struct chr chr;
    bool verbose;
    struct fd_out out;
    bool has_out;
    uint64_t total;
    char tail[RUN_TAIL_BYTES]; /* a ring */
    char word[64];             /* of the line so far, to see a panic */
    size_t word_len;
    bool panicked;
};

struct run {
    struct run_options opt;
    char kernel[4096], release[KERNEL_RELEASE_TEXT], root[4096], cwd[4096];
    struct cpio initramfs;
    struct config cfg;
    struct config_hooks hooks;
    struct stop_sink stop;
    struct opt_pool pool;

    struct run_stream in, out, err;
    struct run_control control;
    struct run_console console;

    /* what the guest told */
    bool started, exited, refused;
    int status;           /* of the command, when exited */
    int exec_errno;       /* when refused */
    uint64_t out_bytes, err_bytes;
    char failure[256];

    struct timespec began, ran, ended;
    const char *cause; /* for the result */
    const char *engine;
};

int run_command(int argc, char **argv);

/* options.c: 0, OPT_STOP, or -EINVAL */
int run_parse(struct run_options *opt, int argc, char **argv, struct err *err);

/* kernel.c: which kernel, and what it is. */
int run_find_kernel(struct run *run, struct err *err);

/* guest.c: check paths and the command, make the initramfs and the configuration. A positive value
 * is an exit status with a message: the command is not there (127) or cannot be run (126). */
int run_prepare(struct run *run, struct err *err);

/* stream.c */
struct chr *run_stream_open(struct run_stream *s, const char *name, int fd, bool output,
                            const struct chr_env *env, struct err *err);

/* control.c */
struct chr *run_control_open(struct run *run, const struct chr_env *env, struct err *err);
void run_control_send(struct run *run, const char *line);
void run_control_resized(struct run *run); /* the event loop's thread */
/* End the machine when the command has ended and all it wrote has arrived. */
void run_check_complete(struct run *run);

/* console.c */
struct chr *run_console_open(struct run *run, const struct chr_env *env, struct err *err);
void run_console_show(const struct run *run);

/* result.c */
int run_write_result(const struct run *run, int status, struct err *err);
