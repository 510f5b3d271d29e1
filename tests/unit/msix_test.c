// SPDX-License-Identifier: MIT
//
// MSI-X of a PCI function, driven through the buses, with a probe as interrupt controller.
#include <check.h>
#include <stdlib.h>

#include "bus.h"
#include "irq.h"
#include "layout.h"
#include "pci.h"
#include "tests/lib/suite.h"
#include "util.h"

#define VECTORS 70 /* the pending bits need a second quadword */
#define SLOT 1
#define MSIX_BAR 1
#define CAP 0x40
#define PBA (VECTORS * 16)

static struct bus pio, mmio;
static struct pci_host *host;
static struct pci_func func;
static struct err err;
static bool wire_up;

/* What the interrupt controller saw. */
static struct {
    struct intc intc;
    unsigned binds, unbinds, bound, raises;
    struct msi_msg last;
} probe;

static void probe_send(struct intc *intc, const struct msi_msg *msg)
{
    (void)intc, (void)msg;
    ck_abort_msg("a bound source must be raised by its fast way");
}

static int probe_bind(struct intc *intc, struct msi_source *src)
{
    (void)intc, (void)src;
    probe.binds++;
    probe.bound++;
    return 0;
}

static void probe_unbind(struct intc *intc, struct msi_source *src)
{
    (void)intc, (void)src;
    probe.unbinds++;
    probe.bound--;
}

static void probe_raise(struct intc *intc, struct msi_source *src)
{
    (void)intc;
    probe.raises++;
    probe.last = src->msg;
}

static const struct intc_ops probe_ops = {
    .msi_send = probe_send,
    .msi_bind = probe_bind,
    .msi_unbind = probe_unbind,
    .msi_raise = probe_raise,
};

static void set_wire(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    wire_up = level;
}

static void setup(void)
{
    bus_init(&pio, "pio", 65536);
    bus_init(&mmio, "mmio", 0);
    memset(&probe, 0, sizeof probe);
    probe.intc.ops = &probe_ops;
    wire_up = false;
    err = (struct err){{0}};
    host = pci_host_create(
        &(struct pci_host_config){
            .pio = &pio, .mmio = &mmio, .intx = {{set_wire, NULL, 0}, {set_wire, NULL, 1}}},
        &err);
    ck_assert_msg(host != NULL, "%s", err.msg);
    func.device.name = "toy";
    pci_func_init(&func, &(struct pci_ident){.vendor = 0x1af4, .interrupt_pin = true});
    ck_assert_int_eq(msix_init(&func, MSIX_BAR, VECTORS, &probe.intc), 0);
    ck_assert_msg(pci_add(host, &func, 1, &err) == 0, "%s", err.msg);
}

static void teardown(void)
{
    pci_remove(&func);
    msix_fini(&func);
    ck_assert_uint_eq(probe.bound, 0);
    struct device *dev = pci_host_device(host);
    dev->ops->fini(dev);
}

static uint64_t bar(void)
{
    return func.bar[MSIX_BAR].region.base;
}

static uint32_t get(uint64_t off)
{
    return (uint32_t)bus_read(&mmio, bar() + off, 4);
}

static void put(uint64_t off, uint32_t val)
{
    bus_write(&mmio, bar() + off, 4, val);
}

static void control(uint16_t val)
{
    bus_write(&mmio, ECAM_BASE + (SLOT << 15) + CAP + 2, 2, val);
}

enum { ENABLE = 0x8000, MASKALL = 0x4000 };

static void vector_set(unsigned v, uint64_t addr, uint32_t data, bool masked)
{
    put(v * 16, (uint32_t)addr);
    put(v * 16 + 4, (uint32_t)(addr >> 32));
    put(v * 16 + 8, data);
    put(v * 16 + 12, masked);
}

static bool is_pending(unsigned v)
{
    return get(PBA + v / 32 * 4) >> (v % 32) & 1;
}

START_TEST(capability_describes_table_and_pending_bits)
{
    const uint8_t *cap = func.config + CAP;
    ck_assert_uint_eq(cap[0], 0x11);
    ck_assert_uint_eq(load_le16(cap + 2), VECTORS - 1);
    ck_assert_uint_eq(load_le32(cap + 4), MSIX_BAR);
    ck_assert_uint_eq(load_le32(cap + 8), PBA | MSIX_BAR);
    control(0xffff);
    ck_assert_uint_eq(load_le16(cap + 2), ENABLE | MASKALL | (VECTORS - 1));
}
END_TEST

START_TEST(table_starts_masked_and_holds_what_is_written)
{
    ck_assert_uint_eq(get(5 * 16 + 12), 1);
    ck_assert_uint_eq(get(5 * 16), 0);
    vector_set(5, 0x11223344fee01003, 0x4142, false);
    ck_assert_uint_eq(get(5 * 16), 0xfee01000); /* dword-aligned */
    ck_assert_uint_eq(get(5 * 16 + 4), 0x11223344);
    ck_assert_uint_eq(get(5 * 16 + 8), 0x4142);
    put(5 * 16 + 12, 0xffffffff);
    ck_assert_uint_eq(get(5 * 16 + 12), 1);
}
END_TEST

START_TEST(quadword_accesses_work)
{
    bus_write(&mmio, bar() + 2 * 16, 8, 0xfee02000);
    bus_write(&mmio, bar() + 2 * 16 + 8, 8, 0x55);
    control(ENABLE);
    msix_notify(&func, 2);
    ck_assert_uint_eq(probe.last.addr, 0xfee02000);
    ck_assert_uint_eq(probe.last.data, 0x55);
    ck_assert_uint_eq(bus_read(&mmio, bar() + 2 * 16, 8), 0xfee02000);
}
END_TEST

START_TEST(narrow_and_unaligned_writes_change_nothing)
{
    vector_set(0, 0xfee00000, 0x31, true);
    bus_write(&mmio, bar() + 8, 1, 0xff);
    bus_write(&mmio, bar() + 8, 2, 0xffff);
    bus_write(&mmio, bar() + 6, 4, 0xffffffff);
    bus_write(&mmio, bar() + 1, 8, ~0ull);
    ck_assert_uint_eq(get(0), 0xfee00000);
    ck_assert_uint_eq(get(4), 0);
    ck_assert_uint_eq(get(8), 0x31);
    ck_assert_uint_eq(get(12), 1);
    ck_assert_uint_eq(bus_read(&mmio, bar() + 2, 4), 0xffffffff);
}
END_TEST

START_TEST(enabled_vector_sends_its_message)
{
    vector_set(3, 0xfee00000, 0x4041, false);
    ck_assert_uint_eq(probe.binds, 0); /* not before MSI-X is enabled */
    control(ENABLE);
    ck_assert(msix_enabled(&func));
    ck_assert_uint_eq(probe.bound, 1);
    msix_notify(&func, 3);
    ck_assert_uint_eq(probe.raises, 1);
    ck_assert_uint_eq(probe.last.data, 0x4041);
}
END_TEST

START_TEST(not_enabled_or_outside_the_table_sends_nothing)
{
    vector_set(0, 0xfee00000, 1, false);
    msix_notify(&func, 0);
    control(ENABLE);
    msix_notify(&func, VECTORS);
    msix_notify(&func, ~0u);
    ck_assert_uint_eq(probe.raises, 0);
    ck_assert(!is_pending(0));
}
END_TEST

START_TEST(masked_vector_is_pending_and_delivered_once_at_unmask)
{
    vector_set(69, 0xfee00000, 7, true);
    control(ENABLE);
    msix_notify(&func, 69);
    msix_notify(&func, 69);
    ck_assert(is_pending(69));
    ck_assert_uint_eq(probe.raises, 0);
    put(69 * 16 + 12, 0);
    ck_assert_uint_eq(probe.raises, 1);
    ck_assert_uint_eq(probe.last.data, 7);
    ck_assert(!is_pending(69));
}
END_TEST

START_TEST(function_mask_holds_all_vectors)
{
    vector_set(0, 0xfee00000, 0x30, false);
    vector_set(1, 0xfee00000, 0x31, false);
    vector_set(2, 0xfee00000, 0x32, true);
    control(ENABLE | MASKALL);
    for (unsigned v = 0; v < 3; v++)
        msix_notify(&func, v);
    ck_assert_uint_eq(probe.raises, 0);
    ck_assert_uint_eq(probe.bound, 0);
    control(ENABLE);
    ck_assert_uint_eq(probe.raises, 2);
    ck_assert(!is_pending(0) && !is_pending(1) && is_pending(2));
    control(ENABLE | MASKALL);
    ck_assert_uint_eq(probe.bound, 0);
}
END_TEST

START_TEST(pending_bits_are_read_only)
{
    vector_set(4, 0xfee00000, 1, true);
    control(ENABLE);
    msix_notify(&func, 4);
    put(PBA, 0);
    ck_assert_uint_eq(get(PBA), 1 << 4);
    put(PBA + 4, 0xffffffff);
    ck_assert_uint_eq(get(PBA + 4), 0);
    ck_assert_uint_eq(get(PBA + 16), 0); /* past the last */
    ck_assert_uint_eq(get(4096 - 4), 0);
}
END_TEST

START_TEST(changed_message_of_a_live_vector_is_programmed)
{
    vector_set(0, 0xfee00000, 0x30, false);
    control(ENABLE);
    put(8, 0x99);
    msix_notify(&func, 0);
    ck_assert_uint_eq(probe.last.data, 0x99);
    unsigned binds = probe.binds;
    put(8, 0x99); /* nothing changes: nothing is done */
    ck_assert_uint_eq(probe.binds, binds);
    ck_assert_uint_eq(probe.bound, 1);
}
END_TEST

START_TEST(mask_disable_and_reset_release_the_source)
{
    vector_set(0, 0xfee00000, 0x30, false);
    control(ENABLE);
    put(12, 1);
    ck_assert_uint_eq(probe.bound, 0);
    put(12, 0);
    ck_assert_uint_eq(probe.bound, 1);
    control(0);
    ck_assert_uint_eq(probe.bound, 0);
    control(ENABLE);
    ck_assert_uint_eq(probe.bound, 1);
    pci_func_reset(&func);
    ck_assert_uint_eq(probe.bound, 0);
    ck_assert(!msix_enabled(&func));
    ck_assert_uint_eq(get(0), 0);
    ck_assert_uint_eq(get(12), 1);
    ck_assert_uint_eq(load_le16(func.config + CAP + 2), VECTORS - 1);
}
END_TEST

START_TEST(disable_forgets_pending_bits)
{
    vector_set(0, 0xfee00000, 0x30, true);
    control(ENABLE);
    msix_notify(&func, 0);
    control(0);
    ck_assert(!is_pending(0));
    put(12, 0);
    control(ENABLE);
    ck_assert_uint_eq(probe.raises, 0);
}
END_TEST

START_TEST(intx_is_silent_while_msix_is_enabled)
{
    pci_intx_set(&func, true);
    ck_assert(wire_up);
    control(ENABLE);
    ck_assert(!wire_up);
    control(0);
    ck_assert(wire_up);
}
END_TEST

START_TEST(largest_table_fits_and_impossible_ones_are_refused)
{
    struct pci_func *f = calloc(1, sizeof *f);
    pci_func_init(f, &(struct pci_ident){.vendor = 1});
    ck_assert_int_lt(msix_init(f, 0, 0, &probe.intc), 0);
    ck_assert_int_lt(msix_init(f, 0, 2049, &probe.intc), 0);
    ck_assert_int_lt(msix_init(f, 6, 1, &probe.intc), 0);
    ck_assert_int_eq(msix_init(f, 0, 2048, &probe.intc), 0);
    ck_assert_uint_eq(f->bar[0].size, 0x10000); /* 32 KiB of table, 256 bytes of PBA */
    ck_assert_int_lt(msix_init(f, 1, 1, &probe.intc), 0); /* once is enough */
    msix_fini(f);
    msix_fini(f);
    free(f);
}
END_TEST

START_TEST(random_table_accesses_do_no_harm)
{
    unsigned seed = 7;
    for (unsigned i = 0; i < 300000; i++) {
        unsigned size = 1u << rand_r(&seed) % 4;
        uint64_t off = (unsigned)rand_r(&seed) % 4096;
        uint64_t val = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);
        if (rand_r(&seed) % 2)
            off &= ~3ull;
        switch (rand_r(&seed) % 8) {
        case 0:
            control((uint16_t)val);
            break;
        case 1:
            msix_notify(&func, (unsigned)val % (VECTORS + 2));
            break;
        case 2:
        case 3:
            bus_read(&mmio, bar() + off, size);
            break;
        default:
            bus_write(&mmio, bar() + off, size, val);
            break;
        }
        ck_assert_uint_le(probe.bound, VECTORS);
        ck_assert_uint_eq(probe.binds - probe.unbinds, probe.bound);
    }
    ck_assert_uint_gt(probe.raises, 0);
    control(0);
    ck_assert_uint_eq(probe.bound, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("msix");
    TCase *tc = tcase_create("msix");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, capability_describes_table_and_pending_bits);
    tcase_add_test(tc, table_starts_masked_and_holds_what_is_written);
    tcase_add_test(tc, quadword_accesses_work);
    tcase_add_test(tc, narrow_and_unaligned_writes_change_nothing);
    tcase_add_test(tc, enabled_vector_sends_its_message);
    tcase_add_test(tc, not_enabled_or_outside_the_table_sends_nothing);
    tcase_add_test(tc, masked_vector_is_pending_and_delivered_once_at_unmask);
    tcase_add_test(tc, function_mask_holds_all_vectors);
    tcase_add_test(tc, pending_bits_are_read_only);
    tcase_add_test(tc, changed_message_of_a_live_vector_is_programmed);
    tcase_add_test(tc, mask_disable_and_reset_release_the_source);
    tcase_add_test(tc, disable_forgets_pending_bits);
    tcase_add_test(tc, intx_is_silent_while_msix_is_enabled);
    tcase_add_test(tc, largest_table_fits_and_impossible_ones_are_refused);
    tcase_add_test(tc, random_table_accesses_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
