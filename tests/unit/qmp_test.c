// SPDX-License-Identifier: MIT
//
// Control sockets from a client's side: the protocol, its bounds, clients that misbehave, events, the monitor.
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/pm.h"
#include "layout.h"
#include "src/control/server.h"
#include "tests/lib/control_rig.h"
#include "tests/lib/suite.h"

#define NEGOTIATE "{\"execute\":\"qmp_capabilities\"}\n"
#define STATUS "{\"execute\":\"query-status\"}\n"
#define NOT_FOUND "\"class\": \"CommandNotFound\""
#define GENERIC "\"class\": \"GenericError\""
#define PWRBTN 0x100

static struct control_rig rig;

static void setup(void)
{
    control_rig_open(&rig);
}

static void teardown(void)
{
    control_rig_close(&rig);
}

static const char *ask(int fd, const char *text)
{
    return control_rig_ask(&rig, fd, text);
}

static const char *more(int fd)
{
    return control_rig_ask(&rig, fd, "");
}

#define expect(text, part)                                                                         \
    do {                                                                                           \
        const char *got = (text);                                                                  \
        ck_assert_msg(strstr(got, part) != NULL, "'%s' has no '%s'", got, part);                   \
    } while (0)

static int come(void)
{
    int fd = control_rig_connect(rig.qmp_path);
    ck_assert_int_ge(fd, 0);
    expect(more(fd), "\"QMP\"");
    return fd;
}

static int come_negotiated(void)
{
    int fd = come();
    ck_assert_str_eq(ask(fd, NEGOTIATE), "{\"return\": {}}");
    return fd;
}

static bool is_gone(int fd)
{
    char c;
    control_rig_pump(&rig);
    return recv(fd, &c, 1, 0) == 0;
}

static struct client *place(unsigned n)
{
    return &rig.vm.control->listeners[0].clients[n];
}

/* --- protocol --- */

START_TEST(qmp_greets_with_version_and_capabilities)
{
    int fd = control_rig_connect(rig.qmp_path);
    json_t *hello = json_loads(more(fd), 0, NULL);
    const char *package;
    int major, minor, micro;
    json_t *caps;
    ck_assert_int_eq(json_unpack(hello, "{s:{s:{s:{s:i,s:i,s:i},s:s},s:o}}", "QMP", "version", "qemu", "major", &major,
                                 "minor", &minor, "micro", &micro, "package", &package, "capabilities", &caps),
                     0);
    ck_assert(json_is_array(caps) && !json_array_size(caps));
    json_decref(hello);
    close(fd);
}
END_TEST

START_TEST(qmp_takes_nothing_but_capabilities_first)
{
    int fd = come();
    expect(ask(fd, STATUS), NOT_FOUND);
    expect(ask(fd, "{\"execute\":\"quit\"}"), NOT_FOUND);
    ck_assert_uint_eq(atomic_load(&rig.vm.stop), 0);
    expect(ask(fd, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"), GENERIC);
    expect(ask(fd, STATUS), NOT_FOUND);
    ck_assert_str_eq(ask(fd, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}"), "{\"return\": {}}");
    expect(ask(fd, STATUS), "\"running\": true");
    expect(ask(fd, NEGOTIATE), NOT_FOUND);
    close(fd);
}
END_TEST

START_TEST(qmp_echoes_any_id)
{
    static const char *const ids[] = {"1", "\"a\"", "null", "{\"b\": [1, 2]}", "-1.5", "true"};
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[128], want[64];
        snprintf(want, sizeof want, "\"id\": %s}", ids[i]);
        snprintf(text, sizeof text, "{\"execute\":\"query-status\",\"id\":%s}", ids[i]);
        expect(ask(fd, text), want);
        snprintf(text, sizeof text, "{\"execute\":\"nothing\",\"id\":%s}", ids[i]);
        expect(ask(fd, text), want);
        snprintf(text, sizeof text, "{\"exec\":\"nothing\",\"id\":%s}", ids[i]);
        expect(ask(fd, text), want);
    }
    close(fd);
}
END_TEST

START_TEST(qmp_tells_error_classes_apart)
{
    static const char *const generic[] = {
        "{\"execute\":1}", "{}", "{\"execute\":\"stop\",\"arguments\":[]}", "{\"execute\":\"stop\",\"more\":1}",
        "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}", "{\"execute\":\"human-monitor-command\"}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":7}}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"help\",\"cpu-index\":\"0\"}}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"help\",\"cpu-index\":99}}",
        "{\"execute\":\"stop\",\"execute\":\"cont\"}", "{\"execute\" \"stop\"}", "{\"execute\":\"\xff\"}",
        "{\"execute\":\"\\u0000\"}",
    };
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof generic / sizeof generic[0]; i++)
        expect(ask(fd, generic[i]), GENERIC);
    expect(ask(fd, "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\"}}"), NOT_FOUND);
    expect(ask(fd, "{\"execute\":\"\\u00e4\\u00f6\\u00fc\"}"), NOT_FOUND);
    ck_assert(!rig.vm.brakes);
    close(fd);
}
END_TEST

START_TEST(qmp_lists_and_answers_every_command)
{
    int fd = come_negotiated();
    json_t *list = json_loads(ask(fd, "{\"execute\":\"query-commands\"}"), 0, NULL);
    size_t n = 0;
    for (const struct qmp_command *cmd = qmp_commands; cmd->name; cmd++, n++) {
        const char *name = NULL;
        json_unpack(json_array_get(json_object_get(list, "return"), n), "{s:s}", "name", &name);
        ck_assert_str_eq(name, cmd->name);
        ck_assert(cmd->help && cmd->run);
        if (strncmp(cmd->name, "query-", 6))
            continue;
        char text[96];
        snprintf(text, sizeof text, "{\"execute\":\"%s\"}", cmd->name);
        expect(ask(fd, text), "{\"return\": ");
    }
    ck_assert_uint_eq(n, json_array_size(json_object_get(list, "return")));
    json_decref(list);
    close(fd);
}
END_TEST

/* --- what is no command --- */

START_TEST(qmp_goes_on_after_malformed_input)
{
    static const char *const bad[] = {"nonsense\n", "[]\n", "{\"execute\":}\n", "{\"a\n", "\xff\xfe\n", "}\n", "\"x\"\n"};
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(ask(fd, bad[i]), GENERIC);
        ck_assert_str_eq(more(fd), "");
        expect(ask(fd, STATUS), "\"return\"");
    }
    close(fd);
}
END_TEST

START_TEST(qmp_waits_for_the_rest_of_a_command)
{
    const char *text = "{\"execute\": \"query-status\", \"id\": \"}{\\\"\"}";
    int fd = come_negotiated();
    for (size_t i = 0; text[i]; i++) {
        char one[2] = {text[i], 0};
        const char *said = ask(fd, one);
        if (text[i + 1])
            ck_assert_str_eq(said, "");
        else
            expect(said, "\"running\"");
    }
    expect(ask(fd, STATUS STATUS), "\"running\"");
    expect(more(fd), "\"running\"");
    close(fd);
}
END_TEST

START_TEST(qmp_refuses_what_is_too_long)
{
    static char flood[4 * FRAME_MAX];
    int fd = come_negotiated();
    memset(flood, 'a', sizeof flood);
    memcpy(flood, "{\"execute\":\"", 12);
    for (size_t done = 0; done < sizeof flood;) {
        ssize_t n = send(fd, flood + done, sizeof flood - done, 0);
        done += n > 0 ? (size_t)n : 0;
        control_rig_pump(&rig);
    }
    for (int i = 0; i < 100; i++)
        control_rig_pump(&rig);
    expect(more(fd), "too long");
    ck_assert_str_eq(more(fd), "");
    expect(ask(fd, "\"}\n" STATUS), "\"running\"");
    close(fd);
}
END_TEST

START_TEST(qmp_refuses_what_is_too_deep)
{
    char text[2 * FRAME_DEPTH + 64] = "{\"id\":";
    int fd = come_negotiated();
    memset(text + 6, '[', FRAME_DEPTH);
    strcpy(text + 6 + FRAME_DEPTH, "\n");
    expect(ask(fd, text), "too deep");
    ck_assert_str_eq(more(fd), "");
    memset(text + 6, '[', FRAME_DEPTH - 1);
    memset(text + 5 + FRAME_DEPTH, ']', FRAME_DEPTH - 1);
    strcpy(text + 4 + 2 * FRAME_DEPTH, ",\"execute\":\"stop\"}\n");
    expect(ask(fd, text), "\"event\": \"STOP\"");
    close(fd);
}
END_TEST

/* --- steering --- */

START_TEST(qmp_stop_and_cont_tell_once)
{
    int fd = come_negotiated();
    expect(ask(fd, "{\"execute\":\"stop\"}"), "\"event\": \"STOP\"");
    expect(more(fd), "{\"return\": {}}");
    expect(ask(fd, STATUS), "\"status\": \"paused\"");
    ck_assert_str_eq(ask(fd, "{\"execute\":\"stop\"}"), "{\"return\": {}}");
    ck_assert(rig.vm.brakes && atomic_load(&rig.vm.hold));
    expect(ask(fd, "{\"execute\":\"cont\"}"), "\"event\": \"RESUME\"");
    ck_assert_str_eq(more(fd), "{\"return\": {}}");
    ck_assert_str_eq(ask(fd, "{\"execute\":\"cont\"}"), "{\"return\": {}}");
    ck_assert(!rig.vm.brakes && !atomic_load(&rig.vm.hold));
    ck_assert_str_eq(more(fd), "");
    close(fd);
}
END_TEST

START_TEST(qmp_powerdown_presses_the_button)
{
    int fd = come_negotiated();
    bus_write(&rig.vm.pio, PM_BASE + 2, 2, PWRBTN);
    ck_assert_str_eq(ask(fd, "{\"execute\":\"system_powerdown\"}"), "{\"return\": {}}");
    expect(more(fd), "\"event\": \"POWERDOWN\"");
    ck_assert_uint_eq(bus_read(&rig.vm.pio, PM_BASE, 2), PWRBTN);
    ck_assert_uint_eq(rig.sci, 1);
    close(fd);
}
END_TEST

START_TEST(qmp_quit_ends_with_its_reason)
{
    int fd = come_negotiated();
    ck_assert_str_eq(ask(fd, "{\"execute\":\"quit\",\"id\":9}"), "{\"return\": {}, \"id\": 9}");
    unsigned stop = atomic_load(&rig.vm.stop);
    ck_assert_uint_eq(stop_cause_of(stop), STOP_QUIT);
    control_tell_end(rig.vm.control, stop);
    expect(more(fd), "\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-quit\"}");
    close(fd);
}
END_TEST

START_TEST(qmp_reset_is_requested)
{
    int fd = come_negotiated();
    ck_assert_str_eq(ask(fd, "{\"execute\":\"system_reset\"}"), "{\"return\": {}}");
    ck_assert_uint_eq(atomic_load(&rig.vm.stop), STOP_RESET | STOP_BY_CONTROL << 8);
    close(fd);
}
END_TEST

START_TEST(qmp_shutdown_reasons)
{
    static const struct {
        unsigned stop;
        const char *want;
    } ends[] = {
        {STOP_POWEROFF, "true, \"reason\": \"guest-shutdown\""}, {STOP_PANIC, "true, \"reason\": \"guest-panic\""},
        {STOP_RESET, "true, \"reason\": \"guest-reset\""},       {STOP_SIGNAL | 15 << 8, "false, \"reason\": \"host-signal\""},
        {STOP_QUIT, "false, \"reason\": \"host-ui\""},
        {STOP_RESET | STOP_BY_CONTROL << 8, "false, \"reason\": \"host-qmp-system-reset\""},
        {STOP_SIGNAL | 1 << 8, "false, \"reason\": \"host-signal\""},
    };
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        control_tell_end(rig.vm.control, ends[i].stop);
        expect(more(fd), ends[i].want);
    }
    close(fd);
}
END_TEST

/* --- the balloon --- */

#define PATH "\"path\":\"/machine/peripheral/rig-balloon\""
#define INTERVAL "\"property\":\"guest-stats-polling-interval\""

START_TEST(qmp_balloon_leaves_the_guest_so_much)
{
    int fd = come_negotiated();
    ck_assert_str_eq(ask(fd, "{\"execute\":\"query-balloon\"}"), "{\"return\": {\"actual\": 16777216}}");
    ck_assert_str_eq(ask(fd, "{\"execute\":\"balloon\",\"arguments\":{\"value\":12582912}}"), "{\"return\": {}}");
    control_rig_pump(&rig);
    ck_assert_uint_eq(virtio_config_read(rig.vm.balloon, 0, 4), 1024);
    virtio_config_write(rig.vm.balloon, 4, 4, 1024); /* the driver's doing */
    expect(more(fd), "\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 12582912}}");
    ck_assert_str_eq(ask(fd, "{\"execute\":\"query-balloon\"}"), "{\"return\": {\"actual\": 12582912}}");
    ck_assert_str_eq(ask(fd, "{\"execute\":\"balloon\",\"arguments\":{\"value\":9223372036854775807}}"), "{\"return\": {}}");
    control_rig_pump(&rig);
    ck_assert_uint_eq(virtio_config_read(rig.vm.balloon, 0, 4), 0);
    close(fd);
}
END_TEST

START_TEST(qmp_balloon_values_that_are_none)
{
    static const char *const values[] = {"0", "-4096", "\"8M\"", "1.5", "99999999999999999999", "null", "[1]"};
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "{\"execute\":\"balloon\",\"arguments\":{\"value\":%s}}", values[i]);
        expect(ask(fd, text), GENERIC);
    }
    expect(ask(fd, "{\"execute\":\"balloon\"}"), "'value' is missing");
    control_rig_pump(&rig);
    ck_assert_uint_eq(virtio_config_read(rig.vm.balloon, 0, 4), 0);
    close(fd);
}
END_TEST

START_TEST(qmp_balloon_that_is_not_there)
{
    static const char *const asked[] = {"{\"execute\":\"query-balloon\"}",
                                        "{\"execute\":\"balloon\",\"arguments\":{\"value\":0}}"};
    struct virtio *balloon = rig.vm.balloon;
    int fd = come_negotiated();
    rig.vm.balloon = NULL;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        expect(ask(fd, asked[i]), "\"class\": \"DeviceNotActive\"");
    expect(ask(fd, "{\"execute\":\"qom-get\",\"arguments\":{" PATH "," INTERVAL "}}"), "\"class\": \"DeviceNotFound\"");
    expect(ask(fd, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info balloon\"}}"), "no balloon");
    expect(ask(fd, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"balloon 8\"}}"), "there is no balloon");
    rig.vm.balloon = balloon;
    close(fd);
}
END_TEST

START_TEST(qmp_balloon_properties)
{
    static const char *const bad[] = {
        "qom-set\",\"arguments\":{" PATH "," INTERVAL ",\"value\":\"x\"}}", "qom-set\",\"arguments\":{" PATH "," INTERVAL ",\"value\":-1}}",
        "qom-set\",\"arguments\":{" PATH "," INTERVAL ",\"value\":4294967296}}", "qom-set\",\"arguments\":{" PATH "," INTERVAL "}}",
        "qom-set\",\"arguments\":{" PATH ",\"property\":\"guest-stats\",\"value\":{}}}",
        "qom-get\",\"arguments\":{" PATH ",\"property\":\"colour\"}}", "qom-get\",\"arguments\":{" PATH "}}",
    };
    int fd = come_negotiated();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"execute\":\"%s", bad[i]);
        expect(ask(fd, text), GENERIC);
    }
    expect(ask(fd, "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\",\"property\":\"type\"}}"), "DeviceNotFound");
    expect(ask(fd, "{\"execute\":\"qom-get\",\"arguments\":{" PATH "," INTERVAL "}}"), "{\"return\": 0}");
    expect(ask(fd, "{\"execute\":\"qom-set\",\"arguments\":{" PATH "," INTERVAL ",\"value\":4294967295}}"), "{\"return\": {}}");
    expect(ask(fd, "{\"execute\":\"qom-get\",\"arguments\":{" PATH "," INTERVAL "}}"), "{\"return\": 4294967295}");
    const char *stats = ask(fd, "{\"execute\":\"qom-get\",\"arguments\":{" PATH ",\"property\":\"guest-stats\"}}");
    expect(stats, "\"stat-free-memory\": -1");
    expect(stats, "\"last-update\": 0");
    close(fd);
}
END_TEST

/* --- events and several clients --- */

START_TEST(qmp_events_reach_all_who_negotiated)
{
    int a = come_negotiated(), b = come_negotiated(), c = come();
    control_tell(rig.vm.control, CONTROL_GUEST_PANICKED, true, "run");
    json_t *ev = json_loads(more(a), 0, NULL);
    const char *name, *action;
    json_int_t s, us;
    ck_assert_int_eq(json_unpack(ev, "{s:s,s:{s:I,s:I},s:{s:s}}", "event", &name, "timestamp", "seconds", &s,
                                 "microseconds", &us, "data", "action", &action),
                     0);
    ck_assert_str_eq(name, "GUEST_PANICKED");
    ck_assert_str_eq(action, "run");
    ck_assert(s > 1700000000 && us >= 0 && us < 1000000);
    json_decref(ev);
    expect(more(b), "GUEST_PANICKED");
    ck_assert_str_eq(more(c), "");
    expect(ask(a, "{\"execute\":\"stop\"}"), "STOP");
    expect(more(b), "STOP");
    close(a), close(b), close(c);
}
END_TEST

START_TEST(qmp_events_between_deliveries_are_bounded)
{
    int fd = come_negotiated();
    for (unsigned i = 0; i < 100000; i++)
        control_tell(rig.vm.control, CONTROL_GUEST_PANICKED, true, "run");
    unsigned n = 0;
    while (*more(fd))
        n++;
    ck_assert_uint_eq(n, CONTROL_TOLD);
    close(fd);
}
END_TEST

START_TEST(qmp_client_that_does_not_read_costs_only_itself)
{
    int slow = come_negotiated(), good = come_negotiated();
    static const char many[] = "{\"execute\":\"query-commands\"}";
    bool stuck = false;
    for (unsigned i = 0; i < 200000 && !stuck; i++) {
        stuck = send(slow, many, sizeof many - 1, MSG_NOSIGNAL) < 0;
        if (stuck || i % 16 == 0)
            control_rig_pump(&rig);
    }
    ck_assert(stuck);
    for (unsigned i = 0; i < 64; i++) {
        control_tell(rig.vm.control, CONTROL_WATCHDOG, true, "none");
        expect(more(good), "WATCHDOG");
    }
    ck_assert_uint_gt(place(0)->out_len, CLIENT_OUT_HIGH);
    ck_assert_uint_lt(place(0)->out_cap, 1 << 20);
    expect(ask(good, STATUS), "\"running\"");
    /* It reads after all: everything is there, in order. */
    size_t lines = 0;
    while (strstr(more(slow), "query-status"))
        lines++;
    ck_assert_uint_gt(lines, 100);
    close(slow), close(good);
}
END_TEST

START_TEST(qmp_half_closed_client_gets_its_answer)
{
    int fd = come_negotiated();
    ck_assert_int_eq((int)send(fd, STATUS, strlen(STATUS), 0), (int)strlen(STATUS));
    shutdown(fd, SHUT_WR);
    expect(more(fd), "\"running\"");
    ck_assert(is_gone(fd));
    ck_assert(!place(0)->listener);
    close(fd);
}
END_TEST

START_TEST(qmp_client_vanishes_within_a_command)
{
    for (unsigned i = 0; i < 3 * CONTROL_CLIENTS; i++) {
        int fd = come_negotiated();
        send(fd, "{\"execute\":\"query-st", 20, 0);
        if (i % 2)
            control_rig_pump(&rig);
        close(fd);
    }
    control_rig_pump(&rig);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        ck_assert(!place(i)->listener);
    int fd = come_negotiated();
    expect(ask(fd, STATUS), "\"running\"");
    close(fd);
}
END_TEST

START_TEST(qmp_client_too_many_waits_for_a_place)
{
    int fd[CONTROL_CLIENTS];
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        fd[i] = come();
    int late = control_rig_connect(rig.qmp_path);
    ck_assert_int_ge(late, 0);
    ck_assert_str_eq(more(late), "");
    close(fd[3]);
    expect(more(late), "\"QMP\"");
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (i != 3)
            close(fd[i]);
    }
    close(late);
}
END_TEST

START_TEST(qmp_client_without_a_descriptor_is_hung_up_on)
{
    struct rlimit all, none;
    int late = control_rig_connect(rig.qmp_path), next = dup(late);
    close(next);
    getrlimit(RLIMIT_NOFILE, &all);
    none = all;
    none.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &none);
    ck_assert(is_gone(late));
    setrlimit(RLIMIT_NOFILE, &all);
    close(late);
    int fd = come_negotiated();
    expect(ask(fd, STATUS), "\"running\"");
    close(fd);
}
END_TEST

START_TEST(qmp_sockets_are_their_owners_only)
{
    struct stat st;
    ck_assert_int_eq(stat(rig.qmp_path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(rig.monitor_path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    control_rig_close(&rig); /* asserts that the names are gone */
    control_rig_open(&rig);
}
END_TEST

/* --- the monitor --- */

static const char *read_all(int fd)
{
    static char buf[65536];
    control_rig_pump(&rig);
    ssize_t n = recv(fd, buf, sizeof buf - 1, 0);
    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

START_TEST(monitor_answers_and_prompts)
{
    int fd = control_rig_connect(rig.monitor_path);
    ck_assert_str_eq(read_all(fd), MONITOR_PROMPT);
    send(fd, "info status\r\n", 13, 0);
    expect(read_all(fd), "VM status: running");
    send(fd, "stop\ninfo status\n", 17, 0);
    expect(read_all(fd), "VM status: paused");
    send(fd, "\n", 1, 0);
    ck_assert_str_eq(read_all(fd), MONITOR_PROMPT);
    send(fd, "frobnicate\n", 11, 0);
    expect(read_all(fd), "no command 'frobnicate'");
    send(fd, "info frobs\n", 11, 0);
    expect(read_all(fd), "info mtree");
    char line[2 * MONITOR_LINE];
    memset(line, 'x', sizeof line);
    send(fd, line, sizeof line, 0);
    ck_assert_str_eq(read_all(fd), "");
    send(fd, "\nhelp\n", 6, 0);
    const char *said = read_all(fd);
    expect(said, "too long");
    expect(said, "system_powerdown");
    close(fd);
}
END_TEST

START_TEST(monitor_sets_the_balloon)
{
    int fd = control_rig_connect(rig.monitor_path);
    read_all(fd);
    send(fd, "balloon 12\n", 11, 0);
    ck_assert_str_eq(read_all(fd), MONITOR_PROMPT);
    ck_assert_uint_eq(virtio_config_read(rig.vm.balloon, 0, 4), 1024);
    send(fd, "balloon\nballoon x\nballoon 0\nballoon -1\nstop now\n", 48, 0);
    const char *said = read_all(fd);
    expect(said, "balloon takes SIZE");
    expect(said, "more than 0");
    expect(said, "stop takes no argument");
    ck_assert(!atomic_load(&rig.vm.brakes));
    ck_assert_uint_eq(virtio_config_read(rig.vm.balloon, 0, 4), 1024);
    virtio_config_write(rig.vm.balloon, 4, 4, 256);
    send(fd, "info balloon\n", 13, 0);
    said = read_all(fd);
    expect(said, "balloon: actual=15\n");
    expect(said, "asked for 4194304 bytes, has 1048576;");
    close(fd);
}
END_TEST

START_TEST(monitor_shows_the_buses)
{
    int fd = come_negotiated();
    expect(ask(fd, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info mtree\"}}"),
           "0000000000000600-0000000000000627  pm");
    close(fd);
}
END_TEST

/* --- a slice of tests/fuzz/qmp_fuzz.c --- */

static uint64_t x = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

START_TEST(qmp_survives_chaos)
{
    static const char *const words[] = {
        "{\"execute\":\"", "\"", "}", "{", "[", "]", ",", ":", "\"arguments\":{", "\"id\":", "query-status", "stop", "cont",
        "quit", "human-monitor-command", "\"command-line\":\"info ", "registers", "exits", "\\u12", "\\", "\n", "1e99", "null",
        "qmp_capabilities", "\"}}\n", "\"}\n", "info pci", "99999999999999999999", "balloon", "query-balloon", "qom-get", "qom-set",
        PATH, INTERVAL, "\"value\":", "guest-stats",
    };
    uint8_t input[512];
    for (unsigned n = 0; n < 20000; n++) {
        size_t size = 0;
        input[size++] = (uint8_t)rnd();
        for (unsigned parts = rnd() % 16; parts && size < sizeof input - 32; parts--) {
            const char *word = words[rnd() % (sizeof words / sizeof words[0])];
            memcpy(input + size, word, strlen(word));
            size += strlen(word);
            if (rnd() % 8 == 0)
                input[size++] = (uint8_t)rnd();
        }
        control_chaos(&rig, input, size);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        qmp_greets_with_version_and_capabilities, qmp_takes_nothing_but_capabilities_first, qmp_echoes_any_id,
        qmp_tells_error_classes_apart, qmp_lists_and_answers_every_command, qmp_goes_on_after_malformed_input,
        qmp_waits_for_the_rest_of_a_command, qmp_refuses_what_is_too_long, qmp_refuses_what_is_too_deep,
        qmp_stop_and_cont_tell_once, qmp_powerdown_presses_the_button, qmp_quit_ends_with_its_reason,
        qmp_reset_is_requested, qmp_shutdown_reasons, qmp_events_reach_all_who_negotiated,
        qmp_events_between_deliveries_are_bounded, qmp_client_that_does_not_read_costs_only_itself,
        qmp_half_closed_client_gets_its_answer, qmp_client_vanishes_within_a_command,
        qmp_client_too_many_waits_for_a_place, qmp_client_without_a_descriptor_is_hung_up_on, qmp_sockets_are_their_owners_only, monitor_answers_and_prompts,
        monitor_sets_the_balloon, monitor_shows_the_buses, qmp_balloon_leaves_the_guest_so_much,
        qmp_balloon_values_that_are_none, qmp_balloon_that_is_not_there, qmp_balloon_properties, qmp_survives_chaos,
    };
    Suite *s = suite_create("qmp");
    TCase *tc = tcase_create("qmp");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
