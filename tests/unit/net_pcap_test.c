// SPDX-License-Identifier: MIT
//
// Capture files, read back byte by byte.
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/net/pcap.h"
#include "tests/lib/fake_net.h"
#include "tests/lib/suite.h"
#include "util.h"

#define WALL_NS (1700000000ull * NS_PER_S + 123456789)

static char dir[] = "/tmp/pcap-test-XXXXXX", path[64];
static struct clock clk;
static uint8_t frame[NET_FRAME_MAX + 1000], *file;
static size_t file_len;

static void setup(void)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 7);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.pcap", dir);
    clock_init_stepped(&clk, WALL_NS);
}

static void teardown(void)
{
    unlink(path);
    rmdir(dir);
    free(file);
    file = NULL;
}

static void read_file(void)
{
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    file = malloc(MIB(4));
    file_len = fread(file, 1, MIB(4), f);
    fclose(f);
}

static struct pcap *open_ok(void)
{
    struct err err = {{0}};
    struct pcap *p = pcap_open(path, &clk, &err);
    ck_assert_msg(p, "%s", err.msg);
    return p;
}

START_TEST(pcap_header_and_records)
{
    struct pcap *p = open_ok();
    struct iovec iov[] = {{frame, 20}, {frame + 20, 44}};
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)i;
    pcap_frame(p, iov, 2, 64);
    clock_step(&clk, NS_PER_S);
    pcap_frame(p, iov, 1, 20);
    pcap_close(p);
    read_file();
    ck_assert_uint_eq(file_len, 24 + 16 + 64 + 16 + 20);
    ck_assert_uint_eq(load_le32(file), 0xa1b23c4d);
    ck_assert_uint_eq(load_le16(file + 4), 2);
    ck_assert_uint_eq(load_le16(file + 6), 4);
    ck_assert_uint_eq(load_le32(file + 16), PCAP_SNAPLEN);
    ck_assert_uint_eq(load_le32(file + 20), 1);
    ck_assert_uint_eq(load_le32(file + 24), 1700000000);
    ck_assert_uint_eq(load_le32(file + 28), 123456789);
    ck_assert_uint_eq(load_le32(file + 32), 64);
    ck_assert_uint_eq(load_le32(file + 36), 64);
    ck_assert_mem_eq(file + 40, frame, 64);
    ck_assert_uint_eq(load_le32(file + 104), 1700000001);
}
END_TEST

START_TEST(pcap_cuts_what_is_longer_than_its_promise)
{
    struct pcap *p = open_ok();
    struct iovec iov = {frame, PCAP_SNAPLEN + 100};
    pcap_frame(p, &iov, 1, PCAP_SNAPLEN + 100);
    pcap_close(p);
    read_file();
    ck_assert_uint_eq(file_len, 24 + 16 + PCAP_SNAPLEN);
    ck_assert_uint_eq(load_le32(file + 32), PCAP_SNAPLEN);
    ck_assert_uint_eq(load_le32(file + 36), PCAP_SNAPLEN + 100);
}
END_TEST

START_TEST(pcap_loses_nothing_to_a_file)
{
    struct pcap *p = open_ok();
    struct iovec iov = {frame, 1500};
    for (unsigned i = 0; i < 1000; i++) {
        store_le32(frame, i);
        pcap_frame(p, &iov, 1, 1500);
    }
    pcap_close(p);
    read_file();
    ck_assert_uint_eq(file_len, 24 + 1000 * 1516);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq(load_le32(file + 24 + i * 1516 + 16), i);
}
END_TEST

/* Whole records only, however slow the reader, and nobody waits for it. */
START_TEST(pcap_leaves_out_what_a_slow_reader_has_no_room_for)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    struct pcap *p = open_ok();
    struct iovec iov = {frame, 1500};
    for (unsigned i = 0; i < 2000; i++)
        pcap_frame(p, &iov, 1, 1500);
    file = malloc(MIB(4));
    ssize_t n;
    while ((n = read(reader, file + file_len, MIB(4) - file_len)) > 0)
        file_len += (size_t)n;
    pcap_frame(p, &iov, 1, 1500);
    pcap_close(p);
    while ((n = read(reader, file + file_len, MIB(4) - file_len)) > 0)
        file_len += (size_t)n;
    close(reader);
    size_t records = (file_len - 24) / 1516;
    ck_assert_uint_gt(records, 60);
    ck_assert_uint_lt(records, 2000);
    for (size_t i = 0; i < records; i++)
        ck_assert_uint_eq(load_le32(file + 24 + i * 1516 + 8), 1500);
}
END_TEST

START_TEST(pcap_says_why_it_cannot_open)
{
    struct err err = {{0}};
    ck_assert_ptr_null(pcap_open("/nonexistent/x.pcap", &clk, &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/x.pcap"));
}
END_TEST

START_TEST(pcap_records_both_directions_of_a_backend)
{
    struct fake_net f;
    struct net_frame got;
    static const struct net_offload none;
    fake_net_init(&f, 0, 0, 1);
    f.net.pcap = open_ok();
    struct iovec iov = {frame, 60};
    memset(frame, 1, 60);
    ck_assert(net_send(&f.net, 0, &iov, 1, 60, &none));
    f.room = 0;
    ck_assert(!net_send(&f.net, 0, &iov, 1, 60, &none)); /* refused: not on the wire */
    memset(frame, 2, 60);
    fake_net_queue(&f, 0, frame, 60, NULL);
    ck_assert(net_peek(&f.net, 0, &got));
    net_next(&f.net, 0, &got);
    pcap_close(f.net.pcap);
    fake_net_fini(&f);
    read_file();
    ck_assert_uint_eq(file_len, 24 + 2 * 76);
    ck_assert_uint_eq(file[24 + 16], 1);
    ck_assert_uint_eq(file[24 + 76 + 16], 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_pcap");
    TCase *t = tcase_create("pcap");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, pcap_header_and_records);
    tcase_add_test(t, pcap_cuts_what_is_longer_than_its_promise);
    tcase_add_test(t, pcap_loses_nothing_to_a_file);
    tcase_add_test(t, pcap_leaves_out_what_a_slow_reader_has_no_room_for);
    tcase_add_test(t, pcap_says_why_it_cannot_open);
    tcase_add_test(t, pcap_records_both_directions_of_a_backend);
    suite_add_tcase(s, t);
    return suite_run(s);
}
