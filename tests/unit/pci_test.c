// SPDX-License-Identifier: MIT
//
// The PCI host and its functions, driven through the two buses as a guest would.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "layout.h"
#include "pci.h"
#include "tests/lib/suite.h"
#include "util.h"

#define BAR_SIZE 0x2000

/* A function whose BARs answer with who they are, and which notes what it is told. */
struct toy {
    struct pci_func func;
    uint32_t written;
    unsigned remaps, cap_reads, cap_writes, last_off, last_size;
    unsigned window; /* a capability whose first data byte counts its reads */
};

static struct bus pio, mmio;
static struct pci_host *host;
static struct toy toys[3];
static bool wire[2];
static unsigned wire_changes;
static uint64_t reset_port_value;
static struct err err;

static uint64_t toy_read(void *self, uint64_t off, unsigned size)
{
    const struct toy *toy = self;
    return (0x1000u * toy->func.slot + off) & size_mask(size);
}

static void toy_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    (void)off, (void)size;
    ((struct toy *)self)->written = (uint32_t)val;
}

static const struct io_ops toy_ops = {.read = toy_read, .write = toy_write, .min = 1, .max = 4};

static struct toy *toy_of(struct pci_func *func)
{
    return container_of(func, struct toy, func);
}

static void toy_remapped(struct pci_func *func)
{
    toy_of(func)->remaps++;
}

static void toy_config_written(struct pci_func *func, unsigned off, unsigned size)
{
    struct toy *toy = toy_of(func);
    toy->cap_writes++;
    toy->last_off = off;
    toy->last_size = size;
}

static void toy_config_reading(struct pci_func *func, unsigned off, unsigned size)
{
    (void)off, (void)size;
    toy_of(func)->cap_reads++;
    func->config[toy_of(func)->window + 2]++;
}

static const struct pci_func_ops toy_func_ops = {
    .remapped = toy_remapped,
    .config_written = toy_config_written,
    .config_reading = toy_config_reading,
};

static void set_wire(void *opaque, unsigned n, bool level)
{
    (void)opaque;
    wire[n] = level;
    wire_changes++;
}

static uint64_t reset_port_read(void *self, uint64_t off, unsigned size)
{
    (void)off, (void)size;
    return *(uint64_t *)self;
}

static void reset_port_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    (void)off, (void)size;
    *(uint64_t *)self = val;
}

static const struct io_ops reset_port_ops = {
    .read = reset_port_read, .write = reset_port_write, .min = 1, .max = 1};

static void toy_init(struct toy *toy, const char *name, uint16_t device)
{
    *toy = (struct toy){0};
    toy->func.device.name = name;
    toy->func.pci_ops = &toy_func_ops;
    pci_func_init(&toy->func, &(struct pci_ident){.vendor = 0x1af4,
                                                   .device = device,
                                                   .subvendor = 0x1111,
                                                   .subdevice = 0x2222,
                                                   .class_code = 0x018001,
                                                   .revision = 7,
                                                   .interrupt_pin = true});
    pci_bar_init(&toy->func, 0, BAR_SIZE, name, &toy_ops, toy);
    toy->window = pci_cap_add(&toy->func, 0x09, 6);
    toy->func.wmask[toy->window + 4] = 0x0f;
    pci_cap_add(&toy->func, 0x11, 12);
}

static void setup(void)
{
    static const char *const names[] = {"toy-a", "toy-b", "toy-c"};
    bus_init(&pio, "pio", 65536);
    bus_init(&mmio, "mmio", 0);
    wire[0] = wire[1] = false;
    wire_changes = 0;
    reset_port_value = 0;
    err = (struct err){{0}};
    const struct pci_host_config cfg = {
        .pio = &pio,
        .mmio = &mmio,
        .intx = {{set_wire, NULL, 0}, {set_wire, NULL, 1}},
        .reset_port = {&reset_port_ops, &reset_port_value},
    };
    host = pci_host_create(&cfg, &err);
    ck_assert_msg(host != NULL, "%s", err.msg);
    for (unsigned i = 0; i < ARRAY_LEN(toys); i++) {
        toy_init(&toys[i], names[i], (uint16_t)(0x1040 + i));
        ck_assert_msg(pci_add(host, &toys[i].func, 1, &err) == 0, "%s", err.msg);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(toys); i++)
        pci_remove(&toys[i].func);
    struct device *dev = pci_host_device(host);
    dev->ops->fini(dev);
    ck_assert_uint_eq(pio.nregions, 0);
    ck_assert_uint_eq(mmio.nregions, 0);
}

/* Mechanism #1. */
static uint32_t cfg_read(unsigned slot, unsigned off, unsigned size)
{
    bus_write(&pio, 0xcf8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
    return (uint32_t)bus_read(&pio, 0xcfc + off % 4, size);
}

static void cfg_write(unsigned slot, unsigned off, unsigned size, uint32_t val)
{
    bus_write(&pio, 0xcf8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
    bus_write(&pio, 0xcfc + off % 4, size, val);
}

static uint64_t ecam(unsigned slot, unsigned off)
{
    return ECAM_BASE + ((uint64_t)slot << 15) + off;
}

static uint32_t bar(unsigned i)
{
    return load_le32(toys[i].func.config + 0x10);
}

START_TEST(mechanism_1_shows_identity_at_every_width)
{
    ck_assert_uint_eq(cfg_read(0, 0, 4), 0x00081b36);
    ck_assert_uint_eq(cfg_read(0, 8, 4) >> 8, 0x060000);
    ck_assert_uint_eq(cfg_read(1, 0, 4), 0x10401af4);
    ck_assert_uint_eq(cfg_read(1, 2, 2), 0x1040);
    ck_assert_uint_eq(cfg_read(1, 3, 1), 0x10);
    ck_assert_uint_eq(cfg_read(1, 8, 4), 0x01800107);
    ck_assert_uint_eq(cfg_read(1, 0x2c, 4), 0x22221111);
    ck_assert_uint_eq(cfg_read(1, 0x0e, 1), 0); /* single function */
}
END_TEST

START_TEST(mechanism_1_address_is_a_dword_latch)
{
    bus_write(&pio, 0xcf8, 4, 0xffffffff);
    ck_assert_uint_eq(bus_read(&pio, 0xcf8, 4), 0x80fffffc);
    bus_write(&pio, 0xcf8, 1, 0); /* narrower: not the latch's */
    bus_write(&pio, 0xcfb, 1, 0);
    bus_write(&pio, 0xcf8, 2, 0);
    ck_assert_uint_eq(bus_read(&pio, 0xcf8, 4), 0x80fffffc);
}
END_TEST

START_TEST(mechanism_1_without_enable_bit_reaches_nothing)
{
    bus_write(&pio, 0xcf8, 4, 1 << 11);
    ck_assert_uint_eq(bus_read(&pio, 0xcfc, 4), 0xffffffff);
    bus_write(&pio, 0xcfc + 0, 4, 0);
    ck_assert_uint_eq(cfg_read(1, 0, 4), 0x10401af4);
}
END_TEST

START_TEST(byte_access_to_cf9_goes_to_the_reset_port)
{
    bus_write(&pio, 0xcf8, 4, 0x80000800);
    bus_write(&pio, 0xcf9, 1, 0x06);
    ck_assert_uint_eq(reset_port_value, 6);
    ck_assert_uint_eq(bus_read(&pio, 0xcf9, 1), 6);
    ck_assert_uint_eq(bus_read(&pio, 0xcf8, 4), 0x80000800);
    bus_write(&pio, 0xcf8, 4, 0x80000a00); /* a dword passes it by */
    ck_assert_uint_eq(reset_port_value, 6);
}
END_TEST

START_TEST(absent_functions_read_all_ones)
{
    ck_assert_uint_eq(cfg_read(9, 0, 4), 0xffffffff);
    bus_write(&pio, 0xcf8, 4, 0x80010800); /* bus 1 */
    ck_assert_uint_eq(bus_read(&pio, 0xcfc, 4), 0xffffffff);
    bus_write(&pio, 0xcf8, 4, 0x80000900); /* slot 1, function 1 */
    ck_assert_uint_eq(bus_read(&pio, 0xcfc, 2), 0xffff);
    ck_assert_uint_eq(bus_read(&mmio, ecam(9, 0), 4), 0xffffffff);
    ck_assert_uint_eq(bus_read(&mmio, ecam(1, 0x1000), 4), 0xffffffff);
    bus_write(&mmio, ecam(9, 4), 4, 0); /* and writes go nowhere */
}
END_TEST

START_TEST(ecam_and_mechanism_1_reach_the_same_registers)
{
    ck_assert_uint_eq(bus_read(&mmio, ecam(2, 0), 4), 0x10411af4);
    bus_write(&mmio, ecam(2, 0x3c), 1, 0x55);
    ck_assert_uint_eq(cfg_read(2, 0x3c, 1), 0x55);
    ck_assert_uint_eq(bus_read(&mmio, ecam(2, 0x100), 4), 0); /* extended space */
    ck_assert_uint_eq(bus_read(&mmio, ecam(2, 0), 8), 0x0010000210411af4ull);
}
END_TEST

START_TEST(ecam_access_across_functions_is_taken_apart)
{
    /* Last bytes of function 2.0 (zero), first of function 2.1 (absent). */
    ck_assert_uint_eq(bus_read(&mmio, ecam(2, 0xffe), 4), 0xffff0000);
    bus_write(&mmio, ecam(2, 0xfff), 4, 0x12345678);
    ck_assert_uint_eq(bus_read(&mmio, ecam(2, 0xffc), 4), 0);
}
END_TEST

START_TEST(config_writes_pass_the_mask)
{
    cfg_write(1, 0, 4, 0);
    ck_assert_uint_eq(cfg_read(1, 0, 4), 0x10401af4);
    cfg_write(1, 4, 2, 0xffff);
    ck_assert_uint_eq(cfg_read(1, 4, 2), 0x0546);
    cfg_write(1, toys[0].window, 4, 0xffffffff);
    cfg_write(1, toys[0].window + 4, 1, 0xff);
    ck_assert_uint_eq(cfg_read(1, toys[0].window, 1), 0x09);
    ck_assert_uint_eq(cfg_read(1, toys[0].window + 4, 1), 0x0f);
}
END_TEST

START_TEST(status_error_bits_are_cleared_by_ones)
{
    toys[0].func.config[7] = 0xf9;
    cfg_write(1, 6, 2, 0x1800);
    ck_assert_uint_eq(cfg_read(1, 6, 2), 0xe110);
    cfg_write(1, 4, 4, 0xffff0002); /* with the command register in one access */
    ck_assert_uint_eq(cfg_read(1, 6, 2), 0x0010);
}
END_TEST

START_TEST(capabilities_form_a_list)
{
    ck_assert_uint_eq(cfg_read(1, 6, 2) & 0x10, 0x10);
    unsigned first = cfg_read(1, 0x34, 1);
    ck_assert_uint_eq(first, 0x40);
    ck_assert_uint_eq(cfg_read(1, first, 1), 0x09);
    unsigned second = cfg_read(1, first + 1, 1);
    ck_assert_uint_eq(second, 0x48); /* 6 bytes, rounded up */
    ck_assert_uint_eq(cfg_read(1, second, 1), 0x11);
    ck_assert_uint_eq(cfg_read(1, second + 1, 1), 0);
    ck_assert_uint_eq(cfg_read(0, 6, 2) & 0x10, 0);
}
END_TEST

START_TEST(capability_that_does_not_fit_is_refused)
{
    struct pci_func *func = calloc(1, sizeof *func);
    pci_func_init(func, &(struct pci_ident){.vendor = 1});
    ck_assert_uint_eq(pci_cap_add(func, 9, 0xbc), 0x40);
    ck_assert_uint_eq(pci_cap_add(func, 9, 5), 0);
    ck_assert_uint_eq(pci_cap_add(func, 9, 4), 0xfc);
    ck_assert_uint_eq(pci_cap_add(func, 9, 4), 0);
    free(func);
}
END_TEST

START_TEST(capability_accesses_are_told_to_the_owner)
{
    struct toy *toy = &toys[0];
    unsigned at = toy->window;
    cfg_write(1, at + 4, 1, 3);
    ck_assert_uint_eq(toy->cap_writes, 1);
    ck_assert_uint_eq(toy->last_off, at + 4);
    ck_assert_uint_eq(toy->last_size, 1);
    ck_assert_uint_eq(cfg_read(1, at + 2, 1), 1); /* the owner filled it in just before */
    ck_assert_uint_eq(bus_read(&mmio, ecam(1, at + 2), 1), 2);
    cfg_read(1, 0, 4);
    cfg_write(1, 0x3c, 1, 1);
    ck_assert_uint_eq(toy->cap_reads, 2);
    ck_assert_uint_eq(toy->cap_writes, 1);
}
END_TEST

START_TEST(bars_are_assigned_aligned_apart_and_decoding)
{
    for (unsigned i = 0; i < ARRAY_LEN(toys); i++) {
        ck_assert(toys[i].func.bar[0].mapped);
        ck_assert_uint_eq(bar(i) % BAR_SIZE, 0);
        ck_assert_uint_ge(bar(i), PCI_WINDOW_BASE);
        ck_assert_uint_eq(cfg_read(i + 1, 4, 2) & 2, 2);
        ck_assert_uint_eq(bus_read(&mmio, bar(i) + 4, 4), 0x1000 * (i + 1) + 4);
        for (unsigned j = 0; j < i; j++)
            ck_assert(!ranges_overlap(bar(i), BAR_SIZE, bar(j), BAR_SIZE));
    }
}
END_TEST

START_TEST(bar_sizing_shows_the_size_and_no_type_bits)
{
    uint32_t before = cfg_read(1, 0x10, 4);
    cfg_write(1, 4, 2, 0);
    cfg_write(1, 0x10, 4, 0xffffffff);
    ck_assert_uint_eq(cfg_read(1, 0x10, 4), (uint32_t)-BAR_SIZE);
    cfg_write(1, 0x14, 4, 0xffffffff); /* absent BAR */
    ck_assert_uint_eq(cfg_read(1, 0x14, 4), 0);
    cfg_write(1, 0x30, 4, 0xffffffff); /* no expansion ROM */
    ck_assert_uint_eq(cfg_read(1, 0x30, 4), 0);
    cfg_write(1, 0x10, 4, before);
    cfg_write(1, 4, 2, 2);
    ck_assert_uint_eq(bus_read(&mmio, before, 2), 0x1000);
}
END_TEST

START_TEST(memory_enable_switches_decoding)
{
    uint32_t at = bar(0);
    cfg_write(1, 4, 1, 0);
    ck_assert(!toys[0].func.bar[0].mapped);
    ck_assert_uint_eq(bus_read(&mmio, at, 4), 0xffffffff);
    cfg_write(1, 4, 1, 2);
    ck_assert(toys[0].func.bar[0].mapped);
    bus_write(&mmio, at + 8, 4, 0xabcd);
    ck_assert_uint_eq(toys[0].written, 0xabcd);
    ck_assert_uint_eq(toys[0].remaps, 3); /* plugged in, off, on */
    cfg_write(1, 4, 1, 6);                /* bus mastering changes nothing here */
    ck_assert_uint_eq(toys[0].remaps, 3);
}
END_TEST

START_TEST(bar_moves_while_enabled)
{
    uint32_t from = bar(0), to = 0xd0000000;
    cfg_write(1, 0x10, 4, to);
    ck_assert_uint_eq(toys[0].func.bar[0].region.base, to);
    ck_assert_uint_eq(bus_read(&mmio, to, 4), 0x1000);
    ck_assert_uint_eq(bus_read(&mmio, from, 4), 0xffffffff);
    cfg_write(1, 0x13, 1, 0xd1); /* by a byte, too */
    ck_assert_uint_eq(bus_read(&mmio, 0xd1000000, 4), 0x1000);
    ck_assert_uint_eq(bus_read(&mmio, to, 4), 0xffffffff);
}
END_TEST

START_TEST(overlapping_bar_is_not_mapped_until_the_other_leaves)
{
    uint32_t a = bar(0), b = bar(1);
    cfg_write(1, 0x10, 4, b);
    ck_assert(!toys[0].func.bar[0].mapped);
    ck_assert_uint_eq(bus_read(&mmio, b, 4), 0x2000); /* who was there first */
    ck_assert_uint_eq(bus_read(&mmio, a, 4), 0xffffffff);
    unsigned remaps = toys[0].remaps;
    cfg_write(2, 0x10, 4, a);
    ck_assert_uint_eq(bus_read(&mmio, a, 4), 0x2000);
    ck_assert_uint_eq(bus_read(&mmio, b, 4), 0x1000);
    ck_assert_uint_eq(toys[0].remaps, remaps + 1);
}
END_TEST

START_TEST(bar_outside_the_window_is_not_mapped)
{
    static const uint32_t places[] = {0x00000000,  0x00002000, 0x40000000,          0xbfffe000,
                                      ECAM_BASE,   IOAPIC_BASE, (uint32_t)LAPIC_BASE, 0xffffe000,
                                      VIRTIO_MMIO_BASE};
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        cfg_write(1, 0x10, 4, places[i]);
        ck_assert(!toys[0].func.bar[0].mapped);
        ck_assert_uint_eq(cfg_read(1, 0x10, 4), places[i]);
    }
    ck_assert_uint_eq(bus_read(&mmio, ecam(1, 0), 4), 0x10401af4);
    cfg_write(1, 0x10, 4, 0xdfffe000); /* the last place inside */
    ck_assert(toys[0].func.bar[0].mapped);
}
END_TEST

START_TEST(bar_over_another_region_is_not_mapped)
{
    struct region other = {
        .name = "other", .base = 0xd8000000, .len = 0x100, .ops = &toy_ops, .self = &toys[2]};
    ck_assert_int_eq(bus_add(&mmio, &other, &err), 0);
    cfg_write(1, 0x10, 4, 0xd8000000);
    ck_assert(!toys[0].func.bar[0].mapped);
    ck_assert_uint_eq(bus_read(&mmio, 0xd8000000, 4), 0x3000);
    bus_remove(&mmio, &other);
}
END_TEST

START_TEST(intx_is_routed_by_slot)
{
    ck_assert_uint_eq(cfg_read(1, 0x3d, 1), 1);
    for (unsigned slot = 1; slot < 4; slot++)
        ck_assert_uint_eq(cfg_read(slot, 0x3c, 1), pci_slot_gsi(slot));
    ck_assert_uint_eq(cfg_read(0, 0x3d, 1), 0);
    ck_assert_uint_eq(pci_slot_gsi(2), IRQ_PCI_FIRST);
    ck_assert_uint_eq(pci_slot_gsi(3), IRQ_PCI_FIRST + 1);
    pci_intx_set(&toys[1].func, true); /* slot 2 */
    ck_assert(wire[0] && !wire[1]);
    ck_assert_uint_eq(cfg_read(2, 6, 2) & 8, 8);
    pci_intx_set(&toys[1].func, false);
    ck_assert(!wire[0] && !wire[1]);
    ck_assert_uint_eq(cfg_read(2, 6, 2) & 8, 0);
}
END_TEST

START_TEST(shared_intx_stays_up_while_anyone_asserts)
{
    pci_intx_set(&toys[0].func, true); /* slots 1 and 3 share */
    pci_intx_set(&toys[2].func, true);
    pci_intx_set(&toys[0].func, false);
    ck_assert(wire[1]);
    pci_intx_set(&toys[2].func, false);
    ck_assert(!wire[1]);
    ck_assert_uint_eq(wire_changes, 2);
}
END_TEST

START_TEST(interrupt_disable_holds_the_wire_but_not_the_status)
{
    cfg_write(1, 4, 2, 0x0402);
    pci_intx_set(&toys[0].func, true);
    ck_assert(!wire[1]);
    ck_assert_uint_eq(cfg_read(1, 6, 2) & 8, 8);
    cfg_write(1, 5, 1, 0);
    ck_assert(wire[1]);
    cfg_write(1, 5, 1, 4);
    ck_assert(!wire[1]);
}
END_TEST

START_TEST(reset_restores_what_firmware_left)
{
    uint32_t at = bar(0);
    pci_intx_set(&toys[0].func, true);
    cfg_write(1, 0x10, 4, 0xd0000000);
    cfg_write(1, 0x3c, 1, 0x77);
    cfg_write(1, 4, 2, 0x0404);
    pci_func_reset(&toys[0].func);
    ck_assert_uint_eq(cfg_read(1, 0x10, 4), at);
    ck_assert_uint_eq(cfg_read(1, 4, 4), 0x00100002);
    ck_assert_uint_eq(cfg_read(1, 0x3c, 1), pci_slot_gsi(1));
    ck_assert_uint_eq(bus_read(&mmio, at, 4), 0x1000);
    ck_assert(!wire[1]);
}
END_TEST

START_TEST(reset_in_any_order_settles_exchanged_bars)
{
    uint32_t a = bar(0), b = bar(1);
    cfg_write(1, 4, 1, 0);
    cfg_write(1, 0x10, 4, b);
    cfg_write(2, 0x10, 4, a);
    cfg_write(1, 4, 1, 2);
    ck_assert_uint_eq(bus_read(&mmio, b, 4), 0x1000);
    struct device *dev = pci_host_device(host);
    dev->ops->reset(dev);
    pci_func_reset(&toys[0].func); /* its place is still taken */
    pci_func_reset(&toys[1].func);
    ck_assert_uint_eq(bus_read(&mmio, a, 4), 0x1000);
    ck_assert_uint_eq(bus_read(&mmio, b, 4), 0x2000);
    ck_assert_uint_eq(bus_read(&pio, 0xcf8, 4), 0);
}
END_TEST

START_TEST(removed_function_is_gone_and_its_slot_free)
{
    uint32_t at = bar(1);
    pci_intx_set(&toys[1].func, true);
    pci_remove(&toys[1].func);
    ck_assert(!wire[0]);
    ck_assert_uint_eq(cfg_read(2, 0, 4), 0xffffffff);
    ck_assert_uint_eq(bus_read(&mmio, at, 4), 0xffffffff);
    ck_assert_ptr_null(pci_host_func(host, 2));
    pci_remove(&toys[1].func); /* twice is harmless */
    toy_init(&toys[1], "again", 0x1050);
    ck_assert_int_eq(pci_add(host, &toys[1].func, 1, &err), 0);
    ck_assert_ptr_eq(pci_host_func(host, 2), &toys[1].func);
}
END_TEST

START_TEST(function_gets_the_slot_asked_for_or_the_next_free_one)
{
    struct toy *more = calloc(3, sizeof *more);
    const unsigned want[] = {PCI_SLOTS - 1, 20, 4}; /* slots 0 to 3 are taken */
    for (unsigned i = 0; i < 3; i++) {
        toy_init(&more[i], "more", 0x1080);
        unsigned slot = i == 1 ? 20 : PCI_SLOTS - 1;
        ck_assert_int_eq(pci_add(host, &more[i].func, slot, &err), 0);
        ck_assert_ptr_eq(pci_host_func(host, want[i]), &more[i].func);
        ck_assert_uint_eq(cfg_read(want[i], 0x3c, 1), pci_slot_gsi(want[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        pci_remove(&more[i].func);
    free(more);
}
END_TEST

START_TEST(full_bus_is_an_error_that_says_so)
{
    struct toy *many = calloc(PCI_SLOTS, sizeof *many);
    unsigned n = 0;
    for (; n < PCI_SLOTS; n++) {
        toy_init(&many[n], "more", 0x1060);
        if (pci_add(host, &many[n].func, 1, &err))
            break;
    }
    ck_assert_uint_eq(n, PCI_SLOTS - 4);
    ck_assert_ptr_nonnull(strstr(err.msg, "no free slot"));
    while (n--)
        pci_remove(&many[n].func);
    free(many);
}
END_TEST

START_TEST(bar_that_does_not_fit_the_window_is_an_error)
{
    struct toy *big = calloc(2, sizeof *big);
    toy_init(&big[0], "big", 0x1070);
    pci_bar_init(&big[0].func, 1, PCI_WINDOW_SIZE, "big", &toy_ops, &big[0]);
    ck_assert_int_lt(pci_add(host, &big[0].func, 1, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "no room"));
    err = (struct err){{0}};
    toy_init(&big[1], "odd", 0x1071);
    pci_bar_init(&big[1].func, 1, 0x1800, "odd", &toy_ops, &big[1]);
    ck_assert_int_lt(pci_add(host, &big[1].func, 1, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "impossible size"));
    ck_assert_ptr_null(pci_host_func(host, 4));
    free(big);
}
END_TEST

/*
 * Whatever is written wherever: nothing breaks, mapped BARs agree with their registers, and a
 * reset brings all back.
 */
START_TEST(random_config_accesses_do_no_harm)
{
    unsigned seed = 20240607;
    uint32_t home[3] = {bar(0), bar(1), bar(2)};
    for (unsigned i = 0; i < 300000; i++) {
        unsigned size = 1u << rand_r(&seed) % 4, slot = (unsigned)rand_r(&seed) % 6;
        uint32_t val = (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed);
        unsigned off = (unsigned)rand_r(&seed) % (rand_r(&seed) % 2 ? 0x60 : 0x8000);
        if (rand_r(&seed) % 2 == 0)
            val = 0xc0000000 | (val & 0x7000); /* a place to fight for */
        switch (rand_r(&seed) % 5) {
        case 0:
            bus_write(&mmio, ecam(slot, off), size, val);
            break;
        case 1:
            bus_read(&mmio, ecam(slot, off), size);
            break;
        case 2:
            bus_write(&pio, 0xcf0 + off % 32, size, val);
            break;
        case 3:
            cfg_write(slot, off & 0xff, size, val);
            break;
        default:
            bus_read(&pio, 0xcf0 + off % 32, size);
            break;
        }
        for (unsigned t = 0; t < 3; t++) {
            const struct pci_bar *b = &toys[t].func.bar[0];
            if (b->mapped)
                ck_assert_ptr_eq(bus_find(&mmio, bar(t)), &b->region);
        }
    }
    for (unsigned t = 0; t < 3; t++)
        pci_func_reset(&toys[t].func);
    for (unsigned t = 0; t < 3; t++)
        ck_assert_uint_eq(bus_read(&mmio, home[t], 4), 0x1000 * (t + 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pci");
    TCase *tc = tcase_create("pci");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, mechanism_1_shows_identity_at_every_width);
    tcase_add_test(tc, mechanism_1_address_is_a_dword_latch);
    tcase_add_test(tc, mechanism_1_without_enable_bit_reaches_nothing);
    tcase_add_test(tc, byte_access_to_cf9_goes_to_the_reset_port);
    tcase_add_test(tc, absent_functions_read_all_ones);
    tcase_add_test(tc, ecam_and_mechanism_1_reach_the_same_registers);
    tcase_add_test(tc, ecam_access_across_functions_is_taken_apart);
    tcase_add_test(tc, config_writes_pass_the_mask);
    tcase_add_test(tc, status_error_bits_are_cleared_by_ones);
    tcase_add_test(tc, capabilities_form_a_list);
    tcase_add_test(tc, capability_that_does_not_fit_is_refused);
    tcase_add_test(tc, capability_accesses_are_told_to_the_owner);
    tcase_add_test(tc, bars_are_assigned_aligned_apart_and_decoding);
    tcase_add_test(tc, bar_sizing_shows_the_size_and_no_type_bits);
    tcase_add_test(tc, memory_enable_switches_decoding);
    tcase_add_test(tc, bar_moves_while_enabled);
    tcase_add_test(tc, overlapping_bar_is_not_mapped_until_the_other_leaves);
    tcase_add_test(tc, bar_outside_the_window_is_not_mapped);
    tcase_add_test(tc, bar_over_another_region_is_not_mapped);
    tcase_add_test(tc, intx_is_routed_by_slot);
    tcase_add_test(tc, shared_intx_stays_up_while_anyone_asserts);
    tcase_add_test(tc, interrupt_disable_holds_the_wire_but_not_the_status);
    tcase_add_test(tc, reset_restores_what_firmware_left);
    tcase_add_test(tc, reset_in_any_order_settles_exchanged_bars);
    tcase_add_test(tc, removed_function_is_gone_and_its_slot_free);
    tcase_add_test(tc, function_gets_the_slot_asked_for_or_the_next_free_one);
    tcase_add_test(tc, full_bus_is_an_error_that_says_so);
    tcase_add_test(tc, bar_that_does_not_fit_the_window_is_an_error);
    tcase_add_test(tc, random_config_accesses_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
