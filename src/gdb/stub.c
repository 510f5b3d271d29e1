// SPDX-License-Identifier: MIT
//
// The stub: one table of commands, registers and threads; see stub.h. A packet that is not in the
// table gets the empty answer, which means "not supported". Left out: non-stop mode, extended mode,
// file transfer, reverse execution.
#include "src/gdb/stub.h"

#include <stdio.h>
#include <string.h>

#include "src/gdb/regs.h"
#include "util.h"

#define SIGNAL_TRAP 5

void stub_ok(struct stub *s)
{
    packet_text(&s->out, "OK");
}

void stub_error(struct stub *s, unsigned number)
{
    packet_print(&s->out, "E%02x", number & 0xff);
}

bool stub_state(struct stub *s, unsigned vcpu, struct cpu_state *cpu)
{
    struct err err = {0};
    return !s->accel->ops->get_state(&s->accel->vcpus[vcpu], cpu, &err);
}

bool stub_parse_thread(const struct stub *s, const char **p, int *vcpu)
{
    uint64_t id;
    if ((*p)[0] == '-' && (*p)[1] == '1') {
        *p += 2;
        *vcpu = -1;
        return true;
    }
    if (!packet_number(p, &id) || id > s->accel->nvcpus)
        return false;
    *vcpu = id ? (int)id - 1 : 0;
    return true;
}

/* --- registers --- */

static void put_state(struct stub *s, const struct cpu_state *cpu)
{
    struct err err = {0};
    if (s->accel->ops->set_state(&s->accel->vcpus[s->thread], cpu, &err))
        stub_error(s, 22);
    else
        stub_ok(s);
}

static void read_registers(struct stub *s, const char *args, size_t len)
{
    struct cpu_state cpu;
    uint8_t buf[REG_BYTES_MAX];
    (void)args, (void)len;
    if (!stub_state(s, s->thread, &cpu)) {
        stub_error(s, 5);
        return;
    }
    for (unsigned n = 0, count = regs_count(); n < count; n++)
        packet_hex(&s->out, buf, regs_get(&cpu, n, buf));
}

/* What cannot be set (selectors) stays, as gdb writes all to set one. */
static void write_registers(struct stub *s, const char *args, size_t len)
{
    struct cpu_state cpu;
    uint8_t buf[REG_BYTES_MAX];
    bool ok = stub_state(s, s->thread, &cpu);
    for (unsigned n = 0, count = regs_count(); n < count && ok && len; n++) {
        unsigned size = regs_size(n);
        ok = len >= 2 * size && packet_unhex(args, buf, size);
        if (!ok)
            break;
        regs_put(&cpu, n, buf);
        args += 2 * size;
        len -= 2 * size;
    }
    if (ok)
        put_state(s, &cpu);
    else
        stub_error(s, 22);
}

static void read_register(struct stub *s, const char *args, size_t len)
{
    struct cpu_state cpu;
    uint8_t buf[REG_BYTES_MAX];
    uint64_t n;
    (void)len;
    if (packet_number(&args, &n) && n < regs_count() && stub_state(s, s->thread, &cpu))
        packet_hex(&s->out, buf, regs_get(&cpu, (unsigned)n, buf));
    else
        stub_error(s, 22);
}

static void write_register(struct stub *s, const char *args, size_t len)
{
    struct cpu_state cpu;
    uint8_t buf[REG_BYTES_MAX];
    uint64_t n;
    (void)len;
    bool ok = packet_number(&args, &n) && n < regs_count() && *args == '=' &&
              packet_unhex(args + 1, buf, regs_size((unsigned)n)) &&
              stub_state(s, s->thread, &cpu) && regs_put(&cpu, (unsigned)n, buf);
    if (ok)
        put_state(s, &cpu);
    else
        stub_error(s, 22);
}

/* --- threads and the rest --- */

static void set_thread(struct stub *s, const char *args, size_t len)
{
    int vcpu;
    (void)len;
    const char *p = args + 1;
    if ((*args != 'g' && *args != 'c') || !stub_parse_thread(s, &p, &vcpu)) {
        stub_error(s, 22);
        return;
    }
    if (*args == 'c')
        s->step_thread = vcpu;
    else
        s->thread = vcpu < 0 ? 0 : (unsigned)vcpu;
    stub_ok(s);
}

static void is_alive(struct stub *s, const char *args, size_t len)
{
    int vcpu;
    (void)len;
    if (stub_parse_thread(s, &args, &vcpu))
        stub_ok(s);
    else
        stub_error(s, 3);
}

static void why_stopped(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    packet_text(&s->out, s->stop);
}

static void detach(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    stub_ok(s);
    s->attached = false;
    stub_let_go(s);
}

static void kill_machine(struct stub *s, const char *args, size_t len)
{
    (void)args, (void)len;
    stub_ok(s);
    s->host->kill(s->opaque);
    detach(s, "", 0);
}

static const struct command {
    const char *name;
    stub_command *run;
    bool silent; /* answers later, or never */
} commands[] = {
    {"?", why_stopped, false},
    {"g", read_registers, false},
    {"G", write_registers, false},
    {"p", read_register, false},
    {"P", write_register, false},
    {"m", stub_read_memory, false},
    {"M", stub_write_memory, false},
    {"X", stub_write_binary, false},
    {"Z", stub_add_point, false},
    {"z", stub_remove_point, false},
    {"c", stub_continue, true},
    {"C", stub_continue, true},
    {"s", stub_step, true},
    {"S", stub_step, true},
    {"vCont?", NULL, false},
    {"vCont", stub_vcont, true},
    {"vKill", kill_machine, false},
    {"H", set_thread, false},
    {"T", is_alive, false},
    {"D", detach, false},
    {"k", kill_machine, true},
    {"q", stub_query, false},
    {"Q", stub_set, false},
};

static const struct command *find_command(const char *body)
{
    for (size_t n = 0; n < ARRAY_LEN(commands); n++) {
        if (!strncmp(body, commands[n].name, strlen(commands[n].name)))
            return &commands[n];
    }
    return NULL;
}

void stub_begin(struct stub *s)
{
    packet_begin(&s->out);
    s->sent = false;
}

void stub_send(struct stub *s)
{
    packet_end(&s->out);
    s->sent = true;
    s->host->send(s->opaque, s->out.bytes, s->out.len);
}

static void say(struct stub *s, const char *text)
{
    stub_begin(s);
    packet_text(&s->out, text);
    stub_send(s);
}

/* The first thing a client says stops the machine. */
static void attach(struct stub *s)
{
    if (s->attached)
        return;
    s->attached = true;
    s->host->halt(s->opaque);
    s->running = false;
    snprintf(s->stop, sizeof s->stop, "T%02xthread:1;", SIGNAL_TRAP);
}

static void run_command(struct stub *s, const char *body, size_t len)
{
    const struct command *c = find_command(body);
    if (c && !strcmp(c->name, "vCont?")) {
        say(s, "vCont;c;C;s;S");
        return;
    }
    stub_begin(s);
    if (c)
        c->run(s, body + strlen(c->name), len - strlen(c->name));
    if (!c || !c->silent)
        stub_send(s);
    if (!s->attached)
        s->host->leave(s->opaque);
}

/* While the guest runs only the end is heard, as gdb says nothing else then. */
static void take_packet(struct stub *s)
{
    const char *body = (const char *)s->in.body;
    bool ends = *body == 'k' || *body == 'D' || !strncmp(body, "vKill", 5);
    if (!s->no_ack)
        s->host->send(s->opaque, "+", 1);
    attach(s);
    if (s->running && !ends)
        return;
    if (s->running)
        s->host->halt(s->opaque);
    s->running = false;
    run_command(s, body, s->in.len);
}

static void interrupt(struct stub *s)
{
    if (!s->attached || !s->running)
        return;
    s->host->halt(s->opaque);
    stub_stopped(s, NULL);
}

void stub_feed(struct stub *s, const uint8_t *bytes, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        switch (packet_feed(&s->in, bytes[n])) {
        case PACKET_READY:
            take_packet(s);
            break;
        case PACKET_BAD:
            if (!s->no_ack)
                s->host->send(s->opaque, "-", 1);
            break;
        case PACKET_NAK:
            if (!s->no_ack && s->sent)
                s->host->send(s->opaque, s->out.bytes, s->out.len);
            break;
        case PACKET_INTERRUPT:
            interrupt(s);
            break;
        default:
            break;
        }
    }
}

/* --- what happens to the machine --- */

static const char *const watch_words[] = {
    [DEBUG_WRITE] = "watch", [DEBUG_READ] = "rwatch", [DEBUG_ACCESS] = "awatch"};

static void describe_stop(struct stub *s, const struct vm_exit *exit)
{
    const struct debug_point *p = &exit->debug.point;
    unsigned id = exit->debug.vcpu->id + 1;
    size_t n = (size_t)snprintf(s->stop, sizeof s->stop, "T%02xthread:%x;", SIGNAL_TRAP, id);
    if (exit->debug.stepped)
        return;
    if (p->kind == DEBUG_BREAK)
        snprintf(s->stop + n, sizeof s->stop - n, "swbreak:;");
    else if (p->kind == DEBUG_BREAK_HARD)
        snprintf(s->stop + n, sizeof s->stop - n, "hwbreak:;");
    else
        snprintf(s->stop + n, sizeof s->stop - n, "%s:%llx;", watch_words[p->kind],
                 (unsigned long long)p->address);
}

static void drop_plan(struct stub *s)
{
    struct err err = {0};
    for (unsigned n = 0; n < s->accel->nvcpus; n++)
        s->accel->vcpus[n].debug_run = DEBUG_GO;
    if (s->accel->debug)
        s->accel->ops->set_debug(s->accel, NULL, &err);
}

void stub_stopped(struct stub *s, const struct vm_exit *exit)
{
    drop_plan(s);
    if (!s->attached || !s->running)
        return;
    s->running = false;
    if (exit) {
        describe_stop(s, exit);
        s->thread = exit->debug.vcpu->id;
    } else {
        snprintf(s->stop, sizeof s->stop, "T02thread:%x;", s->thread + 1);
    }
    say(s, s->stop);
}

void stub_note(struct stub *s, const char *text)
{
    if (!s->attached || !s->running)
        return;
    stub_begin(s);
    packet_text(&s->out, "O");
    packet_hex(&s->out, text, strlen(text));
    stub_send(s);
}

void stub_let_go(struct stub *s)
{
    s->plan.npoints = 0;
    s->running = true;
    drop_plan(s);
    s->host->resume(s->opaque);
}

void stub_restarted(struct stub *s)
{
    struct err err = {0};
    if (!s->running || !s->accel->debug)
        return;
    stub_locate_points(s);
    s->accel->ops->set_debug(s->accel, &s->plan, &err);
}

void stub_ended(struct stub *s, unsigned status)
{
    char text[8];
    if (!s->attached || !s->running)
        return;
    snprintf(text, sizeof text, "W%02x", status & 0xff);
    say(s, text);
}

void stub_init(struct stub *s, struct accel *a, const struct stub_host *host, void *opaque)
{
    *s = (struct stub){
        .accel = a, .host = host, .opaque = opaque, .step_thread = -1, .running = true};
}

void stub_connect(struct stub *s)
{
    stub_init(s, s->accel, s->host, s->opaque);
}

void stub_disconnect(struct stub *s)
{
    if (!s->attached)
        return;
    s->attached = false;
    if (s->running && s->accel->debug)
        s->host->halt(s->opaque);
    stub_let_go(s);
}
