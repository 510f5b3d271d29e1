// SPDX-License-Identifier: MIT
//
// The keyboard controller and port 0x92 through the bus.
#include "devices/i8042.h"
#include "tests/lib/suite.h"

#include <check.h>
#include <stdlib.h>

#define DATA 0x60
#define COMMAND 0x64
#define PORT92 0x92

#define OBF 0x01

static struct bus bus;
static struct device *dev;
static bool line;
static unsigned edges, resets, other_stops, accesses;

static void probe(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    edges += level && !line;
    line = level;
}

static void stopped(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque, (void)code;
    if (cause == STOP_RESET)
        resets++;
    else
        other_stops++;
}

static void setup(void)
{
    struct err err = {0};
    bus_init(&bus, "pio", 65536);
    line = false;
    edges = resets = other_stops = accesses = 0;
    struct i8042_config cfg = {.pio = &bus, .irq = {.set = probe}, .stop = {.request = stopped}};
    dev = i8042_create(&cfg, &err);
    ck_assert_msg(dev != NULL, "%s", err.msg);
}

static void teardown(void)
{
    ck_assert_uint_eq(other_stops, 0);
    dev->ops->fini(dev);
    ck_assert_uint_eq(bus.nregions, 0);
}

static void out(uint64_t port, unsigned val)
{
    accesses++;
    bus_write(&bus, port, 1, val);
}

static unsigned in(uint64_t port)
{
    accesses++;
    return (unsigned)bus_read(&bus, port, 1);
}

/* A command with an answer, waiting as drivers do. */
static unsigned ask(unsigned cmd)
{
    ck_assert_uint_eq(in(COMMAND) & 0x02, 0);
    out(COMMAND, cmd);
    ck_assert_uint_eq(in(COMMAND) & OBF, OBF);
    return in(DATA);
}

/* A command with a data byte. */
static void tell(unsigned cmd, unsigned val)
{
    ck_assert_uint_eq(in(COMMAND) & 0x02, 0);
    out(COMMAND, cmd);
    ck_assert_uint_eq(in(COMMAND) & 0x02, 0);
    out(DATA, val);
}

START_TEST(i8042_status_out_of_reset)
{
    ck_assert_uint_eq(in(COMMAND), 0x14); /* empty, self test passed, keylock open */
    ck_assert_uint_eq(resets, 0);
    ck_assert(!line);
}
END_TEST

START_TEST(i8042_status_tells_commands_from_data)
{
    out(COMMAND, 0xae);
    ck_assert_uint_eq(in(COMMAND) & 0x08, 0x08);
    tell(0x60, 0x65);
    ck_assert_uint_eq(in(COMMAND) & 0x08, 0);
}
END_TEST

START_TEST(i8042_tests_pass)
{
    ck_assert_uint_eq(ask(0xaa), 0x55);
    ck_assert_uint_eq(ask(0xab), 0x00);
    ck_assert_uint_eq(ask(0xa4), 0xf1);
    ck_assert_uint_eq(ask(0xc0) & 0x80, 0x80);
    ck_assert_uint_eq(in(COMMAND) & OBF, 0);
}
END_TEST

START_TEST(i8042_memory_reads_back)
{
    tell(0x60, 0x47);
    ck_assert_uint_eq(ask(0x20), 0x47);
    tell(0x7f, 0x99);
    ck_assert_uint_eq(ask(0x3f), 0x99);
    ck_assert_uint_eq(ask(0x20), 0x47);
    tell(0x60, 0x00); /* the system flag is in the status too */
    ck_assert_uint_eq(in(COMMAND) & 0x04, 0);
    ask(0xaa);
    ck_assert_uint_eq(in(COMMAND) & 0x04, 0x04);
}
END_TEST

START_TEST(i8042_port_commands_change_the_command_byte)
{
    tell(0x60, 0x05);
    out(COMMAND, 0xad);
    out(COMMAND, 0xa7);
    ck_assert_uint_eq(ask(0x20), 0x35);
    out(COMMAND, 0xae);
    out(COMMAND, 0xa8);
    ck_assert_uint_eq(ask(0x20), 0x05);
}
END_TEST

START_TEST(i8042_irq_follows_the_output_buffer)
{
    tell(0x60, 0x05);
    ck_assert(!line);
    tell(0xd2, 0x1c);
    ck_assert(line);
    ck_assert_uint_eq(in(COMMAND) & OBF, OBF);
    ck_assert_uint_eq(in(DATA), 0x1c);
    ck_assert(!line);
    ck_assert_uint_eq(edges, 1);
    ck_assert_uint_eq(in(DATA), 0x1c); /* an empty buffer shows the last byte */
    tell(0x60, 0x04);
    tell(0xd2, 0x1c);
    ck_assert(!line);
    tell(0x60, 0x05);
    ck_assert(line);
}
END_TEST

START_TEST(i8042_absent_devices_time_out)
{
    out(DATA, 0xf2);
    ck_assert_uint_eq(in(COMMAND) & 0x61, 0x41);
    ck_assert_uint_eq(in(DATA), 0xfe);
    ck_assert_uint_eq(in(COMMAND) & 0x41, 0);
    tell(0xd4, 0xf2);
    ck_assert_uint_eq(in(COMMAND) & 0x41, 0x41);
    ck_assert_uint_eq(in(DATA), 0xfe);
}
END_TEST

START_TEST(i8042_pulse_with_bit_0_resets)
{
    unsigned want = 0;
    for (unsigned cmd = 0xf0; cmd <= 0xff; cmd++) {
        out(COMMAND, cmd);
        want += !(cmd & 1);
        ck_assert_uint_eq(resets, want);
    }
}
END_TEST

START_TEST(i8042_output_port_has_reset_and_a20)
{
    ck_assert_uint_eq(ask(0xd0) & 0x03, 0x03);
    tell(0xd1, 0x01);
    ck_assert_uint_eq(ask(0xd0) & 0x03, 0x01);
    ck_assert_uint_eq(in(PORT92) & 0x02, 0);
    tell(0xd1, 0x03);
    ck_assert_uint_eq(in(PORT92) & 0x02, 0x02);
    ck_assert_uint_eq(resets, 0);
    tell(0xd1, 0x02);
    ck_assert_uint_eq(resets, 1);
    out(DATA, 0x00); /* the command took one byte only */
    ck_assert_uint_eq(resets, 1);
}
END_TEST

START_TEST(i8042_a20_commands)
{
    out(COMMAND, 0xdd);
    ck_assert_uint_eq(ask(0xd0) & 0x02, 0);
    out(COMMAND, 0xdf);
    ck_assert_uint_eq(ask(0xd0) & 0x02, 0x02);
}
END_TEST

START_TEST(i8042_port92_resets_at_the_rising_edge)
{
    ck_assert_uint_eq(in(PORT92), 0x02);
    out(PORT92, 0x00);
    ck_assert_uint_eq(ask(0xd0) & 0x02, 0);
    ck_assert_uint_eq(resets, 0);
    out(PORT92, 0x03);
    ck_assert_uint_eq(resets, 1);
    ck_assert_uint_eq(in(PORT92), 0x03);
    out(PORT92, 0x03);
    ck_assert_uint_eq(resets, 1);
    out(PORT92, 0x02);
    out(PORT92, 0x03);
    ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(i8042_unknown_commands_are_ignored)
{
    tell(0x60, 0x05);
    out(COMMAND, 0xb5);
    out(COMMAND, 0x00);
    out(COMMAND, 0xe5);
    ck_assert_uint_eq(in(COMMAND) & OBF, 0);
    ck_assert_uint_eq(ask(0x20), 0x05);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(i8042_command_drops_the_one_that_waits_for_data)
{
    out(COMMAND, 0xd1);
    out(COMMAND, 0xae);
    out(DATA, 0x00);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

/* What Linux asks when its tables do not say that there is no controller, in its order. */
START_TEST(i8042_probe_is_short_and_finds_no_ports)
{
    ck_assert_uint_eq(in(COMMAND) & OBF, 0); /* nothing to flush: a controller is there */
    unsigned ctr = ask(0x20);
    ck_assert_uint_eq(ask(0x20), ctr); /* stable */
    ck_assert_uint_eq(in(COMMAND) & 0x10, 0x10);
    tell(0x60, (ctr | 0x10) & ~1u);
    ck_assert_uint_eq(in(COMMAND) & OBF, 0);

    ck_assert_uint_eq(in(COMMAND) & OBF, 0); /* auxiliary loopback: comes back without its mark */
    tell(0xd3, 0x5a);
    ck_assert_uint_eq(in(COMMAND) & OBF, OBF);
    ck_assert_uint_eq(in(COMMAND) & 0x20, 0);
    unsigned test = ask(0xa9); /* and the port test fails */
    ck_assert(test != 0 && test != 0xfa && test != 0xff);

    tell(0x60, (ctr & ~0x10u) | 1); /* the keyboard: asked for its id, it does not answer */
    tell(0x60, (ctr & ~0x10u) | 1);
    ck_assert_uint_eq(in(COMMAND) & 0x02, 0);
    out(DATA, 0xf2);
    ck_assert(line);
    ck_assert_uint_eq(in(COMMAND) & 0x61, 0x41);
    ck_assert_uint_eq(in(DATA), 0xfe);
    ck_assert_uint_le(accesses, 40);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(i8042_reset_restores_power_on_state)
{
    tell(0x60, 0x00);
    out(PORT92, 0x00);
    tell(0xd2, 0x1c);
    out(COMMAND, 0xd1);
    dev->ops->reset(dev);
    ck_assert_uint_eq(in(COMMAND), 0x14);
    ck_assert_uint_eq(in(PORT92), 0x02);
    ck_assert(!line);
    out(DATA, 0x00);
    ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(i8042_survives_hostile_accesses)
{
    static const uint64_t ports[] = {0x5f, 0x60, 0x61, 0x62, 0x63, 0x64, 0x90, 0x91, 0x92};
    srandom(4);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t port = ports[(unsigned long)random() % 9];
        if (random() % 2)
            bus_write(&bus, port, size, (uint64_t)random() << 33 ^ (uint64_t)random());
        else
            bus_read(&bus, port, size);
    }
    ck_assert_uint_gt(resets, 0);
    ck_assert_uint_eq(ask(0xaa), 0x55);
}
END_TEST

START_TEST(i8042_create_refuses_taken_ports)
{
    struct err err = {0};
    struct i8042_config cfg = {.pio = &bus, .stop = {.request = stopped}};
    ck_assert(i8042_create(&cfg, &err) == NULL);
    ck_assert_str_ne(err.msg, "");
    ck_assert_uint_eq(bus.nregions, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i8042");
    TCase *tc = tcase_create("i8042");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, i8042_status_out_of_reset);
    tcase_add_test(tc, i8042_status_tells_commands_from_data);
    tcase_add_test(tc, i8042_tests_pass);
    tcase_add_test(tc, i8042_memory_reads_back);
    tcase_add_test(tc, i8042_port_commands_change_the_command_byte);
    tcase_add_test(tc, i8042_irq_follows_the_output_buffer);
    tcase_add_test(tc, i8042_absent_devices_time_out);
    tcase_add_test(tc, i8042_pulse_with_bit_0_resets);
    tcase_add_test(tc, i8042_output_port_has_reset_and_a20);
    tcase_add_test(tc, i8042_a20_commands);
    tcase_add_test(tc, i8042_port92_resets_at_the_rising_edge);
    tcase_add_test(tc, i8042_unknown_commands_are_ignored);
    tcase_add_test(tc, i8042_command_drops_the_one_that_waits_for_data);
    tcase_add_test(tc, i8042_probe_is_short_and_finds_no_ports);
    tcase_add_test(tc, i8042_reset_restores_power_on_state);
    tcase_add_test(tc, i8042_survives_hostile_accesses);
    tcase_add_test(tc, i8042_create_refuses_taken_ports);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
