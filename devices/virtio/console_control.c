// SPDX-License-Identifier: MIT
//
// The console's control queues (virtio 1.2 section 5.3.6.2): which ports there are, what they are
// called, how large, who has them open. What the driver is to be told are bits of a port, made
// into messages when the driver has buffers for them: nothing piles up however slow it is, and a
// port that was closed and opened again in between is told both, in that order.
// A message that makes no sense is ignored and counted.
#include <stddef.h>

#include "devices/virtio/console_priv.h"
#include "log.h"

enum console_event {
    DEVICE_READY = 0,
    DEVICE_ADD = 1,
    DEVICE_REMOVE = 2,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

struct message {
    uint32_t id;
    uint16_t event, value;
    uint8_t tail[VIRTIO_CONSOLE_NAME_MAX];
};
#define HEADER offsetof(struct message, tail)

static void ignore(struct virtio_console *dev, const struct message *m)
{
    dev->ignored++;
    log_guest("%s: control message %u for port %u makes no sense here", dev->vd.ops->name,
              m->event, m->id);
}

/* --- to the driver --- */

/* Columns first. Linux before 2025 takes them for rows, against the specification. */
static size_t put_size(const struct console_port *port, struct message *m)
{
    unsigned cols = 0, rows = 0;
    chr_size(port->chr, &cols, &rows);
    store_le16(m->tail, (uint16_t)cols);
    store_le16(m->tail + 2, (uint16_t)rows);
    return HEADER + 4;
}

/* The message for one bit of news; its length. */
static size_t compose(const struct console_port *port, enum console_news news, struct message *m)
{
    size_t len = HEADER;
    *m = (struct message){.id = port->nr, .value = 1};
    switch (news) {
    case NEWS_ADD:
        m->event = DEVICE_ADD;
        break;
    case NEWS_TERMINAL:
        m->event = CONSOLE_PORT;
        break;
    case NEWS_SIZE:
        m->event = RESIZE;
        len = put_size(port, m);
        break;
    case NEWS_NAME: /* without a zero byte at the end */
        m->event = PORT_NAME;
        len = HEADER + strlen(port->name);
        memcpy(m->tail, port->name, strlen(port->name));
        break;
    case NEWS_CLOSED:
        m->event = PORT_OPEN;
        m->value = 0;
        break;
    case NEWS_OPENED:
        m->event = PORT_OPEN;
        break;
    }
    return len;
}

/* A buffer too small for its message goes back with nothing in it, and the message is lost. */
static void send_one(struct virtio_console *dev, struct virtq_chain *chain, const struct message *m,
                     size_t len)
{
    if (chain->write_bytes < len) {
        dev->ignored++;
        log_guest("%s: control buffer of %llu bytes is too small", dev->vd.ops->name,
                  (unsigned long long)chain->write_bytes);
        virtq_push(chain, 0);
        return;
    }
    virtq_push(chain, (uint32_t)chain_write(chain, 0, m, len));
}

void console_control_send(struct virtio_console *dev)
{
    struct virtq *vq = &dev->vd.vq[Q_CONTROL_RX];
    if (!virtio_has(&dev->vd, F_MULTIPORT))
        return;
    for (unsigned i = 0; i < dev->max_ports; i++) {
        struct console_port_regs *regs = &dev->port[i].regs;
        while (regs->news) {
            struct virtq_chain *chain;
            struct message m;
            if (console_pop(vq, &chain) <= 0)
                goto out;
            uint8_t bit = (uint8_t)(regs->news & -regs->news);
            regs->news &= (uint8_t)~bit;
            send_one(dev, chain, &m, compose(&dev->port[i], bit, &m));
        }
    }
out:
    virtq_notify(vq);
}

void console_news(struct console_port *port, enum console_news news)
{
    struct console_port_regs *regs = &port->regs;
    if (!regs->guest_ready)
        return; /* it will be told all when it is */
    if (news == NEWS_CLOSED)
        regs->news &= (uint8_t)~NEWS_OPENED;
    regs->news |= (uint8_t)news;
    console_control_send(port->dev);
}

/* --- from the driver --- */

static void device_ready(struct virtio_console *dev, const struct message *m)
{
    if (m->value != 1) {
        log_guest("%s: the driver could not set up", dev->vd.ops->name);
        return;
    }
    for (unsigned i = 0; i < dev->max_ports; i++) {
        if (dev->port[i].regs.exists)
            dev->port[i].regs.news |= NEWS_ADD;
    }
}

static void port_ready(struct console_port *port, const struct message *m)
{
    unsigned cols, rows;
    if (m->value != 1) {
        log_guest("virtio-console: the driver could not set up port %u", port->nr);
        return;
    }
    port->regs.guest_ready = true;
    uint8_t news = port->regs.news;
    if (port->terminal)
        news |= NEWS_TERMINAL;
    if (port->terminal && port->chr && chr_size(port->chr, &cols, &rows))
        news |= NEWS_SIZE;
    if (port->name[0])
        news |= NEWS_NAME;
    if (port->terminal || (port->chr && !port->chr->peer_gone))
        news |= NEWS_OPENED;
    port->regs.news = news;
}

static void port_open(struct console_port *port, const struct message *m)
{
    bool open = m->value != 0;
    if (open == port->regs.guest_open)
        return;
    port->regs.guest_open = open;
    if (port->chr)
        chr_guest_open(port->chr, open);
    if (open)
        console_rx(port);
}

static void handle(struct virtio_console *dev, const struct message *m)
{
    if (m->event == DEVICE_READY) {
        device_ready(dev, m);
        return;
    }
    struct console_port *port = console_port_find(dev, m->id);
    if (port && m->event == PORT_READY)
        port_ready(port, m);
    else if (port && m->event == PORT_OPEN)
        port_open(port, m);
    else
        ignore(dev, m);
}

void console_control_take(struct virtio_console *dev)
{
    struct virtq *vq = &dev->vd.vq[Q_CONTROL_TX];
    struct virtq_chain *chain;
    unsigned budget = 2u * vq->max_size;
    while (budget && console_pop(vq, &chain) > 0) {
        struct message m = {0};
        bool whole = chain_read(chain, 0, &m, HEADER) == HEADER;
        if (!whole)
            dev->ignored++;
        virtq_push(chain, 0);
        if (whole)
            handle(dev, &m);
        budget--;
    }
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
    console_control_send(dev);
}
