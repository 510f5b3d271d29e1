// SPDX-License-Identifier: MIT
//
// See gdb_chaos.h. Input: packets between newlines; a line that begins with '!' goes to the stub without a frame, one with '#' in front tells it
// something of the machine instead.
#include "tests/lib/gdb_chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/interp/interp.h"
#include "src/gdb/regs.h"
#include "src/gdb/stub.h"
#include "tests/lib/accel_rig.h"
#include "util.h"

static struct accel_rig rig;
static struct stub stub;
static unsigned runs;

static void broken(const char *what)
{
    fprintf(stderr, "gdb stub: %s\n", what);
    abort();
}

/* Everything it sends is an acknowledgement or one well-formed packet. */
static void on_send(void *opaque, const void *bytes, size_t len)
{
    static struct packet_in in;
    const uint8_t *p = bytes;
    (void)opaque;
    if (len == 1 && (*p == '+' || *p == '-'))
        return;
    in = (struct packet_in){0};
    for (size_t n = 0; n < len; n++) {
        enum packet_event event = packet_feed(&in, p[n]);
        if (event != (n + 1 < len ? PACKET_NONE : PACKET_READY))
            broken("it sent what is no packet");
    }
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static void on_resume(void *opaque)
{
    struct vm_exit exit = {.kind = EXIT_INTR};
    (void)opaque;
    if (runs % 2)
        stub_note(&stub, "a note\n");
    if (!runs)
        return;
    runs--;
    rig.accel.ops->kick(&rig.vcpu); /* takes it back after one turn at most */
    rig.accel.ops->run(&rig.vcpu, &exit);
    if (rig.vcpu.debug_run == DEBUG_STEP && exit.kind == EXIT_INTR)
        rig.accel.ops->run(&rig.vcpu, &exit);
    if (exit.kind == EXIT_DEBUG)
        stub_stopped(&stub, &exit);
}

static const struct stub_host host = {on_send, nothing, on_resume, nothing, nothing};

static void machine_event(uint8_t which)
{
    if (which % 4 < 2)
        stub_disconnect(&stub);
    if (which % 4 == 1)
        stub_connect(&stub);
    else if (which % 4 == 2)
        stub_restarted(&stub);
    else
        stub_ended(&stub, which);
}

static void say(const uint8_t *body, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;
    if (len && *body == '!') {
        stub_feed(&stub, body + 1, len - 1);
        return;
    }
    if (len > 1 && *body == '#') {
        machine_event(body[1]);
        return;
    }
    stub_feed(&stub, (const uint8_t *)"$", 1);
    for (size_t n = 0; n < len; n++) {
        if (body[n] == '#' || body[n] == '$')
            continue;
        sum = (uint8_t)(sum + body[n]);
        stub_feed(&stub, &body[n], 1);
    }
    const uint8_t tail[] = {'#', (uint8_t)digits[sum >> 4], (uint8_t)digits[sum & 15]};
    stub_feed(&stub, tail, sizeof tail);
}

static void check(void)
{
    if (stub.plan.npoints > DEBUG_POINTS_MAX || stub.thread >= rig.accel.nvcpus)
        broken("its own state makes no sense");
    if (!stub.running && rig.accel.debug)
        broken("breakpoints are in a guest that is stopped");
    if (!stub.attached && stub.plan.npoints)
        broken("breakpoints stayed behind");
}

static void open_once(void)
{
    static const uint8_t loop[] = {0xff, 0xc0, 0xa3, 0, 0x50, 2, 0, 0, 0, 0, 0, 0xeb, 0xf3};
    static bool opened;
    struct err err = {0};
    struct cpu_state cpu;
    if (!opened && accel_rig_open(&rig, &interp_accel, &err))
        broken(err.msg);
    opened = true;
    accel_rig_load_after(&rig, loop, sizeof loop, &cpu);
    rig.accel.ops->set_debug(&rig.accel, NULL, &err);
    rig.vcpu.debug_run = DEBUG_GO;
    if (rig.accel.ops->set_state(&rig.vcpu, &cpu, &err))
        broken(err.msg);
    stub_init(&stub, &rig.accel, &host, NULL);
    runs = 8;
}

void gdb_chaos_run(const uint8_t *data, size_t size)
{
    open_once();
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        say(data, len);
        check();
        data += len;
        size -= len;
        if (size) {
            data++;
            size--;
        }
    }
}

static uint64_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A word of a client's, perhaps with a byte changed. */
static size_t add_word(uint8_t *to, size_t room, uint64_t *state)
{
    static const char *const words[] = {
        "qSupported:x", "?", "g", "G00", "p", "P0=", "m24000,10", "M24000,2:0102", "X24000,1:a", "Z0,24000,1", "Z2,25000,4",
        "z0,24000,1", "Z4,", "c", "s", "vCont;c", "vCont;s:1;c", "vCont;C05:-1", "D", "k", "H", "Hg0", "Hc-1", "T1", "qC", "24000",
        "qXfer:features:read:target.xml:0,ffb", "qRcmd,70687973206f6e", "Qqemu.PhyMemMode:1", "QStartNoAckMode", "!\3", "!-", "!$",
        "#0", "#1", "#2", "#3", "\n", ",", ":", ";", "=", "}", "ffffffffffffffff", "-1", "*", "!$a#", "qThreadExtraInfo,1", "vKill;1"};
    const char *word = words[random_word(state) % ARRAY_LEN(words)];
    size_t len = strlen(word);
    if (len + 1 > room)
        return 0;
    memcpy(to, word, len);
    if (random_word(state) % 8 == 0)
        to[random_word(state) % len] = (uint8_t)random_word(state);
    if (random_word(state) % 2)
        to[len++] = '\n';
    return len;
}

void gdb_chaos_many(unsigned count, uint64_t seed)
{
    uint8_t data[512];
    uint64_t state = seed;
    for (unsigned n = 0; n < count; n++) {
        size_t len = 0, want = random_word(&state) % sizeof data;
        for (size_t more = 1; len < want && more; len += more)
            more = add_word(data + len, sizeof data - len, &state);
        gdb_chaos_run(data, len);
    }
}
