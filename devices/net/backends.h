// SPDX-License-Identifier: MIT
//
// The backends that net_open knows, one function each. `cfg` outlives them.
#pragma once

#include "net.h"

struct net *net_user_open(const struct net_config *cfg, const struct net_env *env, struct err *err);
struct net *net_tap_open(const struct net_config *cfg, const struct net_env *env, struct err *err);
struct net *net_socket_open(const struct net_config *cfg, const struct net_env *env,
                            struct err *err);

/* What messages call a backend: its id, or its kind. */
const char *net_config_id(const struct net_config *cfg);
