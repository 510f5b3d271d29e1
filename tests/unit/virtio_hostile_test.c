// SPDX-License-Identifier: MIT
//
// A guest that means harm: malformed chains, registers rewritten at the wrong time, random accesses
// of every width on both transports, and a second thread that rewrites descriptors while the device
// reads them. Seeds are fixed. After every storm a reset and a good request must work, and the disk
// beside it must never have noticed.
// Worth most under the address and undefined-behaviour sanitizers.
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define MMIO_BASE 0xe8000000ull
#define DISK (1u << 20)
#define SIZE 64

/*
 * The hostile driver keeps to the lower RAM slot, so that what its device may write is not its
 * neighbour's.
 */
#define EVIL_RING 0x10000ull
#define EVIL_TABLE 0x40000ull /* indirect tables: 64 of 256 entries */
#define EVIL_TABLES 64
#define EVIL_END 0x600000ull
#define GOOD_DATA 0x700000ull
#define NEIGHBOUR_RING RIG_HOLE_END
#define NEIGHBOUR_DATA (RIG_HOLE_END + 0x100000ull)

static struct rig rig;
static struct fake_disk disk[3];
static struct port port[3]; /* PCI and MMIO victims, PCI neighbour */
static struct ring ring[3];
enum { VICTIM_PCI, VICTIM_MMIO, NEIGHBOUR };

static uint64_t seed;

/* xorshift64* */
static uint64_t rnd(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dull >> 8;
}

static uint64_t below(uint64_t n)
{
    return rnd() % n;
}

static void setup(void)
{
    seed = 0x9e3779b97f4a7c15ull;
    rig_init(&rig, true);
    for (unsigned i = 0; i < 3; i++) {
        struct err err = {{0}};
        fake_disk_init(&disk[i], &rig.events, DISK);
        struct virtio *vd = virtio_blk_create(&disk[i].blk, 2, &rig.gm, &err);
        ck_assert_ptr_nonnull(vd);
        if (i == VICTIM_MMIO)
            port_init_mmio(&port[i], &rig, vd, MMIO_BASE);
        else
            port_init_pci(&port[i], &rig, vd, i == VICTIM_PCI ? 1 : 2);
        ring_init(&ring[i], &rig.gm, i == NEIGHBOUR ? NEIGHBOUR_RING : EVIL_RING, SIZE);
    }
    port_start(&port[NEIGHBOUR], &ring[NEIGHBOUR]);
}

static void teardown(void)
{
    for (unsigned i = 0; i < 3; i++) {
        port_fini(&port[i]);
        fake_disk_fini(&disk[i]);
    }
    rig_fini(&rig);
}

/* --- a good request --- */

static void one_request(unsigned i, uint32_t type, uint64_t sector, gpa_t base)
{
    uint8_t header[16] = {0};
    uint32_t id, len;
    store_le32(header, type);
    store_le64(header + 8, sector);
    gmem_write(&rig.gm, base, header, sizeof header);
    gmem_fill(&rig.gm, base + 0x20, 0xee, 1);
    ring_desc(&ring[i], 0, base, 16, DESC_NEXT, 1);
    ring_desc(&ring[i], 1, base + 0x1000, 512, type ? DESC_NEXT : DESC_NEXT | DESC_WRITE, 2);
    ring_desc(&ring[i], 2, base + 0x20, 1, DESC_WRITE, 0);
    ring_offer(&ring[i], 0);
    port_kick(&port[i], 0);
    event_queue_run(&rig.events);
    ck_assert(ring_take(&ring[i], &id, &len));
    ck_assert_uint_eq(id, 0);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, base + 0x20, 1), 0);
}

/* Write a sector, read it back. */
static void good_request(unsigned i, gpa_t base)
{
    uint8_t byte = (uint8_t)rnd();
    uint64_t sector = below(DISK / 512);
    gmem_fill(&rig.gm, base + 0x1000, byte, 512);
    one_request(i, 1, sector, base);
    gmem_fill(&rig.gm, base + 0x1000, (uint8_t)~byte, 512);
    one_request(i, 0, sector, base);
    for (unsigned n = 0; n < 512; n++)
        ck_assert_uint_eq(*gmem_ptr(&rig.gm, base + 0x1000 + n, 1), byte);
}

static void neighbour_is_well(void)
{
    ck_assert_uint_eq(port[NEIGHBOUR].vd->breakdowns, 0);
    good_request(NEIGHBOUR, NEIGHBOUR_DATA);
}

static void storm_is_over(unsigned i)
{
    disk[i].hold = false;
    disk[i].fail = 0;
    port_start(&port[i], &ring[i]);
    for (unsigned q = 0; q < 2; q++)
        ck_assert_uint_eq(port[i].vd->vq[q].in_flight, 0);
    good_request(i, GOOD_DATA);
    neighbour_is_well();
}

/* --- bad chains --- */

static gpa_t evil_addr(uint32_t len)
{
    switch (below(12)) {
    case 0:
        return rnd() << 8;
    case 1:
        return ~0ull - below(64);
    case 2:
        return RIG_HOLE_START - 8 + below(64) + (len <= 8 ? 8 : 0);
    case 3:
        return RIG_HOLE_END + 0x200000 - 4 + below(16) + 4;
    case 4:
        return EVIL_TABLE + 4096 * below(EVIL_TABLES); /* a table as data */
    case 5:
        return EVIL_RING + below(RING_STRIDE);         /* the ring itself */
    default:
        return EVIL_TABLE + below(EVIL_END - EVIL_TABLE - 0x200000);
    }
}

static uint32_t evil_len(void)
{
    switch (below(10)) {
    case 0:
        return 0;
    case 1:
        return (uint32_t)(~0u - below(16));
    case 2:
        return (uint32_t)rnd() | 0x80000000u;
    case 3:
        return 1;
    case 4:
    case 5:
        return 16;
    case 6:
        return (uint32_t)below(600);
    default:
        return 512 * (uint32_t)(1 + below(16));
    }
}

struct raw_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* Mostly near to sense, so that the walk gets deep; `n` descriptors are in its table. */
static struct raw_desc evil_desc(unsigned at, unsigned n, unsigned sanity)
{
    struct raw_desc d;
    d.len = evil_len();
    d.addr = evil_addr(d.len);
    d.flags = (uint16_t)below(8);
    d.next = (uint16_t)below(n);
    if (below(sanity)) {
        d.len = below(4) ? 512 : 16;
        d.addr = EVIL_TABLE + 16 * below((EVIL_END - EVIL_TABLE) / 16 - 64);
        d.flags = below(3) ? DESC_NEXT : DESC_WRITE;
        if (d.flags == DESC_WRITE && below(2))
            d.len = below(2) ? 1 : 513; /* status alone, or after a sector */
        d.next = (uint16_t)((at + 1) % n);
    }
    switch (below(2 + sanity)) {
    case 0:
        d.next = (uint16_t)rnd();
        break;
    case 1:
        d.flags = (uint16_t)rnd();
        break;
    case 2:
        d.flags = DESC_INDIRECT;
        d.addr = EVIL_TABLE + 4096 * below(EVIL_TABLES) + (below(4) ? 0 : below(32));
        d.len = below(4) ? 16 * (uint32_t)(1 + below(256)) : (uint32_t)below(4200);
        break;
    default:
        break;
    }
    return d;
}

static void put_evil(gpa_t table, unsigned i, unsigned n, unsigned sanity)
{
    struct raw_desc d = evil_desc(i, n, sanity);
    put_desc(&rig.gm, table, i, d.addr, d.len, d.flags, d.next);
}

/* A plausible header somewhere, so that requests are not all unsupported. */
static void put_evil_header(gpa_t at)
{
    static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 99};
    uint8_t h[16] = {0};
    store_le32(h, types[below(ARRAY_LEN(types))]);
    store_le64(h + 8, below(4) ? below(DISK / 512) : rnd());
    gmem_write(&rig.gm, at, h, sizeof h);
}

static void fill_evil(const struct ring *r, unsigned sanity)
{
    for (unsigned i = 0; i < r->size; i++)
        put_evil(r->desc, i, r->size, sanity);
    for (unsigned n = 0; n < 4; n++) {
        gpa_t table = EVIL_TABLE + 4096 * below(EVIL_TABLES);
        for (unsigned i = 0; i < 256; i++)
            put_evil(table, i, 256, sanity);
    }
    for (unsigned i = 0; i < 8; i++) {
        gpa_t at = EVIL_TABLE + 16 * below((EVIL_END - EVIL_TABLE) / 16 - 1);
        put_evil_header(at);
        put_desc(&rig.gm, r->desc, (unsigned)below(r->size), at, 16, DESC_NEXT,
                 (uint16_t)below(r->size));
    }
}

/* A request with nothing wrong in it, for the others to collide with. */
static void offer_sound(struct ring *r)
{
    unsigned d = (unsigned)below(r->size - 2u);
    gpa_t at = EVIL_TABLE + 0x100000 + 0x1000 * below(64);
    bool in = below(2);
    put_evil_header(at);
    ring_desc(r, d, at, 16, DESC_NEXT, (uint16_t)(d + 1));
    ring_desc(r, d + 1, at + 0x100, 512, in ? DESC_NEXT | DESC_WRITE : DESC_NEXT,
              (uint16_t)(d + 2));
    ring_desc(r, d + 2, at + 0x400, 1, DESC_WRITE, 0);
    ring_offer(r, (uint16_t)d);
}

static void offer_evil(struct ring *r)
{
    unsigned n = (unsigned)below(8);
    for (unsigned i = 0; i < n; i++) {
        if (below(3))
            offer_sound(r);
        else
            ring_offer(r, (uint16_t)(below(40) ? below(r->size) : rnd()));
    }
    if (!below(30)) {
        r->avail_idx = (uint16_t)(r->avail_idx + rnd());
        ring_offer(r, 0);
    }
}

static void chain_storm(unsigned i, unsigned rounds)
{
    uint64_t breakdowns = port[i].vd->breakdowns, pushes = port[i].vd->vq[0].pushes;
    for (unsigned n = 0; n < rounds; n++) {
        static const int fails[] = {0, 0, -EIO, -ENOSPC, -EOPNOTSUPP};
        disk[i].hold = !below(3);
        disk[i].fail = fails[below(ARRAY_LEN(fails))];
        port_start(&port[i], &ring[i]);
        for (unsigned k = 0; k < 8 && virtio_running(port[i].vd); k++) {
            fill_evil(&ring[i], 2 + (unsigned)below(200));
            offer_evil(&ring[i]);
            port_kick(&port[i], (unsigned)below(3));
            port_kick(&port[i], 0);
            ck_assert_uint_le(port[i].vd->vq[0].in_flight, SIZE);
            if (below(2))
                event_queue_run(&rig.events);
            if (!below(4))
                fake_disk_release(&disk[i]);
        }
        if (!below(8))
            storm_is_over(i);
    }
    storm_is_over(i);
    /* The generator is worth its name only if both happened, often. */
    ck_assert_uint_gt(port[i].vd->breakdowns - breakdowns, rounds / 4);
    ck_assert_uint_gt(port[i].vd->vq[0].pushes - pushes, rounds);
    ck_assert_uint_gt(disk[i].submits, rounds);
}

START_TEST(hostile_chains_hurt_only_their_own_device)
{
    seed += (uint64_t)_i * 77777;
    chain_storm(_i % 2 ? VICTIM_MMIO : VICTIM_PCI, 250);
}
END_TEST

/* --- bad register accesses --- */

static uint64_t evil_value(void)
{
    switch (below(6)) {
    case 0:
        return below(4);
    case 1:
        return 1ull << below(16);
    case 2:
        return ring[0].desc + 0x4000 * below(4);
    case 3:
        return below(EVIL_END);
    case 4:
        return below(256);
    default:
        return rnd();
    }
}

static void poke(unsigned i)
{
    uint64_t len = port[i].pci ? 0x4000 : 0x200;
    /* Registers crowd at the start of each page. */
    uint64_t off = below(4) ? below(len) : (below(len) & ~0xfffull) | below(64);
    uint64_t at = port[i].base + off;
    unsigned size = 1u << below(4);
    if (off + size > len)
        return;
    if (below(2))
        bus_read(&rig.mmio, at, size);
    else
        bus_write(&rig.mmio, at, size, evil_value());
}

static void poke_config_space(void)
{
    unsigned off = (unsigned)below(256), size = 1u << below(3);
    bus_write(&rig.pio, 0xcf8, 4, 0x80000000u | 1u << 11 | (off & 0xfc));
    uint64_t at = 0xcfc + (off & 3);
    if (below(2))
        bus_read(&rig.pio, at, size);
    else
        bus_write(&rig.pio, at, size, evil_value());
}

static void register_storm(unsigned i, unsigned rounds)
{
    for (unsigned n = 0; n < rounds; n++) {
        if (below(2))
            port_start(&port[i], &ring[i]);
        fill_evil(&ring[i], 50);
        for (unsigned k = 0; k < 200; k++) {
            poke(i);
            if (port[i].pci && !below(4))
                poke_config_space();
            if (!below(20))
                offer_evil(&ring[i]);
            if (!below(20))
                event_queue_run(&rig.events);
        }
        if (port[i].pci) /* its BARs may be anywhere by now */
            port[i].dev->ops->reset(port[i].dev);
        storm_is_over(i);
    }
}

START_TEST(hostile_register_accesses_hurt_only_their_own_device)
{
    seed += (uint64_t)_i * 99991;
    register_storm(_i % 2 ? VICTIM_MMIO : VICTIM_PCI, 60);
}
END_TEST

/* Every offset and width, in a running device: nothing may change that a reset does not mend. */
START_TEST(hostile_sweep_over_every_register)
{
    static const uint64_t values[] = {0, 1, ~0ull, 0x10000};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t len = port[i].pci ? 0x4000 : 0x200;
        for (unsigned v = 0; v < ARRAY_LEN(values); v++) {
            port_start(&port[i], &ring[i]);
            for (uint64_t off = 0; off < len; off++) {
                for (unsigned size = 1; size <= 8 && off + size <= len; size *= 2) {
                    bus_write(&rig.mmio, port[i].base + off, size, values[v]);
                    bus_read(&rig.mmio, port[i].base + off, size);
                }
            }
            storm_is_over(i);
        }
    }
}
END_TEST

START_TEST(hostile_ring_registers_cannot_be_moved_while_running)
{
    for (unsigned i = 0; i < 2; i++) {
        port_start(&port[i], &ring[i]);
        struct ring elsewhere = ring[i];
        elsewhere.desc = NEIGHBOUR_RING;
        elsewhere.used = NEIGHBOUR_RING + 0x8000;
        elsewhere.size = 256;
        port_queue(&port[i], 0, &elsewhere);
        port_queue(&port[i], 1, &elsewhere);
        good_request(i, GOOD_DATA);
        ck_assert_uint_eq(port[i].vd->vq[0].regs.size, SIZE);
        port_kick(&port[i], 1);
        neighbour_is_well();
    }
}
END_TEST

/* --- a real race --- */

static atomic_bool racing;

/*
 * Rewrites descriptors, tables, heads and indices of the victim's ring, as fast as it can.
 */
static void *racer(void *arg)
{
    const struct ring *r = arg;
    uint64_t x = 88172645463325252ull;
    uint8_t *desc = gmem_ptr(&rig.gm, r->desc, 16 * SIZE);
    uint8_t *table = gmem_ptr(&rig.gm, EVIL_TABLE, 4096);
    while (atomic_load_explicit(&racing, memory_order_relaxed)) {
        random_next(&x);
        bool in_table = x & 1;
        unsigned n = in_table ? 256 : SIZE, at = (unsigned)(x >> 8) % n;
        volatile uint64_t *d = (volatile uint64_t *)(void *)((in_table ? table : desc) + 16 * at);
        uint64_t flags = x >> 16 & 0xf;
        if (flags > 5)
            flags = DESC_NEXT;
        uint64_t len = x >> 20 & 1 ? 512 : x >> 21 & 1 ? ~0u : 16;
        uint64_t next = x >> 22 & 7 ? (at + 1) % n : x >> 24 & 0xffff;
        switch (x >> 40 & 3) {
        case 0: /* the length alone, behind the device's back */
            d[1] = len | flags << 32 | next << 48;
            break;
        case 1: /* the address alone */
            d[0] = x >> 42 & 3 ? EVIL_TABLE : ~0ull << 12;
            break;
        default:
            d[0] = EVIL_TABLE + (x >> 42 & 0xffff0);
            d[1] = len | flags << 32 | next << 48;
            break;
        }
    }
    return NULL;
}

static void race(unsigned i, unsigned rounds)
{
    pthread_t thread;
    uint64_t breakdowns = port[i].vd->breakdowns, pops = port[i].vd->vq[0].pops;
    for (unsigned n = 0; n < rounds; n++) {
        port_start(&port[i], &ring[i]);
        fill_evil(&ring[i], 60);
        atomic_store(&racing, true);
        ck_assert_int_eq(pthread_create(&thread, NULL, racer, &ring[i]), 0);
        for (unsigned k = 0; k < 400; k++) {
            if (!virtio_running(port[i].vd)) {
                /* port_start clears the ring, which the racer does not mind. */
                port_start(&port[i], &ring[i]);
                fill_evil(&ring[i], 60);
            }
            for (unsigned h = 0; h < 4; h++)
                ring_offer(&ring[i], (uint16_t)(4 * (k % 16) + h));
            disk[i].hold = k & 8;
            port_kick(&port[i], 0);
            event_queue_run(&rig.events);
            ck_assert_uint_le(port[i].vd->vq[0].in_flight, SIZE);
            if (k % 16 == 15)
                fake_disk_release(&disk[i]);
        }
        neighbour_is_well();
        atomic_store(&racing, false);
        pthread_join(thread, NULL);
        storm_is_over(i);
    }
    ck_assert_uint_gt(port[i].vd->breakdowns - breakdowns, rounds);
    ck_assert_uint_gt(port[i].vd->vq[0].pops - pops, rounds);
}

START_TEST(hostile_race_on_descriptors_hurts_only_its_own_device)
{
    race(_i % 2 ? VICTIM_MMIO : VICTIM_PCI, 15);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_hostile");
    TCase *t = tcase_create("hostile");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, hostile_chains_hurt_only_their_own_device, 0, 4);
    tcase_add_loop_test(t, hostile_register_accesses_hurt_only_their_own_device, 0, 4);
    tcase_add_test(t, hostile_sweep_over_every_register);
    tcase_add_test(t, hostile_ring_registers_cannot_be_moved_while_running);
    tcase_add_loop_test(t, hostile_race_on_descriptors_hurts_only_its_own_device, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
