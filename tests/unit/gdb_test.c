// SPDX-License-Identifier: MIT
//
// The gdb stub from its packets to an engine: framing and its limits, registers there and back, and whole
// conversations with a machine of the interpreter, whose vCPU this test runs itself when the stub lets it go.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/interp/interp.h"
#include "src/gdb/packet.h"
#include "src/gdb/regs.h"
#include "src/gdb/stub.h"
#include "tests/lib/accel_rig.h"
#include "tests/lib/gdb_chaos.h"
#include "tests/lib/suite.h"
#include "util.h"

/* --- packets --- */

static struct packet_in in;

static enum packet_event feed(const char *text)
{
    enum packet_event last = PACKET_NONE;
    for (; *text; text++)
        last = packet_feed(&in, (uint8_t)*text);
    return last;
}

START_TEST(packet_takes_body_with_right_checksum)
{
    in = (struct packet_in){0};
    ck_assert_int_eq(feed("+noise$OK#9a"), PACKET_READY);
    ck_assert_str_eq((const char *)in.body, "OK");
    ck_assert_int_eq(feed("$OK#9b"), PACKET_BAD);
    ck_assert_int_eq(feed("$OK#zz"), PACKET_BAD);
    ck_assert_int_eq(feed("$#00"), PACKET_READY);
    ck_assert_uint_eq(in.len, 0);
}
END_TEST

START_TEST(packet_unescapes_and_begins_anew_at_dollar)
{
    in = (struct packet_in){0};
    ck_assert_int_eq(feed("$lost$a}\x03z#5b"), PACKET_READY);
    ck_assert_uint_eq(in.len, 3);
    ck_assert_mem_eq(in.body, "a#z", 3);
    ck_assert_int_eq(feed("$a}#de"), PACKET_BAD); /* nothing behind the escape */
}
END_TEST

START_TEST(packet_hears_interrupt_and_acks_only_between_packets)
{
    in = (struct packet_in){0};
    ck_assert_int_eq(feed("\x03"), PACKET_INTERRUPT);
    ck_assert_int_eq(feed("+"), PACKET_ACK);
    ck_assert_int_eq(feed("-"), PACKET_NAK);
    ck_assert_int_eq(feed("$\x03+-"), PACKET_NONE);
    ck_assert_int_eq(feed("#5b"), PACKET_READY);
}
END_TEST

START_TEST(packet_too_long_is_bad_and_the_next_one_is_not)
{
    in = (struct packet_in){0};
    packet_feed(&in, '$');
    for (unsigned n = 0; n < 3 * PACKET_MAX; n++)
        ck_assert_int_eq(packet_feed(&in, 0), PACKET_NONE);
    ck_assert_int_eq(feed("#00"), PACKET_BAD);
    ck_assert_int_eq(feed("$OK#9a"), PACKET_READY);
}
END_TEST

START_TEST(packet_out_is_read_back_by_packet_in)
{
    static struct packet_out out;
    static const uint8_t bytes[] = "$#}*\0\x03 plain";
    in = (struct packet_in){0};
    packet_begin(&out);
    for (size_t n = 0; n < sizeof bytes; n++)
        packet_byte(&out, bytes[n]);
    packet_end(&out);
    for (size_t n = 0; n < out.len; n++)
        ck_assert_int_eq(packet_feed(&in, out.bytes[n]), n + 1 < out.len ? PACKET_NONE : PACKET_READY);
    ck_assert_uint_eq(in.len, sizeof bytes);
    ck_assert_mem_eq(in.body, bytes, sizeof bytes);
}
END_TEST

/* --- registers --- */

START_TEST(registers_come_back_as_they_were_put)
{
    struct cpu_state cpu = {0};
    uint8_t buf[REG_BYTES_MAX], again[REG_BYTES_MAX];
    unsigned total = 0;
    for (unsigned n = 0; n < regs_count(); n++) {
        unsigned size = regs_size(n);
        ck_assert_uint_le(size, REG_BYTES_MAX);
        memset(buf, (int)(n + 1), sizeof buf);
        if (regs_put(&cpu, n, buf) && size != 4) { /* words of 4 bytes have fixed bits */
            ck_assert_uint_eq(regs_get(&cpu, n, again), size);
            ck_assert_mem_eq(buf, again, size);
        }
        total += size;
    }
    ck_assert_uint_le(2 * total, PACKET_MAX - 16); /* `g` fits */
    ck_assert_uint_eq(regs_get(&cpu, regs_count(), buf), 0);
}
END_TEST

START_TEST(registers_selectors_are_seen_but_not_set)
{
    struct cpu_state cpu = {.seg[SEG_CS].sel = 0x10};
    uint32_t val = 0x10;
    ck_assert(regs_put(&cpu, 18, &val));
    val = 0x33;
    ck_assert(!regs_put(&cpu, 18, &val));
    ck_assert_uint_eq(cpu.seg[SEG_CS].sel, 0x10);
}
END_TEST

START_TEST(registers_description_names_each_once)
{
    size_t len;
    unsigned n = 0;
    const char *text = regs_description(&len);
    ck_assert_uint_eq(strlen(text), len);
    for (const char *p = text; (p = strstr(p, "<reg ")); p++)
        n++;
    ck_assert_uint_eq(n, regs_count());
    ck_assert_ptr_nonnull(strstr(text, "\"k_gs_base\""));
    ck_assert_ptr_nonnull(strstr(text, "\"ymm15h\""));
    ck_assert_str_eq(text + len - 10, "</target>\n");
}
END_TEST

/* --- conversations --- */

static struct accel_rig rig;
static struct stub stub;
static char said[2 * PACKET_MAX];
static size_t nsaid;
static bool left, killed;
static unsigned runs; /* how often the machine may be let go */

static void on_send(void *opaque, const void *bytes, size_t len)
{
    (void)opaque;
    ck_assert_uint_lt(nsaid + len, sizeof said);
    memcpy(said + nsaid, bytes, len);
    nsaid += len;
    said[nsaid] = '\0';
}

static void on_halt(void *opaque)
{
    (void)opaque;
}

/* The machine runs at once, until it has something to tell. */
static void on_resume(void *opaque)
{
    struct vm_exit exit = {.kind = EXIT_INTR};
    (void)opaque;
    if (!runs)
        return;
    runs--;
    for (unsigned n = 0; n < 100 && exit.kind != EXIT_DEBUG && !rig.done; n++)
        rig.accel.ops->run(&rig.vcpu, &exit);
    if (exit.kind == EXIT_DEBUG)
        stub_stopped(&stub, &exit);
}

static void on_leave(void *opaque)
{
    (void)opaque;
    left = true;
}

static void on_kill(void *opaque)
{
    (void)opaque;
    killed = true;
}

static const struct stub_host host = {on_send, on_halt, on_resume, on_leave, on_kill};

static void say(const char *body)
{
    uint8_t sum = 0;
    char packet[PACKET_MAX + 8];
    for (const char *p = body; *p; p++)
        sum = (uint8_t)(sum + *p);
    int n = snprintf(packet, sizeof packet, "$%s#%02x", body, sum);
    nsaid = 0;
    said[0] = '\0';
    stub_feed(&stub, (const uint8_t *)packet, (size_t)n);
}

/* What comes back, without frame and acknowledgement; of several packets the last. */
static const char *ask(const char *body)
{
    static char answer[sizeof said];
    say(body);
    const char *from = strrchr(said, '$');
    const char *to = strrchr(said, '#');
    ck_assert_msg(from && to && to > from, "no answer to %s: %s", body, said);
    snprintf(answer, sizeof answer, "%.*s", (int)(to - from - 1), from + 1);
    return answer;
}

/* Ring 0, 64 bits, identity mapping. Place: 0x24000. */
static const uint8_t program[] = {
    0x31, 0xc0,                                     /* 00 xor %eax,%eax */
    0xff, 0xc0,                                     /* 02 inc %eax */
    0xff, 0xc0,                                     /* 04 inc %eax */
    0x89, 0x04, 0x25, 0x00, 0x50, 0x02, 0x00,       /* 06 mov %eax,0x25000 */
    0xff, 0xc0,                                     /* 0d inc %eax */
    0x8b, 0x1c, 0x25, 0x04, 0x50, 0x02, 0x00,       /* 0f mov 0x25004,%ebx */
    0xff, 0xc0,                                     /* 16 inc %eax */
    0xe6, 0x80,                                     /* 18 out %al,$0x80: the end */
    0xeb, 0xfe,                                     /* 1a jmp . */
};

static void start(void)
{
    struct err err = {0};
    struct cpu_state cpu;
    if (accel_rig_open(&rig, &interp_accel, &err))
        ck_abort_msg("%s", err.msg);
    accel_rig_load_after(&rig, program, sizeof program, &cpu);
    ck_assert(!rig.accel.ops->set_state(&rig.vcpu, &cpu, &err));
    stub_init(&stub, &rig.accel, &host, NULL);
    left = killed = false;
    runs = 1000;
}

static void end(void)
{
    accel_rig_close(&rig);
}

static uint64_t rip(void)
{
    struct cpu_state cpu;
    struct err err;
    rig.accel.ops->get_state(&rig.vcpu, &cpu, &err);
    return cpu.rip;
}

static uint64_t rax(void)
{
    struct cpu_state cpu;
    struct err err;
    rig.accel.ops->get_state(&rig.vcpu, &cpu, &err);
    return cpu.gpr[RAX];
}

START_TEST(stub_answers_what_gdb_asks_first)
{
    ck_assert_ptr_nonnull(strstr(ask("qSupported:multiprocess+;swbreak+"), "qXfer:features:read+"));
    ck_assert_str_eq(ask("vMustReplyEmpty"), "");
    ck_assert_str_eq(ask("!"), "");
    ck_assert_str_eq(ask("Hg0"), "OK");
    ck_assert_str_eq(ask("Hg2"), "E16");
    ck_assert_str_eq(ask("qfThreadInfo"), "m1");
    ck_assert_str_eq(ask("qsThreadInfo"), "l");
    ck_assert_str_eq(ask("qC"), "QC1");
    ck_assert_str_eq(ask("T1"), "OK");
    ck_assert_str_eq(ask("T7"), "E03");
    ck_assert_str_eq(ask("qAttached"), "1");
    ck_assert_str_eq(ask("?"), "T05thread:1;");
    ck_assert_int_eq(ask("qXfer:features:read:target.xml:0,100")[0], 'm');
    ck_assert_str_eq(ask("qXfer:features:read:target.xml:fffff,100"), "E16");
}
END_TEST

START_TEST(stub_acknowledges_until_told_not_to)
{
    say("qC");
    ck_assert_str_eq(said, "+$QC1#c5");
    nsaid = 0;
    stub_feed(&stub, (const uint8_t *)"-", 1);
    ck_assert_str_eq(said, "$QC1#c5");
    nsaid = 0;
    stub_feed(&stub, (const uint8_t *)"$qC#00", 6);
    ck_assert_str_eq(said, "-");
    say("QStartNoAckMode");
    ck_assert_str_eq(said, "+$OK#9a");
    say("qC");
    ck_assert_str_eq(said, "$QC1#c5");
}
END_TEST

START_TEST(stub_breakpoint_stops_before_its_instruction_in_the_middle_of_a_block)
{
    ck_assert_str_eq(ask("Z0,24006,1"), "OK");
    ck_assert_str_eq(ask("vCont;c"), "T05thread:1;swbreak:;");
    ck_assert_uint_eq(rip(), 0x24006);
    ck_assert_uint_eq(rax(), 2);
    ck_assert_str_eq(ask("m24006,2"), "8904"); /* memory is the guest's own */
    ck_assert_ptr_null(rig.accel.debug);
    ck_assert_str_eq(ask("z0,24006,1"), "OK");
    ck_assert_str_eq(ask("z0,24006,1"), "E16");
    ck_assert_str_eq(ask("Z1,24018,1"), "OK");
    ck_assert_str_eq(ask("c"), "T05thread:1;hwbreak:;");
    ck_assert_uint_eq(rax(), 4);
}
END_TEST

START_TEST(stub_steps_one_instruction)
{
    ck_assert_str_eq(ask("s"), "T05thread:1;");
    ck_assert_uint_eq(rip(), 0x24002);
    ck_assert_str_eq(ask("vCont;s:1;c"), "T05thread:1;");
    ck_assert_uint_eq(rip(), 0x24004);
    ck_assert_uint_eq(rax(), 1);
    ck_assert_str_eq(ask("s2400d"), "T05thread:1;"); /* from another place */
    ck_assert_uint_eq(rip(), 0x2400f);
}
END_TEST

START_TEST(stub_watchpoint_stops_behind_the_access)
{
    ck_assert_str_eq(ask("Z2,25000,4"), "OK");
    ck_assert_str_eq(ask("Z3,25004,1"), "OK");
    ck_assert_str_eq(ask("c"), "T05thread:1;watch:25000;");
    ck_assert_uint_eq(rip(), 0x2400d);
    ck_assert_str_eq(ask("m25000,4"), "02000000");
    ck_assert_str_eq(ask("c"), "T05thread:1;rwatch:25004;");
    ck_assert_uint_eq(rip(), 0x24016);
}
END_TEST

START_TEST(stub_watchpoint_of_reads_does_not_see_writes)
{
    ck_assert_str_eq(ask("Z3,25000,4"), "OK");
    ck_assert_str_eq(ask("Z2,25004,4"), "OK");
    say("c");
    ck_assert(rig.done);
}
END_TEST

START_TEST(stub_registers_and_memory_are_written)
{
    ck_assert_str_eq(ask("P0=8877665544332211"), "OK");
    ck_assert_uint_eq(rax(), 0x1122334455667788);
    ck_assert_str_eq(ask("p0"), "8877665544332211");
    ck_assert_str_eq(ask("P0=88"), "E16");
    ck_assert_str_eq(ask("p99"), "E16");
    char all[PACKET_MAX];
    snprintf(all, sizeof all, "G%s", ask("g"));
    ck_assert_str_eq(ask(all), "OK");
    ck_assert_str_eq(ask("G0102"), "E16");
    ck_assert_str_eq(ask("M25ffe,4:01020304"), "OK"); /* over a page's end */
    ck_assert_str_eq(ask("m25ffe,4"), "01020304");
    ck_assert_str_eq(ask("X25ffe,2:ab"), "OK");
    ck_assert_str_eq(ask("m25ffe,4"), "61620304");
    ck_assert_str_eq(ask("M25000,4:01"), "E16");
    ck_assert_str_eq(ask("mffffffffffff0000,4"), "E0e");
    ck_assert_str_eq(ask("M1fffff,2:0102"), "E0e"); /* RAM ends in the middle */
    ck_assert_str_eq(ask("Qqemu.PhyMemMode:1"), "OK");
    ck_assert_str_eq(ask("qqemu.PhyMemMode"), "1");
    ck_assert_str_eq(ask("m25ffe,2"), "6162");
    ask("qRcmd,70687973206f6666"); /* phys off */
    ck_assert_str_eq(ask("qqemu.PhyMemMode"), "0");
}
END_TEST

START_TEST(stub_code_written_by_the_debugger_runs)
{
    ck_assert_str_eq(ask("Z0,24018,1"), "OK");
    say("c");
    ck_assert_uint_eq(rax(), 4);
    ck_assert_str_eq(ask("M24004,2:9090"), "OK"); /* it is in a decoded block by now */
    ck_assert_str_eq(ask("P10=0040020000000000"), "OK");
    say("c");
    ck_assert_uint_eq(rax(), 3);
}
END_TEST

START_TEST(stub_refuses_points_that_make_no_sense_or_are_too_many)
{
    char text[32];
    ck_assert_str_eq(ask("Z9,1,1"), "E16");
    ck_assert_str_eq(ask("Z0"), "E16");
    ck_assert_str_eq(ask("Z2,1,0"), "E16");
    ck_assert_str_eq(ask("Z2,ffffffffffffffff,8"), "E16");
    ck_assert_str_eq(ask("Z2,0,ffffffffffffffff"), "E16");
    for (unsigned n = 0; n < DEBUG_POINTS_MAX; n++) {
        snprintf(text, sizeof text, "Z0,%x,1", 0x1000 + n);
        ck_assert_str_eq(ask(text), "OK");
    }
    ck_assert_str_eq(ask("Z0,5,1"), "E1c");
    ck_assert_str_eq(ask("Z0,1000,1"), "OK"); /* is there already */
}
END_TEST

START_TEST(stub_detach_and_disconnect_leave_no_breakpoints)
{
    ck_assert_str_eq(ask("Z0,24006,1"), "OK");
    ck_assert_str_eq(ask("D"), "OK");
    ck_assert(left && rig.done);
    ck_assert_uint_eq(stub.plan.npoints, 0);
    ck_assert(!killed);
}
END_TEST

START_TEST(stub_disconnect_while_running_takes_the_plan_away)
{
    runs = 0;
    ck_assert_str_eq(ask("Z0,24006,1"), "OK");
    say("c");
    ck_assert_ptr_nonnull(rig.accel.debug);
    stub_disconnect(&stub);
    ck_assert_ptr_null(rig.accel.debug);
    ck_assert_uint_eq(stub.plan.npoints, 0);
}
END_TEST

START_TEST(stub_interrupt_stops_only_what_runs)
{
    runs = 0;
    ck_assert_str_eq(ask("?"), "T05thread:1;");
    nsaid = 0;
    stub_feed(&stub, (const uint8_t *)"\x03", 1);
    ck_assert_uint_eq(nsaid, 0);
    say("c");
    nsaid = 0;
    stub_feed(&stub, (const uint8_t *)"\x03", 1);
    ck_assert_str_eq(said, "$T02thread:1;#d4");
    say("c");
    nsaid = 0;
    stub_ended(&stub, 33);
    ck_assert_str_eq(said, "$W21#ba");
}
END_TEST

START_TEST(stub_note_is_for_who_waits)
{
    runs = 0;
    stub_note(&stub, "x");
    ck_assert_uint_eq(nsaid, 0);
    say("c");
    nsaid = 0;
    stub_note(&stub, "a\n");
    ck_assert_str_eq(said, "$O610a#47");
    nsaid = 0;
    stub_feed(&stub, (const uint8_t *)"\x03", 1);
    nsaid = 0;
    stub_note(&stub, "x");
    ck_assert_uint_eq(nsaid, 0);
}
END_TEST

START_TEST(stub_kill_asks_for_the_end)
{
    say("k");
    ck_assert(killed && left);
}
END_TEST

START_TEST(stub_survives_any_bytes)
{
    gdb_chaos_many(3000, 20240601);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gdb");
    TCase *packets = tcase_create("packets"), *talks = tcase_create("talks");
    tcase_add_test(packets, packet_takes_body_with_right_checksum);
    tcase_add_test(packets, packet_unescapes_and_begins_anew_at_dollar);
    tcase_add_test(packets, packet_hears_interrupt_and_acks_only_between_packets);
    tcase_add_test(packets, packet_too_long_is_bad_and_the_next_one_is_not);
    tcase_add_test(packets, packet_out_is_read_back_by_packet_in);
    tcase_add_test(packets, registers_come_back_as_they_were_put);
    tcase_add_test(packets, registers_selectors_are_seen_but_not_set);
    tcase_add_test(packets, registers_description_names_each_once);
    tcase_add_test(packets, stub_survives_any_bytes);
    tcase_add_checked_fixture(talks, start, end);
    tcase_add_test(talks, stub_answers_what_gdb_asks_first);
    tcase_add_test(talks, stub_acknowledges_until_told_not_to);
    tcase_add_test(talks, stub_breakpoint_stops_before_its_instruction_in_the_middle_of_a_block);
    tcase_add_test(talks, stub_steps_one_instruction);
    tcase_add_test(talks, stub_watchpoint_stops_behind_the_access);
    tcase_add_test(talks, stub_watchpoint_of_reads_does_not_see_writes);
    tcase_add_test(talks, stub_registers_and_memory_are_written);
    tcase_add_test(talks, stub_code_written_by_the_debugger_runs);
    tcase_add_test(talks, stub_refuses_points_that_make_no_sense_or_are_too_many);
    tcase_add_test(talks, stub_detach_and_disconnect_leave_no_breakpoints);
    tcase_add_test(talks, stub_disconnect_while_running_takes_the_plan_away);
    tcase_add_test(talks, stub_interrupt_stops_only_what_runs);
    tcase_add_test(talks, stub_note_is_for_who_waits);
    tcase_add_test(talks, stub_kill_asks_for_the_end);
    suite_add_tcase(suite, packets);
    suite_add_tcase(suite, talks);
    return suite_run(suite);
}
