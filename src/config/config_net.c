// SPDX-License-Identifier: MIT
//
// Network interfaces on the command line: -nic, and QEMU's -netdev with -device. The guest finds
// them in the order of -nic and -netdev. Nothing is opened or looked up here; names of hosts are
// not addresses. Kinds and their keys are spelled as QEMU spells them.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/config_net.h"
#include "util.h"

#define NIC_FIELD(field) offsetof(struct nic_config, field)

/* What a value of -nic or -netdev becomes before it is checked as a whole. */
struct nic_words {
    struct nic_config nic; /* first, so that rows may point into it */
    const char *ipv4_net, *host, *dns, *dhcp_start; /* as text; NULL: not given */
    const char *net6, *host6, *dns6;
    const char *hostname, *domainname, *dnssearch;
    unsigned script, vhost, server, addr_type, model; /* one choice each: nothing else is offered */
};
#define WORD(field) offsetof(struct nic_words, field)

static const struct opt_choice no_script[] = {{"no", "no script is run"}, {0}};
static const struct opt_choice no_vhost[] = {{"off", "frames pass through minivmm"}, {0}};
static const struct opt_choice no_server[] = {{"off", "minivmm connects to whoever listens"}, {0}};
static const struct opt_choice unix_only[] = {{"unix", "a UNIX stream socket"}, {0}};
static const struct opt_choice models[] = {
    {"virtio", "virtio-net"}, {"virtio-net-pci", "the same"}, {0}};

static int add_forward(void *target, const char *value, struct err *err);
static int set_mac(void *target, const char *value, struct err *err);

/* --- the rows --- */

#define USER_ROWS                                                                                  \
    {.name = "hostfwd", .metavar = "[tcp|udp]:[ADDR]:PORT-[ADDR]:PORT", .kind = OPT_CALL,          \
     .parse = add_forward,                                                                         \
     .help = "Connections to a port of the host go to one of the guest; may be repeated."},        \
    {.name = "restrict", .kind = OPT_FLAG, .offset = NIC_FIELD(net.user.restricted),               \
     .help = "The guest reaches nothing outside but what is forwarded to it."},                    \
    {.name = "hostname", .metavar = "NAME", .kind = OPT_TEXT, .max = 33, .offset = WORD(hostname), \
     .help = "The name that DHCP gives the guest."},                                               \
    {.name = "net", .metavar = "ADDR[/BITS]", .kind = OPT_TEXT, .offset = WORD(ipv4_net),          \
     .help = "The guest's network (default 10.0.2.0/24)."},                                        \
    {.name = "host", .metavar = "ADDR", .kind = OPT_TEXT, .offset = WORD(host),                    \
     .help = "The host as the guest sees it, its gateway (default the network's .2)."},            \
    {.name = "dns", .metavar = "ADDR", .kind = OPT_TEXT, .offset = WORD(dns),                      \
     .help = "The name server as the guest sees it (default the network's .3)."},                  \
    {.name = "dhcpstart", .metavar = "ADDR", .kind = OPT_TEXT, .offset = WORD(dhcp_start),         \
     .help = "The first address that DHCP gives (default the network's .15)."},                    \
    {.name = "domainname", .metavar = "NAME", .kind = OPT_TEXT, .max = 127,                        \
     .offset = WORD(domainname), .help = "The domain that DHCP gives."},                           \
    {.name = "dnssearch", .metavar = "DOMAIN", .kind = OPT_TEXT, .max = 127,                       \
     .offset = WORD(dnssearch), .help = "A domain to search for names, by DHCP."},                 \
    {.name = "ipv4", .kind = OPT_FLAG, .offset = NIC_FIELD(net.user.ipv4),                         \
     .help = "IPv4 (default on)."},                                                                \
    {.name = "ipv6", .kind = OPT_FLAG, .offset = NIC_FIELD(net.user.ipv6),                         \
     .help = "IPv6 (default on)."},                                                                \
    {.name = "ipv6-net", .metavar = "ADDR[/BITS]", .kind = OPT_TEXT, .offset = WORD(net6),         \
     .help = "The guest's IPv6 prefix (default fec0::/64)."},                                      \
    {.name = "ipv6-host", .metavar = "ADDR", .kind = OPT_TEXT, .offset = WORD(host6),              \
     .help = "The host's IPv6 address (default the prefix's ::2)."},                               \
    {.name = "ipv6-dns", .metavar = "ADDR", .kind = OPT_TEXT, .offset = WORD(dns6),                \
     .help = "The IPv6 name server (default the prefix's ::3)."}

#define TAP_ROWS                                                                                   \
    {.name = "ifname", .metavar = "NAME", .kind = OPT_TEXT, .max = 15,                             \
     .offset = NIC_FIELD(net.ifname),                                                              \
     .help = "The host's tap interface; made if it is not there (default: the kernel names it)."}, \
    {.name = "queues", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = NET_MAX_QUEUES,        \
     .offset = NIC_FIELD(net.queues), .help = "Queue pairs (default 1)."},                         \
    {.name = "script", .kind = OPT_CHOICE, .choices = no_script, .offset = WORD(script),           \
     .help = "Always no."},                                                                        \
    {.name = "downscript", .kind = OPT_CHOICE, .choices = no_script, .offset = WORD(script)},      \
    {.name = "vhost", .kind = OPT_CHOICE, .choices = no_vhost, .offset = WORD(vhost)}

#define RECONNECT_ROW                                                                              \
    {.name = "reconnect", .metavar = "SECONDS", .kind = OPT_NUMBER, .max = 3600,                   \
     .offset = NIC_FIELD(net.reconnect_s),                                                         \
     .help = "When the other side goes, try again this often (default 1; 0: never)."}
#define SOCKET_ROWS                                                                                \
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = NIC_FIELD(net.path),           \
     .help = "The UNIX stream socket, where passt for instance listens."},                         \
    RECONNECT_ROW
#define STREAM_ROWS                                                                                \
    {.name = "addr.path", .metavar = "PATH", .kind = OPT_FILE, .offset = NIC_FIELD(net.path),      \
     .help = "The UNIX stream socket, where passt for instance listens."},                         \
    {.name = "addr.type", .kind = OPT_CHOICE, .choices = unix_only, .offset = WORD(addr_type),     \
     .help = "Always unix."},                                                                      \
    {.name = "server", .kind = OPT_CHOICE, .choices = no_server, .offset = WORD(server),           \
     .help = "Always off."},                                                                       \
    RECONNECT_ROW

#define PCAP_ROW                                                                                   \
    {.name = "pcap", .metavar = "FILE", .kind = OPT_FILE, .offset = NIC_FIELD(net.pcap),           \
     .help = "Record every frame, both ways, for Wireshark; stamped with the guest's clock."}
#define NIC_ROWS                                                                                   \
    PCAP_ROW,                                                                                      \
    {.name = "mac", .metavar = "ADDR", .kind = OPT_CALL, .parse = set_mac,                         \
     .help = "The guest's address (default 52:54:00:12:34:56, then :57 and so on)."},              \
    {.name = "mtu", .metavar = "N", .kind = OPT_NUMBER, .min = 68, .max = 65520,                   \
     .offset = NIC_FIELD(mtu), .help = "Tell the guest to use this MTU."},                         \
    {.name = "model", .kind = OPT_CHOICE, .choices = models, .offset = WORD(model),                \
     .help = "Always virtio."},                                                                    \
    {.name = "bus", .kind = OPT_CHOICE, .choices = config_buses, .offset = NIC_FIELD(bus),         \
     .help = "How the guest reaches it (default pci)."},                                           \
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = NIC_FIELD(net.id),                 \
     .help = "A name for messages."}
#define NETDEV_ROWS                                                                                \
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = NIC_FIELD(net.id),                 \
     .help = "The name by which a -device finds it."},                                             \
    PCAP_ROW

static const struct opt_row nic_user[] = {USER_ROWS, NIC_ROWS, {0}};
static const struct opt_row nic_tap[] = {TAP_ROWS, NIC_ROWS, {0}};
static const struct opt_row nic_socket[] = {SOCKET_ROWS, NIC_ROWS, {0}};
static const struct opt_row nic_stream[] = {STREAM_ROWS, NIC_ROWS, {0}};
static const struct opt_row netdev_user[] = {USER_ROWS, NETDEV_ROWS, {0}};
static const struct opt_row netdev_tap[] = {TAP_ROWS, NETDEV_ROWS, {0}};
static const struct opt_row netdev_socket[] = {SOCKET_ROWS, NETDEV_ROWS, {0}};
static const struct opt_row netdev_stream[] = {STREAM_ROWS, NETDEV_ROWS, {0}};

enum { KIND_USER, KIND_TAP, KIND_SOCKET, KIND_STREAM, KINDS };
#define USER_HELP "A NAT in user space: no rights, no set-up. The guest is 10.0.2.15."
#define TAP_HELP "A tap interface of the host."
#define SOCKET_HELP "A UNIX stream socket, as passt has it."
#define STREAM_HELP "The same in QEMU's words."
static const struct opt_keys nic_kinds[KINDS] = {
    [KIND_USER] = {.what = "-nic user", .rows = nic_user, .help = USER_HELP},
    [KIND_TAP] = {.what = "-nic tap", .rows = nic_tap, .help = TAP_HELP},
    [KIND_SOCKET] = {.what = "-nic socket", .rows = nic_socket, .help = SOCKET_HELP},
    [KIND_STREAM] = {.what = "-nic stream", .rows = nic_stream, .help = STREAM_HELP},
};
static const struct opt_keys netdev_kinds[KINDS] = {
    [KIND_USER] = {.what = "-netdev user", .rows = netdev_user, .help = USER_HELP},
    [KIND_TAP] = {.what = "-netdev tap", .rows = netdev_tap, .help = TAP_HELP},
    [KIND_SOCKET] = {.what = "-netdev socket", .rows = netdev_socket, .help = SOCKET_HELP},
    [KIND_STREAM] = {.what = "-netdev stream", .rows = netdev_stream, .help = STREAM_HELP},
};
static const char *const kind_names[KINDS] = {"user", "tap", "socket", "stream"};
const struct opt_keys *const nic_keys[] = {&nic_kinds[KIND_USER], &nic_kinds[KIND_TAP],
                                           &nic_kinds[KIND_SOCKET], &nic_kinds[KIND_STREAM], NULL};

static const struct opt_row device_rows[] = {
    {.name = "netdev", .metavar = "ID", .kind = OPT_TEXT,
     .offset = offsetof(struct net_request, netdev), .help = "The id of a -netdev."},
    {.name = "mac", .metavar = "ADDR", .kind = OPT_TEXT,
     .offset = offsetof(struct net_request, mac),
     .help = "The guest's address (default 52:54:00:12:34:56, then :57 and so on)."},
    {.name = "host_mtu", .metavar = "N", .kind = OPT_NUMBER, .min = 68, .max = 65520,
     .offset = offsetof(struct net_request, mtu), .help = "Tell the guest to use this MTU."},
    {.name = "mq", .kind = OPT_FLAG, .offset = offsetof(struct net_request, mq)},
    {0},
};
const struct opt_keys net_pci_keys = {
    .what = "virtio-net-pci", .rows = device_rows,
    .help = "A virtio network interface on PCI, also named virtio-net."};
const struct opt_keys net_mmio_keys = {
    .what = "virtio-net-device", .rows = device_rows,
    .help = "A virtio network interface on virtio-mmio."};

/* --- values --- */

static int bad_mac(const char *label, const char *value, struct err *err)
{
    return err_set(err, EINVAL, "%s: '%s' is not the address of an interface, such as "
                                "52:54:00:12:34:56",
                   label, OPT_QUOTE(value));
}

static int parse_mac(const char *label, const char *value, uint8_t mac[NET_MAC_BYTES],
                     struct err *err)
{
    const char *p = value;
    uint8_t any = 0;
    for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
        char *end;
        if (strspn(p, "0123456789abcdefABCDEF") != 2)
            return bad_mac(label, value, err);
        mac[i] = (uint8_t)strtoul(p, &end, 16);
        any |= mac[i];
        if (*end != (i + 1 < NET_MAC_BYTES ? ':' : '\0'))
            return bad_mac(label, value, err);
        p = end + 1;
    }
    return (mac[0] & 1) || !any ? bad_mac(label, value, err) : 0;
}

static int set_mac(void *target, const char *value, struct err *err)
{
    struct nic_words *w = target;
    w->nic.mac_given = true;
    return parse_mac("-nic mac", value, w->nic.mac, err);
}

static int bad_forward(const char *value, struct err *err)
{
    return err_set(err, EINVAL, "hostfwd: '%s' is not [tcp|udp]:[ADDR]:PORT-[ADDR]:PORT, such as "
                                "tcp:127.0.0.1:8080-:80",
                   OPT_QUOTE(value));
}

/* "ADDR:PORT" from *text up to `stop`; ADDR may be empty. Moves *text behind it. */
static bool scan_endpoint(const char **text, char stop, uint32_t *addr, uint16_t *port)
{
    const char *colon = strchr(*text, ':'),
               *end = stop ? strchr(*text, stop) : *text + strlen(*text);
    char word[INET_ADDRSTRLEN] = "", number[8] = "";
    uint64_t v;
    if (!colon || !end || colon > end || (size_t)(colon - *text) >= sizeof word ||
        (size_t)(end - colon - 1) >= sizeof number)
        return false;
    memcpy(word, *text, (size_t)(colon - *text));
    memcpy(number, colon + 1, (size_t)(end - colon - 1));
    *addr = 0;
    if ((*word && inet_pton(AF_INET, word, addr) != 1) || !opt_number(number, &v) || !v ||
        v > UINT16_MAX)
        return false;
    *port = (uint16_t)v;
    *text = end + (stop != 0);
    return true;
}

static int add_forward(void *target, const char *value, struct err *err)
{
    struct net_user_config *u = &((struct nic_words *)target)->nic.net.user;
    struct net_forward f = {0};
    const char *p = value;
    if (!strncmp(p, "udp:", 4))
        f.udp = true;
    else if (strncmp(p, "tcp:", 4) && *p != ':')
        return bad_forward(value, err);
    p = strchr(p, ':') + 1;
    if (!scan_endpoint(&p, '-', &f.host_addr, &f.host_port) ||
        !scan_endpoint(&p, '\0', &f.guest_addr, &f.guest_port))
        return bad_forward(value, err);
    if (u->nforwards == NET_MAX_FORWARDS)
        return err_set(err, EINVAL, "hostfwd: more than %d ports", NET_MAX_FORWARDS);
    u->forward[u->nforwards++] = f;
    return 0;
}

/* --- what one value says as a whole --- */

static int bad_address(const char *key, const char *text, struct err *err)
{
    return err_set(err, EINVAL, "%s: '%s' is not an address that fits the guest's network", key,
                   OPT_QUOTE(text));
}

/* "ADDR[/BITS]" of either family. */
static bool scan_network(int family, const char *text, void *addr, unsigned *bits, unsigned max)
{
    char word[INET6_ADDRSTRLEN] = "";
    size_t len = strcspn(text, "/");
    uint64_t v;
    if (len >= sizeof word)
        return false;
    memcpy(word, text, len);
    if (inet_pton(family, word, addr) != 1)
        return false;
    if (!text[len])
        return true;
    if (!opt_number(text + len + 1, &v) || v > max)
        return false;
    *bits = (unsigned)v;
    return true;
}

/* An address in the guest's IPv4 network; without text, the network's with `last` in its end. */
static int set_addr4(const struct net_user_config *u, const char *key, const char *text,
                     uint32_t last, uint32_t *addr, struct err *err)
{
    if (!text) {
        *addr = u->net | htonl(last);
        return 0;
    }
    if (inet_pton(AF_INET, text, addr) != 1 || (*addr & u->mask) != u->net || !(*addr & ~u->mask) ||
        (*addr | u->mask) == ~0u)
        return bad_address(key, text, err);
    return 0;
}

static int resolve_user4(struct nic_words *w, struct err *err)
{
    struct net_user_config *u = &w->nic.net.user;
    unsigned bits = 24;
    u->net = htonl(0x0a000200);
    if (w->ipv4_net &&
        (!scan_network(AF_INET, w->ipv4_net, &u->net, &bits, 28) || bits < 8 || !u->net))
        return err_set(err, EINVAL, "net: '%s' is not ADDR[/BITS] with 8 to 28 bits",
                       OPT_QUOTE(w->ipv4_net));
    u->mask = htonl(~0u << (32 - bits));
    u->net &= u->mask;
    uint32_t first = bits > 27 ? 4 : 15; /* in a small network there is no .15 */
    int rc = set_addr4(u, "host", w->host, 2, &u->host, err);
    if (!rc)
        rc = set_addr4(u, "dns", w->dns, 3, &u->dns, err);
    if (!rc)
        rc = set_addr4(u, "dhcpstart", w->dhcp_start, first, &u->dhcp_start, err);
    if (!rc && (u->host == u->dns || u->host == u->dhcp_start || u->dns == u->dhcp_start))
        return err_set(err, EINVAL, "host, dns and dhcpstart must be three different addresses");
    return rc;
}

static int set_addr6(const struct net_user_config *u, const char *key, const char *text,
                     uint8_t last, uint8_t addr[16], struct err *err)
{
    if (!text) {
        memcpy(addr, u->net6, 16);
        addr[15] = last;
        return 0;
    }
    if (inet_pton(AF_INET6, text, addr) != 1 || memcmp(addr, u->net6, u->prefix6 / 8))
        return bad_address(key, text, err);
    return 0;
}

static int resolve_user6(struct nic_words *w, struct err *err)
{
    struct net_user_config *u = &w->nic.net.user;
    unsigned bits = 64;
    inet_pton(AF_INET6, "fec0::", u->net6);
    if (w->net6 && (!scan_network(AF_INET6, w->net6, u->net6, &bits, 120) || bits % 8 || !bits))
        return err_set(err, EINVAL, "ipv6-net: '%s' is not ADDR[/BITS] with 8 to 120 bits, whole "
                                    "bytes",
                       OPT_QUOTE(w->net6));
    u->prefix6 = (uint8_t)bits;
    memset(u->net6 + bits / 8, 0, 16 - bits / 8);
    int rc = set_addr6(u, "ipv6-host", w->host6, 2, u->host6, err);
    if (!rc)
        rc = set_addr6(u, "ipv6-dns", w->dns6, 3, u->dns6, err);
    if (!rc && !memcmp(u->host6, u->dns6, 16))
        return err_set(err, EINVAL, "ipv6-host and ipv6-dns must be two different addresses");
    return rc;
}

static void put_text(char *to, size_t size, const char *text)
{
    size_t len = text ? strnlen(text, size - 1) : 0;
    memcpy(to, text ? text : "", len);
    to[len] = '\0';
}

static int resolve_user(struct nic_words *w, struct err *err)
{
    struct net_user_config *u = &w->nic.net.user;
    put_text(u->hostname, sizeof u->hostname, w->hostname);
    put_text(u->domainname, sizeof u->domainname, w->domainname);
    put_text(u->dnssearch, sizeof u->dnssearch, w->dnssearch);
    if (!u->ipv4 && !u->ipv6)
        return err_set(err, EINVAL, "ipv4=off and ipv6=off leave no network");
    int rc = resolve_user4(w, err);
    return rc ? rc : resolve_user6(w, err);
}

/* --- the options --- */

static struct nic_words fresh_words(unsigned kind)
{
    static const enum net_kind kinds[KINDS] = {NET_USER, NET_TAP, NET_SOCKET, NET_SOCKET};
    struct nic_words w = {0};
    w.nic.net.kind = kinds[kind];
    w.nic.net.queues = 1;
    w.nic.net.reconnect_s = 1;
    w.nic.net.user.ipv4 = w.nic.net.user.ipv6 = true;
    return w;
}

static struct nic_config *find_netdev(struct config *cfg, const char *id)
{
    for (unsigned i = 0; i < cfg->nnics; i++) {
        if (cfg->nics[i].net.id && !strcmp(cfg->nics[i].net.id, id))
            return &cfg->nics[i];
    }
    return NULL;
}

static int append_nic(struct cmdline *cl, const char *option, const struct nic_config *nic,
                      struct err *err)
{
    struct config *cfg = &cl->cfg;
    if (cfg->nnics == CONFIG_MAX_NICS)
        return err_set(err, EINVAL, "%s: more than %d interfaces", option, CONFIG_MAX_NICS);
    if (nic->net.id && find_netdev(cfg, nic->net.id))
        return err_set(err, EINVAL, "%s: two interfaces have the id '%s'", option,
                       OPT_QUOTE(nic->net.id));
    cfg->nics[cfg->nnics++] = *nic;
    return 0;
}

static int print_kinds(const char *option, const struct opt_keys *kinds)
{
    printf("%s takes one of (KIND,help lists its keys):\n", option);
    for (unsigned k = 0; k < KINDS; k++)
        printf("  %-18s %s\n", kind_names[k], kinds[k].help);
    if (kinds == nic_kinds)
        printf("  %-18s %s\n", "none", "No network interface.");
    return OPT_STOP;
}

/* Parse KIND[,KEY=VALUE]... into *nic. */
static int parse_kind(struct cmdline *cl, const char *option, const struct opt_keys *kinds,
                      const char *value, struct nic_config *nic, struct err *err)
{
    size_t len = strcspn(value, ",");
    unsigned k = 0;
    while (k < KINDS && (strlen(kind_names[k]) != len || memcmp(kind_names[k], value, len)))
        k++;
    char word[24];
    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word), value);
    if (k == KINDS)
        return err_set(err, EINVAL, "%s: unknown kind '%s' (known: user, tap, socket, stream%s)",
                       option, OPT_QUOTE(word), kinds == nic_kinds ? ", none" : "");
    struct nic_words w = fresh_words(k);
    struct err inner = {{0}};
    int rc = value[len] ? opt_parse_keys(&kinds[k], &w, value + len + 1, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (w.nic.net.kind == NET_SOCKET && !w.nic.net.path)
        return err_set(err, EINVAL, "%s: no %s=PATH", kinds[k].what,
                       k == KIND_STREAM ? "addr.path" : "path");
    if (w.nic.net.kind == NET_USER && resolve_user(&w, &inner))
        return err_set(err, EINVAL, "%s %s", kinds[k].what, inner.msg);
    *nic = w.nic;
    return 0;
}

int config_add_nic(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct nic_config nic;
    if (!strcmp(value, "help"))
        return print_kinds("-nic", nic_kinds);
    cl->nic_given = true;
    if (!strcmp(value, "none"))
        return 0;
    int rc = parse_kind(cl, "-nic", nic_kinds, value, &nic, err);
    nic.attached = true;
    return rc ? rc : append_nic(cl, "-nic", &nic, err);
}

int config_add_netdev(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct nic_config nic;
    if (!strcmp(value, "help"))
        return print_kinds("-netdev", netdev_kinds);
    cl->nic_given = true;
    int rc = parse_kind(cl, "-netdev", netdev_kinds, value, &nic, err);
    if (rc)
        return rc;
    if (!nic.net.id)
        return err_set(err, EINVAL, "-netdev: no id=ID, so no -device can name it: '%s'",
                       OPT_QUOTE(value));
    return append_nic(cl, "-netdev", &nic, err);
}

static int add_device(struct cmdline *cl, const struct opt_keys *keys, enum virtio_bus bus,
                      const char *words, struct err *err)
{
    struct net_request req = {.device = keys->what, .bus = bus};
    int rc = words ? opt_parse_keys(keys, &req, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (!req.netdev)
        return err_set(err, EINVAL, "-device %s: no netdev=ID", req.device);
    if (cl->nnet_requests == CONFIG_MAX_NICS)
        return err_set(err, EINVAL, "-device %s: more than %d interfaces", req.device,
                       CONFIG_MAX_NICS);
    cl->nic_given = true;
    cl->net_requests[cl->nnet_requests++] = req;
    return 0;
}

int config_add_net_pci(struct cmdline *cl, const char *words, struct err *err)
{
    return add_device(cl, &net_pci_keys, VIRTIO_BUS_PCI, words, err);
}

int config_add_net_mmio(struct cmdline *cl, const char *words, struct err *err)
{
    return add_device(cl, &net_mmio_keys, VIRTIO_BUS_MMIO, words, err);
}

/* --- the whole command line --- */

static int attach(struct cmdline *cl, const struct net_request *req, struct err *err)
{
    struct nic_config *nic = find_netdev(&cl->cfg, req->netdev);
    char label[64];
    if (!nic)
        return err_set(err, EINVAL, "-device %s: no -netdev has the id '%s'", req->device,
                       OPT_QUOTE(req->netdev));
    if (nic->attached)
        return err_set(err, EINVAL, "-device %s: netdev '%s' is attached already", req->device,
                       OPT_QUOTE(req->netdev));
    nic->attached = true;
    nic->bus = req->bus;
    nic->mtu = req->mtu;
    nic->mac_given = req->mac;
    snprintf(label, sizeof label, "-device %s mac", req->device);
    return req->mac ? parse_mac(label, req->mac, nic->mac, err) : 0;
}

static bool mac_taken(const struct config *cfg, unsigned but, const uint8_t *mac)
{
    for (unsigned i = 0; i < cfg->nnics; i++) {
        if (i != but && cfg->nics[i].mac_given && !memcmp(cfg->nics[i].mac, mac, NET_MAC_BYTES))
            return true;
    }
    return false;
}

static int name_macs(struct config *cfg, struct err *err)
{
    static const uint8_t first[NET_MAC_BYTES] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    for (unsigned i = 0; i < cfg->nnics; i++) {
        struct nic_config *nic = &cfg->nics[i];
        if (nic->mac_given && mac_taken(cfg, i, nic->mac))
            return err_set(err, EINVAL, "two network interfaces have the same mac");
        if (nic->mac_given)
            continue;
        memcpy(nic->mac, first, sizeof first);
        while (mac_taken(cfg, i, nic->mac))
            nic->mac[5]++;
        nic->mac_given = true;
    }
    return 0;
}

int config_resolve_nics(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    int rc = 0;
    for (unsigned i = 0; i < cl->nnet_requests && !rc; i++)
        rc = attach(cl, &cl->net_requests[i], err);
    if (!rc && !cl->nic_given)
        rc = config_add_nic(cl, "user", err);
    if (!rc)
        rc = name_macs(cfg, err);
    for (unsigned i = 0; i < cfg->nnics && !rc; i++) {
        if (!cfg->nics[i].attached)
            rc = err_set(err, EINVAL, "-netdev: '%s' is attached to nothing: add -device "
                                      "virtio-net-pci,netdev=ID with its id",
                         OPT_QUOTE(cfg->nics[i].net.id));
    }
    return rc;
}
