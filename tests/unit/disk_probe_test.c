// SPDX-License-Identifier: MIT
//
// Partition tables, superblocks, kernel releases and command lines: what is read out of good ones
// and of bad ones.
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "loader/cmdline.h"
#include "loader/disk_probe.h"
#include "loader/kernel_version.h"
#include "tests/lib/suite.h"
#include "util.h"

#define DISK_BYTES MIB(4)

static uint8_t *image;
static struct disk_source disk;
static struct disk_parts parts;
static struct disk_fs fs;

static bool read_image(void *opaque, uint64_t offset, void *buf, size_t len)
{
    (void)opaque;
    ck_assert(range_fits(offset, len, DISK_BYTES));
    memcpy(buf, image + offset, len);
    return true;
}

static void setup(void)
{
    image = calloc(1, DISK_BYTES);
    disk = (struct disk_source){read_image, NULL, DISK_BYTES};
}

static void teardown(void)
{
    free(image);
}

static void put_mbr_entry(uint64_t table, unsigned i, uint8_t type, uint32_t first, uint32_t sectors)
{
    uint8_t *entry = image + table + 446 + 16 * i;
    entry[4] = type;
    store_le32(entry + 8, first);
    store_le32(entry + 12, sectors);
    store_le16(image + table + 510, 0xaa55);
}

static void put_ext4(uint64_t at, const char *label)
{
    store_le16(image + at + 1080, 0xef53);
    for (uint8_t i = 0; i < 16; i++)
        image[at + 1128 + i] = (uint8_t)(i * 17);
    memcpy(image + at + 1144, label, strlen(label));
}

static const uint8_t guid_root[16] = {0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
                                      0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09};
static const uint8_t guid_linux[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                       0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

static void put_gpt_entry(unsigned i, const uint8_t *type, uint64_t first, uint64_t last,
                          const char *name)
{
    uint8_t *entry = image + 1024 + 128 * i;
    memcpy(entry, type, 16);
    for (uint8_t b = 0; b < 16; b++)
        entry[16 + b] = (uint8_t)(b + i);
    store_le64(entry + 32, first);
    store_le64(entry + 40, last);
    for (size_t n = 0; name[n]; n++)
        entry[56 + 2 * n] = (uint8_t)name[n];
}

static void seal_gpt(void)
{
    uint8_t *header = image + 512;
    put_mbr_entry(0, 0, 0xee, 1, 0xffffffff);
    memcpy(header, "EFI PART", 8);
    store_le32(header + 8, 0x10000);
    store_le32(header + 12, 92);
    store_le64(header + 24, 1);
    store_le64(header + 72, 2);
    store_le32(header + 80, 128);
    store_le32(header + 84, 128);
    store_le32(header + 16, 0);
    store_le32(header + 16, (uint32_t)crc32(0, header, 92));
}

START_TEST(disk_without_anything_has_no_root)
{
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), -1);
    ck_assert_int_eq(parts.table, DISK_TABLE_NONE);
}
END_TEST

START_TEST(file_system_on_the_whole_disk_is_the_root)
{
    put_ext4(0, "my root");
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), 0);
    ck_assert_str_eq(fs.type, "ext4");
    ck_assert_str_eq(fs.label, "my root");
    ck_assert_str_eq(fs.uuid, "00112233-4455-6677-8899-aabbccddeeff");
    ck_assert(fs.mountable);
}
END_TEST

START_TEST(biggest_linux_partition_of_an_mbr_is_the_root)
{
    store_le32(image + 440, 0x12ab34cd);
    put_mbr_entry(0, 0, 0x07, 64, 4000);
    put_mbr_entry(0, 1, 0x83, 4096, 512);
    put_mbr_entry(0, 2, 0x05, 5120, 3000);
    put_mbr_entry(5120 * 512, 0, 0x83, 8, 1024);
    put_mbr_entry(5120 * 512, 1, 0x05, 1100, 500);
    put_mbr_entry(6220 * 512, 0, 0x83, 8, 400);
    put_ext4(4096 * 512, "a");
    put_ext4(5128 * 512, "b");
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), 5);
    ck_assert_int_eq(parts.table, DISK_TABLE_MBR);
    ck_assert_uint_eq(parts.count, 4);
    ck_assert_uint_eq(parts.part[3].number, 6);
    ck_assert_uint_eq(parts.part[3].offset, 6228 * 512);
    ck_assert_str_eq(parts.part[2].uuid, "12ab34cd-05");
    ck_assert_str_eq(fs.label, "b");
}
END_TEST

START_TEST(root_type_of_a_gpt_wins_over_size)
{
    put_gpt_entry(0, guid_linux, 64, 3000, "big");
    put_gpt_entry(3, guid_root, 4096, 4200, "root");
    put_ext4(64 * 512, "big");
    put_ext4(4096 * 512, "root");
    seal_gpt();
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), 4);
    ck_assert_uint_eq(parts.count, 2);
    ck_assert_str_eq(parts.part[1].label, "root");
    ck_assert_str_eq(parts.part[1].uuid, "06050403-0807-0a09-0b0c-0d0e0f101112");
    ck_assert_str_eq(fs.label, "root");
}
END_TEST

START_TEST(gpt_with_a_wrong_checksum_is_none)
{
    put_gpt_entry(0, guid_root, 64, 3000, "root");
    seal_gpt();
    image[512 + 72] ^= 1;
    disk_read_parts(&disk, &parts);
    ck_assert_int_eq(parts.table, DISK_TABLE_NONE);
}
END_TEST

START_TEST(partitions_outside_the_disk_are_passed_over)
{
    put_gpt_entry(0, guid_root, 64, DISK_BYTES / 512, "over the end");
    put_gpt_entry(1, guid_root, 100, 99, "backwards");
    put_gpt_entry(2, guid_root, 1ull << 62, (1ull << 62) + 5, "far");
    put_gpt_entry(3, guid_root, 0, UINT64_MAX, "all");
    put_gpt_entry(4, guid_root, 64, DISK_BYTES / 512 - 1, "fits");
    seal_gpt();
    disk_read_parts(&disk, &parts);
    ck_assert_uint_eq(parts.count, 1);
    ck_assert_uint_eq(parts.part[0].number, 5);
}
END_TEST

START_TEST(chain_of_logical_partitions_that_bites_its_tail_ends)
{
    put_mbr_entry(0, 0, 0x05, 2048, 4000);
    put_mbr_entry(2048 * 512, 0, 0x83, 8, 8);
    put_mbr_entry(2048 * 512, 1, 0x05, 16, 100);
    put_mbr_entry(2064 * 512, 0, 0x83, 8, 8);
    put_mbr_entry(2064 * 512, 1, 0x05, 16, 100); /* itself */
    disk_read_parts(&disk, &parts);
    ck_assert_uint_le(parts.count, DISK_MAX_PARTS);
    ck_assert_uint_gt(parts.count, 2);
}
END_TEST

START_TEST(boot_sector_of_a_file_system_is_no_table)
{
    memset(image + 440, 0x5a, 70);
    store_le16(image + 510, 0xaa55);
    put_ext4(0, "x");
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), 0);
}
END_TEST

START_TEST(containers_are_known_but_not_mountable)
{
    memcpy(image, "LUKS\xba\xbe", 6);
    ck_assert_int_eq(disk_find_root(&disk, &parts, &fs), 0);
    ck_assert_str_eq(fs.type, "crypto_LUKS");
    ck_assert(!fs.mountable);
}
END_TEST

START_TEST(other_file_systems_are_known)
{
    memcpy(image, "XFSB", 4);
    memcpy(image + 108, "xfs label...", 12);
    disk_read_fs(&disk, 0, disk.size, &fs);
    ck_assert_str_eq(fs.type, "xfs");
    ck_assert_str_eq(fs.label, "xfs label...");
    memset(image, 0, 4);
    memcpy(image + 0x10040, "_BHRfS_M", 8);
    memcpy(image + 0x1012b, "b\n", 2);
    disk_read_fs(&disk, 0, disk.size, &fs);
    ck_assert_str_eq(fs.type, "btrfs");
    ck_assert_str_eq(fs.label, "b?");
    disk_read_fs(&disk, 0, 0x10044, &fs);
    ck_assert_ptr_null(fs.type);
}
END_TEST

/* --- kernel releases --- */

static int release_of(const void *data, size_t len, char release[KERNEL_RELEASE_TEXT])
{
    char path[32];
    struct err err = {0};
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = kernel_read_release(path, release, &err);
    close(fd);
    return rc;
}

static void put_bzimage(uint8_t *buf, const char *text)
{
    memset(buf, 0, 2048);
    store_le16(buf + 0x1fe, 0xaa55);
    memcpy(buf + 0x202, "HdrS", 4);
    store_le16(buf + 0x206, 0x20f);
    store_le16(buf + 0x20e, 0x300);
    memcpy(buf + 0x500, text, strlen(text));
}

START_TEST(release_is_read_from_a_bzimage)
{
    uint8_t buf[2048];
    char release[KERNEL_RELEASE_TEXT];
    put_bzimage(buf, "6.1.0-9-amd64 (someone@somewhere) #1 SMP");
    ck_assert_int_eq(release_of(buf, sizeof buf, release), 0);
    ck_assert_str_eq(release, "6.1.0-9-amd64");
    put_bzimage(buf, "../../etc (x)");
    ck_assert_int_eq(release_of(buf, sizeof buf, release), -ENOENT);
    put_bzimage(buf, "6/../x y");
    ck_assert_int_eq(release_of(buf, sizeof buf, release), -ENOENT);
    put_bzimage(buf, "6.1.0 x");
    store_le16(buf + 0x20e, 0xffff);
    ck_assert_int_eq(release_of(buf, sizeof buf, release), -ENOENT);
    put_bzimage(buf, "");
    memset(buf + 0x500, '6', sizeof buf - 0x500); /* never ends */
    ck_assert_int_eq(release_of(buf, sizeof buf, release), -ENOENT);
}
END_TEST

START_TEST(release_is_read_from_the_banner_of_an_elf)
{
    static const char banner[] = "Linux version %s (x)\0Linux version 6.12.3+ (y@z) #2";
    size_t len = 600000;
    char *buf = calloc(1, len), release[KERNEL_RELEASE_TEXT];
    memcpy(buf, "\177ELF", 4);
    ck_assert_int_eq(release_of(buf, len, release), -ENOENT);
    memcpy(buf + 256 * 1024 - 30, banner, sizeof banner); /* over the edge of a window */
    ck_assert_int_eq(release_of(buf, len, release), 0);
    ck_assert_str_eq(release, "6.12.3+");
    free(buf);
}
END_TEST

/* --- command lines --- */

START_TEST(command_line_is_read_as_the_kernel_does)
{
    static const char text[] = " root=/dev/vda quiet  root=LABEL=\"my disk\" ro -- rw root=x";
    char value[32] = "untouched";
    ck_assert(cmdline_get(text, "root", value, sizeof value));
    ck_assert_str_eq(value, "LABEL=my disk");
    ck_assert(cmdline_has(text, "ro"));
    ck_assert(!cmdline_has(text, "rw"));
    ck_assert(!cmdline_has(text, "root"));
    ck_assert(!cmdline_get(text, "roo", value, sizeof value));
    char small[4];
    ck_assert(cmdline_get("init=/bin/sh", "init", small, sizeof small));
    ck_assert_str_eq(small, "/bi");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk_probe");
    TCase *tc = tcase_create("disks");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, disk_without_anything_has_no_root);
    tcase_add_test(tc, file_system_on_the_whole_disk_is_the_root);
    tcase_add_test(tc, biggest_linux_partition_of_an_mbr_is_the_root);
    tcase_add_test(tc, root_type_of_a_gpt_wins_over_size);
    tcase_add_test(tc, gpt_with_a_wrong_checksum_is_none);
    tcase_add_test(tc, partitions_outside_the_disk_are_passed_over);
    tcase_add_test(tc, chain_of_logical_partitions_that_bites_its_tail_ends);
    tcase_add_test(tc, boot_sector_of_a_file_system_is_no_table);
    tcase_add_test(tc, containers_are_known_but_not_mountable);
    tcase_add_test(tc, other_file_systems_are_known);
    suite_add_tcase(suite, tc);
    TCase *texts = tcase_create("kernel files and command lines");
    tcase_add_test(texts, release_is_read_from_a_bzimage);
    tcase_add_test(texts, release_is_read_from_the_banner_of_an_elf);
    tcase_add_test(texts, command_line_is_read_as_the_kernel_does);
    suite_add_tcase(suite, texts);
    return suite_run(suite);
}
