// SPDX-License-Identifier: MIT
//
// Character backends over pipes, sockets, files and pseudo-terminals, and the terminal's modes on
// every way out.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "devices/chr/tty.h"
#include "log.h"
#include "src/vm/fatal.h"
#include "stop.h"
#include "tests/lib/suite.h"

#define DEADLINE_ROUNDS 1000 /* of 10 ms: only a broken test waits that long */

static struct evloop loop;
static struct event_queue events;
static enum stop_cause stopped;
static char dir[64];
static int std_fds[3];
static struct chr *chr;

/* What the device heard. */
static unsigned readable_calls, writable_calls;
static size_t break_after; /* bytes got before the break */
static unsigned breaks;
static uint8_t *got;
static size_t got_len, got_max;
static bool take_at_once; /* read whenever told */

static void take_all(void)
{
    size_t n;
    while ((n = chr_read(chr, got + got_len, got_max - got_len < 16 ? got_max - got_len : 16)) > 0)
        got_len += n;
}

static void on_readable(void *self)
{
    (void)self;
    readable_calls++;
    if (take_at_once)
        take_all();
}

static void on_writable(void *self)
{
    (void)self;
    writable_calls++;
}

static unsigned hangups, arrivals;
static size_t hangup_after; /* bytes got before the far end went */

static void on_peer(void *self, bool here)
{
    (void)self;
    ck_assert_int_eq(chr->peer_gone, !here);
    arrivals += here;
    hangups += !here;
    if (!here)
        hangup_after = got_len;
}

static void on_break(void *self)
{
    (void)self;
    breaks++;
    break_after = got_len;
}

static void on_stop(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque;
    ck_assert_uint_eq(code, 0);
    stopped = cause;
}

static struct chr_env environment(void)
{
    return (struct chr_env){.loop = &loop, .events = &events, .stop = {.request = on_stop}};
}

static void setup(void)
{
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++)
        std_fds[i] = dup(i);
    strcpy(dir, "/tmp/minivmm-chr-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(evloop_init(&loop, &err), 0);
    event_queue_init(&events, NULL, NULL);
    got_max = 2 << 20;
    got = malloc(got_max);
    take_at_once = true;
}

static void teardown(void)
{
    char cmd[96];
    chr_close(chr);
    chr = NULL;
    log_close();
    event_queue_fini(&events);
    evloop_fini(&loop);
    for (int i = 0; i < 3; i++) {
        dup2(std_fds[i], i);
        close(std_fds[i]);
    }
    free(got);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static void open_chr(const char *spec)
{
    struct err err = {0};
    struct chr_env env = environment();
    chr = chr_open(spec, &env, &err);
    ck_assert_msg(chr != NULL, "%s", err.msg);
    chr->client = (struct chr_client){
        .readable = on_readable, .writable = on_writable, .break_seen = on_break, .peer = on_peer};
}

static const char *path_in_dir(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void run_loop(int timeout_ms)
{
    evloop_run_once(&loop, timeout_ms);
    event_queue_run(&events);
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        for (int tries = 0; !(condition) && tries < DEADLINE_ROUNDS; tries++)                      \
            run_loop(10);                                                                          \
        ck_assert_msg((condition), "never happened: " #condition);                                 \
    } while (0)

/* Nothing keeps the loop busy. */
static void assert_loop_is_quiet(void)
{
    struct epoll_event ev;
    for (int i = 0; i < 4; i++)
        run_loop(0);
    ck_assert_int_eq(epoll_wait(loop.epoll_fd, &ev, 1, 0), 0);
}

static void move_to(int fd, int std_fd)
{
    ck_assert_int_eq(dup2(fd, std_fd), std_fd);
    close(fd);
}

/* stdin and stdout become pipes; our ends of them. */
static void pipe_stdio(int *to_stdin, int *from_stdout)
{
    int in[2], out[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    move_to(in[0], 0);
    move_to(out[1], 1);
    *to_stdin = in[1];
    *from_stdout = out[0];
}

/* stdin and stdout become a raw terminal; its other end. */
static int terminal_stdio(void)
{
    int master, slave;
    struct termios t;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    ck_assert_int_eq(tcgetattr(slave, &t), 0);
    cfmakeraw(&t);
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &t), 0);
    dup2(slave, 1);
    move_to(slave, 0);
    return master;
}

static void put(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(int fd, const char *text)
{
    char buf[256];
    size_t len = 0;
    while (len < strlen(text)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ck_assert_msg(poll(&p, 1, 5000) == 1, "'%s' did not come", text);
        ssize_t n = read(fd, buf + len, strlen(text) - len);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    ck_assert_mem_eq(buf, text, len);
}

static size_t write_text(const char *text)
{
    return chr_write(chr, (const uint8_t *)text, strlen(text));
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static void log_to_file(void)
{
    struct err err = {0};
    ck_assert_int_eq(log_open(path_in_dir("log"), &err), 0);
}

static size_t read_file(const char *path, char *buf, size_t max)
{
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(buf, 1, max - 1, f);
    buf[n] = 0;
    fclose(f);
    return n;
}

static unsigned count_log_lines(void)
{
    char text[4096];
    unsigned lines = 0;
    log_close();
    read_file(path_in_dir("log"), text, sizeof text);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    return lines;
}

/* ---- registry ---- */

static void expect_refusal(const char *spec, const char *word)
{
    struct err err = {0};
    struct chr_env env = environment();
    ck_assert_ptr_null(chr_open(spec, &env, &err));
    ck_assert_msg(strstr(err.msg, word) != NULL, "'%s' does not say '%s'", err.msg, word);
}

START_TEST(chr_unknown_backend_lists_the_known)
{
    expect_refusal("telnet:4444", "stdio, file:PATH, pty, none");
    expect_refusal("", "stdio, file:PATH, pty, none");
    expect_refusal("stdi", "stdio, file:PATH, pty, none");
    expect_refusal("file", "file:PATH");
    expect_refusal("file:", "file:PATH");
    expect_refusal("none:x", "no argument");
}
END_TEST

START_TEST(chr_none_takes_everything_and_gives_nothing)
{
    static const char *const names[] = {"none", "null"};
    uint8_t buf[4];
    open_chr(names[_i]);
    ck_assert_uint_eq(write_text("hello"), 5);
    ck_assert_uint_eq(chr_read(chr, buf, 4), 0);
}
END_TEST

START_TEST(chr_close_allows_null)
{
    chr_close(NULL);
    ck_assert_ptr_null(chr);
}
END_TEST

/* ---- stdio on pipes, sockets, files ---- */

START_TEST(stdio_output_is_there_when_write_returns)
{
    int in, out;
    char c;
    pipe_stdio(&in, &out);
    open_chr("stdio");
    fcntl(out, F_SETFL, O_NONBLOCK);
    for (const char *p = "no newline"; *p; p++) {
        ck_assert_uint_eq(chr_write(chr, (const uint8_t *)p, 1), 1);
        ck_assert_int_eq(read(out, &c, 1), 1);
        ck_assert_int_eq(c, *p);
    }
}
END_TEST

START_TEST(stdio_never_makes_shared_descriptors_non_blocking)
{
    int in, out;
    if (_i == 0)
        pipe_stdio(&in, &out);
    else
        terminal_stdio();
    open_chr("stdio");
    write_text("x");
    run_loop(0);
    ck_assert_int_eq(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(stdio_pipe_is_binary_clean)
{
    int in, out;
    pipe_stdio(&in, &out);
    open_chr("stdio");
    put(in, "a\x01x\x01h\x01\x01\x03\xff\r\nz");
    RUN_UNTIL(got_len == 12);
    ck_assert_mem_eq(got, "a\x01x\x01h\x01\x01\x03\xff\r\nz", 12);
    ck_assert_int_eq(stopped, STOP_NONE);
}
END_TEST

START_TEST(stdio_end_of_input_is_not_the_end)
{
    int in, out;
    pipe_stdio(&in, &out);
    open_chr("stdio");
    put(in, "last");
    close(in);
    RUN_UNTIL(got_len == 4);
    assert_loop_is_quiet();
    ck_assert_int_eq(stopped, STOP_NONE);
    ck_assert_uint_eq(write_text("on"), 2);
    expect(out, "on");
}
END_TEST

START_TEST(stdio_unread_input_does_not_spin_the_loop)
{
    int in, out;
    uint8_t block[4096] = {0};
    size_t sent = 0;
    pipe_stdio(&in, &out);
    fcntl(in, F_SETFL, O_NONBLOCK);
    open_chr("stdio");
    take_at_once = false;
    for (int idle = 0; idle < 3; idle++) {
        ssize_t n;
        while ((n = write(in, block, sizeof block)) > 0) {
            sent += (size_t)n;
            idle = 0;
        }
        run_loop(0);
    }
    close(in);
    assert_loop_is_quiet();
    take_at_once = true;
    take_all();
    RUN_UNTIL(got_len == sent);
    assert_loop_is_quiet();
}
END_TEST

START_TEST(stdio_stuck_reader_holds_back_and_loses_nothing)
{
    int in, out;
    uint8_t byte;
    size_t taken = 0, seen = 0;
    pipe_stdio(&in, &out);
    open_chr("stdio");
    do
        byte = pattern(taken);
    while (chr_write(chr, &byte, 1) == 1 && ++taken < 1 << 20);
    ck_assert_uint_lt(taken, 1 << 20);
    ck_assert_uint_gt(taken, 65535);
    assert_loop_is_quiet();
    ck_assert_uint_eq(writable_calls, 0);
    while (seen < taken) {
        uint8_t buf[4096];
        run_loop(0);
        ssize_t n = read(out, buf, sizeof buf);
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++, seen++)
            ck_assert_uint_eq(buf[i], pattern(seen));
    }
    run_loop(0);
    ck_assert_uint_eq(writable_calls, 1);
    ck_assert_uint_eq(write_text("more"), 4);
    expect(out, "more");
}
END_TEST

START_TEST(stdio_gone_reader_is_told_once_and_ignored)
{
    int in, out;
    pipe_stdio(&in, &out);
    log_to_file();
    open_chr("stdio");
    close(out);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(write_text("lost"), 4);
    assert_loop_is_quiet();
    ck_assert_uint_eq(count_log_lines(), 1);
    ck_assert_int_eq(stopped, STOP_NONE);
}
END_TEST

START_TEST(stdio_reader_that_goes_while_stuck_frees_the_guest)
{
    int in, out;
    pipe_stdio(&in, &out);
    log_to_file();
    open_chr("stdio");
    while (write_text("0123456789abcdef") == 16)
        ;
    close(out);
    RUN_UNTIL(writable_calls == 1);
    ck_assert_uint_eq(write_text("lost"), 4);
    ck_assert_uint_eq(count_log_lines(), 1);
}
END_TEST

static _Noreturn void read_slowly(int fd, size_t expected)
{
    uint8_t buf[1000];
    usleep(50000);
    for (size_t seen = 0; seen < expected;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n <= 0)
            _exit(1);
        for (ssize_t i = 0; i < n; i++, seen++) {
            if (buf[i] != pattern(seen))
                _exit(2);
        }
        usleep(500);
    }
    _exit(0);
}

START_TEST(stdio_close_flushes_to_a_slow_reader)
{
    int in, out, status;
    uint8_t data[100000];
    pipe_stdio(&in, &out);
    open_chr("stdio");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(i);
    ck_assert_uint_eq(chr_write(chr, data, sizeof data), sizeof data);
    pid_t pid = fork();
    if (!pid)
        read_slowly(out, sizeof data);
    chr_close(chr);
    chr = NULL;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(stdio_patient_write_waits_for_a_slow_reader)
{
    enum { MORE = 400000 }; /* than pipe and ring hold */
    int in, out, status;
    struct err err = {0};
    struct chr_env env = environment();
    pipe_stdio(&in, &out);
    env.patient = true;
    chr = chr_open("stdio", &env, &err);
    ck_assert_ptr_nonnull(chr);
    chr->client = (struct chr_client){.readable = on_readable, .writable = on_writable, .break_seen = on_break};
    pid_t pid = fork();
    if (!pid)
        read_slowly(out, MORE);
    for (size_t i = 0; i < MORE; i++) {
        uint8_t byte = pattern(i);
        ck_assert_uint_eq(chr_write(chr, &byte, 1), 1);
    }
    chr_close(chr);
    chr = NULL;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_uint_eq(writable_calls, 0);
}
END_TEST

START_TEST(stdio_close_gives_up_on_a_stuck_reader)
{
    int in, out;
    pipe_stdio(&in, &out);
    log_to_file();
    open_chr("stdio");
    while (write_text("0123456789abcdef") == 16)
        ;
    chr_close(chr);
    chr = NULL;
    ck_assert_uint_eq(count_log_lines(), 1);
}
END_TEST

START_TEST(stdio_works_on_sockets)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[0], 1);
    move_to(pair[0], 0);
    open_chr("stdio");
    put(pair[1], "in");
    RUN_UNTIL(got_len == 2);
    ck_assert_uint_eq(write_text("out"), 3);
    expect(pair[1], "out");
    while (write_text("0123456789abcdef") == 16) /* does not wait */
        ;
    ck_assert_int_eq(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    log_to_file();
    close(pair[1]);
    RUN_UNTIL(writable_calls == 1);
    assert_loop_is_quiet();
}
END_TEST

START_TEST(stdio_works_on_regular_files)
{
    char text[64];
    FILE *f = fopen(path_in_dir("in"), "w");
    fputs("from a file \001x", f);
    fclose(f);
    move_to(open(path_in_dir("in"), O_RDONLY), 0);
    move_to(open(path_in_dir("out"), O_WRONLY | O_CREAT, 0666), 1);
    open_chr("stdio");
    RUN_UNTIL(got_len == 14);
    ck_assert_mem_eq(got, "from a file \001x", 14);
    ck_assert_uint_eq(write_text("to a file"), 9);
    read_file(path_in_dir("out"), text, sizeof text);
    ck_assert_str_eq(text, "to a file");
    assert_loop_is_quiet();
    ck_assert_int_eq(stopped, STOP_NONE);
}
END_TEST

START_TEST(stdio_works_on_dev_null)
{
    move_to(open("/dev/null", O_RDONLY), 0);
    move_to(open("/dev/null", O_WRONLY), 1);
    open_chr("stdio");
    for (int i = 0; i < 100000; i++)
        ck_assert_uint_eq(write_text("x"), 1);
    assert_loop_is_quiet();
    ck_assert_uint_eq(got_len, 0);
}
END_TEST

START_TEST(stdio_is_there_only_once)
{
    move_to(open("/dev/null", O_RDONLY), 0);
    open_chr("stdio");
    expect_refusal("stdio", "already taken");
    chr_close(chr);
    open_chr("stdio");
}
END_TEST

START_TEST(stdio_closed_descriptor_is_an_error)
{
    int in, out;
    pipe_stdio(&in, &out); /* opened again, the other one must not slip into the gap */
    close(_i);
    expect_refusal("stdio", _i ? "stdout" : "stdin");
}
END_TEST

/* ---- the loop on its own thread ---- */

static atomic_bool loop_ends;

static void *loop_thread(void *arg)
{
    (void)arg;
    while (!atomic_load(&loop_ends))
        evloop_run_once(&loop, 100);
    return NULL;
}

#define ECHO_BYTES (1u << 20)

struct peer {
    int to, from;
    bool same;
};

static void *feed(void *arg)
{
    const struct peer *peer = arg;
    uint8_t buf[8192];
    for (size_t sent = 0; sent < ECHO_BYTES;) {
        for (size_t i = 0; i < sizeof buf; i++)
            buf[i] = pattern(sent + i);
        ssize_t n = write(peer->to, buf, sizeof buf);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return NULL;
}

static void *drain(void *arg)
{
    struct peer *peer = arg;
    uint8_t buf[4096];
    size_t seen = 0;
    peer->same = true;
    while (seen < ECHO_BYTES) {
        ssize_t n = read(peer->from, buf, sizeof buf);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++, seen++)
            peer->same &= buf[i] == pattern(seen);
    }
    peer->same &= seen == ECHO_BYTES;
    return NULL;
}

/* The device's side: take up to 16 bytes at a time and send them back. */
static void echo(void)
{
    for (size_t total = 0; total < ECHO_BYTES;) {
        uint8_t buf[16];
        size_t n = chr_read(chr, buf, sizeof buf), done = 0;
        while (done < n) {
            done += chr_write(chr, buf + done, n - done);
            event_queue_run(&events);
        }
        total += n;
        if (!n)
            event_queue_run(&events);
    }
}

START_TEST(stdio_echoes_a_megabyte_whole_and_in_order)
{
    struct peer peer;
    pthread_t threads[3];
    take_at_once = false;
    if (_i == 0) {
        pipe_stdio(&peer.to, &peer.from);
    } else {
        peer.to = peer.from = terminal_stdio();
    }
    if (_i == 1) { /* a terminal would take Ctrl-A for itself; only stdin decides that */
        int in[2];
        ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
        move_to(in[0], 0);
        peer.to = in[1];
    }
    open_chr("stdio");
    pthread_create(&threads[0], NULL, loop_thread, NULL);
    pthread_create(&threads[1], NULL, feed, &peer);
    pthread_create(&threads[2], NULL, drain, &peer);
    echo();
    pthread_join(threads[1], NULL);
    pthread_join(threads[2], NULL);
    atomic_store(&loop_ends, true);
    evloop_wake(&loop);
    pthread_join(threads[0], NULL);
    ck_assert(peer.same);
}
END_TEST

/* ---- stdio on a terminal ---- */

START_TEST(stdio_ctrl_a_x_quits_though_the_guest_reads_nothing)
{
    int user = terminal_stdio();
    take_at_once = false;
    open_chr("stdio");
    put(user, "some unread text");
    put(user, "\x01");
    run_loop(10);
    put(user, "x");
    RUN_UNTIL(stopped == STOP_QUIT);
    take_all();
    ck_assert_uint_eq(got_len, 16);
}
END_TEST

START_TEST(stdio_ctrl_a_a_sends_ctrl_a)
{
    int user = terminal_stdio();
    open_chr("stdio");
    put(user, "1\x01" "a2\x01\x01" "3\x01q4\x03");
    RUN_UNTIL(got_len == 7);
    ck_assert_mem_eq(got, "1\x01" "2\x01" "34\x03", 7);
    ck_assert_int_eq(stopped, STOP_NONE);
}
END_TEST

START_TEST(stdio_ctrl_a_b_breaks_in_its_place)
{
    int user = terminal_stdio();
    open_chr("stdio");
    put(user, "ab\x01" "bcd\x01" "b");
    RUN_UNTIL(breaks == 1);
    ck_assert_uint_eq(break_after, 2);
    RUN_UNTIL(breaks == 2);
    ck_assert_uint_eq(break_after, 4);
    ck_assert_mem_eq(got, "abcd", 4);
}
END_TEST

START_TEST(stdio_ctrl_a_h_lists_every_command)
{
    char text[1024] = "";
    int user = terminal_stdio();
    move_to(open(path_in_dir("stderr"), O_WRONLY | O_CREAT, 0666), 2);
    open_chr("stdio");
    put(user, "\x01h.");
    RUN_UNTIL(got_len == 1);
    read_file(path_in_dir("stderr"), text, sizeof text);
    static const char *const commands[] = {"Ctrl-A h", "Ctrl-A x", "Ctrl-A b", "Ctrl-A a"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        ck_assert_ptr_nonnull(strstr(text, commands[i]));
}
END_TEST

/* A pty master as stdout cannot be opened again: the way that polls. */
START_TEST(stdio_output_without_own_description_goes_through_the_loop)
{
    int master, slave;
    struct termios t;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    tcgetattr(slave, &t);
    cfmakeraw(&t);
    tcsetattr(slave, TCSANOW, &t);
    move_to(master, 1);
    move_to(open("/dev/null", O_RDONLY), 0);
    open_chr("stdio");
    ck_assert_uint_eq(write_text("polled"), 6);
    for (int i = 0; i < 20; i++)
        run_loop(0);
    expect(slave, "polled");
    while (write_text("0123456789abcdef") == 16) /* does not wait */
        ;
    log_to_file();
    close(slave);
    RUN_UNTIL(writable_calls == 1);
}
END_TEST

/* ---- file ---- */

START_TEST(file_starts_anew_and_is_written_at_once)
{
    char spec[128], text[64];
    FILE *f = fopen(path_in_dir("serial"), "w");
    fputs("something older and longer", f);
    fclose(f);
    snprintf(spec, sizeof spec, "file:%s", path_in_dir("serial"));
    open_chr(spec);
    ck_assert_uint_eq(write_text("new\n"), 4);
    read_file(path_in_dir("serial"), text, sizeof text);
    ck_assert_str_eq(text, "new\n");
}
END_TEST

START_TEST(file_full_disk_is_told_once)
{
    log_to_file();
    open_chr("file:/dev/full");
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_eq(write_text("text"), 4);
    ck_assert_uint_eq(count_log_lines(), 1);
    char text[512];
    read_file(path_in_dir("log"), text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "/dev/full"));
}
END_TEST

START_TEST(file_errors_name_the_path)
{
    char spec[128];
    expect_refusal("file:/nowhere/at/all", "/nowhere/at/all");
    ck_assert_int_eq(mkfifo(path_in_dir("fifo"), 0600), 0);
    snprintf(spec, sizeof spec, "file:%s", path_in_dir("fifo"));
    expect_refusal(spec, "nobody reads");
}
END_TEST

START_TEST(file_slow_fifo_holds_back)
{
    char spec[128], buf[65536];
    ck_assert_int_eq(mkfifo(path_in_dir("fifo"), 0600), 0);
    int reader = open(path_in_dir("fifo"), O_RDONLY | O_NONBLOCK);
    snprintf(spec, sizeof spec, "file:%s", path_in_dir("fifo"));
    open_chr(spec);
    size_t taken = 0, seen = 0, n;
    while ((n = write_text("0123456789abcdef")) == 16)
        taken += n;
    taken += n;
    while (seen < taken) {
        run_loop(0);
        ssize_t r = read(reader, buf, sizeof buf);
        if (r > 0)
            seen += (size_t)r;
    }
    ck_assert_uint_eq(seen, taken);
    RUN_UNTIL(writable_calls == 1);
}
END_TEST

/* ---- pty ---- */

static int open_pty_chr(char *path)
{
    char text[256];
    move_to(open(path_in_dir("stderr"), O_WRONLY | O_CREAT, 0666), 2);
    open_chr("pty");
    read_file(path_in_dir("stderr"), text, sizeof text);
    ck_assert_int_eq(sscanf(text, "char device redirected to %63s\n", path), 1);
    return open(path, O_RDWR | O_NOCTTY);
}

START_TEST(pty_passes_bytes_both_ways_unchanged)
{
    char path[64];
    int peer = open_pty_chr(path);
    ck_assert_int_ge(peer, 0);
    ck_assert_uint_eq(write_text("login:\n"), 7);
    expect(peer, "login:\n");
    put(peer, "root\r\x01x\x03");
    RUN_UNTIL(got_len == 8);
    ck_assert_mem_eq(got, "root\r\x01x\x03", 8);
    ck_assert_int_eq(stopped, STOP_NONE);
    close(peer);
}
END_TEST

START_TEST(pty_survives_its_peer)
{
    char path[64];
    int peer = open_pty_chr(path);
    log_to_file();
    for (int round = 0; round < 3; round++) {
        got_len = 0;
        put(peer, "hello");
        RUN_UNTIL(got_len == 5);
        close(peer);
        for (int i = 0; i < 10000; i++)
            ck_assert_uint_eq(write_text("nobody hears this"), 17);
        run_loop(10);
        peer = open(path, O_RDWR | O_NOCTTY);
        ck_assert_uint_eq(write_text("back"), 4);
        expect(peer, "back");
    }
    close(peer);
    ck_assert_uint_eq(count_log_lines(), 0);
}
END_TEST

START_TEST(pty_stuck_peer_holds_back_and_loses_nothing)
{
    char path[64];
    uint8_t byte;
    size_t taken = 0, seen = 0;
    int peer = open_pty_chr(path);
    do
        byte = pattern(taken);
    while (chr_write(chr, &byte, 1) == 1 && ++taken < 1 << 20);
    ck_assert_uint_lt(taken, 1 << 20);
    while (seen < taken) {
        uint8_t buf[4096];
        struct pollfd p = {.fd = peer, .events = POLLIN};
        run_loop(0);
        if (poll(&p, 1, 10) != 1)
            continue;
        ssize_t n = read(peer, buf, sizeof buf);
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++, seen++)
            ck_assert_uint_eq(buf[i], pattern(seen));
    }
    ck_assert_uint_eq(writable_calls, 1);
    close(peer);
}
END_TEST

/* ---- descriptors ---- */

static void open_fds(int in, int out)
{
    char spec[32];
    snprintf(spec, sizeof spec, "fd:%d:%d", in, out);
    open_chr(spec);
}

START_TEST(fd_pipes_pass_bytes_and_tell_the_end)
{
    int in[2], out[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    open_fds(in[0], out[1]);
    ck_assert_int_eq((fcntl(in[0], F_GETFL) | fcntl(out[1], F_GETFL)) & O_NONBLOCK, 0);
    put(in[1], "a\x01x\x04z");
    RUN_UNTIL(got_len == 5);
    ck_assert_mem_eq(got, "a\x01x\x04z", 5);
    ck_assert_uint_eq(hangups, 0);
    close(in[1]);
    RUN_UNTIL(hangups == 1);
    ck_assert_uint_eq(write_text("out"), 3);
    expect(out[0], "out");
    assert_loop_is_quiet();
    chr_close(chr);
    chr = NULL;
    ck_assert_int_eq(fcntl(in[0], F_GETFD) | fcntl(out[1], F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(fd_end_is_told_after_the_last_byte_was_taken)
{
    int in[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    open_fds(in[0], -1);
    take_at_once = false;
    put(in[1], "0123456789012345678901234567890123456789");
    close(in[1]);
    for (int i = 0; i < 10; i++)
        run_loop(1);
    ck_assert_uint_eq(hangups, 0);
    take_all();
    ck_assert_uint_eq(hangups, 0); /* not from within the read */
    RUN_UNTIL(hangups == 1);
    ck_assert_uint_eq(hangup_after, 40);
    take_all();
    run_loop(0);
    ck_assert_uint_eq(hangups, 1);
    ck_assert_uint_eq(write_text("dropped"), 7);
}
END_TEST

START_TEST(fd_regular_file_ends_too)
{
    FILE *f = fopen(path_in_dir("in"), "w");
    fputs("whole", f);
    fclose(f);
    open_fds(open(path_in_dir("in"), O_RDONLY), -1);
    RUN_UNTIL(hangups == 1);
    ck_assert_uint_eq(hangup_after, 5);
}
END_TEST

START_TEST(fd_one_socket_serves_both_ways)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    open_fds(pair[0], pair[0]);
    ck_assert_int_eq(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
    put(pair[1], "in");
    RUN_UNTIL(got_len == 2);
    ck_assert_uint_eq(write_text("out"), 3);
    expect(pair[1], "out");
    shutdown(pair[1], SHUT_WR);
    RUN_UNTIL(hangups == 1);
    ck_assert_uint_eq(write_text("more"), 4);
    expect(pair[1], "more");
}
END_TEST

START_TEST(fd_errors_name_the_descriptor)
{
    int in[2];
    char spec[32];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    expect_refusal("fd:999:-1", "descriptor 999");
    snprintf(spec, sizeof spec, "fd:%d:-1", in[1]);
    expect_refusal(spec, "other direction");
    snprintf(spec, sizeof spec, "fd:-1:%d", in[0]);
    expect_refusal(spec, "other direction");
    expect_refusal("fd:1", "fd:IN:OUT");
    expect_refusal("fd:1:2x", "fd:IN:OUT");
}
END_TEST

/* ---- UNIX sockets ---- */

static struct sockaddr_un socket_addr;

static void open_socket_chr(void)
{
    char spec[128];
    socket_addr.sun_family = AF_UNIX;
    snprintf(socket_addr.sun_path, sizeof socket_addr.sun_path, "%s", path_in_dir("sock"));
    snprintf(spec, sizeof spec, "socket:%s", socket_addr.sun_path);
    open_chr(spec);
}

static int connect_client(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&socket_addr, sizeof socket_addr), 0);
    return fd;
}

START_TEST(socket_serves_one_client_after_another)
{
    open_socket_chr();
    ck_assert(chr->peer_gone);
    ck_assert_uint_eq(write_text("nobody hears this"), 17);
    for (unsigned i = 1; i <= 3; i++) {
        int fd = connect_client();
        got_len = 0;
        RUN_UNTIL(arrivals == i);
        put(fd, "hello");
        RUN_UNTIL(got_len == 5);
        ck_assert_uint_eq(write_text("answer"), 6);
        expect(fd, "answer");
        close(fd);
        RUN_UNTIL(hangups == i);
    }
    assert_loop_is_quiet();
    log_to_file();
    ck_assert_uint_eq(write_text("gone"), 4);
    ck_assert_uint_eq(count_log_lines(), 0);
}
END_TEST

START_TEST(socket_client_that_sends_no_more_still_gets_output)
{
    open_socket_chr();
    int fd = connect_client();
    RUN_UNTIL(arrivals == 1);
    put(fd, "request");
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(hangups == 1);
    ck_assert_uint_eq(hangup_after, 7);
    ck_assert_uint_eq(write_text("reply"), 5);
    expect(fd, "reply");
    int next = connect_client(); /* waits */
    assert_loop_is_quiet();
    ck_assert_uint_eq(arrivals, 1);
    close(fd);
    RUN_UNTIL(arrivals == 2);
    ck_assert_uint_eq(write_text("you"), 3);
    expect(next, "you");
    close(next);
}
END_TEST

START_TEST(socket_client_that_leaves_while_stuck_frees_the_guest)
{
    open_socket_chr();
    int fd = connect_client();
    RUN_UNTIL(arrivals == 1);
    log_to_file();
    while (write_text("0123456789abcdef") == 16)
        ;
    close(fd);
    RUN_UNTIL(hangups == 1);
    for (int i = 0; i < 5; i++)
        run_loop(1);
    ck_assert_uint_eq(write_text("dropped"), 7);
}
END_TEST

START_TEST(socket_name_is_taken_over_or_refused_and_removed_at_the_end)
{
    char spec[128];
    open_socket_chr();
    snprintf(spec, sizeof spec, "socket:%s", socket_addr.sun_path);
    expect_refusal(spec, "taken");
    chr_close(chr);
    chr = NULL;
    ck_assert_int_ne(access(socket_addr.sun_path, F_OK), 0);
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(left, (struct sockaddr *)&socket_addr, sizeof socket_addr), 0);
    close(left); /* the name stays */
    open_socket_chr();
    chr_close(chr);
    chr = NULL;
    FILE *f = fopen(socket_addr.sun_path, "w"); /* not a socket: not ours to remove */
    fclose(f);
    expect_refusal(spec, "taken");
    ck_assert_int_eq(access(socket_addr.sun_path, F_OK), 0);
    char longer[300] = "socket:";
    memset(longer + 7, 'x', 200);
    expect_refusal(longer, "at most");
}
END_TEST

/* ---- terminal modes ---- */

enum way_out { BY_RESTORE, BY_EXIT, BY_ABORT, BY_ALARM, BY_ILL, WAYS_OUT };

static _Noreturn void leave(enum way_out way)
{
    struct err err = {0};
    fatal_install();
    tty_claim();
    if (tty_raw(&err))
        _exit(9);
    char c;
    if (write(1, "raw", 3) != 3 || read(0, &c, 1) != 1)
        _exit(8);
    switch (way) {
    case BY_RESTORE:
        tty_restore();
        tty_restore();
        _exit(0);
    case BY_EXIT:
        exit(0);
    case BY_ABORT:
        abort();
    case BY_ALARM:
        kill(getpid(), SIGALRM);
        break;
    default:
        raise(SIGILL);
    }
    _exit(7);
}

/* A child that owns the terminal. */
static pid_t spawn_on_terminal(int slave, enum way_out way)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    dup2(slave, 0);
    dup2(slave, 1);
    leave(way);
}

START_TEST(tty_is_raw_meanwhile_and_restored_on_every_way_out)
{
    static const int ends[WAYS_OUT] = {0, 0, EXIT_VMM_BUG, SIGALRM, EXIT_VMM_BUG};
    int master, slave, status;
    struct termios before, meanwhile, after;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    ck_assert_int_eq(tcgetattr(slave, &before), 0);
    pid_t pid = spawn_on_terminal(slave, (enum way_out)_i);
    expect(master, "raw");
    ck_assert_int_eq(tcgetattr(slave, &meanwhile), 0);
    ck_assert_uint_eq(meanwhile.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    ck_assert_uint_eq(meanwhile.c_iflag & (ICRNL | IXON), 0);
    ck_assert_uint_ne(meanwhile.c_oflag & OPOST, 0);
    put(master, "\x03"); /* Ctrl-C is a byte now */
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), ends[_i]);
    ck_assert_int_eq(tcgetattr(slave, &after), 0);
    ck_assert_uint_eq(after.c_lflag, before.c_lflag);
    ck_assert_uint_eq(after.c_iflag, before.c_iflag);
    ck_assert_uint_eq(after.c_oflag, before.c_oflag);
}
END_TEST

/* Ctrl-C must end a machine that nobody can type to. */
START_TEST(tty_stays_as_it_is_unless_stdio_is_in_use)
{
    struct err err = {0};
    struct termios before, after;
    terminal_stdio();
    ck_assert_int_eq(tcgetattr(0, &before), 0);
    before.c_lflag |= ISIG | ICANON;
    ck_assert_int_eq(tcsetattr(0, TCSANOW, &before), 0);
    open_chr("none");
    ck_assert_int_eq(tty_raw(&err), 0);
    ck_assert_int_eq(tcgetattr(0, &after), 0);
    ck_assert_uint_eq(after.c_lflag, before.c_lflag);
    chr_close(chr);
    open_chr("stdio");
    ck_assert_int_eq(tty_raw(&err), 0);
    ck_assert_int_eq(tcgetattr(0, &after), 0);
    ck_assert_uint_eq(after.c_lflag & ISIG, 0);
}
END_TEST

START_TEST(tty_raw_needs_no_terminal)
{
    struct err err = {0};
    move_to(open("/dev/null", O_RDONLY), 0);
    ck_assert_int_eq(tty_raw(&err), 0);
    tty_restore();
}
END_TEST

/*
 * In the session of a terminal, a job in its background: modes stay, nothing stops, nothing is
 * read.
 */
static int run_background_job(int slave)
{
    int status;
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    pid_t job = fork();
    if (!job) {
        struct err err = {0};
        struct chr_env env = environment();
        setpgid(0, 0);
        dup2(slave, 0);
        dup2(open("/dev/null", O_WRONLY), 1);
        dup2(1, 2);
        chr = chr_open("stdio", &env, &err);
        if (!chr || tty_raw(&err))
            _exit(9);
        chr->client = (struct chr_client){
        .readable = on_readable, .writable = on_writable, .break_seen = on_break, .peer = on_peer};
        for (int i = 0; i < 40; i++)
            run_loop(10);
        tty_restore();
        _exit(got_len ? 8 : 0);
    }
    waitpid(job, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
        kill(job, SIGKILL);
        return 7;
    }
    return WEXITSTATUS(status);
}

START_TEST(tty_background_job_leaves_the_terminal_alone)
{
    int master, slave, status;
    struct termios before, after;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    ck_assert_int_eq(tcgetattr(slave, &before), 0);
    put(master, "for the shell\n");
    pid_t pid = fork();
    if (!pid)
        _exit(run_background_job(slave));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(tcgetattr(slave, &after), 0);
    ck_assert_uint_eq(after.c_lflag, before.c_lflag);
}
END_TEST

static void add_stdio_tests(TCase *tc)
{
    tcase_add_test(tc, stdio_output_is_there_when_write_returns);
    tcase_add_loop_test(tc, stdio_never_makes_shared_descriptors_non_blocking, 0, 2);
    tcase_add_test(tc, stdio_pipe_is_binary_clean);
    tcase_add_test(tc, stdio_end_of_input_is_not_the_end);
    tcase_add_test(tc, stdio_unread_input_does_not_spin_the_loop);
    tcase_add_test(tc, stdio_stuck_reader_holds_back_and_loses_nothing);
    tcase_add_test(tc, stdio_gone_reader_is_told_once_and_ignored);
    tcase_add_test(tc, stdio_reader_that_goes_while_stuck_frees_the_guest);
    tcase_add_test(tc, stdio_close_flushes_to_a_slow_reader);
    tcase_add_test(tc, stdio_patient_write_waits_for_a_slow_reader);
    tcase_add_test(tc, stdio_close_gives_up_on_a_stuck_reader);
    tcase_add_test(tc, stdio_works_on_sockets);
    tcase_add_test(tc, stdio_works_on_regular_files);
    tcase_add_test(tc, stdio_works_on_dev_null);
    tcase_add_test(tc, stdio_is_there_only_once);
    tcase_add_loop_test(tc, stdio_closed_descriptor_is_an_error, 0, 2);
    tcase_add_loop_test(tc, stdio_echoes_a_megabyte_whole_and_in_order, 0, 2);
    tcase_add_test(tc, stdio_ctrl_a_x_quits_though_the_guest_reads_nothing);
    tcase_add_test(tc, stdio_ctrl_a_a_sends_ctrl_a);
    tcase_add_test(tc, stdio_ctrl_a_b_breaks_in_its_place);
    tcase_add_test(tc, stdio_ctrl_a_h_lists_every_command);
    tcase_add_test(tc, stdio_output_without_own_description_goes_through_the_loop);
}

int main(void)
{
    Suite *suite = suite_create("chr");
    TCase *tc = tcase_create("chr");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, chr_unknown_backend_lists_the_known);
    tcase_add_loop_test(tc, chr_none_takes_everything_and_gives_nothing, 0, 2);
    tcase_add_test(tc, chr_close_allows_null);
    add_stdio_tests(tc);
    tcase_add_test(tc, file_starts_anew_and_is_written_at_once);
    tcase_add_test(tc, file_full_disk_is_told_once);
    tcase_add_test(tc, file_errors_name_the_path);
    tcase_add_test(tc, file_slow_fifo_holds_back);
    tcase_add_test(tc, pty_passes_bytes_both_ways_unchanged);
    tcase_add_test(tc, pty_survives_its_peer);
    tcase_add_test(tc, pty_stuck_peer_holds_back_and_loses_nothing);
    tcase_add_test(tc, fd_pipes_pass_bytes_and_tell_the_end);
    tcase_add_test(tc, fd_end_is_told_after_the_last_byte_was_taken);
    tcase_add_test(tc, fd_regular_file_ends_too);
    tcase_add_test(tc, fd_one_socket_serves_both_ways);
    tcase_add_test(tc, fd_errors_name_the_descriptor);
    tcase_add_test(tc, socket_serves_one_client_after_another);
    tcase_add_test(tc, socket_client_that_sends_no_more_still_gets_output);
    tcase_add_test(tc, socket_client_that_leaves_while_stuck_frees_the_guest);
    tcase_add_test(tc, socket_name_is_taken_over_or_refused_and_removed_at_the_end);
    tcase_add_loop_test(tc, tty_is_raw_meanwhile_and_restored_on_every_way_out, 0, WAYS_OUT);
    tcase_add_test(tc, tty_raw_needs_no_terminal);
    tcase_add_test(tc, tty_stays_as_it_is_unless_stdio_is_in_use);
    tcase_add_test(tc, tty_background_job_leaves_the_terminal_alone);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
