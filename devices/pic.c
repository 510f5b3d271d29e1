// SPDX-License-Identifier: MIT
//
// Intel 8259A (datasheet 231468, "Initialization command words", "Operation command words") twice,
// as a PC has them, with the edge/level control registers of PCI south bridges.
//
// An edge that was latched stays a request until it is acknowledged or the chip is initialised,
// also when the line falls before: a real chip would then answer with the spurious vector. The
// kernel's model of KVM latches likewise, and devices may pulse a line.
//
// Left out: MCS-80 mode, buffered mode, ICW3 (the cascade is soldered).
#include "devices/pic.h"

#include "util.h"

#define FIRST_PORT 0x20
#define SECOND_PORT 0xa0
#define ELCR_PORT 0x4d0

#define ICW1 0x10
#define ICW1_IC4 0x01
#define ICW1_SNGL 0x02
#define ICW1_LTIM 0x08
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10
#define OCW3 0x08
#define OCW3_RIS 0x01
#define OCW3_RR 0x02
#define OCW3_P 0x04
#define OCW3_SMM 0x20
#define OCW3_ESMM 0x40
#define POLL_REQUEST 0x80
#define SPURIOUS_PIN 7

/* Timer, keyboard, cascade, clock and coprocessor have no choice. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static uint8_t level_pins(const struct pic_chip_regs *c)
{
    return c->ltim ? 0xff : c->elcr;
}

static void chip_set_pin(struct pic_chip_regs *c, unsigned pin, bool level)
{
    uint8_t bit = (uint8_t)(1u << pin);
    bool rises = level && !(c->lines & bit);
    c->lines = (uint8_t)(level ? c->lines | bit : c->lines & ~bit);
    if (level_pins(c) & bit)
        c->irr = (uint8_t)(level ? c->irr | bit : c->irr & ~bit);
    else if (rises)
        c->irr |= bit;
}

/* 0 is the highest priority. */
static unsigned rank(const struct pic_chip_regs *c, unsigned pin)
{
    return (pin - c->lowest - 1u) & 7;
}

/* The pin of highest priority in a set, or -1. */
static int highest(const struct pic_chip_regs *c, unsigned set)
{
    for (unsigned r = 0; r < 8; r++) {
        unsigned pin = (c->lowest + 1u + r) & 7;
        if (set & 1u << pin)
            return (int)pin;
    }
    return -1;
}

/* In-service levels that hold others back; special mask mode lets masked ones be passed. */
static unsigned in_service(const struct pic_chip_regs *c)
{
    return c->isr & (c->special_mask ? ~(unsigned)c->imr : 0xffu);
}

/* The request that drives INT, or -1. */
static int chip_request(const struct pic_chip_regs *c)
{
    if (c->step != PIC_READY)
        return -1;
    int pin = highest(c, c->irr & ~(unsigned)c->imr);
    int busy = highest(c, in_service(c));
    if (pin < 0 || busy < 0 || rank(c, (unsigned)pin) < rank(c, (unsigned)busy))
        return pin;
    /* Special fully nested: the second chip may interrupt its own interrupts. */
    return pin == busy && pin == PIC_CASCADE && c->sfnm ? pin : -1;
}

static void chip_acknowledge(struct pic_chip_regs *c, unsigned pin)
{
    uint8_t bit = (uint8_t)(1u << pin);
    if (!(level_pins(c) & bit))
        c->irr = (uint8_t)(c->irr & ~bit);
    if (!c->aeoi)
        c->isr |= bit;
    else if (c->rotate_on_aeoi)
        c->lowest = (uint8_t)pin;
}

/* Carry INT of the second chip to the first, and INT of the first out. */
static void pic_update(struct pic *pic)
{
    chip_set_pin(&pic->regs.chip[0], PIC_CASCADE, chip_request(&pic->regs.chip[1]) >= 0);
    bool level = chip_request(&pic->regs.chip[0]) >= 0;
    if (level == pic->out_level)
        return;
    pic->out_level = level;
    irq_set(&pic->out, level);
}

/* A chip lowers INT while it is acknowledged, so that the next request is an edge again. */
static void lower_int(struct pic *pic, unsigned chip)
{
    if (chip) {
        chip_set_pin(&pic->regs.chip[0], PIC_CASCADE, false);
    } else if (pic->out_level) {
        pic->out_level = false;
        irq_set(&pic->out, false);
    }
}

/* One chip's part in INTA: the pin that it answers for. */
static unsigned chip_intack(struct pic *pic, unsigned chip)
{
    struct pic_chip_regs *c = &pic->regs.chip[chip];
    int pin = chip_request(c);
    if (pin < 0)
        return SPURIOUS_PIN;
    chip_acknowledge(c, (unsigned)pin);
    lower_int(pic, chip);
    return (unsigned)pin;
}

int pic_intack(struct pic *pic)
{
    unsigned chip = 0;
    unsigned pin = chip_intack(pic, 0);
    if (pin == PIC_CASCADE) {
        chip = 1;
        pin = chip_intack(pic, 1);
    }
    pic_update(pic);
    return (int)(pic->regs.chip[chip].vector_base + pin);
}

void pic_set_pin(struct pic *pic, unsigned pin, bool level)
{
    if (pin >= PIC_PINS || pin == PIC_CASCADE)
        return;
    chip_set_pin(&pic->regs.chip[pin / 8], pin % 8, level);
    pic_update(pic);
}

static void write_icw1(struct pic_chip_regs *c, uint8_t val)
{
    *c = (struct pic_chip_regs){
        .lines = c->lines,
        .elcr = c->elcr,
        .vector_base = c->vector_base,
        .lowest = 7,
        .step = PIC_WANTS_ICW2,
        .ltim = val & ICW1_LTIM,
        .sngl = val & ICW1_SNGL,
        .ic4 = val & ICW1_IC4,
        .aeoi = c->aeoi && (val & ICW1_IC4),
        .sfnm = c->sfnm && (val & ICW1_IC4),
    };
    c->irr = c->lines & level_pins(c);
}

/* Commands of OCW2's bits 7-5: rotate, specific, end of interrupt. */
static void write_ocw2(struct pic_chip_regs *c, uint8_t val)
{
    bool rotate = val & 0x80, specific = val & 0x40, eoi = val & 0x20;
    int level = specific ? val & 7 : highest(c, in_service(c));
    if (!specific && !eoi) {
        c->rotate_on_aeoi = rotate;
        return;
    }
    if (level < 0)
        return;
    if (eoi)
        c->isr = (uint8_t)(c->isr & ~(1u << level));
    if (rotate)
        c->lowest = (uint8_t)level;
}

static void write_ocw3(struct pic_chip_regs *c, uint8_t val)
{
    if (val & OCW3_ESMM)
        c->special_mask = val & OCW3_SMM;
    if (val & OCW3_RR)
        c->read_isr = val & OCW3_RIS;
    c->poll = val & OCW3_P;
}

/* The port with A0 set: the next initialisation word, or the mask. */
static void write_data(struct pic_chip_regs *c, uint8_t val)
{
    uint8_t after_icw3 = c->ic4 ? PIC_WANTS_ICW4 : PIC_READY;
    switch (c->step) {
    case PIC_WANTS_ICW2:
        c->vector_base = val & 0xf8;
        c->step = c->sngl ? after_icw3 : PIC_WANTS_ICW3;
        break;
    case PIC_WANTS_ICW3:
        c->step = after_icw3;
        break;
    case PIC_WANTS_ICW4:
        c->aeoi = val & ICW4_AEOI;
        c->sfnm = val & ICW4_SFNM;
        c->step = PIC_READY;
        break;
    default:
        c->imr = val;
    }
}

static void port_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pic_port *port = self;
    (void)size;
    struct pic_chip_regs *c = &port->pic->regs.chip[port->chip];
    uint8_t byte = (uint8_t)val;
    if (off)
        write_data(c, byte);
    else if (byte & ICW1)
        write_icw1(c, byte);
    else if (byte & OCW3)
        write_ocw3(c, byte);
    else
        write_ocw2(c, byte);
    /* Its edge detector was reset too: a request that still stands must not be lost for ever. */
    if (!off && (byte & ICW1) && !port->chip)
        lower_int(port->pic, 1);
    pic_update(port->pic);
}

/* A read after the poll command is an INTA to this chip alone. */
static uint8_t read_poll(struct pic *pic, unsigned chip)
{
    if (chip_request(&pic->regs.chip[chip]) < 0)
        return 0;
    return (uint8_t)(POLL_REQUEST | chip_intack(pic, chip));
}

static uint64_t port_read(void *self, uint64_t off, unsigned size)
{
    struct pic_port *port = self;
    (void)size;
    struct pic_chip_regs *c = &port->pic->regs.chip[port->chip];
    if (c->poll) {
        c->poll = false;
        uint8_t answer = read_poll(port->pic, port->chip);
        pic_update(port->pic);
        return answer;
    }
    if (off)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t elcr_read(void *self, uint64_t off, unsigned size)
{
    struct pic *pic = self;
    (void)size;
    return pic->regs.chip[off & 1].elcr;
}

static void elcr_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pic *pic = self;
    (void)size;
    struct pic_chip_regs *c = &pic->regs.chip[off & 1];
    unsigned before = level_pins(c);
    c->elcr = (uint8_t)val & elcr_writable[off & 1];
    unsigned changed = before ^ level_pins(c);
    c->irr = (uint8_t)((c->irr & ~changed) | (c->lines & level_pins(c)));
    pic_update(pic);
}

static const struct io_ops port_io = {port_read, port_write, 1, 1};
static const struct io_ops elcr_io = {elcr_read, elcr_write, 1, 1};

void pic_reset(struct pic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pic_chip_regs *c = &pic->regs.chip[i];
        *c = (struct pic_chip_regs){.lines = c->lines, .lowest = 7, .step = PIC_WANTS_ICW1};
    }
    pic_update(pic);
}

int pic_init(struct pic *pic, struct bus *pio, struct irq_line out, struct err *err)
{
    static const uint16_t base[2] = {FIRST_PORT, SECOND_PORT};
    *pic = (struct pic){.out = out, .pio = pio};
    pic_reset(pic);
    pic->elcr =
        (struct region){.name = "elcr", .base = ELCR_PORT, .len = 2, .ops = &elcr_io, .self = pic};
    int rc = bus_add(pio, &pic->elcr, err);
    for (unsigned i = 0; i < 2 && !rc; i++) {
        struct pic_port *port = &pic->port[i];
        port->pic = pic;
        port->chip = i;
        port->region = (struct region){
            .name = "pic", .base = base[i], .len = 2, .ops = &port_io, .self = port};
        rc = bus_add(pio, &port->region, err);
    }
    if (rc)
        pic_fini(pic);
    return rc;
}

void pic_fini(struct pic *pic)
{
    bus_remove(pic->pio, &pic->elcr);
    for (unsigned i = 0; i < 2; i++)
        bus_remove(pic->pio, &pic->port[i].region);
}
