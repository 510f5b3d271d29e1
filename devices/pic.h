// SPDX-License-Identifier: MIT
//
// The PC's pair of 8259A interrupt controllers: ports 0x20-0x21 and 0xA0-0xA1, and the edge/level
// registers at 0x4D0-0x4D1. Embedded in the interrupt controller of software engines (intc.h).
// Thread: under the device lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "err.h"
#include "irq.h"

#define PIC_PINS 16
#define PIC_CASCADE 2 /* pin of the first chip to which the second one's INT is wired */

/* What a chip waits for. Until it is initialised it requests nothing. */
enum pic_step { PIC_READY, PIC_WANTS_ICW1, PIC_WANTS_ICW2, PIC_WANTS_ICW3, PIC_WANTS_ICW4 };

struct pic_chip_regs {
    uint8_t lines; /* levels of the inputs */
    uint8_t irr, isr, imr;
    uint8_t elcr;         /* 1: level-triggered */
    uint8_t vector_base;  /* ICW2 */
    uint8_t lowest;       /* the pin of lowest priority; the one after it has the highest */
    uint8_t step;         /* enum pic_step */
    bool ltim, sngl, ic4; /* ICW1 */
    bool aeoi, sfnm;      /* ICW4 */
    bool rotate_on_aeoi, special_mask, read_isr, poll;
};

struct pic_regs {
    struct pic_chip_regs chip[2];
};

struct pic;

struct pic_port {
    struct pic *pic;
    unsigned chip;
    struct region region;
};

struct pic {
    struct pic_regs regs;
    bool out_level;
    struct irq_line out; /* INT of the first chip */
    struct bus *pio;
    struct pic_port port[2];
    struct region elcr;
};

int pic_init(struct pic *pic, struct bus *pio, struct irq_line out, struct err *err);
void pic_fini(struct pic *pic);

/* Power-on state; the levels of the inputs stay, they belong to the devices. */
void pic_reset(struct pic *pic);

/* Drive input `pin` (0-15). Pin 2 is the cascade and cannot be driven. */
void pic_set_pin(struct pic *pic, unsigned pin, bool level);

/* INTA: the vector of the highest request, which goes in service; without one that of pin 7. */
int pic_intack(struct pic *pic);
