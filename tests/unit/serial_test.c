// SPDX-License-Identifier: MIT
//
// The 16550A through the bus: time is stepped by hand, the wire and the backend are probes.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devices/serial.h"
#include "layout.h"
#include "log.h"
#include "tests/lib/suite.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define OUTPUT_MAX (2u << 20)

static struct fake_chr {
    struct chr chr;
    const uint8_t *input;
    size_t input_len, input_pos;
    uint8_t *output;
    size_t output_len;
    size_t budget; /* bytes it still takes */
    size_t reads;
} fake;

static size_t fake_read(struct chr *chr, uint8_t *buf, size_t len)
{
    (void)chr;
    size_t left = fake.input_len - fake.input_pos;
    size_t n = len < left ? len : left;
    memcpy(buf, fake.input + fake.input_pos, n);
    fake.input_pos += n;
    fake.reads++;
    return n;
}

static size_t fake_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    (void)chr;
    size_t n = len < fake.budget ? len : fake.budget;
    fake.budget -= n;
    for (size_t i = 0; i < n; i++) {
        if (fake.output_len < OUTPUT_MAX)
            fake.output[fake.output_len++] = buf[i];
    }
    return n;
}

static const struct chr_ops fake_ops = {.read = fake_read, .write = fake_write};

static struct bus pio;
static struct clock guest_clock;
static struct device *port;
static bool wire;
static unsigned edges; /* rising */

static void wire_set(void *opaque, unsigned n, bool level)
{
    (void)opaque;
    ck_assert_uint_eq(n, IRQ_COM1);
    ck_assert_msg(wire != level, "the wire was driven to the level it has");
    wire = level;
    edges += level;
}

static void make_port(struct chr *chr)
{
    struct err err = {0};
    struct serial_config cfg = {
        .name = "com1",
        .pio = &pio,
        .port = COM1_PORT,
        .irq = {.set = wire_set, .n = IRQ_COM1},
        .clock = &guest_clock,
        .chr = chr,
    };
    bus_init(&pio, "pio", 65536);
    clock_init_stepped(&guest_clock, 0);
    wire = false;
    edges = 0;
    port = serial_create(&cfg, &err);
    ck_assert_msg(port != NULL, "%s", err.msg);
}

static void setup(void)
{
    uint8_t *output = malloc(OUTPUT_MAX);
    fake = (struct fake_chr){.chr = {.name = "fake", .ops = &fake_ops}, .budget = SIZE_MAX};
    fake.input = output; /* none */
    fake.output = output;
    make_port(&fake.chr);
}

static void setup_unplugged(void)
{
    fake = (struct fake_chr){0};
    make_port(NULL);
}

static void teardown(void)
{
    port->ops->fini(port);
    ck_assert_uint_eq(pio.nregions, 0);
    ck_assert_ptr_null(guest_clock.timers);
    free(fake.output);
}

static uint8_t in(unsigned reg)
{
    return (uint8_t)bus_read(&pio, COM1_PORT + reg, 1);
}

static void out(unsigned reg, unsigned val)
{
    bus_write(&pio, COM1_PORT + reg, 1, val);
}

/* Data comes to the backend, which says so. */
static void type(const void *data, size_t len)
{
    fake.input = data;
    fake.input_len = len;
    fake.input_pos = 0;
    if (fake.chr.client.readable)
        fake.chr.client.readable(fake.chr.client.self);
}

/* As a driver leaves the port: 115200 8N1, DTR RTS OUT2. */
static void open_port(unsigned ier, unsigned fcr)
{
    out(LCR, 0x83);
    out(0, 1);
    out(1, 0);
    out(LCR, 0x03);
    out(FCR, fcr);
    out(MCR, 0x0B);
    (void)in(MSR);
    out(IER, ier);
}

#define CHAR_NS 86805u /* ten bits at 115200 baud */

/* ---- registers ---- */

START_TEST(serial_reset_state_is_idle)
{
    ck_assert_uint_eq(in(IER), 0);
    ck_assert_uint_eq(in(IIR), 0x01);
    ck_assert_uint_eq(in(LCR), 0);
    ck_assert_uint_eq(in(MCR), 0);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(MSR), 0xB0);
    ck_assert(!wire);
}
END_TEST

START_TEST(serial_scratch_keeps_every_value)
{
    for (unsigned v = 0; v < 256; v++) {
        out(SCR, v);
        ck_assert_uint_eq(in(SCR), v);
    }
}
END_TEST

START_TEST(serial_unused_register_bits_read_zero)
{
    out(IER, 0xF0);
    ck_assert_uint_eq(in(IER), 0);
    out(MCR, 0xE0);
    ck_assert_uint_eq(in(MCR), 0);
}
END_TEST

START_TEST(serial_dlab_shows_divisor_and_hides_data)
{
    out(IER, 0x0C);
    out(LCR, 0x80);
    ck_assert_uint_eq(in(0), 12);
    out(0, 0x34);
    out(1, 0x12);
    ck_assert_uint_eq(in(0), 0x34);
    ck_assert_uint_eq(in(1), 0x12);
    out(LCR, 0x03);
    ck_assert_uint_eq(in(IER), 0x0C);
    ck_assert_uint_eq(fake.output_len, 0);
}
END_TEST

START_TEST(serial_wide_access_reaches_neighbouring_registers)
{
    bus_write(&pio, COM1_PORT + LCR, 2, 0x0103);
    ck_assert_uint_eq(in(LCR), 0x03);
    ck_assert_uint_eq(in(MCR), 0x01);
    ck_assert_uint_eq(bus_read(&pio, COM1_PORT + LCR, 4), 0xB0600103);
}
END_TEST

START_TEST(serial_status_registers_ignore_writes)
{
    out(LSR, 0xFF);
    out(MSR, 0xFF);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(MSR), 0xB0);
}
END_TEST

START_TEST(serial_iir_shows_whether_fifos_are_on)
{
    ck_assert_uint_eq(in(IIR), 0x01);
    out(FCR, 0x01);
    ck_assert_uint_eq(in(IIR), 0xC1);
    out(FCR, 0x00);
    ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_unplugged_port_swallows_output_and_has_no_carrier)
{
    ck_assert_uint_eq(in(MSR), 0);
    for (unsigned i = 0; i < 40; i++)
        out(THR, i);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(LSR), 0x60);
    out(IER, 0x0F);
    ck_assert_uint_eq(in(RBR), 0);
}
END_TEST

START_TEST(serial_refuses_taken_ports)
{
    struct err err = {0};
    struct serial_config cfg = {
        .name = "com9", .pio = &pio, .port = COM1_PORT + 4, .clock = &guest_clock};
    ck_assert_ptr_null(serial_create(&cfg, &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "com1"));
    ck_assert_ptr_nonnull(strstr(err.msg, "com9"));
}
END_TEST

START_TEST(serial_reset_restores_power_on_state)
{
    open_port(0x0F, 0xC1);
    type("abc", 3);
    out(SCR, 7);
    port->ops->reset(port);
    ck_assert(!wire);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(IIR), 0x01);
    ck_assert_uint_eq(in(SCR), 0);
    ck_assert_uint_eq(in(MSR), 0xB0);
}
END_TEST

/* ---- sending ---- */

START_TEST(serial_byte_leaves_with_the_write)
{
    out(THR, 'x');
    ck_assert_uint_eq(fake.output_len, 1);
    ck_assert_uint_eq(fake.output[0], 'x');
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(serial_thre_stays_low_until_backend_takes_all)
{
    fake.budget = 0;
    out(FCR, 0x01);
    out(THR, 'a');
    out(THR, 'b');
    ck_assert_uint_eq(in(LSR), 0x00);
    fake.budget = 1;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x00);
    fake.budget = 1;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_mem_eq(fake.output, "ab", 2);
}
END_TEST

START_TEST(serial_thre_interrupt_comes_when_backend_recovers)
{
    open_port(0x02, 0x01);
    ck_assert_uint_eq(in(IIR), 0xC2);
    fake.budget = 0;
    out(THR, 'a');
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0xC1);
    fake.budget = 5;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0xC2);
}
END_TEST

START_TEST(serial_full_transmitter_loses_only_what_came_last)
{
    unsigned long before = log_guest_count();
    fake.budget = 0;
    out(FCR, 0x01);
    for (unsigned i = 0; i < 20; i++)
        out(THR, 'a' + i);
    ck_assert_uint_eq(log_guest_count() - before, 4);
    fake.budget = 100;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert_uint_eq(fake.output_len, 16);
    ck_assert_mem_eq(fake.output, "abcdefghijklmnop", 16);
}
END_TEST

START_TEST(serial_fifo_reset_empties_transmitter)
{
    fake.budget = 0;
    out(FCR, 0x01);
    out(THR, 'a');
    out(FCR, 0x03); /* the receiver's reset alone does not */
    ck_assert_uint_eq(in(LSR), 0x00);
    out(FCR, 0x05);
    ck_assert_uint_eq(in(LSR), 0x60);
    fake.budget = 10;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert_uint_eq(fake.output_len, 0);
}
END_TEST

START_TEST(serial_one_byte_at_a_time_backend_gets_all_in_order)
{
    open_port(0x02, 0x01);
    unsigned sent = 0;
    while (sent < 5000) {
        ck_assert_uint_eq(in(IIR), 0xC2);
        for (unsigned i = 0; i < 16; i++, sent++) {
            fake.budget = fake.output_len % 3 == 0;
            out(THR, sent * 7 % 251);
        }
        while (!wire) {
            fake.budget = 1;
            fake.chr.client.writable(fake.chr.client.self);
        }
    }
    ck_assert_uint_eq(fake.output_len, sent);
    for (unsigned i = 0; i < sent; i++)
        ck_assert_uint_eq(fake.output[i], i * 7 % 251);
}
END_TEST

START_TEST(serial_thre_interrupt_rises_when_enabled_with_thr_empty)
{
    out(MCR, 0x08);
    out(IER, 0x02);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0x02);
    ck_assert(!wire);
    out(IER, 0x02); /* already on: nothing new */
    ck_assert(!wire);
    out(IER, 0x00);
    out(IER, 0x02);
    ck_assert(wire);
}
END_TEST

START_TEST(serial_thre_interrupt_does_not_rise_with_thr_full)
{
    out(MCR, 0x08);
    fake.budget = 0;
    out(THR, 'x');
    out(IER, 0x02);
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_thr_write_gives_a_new_edge)
{
    open_port(0x02, 0x00);
    ck_assert(wire);
    unsigned before = edges;
    out(THR, 'x'); /* clears the pending interrupt; the byte leaves at once and raises the next */
    ck_assert(wire);
    ck_assert_uint_eq(edges, before + 1);
    ck_assert_uint_eq(in(IIR), 0x02);
    ck_assert(!wire);
}
END_TEST

START_TEST(serial_iir_read_keeps_thre_when_it_reports_another_cause)
{
    open_port(0x03, 0x01);
    type("a", 1);
    ck_assert_uint_eq(in(IIR), 0xC4);
    ck_assert_uint_eq(in(IIR), 0xC4);
    ck_assert_uint_eq(in(RBR), 'a');
    ck_assert_uint_eq(in(IIR), 0xC2);
    ck_assert_uint_eq(in(IIR), 0xC1);
}
END_TEST

START_TEST(serial_polled_output_never_touches_the_wire)
{
    open_port(0x00, 0x01);
    for (unsigned i = 0; i < 100; i++)
        out(THR, 'x');
    ck_assert_uint_eq(edges, 0);
    ck_assert_uint_eq(fake.output_len, 100);
}
END_TEST

/* ---- receiving ---- */

START_TEST(serial_data_interrupt_follows_the_byte_without_fifos)
{
    open_port(0x01, 0x00);
    type("ab", 2);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(fake.input_pos, 1);
    unsigned before = edges;
    ck_assert_uint_eq(in(RBR), 'a');
    ck_assert_uint_eq(edges, before + 1); /* the second byte is a new edge */
    ck_assert_uint_eq(in(RBR), 'b');
    ck_assert(!wire);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_trigger_level_decides_data_interrupt)
{
    static const unsigned levels[] = {1, 4, 8, 14};
    unsigned level = levels[_i];
    open_port(0x01, 0x01u | (unsigned)_i << 6);
    type("0123456789abcdef", level - 1);
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0xC1);
    type("x", 1);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0xC4);
    (void)in(RBR);
    ck_assert(!wire);
}
END_TEST

START_TEST(serial_character_timeout_fires_after_four_characters)
{
    open_port(0x01, 0x81);
    type("abc", 3);
    clock_step(&guest_clock, 4 * CHAR_NS - 100);
    ck_assert(!wire);
    clock_step(&guest_clock, 200);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0xCC);
    ck_assert_uint_eq(in(RBR), 'a');
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0xC1);
    clock_step(&guest_clock, 4 * CHAR_NS + 100); /* the read started it anew */
    ck_assert_uint_eq(in(IIR), 0xCC);
}
END_TEST

START_TEST(serial_each_byte_restarts_the_character_timeout)
{
    open_port(0x01, 0xC1);
    for (unsigned i = 0; i < 6; i++) {
        type("a", 1);
        clock_step(&guest_clock, 3 * CHAR_NS);
        ck_assert(!wire);
    }
    clock_step(&guest_clock, CHAR_NS + 100);
    ck_assert(wire);
}
END_TEST

START_TEST(serial_character_timeout_follows_baud_and_frame)
{
    /* 50 baud, 8 bits, parity, 2 stop bits: 12 bits of 20 ms. */
    open_port(0x01, 0xC1);
    out(LCR, 0x8F);
    out(0, 0x00);
    out(1, 0x09);
    out(LCR, 0x0F);
    type("a", 1);
    clock_step(&guest_clock, 959999999);
    ck_assert(!wire);
    clock_step(&guest_clock, 2);
    ck_assert(wire);
}
END_TEST

START_TEST(serial_one_and_a_half_stop_bits_count)
{
    /* 115200 baud, 5 bits, "2" stop bits: 7.5 bits. */
    open_port(0x01, 0xC1);
    out(LCR, 0x04);
    type("a", 1);
    clock_step(&guest_clock, 260300);
    ck_assert(!wire);
    clock_step(&guest_clock, 200);
    ck_assert(wire);
}
END_TEST

START_TEST(serial_divisor_zero_is_harmless)
{
    open_port(0x01, 0xC1);
    out(LCR, 0x83);
    out(0, 0);
    out(1, 0);
    out(LCR, 0x03);
    type("a", 1);
    clock_step(&guest_clock, 3 * CHAR_NS);
    ck_assert_uint_eq(in(IIR), 0xC1);
    clock_step(&guest_clock, 2 * CHAR_NS);
    ck_assert_uint_eq(in(IIR), 0xCC);
}
END_TEST

START_TEST(serial_no_character_timeout_without_fifos)
{
    open_port(0x01, 0x00);
    type("a", 1);
    clock_step(&guest_clock, 100 * CHAR_NS);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(RBR), 'a');
    clock_step(&guest_clock, 100 * CHAR_NS);
    ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_input_waits_until_the_guest_listens)
{
    type("hello", 5);
    /* What a driver does while it sets a port up: reset, look and read blindly. */
    out(FCR, 0x01);
    out(FCR, 0x07);
    out(FCR, 0x00);
    (void)in(LSR);
    ck_assert_uint_eq(in(RBR), 0);
    (void)in(IIR);
    (void)in(MSR);
    (void)in(LSR);
    ck_assert_uint_eq(in(RBR), 0);
    ck_assert_uint_eq(fake.input_pos, 0);
    out(IER, 0x01);
    char got[6] = "";
    for (unsigned i = 0; in(LSR) & 1; i++)
        got[i] = (char)in(RBR);
    ck_assert_str_eq(got, "hello");
}
END_TEST

START_TEST(serial_input_survives_fifos_switched_on_after_the_interrupt)
{
    type("hello", 5);
    out(IER, 0x01); /* one byte comes, there being no FIFO */
    ck_assert_uint_eq(fake.input_pos, 1);
    out(FCR, 0x01);
    out(FCR, 0x81);
    char got[6] = "";
    for (unsigned i = 0; in(LSR) & 1; i++)
        got[i] = (char)in(RBR);
    ck_assert_str_eq(got, "hello");
}
END_TEST

START_TEST(serial_unread_input_survives_close_and_reopen)
{
    open_port(0x01, 0x81);
    type("0123456789abcdefXYZ", 19);
    ck_assert_uint_eq(in(RBR), '0');
    out(IER, 0x00);
    out(FCR, 0x01);
    out(FCR, 0x07);
    out(FCR, 0x00);
    ck_assert_uint_eq(in(RBR), 0);
    open_port(0x01, 0x81);
    char got[20] = "";
    for (unsigned i = 0; in(LSR) & 1; i++)
        got[i] = (char)in(RBR);
    ck_assert_str_eq(got, "123456789abcdefXYZ");
}
END_TEST

START_TEST(serial_unread_input_survives_machine_reset)
{
    open_port(0x01, 0x81);
    type("abcdef", 6);
    ck_assert_uint_eq(in(RBR), 'a');
    port->ops->reset(port);
    ck_assert_uint_eq(in(LSR), 0x60);
    open_port(0x01, 0x81);
    ck_assert_uint_eq(in(RBR), 'b');
    ck_assert_uint_eq(in(RBR), 'c');
}
END_TEST

START_TEST(serial_listening_driver_may_discard_the_receiver_fifo)
{
    open_port(0x01, 0x01);
    type("abc", 3);
    out(FCR, 0x03);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert(!wire);
    type("d", 1);
    ck_assert_uint_eq(in(RBR), 'd');
}
END_TEST

START_TEST(serial_fcr_bits_need_the_enable_bit)
{
    open_port(0x01, 0x00);
    type("a", 1);
    out(FCR, 0xC6);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(RBR), 'a');
}
END_TEST

START_TEST(serial_polling_reader_gets_its_bytes)
{
    out(FCR, 0x07);
    type("poll", 4);
    char got[5] = "";
    for (unsigned i = 0; i < 4; i++) {
        unsigned tries = 0;
        while (!(in(LSR) & 1))
            ck_assert_uint_lt(++tries, 5);
        got[i] = (char)in(RBR);
    }
    ck_assert_str_eq(got, "poll");
    ck_assert_uint_eq(edges, 0);
}
END_TEST

START_TEST(serial_waiting_for_the_transmitter_is_not_listening)
{
    type("x", 1);
    fake.budget = 0;
    out(THR, 'a');
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(in(LSR), 0);
    fake.budget = 1;
    fake.chr.client.writable(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(fake.input_pos, 0);
}
END_TEST

START_TEST(serial_blind_block_read_gets_new_edges)
{
    /* A handler that reads exactly the trigger level for each edge, and looks at nothing else. */
    static uint8_t data[14 * 50];
    unsigned handled = 0, got = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    open_port(0x01, 0xC1);
    type(data, sizeof data);
    while (got + 14 <= sizeof data) {
        ck_assert_uint_lt(handled, edges);
        handled = edges;
        for (unsigned i = 0; i < 14; i++, got++)
            ck_assert_uint_eq(in(RBR), data[got]);
    }
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(serial_pasted_megabyte_arrives_whole_and_in_order)
{
    const size_t len = 1 << 20;
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    open_port(0x01, 0x81);
    type(data, len);
    size_t got = 0;
    while (got < len) {
        if (!wire)
            clock_step(&guest_clock, 5 * CHAR_NS); /* what is left below the trigger level */
        ck_assert(wire);
        while (in(LSR) & 1) {
            uint8_t byte = in(RBR);
            ck_assert_msg(got < len && byte == data[got], "byte %zu is wrong", got);
            got++;
        }
    }
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_lt(fake.reads, len / 4); /* taken in blocks */
    free(data);
}
END_TEST

/* ---- errors, break ---- */

START_TEST(serial_lsr_clears_after_read)
{
    open_port(0x00, 0x01);
    fake.chr.client.break_seen(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x60 | 0x80 | 0x10 | 0x01);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(in(RBR), 0);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(serial_break_shows_when_it_is_at_the_top)
{
    open_port(0x05, 0x01);
    type("ab", 2);
    fake.chr.client.break_seen(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0xE1); /* somewhere in the FIFO, not on top */
    ck_assert_uint_eq(in(IIR), 0xC4);
    ck_assert_uint_eq(in(RBR), 'a');
    ck_assert_uint_eq(in(RBR), 'b');
    ck_assert_uint_eq(in(IIR), 0xC6); /* line status is above data */
    ck_assert_uint_eq(in(LSR), 0xF1);
    ck_assert_uint_eq(in(IIR), 0xC4);
    ck_assert_uint_eq(in(RBR), 0);
    ck_assert_uint_eq(in(IIR), 0xC1);
}
END_TEST

START_TEST(serial_fifo_error_bit_is_for_fifo_mode_only)
{
    open_port(0x00, 0x00);
    fake.chr.client.break_seen(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x71);
}
END_TEST

START_TEST(serial_overrun_keeps_the_fifo)
{
    open_port(0x04, 0x01);
    out(MCR, 0x18);
    for (unsigned i = 0; i < 17; i++)
        out(THR, 'a' + i);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0xC6);
    ck_assert_uint_eq(in(LSR), 0x63);
    ck_assert(!wire);
    ck_assert_uint_eq(in(LSR), 0x61);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(RBR), 'a' + i);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(serial_overrun_replaces_the_holding_register)
{
    out(MCR, 0x10);
    out(THR, 'a');
    out(THR, 'b');
    ck_assert_uint_eq(in(LSR), 0x63);
    ck_assert_uint_eq(in(RBR), 'b');
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

/* ---- modem lines, loopback, interrupt gate ---- */

START_TEST(serial_loopback_returns_data_and_sends_none)
{
    out(FCR, 0x01);
    out(MCR, 0x10);
    type("line", 4);
    for (unsigned i = 0; i < 16; i++)
        out(THR, 0x80 + i);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(RBR), 0x80 + i);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(LSR), 0x60);
    fake.chr.client.break_seen(fake.chr.client.self);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(fake.output_len, 0);
    ck_assert_uint_eq(fake.input_pos, 0);
}
END_TEST

START_TEST(serial_loopback_end_reconnects_the_line)
{
    open_port(0x01, 0x01);
    out(MCR, 0x1B);
    type("x", 1);
    ck_assert(!wire);
    out(MCR, 0x0B);
    ck_assert(wire);
    ck_assert_uint_eq(in(RBR), 'x');
}
END_TEST

START_TEST(serial_loopback_data_is_not_given_back_by_a_reset)
{
    out(FCR, 0x01);
    out(MCR, 0x10);
    out(THR, 'x');
    out(FCR, 0x07);
    out(MCR, 0x00);
    out(IER, 0x01);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(serial_loopback_msr_mirrors_mcr)
{
    static const struct {
        unsigned mcr, msr;
    } pairs[] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}, {0x0F, 0xF0}, {0, 0}};
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        out(MCR, 0x10 | pairs[i].mcr);
        ck_assert_uint_eq(in(MSR) & 0xF0, pairs[i].msr);
    }
}
END_TEST

START_TEST(serial_msr_deltas_tell_changes_once)
{
    out(MCR, 0x10);
    ck_assert_uint_eq(in(MSR), 0x0B); /* CTS, DSR, DCD fell with the line cut off */
    out(MCR, 0x11);
    ck_assert_uint_eq(in(MSR), 0x22);
    ck_assert_uint_eq(in(MSR), 0x20);
    out(MCR, 0x15);
    ck_assert_uint_eq(in(MSR), 0x60); /* RI rising is no delta */
    out(MCR, 0x11);
    ck_assert_uint_eq(in(MSR), 0x24); /* its end is */
}
END_TEST

START_TEST(serial_modem_status_interrupt_clears_with_msr_read)
{
    out(MCR, 0x18);
    (void)in(MSR);
    out(IER, 0x08);
    ck_assert(!wire);
    out(MCR, 0x1A);
    ck_assert(wire);
    ck_assert_uint_eq(in(IIR), 0x00);
    ck_assert_uint_eq(in(IIR), 0x00); /* reading IIR does not clear it */
    ck_assert_uint_eq(in(MSR), 0x91);
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_out2_gates_the_interrupt)
{
    out(IER, 0x02);
    ck_assert(!wire);
    out(MCR, 0x08);
    ck_assert(wire);
    out(MCR, 0x00);
    ck_assert(!wire);
    ck_assert_uint_eq(in(IIR), 0x02); /* the cause is there all the same */
}
END_TEST

START_TEST(serial_interrupts_are_reported_by_priority)
{
    open_port(0x0F, 0x01);
    out(MCR, 0x1B); /* modem status changes */
    out(THR, 'a');
    for (unsigned i = 0; i < 16; i++)
        out(THR, 'b'); /* overrun */
    ck_assert_uint_eq(in(IIR), 0xC6);
    (void)in(LSR);
    ck_assert_uint_eq(in(IIR), 0xC4);
    for (unsigned i = 0; i < 16; i++)
        (void)in(RBR);
    ck_assert_uint_eq(in(IIR), 0xC2);
    out(MCR, 0x1A);
    ck_assert_uint_eq(in(IIR), 0xC0);
    (void)in(MSR);
    ck_assert_uint_eq(in(IIR), 0xC1);
}
END_TEST

START_TEST(serial_answers_like_a_16550a_to_linux_autoconfig)
{
    out(IER, 0x00);
    ck_assert_uint_eq(in(IER), 0x00);
    out(IER, 0x0F);
    ck_assert_uint_eq(in(IER) & 0x0F, 0x0F);
    out(IER, 0x00);
    out(MCR, 0x1A);
    ck_assert_uint_eq(in(MSR) & 0xF0, 0x90);
    out(MCR, 0x00);
    out(FCR, 0x01);
    ck_assert_uint_eq(in(IIR) >> 6, 3);
    out(FCR, 0x00);
    /* THRE must come again when the interrupt is enabled again. */
    out(IER, 0x02);
    ck_assert_uint_eq(in(IIR), 0x02);
    out(IER, 0x00);
    out(IER, 0x02);
    ck_assert_uint_eq(in(IIR), 0x02);
}
END_TEST

/* ---- hostile ---- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

START_TEST(serial_survives_random_accesses)
{
    static uint8_t data[4096];
    uint32_t rng = 1655000u + (uint32_t)_i;
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t r = next_random(&rng);
        uint64_t addr = COM1_PORT - 4 + r % 16;
        unsigned size = 1u << (r >> 4) % 4;
        switch ((r >> 8) % 8) {
        case 0:
            fake.budget = next_random(&rng) % 20;
            fake.chr.client.writable(fake.chr.client.self);
            break;
        case 1:
            type(data, next_random(&rng) % sizeof data);
            break;
        case 2:
            clock_step(&guest_clock, next_random(&rng));
            break;
        case 3:
            fake.chr.client.break_seen(fake.chr.client.self);
            break;
        case 4:
        case 5:
            bus_write(&pio, addr, size, (uint64_t)next_random(&rng) << 32 | next_random(&rng));
            break;
        default:
            (void)bus_read(&pio, addr, size);
        }
        if (i % 1000 == 0) {
            fake.output_len = 0;
            port->ops->reset(port);
            ck_assert(!wire);
            ck_assert_uint_eq(in(LSR) & 0x1F, 0);
        }
    }
}
END_TEST

/*
 * Whatever the guest does to the port, short of discarding it under a listening driver or in
 * loopback, input that it reads is the line's, in order and without a gap.
 */
START_TEST(serial_set_up_noise_never_loses_input)
{
    static uint8_t data[60000];
    uint32_t rng = 77u + (uint32_t)_i;
    size_t got = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 >> 3);
    type(data, sizeof data);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t r = next_random(&rng);
        switch (r % 6) {
        case 0:
            out(IER, (r >> 8) & 0x0F);
            break;
        case 1: /* reset bits only while the driver does not listen */
            out(FCR, in(IER) & 1 ? (r >> 8) & 0xC9 : (r >> 8) & 0xCF);
            break;
        case 2:
            out(MCR, (r >> 8) & 0x0F);
            break;
        case 3:
            clock_step(&guest_clock, r % 1000000);
            break;
        case 4:
            (void)in(IIR);
            break;
        default:
            while (got < sizeof data && (in(LSR) & 1) && (next_random(&rng) & 7)) {
                uint8_t byte = in(RBR);
                ck_assert_msg(byte == data[got], "byte %zu is wrong", got);
                got++;
            }
        }
    }
    ck_assert_uint_gt(got, 10000);
}
END_TEST

static void add_register_tests(TCase *tc)
{
    tcase_add_test(tc, serial_reset_state_is_idle);
    tcase_add_test(tc, serial_scratch_keeps_every_value);
    tcase_add_test(tc, serial_unused_register_bits_read_zero);
    tcase_add_test(tc, serial_dlab_shows_divisor_and_hides_data);
    tcase_add_test(tc, serial_wide_access_reaches_neighbouring_registers);
    tcase_add_test(tc, serial_status_registers_ignore_writes);
    tcase_add_test(tc, serial_iir_shows_whether_fifos_are_on);
    tcase_add_test(tc, serial_refuses_taken_ports);
    tcase_add_test(tc, serial_reset_restores_power_on_state);
    tcase_add_test(tc, serial_answers_like_a_16550a_to_linux_autoconfig);
}

static void add_send_tests(TCase *tc)
{
    tcase_add_test(tc, serial_byte_leaves_with_the_write);
    tcase_add_test(tc, serial_thre_stays_low_until_backend_takes_all);
    tcase_add_test(tc, serial_thre_interrupt_comes_when_backend_recovers);
    tcase_add_test(tc, serial_full_transmitter_loses_only_what_came_last);
    tcase_add_test(tc, serial_fifo_reset_empties_transmitter);
    tcase_add_test(tc, serial_one_byte_at_a_time_backend_gets_all_in_order);
    tcase_add_test(tc, serial_thre_interrupt_rises_when_enabled_with_thr_empty);
    tcase_add_test(tc, serial_thre_interrupt_does_not_rise_with_thr_full);
    tcase_add_test(tc, serial_thr_write_gives_a_new_edge);
    tcase_add_test(tc, serial_iir_read_keeps_thre_when_it_reports_another_cause);
    tcase_add_test(tc, serial_polled_output_never_touches_the_wire);
}

static void add_receive_tests(TCase *tc)
{
    tcase_add_test(tc, serial_data_interrupt_follows_the_byte_without_fifos);
    tcase_add_loop_test(tc, serial_trigger_level_decides_data_interrupt, 0, 4);
    tcase_add_test(tc, serial_character_timeout_fires_after_four_characters);
    tcase_add_test(tc, serial_each_byte_restarts_the_character_timeout);
    tcase_add_test(tc, serial_character_timeout_follows_baud_and_frame);
    tcase_add_test(tc, serial_one_and_a_half_stop_bits_count);
    tcase_add_test(tc, serial_divisor_zero_is_harmless);
    tcase_add_test(tc, serial_no_character_timeout_without_fifos);
    tcase_add_test(tc, serial_input_waits_until_the_guest_listens);
    tcase_add_test(tc, serial_input_survives_fifos_switched_on_after_the_interrupt);
    tcase_add_test(tc, serial_unread_input_survives_close_and_reopen);
    tcase_add_test(tc, serial_unread_input_survives_machine_reset);
    tcase_add_test(tc, serial_listening_driver_may_discard_the_receiver_fifo);
    tcase_add_test(tc, serial_fcr_bits_need_the_enable_bit);
    tcase_add_test(tc, serial_polling_reader_gets_its_bytes);
    tcase_add_test(tc, serial_waiting_for_the_transmitter_is_not_listening);
    tcase_add_test(tc, serial_blind_block_read_gets_new_edges);
    tcase_add_test(tc, serial_pasted_megabyte_arrives_whole_and_in_order);
}

static void add_line_tests(TCase *tc)
{
    tcase_add_test(tc, serial_lsr_clears_after_read);
    tcase_add_test(tc, serial_break_shows_when_it_is_at_the_top);
    tcase_add_test(tc, serial_fifo_error_bit_is_for_fifo_mode_only);
    tcase_add_test(tc, serial_overrun_keeps_the_fifo);
    tcase_add_test(tc, serial_overrun_replaces_the_holding_register);
    tcase_add_test(tc, serial_loopback_returns_data_and_sends_none);
    tcase_add_test(tc, serial_loopback_end_reconnects_the_line);
    tcase_add_test(tc, serial_loopback_data_is_not_given_back_by_a_reset);
    tcase_add_test(tc, serial_loopback_msr_mirrors_mcr);
    tcase_add_test(tc, serial_msr_deltas_tell_changes_once);
    tcase_add_test(tc, serial_modem_status_interrupt_clears_with_msr_read);
    tcase_add_test(tc, serial_out2_gates_the_interrupt);
    tcase_add_test(tc, serial_interrupts_are_reported_by_priority);
    tcase_add_loop_test(tc, serial_survives_random_accesses, 0, 3);
    tcase_add_loop_test(tc, serial_set_up_noise_never_loses_input, 0, 4);
}

int main(void)
{
    Suite *suite = suite_create("serial");
    TCase *plugged = tcase_create("plugged");
    TCase *unplugged = tcase_create("unplugged");
    tcase_add_checked_fixture(plugged, setup, teardown);
    tcase_add_checked_fixture(unplugged, setup_unplugged, teardown);
    tcase_set_timeout(plugged, 60);
    add_register_tests(plugged);
    add_send_tests(plugged);
    add_receive_tests(plugged);
    add_line_tests(plugged);
    tcase_add_test(unplugged, serial_unplugged_port_swallows_output_and_has_no_carrier);
    suite_add_tcase(suite, plugged);
    suite_add_tcase(suite, unplugged);
    return suite_run(suite);
}
