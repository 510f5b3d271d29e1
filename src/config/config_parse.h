// SPDX-License-Identifier: MIT
//
// Shared by the files that make a struct config out of a command line: src/config/.
#pragma once

#include "config.h"

/* A -device that wants a drive; the drive may come later on the command line. */
struct drive_request {
    const char *device; /* as the user wrote it */
    const char *drive, *serial;
    enum virtio_bus bus;
    unsigned queues; /* 0: as many as vCPUs */
    unsigned place;
};

/* A -chardev, as chr_open takes it. */
struct chardev {
    const char *id, *backend;
    bool used;
};

/* A port of the virtio console; its -chardev may come later on the command line. */
struct port_request {
    struct port_config port;
    const char *user;             /* the option, for messages */
    const char *chardev, *backend; /* one of them */
    const char *id, *bus;         /* accepted */
};

/* A -device that wants a netdev, which may come later. */
struct net_request {
    const char *device, *netdev, *mac;
    enum virtio_bus bus;
    unsigned mtu;
    bool mq; /* accepted: there are as many queues as the netdev has */
};

/* A configuration in the making: the target of the option rows. */
struct cmdline {
    struct config cfg;
    unsigned place[CONFIG_MAX_DISKS]; /* of the option that attached the disk, counted along argv */
    unsigned places;
    struct drive_request requests[CONFIG_MAX_DISKS];
    unsigned nrequests;
    struct net_request net_requests[CONFIG_MAX_NICS];
    unsigned nnet_requests;
    bool nic_given; /* any of -nic, -netdev, and -device with a netdev */
    unsigned nserials;
    struct chardev chardevs[CONFIG_MAX_PORTS + CONFIG_MAX_SERIALS];
    unsigned nchardevs;
    struct port_request ports[CONFIG_MAX_PORTS];
    unsigned nports;
    bool console; /* -console: hvc0 is the kernel's console */
    unsigned machine; /* every accepted type is the same board */
    unsigned icount_off; /* words of -icount that have one value */
    bool print;
};

/* Words for enums, for parsing and printing. */
extern const struct opt_choice config_unpack_modes[], config_cache_modes[], config_aio_modes[],
    config_buses[],
    config_share_caches[], config_share_owners[];

/* config_disk.c: -disk, -drive, -device */
extern const struct opt_keys *const disk_keys[], *const drive_keys[], *const device_keys[];
int config_add_disk(void *target, const char *value, struct err *err);
int config_add_drive(void *target, const char *value, struct err *err);
int config_add_device(void *target, const char *value, struct err *err);
/* Match -device with -drive, put disks in order, fill their defaults. cfg.smp is known. */
int config_resolve_disks(struct cmdline *cl, struct err *err);

/* config_console.c: -serial, -chardev, -console and their kinds of -device */
extern const struct opt_keys *const chardev_keys[];
extern const struct opt_keys config_virtio_serial_pci, config_virtio_serial_mmio,
    config_virtconsole, config_virtserialport;
int config_add_serial(void *target, const char *value, struct err *err);
int config_add_chardev(void *target, const char *value, struct err *err);
int config_add_console(void *target, const char *value, struct err *err);
int config_add_virtio_serial_pci(struct cmdline *cl, const char *words, struct err *err);
int config_add_virtio_serial_mmio(struct cmdline *cl, const char *words, struct err *err);
int config_add_virtconsole(struct cmdline *cl, const char *words, struct err *err);
int config_add_virtserialport(struct cmdline *cl, const char *words, struct err *err);
/* Match ports with -chardev, number them, default serial port. */
int config_resolve_console(struct cmdline *cl, struct err *err);

/* config_share.c: -share */
extern const struct opt_keys *const share_keys[];
int config_add_share(void *target, const char *value, struct err *err);
/* Fill the defaults of shares. cfg.smp and disks are known. */
int config_resolve_shares(struct cmdline *cl, struct err *err);

/* config_icount.c: -icount */
extern const struct opt_keys *const icount_keys[];
int config_set_exits(void *target, const char *value, struct err *err);
int config_set_gdb(void *target, const char *value, struct err *err);
int config_set_gdb_port(void *target, const char *value, struct err *err);
int config_set_log(void *target, const char *value, struct err *err);
int config_set_icount(void *target, const char *value, struct err *err);
int config_resolve_icount(const struct config *cfg, struct err *err); /* engines are known */

/* config_small.c: entropy, panic, watchdog; -action */
extern const struct opt_keys config_rng_pci, config_rng_mmio, config_pvpanic, config_i6300esb;
extern const struct opt_keys config_balloon_pci, config_balloon_mmio;
int config_add_balloon_pci(struct cmdline *cl, const char *words, struct err *err);
int config_resolve_balloon(const struct config *cfg, struct err *err); /* -m is known */
int config_add_balloon_mmio(struct cmdline *cl, const char *words, struct err *err);
extern const struct opt_keys *const action_keys[];
extern const struct opt_choice config_watchdog_actions[];
int config_add_rng_pci(struct cmdline *cl, const char *words, struct err *err);
int config_add_rng_mmio(struct cmdline *cl, const char *words, struct err *err);
int config_add_pvpanic(struct cmdline *cl, const char *words, struct err *err);
int config_add_i6300esb(struct cmdline *cl, const char *words, struct err *err);
int config_set_action(void *target, const char *value, struct err *err);
extern const struct opt_keys *const junit_keys[];
int config_set_junit(void *target, const char *value, struct err *err);
/* -display, -vga: there is none */
int config_accept_no_display(void *target, const char *value, struct err *err);

/* config_foreign.c: QEMU's options that are not here, and what to say to them */
extern const struct opt_choice config_foreign[];

/* config_vsock.c: -vsock */
extern const struct opt_keys *const vsock_keys[];
int config_set_vsock(void *target, const char *value, struct err *err);
int config_refuse_vhost_vsock(struct cmdline *cl, const char *words, struct err *err);

/* config_control.c: -qmp, -monitor */
extern const struct opt_keys *const qmp_keys[], *const monitor_keys[];
int config_add_qmp(void *target, const char *value, struct err *err);
int config_add_monitor(void *target, const char *value, struct err *err);
int config_print_qmp_table(void *target, const char *value,
                           struct err *err); /* for docs/update.sh */

/* config_cpu.c: -m, -smp, -accel, -machine, -enable-kvm, -cpu */
extern const struct opt_keys *const smp_keys[], *const accel_keys[], *const machine_keys[];
int config_set_memory(void *target, const char *value, struct err *err);
int config_set_smp(void *target, const char *value, struct err *err);
int config_set_accel(void *target, const char *value, struct err *err);
int config_set_machine(void *target, const char *value, struct err *err);
int config_set_cpu(void *target, const char *value, struct err *err);
int config_enable_kvm(void *target, const char *value, struct err *err);
