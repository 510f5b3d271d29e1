// SPDX-License-Identifier: MIT
//
// The block device, driven through the MMIO transport against a disk in memory.
#include <check.h>
#include <errno.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BASE 0xd0000000ull
#define DISK (4u << 20)
#define SECTORS (DISK / 512)

#define F_SEG_MAX (1ull << 2)
#define F_RO (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_TOPOLOGY (1ull << 10)
#define F_CONFIG_WCE (1ull << 11)
#define F_MQ (1ull << 12)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0xee };

/* Where requests live: a 4 KiB page of header and status each, data apart. */
#define HEADER(i) (0x100000ull + 0x1000 * (i))
#define STATUS(i) (HEADER(i) + 0x800)
#define DATA 0x200000ull

static struct rig rig;
static struct fake_disk disk;
static struct virtio *vd;
static struct port port;
static struct ring ring;

static void create(unsigned queues)
{
    struct err err = {{0}};
    vd = virtio_blk_create(&disk.blk, queues, &rig.gm, &err);
    ck_assert_msg(vd, "%s", err.msg);
    port_init_mmio(&port, &rig, vd, BASE);
}

static void recreate(unsigned queues)
{
    port_fini(&port);
    create(queues);
}

static void setup(void)
{
    rig_init(&rig, false);
    fake_disk_init(&disk, &rig.events, DISK);
    for (unsigned i = 0; i < DISK; i++)
        disk.data[i] = (uint8_t)(i / 512 + i % 251);
    create(1);
    ring_init(&ring, &rig.gm, 0x10000, 64);
    port_start(&port, &ring);
}

static void teardown(void)
{
    port_fini(&port);
    fake_disk_fini(&disk);
    rig_fini(&rig);
}

static void put_header(unsigned i, uint32_t type, uint64_t sector)
{
    uint8_t h[16] = {0};
    store_le32(h, type);
    store_le64(h + 8, sector);
    gmem_write(&rig.gm, HEADER(i), h, sizeof h);
    gmem_fill(&rig.gm, STATUS(i), UNTOUCHED, 1);
}

/* Request i: header, one data buffer of `len` bytes unless 0, status. Descriptors 3i to 3i+2. */
static void offer(unsigned i, uint32_t type, uint64_t sector, gpa_t data, uint32_t len,
                  bool dev_writes)
{
    uint16_t d = (uint16_t)(3 * i);
    put_header(i, type, sector);
    ring_desc(&ring, d, HEADER(i), 16, DESC_NEXT, (uint16_t)(len ? d + 1 : d + 2));
    ring_desc(&ring, d + 1u, data, len, (uint16_t)(DESC_NEXT | (dev_writes ? DESC_WRITE : 0)),
              (uint16_t)(d + 2));
    ring_desc(&ring, d + 2u, STATUS(i), 1, DESC_WRITE, 0);
    ring_offer(&ring, d);
}

static uint8_t status(unsigned i)
{
    return *gmem_ptr(&rig.gm, STATUS(i), 1);
}

static void run(void)
{
    port_kick(&port, 0);
    event_queue_run(&rig.events);
}

/* One request from offer to used element; its status, and the used length. */
static uint8_t request(uint32_t type, uint64_t sector, uint32_t len, bool dev_writes,
                       uint32_t *used)
{
    uint32_t id, dummy;
    offer(0, type, sector, DATA, len, dev_writes);
    run();
    ck_assert(ring_take(&ring, &id, used ? used : &dummy));
    ck_assert_uint_eq(id, 0);
    return status(0);
}

static uint8_t range_request(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t r[16];
    store_le64(r, sector);
    store_le32(r + 8, sectors);
    store_le32(r + 12, flags);
    gmem_write(&rig.gm, DATA, r, sizeof r);
    return request(type, 0, sizeof r, false, NULL);
}

static void restart(uint64_t features)
{
    port.accept = features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
    port_start(&port, &ring);
}

/* --- transfers --- */

START_TEST(blk_read_fills_guest_memory)
{
    uint32_t used;
    ck_assert_uint_eq(request(IN, 7, 4096, true, &used), OK);
    ck_assert_uint_eq(used, 4097);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 4096), disk.data + 7 * 512, 4096), 0);
    ck_assert(!disk.last.fua);
}
END_TEST

START_TEST(blk_read_is_zero_copy)
{
    disk.hold = true;
    offer(0, IN, 0, DATA, 512, true);
    port_kick(&port, 0);
    ck_assert_uint_eq(disk.last.niov, 1);
    ck_assert_ptr_eq(disk.head->iov[0].iov_base, gmem_ptr(&rig.gm, DATA, 512));
}
END_TEST

static gpa_t told[8];
static uint64_t told_len[8];
static unsigned ntold;

static void wrote(void *opaque, gpa_t gpa, uint64_t len)
{
    (void)opaque;
    if (ntold < 8) {
        told[ntold] = gpa;
        told_len[ntold++] = len;
    }
}

START_TEST(blk_read_tells_what_it_wrote)
{
    offer(0, IN, 0, DATA, 1024, true);
    port_kick(&port, 0);
    rig.gm.wrote = wrote;
    ntold = 0;
    event_queue_run(&rig.events);
    ck_assert_uint_eq(ntold, 4); /* data, status, used element, used index */
    ck_assert_uint_eq(told[0], DATA);
    ck_assert_uint_eq(told_len[0], 1024);
    ck_assert_uint_eq(told[1], STATUS(0));
    ck_assert_uint_eq(told[3], ring.used + 2);
}
END_TEST

START_TEST(blk_write_reaches_the_disk)
{
    uint32_t used;
    gmem_fill(&rig.gm, DATA, 0x5a, 1024);
    ck_assert_uint_eq(request(OUT, SECTORS - 2, 1024, false, &used), OK);
    ck_assert_uint_eq(used, 1);
    ck_assert_uint_eq(disk.data[DISK - 1], 0x5a);
    ck_assert_uint_eq(disk.data[DISK - 1024], 0x5a);
    ck_assert_uint_ne(disk.data[DISK - 1025], 0x5a);
}
END_TEST

START_TEST(blk_framing_does_not_matter)
{
    /*
     * Header in three pieces, the last of them shared with data; status at the end of the data
     * buffer.
     */
    put_header(0, OUT, 3);
    gmem_fill(&rig.gm, HEADER(0) + 16, 0x77, 512);
    ring_desc(&ring, 0, HEADER(0), 1, DESC_NEXT, 1);
    ring_desc(&ring, 1, HEADER(0) + 1, 10, DESC_NEXT, 2);
    ring_desc(&ring, 2, HEADER(0) + 11, 5 + 100, DESC_NEXT, 3);
    ring_desc(&ring, 3, HEADER(0) + 116, 412, DESC_NEXT, 4);
    ring_desc(&ring, 4, STATUS(0), 1, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    run();
    ck_assert_uint_eq(status(0), OK);
    ck_assert_uint_eq(disk.data[3 * 512], 0x77);
    ck_assert_uint_eq(disk.data[4 * 512 - 1], 0x77);
    ck_assert_uint_ne(disk.data[4 * 512], 0x77);

    put_header(1, IN, 3);
    ring_desc(&ring, 8, HEADER(1), 16, DESC_NEXT, 9);
    ring_desc(&ring, 9, DATA, 500, DESC_WRITE | DESC_NEXT, 10);
    ring_desc(&ring, 10, DATA + 500, 13, DESC_WRITE, 0);
    gmem_fill(&rig.gm, DATA + 512, UNTOUCHED, 1);
    ring_offer(&ring, 8);
    run();
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 512), disk.data + 3 * 512, 512), 0);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, DATA + 512, 1), OK);
}
END_TEST

START_TEST(blk_indirect_request_works)
{
    put_header(0, IN, 9);
    gpa_t table = HEADER(0) + 0x400;
    put_desc(&rig.gm, table, 0, HEADER(0), 16, DESC_NEXT, 1);
    put_desc(&rig.gm, table, 1, DATA, 512, DESC_WRITE | DESC_NEXT, 2);
    put_desc(&rig.gm, table, 2, STATUS(0), 1, DESC_WRITE, 0);
    ring_desc(&ring, 0, table, 48, DESC_INDIRECT, 0);
    ring_offer(&ring, 0);
    run();
    ck_assert_uint_eq(status(0), OK);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 512), disk.data + 9 * 512, 512), 0);
}
END_TEST

START_TEST(blk_request_of_seg_max_segments_works)
{
    uint32_t segs = (uint32_t)port_config(&port, 12, 4);
    gpa_t table = 0x300000;
    put_header(0, IN, 0);
    put_desc(&rig.gm, table, 0, HEADER(0), 16, DESC_NEXT, 1);
    for (unsigned i = 1; i <= segs; i++)
        put_desc(&rig.gm, table, i, DATA + 512 * i, 512, DESC_WRITE | DESC_NEXT, (uint16_t)(i + 1));
    put_desc(&rig.gm, table, segs + 1, STATUS(0), 1, DESC_WRITE, 0);
    ring_desc(&ring, 0, table, 16 * (segs + 2), DESC_INDIRECT, 0);
    ring_offer(&ring, 0);
    run();
    ck_assert_uint_eq(segs, 254);
    ck_assert_uint_eq(status(0), OK);
    ck_assert_uint_eq(disk.last.niov, segs);
    ck_assert_uint_eq(disk.last.len, 512u * segs);
}
END_TEST

START_TEST(blk_bad_transfers_are_io_errors)
{
    static const struct {
        uint64_t sector;
        uint32_t len;
    } wrong[] = {{0, 511}, {0, 513}, {0, 1}, {SECTORS, 512}, {SECTORS - 1, 1024}, {~0ull, 512},
                 {1ull << 55, 512}, {(1ull << 55) - 1, 512}, {~0ull / 512, 512}, {SECTORS + 1, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        uint32_t used;
        ck_assert_uint_eq(request(IN, wrong[i].sector, wrong[i].len, true, &used), IOERR);
        ck_assert_uint_eq(used, 1);
        ck_assert_uint_eq(request(OUT, wrong[i].sector, wrong[i].len, false, &used), IOERR);
    }
    ck_assert_uint_eq(disk.submits, 0);
    ck_assert_uint_eq(disk.blk.errors, 0); /* the backend was not even asked */
    ck_assert(virtio_running(vd));
}
END_TEST

START_TEST(blk_transfer_of_nothing_succeeds)
{
    ck_assert_uint_eq(request(IN, 0, 0, true, NULL), OK);
    ck_assert_uint_eq(request(OUT, SECTORS, 0, false, NULL), OK);
    ck_assert_uint_eq(disk.submits, 0);
}
END_TEST

START_TEST(blk_host_errors_are_io_errors)
{
    static const int errors[] = {-EIO, -ENOSPC, -EROFS, -EINVAL, -EOPNOTSUPP};
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        uint32_t used;
        disk.fail = errors[i];
        ck_assert_uint_eq(request(IN, 0, 512, true, &used), IOERR);
        ck_assert_uint_eq(used, 1); /* no promise about the data */
        ck_assert_uint_eq(request(OUT, 0, 512, false, NULL), IOERR);
        ck_assert_uint_eq(request(FLUSH, 0, 0, false, NULL), IOERR);
    }
    disk.fail = 0;
    ck_assert_uint_eq(request(IN, 0, 512, true, NULL), OK);
}
END_TEST

START_TEST(blk_discard_that_the_host_cannot_do_is_unsupported)
{
    disk.fail = -EOPNOTSUPP;
    ck_assert_uint_eq(range_request(DISCARD, 0, 8, 0), UNSUPP);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, 8, 1), UNSUPP);
    disk.fail = -ENOSPC;
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, 8, 0), IOERR);
}
END_TEST

START_TEST(blk_unknown_requests_are_unsupported)
{
    static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 26, 0x80000000, ~0u};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        uint32_t used;
        ck_assert_uint_eq(request(types[i], 0, 512, i & 1, &used), UNSUPP);
        ck_assert_uint_eq(used, 1);
    }
    ck_assert(virtio_running(vd));
}
END_TEST

START_TEST(blk_get_id_is_padded_with_zeros)
{
    static const char want[20] = "minidisk";
    uint32_t used;
    strcpy(disk.blk.serial, "minidisk");
    gmem_fill(&rig.gm, DATA, 0xff, 32);
    ck_assert_uint_eq(request(GET_ID, 0, 20, true, &used), OK);
    ck_assert_uint_eq(used, 21);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 20), want, 20), 0);
    ck_assert_uint_eq(*gmem_ptr(&rig.gm, DATA + 20, 1), 0xff);
    strcpy(disk.blk.serial, "12345678901234567890"); /* no terminator then */
    ck_assert_uint_eq(request(GET_ID, 0, 20, true, &used), OK);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 20), disk.blk.serial, 20), 0);
    ck_assert_uint_eq(request(GET_ID, 0, 5, true, &used), OK);
    ck_assert_uint_eq(used, 6);
}
END_TEST

START_TEST(blk_request_without_header_or_status_needs_reset)
{
    static const struct {
        uint32_t header, status;
    } wrong[] = {{15, 1}, {0, 1}, {16, 0}, {0, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        put_header(0, IN, 0);
        ring_desc(&ring, 0, HEADER(0), wrong[i].header, DESC_NEXT, 1);
        ring_desc(&ring, 1, STATUS(0), wrong[i].status, DESC_WRITE, 0);
        ring_offer(&ring, 0);
        run();
        ck_assert_uint_eq(port_status(&port) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
        ck_assert_uint_eq(vd->vq[0].in_flight, 0);
        ck_assert_uint_eq(ring_used_idx(&ring), 0);
        port_start(&port, &ring);
        ck_assert_uint_eq(request(IN, 0, 512, true, NULL), OK);
        port_start(&port, &ring);
    }
}
END_TEST

/* --- cache modes --- */

/*
 * Features to accept, the config write (-1: none), and whether a write must be stable on
 * completion.
 */
static const struct {
    uint64_t features;
    int writeback;
    bool stable;
} modes[] = {
    {0, -1, true},
    {F_FLUSH, -1, false},
    {F_FLUSH | F_CONFIG_WCE, -1, false},
    {F_FLUSH | F_CONFIG_WCE, 0, true},
    {F_FLUSH | F_CONFIG_WCE, 1, false},
    {F_CONFIG_WCE, -1, true},
    {F_CONFIG_WCE, 1, true},    /* it could never flush */
    {F_FLUSH, 0, false},        /* not its to write */
};

START_TEST(blk_writes_are_stable_when_the_mode_says_so)
{
    restart(modes[_i].features | F_WRITE_ZEROES);
    if (modes[_i].writeback >= 0)
        port_set_config(&port, 32, 1, (unsigned)modes[_i].writeback);
    ck_assert_uint_eq(request(OUT, 0, 512, false, NULL), OK);
    ck_assert_int_eq(disk.last.fua, modes[_i].stable);
    ck_assert_int_eq(disk.stable, modes[_i].stable);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, 8, 0), OK);
    ck_assert_int_eq(disk.last.fua, modes[_i].stable);
    ck_assert_uint_eq(request(FLUSH, 0, 0, false, NULL), OK);
    ck_assert(disk.stable);
}
END_TEST

START_TEST(blk_writeback_field_follows_negotiation_and_writes)
{
    ck_assert_uint_eq(port_config(&port, 32, 1), 1);
    port_set_config(&port, 32, 1, 0);
    ck_assert_uint_eq(port_config(&port, 32, 1), 0);
    port_set_config(&port, 32, 2, 0x101); /* not the field */
    ck_assert_uint_eq(port_config(&port, 32, 1), 0);
    port_set_config(&port, 32, 1, 1);
    ck_assert_uint_eq(port_config(&port, 32, 1), 1);
    port_set_config(&port, 32, 1, 0);
    port_set_status(&port, 0);
    ck_assert_uint_eq(port_config(&port, 32, 1), 1);
    restart(F_CONFIG_WCE);
    ck_assert_uint_eq(port_config(&port, 32, 1), 0); /* without FLUSH: 5.2.5.2 */
}
END_TEST

/* --- discard, write-zeroes --- */

START_TEST(blk_discard_and_write_zeroes_reach_the_disk)
{
    ck_assert_uint_eq(range_request(DISCARD, 8, 16, 0), OK);
    ck_assert_int_eq(disk.last.op, BLK_DISCARD);
    ck_assert_uint_eq(disk.last.offset, 8 * 512);
    ck_assert_uint_eq(disk.last.len, 16 * 512);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, SECTORS - 1, 1, 0), OK);
    ck_assert_int_eq(disk.last.op, BLK_WRITE_ZEROES);
    ck_assert(!disk.last.unmap);
    ck_assert_uint_eq(disk.data[DISK - 512], 0);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, SECTORS, 1), OK);
    ck_assert(disk.last.unmap);
}
END_TEST

START_TEST(blk_ranges_are_checked)
{
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t sectors, flags, want;
    } c[] = {
        {DISCARD, 0, 8, 1, UNSUPP},           {DISCARD, 0, 8, 2, UNSUPP},
        {WRITE_ZEROES, 0, 8, 2, UNSUPP},      {WRITE_ZEROES, 0, 8, 0x80000001, UNSUPP},
        {DISCARD, SECTORS, 1, 0, IOERR},      {WRITE_ZEROES, SECTORS - 7, 8, 0, IOERR},
        {DISCARD, ~0ull, 1, 0, IOERR},        {WRITE_ZEROES, 1ull << 55, 8, 0, IOERR},
        {WRITE_ZEROES, 0, ~0u, 0, IOERR},     {DISCARD, 0, (1 << 22) + 1, 0, IOERR},
        {DISCARD, 0, 0, 0, OK},               {WRITE_ZEROES, SECTORS, 0, 0, OK},
    };
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        ck_assert_uint_eq(range_request(c[i].type, c[i].sector, c[i].sectors, c[i].flags),
                          c[i].want);
    ck_assert_uint_eq(disk.submits, 0);
}
END_TEST

START_TEST(blk_range_has_a_longest_length)
{
    disk.blk.size = 1ull << 40;
    recreate(1);
    port_start(&port, &ring);
    disk.fail = -EIO; /* there is no such disk behind it */
    ck_assert_uint_eq(range_request(DISCARD, 0, (1 << 22) + 1, 0), IOERR);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, (1 << 22) + 1, 0), IOERR);
    ck_assert_uint_eq(disk.submits, 0);
    range_request(WRITE_ZEROES, 0, 1 << 22, 0);
    ck_assert_uint_eq(disk.submits, 1);
    ck_assert_uint_eq(disk.last.len, 1ull << 31);
}
END_TEST

START_TEST(blk_ranges_come_one_at_a_time)
{
    static const uint32_t len[] = {15, 17, 32, 4096, 0};
    for (unsigned i = 0; i < ARRAY_LEN(len); i++) {
        ck_assert_uint_eq(request(DISCARD, 0, len[i], false, NULL), IOERR);
        ck_assert_uint_eq(request(WRITE_ZEROES, 0, len[i], false, NULL), IOERR);
    }
    ck_assert_uint_eq(port_config(&port, 40, 4), 1); /* max_discard_seg */
    ck_assert_uint_eq(port_config(&port, 52, 4), 1); /* max_write_zeroes_seg */
    ck_assert_uint_eq(disk.submits, 0);
}
END_TEST

START_TEST(blk_ranges_need_their_feature)
{
    restart(F_FLUSH);
    ck_assert_uint_eq(range_request(DISCARD, 0, 8, 0), UNSUPP);
    ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, 8, 0), UNSUPP);
}
END_TEST

/* --- read-only --- */

START_TEST(blk_read_only_disk_takes_no_writes)
{
    disk.blk.read_only = true;
    recreate(1);
    uint64_t offered = port_offered(&port);
    ck_assert_uint_eq(offered & (F_RO | F_DISCARD | F_WRITE_ZEROES), F_RO);
    for (unsigned i = 0; i < 2; i++) {
        restart(i ? ~0ull : ~F_RO); /* whether the driver knows or not */
        ck_assert_uint_eq(request(OUT, 0, 512, false, NULL), IOERR);
        ck_assert_uint_eq(range_request(DISCARD, 0, 8, 0), IOERR);
        ck_assert_uint_eq(range_request(WRITE_ZEROES, 0, 8, 0), IOERR);
        ck_assert_uint_eq(disk.blk.errors, 0); /* the backend was not even asked */
        ck_assert_uint_eq(request(IN, 0, 512, true, NULL), OK);
        ck_assert_uint_eq(request(FLUSH, 0, 0, false, NULL), OK);
    }
}
END_TEST

/* --- configuration --- */

START_TEST(blk_config_describes_the_disk)
{
    disk.blk.logical_block = 512;
    disk.blk.physical_block = 4096;
    recreate(4);
    uint64_t offered = port_offered(&port);
    uint64_t want = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE | F_MQ |
                    F_DISCARD | F_WRITE_ZEROES;
    ck_assert_uint_eq(offered & 0xffffff, want);
    ck_assert_uint_eq(vd->config_size, 60);
    ck_assert_uint_eq(port_config(&port, 0, 8), SECTORS);
    ck_assert_uint_eq(port_config(&port, 12, 4), 254);
    ck_assert_uint_eq(port_config(&port, 20, 4), 512);
    ck_assert_uint_eq(port_config(&port, 24, 1), 3);
    ck_assert_uint_eq(port_config(&port, 25, 1), 0);
    ck_assert_uint_eq(port_config(&port, 26, 2), 8);
    ck_assert_uint_eq(port_config(&port, 34, 2), 4);
    ck_assert_uint_eq(port_config(&port, 36, 4), 1 << 22);
    ck_assert_uint_eq(port_config(&port, 44, 4), 8);
    ck_assert_uint_eq(port_config(&port, 48, 4), 1 << 22);
    ck_assert_uint_eq(port_config(&port, 56, 1), 1);
}
END_TEST

START_TEST(blk_disk_without_discard_does_not_offer_it)
{
    disk.blk.can_discard = false;
    recreate(1);
    ck_assert_uint_eq(port_offered(&port) & (F_MQ | F_DISCARD | F_WRITE_ZEROES), F_WRITE_ZEROES);
    ck_assert_uint_eq(port_config(&port, 36, 4), 0);
    ck_assert_uint_eq(port_config(&port, 56, 1), 0);
}
END_TEST

/* --- many at once --- */

START_TEST(blk_kick_is_one_batch_and_one_commit)
{
    for (unsigned i = 0; i < 20; i++)
        offer(i, IN, i, DATA + 512 * i, 512, true);
    run();
    ck_assert_uint_eq(disk.submits, 20);
    ck_assert_uint_eq(disk.commits, 1);
    ck_assert_uint_eq(ring_used_idx(&ring), 20);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_uint_eq(status(i), OK);
    ck_assert_uint_eq(vd->vq[0].interrupts, 1); /* event index: the driver has not looked yet */
}
END_TEST

START_TEST(blk_requests_complete_in_any_order_on_all_queues)
{
    struct ring second;
    recreate(2);
    ring_init(&second, &rig.gm, 0x10000 + RING_STRIDE, 64);
    port_set_status(&port, 0);
    ring_init(&ring, &rig.gm, 0x10000, 64);
    port_set_status(&port, 3);
    port_accept(&port, port_offered(&port));
    port_set_status(&port, 11);
    port_queue(&port, 0, &ring);
    port_queue(&port, 1, &second);
    port_set_status(&port, 15);

    offer(0, IN, 1, DATA, 512, true);
    port_kick(&port, 0);
    struct ring first = ring;
    ring = second;
    offer(1, IN, 2, DATA + 512, 512, true);
    port_kick(&port, 1);
    event_queue_run(&rig.events);
    uint32_t id, len;
    ck_assert(ring_take(&ring, &id, &len));
    ck_assert_uint_eq(id, 3);
    ck_assert(ring_take(&first, &id, &len));
    ck_assert_uint_eq(id, 0);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA, 1024), disk.data + 512, 1024), 0);
}
END_TEST

/*
 * A driver that makes the head available again as soon as it comes back: without a bound, one kick
 * would never end.
 */
static unsigned eager_left;

static void eager(void *opaque, gpa_t gpa, uint64_t len)
{
    (void)opaque;
    (void)len;
    if (gpa != ring.used + 2 || !eager_left)
        return;
    eager_left--;
    ring_offer(&ring, 0);
}

START_TEST(blk_kick_is_bounded)
{
    put_header(0, 99, 0);
    ring_desc(&ring, 0, HEADER(0), 16, DESC_NEXT, 1);
    ring_desc(&ring, 1, STATUS(0), 1, DESC_WRITE, 0);
    ring_offer(&ring, 0);
    rig.gm.wrote = eager;
    eager_left = 1000;
    port_kick(&port, 0);
    ck_assert_uint_eq(vd->vq[0].pops, 2 * 64);
    event_queue_run(&rig.events); /* the rest is not forgotten */
    ck_assert_uint_eq(vd->vq[0].pops, 4 * 64);
    while (event_queue_run(&rig.events))
        ;
    ck_assert_uint_eq(vd->vq[0].pops, 1001);
    ck_assert_uint_eq(ring_avail_event(&ring), 1001);
}
END_TEST

/* --- reset --- */

START_TEST(blk_reset_waits_for_what_is_in_flight)
{
    disk.hold = true;
    for (unsigned i = 0; i < 10; i++)
        offer(i, i & 1 ? OUT : IN, i, DATA + 512 * i, 512, !(i & 1));
    port_kick(&port, 0);
    event_queue_run(&rig.events);
    ck_assert_uint_eq(vd->vq[0].in_flight, 10);
    disk.drains = 0;
    port_set_status(&port, 0);
    ck_assert_uint_eq(disk.drains, 1);
    ck_assert_uint_eq(vd->vq[0].in_flight, 0);
    ck_assert_uint_eq(disk.blk.in_flight, 0);
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(status(i), UNTOUCHED);
    ck_assert(!rig.line);

    gmem_fill(&rig.gm, DATA, 0xab, 0x4000); /* the memory has a new owner */
    disk.hold = false;
    event_queue_run(&rig.events);
    for (unsigned i = 0; i < 0x4000; i++)
        ck_assert_uint_eq(*gmem_ptr(&rig.gm, DATA + i, 1), 0xab);

    port_start(&port, &ring);
    ck_assert_uint_eq(request(IN, 5, 512, true, NULL), OK);
}
END_TEST

START_TEST(blk_breakdown_with_requests_in_flight_is_quiet_and_mended)
{
    disk.hold = true;
    offer(0, IN, 0, DATA, 512, true);
    port_kick(&port, 0);
    ring_offer(&ring, 0); /* the same head again */
    port_kick(&port, 0);
    ck_assert_uint_eq(port_status(&port) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    fake_disk_release(&disk);
    ck_assert_uint_eq(status(0), UNTOUCHED);
    ck_assert_uint_eq(ring_used_idx(&ring), 0);
    ck_assert_uint_eq(vd->vq[0].in_flight, 0);
    port_start(&port, &ring);
    ck_assert_uint_eq(request(IN, 5, 512, true, NULL), OK);
}
END_TEST

START_TEST(blk_broken_batch_still_finishes_what_came_before)
{
    offer(0, OUT, 0, DATA, 512, false);
    ring_offer(&ring, 500);
    run();
    ck_assert_uint_eq(disk.commits, 1);
    ck_assert_uint_eq(disk.blk.in_flight, 0);
    ck_assert_uint_eq(vd->vq[0].in_flight, 0);
}
END_TEST

START_TEST(blk_fini_waits_for_what_is_in_flight)
{
    disk.hold = true;
    offer(0, IN, 0, DATA, 512, true);
    port_kick(&port, 0);
    recreate(1); /* frees the device; the sanitizers watch */
    ck_assert_uint_eq(disk.blk.in_flight, 0);
    ck_assert_uint_eq(status(0), UNTOUCHED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_blk");
    TCase *t = tcase_create("blk");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, blk_read_fills_guest_memory);
    tcase_add_test(t, blk_read_is_zero_copy);
    tcase_add_test(t, blk_read_tells_what_it_wrote);
    tcase_add_test(t, blk_write_reaches_the_disk);
    tcase_add_test(t, blk_framing_does_not_matter);
    tcase_add_test(t, blk_indirect_request_works);
    tcase_add_test(t, blk_request_of_seg_max_segments_works);
    tcase_add_test(t, blk_bad_transfers_are_io_errors);
    tcase_add_test(t, blk_transfer_of_nothing_succeeds);
    tcase_add_test(t, blk_host_errors_are_io_errors);
    tcase_add_test(t, blk_discard_that_the_host_cannot_do_is_unsupported);
    tcase_add_test(t, blk_unknown_requests_are_unsupported);
    tcase_add_test(t, blk_get_id_is_padded_with_zeros);
    tcase_add_test(t, blk_request_without_header_or_status_needs_reset);
    tcase_add_loop_test(t, blk_writes_are_stable_when_the_mode_says_so, 0, (int)ARRAY_LEN(modes));
    tcase_add_test(t, blk_writeback_field_follows_negotiation_and_writes);
    tcase_add_test(t, blk_discard_and_write_zeroes_reach_the_disk);
    tcase_add_test(t, blk_ranges_are_checked);
    tcase_add_test(t, blk_range_has_a_longest_length);
    tcase_add_test(t, blk_ranges_come_one_at_a_time);
    tcase_add_test(t, blk_ranges_need_their_feature);
    tcase_add_test(t, blk_read_only_disk_takes_no_writes);
    tcase_add_test(t, blk_config_describes_the_disk);
    tcase_add_test(t, blk_disk_without_discard_does_not_offer_it);
    tcase_add_test(t, blk_kick_is_one_batch_and_one_commit);
    tcase_add_test(t, blk_requests_complete_in_any_order_on_all_queues);
    tcase_add_test(t, blk_kick_is_bounded);
    tcase_add_test(t, blk_reset_waits_for_what_is_in_flight);
    tcase_add_test(t, blk_breakdown_with_requests_in_flight_is_quiet_and_mended);
    tcase_add_test(t, blk_broken_batch_still_finishes_what_came_before);
    tcase_add_test(t, blk_fini_waits_for_what_is_in_flight);
    suite_add_tcase(s, t);
    return suite_run(s);
}
