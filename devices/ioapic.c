// SPDX-License-Identifier: MIT
//
// Intel 82093AA I/O APIC (datasheet 290566, chapter 3): an index and a data register, 24
// redirection entries.
//
// Our wires are active-high whatever a guest programs as polarity: assertion is assertion.
// Messages arrive at once, so delivery status is always idle. Edges on a masked pin are lost, as
// on the chip. Remote IRR is cleared when a pin is made edge-triggered, as guests expect of newer
// chips.
//
// Left out: the EOI register (version 0x20 and up), the APIC bus and its arbitration.
#include "devices/ioapic.h"

#include "layout.h"

#define WINDOW_SIZE 0x1000
#define IOREGSEL 0x00
#define IOWIN 0x10

#define IOAPICID 0
#define IOAPICVER 1
#define IOAPICARB 2
#define IOREDTBL 0x10

#define VERSION (0x11u | (IOAPIC_PINS - 1u) << 16)
#define ID_SHIFT 24
#define ID_MASK 0xfu

#define REDIR_LOGICAL (1u << 11)
#define REDIR_REMOTE_IRR (1u << 14)
#define REDIR_LEVEL (1u << 15)
#define REDIR_MASKED (1u << 16)
#define REDIR_LOW_WRITABLE 0x1afffu
#define REDIR_HIGH_WRITABLE 0xff000000u
#define REDIR_DEST_SHIFT 56

static uint8_t redir_mode(uint64_t redir)
{
    return redir >> 8 & 7;
}

/* Only what ends with an EOI can be level-triggered; the others are edges however programmed. */
static bool redir_is_level(uint64_t redir)
{
    return (redir & REDIR_LEVEL) && redir_mode(redir) <= APIC_LOWEST;
}

static bool redir_send(struct ioapic *io, uint64_t redir)
{
    const struct apic_msg msg = {
        .dest = (uint32_t)(redir >> REDIR_DEST_SHIFT),
        .mode = redir_mode(redir),
        .vector = (uint8_t)redir,
        .logical = redir & REDIR_LOGICAL,
        .level = redir_is_level(redir),
    };
    return io->out.send(io->out.opaque, &msg);
}

/* A level-triggered pin asks again until someone has taken it, and then not before the EOI. */
static void serve_level(struct ioapic *io, unsigned pin)
{
    uint64_t *redir = &io->regs.redir[pin];
    if (!redir_is_level(*redir) || !(io->regs.lines & 1u << pin) ||
        (*redir & (REDIR_MASKED | REDIR_REMOTE_IRR)))
        return;
    if (redir_send(io, *redir))
        *redir |= REDIR_REMOTE_IRR;
}

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool level)
{
    if (pin >= IOAPIC_PINS)
        return;
    uint32_t bit = 1u << pin;
    bool rises = level && !(io->regs.lines & bit);
    io->regs.lines = level ? io->regs.lines | bit : io->regs.lines & ~bit;
    uint64_t redir = io->regs.redir[pin];
    if (redir_is_level(redir))
        serve_level(io, pin);
    else if (rises && !(redir & REDIR_MASKED))
        redir_send(io, redir);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *redir = &io->regs.redir[pin];
        if ((uint8_t)*redir != vector || !(*redir & REDIR_REMOTE_IRR))
            continue;
        *redir &= ~(uint64_t)REDIR_REMOTE_IRR;
        serve_level(io, pin);
    }
}

static uint32_t register_read(const struct ioapic *io)
{
    unsigned reg = io->regs.select;
    if (reg == IOAPICID || reg == IOAPICARB)
        return (uint32_t)io->regs.id << ID_SHIFT;
    if (reg == IOAPICVER)
        return VERSION;
    if (reg < IOREDTBL || reg >= IOREDTBL + 2 * IOAPIC_PINS)
        return 0;
    uint64_t redir = io->regs.redir[(reg - IOREDTBL) / 2];
    return (uint32_t)(reg & 1 ? redir >> 32 : redir);
}

static void register_write(struct ioapic *io, uint32_t val)
{
    unsigned reg = io->regs.select;
    if (reg == IOAPICID)
        io->regs.id = val >> ID_SHIFT & ID_MASK;
    if (reg < IOREDTBL || reg >= IOREDTBL + 2 * IOAPIC_PINS)
        return;
    unsigned pin = (reg - IOREDTBL) / 2;
    uint64_t *redir = &io->regs.redir[pin];
    if (reg & 1) {
        *redir = (uint32_t)*redir | (uint64_t)(val & REDIR_HIGH_WRITABLE) << 32;
        return;
    }
    *redir = (*redir & ~(uint64_t)REDIR_LOW_WRITABLE) | (val & REDIR_LOW_WRITABLE);
    if (!(val & REDIR_LEVEL))
        *redir &= ~(uint64_t)REDIR_REMOTE_IRR;
    serve_level(io, pin);
}

static uint64_t window_read(void *self, uint64_t off, unsigned size)
{
    struct ioapic *io = self;
    (void)size;
    unsigned shift = (unsigned)(off & 3) * 8;
    if ((off & ~3ull) == IOREGSEL)
        return (uint32_t)io->regs.select >> shift;
    if ((off & ~3ull) == IOWIN)
        return register_read(io) >> shift;
    return 0;
}

/* The index is a byte; data is written by 32 bits or not at all. */
static void window_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct ioapic *io = self;
    if (off == IOREGSEL)
        io->regs.select = (uint8_t)val;
    else if (off == IOWIN && size == 4)
        register_write(io, (uint32_t)val);
}

static const struct io_ops window_io = {window_read, window_write, 1, 4};

void ioapic_reset(struct ioapic *io)
{
    io->regs = (struct ioapic_regs){.id = IOAPIC_ID, .lines = io->regs.lines};
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->regs.redir[pin] = REDIR_MASKED;
}

int ioapic_init(struct ioapic *io, struct bus *mmio, struct ioapic_out out, struct err *err)
{
    *io = (struct ioapic){.out = out, .mmio = mmio};
    ioapic_reset(io);
    io->window = (struct region){
        .name = "ioapic", .base = IOAPIC_BASE, .len = WINDOW_SIZE, .ops = &window_io, .self = io};
    return bus_add(mmio, &io->window, err);
}

void ioapic_fini(struct ioapic *io)
{
    bus_remove(io->mmio, &io->window);
}
