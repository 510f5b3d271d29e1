// SPDX-License-Identifier: MIT
//
// The resolved configuration: what the command line means, after defaults and checks, before
// anything is opened. Made by config_parse, read by the machine, printed by -n.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "block.h"
#include "err.h"
#include "loader.h"
#include "net.h"
#include "opt.h"

#define CONFIG_MAX_DISKS 16
#define CONFIG_MAX_SERIALS 2
#define CONFIG_MAX_NICS 8
#define CONFIG_MAX_ACCELS 4

enum virtio_bus { VIRTIO_BUS_PCI, VIRTIO_BUS_MMIO };

struct disk_config {
    struct block_config block; /* snapshot already includes -snapshot */
    const char *id;      /* of -drive id=, or NULL */
    bool attached;       /* always true after config_parse */
    enum virtio_bus bus; /* pci unless bus=mmio or -device virtio-blk-device */
    unsigned queues;     /* 1 to VIRTIO_MAX_QUEUES; one per vCPU unless told */
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
    const char *kernel, *initrd, *append; /* append after defaults, never NULL after config_parse */
    enum kernel_unpack unpack;
    struct disk_config disks[CONFIG_MAX_DISKS]; /* in the order the guest finds them */
    unsigned ndisks;
    struct nic_config nics[CONFIG_MAX_NICS];
    unsigned nnics;
    uint64_t ram_size; /* bytes, whole pages */
    unsigned smp;
    const char *accels[CONFIG_MAX_ACCELS]; /* in order of preference, no name twice; or "auto" */
    unsigned naccels;
    bool accel_probe; /* refuse an engine that the probe found unfit for the kernel */
    const char *serials[CONFIG_MAX_SERIALS]; /* COM1, COM2, for chr_open; NULL: not there */
    bool debug_exit;
    uint16_t debug_exit_port, debug_exit_size;
    bool no_reboot;
    bool snapshot;       /* for all disks */
    const char *pidfile, *name;
    const char *log_items, *log_file; /* -d (checked, for log_enable), -D; NULL: not given */
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
void config_print(const struct config *cfg, FILE *out);
void config_free(struct config *cfg);
