// SPDX-License-Identifier: MIT
//
// The PCI transport as a driver sees it: capabilities through configuration space, registers
// through BAR 0, interrupts through MSI-X or INTx.
#include <check.h>

#include "devices/virtio/blk.h"
#include "log.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BUF 0x100000ull
#define QUEUES 2
#define SLOT 1
#define NO_VECTOR 0xffff

static struct rig rig;
static struct fake_disk disk;
static struct virtio *vd;
static struct port port;
static struct ring ring;

static void setup(void)
{
    struct err err = {{0}};
    rig_init(&rig, true);
    fake_disk_init(&disk, &rig.events, 1 << 20);
    vd = virtio_blk_create(&disk.blk, QUEUES, &rig.gm, &err);
    ck_assert_ptr_nonnull(vd);
    port_init_pci(&port, &rig, vd, SLOT);
    ring_init(&ring, &rig.gm, 0x10000, 16);
}

static void teardown(void)
{
    port_fini(&port);
    fake_disk_fini(&disk);
    rig_fini(&rig);
}

/* --- configuration space, through mechanism #1 --- */

static void cfg_select(unsigned off)
{
    bus_write(&rig.pio, 0xcf8, 4, 0x80000000u | SLOT << 11 | (off & 0xfc));
}

static uint32_t cfg(unsigned off, unsigned size)
{
    cfg_select(off);
    return (uint32_t)bus_read(&rig.pio, 0xcfc + (off & 3), size);
}

static void set_cfg(unsigned off, unsigned size, uint32_t val)
{
    cfg_select(off);
    bus_write(&rig.pio, 0xcfc + (off & 3), size, val);
}

/* The nth vendor capability of a type, or any capability by id when type is 0. */
static unsigned find_cap(unsigned id, unsigned type)
{
    unsigned hops = 0;
    for (unsigned at = cfg(0x34, 1); at && hops < 48; at = cfg(at + 1, 1), hops++) {
        if (cfg(at, 1) == id && (!type || cfg(at + 3, 1) == type))
            return at;
    }
    return 0;
}

static uint64_t rd(uint64_t reg, unsigned size)
{
    return bus_read(&rig.mmio, port.base + reg, size);
}

static void wr(uint64_t reg, unsigned size, uint64_t val)
{
    bus_write(&rig.mmio, port.base + reg, size, val);
}

static void msix_on(void)
{
    unsigned cap = find_cap(0x11, 0);
    uint64_t table = cfg(0x10 + 4 * (cfg(cap + 4, 4) & 7), 4) & ~0xfu;
    ck_assert_uint_eq((cfg(cap + 2, 2) & 0x7ff) + 1, QUEUES + 1);
    for (unsigned v = 0; v < QUEUES + 1; v++) {
        bus_write(&rig.mmio, table + 16 * v, 4, 0xfee00000);
        bus_write(&rig.mmio, table + 16 * v + 4, 4, 0);
        bus_write(&rig.mmio, table + 16 * v + 8, 4, 0x40 + v);
        bus_write(&rig.mmio, table + 16 * v + 12, 4, 0);
    }
    set_cfg(cap + 2, 2, 0x8000);
}

static void get_id(uint16_t head)
{
    uint8_t header[16] = {8};
    gmem_write(&rig.gm, BUF, header, 16);
    ring_desc(&ring, head, BUF, 16, DESC_NEXT, (uint16_t)(head + 1));
    ring_desc(&ring, head + 1u, BUF + 0x1000, 21, DESC_WRITE, 0);
    ring_set_used_event(&ring, ring_used_idx(&ring));
    ring_offer(&ring, head);
    port_kick(&port, 0);
}

/* --- */

START_TEST(pci_identity_is_a_modern_disk)
{
    ck_assert_uint_eq(cfg(0, 4), 0x10421af4);
    ck_assert_uint_eq(cfg(8, 1), 1);
    ck_assert_uint_eq(cfg(9, 1) | cfg(10, 1) << 8 | cfg(11, 1) << 16, 0x018000);
    ck_assert_uint_eq(cfg(0x2c, 2), 0x1af4);
    ck_assert_uint_ge(cfg(0x2e, 2), 0x40);
    ck_assert_uint_eq(cfg(0x3d, 1), 1);
}
END_TEST

START_TEST(pci_capabilities_describe_bar_0)
{
    static const struct {
        unsigned type, len;
        uint32_t offset, length;
    } want[] = {{1, 16, 0, 56},
                {2, 20, 0x3000, 4 * QUEUES},
                {3, 16, 0x1000, 1},
                {4, 16, 0x2000, 60}};
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        unsigned cap = find_cap(9, want[i].type);
        ck_assert_uint_ne(cap, 0);
        ck_assert_uint_eq(cfg(cap + 2, 1), want[i].len);
        ck_assert_uint_eq(cfg(cap + 4, 1), 0);
        ck_assert_uint_eq(cfg(cap + 8, 4), want[i].offset);
        ck_assert_uint_eq(cfg(cap + 12, 4), want[i].length);
    }
    ck_assert_uint_eq(cfg(find_cap(9, 2) + 16, 4), 4);
    ck_assert_uint_ne(find_cap(9, 5), 0);
    ck_assert_uint_ne(find_cap(0x11, 0), 0);
    set_cfg(find_cap(9, 1) + 8, 4, 0x1234); /* read-only */
    ck_assert_uint_eq(cfg(find_cap(9, 1) + 8, 4), 0);
}
END_TEST

START_TEST(pci_feature_words_follow_the_selector)
{
    wr(0x00, 4, 1);
    ck_assert_uint_eq(rd(0x04, 4) & 1, 1);
    wr(0x00, 4, 2);
    ck_assert_uint_eq(rd(0x04, 4), 0);
    ck_assert_uint_eq(rd(0x00, 4), 2);
    wr(0x08, 4, 1);
    wr(0x0c, 4, 3); /* VERSION_1, and one that is not offered */
    ck_assert_uint_eq(rd(0x0c, 4), 1);
    wr(0x08, 4, 7);
    ck_assert_uint_eq(rd(0x0c, 4), 0);
}
END_TEST

START_TEST(pci_absent_queue_is_zero_and_takes_nothing)
{
    static const uint16_t sel[] = {QUEUES, 64, 0xffff};
    for (unsigned i = 0; i < ARRAY_LEN(sel); i++) {
        wr(0x16, 2, sel[i]);
        ck_assert_uint_eq(rd(0x16, 2), sel[i]);
        wr(0x18, 2, 16);
        wr(0x1a, 2, 1);
        wr(0x1c, 2, 1);
        wr(0x20, 4, 0x10000);
        ck_assert_uint_eq(rd(0x18, 2), 0);
        ck_assert_uint_eq(rd(0x1a, 2), NO_VECTOR);
        ck_assert_uint_eq(rd(0x1c, 2), 0);
        ck_assert_uint_eq(rd(0x20, 8), 0);
    }
}
END_TEST

START_TEST(pci_queue_registers_read_back)
{
    ck_assert_uint_eq(rd(0x12, 2), QUEUES);
    wr(0x16, 2, 1);
    ck_assert_uint_eq(rd(0x18, 2), 256);
    ck_assert_uint_eq(rd(0x1e, 2), 1);
    wr(0x18, 2, 32);
    ck_assert_uint_eq(rd(0x18, 2), 32);
    wr(0x18, 2, 33);
    ck_assert_uint_eq(rd(0x18, 2), 32);
    wr(0x20, 4, 0x1000);
    wr(0x24, 4, 1);
    ck_assert_uint_eq(rd(0x20, 4), 0x1000);
    ck_assert_uint_eq(rd(0x24, 4), 1);
    wr(0x28, 8, 0x200002000);
    wr(0x30, 8, 0x300003000);
    ck_assert_uint_eq(rd(0x28, 8), 0x200002000);
    ck_assert_uint_eq(rd(0x30, 8), 0x300003000);
    ck_assert_uint_eq(vd->vq[1].regs.avail, 0x200002000);
    ck_assert_uint_eq(vd->vq[1].regs.used, 0x300003000);
    ck_assert_uint_eq(vd->vq[0].regs.used, 0);
}
END_TEST

START_TEST(pci_queue_enable_takes_only_1)
{
    ring_init(&ring, &rig.gm, 0x10000, 16);
    wr(0x16, 2, 0);
    wr(0x18, 2, 16);
    wr(0x20, 4, ring.desc);
    wr(0x28, 4, ring.avail);
    wr(0x30, 4, ring.used);
    wr(0x1c, 2, 2);
    ck_assert_uint_eq(rd(0x1c, 2), 0);
    wr(0x1c, 2, 1);
    ck_assert_uint_eq(rd(0x1c, 2), 1);
    wr(0x1c, 2, 0);
    ck_assert_uint_eq(rd(0x1c, 2), 1);
    wr(0x20, 4, 0x5000); /* frozen */
    ck_assert_uint_eq(rd(0x20, 4), ring.desc);
}
END_TEST

START_TEST(pci_reads_of_any_width_show_the_bytes)
{
    wr(0x16, 2, 1);
    wr(0x20, 4, 0x44332210);
    ck_assert_uint_eq(rd(0x20, 1), 0x10);
    ck_assert_uint_eq(rd(0x21, 1), 0x22);
    ck_assert_uint_eq(rd(0x22, 2), 0x4433);
    ck_assert_uint_eq(rd(0x21, 4), 0x443322);
    ck_assert_uint_eq(rd(0x12, 4) & 0xffffff, QUEUES);
    ck_assert_uint_eq(rd(0x16, 4), 256u << 16 | 1);
    ck_assert_uint_eq(rd(0x36, 4), 0); /* half of it beyond the structure */
    ck_assert_uint_eq(rd(0x38, 4), 0);
    ck_assert_uint_eq(rd(0xffe, 4), 0);
}
END_TEST

START_TEST(pci_writes_of_a_wrong_width_are_ignored)
{
    port_start(&port, &ring);
    unsigned long logged = log_guest_count();
    wr(0x14, 2, 0);       /* status, with the generation */
    wr(0x14, 4, 0);
    wr(0x12, 4, 0);
    wr(0x16, 1, 1);
    wr(0x16, 4, 1);
    wr(0x00, 2, 1);
    wr(0x02, 4, 1);
    wr(0x21, 1, 0xff);
    ck_assert_uint_eq(log_guest_count() - logged, 8);
    ck_assert_uint_eq(rd(0x16, 2), 0);
    ck_assert(virtio_running(vd));
}
END_TEST

START_TEST(pci_vectors_are_unmapped_after_reset_and_checked)
{
    wr(0x16, 2, 1);
    ck_assert_uint_eq(rd(0x10, 2), NO_VECTOR);
    ck_assert_uint_eq(rd(0x1a, 2), NO_VECTOR);
    wr(0x10, 2, 0);
    wr(0x1a, 2, QUEUES);
    ck_assert_uint_eq(rd(0x10, 2), 0);
    ck_assert_uint_eq(rd(0x1a, 2), QUEUES);
    wr(0x1a, 2, QUEUES + 1); /* not in the table: mapping failed */
    ck_assert_uint_eq(rd(0x1a, 2), NO_VECTOR);
    wr(0x1a, 2, 1);
    wr(0x14, 1, 0);
    ck_assert_uint_eq(rd(0x10, 2), NO_VECTOR);
    wr(0x16, 2, 1);
    ck_assert_uint_eq(rd(0x1a, 2), NO_VECTOR);
}
END_TEST

START_TEST(pci_msix_carries_queue_and_config_interrupts)
{
    msix_on();
    port_start(&port, &ring);
    wr(0x16, 2, 0);
    wr(0x10, 2, 0);
    wr(0x1a, 2, 1);
    get_id(0);
    ck_assert_uint_eq(rig.msis, 1);
    ck_assert_uint_eq(rig.msi_data, 0x41);
    ck_assert_uint_eq(rd(0x1000, 1), 0);
    ring_offer(&ring, 999);
    port_kick(&port, 0);
    ck_assert_uint_eq(rig.msis, 2);
    ck_assert_uint_eq(rig.msi_data, 0x40);
    ck_assert_uint_eq(rd(0x1000, 1), 2);
    ck_assert_uint_eq(rig.line_rises, 0);
}
END_TEST

START_TEST(pci_event_without_vector_is_silent_under_msix)
{
    msix_on();
    port_start(&port, &ring);
    get_id(0);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
    ck_assert_uint_eq(rig.msis, 0);
    ck_assert_uint_eq(rig.line_rises, 0);
}
END_TEST

START_TEST(pci_intx_is_lowered_by_reading_isr)
{
    port_start(&port, &ring);
    get_id(0);
    ck_assert(rig.line);
    ck_assert_uint_eq(cfg(0x06, 2) & 8, 8);
    ck_assert_uint_eq(rd(0x1001, 1), 0); /* not the register */
    ck_assert(rig.line);
    ck_assert_uint_eq(rd(0x1000, 1), 1);
    ck_assert(!rig.line);
    ck_assert_uint_eq(rd(0x1000, 1), 0);
    ring_offer(&ring, 999);
    port_kick(&port, 0);
    ck_assert(rig.line);
    ck_assert_uint_eq(rd(0x1000, 4), 2);
    ck_assert(!rig.line);
    ck_assert_uint_eq(rig.msis, 0);
}
END_TEST

START_TEST(pci_intx_is_lowered_by_reset)
{
    port_start(&port, &ring);
    get_id(0);
    ck_assert(rig.line);
    wr(0x14, 1, 0);
    ck_assert(!rig.line);
    ck_assert_uint_eq(rd(0x1000, 1), 0);
}
END_TEST

START_TEST(pci_notify_takes_any_width_and_value)
{
    port_start(&port, &ring);
    for (unsigned size = 1; size <= 8; size *= 2)
        wr(0x3000, size, 0xffff);
    ck_assert_uint_eq(vd->vq[0].kicks, 4);
    wr(0x3002, 2, 0);                     /* between the bells */
    wr(0x3000 + 4 * QUEUES, 2, 0);        /* a queue that does not exist */
    wr(0x3ffc, 4, 0);
    ck_assert_uint_eq(vd->vq[0].kicks, 4);
    ck_assert_uint_eq(rd(0x3000, 4), 0);
    ck_assert(virtio_running(vd));
}
END_TEST

START_TEST(pci_doorbell_follows_driver_ok_and_the_bar)
{
    ck_assert_uint_eq(rig.bells, 0);
    port_start(&port, &ring);
    ck_assert_uint_eq(rig.bells, 1);
    ck_assert_uint_eq(rig.bell[0]->addr, port.base + 0x3000);
    ck_assert(!rig.bell[0]->match);

    uint32_t bar = cfg(0x10, 4);
    set_cfg(0x10, 4, bar + 0x100000);
    ck_assert_uint_eq(rig.bells, 1);
    ck_assert_uint_eq(rig.bell[0]->addr, port.base + 0x100000 + 0x3000);
    set_cfg(0x04, 2, 0); /* no decoding, no bell */
    ck_assert_uint_eq(rig.bells, 0);
    set_cfg(0x04, 2, 2);
    ck_assert_uint_eq(rig.bells, 1);
    port.base += 0x100000;

    get_id(0);
    ring_offer(&ring, 0);
    event_post(&rig.bell[0]->event);
    event_queue_run(&rig.events);
    ck_assert_uint_eq(ring_used_idx(&ring), 2);
    wr(0x14, 1, 0);
    ck_assert_uint_eq(rig.bells, 0);
}
END_TEST

START_TEST(pci_window_reaches_the_registers)
{
    unsigned cap = find_cap(9, 5);
    set_cfg(cap + 4, 1, 0);
    set_cfg(cap + 8, 4, 0x12);
    set_cfg(cap + 12, 4, 2);
    ck_assert_uint_eq(cfg(cap + 16, 4) & 0xffff, QUEUES);
    set_cfg(cap + 8, 4, 0x14);
    set_cfg(cap + 12, 4, 1);
    set_cfg(cap + 16, 1, VIRTIO_ACKNOWLEDGE);
    ck_assert_uint_eq(vd->regs.status, VIRTIO_ACKNOWLEDGE);
    ck_assert_uint_eq(cfg(cap + 16, 1), VIRTIO_ACKNOWLEDGE);
    set_cfg(cap + 8, 4, 0x2000);
    set_cfg(cap + 12, 4, 4);
    ck_assert_uint_eq(cfg(cap + 16, 4), (1 << 20) / 512);
}
END_TEST

START_TEST(pci_window_refuses_what_is_not_a_register)
{
    static const struct {
        uint32_t bar, offset, length;
    } wrong[] = {{1, 0, 4},          {6, 0, 4}, {255, 0, 4},  {0, 0x4000, 4}, {0, 0xfffffffc, 4},
                 {0, 2, 4},          {0, 0x14, 0}, {0, 0x14, 3}, {0, 0x14, 8},
                 {0, 0x14, 0xffffffff}};
    unsigned cap = find_cap(9, 5);
    port_start(&port, &ring);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        set_cfg(cap + 12, 4, 0);
        set_cfg(cap + 16, 4, 0xa5a5a5a5);
        set_cfg(cap + 4, 1, wrong[i].bar);
        set_cfg(cap + 8, 4, wrong[i].offset);
        set_cfg(cap + 12, 4, wrong[i].length);
        ck_assert_uint_eq(cfg(cap + 16, 4), 0xa5a5a5a5);
        set_cfg(cap + 16, 4, 0);
        ck_assert(virtio_running(vd));
    }
}
END_TEST

START_TEST(pci_create_fails_when_the_slots_are_taken)
{
    struct err err = {{0}};
    struct device *devs[PCI_SLOTS];
    unsigned n = 0;
    for (;;) {
        struct virtio *other = virtio_blk_create(&disk.blk, 1, &rig.gm, &err);
        ck_assert_ptr_nonnull(other);
        devs[n] = virtio_pci_create(other, rig.host, 1, &rig.intc, &rig.sb, &rig.events, &err);
        if (!devs[n])
            break;
        n++;
    }
    ck_assert_uint_eq(n, PCI_SLOTS - 2); /* the bridge and the first disk */
    ck_assert_int_ne(err.msg[0], 0);
    port_start(&port, &ring);
    get_id(0);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
    while (n--)
        devs[n]->ops->fini(devs[n]);
}
END_TEST

START_TEST(pci_machine_reset_restores_everything)
{
    msix_on();
    port_start(&port, &ring);
    set_cfg(0x10, 4, cfg(0x10, 4) + 0x100000);
    port.dev->ops->reset(port.dev);
    ck_assert_uint_eq(rig.bells, 0);
    ck_assert_uint_eq(rd(0x14, 1), 0); /* at its first place again */
    ck_assert_uint_eq(cfg(find_cap(0x11, 0) + 2, 2) & 0x8000, 0);
    port_start(&port, &ring);
    get_id(0);
    ck_assert(rig.line);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_pci");
    TCase *t = tcase_create("pci");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, pci_identity_is_a_modern_disk);
    tcase_add_test(t, pci_capabilities_describe_bar_0);
    tcase_add_test(t, pci_feature_words_follow_the_selector);
    tcase_add_test(t, pci_absent_queue_is_zero_and_takes_nothing);
    tcase_add_test(t, pci_queue_registers_read_back);
    tcase_add_test(t, pci_queue_enable_takes_only_1);
    tcase_add_test(t, pci_reads_of_any_width_show_the_bytes);
    tcase_add_test(t, pci_writes_of_a_wrong_width_are_ignored);
    tcase_add_test(t, pci_vectors_are_unmapped_after_reset_and_checked);
    tcase_add_test(t, pci_msix_carries_queue_and_config_interrupts);
    tcase_add_test(t, pci_event_without_vector_is_silent_under_msix);
    tcase_add_test(t, pci_intx_is_lowered_by_reading_isr);
    tcase_add_test(t, pci_intx_is_lowered_by_reset);
    tcase_add_test(t, pci_notify_takes_any_width_and_value);
    tcase_add_test(t, pci_doorbell_follows_driver_ok_and_the_bar);
    tcase_add_test(t, pci_window_reaches_the_registers);
    tcase_add_test(t, pci_window_refuses_what_is_not_a_register);
    tcase_add_test(t, pci_create_fails_when_the_slots_are_taken);
    tcase_add_test(t, pci_machine_reset_restores_everything);
    suite_add_tcase(s, t);
    return suite_run(s);
}
