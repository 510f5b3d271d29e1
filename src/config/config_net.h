// SPDX-License-Identifier: MIT
//
// config_net.c's part of the command line: -nic, -netdev, and its names under -device.
#pragma once

#include "src/config/config_parse.h"

extern const struct opt_keys *const nic_keys[];
extern const struct opt_keys net_pci_keys, net_mmio_keys;

int config_add_nic(void *target, const char *value, struct err *err);
int config_add_netdev(void *target, const char *value, struct err *err);
int config_add_net_pci(struct cmdline *cl, const char *words, struct err *err);
int config_add_net_mmio(struct cmdline *cl, const char *words, struct err *err);
/* Match -device with -netdev, add the interface that is there when nobody says anything. */
int config_resolve_nics(struct cmdline *cl, struct err *err);
