// SPDX-License-Identifier: MIT
//
// The resolved configuration: what the command line means, after defaults and checks, before
// anything is opened. Made by config_parse, read by the machine, printed by -n.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "block.h"
#include "cpu_model.h"
#include "err.h"
#include "loader.h"
#include "net.h"
#include "opt.h"
#include "share.h"

#define CONFIG_MAX_DISKS 16
#define CONFIG_MAX_SHARES 8
#define CONFIG_MAX_SERIALS 2
#define CONFIG_MAX_NICS 8
#define CONFIG_MAX_ACCELS 4

#define CONFIG_MAX_PORTS 31
#define CONFIG_MAX_CONTROLS 4

enum control_kind { CONTROL_QMP, CONTROL_MONITOR };

/* -qmp, -monitor: a UNIX socket that we listen on. */
struct control_config {
    enum control_kind kind;
    const char *path;
};

enum virtio_bus { VIRTIO_BUS_PCI, VIRTIO_BUS_MMIO };

struct chr;
struct chr_env;

/* -action */
enum panic_action { PANIC_SHUTDOWN, PANIC_EXIT_FAILURE, PANIC_NONE };
enum watchdog_action { WATCHDOG_RESET, WATCHDOG_POWEROFF, WATCHDOG_SHUTDOWN, WATCHDOG_NONE };

#define PORT_NR_ANY UINT32_MAX

/* A port of the virtio console. */
struct port_config {
    unsigned nr;         /* below CONFIG_MAX_PORTS; 0 for a terminal only */
    bool terminal;       /* hvc, else a channel */
    const char *name;    /* or NULL */
    const char *backend; /* for chr_open; or NULL and: */
    struct chr *(*open)(void *self, const struct chr_env *env, struct err *err);
    void *self; /* of open */
};

struct disk_config {
    struct block_config block; /* snapshot already includes -snapshot */
    const char *id;      /* of -drive id=, or NULL */
    bool attached;       /* always true after config_parse */
    enum virtio_bus bus; /* pci unless bus=mmio or -device virtio-blk-device */
    unsigned queues;     /* 1 to VIRTIO_MAX_QUEUES; one per vCPU unless told */
};

struct share_config {
    struct fs_config fs;
    const char *tag;     /* never NULL after config_parse; no two alike */
    enum virtio_bus bus;
    unsigned queues;     /* for requests; one per vCPU, up to 4 */
};

/* For code that runs a machine of its own (src/run/): none of it is on the command line. */
struct config_hooks {
    struct chr *(*open_com1)(void *self, const struct chr_env *env, struct err *err);
    void (*resized)(void *self); /* the terminal has another size; the event loop's thread */
    void *self;
    bool two_dashes; /* options are --timeout there, in messages too */
    const void *initrd; /* an initramfs in memory */
    size_t initrd_size;
};

/* One network interface. */
struct nic_config {
    struct net_config net;
    bool attached; /* always true after config_parse */
    bool mac_given; /* likewise */
    uint8_t mac[NET_MAC_BYTES];
    enum virtio_bus bus; /* pci unless bus=mmio or -device virtio-net-device */
    unsigned mtu;        /* told to the guest; 0: not */
};

struct config {
    const struct config_hooks *hooks; /* NULL: a machine from the command line */
    const char *kernel, *initrd, *append; /* append after defaults, never NULL after config_parse */
    bool append_default; /* nobody gave -append */
    bool no_initrd;      /* -initrd none: not even one that minivmm makes */
    const char *modules; /* -modules: where the kernel's modules are; NULL: not told */
    enum kernel_unpack unpack;
    struct disk_config disks[CONFIG_MAX_DISKS]; /* in the order the guest finds them */
    unsigned ndisks;
    struct share_config shares[CONFIG_MAX_SHARES];
    unsigned nshares;
    struct nic_config nics[CONFIG_MAX_NICS];
    unsigned nnics;
    uint64_t ram_size; /* bytes, whole pages */
    unsigned smp;
    struct cpu_choice cpu; /* -cpu */
    const char *accels[CONFIG_MAX_ACCELS]; /* in order of preference, no name twice; or "auto" */
    unsigned naccels;
    struct {
        const char *leader, *follower; /* engine names */
        unsigned every;                /* instructions from one comparison to the next */
    } lockstep; /* when one of accels is "lockstep=..." */
    bool icount;      /* guest time counts instructions, each 2^icount_shift ns */
    unsigned icount_shift;
    uint64_t icount_seed; /* of the guest's random numbers then */
    bool accel_probe; /* refuse an engine that the probe found unfit for the kernel */
    const char *serials[CONFIG_MAX_SERIALS]; /* COM1, COM2, for chr_open; NULL: not there */
    struct port_config ports[CONFIG_MAX_PORTS];
    unsigned nports;
    bool virtio_serial; /* there is such a device, perhaps without ports */
    unsigned max_ports; /* port numbers it has room for; 0: what is needed */
    enum virtio_bus ports_bus;
    struct control_config controls[CONFIG_MAX_CONTROLS];
    unsigned ncontrols;
    bool monitor_stdio; /* the monitor has standard input to itself */
    bool debug_exit;
    uint16_t debug_exit_port, debug_exit_size;
    bool no_reboot;
    enum panic_action panic_action;
    enum watchdog_action watchdog_action;
    bool pvpanic, i6300esb;
    bool rng;
    bool rng_seeded; /* the same bytes at every run */
    enum virtio_bus rng_bus;
    uint64_t rng_seed;
    struct {
        bool there, reporting, deflate_on_oom;
        const char *id;  /* never NULL when there is one */
        uint64_t target; /* bytes asked back from the beginning */
        enum virtio_bus bus;
    } balloon;
    struct {
        const char *path; /* NULL: no virtio sockets */
        unsigned cid;     /* the guest's */
        enum virtio_bus bus;
    } vsock;
    bool snapshot;       /* for all disks */
    const char *gdb;     /* unix:PATH or tcp:[HOST]:PORT (checked); NULL: none */
    bool start_stopped;  /* -S: a debugger or control client lets the guest go */
    const char *pidfile, *name;
    const char *result, *junit; /* files; NULL: none */
    bool exits;                 /* the exit report is wanted: into a file, or (NULL) as text */
    bool exits_html;            /* else JSON */
    const char *exits_file, *symbols;
    unsigned junit_pass;        /* a status that counts as passed, beside 0 */
    const char *log_items, *log_file; /* -d, -D; NULL: not given */
    unsigned log_topics;              /* for log_enable */
    unsigned timeout_s;  /* 0: none */
    struct opt_pool pool; /* the strings above that are neither argv's nor constant */
};

/* STOP: -h, -version, -n … have printed what they had to */
enum config_outcome { CONFIG_RUN, CONFIG_STOP };

/*
 * Parse argv, which must outlive cfg. 0 and *outcome, or -EINVAL (usage, exit status 2) or -ENOMEM.
 * cfg needs no config_free after an error, and may have one.
 */
int config_parse(struct config *cfg, int argc, char **argv, enum config_outcome *outcome,
                 struct err *err);
/* For code that runs a machine: one more port, PORT_NR_ANY for the first free number. -EINVAL. */
int config_add_port(struct config *cfg, const struct port_config *port, struct err *err);
/* Is a file that is written given for something else too? -EINVAL then. Opens nothing. */
int config_check_files(const struct config *cfg, struct err *err);
/* Does a port of the guest lead to standard input and output? */
bool config_has_stdio(const struct config *cfg);
void config_print(const struct config *cfg, FILE *out);
void config_free(struct config *cfg);
