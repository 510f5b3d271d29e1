// SPDX-License-Identifier: MIT
//
// See monitor_chaos.h. The terminal is a socket, so that nothing depends on when a real one's bytes arrive; fake_terminal.h calls it one.
#include "tests/lib/monitor_chaos.h"

#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chr.h"
#include "src/control/server.h"
#include "src/control/terminal.h"
#include "tests/lib/control_rig.h"

#define ESCAPE 0x01
#define BREAK 0x100 /* among what the guest gets */
#define TYPED_MAX 4096

static struct control_rig rig;
static struct terminal_monitor *terminal;
static struct chr *chr;
static int keys, screen; /* our ends of the terminal */
static struct monitor_chaos_reach reach;
static char said[1 << 20];
static size_t nsaid;

/* --- the guest's end --- */

static unsigned got[TYPED_MAX + 64];
static unsigned ngot;

static void guest_gets(unsigned what)
{
    ck_assert_uint_lt(ngot, sizeof got / sizeof got[0]);
    got[ngot++] = what;
}

static void break_seen(void *self)
{
    (void)self;
    guest_gets(BREAK);
}

static void nothing(void *self)
{
    (void)self;
}

static void guest_reads(void *self)
{
    uint8_t bytes[256];
    (void)self;
    for (size_t n; (n = chr_read(chr, bytes, sizeof bytes)) > 0;) {
        for (size_t i = 0; i < n; i++)
            guest_gets(bytes[i]);
    }
}

/* --- what should be --- */

static struct {
    bool escaped, monitor;
    unsigned guest[TYPED_MAX + 64];
    unsigned nguest;
    unsigned prompts;
    bool quit;
} model;

static void model_byte(unsigned what)
{
    if (!model.monitor || what == BREAK)
        model.guest[model.nguest++] = what;
    else if (what == '\r' || what == '\n')
        model.prompts++;
}

static void model_command(uint8_t key)
{
    if (key == 'c') {
        model.monitor = !model.monitor;
        model.prompts += model.monitor;
        reach.turns++;
    } else if (key == 'b') {
        model_byte(BREAK);
    } else if (key == 'a' || key == ESCAPE) {
        model_byte(ESCAPE);
    } else if (key == 'x') {
        model.quit = true;
    }
}

static void model_key(uint8_t key)
{
    if (model.escaped)
        model_command(key);
    else if (key != ESCAPE)
        model_byte(key);
    model.escaped = !model.escaped && key == ESCAPE;
}

/* --- the terminal --- */

static void hear(int fd)
{
    for (ssize_t n; (n = recv(fd, said + nsaid, sizeof said - 1 - nsaid, MSG_DONTWAIT)) > 0;) {
        nsaid += (size_t)n;
        ck_assert_uint_lt(nsaid, sizeof said - 1);
    }
    said[nsaid] = '\0';
}

static unsigned prompts_said(void)
{
    unsigned n = 0;
    for (const char *p = said; (p = strstr(p, MONITOR_PROMPT)); p++)
        n++;
    return n;
}

static void press(const uint8_t *bytes, size_t n)
{
    if (!n)
        return;
    ck_assert_int_eq(send(keys, bytes, n, 0), (ssize_t)n);
    for (unsigned i = 0; i < 4; i++) {
        control_rig_pump(&rig); /* up to 8 breaks; a part has up to 32 */
        hear(screen);
    }
}

static void type(const uint8_t *bytes, size_t n)
{
    uint8_t typed[TYPED_MAX];
    n = n < sizeof typed ? n : sizeof typed;
    for (size_t i = 0; i < n; i++) {
        bool help = model.escaped && (bytes[i] == 'h' || bytes[i] == '?'); /* would print on standard error */
        typed[i] = help ? 'z' : bytes[i];
        model_key(typed[i]);
    }
    for (size_t done = 0, part; done < n; done += part) {
        part = 1 + typed[done] % 64u;
        part = part < n - done ? part : n - done;
        press(typed + done, part);
    }
}

/* As at the beginning: the guest has the keys. */
static void hand_back(void)
{
    static const uint8_t keys_back[] = {ESCAPE, 'z', ESCAPE, 'c'};
    size_t skip = model.escaped ? 1 : 0;
    press(keys_back + skip, (model.monitor ? 4 : 2) - skip);
    model.escaped = model.monitor = false;
    ngot = model.nguest = model.prompts = 0;
    model.quit = false;
    nsaid = 0;
}

static void on_terminal(const uint8_t *bytes, size_t n)
{
    hand_back();
    type(bytes, n);
    ck_assert_uint_eq(ngot, model.nguest);
    for (unsigned i = 0; i < ngot; i++) {
        ck_assert_uint_eq(got[i], model.guest[i]);
        reach.breaks += got[i] == BREAK;
    }
    ck_assert_uint_ge(prompts_said(), model.prompts);
    unsigned stop = atomic_load(&rig.vm.stop);
    ck_assert(!model.quit || stop);
    ck_assert(!stop || model.quit || model.prompts);
    reach.quits += model.quit;
    reach.to_guest += ngot;
    reach.lines += model.prompts;
}

/* --- the socket --- */

static void on_socket(const uint8_t *bytes, size_t n, bool reads)
{
    struct client *client = &rig.vm.control->listeners[1].clients[0];
    int fd = control_rig_connect(rig.monitor_path);
    unsigned lines = 0;
    nsaid = 0;
    ck_assert_int_ge(fd, 0);
    control_rig_pump(&rig);
    for (size_t done = 0, part; done < n; done += part) {
        part = 1 + bytes[done] % 128u;
        part = part < n - done ? part : n - done;
        if (send(fd, bytes + done, part, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)part)
            break;
        control_rig_pump(&rig);
        if (reads)
            hear(fd);
        for (size_t i = done; i < done + part; i++)
            lines += bytes[i] == '\n';
        ck_assert_uint_lt(client->out_len, CLIENT_OUT_HIGH + CLIENT_READ * (MONITOR_TEXT + 64));
        reach.unread += client->out_len > 0;
    }
    shutdown(fd, SHUT_WR);
    for (unsigned i = 0; i < 16; i++) {
        control_rig_pump(&rig);
        hear(fd);
    }
    ck_assert_uint_ge(prompts_said(), lines + 1);
    ck_assert_ptr_null(client->listener);
    reach.lines += lines;
    close(fd);
}

/* --- all --- */

void monitor_chaos_init(void)
{
    struct err err = {{0}};
    int in[2], out[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, in), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
    ck_assert_int_ge(dup2(in[1], STDIN_FILENO), 0);
    ck_assert_int_ge(dup2(out[1], STDOUT_FILENO), 0);
    close(in[1]);
    close(out[1]);
    keys = in[0];
    screen = out[0];
    control_rig_open(&rig);
    ck_assert_msg(!terminal_open(&rig.vm, &terminal, &err), "%s", err.msg);
    const struct chr_env env = {&rig.vm.loop, &rig.vm.events, vm_stop_sink(&rig.vm), false};
    chr = chr_open("stdio", &env, &err);
    ck_assert_msg(chr, "%s", err.msg);
    chr->client = (struct chr_client){.readable = guest_reads, .writable = nothing, .break_seen = break_seen};
}

void monitor_chaos_run(const uint8_t *data, size_t size)
{
    if (!size)
        return;
    if (data[0] % 4)
        on_terminal(data + 1, size - 1);
    else
        on_socket(data + 1, size - 1, data[0] % 8);
    vm_resume(&rig.vm, BRAKE_CONTROL);
    control_rig_pump(&rig);
    atomic_store(&rig.vm.stop, 0);
}

void monitor_chaos_fini(void)
{
    terminal_close(terminal);
    chr_close(chr);
    control_rig_close(&rig);
    close(keys);
    close(screen);
}

struct monitor_chaos_reach monitor_chaos_reach(void)
{
    return reach;
}
