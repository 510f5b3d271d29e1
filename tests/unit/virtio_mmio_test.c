// SPDX-License-Identifier: MIT
//
// The MMIO transport as a driver sees it through the bus, and the negotiation rules, which both
// transports share.
#include <check.h>

#include "devices/virtio/blk.h"
#include "log.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BASE 0xd0000000ull
#define BUF 0x100000ull
#define QUEUES 3

#define OK_FEATURES (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK)

static struct rig rig;
static struct fake_disk disk;
static struct virtio *vd;
static struct port port;
static struct ring ring;

static void setup(void)
{
    struct err err = {{0}};
    rig_init(&rig, false);
    fake_disk_init(&disk, &rig.events, 1 << 20);
    vd = virtio_blk_create(&disk.blk, QUEUES, &rig.gm, &err);
    ck_assert_ptr_nonnull(vd);
    port_init_mmio(&port, &rig, vd, BASE);
    ring_init(&ring, &rig.gm, 0x10000, 16);
}

static void teardown(void)
{
    port_fini(&port);
    ck_assert_ptr_null(bus_find(&rig.mmio, BASE));
    fake_disk_fini(&disk);
    rig_fini(&rig);
}

static uint32_t rd(uint64_t reg)
{
    return (uint32_t)bus_read(&rig.mmio, BASE + reg, 4);
}

static void wr(uint64_t reg, uint32_t val)
{
    bus_write(&rig.mmio, BASE + reg, 4, val);
}

/* A get-id request on queue 0, which the device answers at once. */
static void offer_get_id(uint16_t head)
{
    uint8_t header[16] = {8};
    gmem_write(&rig.gm, BUF, header, 16);
    ring_desc(&ring, head, BUF, 16, DESC_NEXT, (uint16_t)(head + 1));
    ring_desc(&ring, head + 1u, BUF + 0x1000, 21, DESC_WRITE, 0);
    ring_offer(&ring, head);
}

START_TEST(mmio_identifies_itself)
{
    ck_assert_uint_eq(rd(0x00), 0x74726976);
    ck_assert_uint_eq(rd(0x04), 2);
    ck_assert_uint_eq(rd(0x08), 2);
    ck_assert_uint_ne(rd(0x0c), 0);
    ck_assert_uint_eq(rd(0x70), 0);
    ck_assert_uint_eq(rd(0x60), 0);
}
END_TEST

START_TEST(mmio_feature_words_follow_the_selector)
{
    wr(0x14, 1);
    ck_assert_uint_eq(rd(0x10) & 1, 1); /* VERSION_1 */
    wr(0x14, 0);
    ck_assert_uint_eq(rd(0x10) >> 28 & 3, 3); /* indirect, event index */
    wr(0x14, 2);
    ck_assert_uint_eq(rd(0x10), 0);
    wr(0x14, ~0u);
    ck_assert_uint_eq(rd(0x10), 0);
}
END_TEST

START_TEST(mmio_absent_shared_memory_reads_all_ones)
{
    wr(0xac, 0);
    for (uint64_t reg = 0xb0; reg <= 0xbc; reg += 4)
        ck_assert_uint_eq(rd(reg), 0xffffffff);
}
END_TEST

START_TEST(mmio_queue_registers_follow_the_selector)
{
    wr(0x30, QUEUES - 1);
    ck_assert_uint_eq(rd(0x34), 256);
    wr(0x30, QUEUES);
    ck_assert_uint_eq(rd(0x34), 0);
    wr(0x44, 1); /* nobody there */
    ck_assert_uint_eq(rd(0x44), 0);
    wr(0x30, ~0u);
    ck_assert_uint_eq(rd(0x34), 0);
    wr(0x38, 16);
    for (unsigned q = 0; q < QUEUES; q++)
        ck_assert_uint_eq(vd->vq[q].regs.size, 256);
}
END_TEST

START_TEST(mmio_queue_address_halves_are_independent)
{
    wr(0x30, 1);
    wr(0x84, 0x11);
    wr(0x80, 0x22222220);
    ck_assert_uint_eq(vd->vq[1].regs.desc, 0x1122222220);
    wr(0x84, 0);
    ck_assert_uint_eq(vd->vq[1].regs.desc, 0x22222220);
    bus_write(&rig.mmio, BASE + 0x90, 8, 0x3344444444); /* the bus makes two of it */
    ck_assert_uint_eq(vd->vq[1].regs.avail, 0x3344444444);
    wr(0xa0, 0x55555554);
    wr(0xa4, 0x66);
    ck_assert_uint_eq(vd->vq[1].regs.used, 0x6655555554);
}
END_TEST

START_TEST(mmio_request_interrupts_until_acknowledged)
{
    port_start(&port, &ring);
    offer_get_id(0);
    ck_assert(!rig.line);
    port_kick(&port, 0);
    uint32_t id, len;
    ck_assert(ring_take(&ring, &id, &len));
    ck_assert_uint_eq(len, 21);
    ck_assert(rig.line);
    ck_assert_uint_eq(rd(0x60), 1);
    wr(0x64, 2); /* not this one */
    ck_assert(rig.line);
    wr(0x64, 1);
    ck_assert(!rig.line);
    ck_assert_uint_eq(rd(0x60), 0);
}
END_TEST

START_TEST(mmio_breakdown_interrupts_as_config_change)
{
    port_start(&port, &ring);
    ring_offer(&ring, 999);
    port_kick(&port, 0);
    ck_assert_uint_eq(rd(0x70), OK_FEATURES | VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET);
    ck_assert_uint_eq(rd(0x60), 2);
    ck_assert(rig.line);
    wr(0x70, 0);
    ck_assert_uint_eq(rd(0x70), 0);
    ck_assert_uint_eq(rd(0x60), 0);
    ck_assert(!rig.line);
}
END_TEST

START_TEST(mmio_notify_of_any_number_is_safe)
{
    static const uint32_t q[] = {QUEUES, QUEUES - 1, 63, 64, 0xffff, 0x10000, ~0u};
    port_start(&port, &ring);
    for (unsigned i = 0; i < ARRAY_LEN(q); i++)
        wr(0x50, q[i]);
    ck_assert(virtio_running(vd));
    ck_assert_uint_eq(vd->vq[0].kicks, 0);
}
END_TEST

START_TEST(mmio_doorbell_is_there_from_driver_ok_to_reset)
{
    ck_assert_uint_eq(rig.bells, 0);
    port_start(&port, &ring);
    ck_assert_uint_eq(rig.bells, 1); /* queues 1 and 2 are not ready */
    const struct doorbell *bell = rig.bell[0];
    ck_assert(!bell->pio);
    ck_assert_uint_eq(bell->addr, BASE + 0x50);
    ck_assert_uint_eq(bell->len, 4);
    ck_assert(bell->match);
    ck_assert_uint_eq(bell->value, 0);
    offer_get_id(0);
    event_post(&rig.bell[0]->event);
    event_queue_run(&rig.events);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
    wr(0x70, 0);
    ck_assert_uint_eq(rig.bells, 0);
}
END_TEST

START_TEST(mmio_doorbells_of_several_queues_differ_by_value)
{
    struct ring second;
    ring_init(&second, &rig.gm, 0x10000 + RING_STRIDE, 16);
    wr(0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&port, port_offered(&port));
    wr(0x70, OK_FEATURES);
    port_queue(&port, 0, &ring);
    port_queue(&port, 2, &second);
    wr(0x70, OK_FEATURES | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(rig.bells, 2);
    ck_assert_uint_eq(rig.bell[0]->value, 0);
    ck_assert_uint_eq(rig.bell[1]->value, 2);
    event_post(&rig.bell[1]->event);
    event_queue_run(&rig.events);
    ck_assert_uint_eq(vd->vq[2].kicks, 1);
    ck_assert_uint_eq(vd->vq[0].kicks, 0);
}
END_TEST

START_TEST(mmio_doorbell_rung_before_reset_does_nothing_after_it)
{
    port_start(&port, &ring);
    event_post(&rig.bell[0]->event);
    wr(0x70, 0);
    ck_assert_uint_eq(event_queue_run(&rig.events), 0);
}
END_TEST

START_TEST(mmio_misshapen_register_access_is_harmless)
{
    port_start(&port, &ring);
    uint64_t desc = vd->vq[0].regs.desc;
    for (uint64_t off = 0; off < 0x100; off++) {
        for (unsigned size = 1; size <= 4; size *= 2) {
            if (size == 4 && off % 4 == 0)
                continue;
            ck_assert_uint_eq(bus_read(&rig.mmio, BASE + off, size), 0);
            bus_write(&rig.mmio, BASE + off, size, 0);
        }
    }
    ck_assert(virtio_running(vd));
    ck_assert_uint_eq(vd->vq[0].regs.desc, desc);
}
END_TEST

START_TEST(mmio_config_takes_every_width)
{
    ck_assert_uint_eq(port_config(&port, 0, 4), (1 << 20) / 512);
    ck_assert_uint_eq(port_config(&port, 0, 8), (1 << 20) / 512);
    ck_assert_uint_eq(port_config(&port, 0, 1), (1 << 20) / 512 & 0xff);
    ck_assert_uint_eq(port_config(&port, 1, 1), (1 << 20) / 512 >> 8 & 0xff);
    ck_assert_uint_eq(port_config(&port, 20, 4), 512);
    ck_assert_uint_eq(port_config(&port, 34, 2), QUEUES);
    ck_assert_uint_eq(port_config(&port, 60, 4), 0); /* beyond its end */
    ck_assert_uint_eq(port_config(&port, 252, 4), 0);
    ck_assert_uint_eq(port_config(&port, 58, 4), 0); /* across it */
}
END_TEST

START_TEST(mmio_read_only_config_ignores_writes)
{
    port_start(&port, &ring);
    for (uint64_t off = 0; off < 64; off++) {
        if (off != 32) /* writeback */
            port_set_config(&port, off, 1, 0xff);
    }
    ck_assert_uint_eq(port_config(&port, 0, 8), (1 << 20) / 512);
    ck_assert_uint_eq(port_config(&port, 34, 2), QUEUES);
}
END_TEST

START_TEST(mmio_generation_moves_when_the_driver_could_see_a_mix)
{
    port_start(&port, &ring);
    uint32_t before = rd(0xfc);
    ck_assert_uint_eq(rd(0xfc), before);
    for (unsigned i = 0; i < 256; i++) /* a byte-wide counter would be back where it was */
        virtio_config_changed(vd);
    port_config(&port, 0, 4);
    ck_assert_uint_ne(rd(0xfc) & 0xff, before & 0xff);
    ck_assert_uint_eq(rd(0x60), 2);
}
END_TEST

/* --- negotiation --- */

START_TEST(features_ok_needs_version_1)
{
    wr(0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&port, VIRTIO_F_EVENT_IDX);
    wr(0x70, OK_FEATURES);
    ck_assert_uint_eq(rd(0x70), VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    wr(0x70, OK_FEATURES | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(rd(0x70), VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    ck_assert(!virtio_running(vd));
}
END_TEST

START_TEST(features_ok_needs_a_subset_of_the_offer)
{
    static const uint64_t not_offered[] = {1ull << 5 /* read-only */, 1ull << 34 /* packed */,
                                           1ull << 63};
    for (unsigned i = 0; i < ARRAY_LEN(not_offered); i++) {
        wr(0x70, 0);
        wr(0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        port_accept(&port, VIRTIO_F_VERSION_1 | not_offered[i]);
        wr(0x70, OK_FEATURES);
        ck_assert_uint_eq(rd(0x70) & VIRTIO_FEATURES_OK, 0);
        port_accept(&port, VIRTIO_F_VERSION_1); /* thinks better of it */
        wr(0x70, OK_FEATURES);
        ck_assert_uint_eq(rd(0x70) & VIRTIO_FEATURES_OK, VIRTIO_FEATURES_OK);
    }
}
END_TEST

START_TEST(features_are_final_after_features_ok)
{
    port_start(&port, &ring);
    uint64_t accepted = vd->regs.accepted;
    port_accept(&port, 0);
    port_accept(&port, ~0ull);
    ck_assert_uint_eq(vd->regs.accepted, accepted);
}
END_TEST

START_TEST(feature_words_beyond_the_second_are_ignored)
{
    wr(0x24, 2);
    wr(0x20, ~0u);
    wr(0x24, ~0u);
    wr(0x20, ~0u);
    ck_assert_uint_eq(vd->regs.accepted, 0);
}
END_TEST

START_TEST(status_bits_go_up_only)
{
    port_start(&port, &ring);
    wr(0x70, VIRTIO_ACKNOWLEDGE);
    ck_assert_uint_eq(rd(0x70), OK_FEATURES | VIRTIO_DRIVER_OK);
    wr(0x70, 0x100); /* not a zero, not a reset */
    ck_assert_uint_eq(rd(0x70), OK_FEATURES | VIRTIO_DRIVER_OK);
    ck_assert(virtio_running(vd));
    /* the device's bit, and reserved ones */
    wr(0x70, OK_FEATURES | VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | 0x30);
    ck_assert_uint_eq(rd(0x70), OK_FEATURES | VIRTIO_DRIVER_OK);
}
END_TEST

START_TEST(driver_ok_without_features_ok_is_ignored)
{
    wr(0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK);
    ck_assert_uint_eq(rd(0x70), VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    ck_assert_uint_eq(rig.bells, 0);
}
END_TEST

START_TEST(failed_driver_stops_the_device)
{
    port_start(&port, &ring);
    wr(0x70, OK_FEATURES | VIRTIO_DRIVER_OK | VIRTIO_FAILED);
    offer_get_id(0);
    port_kick(&port, 0);
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    port_start(&port, &ring);
    offer_get_id(0);
    port_kick(&port, 0);
    ck_assert_uint_eq(ring_used_idx(&ring), 1);
}
END_TEST

START_TEST(machine_reset_is_a_device_reset)
{
    port_start(&port, &ring);
    offer_get_id(0);
    port_kick(&port, 0);
    ck_assert(rig.line);
    port.dev->ops->reset(port.dev);
    ck_assert_uint_eq(rd(0x70), 0);
    ck_assert_uint_eq(rig.bells, 0);
    ck_assert(!rig.line);
    wr(0x30, 0);
    ck_assert_uint_eq(rd(0x44), 0);
}
END_TEST

START_TEST(mmio_create_refuses_an_occupied_place)
{
    struct err err = {{0}};
    struct virtio *other = virtio_blk_create(&disk.blk, 1, &rig.gm, &err);
    ck_assert_ptr_null(virtio_mmio_create(other, &rig.mmio, BASE + 0x100, rig_line(&rig), &rig.sb,
                                          &rig.events, &err));
    ck_assert_int_ne(err.msg[0], 0); /* and `other` is gone: the leak checker watches */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_mmio");
    TCase *t = tcase_create("mmio");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, mmio_identifies_itself);
    tcase_add_test(t, mmio_feature_words_follow_the_selector);
    tcase_add_test(t, mmio_absent_shared_memory_reads_all_ones);
    tcase_add_test(t, mmio_queue_registers_follow_the_selector);
    tcase_add_test(t, mmio_queue_address_halves_are_independent);
    tcase_add_test(t, mmio_request_interrupts_until_acknowledged);
    tcase_add_test(t, mmio_breakdown_interrupts_as_config_change);
    tcase_add_test(t, mmio_notify_of_any_number_is_safe);
    tcase_add_test(t, mmio_doorbell_is_there_from_driver_ok_to_reset);
    tcase_add_test(t, mmio_doorbells_of_several_queues_differ_by_value);
    tcase_add_test(t, mmio_doorbell_rung_before_reset_does_nothing_after_it);
    tcase_add_test(t, mmio_misshapen_register_access_is_harmless);
    tcase_add_test(t, mmio_config_takes_every_width);
    tcase_add_test(t, mmio_read_only_config_ignores_writes);
    tcase_add_test(t, mmio_generation_moves_when_the_driver_could_see_a_mix);
    tcase_add_test(t, features_ok_needs_version_1);
    tcase_add_test(t, features_ok_needs_a_subset_of_the_offer);
    tcase_add_test(t, features_are_final_after_features_ok);
    tcase_add_test(t, feature_words_beyond_the_second_are_ignored);
    tcase_add_test(t, status_bits_go_up_only);
    tcase_add_test(t, driver_ok_without_features_ok_is_ignored);
    tcase_add_test(t, failed_driver_stops_the_device);
    tcase_add_test(t, machine_reset_is_a_device_reset);
    tcase_add_test(t, mmio_create_refuses_an_occupied_place);
    suite_add_tcase(s, t);
    return suite_run(s);
}
