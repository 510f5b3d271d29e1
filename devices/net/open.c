// SPDX-License-Identifier: MIT
//
// Opening a network backend by its kind; see include/net.h.
#include "devices/net/backends.h"
#include "devices/net/pcap.h"
#include "net.h"

static const struct kind {
    const char *name;
    struct net *(*open)(const struct net_config *cfg, const struct net_env *env, struct err *err);
} kinds[] = {
    [NET_USER] = {"user", net_user_open},
    [NET_TAP] = {"tap", net_tap_open},
    [NET_SOCKET] = {"socket", net_socket_open},
};

const char *net_config_id(const struct net_config *cfg)
{
    return cfg->id ? cfg->id : kinds[cfg->kind].name;
}

struct net *net_open(const struct net_config *cfg, const struct net_env *env, struct err *err)
{
    struct pcap *pcap = NULL;
    if (cfg->pcap) {
        pcap = pcap_open(cfg->pcap, env->clock, err);
        if (!pcap)
            return NULL;
    }
    struct net *net = kinds[cfg->kind].open(cfg, env, err);
    if (net)
        net->pcap = pcap;
    else
        pcap_close(pcap);
    return net;
}
