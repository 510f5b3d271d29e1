// SPDX-License-Identifier: MIT
//
// Shared by the files that make a struct config out of a command line: src/config*.c.
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
    unsigned machine; /* every accepted type is the same board */
    bool print;
};

/* Words for enums, for parsing and printing. */
extern const struct opt_choice config_unpack_modes[], config_cache_modes[], config_aio_modes[],
    config_buses[];

/* config_disk.c: -disk, -drive, -device */
extern const struct opt_keys *const disk_keys[], *const drive_keys[], *const device_keys[];
int config_add_disk(void *target, const char *value, struct err *err);
int config_add_drive(void *target, const char *value, struct err *err);
int config_add_device(void *target, const char *value, struct err *err);
/* Match -device with -drive, put disks in order, fill their defaults. cfg.smp is known. */
int config_resolve_disks(struct cmdline *cl, struct err *err);

/* config_cpu.c: -m, -smp, -accel, -machine, -enable-kvm */
extern const struct opt_keys *const memory_keys[], *const smp_keys[], *const accel_keys[],
    *const machine_keys[];
int config_set_memory(void *target, const char *value, struct err *err);
int config_set_smp(void *target, const char *value, struct err *err);
int config_set_accel(void *target, const char *value, struct err *err);
int config_add_accels(void *target, const char *value, struct err *err);
int config_set_machine(void *target, const char *value, struct err *err);
int config_enable_kvm(void *target, const char *value, struct err *err);
