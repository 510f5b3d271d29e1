// SPDX-License-Identifier: MIT
//
// Port 0xCF9 (Intel ICH datasheets, "RST_CNT"): the machine is reset when bit 2 goes from 0 to 1.
// Soft, hard and full reset (bits 1 and 3) are one and the same here.
#include "devices/reset_port.h"

#define RST_CNT_SYS_RST 0x02
#define RST_CNT_RST_CPU 0x04
#define RST_CNT_FULL_RST 0x08

static uint64_t reset_port_read(void *self, uint64_t off, unsigned size)
{
    const struct reset_port *port = self;
    (void)off, (void)size;
    return port->value;
}

static void reset_port_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct reset_port *port = self;
    (void)off, (void)size;
    /*
     * RST_CPU never reads as set: the reset that it starts clears the register. So every write of
     * it is a rising edge.
     */
    port->value = val & (RST_CNT_SYS_RST | RST_CNT_FULL_RST);
    if (val & RST_CNT_RST_CPU) {
        port->value = 0;
        stop_request(&port->stop, STOP_RESET, 0);
    }
}

const struct io_ops reset_port_io = {reset_port_read, reset_port_write, 1, 1};
