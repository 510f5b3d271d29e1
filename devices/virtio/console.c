// SPDX-License-Identifier: MIT
//
// The console device (virtio 1.2 section 5.3): bytes between the queues of its ports and character
// backends. Nothing is stored here: bytes for the guest stay in the backend until there is a buffer
// for them, bytes of the guest in its buffer until the backend takes them. A buffer is filled as
// far as there are bytes and goes back at once; one that nothing could be put into yet is kept.
// A channel gets bytes only while the guest has it open (drivers drop what comes earlier), a
// terminal always. When the backend's far end goes, the driver is told PORT_OPEN 0 after the last
// byte, so that a reader in the guest sees the end; terminals stay open.
// Without the MULTIPORT feature there is port 0 alone.
// Left out: emergency write, hot plug of ports, resizing by the guest.
#include "devices/virtio/console_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

#define DEVICE_ID_CONSOLE 3
#define QUEUE_SIZE 128
#define COPY 4096
/* Bytes a port moves before others have their turn. */
#define BURST (256u * 1024)

static struct virtio_console *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_console, vd);
}

static unsigned rx_queue(unsigned nr)
{
    return nr ? 2 + 2 * nr : 0;
}

static unsigned tx_queue(unsigned nr)
{
    return rx_queue(nr) + 1;
}

static bool multiport(const struct virtio_console *dev)
{
    return virtio_has(&dev->vd, F_MULTIPORT);
}

struct console_port *console_port_find(struct virtio_console *dev, uint32_t nr)
{
    return nr < dev->max_ports && dev->port[nr].regs.exists ? &dev->port[nr] : NULL;
}

int console_pop(struct virtq *vq, struct virtq_chain **chain)
{
    int n = virtq_pop(vq, chain);
    return !n && virtq_enable_kick(vq) ? virtq_pop(vq, chain) : n;
}

/* --- to the guest --- */

static bool guest_listens(const struct console_port *port)
{
    if (!virtio_running(&port->dev->vd) || !port->chr)
        return false;
    return port->terminal || port->regs.guest_open;
}

/* Fill a buffer; how far. */
static uint64_t fill(struct console_port *port, struct virtq_chain *chain, uint64_t room)
{
    uint8_t buf[COPY];
    uint64_t done = 0;
    while (done < room) {
        size_t want = room - done < sizeof buf ? (size_t)(room - done) : sizeof buf;
        size_t n = chr_read(port->chr, buf, want);
        if (!n)
            break;
        chain_write(chain, done, buf, n);
        done += n;
    }
    return done;
}

void console_rx(struct console_port *port)
{
    struct virtq *vq = &port->dev->vd.vq[rx_queue(port->nr)];
    unsigned chains = 2u * vq->max_size;
    uint64_t burst = BURST;
    while (guest_listens(port)) {
        if (!burst || !chains) {
            virtq_kick_again(vq);
            break;
        }
        if (!port->rx && console_pop(vq, &port->rx) <= 0)
            break;
        chains--;
        uint64_t room = port->rx->write_bytes;
        uint64_t n = fill(port, port->rx, room < burst ? room : burst);
        if (!n && room)
            break; /* the buffer waits for bytes */
        burst -= n;
        port->dev->ignored += !room;
        struct virtq_chain *full = port->rx;
        port->rx = NULL;
        virtq_push(full, (uint32_t)n);
    }
    virtq_notify(vq);
}

/* --- from the guest --- */

/* Hand on what the backend takes of the chain, `burst` bytes at most; false: not all of it. */
static bool drain(struct console_port *port, uint64_t *burst)
{
    uint8_t buf[COPY];
    while (port->tx_done < port->tx->read_bytes) {
        size_t want = *burst < sizeof buf ? (size_t)*burst : sizeof buf;
        size_t n = chain_read(port->tx, port->tx_done, buf, want);
        size_t taken = port->chr ? chr_write(port->chr, buf, n) : n;
        port->tx_done += taken;
        *burst -= taken;
        if (taken < n || !*burst)
            return port->tx_done == port->tx->read_bytes;
    }
    return true;
}

static void console_tx(struct console_port *port)
{
    struct virtq *vq = &port->dev->vd.vq[tx_queue(port->nr)];
    unsigned chains = 2u * vq->max_size;
    uint64_t burst = BURST;
    while (virtio_running(&port->dev->vd)) {
        if (!burst || !chains) {
            virtq_kick_again(vq);
            break;
        }
        if (!port->tx) {
            if (console_pop(vq, &port->tx) <= 0)
                break;
            port->tx_done = 0;
            chains--;
        }
        if (!drain(port, &burst)) {
            if (burst)
                break; /* the backend will say when it takes more */
            continue;
        }
        struct virtq_chain *sent = port->tx;
        port->tx = NULL;
        virtq_push(sent, 0);
    }
    virtq_notify(vq);
}

/* --- the backend speaks --- */

static void on_readable(void *self)
{
    console_rx(self);
}

static void on_writable(void *self)
{
    console_tx(self);
}

static void on_peer(void *self, bool here)
{
    struct console_port *port = self;
    if (port->terminal)
        return;
    console_news(port, here ? NEWS_OPENED : NEWS_CLOSED);
    if (here)
        console_rx(port);
}

static void on_resized(void *self)
{
    struct console_port *port = self;
    struct virtio_console *dev = port->dev;
    unsigned cols = 0, rows = 0;
    if (!port->terminal || !chr_size(port->chr, &cols, &rows))
        return;
    if (port->nr == 0) {
        dev->config.cols = (uint16_t)cols;
        dev->config.rows = (uint16_t)rows;
        virtio_config_changed(&dev->vd);
    }
    console_news(port, NEWS_SIZE);
}

/* --- the device --- */

/*
 * Queues of ports that do not exist are there all the same; what a driver puts into them stays
 * there until a reset.
 */
static void console_notify(struct virtio *vd, unsigned q)
{
    struct virtio_console *dev = from_virtio(vd);
    if (q == Q_CONTROL_RX || q == Q_CONTROL_TX) {
        if (!multiport(dev))
            log_guest("%s: control queue without MULTIPORT", vd->ops->name);
        else if (q == Q_CONTROL_TX)
            console_control_take(dev);
        else
            console_control_send(dev);
        return;
    }
    unsigned nr = q < 2 ? 0 : (q - 2) / 2;
    struct console_port *port = console_port_find(dev, nr);
    if (!port || (nr && !multiport(dev))) {
        dev->ignored++;
        log_guest("%s: kick of queue %u of a port that does not exist", vd->ops->name, q);
    } else if (q % 2) {
        console_tx(port);
    } else {
        console_rx(port);
    }
}

static void port_reset(struct console_port *port)
{
    struct virtq_chain *held[] = {port->rx, port->tx};
    for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
        if (held[i])
            virtq_push(held[i], 0);
    }
    port->rx = port->tx = NULL;
    port->tx_done = 0;
    if (port->regs.guest_open && port->chr)
        chr_guest_open(port->chr, false);
    port->regs = (struct console_port_regs){.exists = port->regs.exists};
}

static void console_reset(struct virtio *vd)
{
    struct virtio_console *dev = from_virtio(vd);
    for (unsigned i = 0; i < dev->max_ports; i++)
        port_reset(&dev->port[i]);
}

static void console_fini(struct virtio *vd)
{
    struct virtio_console *dev = from_virtio(vd);
    for (unsigned i = 0; i < dev->max_ports; i++) {
        port_reset(&dev->port[i]);
        if (dev->port[i].chr)
            dev->port[i].chr->client = (struct chr_client){0};
    }
    virtio_fini(vd);
    free(dev->port);
    free(dev);
}

static const struct virtio_ops console_ops = {
    .name = "virtio-console",
    .device_id = DEVICE_ID_CONSOLE,
    .notify = console_notify,
    .reset = console_reset,
    .fini = console_fini,
};

uint64_t virtio_console_ignored(struct virtio *vd)
{
    return from_virtio(vd)->ignored;
}

/* --- set-up --- */

static int add_port(struct virtio_console *dev, const struct virtio_console_port *p,
                    struct err *err)
{
    if (p->nr >= dev->max_ports)
        return err_set(err, EINVAL, "virtio-console: there is no port %u (ports are 0 to %u)",
                       p->nr, dev->max_ports - 1);
    struct console_port *port = &dev->port[p->nr];
    if (port->regs.exists)
        return err_set(err, EINVAL, "virtio-console: port %u is given twice", p->nr);
    if (!p->nr && !p->terminal)
        return err_set(err, EINVAL, "virtio-console: port 0 can only be a terminal");
    if (p->name && strlen(p->name) > VIRTIO_CONSOLE_NAME_MAX)
        return err_set(err, EINVAL, "virtio-console: port name '%s' is longer than %d bytes",
                       p->name, VIRTIO_CONSOLE_NAME_MAX);
    port->regs.exists = true;
    port->terminal = p->terminal;
    if (p->name)
        memcpy(port->name, p->name, strlen(p->name) + 1);
    port->chr = p->chr;
    if (!port->chr)
        return 0;
    port->chr->client = (struct chr_client){
        .readable = on_readable,
        .writable = on_writable,
        .peer = on_peer,
        .resized = on_resized,
        .self = port,
    };
    on_resized(port);
    return 0;
}

static int add_ports(struct virtio_console *dev, const struct virtio_console_port *ports,
                     unsigned nports, struct err *err)
{
    dev->port = calloc(dev->max_ports, sizeof *dev->port);
    if (!dev->port)
        return err_set(err, ENOMEM, "virtio-console: no memory for %u ports", dev->max_ports);
    for (unsigned i = 0; i < dev->max_ports; i++) {
        dev->port[i].dev = dev;
        dev->port[i].nr = i;
    }
    int rc = 0;
    for (unsigned i = 0; i < nports && !rc; i++)
        rc = add_port(dev, &ports[i], err);
    return rc;
}

struct virtio *virtio_console_create(const struct virtio_console_port *ports, unsigned nports,
                                     unsigned max_ports, struct gmem *gmem, struct err *err)
{
    struct virtio_console *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-console: no memory for the device");
        return NULL;
    }
    dev->max_ports = max_ports;
    dev->config.max_nr_ports = max_ports;
    if (!max_ports || max_ports > VIRTIO_CONSOLE_MAX_PORTS) {
        err_set(err, EINVAL, "virtio-console: %u ports asked for, 1 to %d are possible", max_ports,
                VIRTIO_CONSOLE_MAX_PORTS);
        goto out_dev;
    }
    if (virtio_init(&dev->vd, &console_ops, gmem, F_SIZE | F_MULTIPORT, 2 + 2 * max_ports,
                    QUEUE_SIZE, &dev->config, sizeof dev->config, err))
        goto out_dev;
    if (add_ports(dev, ports, nports, err)) {
        console_fini(&dev->vd);
        return NULL;
    }
    return &dev->vd;

out_dev:
    free(dev);
    return NULL;
}
