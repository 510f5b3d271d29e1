// SPDX-License-Identifier: MIT
//
// The bus: overlap refusal, width splitting, unclaimed answers, string I/O.
#include <check.h>
#include <stdlib.h>

#include "bus.h"
#include "tests/lib/suite.h"
#include "util.h"

/* A device that is 16 bytes of memory and logs its last access. */
struct ram16 {
    uint8_t bytes[16];
    unsigned accesses, last_size;
    uint64_t last_off;
};

static uint64_t ram_read(void *self, uint64_t off, unsigned size)
{
    struct ram16 *ram = self;
    uint64_t v = 0;
    ck_assert(range_fits(off, size, sizeof ram->bytes));
    memcpy(&v, ram->bytes + off, size);
    ram->accesses++;
    ram->last_off = off;
    ram->last_size = size;
    return v;
}

static void ram_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct ram16 *ram = self;
    ck_assert(range_fits(off, size, sizeof ram->bytes));
    memcpy(ram->bytes + off, &val, size);
    ram->accesses++;
    ram->last_off = off;
    ram->last_size = size;
}

static const struct io_ops byte_ops = {ram_read, ram_write, 1, 1};
static const struct io_ops any_ops = {ram_read, ram_write, 1, 8};
static const struct io_ops dword_ops = {ram_read, ram_write, 4, 4};

static struct bus bus;
static struct ram16 ram;
static struct region reg;
static struct err err;

static void setup(const struct io_ops *ops)
{
    bus_init(&bus, "test", 0x10000);
    ram = (struct ram16){.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    reg = (struct region){.name = "ram", .base = 0x100, .len = 16, .ops = ops, .self = &ram};
    err = (struct err){0};
    ck_assert_int_eq(bus_add(&bus, &reg, &err), 0);
}

START_TEST(bus_splits_wide_reads_low_part_first)
{
    setup(&byte_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x104, 4), 0x07060504);
    ck_assert_uint_eq(ram.accesses, 4);
    ck_assert_uint_eq(ram.last_off, 7);
}
END_TEST

START_TEST(bus_passes_wide_reads_whole_where_the_device_takes_them)
{
    setup(&any_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x100, 8), 0x0706050403020100ull);
    ck_assert_uint_eq(ram.accesses, 1);
}
END_TEST

START_TEST(bus_narrow_read_takes_bytes_of_the_aligned_register)
{
    setup(&dword_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x106, 1), 6);
    ck_assert_uint_eq(ram.last_off, 4);
    ck_assert_uint_eq(ram.last_size, 4);
}
END_TEST

START_TEST(bus_narrow_read_across_two_registers_takes_from_both)
{
    setup(&dword_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x103, 2), 0x0403);
    ck_assert_uint_eq(ram.accesses, 2);
}
END_TEST

START_TEST(bus_narrow_write_is_dropped_and_counted)
{
    setup(&dword_ops);
    bus_write(&bus, 0x104, 1, 0xff);
    ck_assert_uint_eq(ram.bytes[4], 4);
    ck_assert_uint_eq(bus.bad_width, 1);
}
END_TEST

START_TEST(bus_unclaimed_reads_are_all_ones)
{
    setup(&any_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x200, 4), 0xffffffff);
    ck_assert_uint_eq(bus_read(&bus, 0x200, 1), 0xff);
    ck_assert_uint_gt(bus.unclaimed_reads, 0);
}
END_TEST

START_TEST(bus_straddling_read_has_ones_outside)
{
    setup(&any_ops);
    ck_assert_uint_eq(bus_read(&bus, 0x10e, 4), 0xffff0f0e);
    ck_assert_uint_eq(bus_read(&bus, 0xfe, 4), 0x0100ffff);
}
END_TEST

START_TEST(bus_straddling_write_touches_only_what_is_claimed)
{
    setup(&any_ops);
    bus_write(&bus, 0xfe, 4, 0xaabbccdd);
    ck_assert_uint_eq(ram.bytes[0], 0xbb);
    ck_assert_uint_eq(ram.bytes[1], 0xaa);
    ck_assert_uint_eq(ram.bytes[2], 2);
    ck_assert_uint_eq(bus.unclaimed_writes, 2);
}
END_TEST

START_TEST(bus_string_reads_repeat_one_address)
{
    setup(&any_ops);
    uint8_t buf[6];
    bus_read_string(&bus, 0x102, 2, 3, buf);
    ck_assert_mem_eq(buf, ((uint8_t[]){2, 3, 2, 3, 2, 3}), 6);
    ck_assert_uint_eq(ram.accesses, 3);
}
END_TEST

START_TEST(bus_refuses_overlap_and_names_both)
{
    setup(&any_ops);
    struct region other = {.name = "late", .base = 0x10f, .len = 4, .ops = &any_ops, .self = &ram};
    ck_assert_int_lt(bus_add(&bus, &other, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "late"));
    ck_assert_ptr_nonnull(strstr(err.msg, "'ram'"));
    other.base = 0xfd;
    err = (struct err){0};
    ck_assert_int_lt(bus_add(&bus, &other, &err), 0);
    other.base = 0x110;
    err = (struct err){0};
    ck_assert_int_eq(bus_add(&bus, &other, &err), 0);
}
END_TEST

START_TEST(bus_refuses_empty_wrapping_and_outside)
{
    setup(&any_ops);
    struct region r = {.name = "r", .base = 0xffff, .len = 0, .ops = &any_ops, .self = &ram};
    ck_assert_int_lt(bus_add(&bus, &r, &err), 0);
    r.len = 2;
    ck_assert_int_lt(bus_add(&bus, &r, &err), 0);
    r.base = ~0ull;
    ck_assert_int_lt(bus_add(&bus, &r, &err), 0);
    r = (struct region){.name = "r", .base = 0xffff, .len = 1, .ops = &any_ops, .self = &ram};
    ck_assert_int_eq(bus_add(&bus, &r, &err), 0);
}
END_TEST

START_TEST(bus_add_when_full_is_an_error)
{
    setup(&any_ops);
    static struct region many[BUS_MAX_REGIONS];
    int rc = 0;
    for (unsigned i = 0; i < BUS_MAX_REGIONS; i++) {
        many[i] = (struct region){
            .name = "m", .base = 0x1000 + i, .len = 1, .ops = &any_ops, .self = &ram};
        rc = bus_add(&bus, &many[i], &err);
    }
    ck_assert_int_lt(rc, 0);
    bus_remove(&bus, &many[0]);
    ck_assert_ptr_null(bus_find(&bus, 0x1000));
    err = (struct err){0};
    ck_assert_int_eq(bus_add(&bus, &many[BUS_MAX_REGIONS - 1], &err), 0);
}
END_TEST

START_TEST(bus_random_accesses_stay_inside)
{
    setup(&any_ops);
    srand(1);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t addr = 0xf0 + (unsigned)rand() % 0x30;
        unsigned size = 1 + (unsigned)rand() % 8;
        if (rand() & 1)
            bus_write(&bus, addr, size, (uint64_t)rand() << 32 | (unsigned)rand());
        else
            bus_read(&bus, addr, size);
    }
    ck_assert_uint_gt(reg.reads, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bus");
    TCase *t = tcase_create("bus");
    tcase_add_test(t, bus_splits_wide_reads_low_part_first);
    tcase_add_test(t, bus_passes_wide_reads_whole_where_the_device_takes_them);
    tcase_add_test(t, bus_narrow_read_takes_bytes_of_the_aligned_register);
    tcase_add_test(t, bus_narrow_read_across_two_registers_takes_from_both);
    tcase_add_test(t, bus_narrow_write_is_dropped_and_counted);
    tcase_add_test(t, bus_unclaimed_reads_are_all_ones);
    tcase_add_test(t, bus_straddling_read_has_ones_outside);
    tcase_add_test(t, bus_straddling_write_touches_only_what_is_claimed);
    tcase_add_test(t, bus_string_reads_repeat_one_address);
    tcase_add_test(t, bus_refuses_overlap_and_names_both);
    tcase_add_test(t, bus_refuses_empty_wrapping_and_outside);
    tcase_add_test(t, bus_add_when_full_is_an_error);
    tcase_add_test(t, bus_random_accesses_stay_inside);
    suite_add_tcase(s, t);
    return suite_run(s);
}
