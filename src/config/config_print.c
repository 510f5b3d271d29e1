// SPDX-License-Identifier: MIT
//
// The resolved configuration as text (-n): one `key = value` a line, in a fixed order, every key
// every time, units with the numbers. Meant for people and for scripts that compare.
#include <arpa/inet.h>
#include <string.h>

#include "src/config/config_parse.h"
#include "util.h"

#define ABSENT "(none)"

/* Text of the user's on one line: control characters and backslashes as escapes. */
static void print_text(const char *key, const char *text, FILE *out)
{
    fprintf(out, "%s = ", key);
    if (!text)
        fputs(ABSENT, out);
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else if (c == '\\')
            fputs("\\\\", out);
        else
            fputc(c, out);
    }
    fputc('\n', out);
}

static void print_flag(const char *key, bool on, FILE *out)
{
    fprintf(out, "%s = %s\n", key, on ? "on" : "off");
}

static void print_disk(const struct disk_config *d, unsigned n, FILE *out)
{
    char key[32];
    snprintf(key, sizeof key, "disk%u", n);
    print_text(key, d->block.path, out);
    snprintf(key, sizeof key, "disk%u.id", n);
    print_text(key, d->id, out);
    snprintf(key, sizeof key, "disk%u.serial", n);
    print_text(key, d->block.serial, out);
    fprintf(out, "disk%u.bus = %s\n", n, config_buses[d->bus].name);
    fprintf(out, "disk%u.queues = %u\n", n, d->queues);
    snprintf(key, sizeof key, "disk%u.read-only", n);
    print_flag(key, d->block.read_only, out);
    snprintf(key, sizeof key, "disk%u.snapshot", n);
    print_flag(key, d->block.snapshot, out);
    fprintf(out, "disk%u.cache = %s\n", n, config_cache_modes[d->block.cache].name);
    fprintf(out, "disk%u.aio = %s\n", n, config_aio_modes[d->block.aio].name);
}

static void print_port(const struct port_config *p, FILE *out)
{
    char key[32];
    snprintf(key, sizeof key, "port%u", p->nr);
    print_text(key, p->backend, out);
    snprintf(key, sizeof key, "port%u.name", p->nr);
    print_text(key, p->name, out);
    fprintf(out, "port%u.kind = %s\n", p->nr, p->terminal ? "terminal" : "channel");
}

static void print_ports(const struct config *cfg, FILE *out)
{
    if (!cfg->virtio_serial) {
        fprintf(out, "ports = " ABSENT "\n");
        return;
    }
    fprintf(out, "ports = %u on %s\n", cfg->nports, config_buses[cfg->ports_bus].name);
    for (unsigned i = 0; i < cfg->nports; i++)
        print_port(&cfg->ports[i], out);
}

static void print_controls(const struct config *cfg, FILE *out)
{
    static const char *const words[] = {[CONTROL_QMP] = "qmp", [CONTROL_MONITOR] = "monitor"};
    print_flag("monitor-stdio", cfg->monitor_stdio, out);
    fprintf(out, "controls = %u\n", cfg->ncontrols);
    for (unsigned i = 0; i < cfg->ncontrols; i++) {
        char key[32];
        snprintf(key, sizeof key, "control%u.%s", i, words[cfg->controls[i].kind]);
        print_text(key, cfg->controls[i].path, out);
    }
}

static void print_share(const struct share_config *s, unsigned n, FILE *out)
{
    char key[32];
    snprintf(key, sizeof key, "share%u", n);
    print_text(key, s->fs.path, out);
    snprintf(key, sizeof key, "share%u.tag", n);
    print_text(key, s->tag, out);
    snprintf(key, sizeof key, "share%u.read-only", n);
    print_flag(key, s->fs.read_only, out);
    fprintf(out, "share%u.cache = %s\n", n, config_share_caches[s->fs.cache].name);
    fprintf(out, "share%u.owner = %s\n", n, config_share_owners[s->fs.owner].name);
    fprintf(out, "share%u.bus = %s\n", n, config_buses[s->bus].name);
    fprintf(out, "share%u.queues = %u\n", n, s->queues);
}

static void print_user(const struct net_user_config *u, const char *nic, FILE *out)
{
    char net[INET_ADDRSTRLEN], host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &u->net, net, sizeof net);
    fprintf(out, "%s.ipv4 = %s", nic, u->ipv4 ? net : "off");
    if (u->ipv4)
        fprintf(out, "/%d", __builtin_popcount(u->mask));
    inet_ntop(AF_INET, &u->host, host, sizeof host);
    inet_ntop(AF_INET, &u->dhcp_start, guest, sizeof guest);
    fprintf(out, u->ipv4 ? ", host %s, guest %s\n" : "\n", host, guest);
    char net6[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, u->net6, net6, sizeof net6);
    if (u->ipv6)
        fprintf(out, "%s.ipv6 = %s/%u\n", nic, net6, u->prefix6);
    else
        fprintf(out, "%s.ipv6 = off\n", nic);
    fprintf(out, "%s.restrict = %s\n", nic, u->restricted ? "on" : "off");
    for (unsigned i = 0; i < u->nforwards; i++) {
        const struct net_forward *f = &u->forward[i];
        inet_ntop(AF_INET, &f->host_addr, host, sizeof host);
        inet_ntop(AF_INET, f->guest_addr ? &f->guest_addr : &u->dhcp_start, guest, sizeof guest);
        fprintf(out, "%s.hostfwd = %s %s:%u to %s:%u\n", nic, f->udp ? "udp" : "tcp", host,
                f->host_port, guest, f->guest_port);
    }
}

static void print_nic(const struct nic_config *nic, unsigned n, FILE *out)
{
    static const char *const kinds[] = {
        [NET_USER] = "user", [NET_TAP] = "tap", [NET_SOCKET] = "socket"};
    char name[16], key[32];
    snprintf(name, sizeof name, "nic%u", n);
    fprintf(out, "%s = %s\n", name, kinds[nic->net.kind]);
    snprintf(key, sizeof key, "%s.id", name);
    print_text(key, nic->net.id, out);
    const uint8_t *m = nic->mac;
    fprintf(out, "%s.mac = %02x:%02x:%02x:%02x:%02x:%02x\n", name, m[0], m[1], m[2], m[3], m[4],
            m[5]);
    fprintf(out, "%s.bus = %s\n", name, config_buses[nic->bus].name);
    if (nic->mtu)
        fprintf(out, "%s.mtu = %u\n", name, nic->mtu);
    snprintf(key, sizeof key, "%s.pcap", name);
    print_text(key, nic->net.pcap, out);
    if (nic->net.kind == NET_USER) {
        print_user(&nic->net.user, name, out);
    } else if (nic->net.kind == NET_TAP) {
        snprintf(key, sizeof key, "%s.ifname", name);
        print_text(key, nic->net.ifname, out);
        fprintf(out, "%s.queues = %u\n", name, nic->net.queues);
    } else {
        snprintf(key, sizeof key, "%s.path", name);
        print_text(key, nic->net.path, out);
        fprintf(out, "%s.reconnect = %u s\n", name, nic->net.reconnect_s);
    }
}

static void print_machine(const struct config *cfg, FILE *out)
{
    bool whole_mib = cfg->ram_size % MIB(1) == 0;
    fprintf(out, "memory = %llu %s\n",
            (unsigned long long)(cfg->ram_size / (whole_mib ? MIB(1) : KIB(1))),
            whole_mib ? "MiB" : "KiB");
    fprintf(out, "cpus = %u\n", cfg->smp);
    fprintf(out, "accel = ");
    for (unsigned i = 0; i < cfg->naccels; i++)
        fprintf(out, "%s%s", i ? ":" : "", cfg->accels[i]);
    fputc('\n', out);
    fprintf(out, "cpu = ");
    cpu_choice_print(&cfg->cpu, out);
    fputc('\n', out);
    print_flag("accel-probe", cfg->accel_probe, out);
    if (cfg->icount)
        fprintf(out, "icount = shift %u, seed %llu\n", cfg->icount_shift,
                (unsigned long long)cfg->icount_seed);
    else
        fprintf(out, "icount = " ABSENT "\n");
}

void config_print(const struct config *cfg, FILE *out)
{
    print_text("name", cfg->name, out);
    print_text("kernel", cfg->kernel, out);
    fprintf(out, "kernel-unpack = %s\n", config_unpack_modes[cfg->unpack].name);
    if (!cfg->initrd)
        fprintf(out, "initrd = %s\n", cfg->no_initrd ? ABSENT : "(made when needed)");
    else
        print_text("initrd", cfg->initrd, out);
    print_text("modules", cfg->modules, out);
    print_text("append", cfg->append, out);
    print_machine(cfg, out);
    fprintf(out, "disks = %u\n", cfg->ndisks);
    for (unsigned i = 0; i < cfg->ndisks; i++)
        print_disk(&cfg->disks[i], i, out);
    fprintf(out, "shares = %u\n", cfg->nshares);
    for (unsigned i = 0; i < cfg->nshares; i++)
        print_share(&cfg->shares[i], i, out);
    fprintf(out, "nics = %u\n", cfg->nnics);
    for (unsigned i = 0; i < cfg->nnics; i++)
        print_nic(&cfg->nics[i], i, out);
    if (cfg->debug_exit)
        fprintf(out, "debug-exit = port 0x%x, %u bytes\n", cfg->debug_exit_port,
                cfg->debug_exit_size);
    else
        fprintf(out, "debug-exit = " ABSENT "\n");
    print_text("com1", cfg->serials[0], out);
    print_text("com2", cfg->serials[1], out);
    print_ports(cfg, out);
    print_controls(cfg, out);
    if (cfg->rng && cfg->rng_seeded)
        fprintf(out, "rng = %s, seed %llu\n", config_buses[cfg->rng_bus].name,
                (unsigned long long)cfg->rng_seed);
    else
        fprintf(out, "rng = %s\n", cfg->rng ? config_buses[cfg->rng_bus].name : ABSENT);
    if (cfg->balloon.there)
        fprintf(out, "balloon = %s, reporting %s, deflate-on-oom %s, target %llu KiB\n",
                config_buses[cfg->balloon.bus].name, cfg->balloon.reporting ? "on" : "off",
                cfg->balloon.deflate_on_oom ? "on" : "off",
                (unsigned long long)(cfg->balloon.target >> 10));
    else
        fprintf(out, "balloon = " ABSENT "\n");
    print_text("vsock", cfg->vsock.path, out);
    if (cfg->vsock.path)
        fprintf(out, "vsock.cid = %u\nvsock.bus = %s\n", cfg->vsock.cid,
                config_buses[cfg->vsock.bus].name);
    print_flag("i6300esb", cfg->i6300esb, out);
    print_flag("reboot", !cfg->no_reboot, out);
    fprintf(out, "on-panic = %s\n", cfg->panic_action == PANIC_NONE ? "none" : "shutdown");
    fprintf(out, "on-watchdog = %s\n", config_watchdog_actions[cfg->watchdog_action].name);
    if (cfg->timeout_s)
        fprintf(out, "timeout = %u s\n", cfg->timeout_s);
    else
        fprintf(out, "timeout = " ABSENT "\n");
    print_text("result", cfg->result, out);
    print_text("junit", cfg->junit, out);
    fprintf(out, "junit.pass = %u\n", cfg->junit_pass);
    fprintf(out, "exits = %s\n", !cfg->exits ? ABSENT : cfg->exits_file ? cfg->exits_file : "text");
    print_text("symbols", cfg->symbols, out);
    print_text("gdb", cfg->gdb, out);
    print_flag("start-stopped", cfg->start_stopped, out);
    print_text("pidfile", cfg->pidfile, out);
    print_text("log", cfg->log_items, out);
    print_text("log-file", cfg->log_file, out);
}
