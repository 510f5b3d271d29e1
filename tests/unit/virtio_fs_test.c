// SPDX-License-Identifier: MIT
//
// The virtio file system device, driven through both transports over a real directory: how FUSE
// requests get in and replies out, several at a time, what a malformed one does, and reset.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/fs.h"
#include "tests/lib/fuse_rig.h"
#include "tests/lib/suite.h"
#include "tests/lib/virtio_rig.h"
#include "util.h"

#define BASE 0xd0000000ull
#define IN(i) (0x100000ull + 0x2000 * (i)) /* a request, and behind it the room for its reply */
#define OUT(i) (IN(i) + 0x1000)
#define DATA 0x400000ull
#define RING(q) (0x10000ull + RING_STRIDE * (q))

static struct rig rig;
static struct fuse_rig files; /* for its directories and its server */
static struct virtio *vd;
static struct port port;
static struct ring ring[3];

static void start(void)
{
    port_set_status(&port, 0);
    port_set_status(&port, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&port, port_offered(&port));
    uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    port_set_status(&port, status);
    ck_assert_uint_eq(port_status(&port), status);
    for (unsigned q = 0; q < 3; q++) {
        ring_init(&ring[q], &rig.gm, RING(q), 128);
        port_queue(&port, q, &ring[q]);
    }
    port_set_status(&port, status | VIRTIO_DRIVER_OK);
}

static void create(bool pci)
{
    struct err err = {{0}};
    rig_init(&rig, pci);
    fuse_rig_init(&files, (struct fs_config){.owner = FS_OWNER_KEEP});
    vd = virtio_fs_create(files.fs, "share", 2, &rig.gm, &rig.events, &err);
    ck_assert_msg(vd != NULL, "%s", err.msg);
    if (pci)
        port_init_pci(&port, &rig, vd, 1);
    else
        port_init_mmio(&port, &rig, vd, BASE);
    start();
}

static void setup(void)
{
    create(false);
}

static void teardown(void)
{
    port_fini(&port);
    rig_fini(&rig);
    fuse_rig_fini(&files);
}

/* --- requests --- */

static void put_header(unsigned i, uint32_t op, uint64_t node, uint32_t len)
{
    struct fuse_in_header h = {.len = len, .opcode = op, .unique = 1000 + i, .nodeid = node};
    gmem_write(&rig.gm, IN(i), &h, sizeof h);
    gmem_fill(&rig.gm, OUT(i), 0xee, 0x1000);
}

/* Request i on queue q: descriptors 2i and 2i + 1. room 0: none. */
static void offer(unsigned q, unsigned i, uint32_t op, uint64_t node, const void *arg, uint32_t len,
                  uint32_t room)
{
    uint32_t total = (uint32_t)sizeof(struct fuse_in_header) + len;
    put_header(i, op, node, total);
    gmem_write(&rig.gm, IN(i) + sizeof(struct fuse_in_header), arg, len);
    ring_desc(&ring[q], 2 * i, IN(i), total, room ? DESC_NEXT : 0, (uint16_t)(2 * i + 1));
    if (room)
        ring_desc(&ring[q], 2 * i + 1, OUT(i), room, DESC_WRITE, 0);
    ring_offer(&ring[q], (uint16_t)(2 * i));
}

/* Work is done on threads: run events until so many are used. */
static void wait_used(unsigned q, uint16_t n)
{
    for (unsigned i = 0; i < 20000 && ring_used_idx(&ring[q]) != n; i++) {
        event_queue_run(&rig.events);
        usleep(100);
    }
    ck_assert_uint_eq(ring_used_idx(&ring[q]), n);
}

static struct fuse_out_header reply(unsigned i)
{
    struct fuse_out_header h;
    gmem_read(&rig.gm, OUT(i), &h, sizeof h);
    return h;
}

static struct fuse_out_header request(uint32_t op, uint64_t node, const void *arg, uint32_t len)
{
    uint32_t id, used;
    uint16_t before = ring_used_idx(&ring[1]);
    offer(1, 0, op, node, arg, len, 0x1000);
    port_kick(&port, 1);
    wait_used(1, (uint16_t)(before + 1));
    ck_assert(ring_take(&ring[1], &id, &used));
    ck_assert_uint_eq(id, 0);
    ck_assert_uint_eq(used, reply(0).len);
    ck_assert_uint_eq(reply(0).unique, 1000);
    return reply(0);
}

static void init_session(void)
{
    struct fuse_init_in in = {.major = 7, .minor = 38};
    ck_assert_int_eq(request(FUSE_INIT, 0, &in, sizeof in).error, 0);
}

START_TEST(virtio_fs_config_has_tag_and_queues)
{
    char tag[37] = "";
    for (unsigned i = 0; i < 36; i++)
        tag[i] = (char)port_config(&port, i, 1);
    ck_assert_str_eq(tag, "share");
    ck_assert_uint_eq(port_config(&port, 36, 4), 2);
    ck_assert_uint_eq(vd->nqueues, 3);
    ck_assert_uint_eq(vd->ops->device_id, 26);
}
END_TEST

static void serve_some(void)
{
    init_session();
    host_put(&files, "share/f", "text");
    struct fuse_out_header h = request(FUSE_LOOKUP, FUSE_ROOT_ID, "f", 2);
    ck_assert_int_eq(h.error, 0);
    ck_assert_uint_eq(h.len, sizeof h + sizeof(struct fuse_entry_out));
    h = request(FUSE_LOOKUP, 77, "f", 2);
    ck_assert_int_eq(h.error, -ESTALE);
    ck_assert_uint_eq(h.len, sizeof h);
    h = request(4711, 0, "", 0);
    ck_assert_int_eq(h.error, -ENOSYS);
}

START_TEST(virtio_fs_serves_over_mmio)
{
    serve_some();
    ck_assert(rig.line_rises > 0);
}
END_TEST

START_TEST(virtio_fs_serves_over_pci)
{
    teardown();
    create(true);
    serve_some();
}
END_TEST

START_TEST(virtio_fs_contents_move_in_any_pieces)
{
    init_session();
    struct {
        struct fuse_create_in in;
        char name[2];
    } create_in = {.in = {.flags = O_RDWR | O_CREAT, .mode = 0644}, .name = "f"};
    ck_assert_int_eq(request(FUSE_CREATE, FUSE_ROOT_ID, &create_in, 18).error, 0);
    uint64_t node = 0, fh = 0;
    gmem_read(&rig.gm, OUT(0) + 16, &node, 8);
    gmem_read(&rig.gm, OUT(0) + 16 + sizeof(struct fuse_entry_out), &fh, 8);

    /* WRITE: header in two pieces, data in three. */
    for (unsigned i = 0; i < 1000; i++)
        *gmem_ptr(&rig.gm, DATA + i, 1) = (uint8_t)(i * 3);
    struct fuse_write_in w = {.fh = fh, .offset = 10, .size = 1000};
    put_header(0, FUSE_WRITE, node, 80 + 1000);
    gmem_write(&rig.gm, IN(0) + 40, &w, sizeof w);
    ring_desc(&ring[1], 0, IN(0), 33, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, IN(0) + 33, 47, DESC_NEXT, 2);
    ring_desc(&ring[1], 2, DATA, 1, DESC_NEXT, 3);
    ring_desc(&ring[1], 3, DATA + 1, 900, DESC_NEXT, 4);
    ring_desc(&ring[1], 4, DATA + 901, 99, DESC_NEXT, 5);
    ring_desc(&ring[1], 5, OUT(0), 64, DESC_WRITE, 0);
    uint16_t used = ring_used_idx(&ring[1]);
    ring_offer(&ring[1], 0);
    port_kick(&port, 1);
    wait_used(1, (uint16_t)(used + 1));
    ck_assert_int_eq(reply(0).error, 0);
    ck_assert_uint_eq(load_le32(gmem_ptr(&rig.gm, OUT(0) + 16, 4)), 1000);

    /* READ: reply header across pieces, too. */
    struct fuse_read_in r = {.fh = fh, .offset = 10, .size = 1000};
    put_header(0, FUSE_READ, node, 80);
    gmem_write(&rig.gm, IN(0) + 40, &r, sizeof r);
    gmem_fill(&rig.gm, DATA + 0x10000, 0, 1000);
    ring_desc(&ring[1], 0, IN(0), 80, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, OUT(0), 5, DESC_WRITE | DESC_NEXT, 2);
    ring_desc(&ring[1], 2, OUT(0) + 5, 11, DESC_WRITE | DESC_NEXT, 3);
    ring_desc(&ring[1], 3, DATA + 0x10000, 500, DESC_WRITE | DESC_NEXT, 4);
    ring_desc(&ring[1], 4, DATA + 0x10000 + 500, 700, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    port_kick(&port, 1);
    wait_used(1, (uint16_t)(used + 2));
    ck_assert_uint_eq(reply(0).len, 16 + 1000);
    ck_assert_int_eq(memcmp(gmem_ptr(&rig.gm, DATA + 0x10000, 1000), gmem_ptr(&rig.gm, DATA, 1000),
                            1000), 0);
}
END_TEST

START_TEST(virtio_fs_forget_has_its_own_queue_and_no_reply)
{
    struct fuse_forget_in in = {.nlookup = 1};
    uint32_t id, used;
    init_session();
    host_put(&files, "share/f", "");
    ck_assert_int_eq(request(FUSE_LOOKUP, FUSE_ROOT_ID, "f", 2).error, 0);
    uint64_t node = load_le64(gmem_ptr(&rig.gm, OUT(0) + 16, 8));
    ck_assert_uint_eq(fs_count(files.fs).nodes, 2);
    offer(0, 3, FUSE_FORGET, node, &in, sizeof in, 0);
    port_kick(&port, 0);
    wait_used(0, 1);
    ck_assert(ring_take(&ring[0], &id, &used));
    ck_assert_uint_eq(id, 6);
    ck_assert_uint_eq(used, 0);
    ck_assert_uint_eq(fs_count(files.fs).nodes, 1);
}
END_TEST

START_TEST(virtio_fs_many_requests_on_several_queues_are_all_answered)
{
    init_session();
    uint16_t before = ring_used_idx(&ring[1]);
    for (unsigned i = 0; i < 60; i++) {
        char name[8];
        struct {
            struct fuse_mkdir_in in;
            char name[8];
        } m = {.in.mode = 0755};
        snprintf(name, sizeof name, "d%u", i);
        memcpy(m.name, name, sizeof name);
        offer(1 + i % 2, i, FUSE_MKDIR, FUSE_ROOT_ID, &m, (uint32_t)(9 + strlen(name)), 0x1000);
    }
    port_kick(&port, 1);
    port_kick(&port, 2);
    wait_used(1, (uint16_t)(before + 30));
    wait_used(2, 30);
    for (unsigned i = 0; i < 60; i++) {
        char path[24];
        ck_assert_int_eq(reply(i).error, 0);
        ck_assert_uint_eq(reply(i).unique, 1000 + i);
        snprintf(path, sizeof path, "share/d%u", i);
        ck_assert(host_has(&files, path));
    }
    ck_assert_uint_eq(fs_count(files.fs).nodes, 61);
}
END_TEST

/* --- hostile drivers --- */

static void expect_broken(void)
{
    port_kick(&port, 1);
    for (unsigned i = 0; i < 2000 && !(port_status(&port) & VIRTIO_NEEDS_RESET); i++) {
        event_queue_run(&rig.events);
        usleep(100);
    }
    ck_assert(port_status(&port) & VIRTIO_NEEDS_RESET);
    start();
    ck_assert_uint_eq(port_status(&port) & VIRTIO_NEEDS_RESET, 0);
    init_session();
}

START_TEST(virtio_fs_length_that_lies_needs_reset)
{
    init_session();
    put_header(0, FUSE_GETATTR, FUSE_ROOT_ID, 57);
    ring_desc(&ring[1], 0, IN(0), 56, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, OUT(0), 0x1000, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    expect_broken();
    put_header(0, FUSE_GETATTR, FUSE_ROOT_ID, UINT32_MAX);
    ring_desc(&ring[1], 0, IN(0), 56, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, OUT(0), 0x1000, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    expect_broken();
}
END_TEST

START_TEST(virtio_fs_request_without_a_header_needs_reset)
{
    init_session();
    put_header(0, FUSE_GETATTR, FUSE_ROOT_ID, 39);
    ring_desc(&ring[1], 0, IN(0), 39, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, OUT(0), 0x1000, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    expect_broken();
    ring_desc(&ring[1], 0, OUT(0), 0x1000, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    expect_broken();
}
END_TEST

START_TEST(virtio_fs_reply_without_room_needs_reset)
{
    init_session();
    offer(1, 0, FUSE_LOOKUP, FUSE_ROOT_ID, "f", 2, 15);
    expect_broken();
    offer(1, 0, FUSE_LOOKUP, FUSE_ROOT_ID, "f", 2, 0);
    expect_broken();
}
END_TEST

START_TEST(virtio_fs_huge_arguments_are_refused)
{
    uint32_t id, used;
    init_session();
    uint16_t before = ring_used_idx(&ring[1]);
    put_header(0, FUSE_LOOKUP, FUSE_ROOT_ID, 0x200000);
    ring_desc(&ring[1], 0, IN(0), 0x200000, DESC_NEXT, 1);
    ring_desc(&ring[1], 1, 0x300000 + 0x10000, 0x1000, DESC_WRITE, 0);
    ring_offer(&ring[1], 0);
    port_kick(&port, 1);
    wait_used(1, (uint16_t)(before + 1));
    ck_assert(ring_take(&ring[1], &id, &used));
    ck_assert_uint_eq(used, 16);
    ck_assert_int_eq((int)load_le32(gmem_ptr(&rig.gm, 0x310004, 4)), -EINVAL);
}
END_TEST

START_TEST(virtio_fs_nothing_works_before_init)
{
    struct fuse_getattr_in in = {0};
    fs_reset(files.fs);
    ck_assert_int_eq(request(FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in).error, -EIO);
}
END_TEST

START_TEST(virtio_fs_reset_with_requests_under_way_leaves_memory_alone)
{
    for (unsigned round = 0; round < 50; round++) {
        init_session();
        for (unsigned i = 1; i < 50; i++) {
            struct {
                struct fuse_mkdir_in in;
                char name[16];
            } m = {.in.mode = 0755};
            snprintf(m.name, sizeof m.name, "r%u-%u", round, i);
            offer(2, i, FUSE_MKDIR, FUSE_ROOT_ID, &m, (uint32_t)(9 + strlen(m.name)), 0x1000);
        }
        port_kick(&port, 2);
        port_set_status(&port, 0);
        ck_assert_uint_eq(port_status(&port), 0);
        for (unsigned i = 1; i < 50; i++)
            gmem_fill(&rig.gm, OUT(i), 0x55, 0x1000);
        event_queue_run(&rig.events);
        for (unsigned i = 1; i < 50; i++)
            ck_assert_uint_eq(load_le32(gmem_ptr(&rig.gm, OUT(i), 4)), 0x55555555);
        ck_assert_uint_eq(fs_count(files.fs).nodes, 1);
        start();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio_fs");
    TCase *t = tcase_create("device");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, virtio_fs_config_has_tag_and_queues);
    tcase_add_test(t, virtio_fs_serves_over_mmio);
    tcase_add_test(t, virtio_fs_serves_over_pci);
    tcase_add_test(t, virtio_fs_contents_move_in_any_pieces);
    tcase_add_test(t, virtio_fs_forget_has_its_own_queue_and_no_reply);
    tcase_add_test(t, virtio_fs_many_requests_on_several_queues_are_all_answered);
    tcase_add_test(t, virtio_fs_length_that_lies_needs_reset);
    tcase_add_test(t, virtio_fs_request_without_a_header_needs_reset);
    tcase_add_test(t, virtio_fs_reply_without_room_needs_reset);
    tcase_add_test(t, virtio_fs_huge_arguments_are_refused);
    tcase_add_test(t, virtio_fs_nothing_works_before_init);
    tcase_add_test(t, virtio_fs_reset_with_requests_under_way_leaves_memory_alone);
    suite_add_tcase(s, t);
    return suite_run(s);
}
