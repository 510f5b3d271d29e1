// SPDX-License-Identifier: MIT
//
// The stub's q and Q packets: what it can do, threads, the register description, the monitor
// command. Physical memory mode goes by the packets that QEMU's stub has, and as `monitor phys on`.
#include <stdio.h>
#include <string.h>

#include "src/gdb/regs.h"
#include "src/gdb/stub.h"
#include "util.h"

static void supported(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_print(
        &s->out,
        "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+",
        PACKET_MAX - 16);
}

/* "annex:offset,length" */
static void description(struct stub *s, const char *args, size_t len)
{
    static const char annex[] = "target.xml:";
    uint64_t offset, want;
    size_t total;
    (void)len;
    const char *text = regs_description(&total);
    if (strncmp(args, annex, sizeof annex - 1)) {
        stub_error(s, 0);
        return;
    }
    args += sizeof annex - 1;
    if (!packet_number(&args, &offset) || *args++ != ',' || !packet_number(&args, &want) ||
        offset > total) {
        stub_error(s, 22);
        return;
    }
    size_t n = total - (size_t)offset;
    n = want < n ? (size_t)want : n;
    n = n < PACKET_MAX / 2 - 16 ? n : PACKET_MAX / 2 - 16; /* each byte may need two */
    packet_text(&s->out, offset + n < total ? "m" : "l");
    for (size_t i = 0; i < n; i++)
        packet_byte(&s->out, (uint8_t)text[offset + i]);
}

static void threads(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    for (unsigned n = 0; n < s->accel->nvcpus; n++)
        packet_print(&s->out, "%s%x", n ? "," : "m", n + 1);
}

static void no_more_threads(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_text(&s->out, "l");
}

static void thread_info(struct stub *s, const char *args, size_t len)
{
    static const char *const words[] = {
        [CPU_RUNNING] = "running", [CPU_HALTED] = "halted", [CPU_WAIT_FOR_SIPI] = "not started"};
    struct cpu_state cpu;
    char text[32];
    int vcpu;
    (void)len;
    if (!stub_parse_thread(s, &args, &vcpu) || vcpu < 0 || !stub_state(s, (unsigned)vcpu, &cpu)) {
        stub_error(s, 22);
        return;
    }
    int n = snprintf(text, sizeof text, "CPU %d, %s", vcpu, words[cpu.run]);
    packet_hex(&s->out, text, (size_t)n);
}

static void current_thread(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_print(&s->out, "QC%x", s->thread + 1);
}

static void attached(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_text(&s->out, "1");
}

static void physical_mode(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_text(&s->out, s->physical ? "1" : "0");
}

static void ok(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    stub_ok(s);
}

/* --- `monitor` --- */

static void monitor(struct stub *s, const char *args, size_t len)
{
    static const char help[] = "phys on|off: addresses of memory are physical, or linear as the "
                               "guest's programs use them\n";
    char line[64] = "";
    if (len / 2 >= sizeof line || len % 2 || !packet_unhex(args, line, len / 2)) {
        stub_error(s, 22);
        return;
    }
    const char *said = help;
    if (!strcmp(line, "phys on") || !strcmp(line, "phys off")) {
        s->physical = line[6] == 'n';
        said = s->physical ? "addresses are physical\n" : "addresses are linear\n";
    }
    packet_hex(&s->out, said, strlen(said));
}

struct query {
    const char *name;
    stub_command *run;
};

static void dispatch(struct stub *s, const struct query *rows, size_t nrows, const char *args,
                     size_t len)
{
    for (size_t n = 0; n < nrows; n++) {
        size_t name = strlen(rows[n].name);
        if (!strncmp(args, rows[n].name, name)) {
            rows[n].run(s, args + name, len - name);
            return;
        }
    }
}

void stub_query(struct stub *s, const char *args, size_t len)
{
    static const struct query rows[] = {
        {"Supported", supported}, {"Xfer:features:read:", description}, {"fThreadInfo", threads},
        {"sThreadInfo", no_more_threads}, {"ThreadExtraInfo,", thread_info}, {"Attached", attached},
        {"qemu.PhyMemMode", physical_mode}, {"Symbol:", ok}, {"Rcmd,", monitor},
    };
    if (!strcmp(args, "C"))
        current_thread(s, args, len);
    else
        dispatch(s, rows, ARRAY_LEN(rows), args, len);
}

static void stop_acks(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    s->no_ack = true; /* this packet's own acknowledgement has been sent */
    stub_ok(s);
}

static void set_physical(struct stub *s, const char *args, size_t len)
{
    (void)len;
    if (strcmp(args, "0") && strcmp(args, "1")) {
        stub_error(s, 22);
        return;
    }
    s->physical = *args == '1';
    stub_ok(s);
}

void stub_set(struct stub *s, const char *args, size_t len)
{
    static const struct query rows[] = {{"StartNoAckMode", stop_acks},
                                        {"qemu.PhyMemMode:", set_physical}};
    dispatch(s, rows, ARRAY_LEN(rows), args, len);
}
