// SPDX-License-Identifier: MIT
//
// fw_cfg through the port bus, as firmware would use it.
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus.h"
#include "devices/fw_cfg.h"
#include "gmem.h"
#include "layout.h"
#include "tests/lib/suite.h"
#include "util.h"

#define RAM MIB(1)

static struct bus pio;
static struct gmem gm;
static struct fw_cfg *fw;
static struct err err;

static const struct memmap_entry e820[] = {
    {0, 0x9fc00, MEMMAP_RAM},
    {0xa0000, 0x60000, MEMMAP_RESERVED},
    {0x100000000ull, GIB(5), MEMMAP_RAM},
};

static void setup(void)
{
    err = (struct err){{0}};
    bus_init(&pio, "pio", 65536);
    ck_assert_int_eq(gmem_init(&gm, RAM, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
    fw = fw_cfg_create(&(struct fw_cfg_config){.pio = &pio,
                                                .gmem = &gm,
                                                .ncpus = 3,
                                                .ram_size = GIB(5) + MIB(1),
                                                .e820 = e820,
                                                .ne820 = ARRAY_LEN(e820)},
                       &err);
    ck_assert_msg(fw != NULL, "%s", err.msg);
}

static void teardown(void)
{
    struct device *dev = fw_cfg_device(fw);
    dev->ops->fini(dev);
    ck_assert_uint_eq(pio.nregions, 0);
    gmem_fini(&gm);
}

static void item_select(uint16_t key)
{
    bus_write(&pio, FW_CFG_PORT, 2, key);
}

static uint8_t next_byte(void)
{
    return (uint8_t)bus_read(&pio, FW_CFG_PORT + 1, 1);
}

static void item_read(uint16_t key, void *buf, unsigned len)
{
    item_select(key);
    bus_read_string(&pio, FW_CFG_PORT + 1, 1, len, buf);
}

static uint32_t be32(const uint8_t *p)
{
    return __builtin_bswap32(load_le32(p));
}

/* The key of a file by the directory, as a guest finds it; 0 when it is not there. */
static uint16_t file_key(const char *name, uint32_t *size)
{
    uint8_t head[4], entry[64];
    item_read(FW_CFG_FILE_DIR, head, sizeof head);
    for (uint32_t i = 0; i < be32(head); i++) {
        bus_read_string(&pio, FW_CFG_PORT + 1, 1, sizeof entry, entry);
        if (strcmp((char *)entry + 8, name))
            continue;
        *size = be32(entry);
        return __builtin_bswap16(load_le16(entry + 4));
    }
    return 0;
}

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

static void dma_put(uint64_t at)
{
    bus_write(&pio, FW_CFG_PORT + 4, 4, __builtin_bswap32((uint32_t)(at >> 32)));
    bus_write(&pio, FW_CFG_PORT + 8, 4, __builtin_bswap32((uint32_t)at));
}

static void dma_request(uint64_t at, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t req[16];
    store_le32(req, __builtin_bswap32(control));
    store_le32(req + 4, __builtin_bswap32(len));
    store_le64(req + 8, __builtin_bswap64(addr));
    ck_assert_int_eq(gmem_write(&gm, at, req, sizeof req), 0);
}

/* Run one request at 0x1000; returns the control field afterwards. */
static uint32_t dma(uint32_t control, uint32_t len, uint64_t addr)
{
    dma_request(0x1000, control, len, addr);
    dma_put(0x1000);
    return be32(gmem_ptr(&gm, 0x1000, 4));
}

START_TEST(signature_and_features_are_there)
{
    uint8_t sig[4], id[4];
    item_read(FW_CFG_SIGNATURE, sig, 4);
    ck_assert_mem_eq(sig, "QEMU", 4);
    item_read(FW_CFG_ID, id, 4);
    ck_assert_uint_eq(load_le32(id), 3);
    /* The DMA address register reads as its own signature. */
    ck_assert_uint_eq(__builtin_bswap32((uint32_t)bus_read(&pio, FW_CFG_PORT + 4, 4)), 0x51454d55);
    ck_assert_uint_eq(__builtin_bswap32((uint32_t)bus_read(&pio, FW_CFG_PORT + 8, 4)), 0x20434647);
    ck_assert_uint_eq(bus_read(&pio, FW_CFG_PORT + 11, 1), 'G');
}
END_TEST

START_TEST(numbers_of_the_machine_are_there)
{
    uint8_t b[8];
    item_read(FW_CFG_NB_CPUS, b, 2);
    ck_assert_uint_eq(load_le16(b), 3);
    item_read(FW_CFG_MAX_CPUS, b, 2);
    ck_assert_uint_eq(load_le16(b), 3);
    item_read(FW_CFG_RAM_SIZE, b, 8);
    ck_assert_uint_eq(load_le64(b), GIB(5) + MIB(1));
}
END_TEST

START_TEST(reads_past_the_end_and_of_unknown_items_give_zeros)
{
    uint8_t b[8];
    item_read(FW_CFG_SIGNATURE, b, 8);
    ck_assert_mem_eq(b, "QEMU\0\0\0\0", 8);
    item_read(0x1234, b, 4);
    ck_assert_uint_eq(load_le32(b), 0);
    item_read(0xffff, b, 4);
    ck_assert_uint_eq(load_le32(b), 0);
    item_read(FW_CFG_FILE_FIRST + 1, b, 4); /* one past the last file */
    ck_assert_uint_eq(load_le32(b), 0);
}
END_TEST

START_TEST(selecting_starts_over)
{
    item_select(FW_CFG_SIGNATURE);
    ck_assert_uint_eq(next_byte(), 'Q');
    ck_assert_uint_eq(next_byte(), 'E');
    item_select(FW_CFG_SIGNATURE);
    ck_assert_uint_eq(next_byte(), 'Q');
}
END_TEST

START_TEST(data_port_is_read_only_and_a_byte_wide)
{
    item_select(FW_CFG_SIGNATURE);
    bus_write(&pio, FW_CFG_PORT + 1, 1, 'x');
    bus_write(&pio, FW_CFG_PORT, 1, 5); /* half a selector */
    ck_assert_uint_eq(bus_read(&pio, FW_CFG_PORT, 2), 0xffff);
    ck_assert_uint_eq(bus_read(&pio, FW_CFG_PORT, 1), 0xff);
    ck_assert_uint_eq(next_byte(), 'Q');
}
END_TEST

START_TEST(e820_is_a_file)
{
    uint32_t size = 0;
    uint8_t table[60];
    uint16_t key = file_key("etc/e820", &size);
    ck_assert_uint_eq(key, FW_CFG_FILE_FIRST);
    ck_assert_uint_eq(size, 60);
    item_read(key, table, sizeof table);
    for (unsigned i = 0; i < ARRAY_LEN(e820); i++) {
        ck_assert_uint_eq(load_le64(table + i * 20), e820[i].base);
        ck_assert_uint_eq(load_le64(table + i * 20 + 8), e820[i].size);
        ck_assert_uint_eq(load_le32(table + i * 20 + 16), e820[i].type);
    }
}
END_TEST

START_TEST(directory_is_sorted_by_name)
{
    static const char *const names[] = {"opt/zebra", "etc/aaa", "opt/m", "etc/zzz"};
    char data[8] = "data-0";
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        data[5] = (char)('0' + i);
        ck_assert_int_eq(fw_cfg_add_file(fw, names[i], data, 6, &err), 0);
    }
    memset(data, 0, sizeof data); /* the device has copies */
    uint8_t dir[4 + 5 * 64];
    item_read(FW_CFG_FILE_DIR, dir, sizeof dir);
    ck_assert_uint_eq(be32(dir), 5);
    for (unsigned i = 0; i < 4; i++) {
        const char *name = (char *)dir + 4 + i * 64 + 8;
        ck_assert_int_lt(strcmp(name, name + 64), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        uint32_t size = 0;
        char got[6];
        item_read(file_key(names[i], &size), got, 6);
        ck_assert_uint_eq(size, 6);
        ck_assert_mem_eq(got, "data-", 5);
        ck_assert_int_eq(got[5], (char)('0' + i));
    }
}
END_TEST

START_TEST(bad_files_and_keys_are_refused)
{
    char name[64];
    memset(name, 'n', sizeof name);
    name[56] = 0;
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "x", 1, &err), -EINVAL);
    name[55] = 0;
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "x", 1, &err), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "x", 1, &err), -EEXIST);
    ck_assert_int_eq(fw_cfg_add_file(fw, "", "x", 1, &err), -EINVAL);
    ck_assert_int_eq(fw_cfg_add_key(fw, FW_CFG_FILE_FIRST, "x", 1, &err), -EINVAL);
    for (unsigned i = 2; i < FW_CFG_MAX_FILES; i++) {
        snprintf(name, sizeof name, "opt/%u", i);
        ck_assert_int_eq(fw_cfg_add_file(fw, name, NULL, 0, &err), 0);
    }
    ck_assert_int_eq(fw_cfg_add_file(fw, "one-more", "x", 1, &err), -ENOSPC);
}
END_TEST

START_TEST(key_can_be_replaced)
{
    uint8_t b[4];
    ck_assert_int_eq(fw_cfg_add_key(fw, 0x02, "abcd", 4, &err), 0);
    ck_assert_int_eq(fw_cfg_add_key(fw, 0x02, "xy", 2, &err), 0);
    item_read(0x02, b, 4);
    ck_assert_mem_eq(b, "xy\0\0", 4);
}
END_TEST

START_TEST(dma_selects_and_reads_and_pads_with_zeros)
{
    gmem_fill(&gm, 0x2000, 0xaa, 16);
    ck_assert_uint_eq(dma(FW_CFG_SIGNATURE << 16 | DMA_SELECT | DMA_READ, 8, 0x2000), 0);
    ck_assert_mem_eq(gmem_ptr(&gm, 0x2000, 9), "QEMU\0\0\0\0\xaa", 9);
}
END_TEST

START_TEST(dma_reads_on_and_skips)
{
    item_select(FW_CFG_SIGNATURE);
    ck_assert_uint_eq(dma(DMA_SKIP, 1, 0), 0);
    ck_assert_uint_eq(dma(DMA_READ, 2, 0x2000), 0);
    ck_assert_mem_eq(gmem_ptr(&gm, 0x2000, 2), "EM", 2);
    ck_assert_uint_eq(next_byte(), 'U'); /* one position for both ways */
    ck_assert_uint_eq(dma(DMA_SKIP, 0xffffffff, 0), 0);
    ck_assert_uint_eq(dma(DMA_SKIP, 0xffffffff, 0), 0);
    ck_assert_uint_eq(next_byte(), 0);
    ck_assert_uint_eq(dma(DMA_SELECT, 0, 0), 0);
    ck_assert_uint_eq(next_byte(), 'Q');
}
END_TEST

START_TEST(dma_write_is_refused)
{
    ck_assert_uint_eq(dma(DMA_SELECT | DMA_WRITE, 4, 0x2000), DMA_ERROR);
    uint8_t sig[4];
    item_read(FW_CFG_SIGNATURE, sig, 4);
    ck_assert_mem_eq(sig, "QEMU", 4);
}
END_TEST

START_TEST(dma_control_that_makes_no_sense_is_an_error)
{
    static const uint32_t controls[] = {DMA_READ | DMA_WRITE,
                                        DMA_READ | DMA_SKIP,
                                        DMA_ERROR | DMA_READ,
                                        DMA_READ | 0x20,
                                        0x8000,
                                        0xffffffff};
    gmem_fill(&gm, 0x2000, 0xaa, 4);
    for (unsigned i = 0; i < ARRAY_LEN(controls); i++)
        ck_assert_uint_eq(dma(controls[i], 4, 0x2000), DMA_ERROR);
    ck_assert_uint_eq(*gmem_ptr(&gm, 0x2000, 1), 0xaa);
    ck_assert_uint_eq(dma(0, 4, 0x2000), 0); /* nothing to do */
}
END_TEST

START_TEST(dma_target_outside_ram_is_an_error_and_changes_nothing)
{
    static const uint64_t places[] = {RAM, RAM - 2, PCI_WINDOW_BASE, ~0ull, ~0ull - 2, 1ull << 63};
    gmem_fill(&gm, RAM - 2, 0xaa, 2);
    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        ck_assert_uint_eq(dma(DMA_SELECT | DMA_READ, 4, places[i]), DMA_ERROR);
    ck_assert_uint_eq(*gmem_ptr(&gm, RAM - 2, 1), 0xaa);
    ck_assert_uint_eq(dma(DMA_SELECT | DMA_READ, 0xffffffff, 0), DMA_ERROR);
    ck_assert_uint_eq(next_byte(), 'Q'); /* and the position stayed */
    ck_assert_uint_eq(dma(DMA_SELECT | DMA_READ, 0, ~0ull), 0); /* of nothing, anywhere */
}
END_TEST

START_TEST(dma_request_outside_ram_is_ignored)
{
    dma_put(RAM - 15);
    dma_put(~0ull);
    dma_put(0x8000000000000000ull | 0x1000);
    item_select(FW_CFG_SIGNATURE);
    ck_assert_uint_eq(next_byte(), 'Q');
}
END_TEST

START_TEST(dma_may_overwrite_its_own_request)
{
    dma_request(0x1000, DMA_SELECT | DMA_READ, 16, 0x1000);
    dma_put(0x1000);
    ck_assert_mem_eq(gmem_ptr(&gm, 0x1000, 16), "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}
END_TEST

START_TEST(high_half_of_the_dma_address_is_for_one_request)
{
    bus_write(&pio, FW_CFG_PORT + 4, 4, 0x01000000); /* 4 GiB: not RAM here */
    dma_request(0x1000, DMA_SELECT | DMA_READ, 4, 0x2000);
    bus_write(&pio, FW_CFG_PORT + 8, 4, __builtin_bswap32(0x1000));
    ck_assert_uint_eq(*gmem_ptr(&gm, 0x2000, 1), 0);
    bus_write(&pio, FW_CFG_PORT + 8, 2, 0); /* not a dword: no start */
    ck_assert_uint_eq(*gmem_ptr(&gm, 0x2000, 1), 0);
    bus_write(&pio, FW_CFG_PORT + 8, 4, __builtin_bswap32(0x1000));
    ck_assert_uint_eq(*gmem_ptr(&gm, 0x2000, 1), 'Q');
}
END_TEST

START_TEST(reset_forgets_selection)
{
    item_select(FW_CFG_NB_CPUS);
    struct device *dev = fw_cfg_device(fw);
    dev->ops->reset(dev);
    ck_assert_uint_eq(next_byte(), 'Q'); /* key 0 */
}
END_TEST

START_TEST(random_port_accesses_do_no_harm)
{
    unsigned seed = 99;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t port = FW_CFG_PORT - 2 + (unsigned)rand_r(&seed) % 18;
        unsigned size = 1u << rand_r(&seed) % 3;
        uint32_t val = (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed);
        switch (rand_r(&seed) % 4) {
        case 0:
            bus_read(&pio, port, size);
            break;
        case 1:
            bus_write(&pio, port, size, val & 0x3f);
            break;
        case 2:
            bus_write(&pio, port, size, val);
            break;
        default: { /* a request that is well-formed but for its contents */
            uint64_t at = val % 0x3000;
            dma_request(at, (val & 0x3f0000) | ((uint32_t)rand_r(&seed) & 0x1e),
                        (uint32_t)rand_r(&seed) % 0x2000, (uint64_t)rand_r(&seed) % (2 * RAM));
            dma_put(at);
            break;
        }
        }
    }
    uint8_t sig[4];
    item_read(FW_CFG_SIGNATURE, sig, 4);
    ck_assert_mem_eq(sig, "QEMU", 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fw_cfg");
    TCase *tc = tcase_create("fw_cfg");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, signature_and_features_are_there);
    tcase_add_test(tc, numbers_of_the_machine_are_there);
    tcase_add_test(tc, reads_past_the_end_and_of_unknown_items_give_zeros);
    tcase_add_test(tc, selecting_starts_over);
    tcase_add_test(tc, data_port_is_read_only_and_a_byte_wide);
    tcase_add_test(tc, e820_is_a_file);
    tcase_add_test(tc, directory_is_sorted_by_name);
    tcase_add_test(tc, bad_files_and_keys_are_refused);
    tcase_add_test(tc, key_can_be_replaced);
    tcase_add_test(tc, dma_selects_and_reads_and_pads_with_zeros);
    tcase_add_test(tc, dma_reads_on_and_skips);
    tcase_add_test(tc, dma_write_is_refused);
    tcase_add_test(tc, dma_control_that_makes_no_sense_is_an_error);
    tcase_add_test(tc, dma_target_outside_ram_is_an_error_and_changes_nothing);
    tcase_add_test(tc, dma_request_outside_ram_is_ignored);
    tcase_add_test(tc, dma_may_overwrite_its_own_request);
    tcase_add_test(tc, high_half_of_the_dma_address_is_for_one_request);
    tcase_add_test(tc, reset_forgets_selection);
    tcase_add_test(tc, random_port_accesses_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
