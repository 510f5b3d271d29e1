// SPDX-License-Identifier: MIT
//
// Shared by console.c (bytes) and console_control.c (messages about ports).
#pragma once

#include "devices/virtio/console.h"
#include "util.h"

#define F_SIZE (1ull << 0)
#define F_MULTIPORT (1ull << 1)

/* Queues, section 5.3.2: port 0, control, then the others. */
enum { Q_CONTROL_RX = 2, Q_CONTROL_TX = 3 };

/* Section 5.3.4. */
struct console_config {
    uint16_t cols, rows;
    uint32_t max_nr_ports, emerg_wr;
};

/* What the driver has not been told yet, lowest bit first. */
enum console_news {
    NEWS_ADD = 1,
    NEWS_TERMINAL = 2,
    NEWS_SIZE = 4,
    NEWS_NAME = 8,
    NEWS_CLOSED = 16,
    NEWS_OPENED = 32,
};

/* What a guest can see and change of a port. */
struct console_port_regs {
    bool exists;
    bool guest_ready; /* it answered PORT_READY */
    bool guest_open;
    uint8_t news;
};

struct console_port {
    struct console_port_regs regs;
    struct virtio_console *dev;
    unsigned nr;
    bool terminal;
    char name[VIRTIO_CONSOLE_NAME_MAX + 1];
    struct chr *chr;
    struct virtq_chain *rx; /* waits for bytes */
    struct virtq_chain *tx; /* the backend took tx_done bytes of it so far */
    uint64_t tx_done;
};

struct virtio_console {
    struct virtio vd;
    struct console_config config;
    uint64_t ignored;
    unsigned max_ports;
    struct console_port *port; /* max_ports of them */
};

/* Port nr if there is such a one, else NULL: for numbers from the guest. */
struct console_port *console_port_find(struct virtio_console *dev, uint32_t nr);
/* As virtq_pop; when there is nothing the driver will kick for the next. */
int console_pop(struct virtq *vq, struct virtq_chain **chain);
/* Move waiting bytes to the guest, as far as both sides let them. */
void console_rx(struct console_port *port);

/* console_control.c */
void console_control_take(struct virtio_console *dev); /* messages of the driver */
void console_control_send(struct virtio_console *dev); /* news, as far as there are buffers */
void console_news(struct console_port *port, enum console_news news);
