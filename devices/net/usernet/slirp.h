// SPDX-License-Identifier: MIT
//
// libslirp as a network backend: see slirp.c.
#pragma once

#include "net.h"

/* NULL with `err` set; `cfg` must outlive it. */
struct net *net_slirp_open(const struct net_user_config *cfg, const struct net_env *env,
                           struct err *err);
