// SPDX-License-Identifier: MIT
//
// Host side of the testbed: starts the emulator, relays the program's standard streams between it
// and ours, and ends with the program's exit status. See init.c for the other side.
//
// Usage: host [-t SECONDS] [-d DIRECTORY] [-l KERNEL-LOG] [-r REPORT] [-T] -- EMULATOR ARGS...
//   -t  end with 124 after so many seconds        -d  remove this directory on every way out
//   -l  shown when the testbed itself fails       -r  where counts go (default: standard error)
//   -T  standard input is a terminal: raw while we run, every key goes to the program
//
// The emulator gets: 0 the program's input, 1 /dev/null, 2 the file "emulator.log" in DIRECTORY,
// 3 the program's output, 4 the program's errors, 5 the control socket.
// Our own descriptors are never made non-blocking: they may be shared with other processes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_TIMEOUT = 124, STATUS_TESTBED = 125 };
enum { PIECE_BYTES = 4096, PIPE_BYTES = 1 << 20, TAIL_LINES = 15 }; // a piece never blocks a pipe
enum { END_MS = 5000 };              // how long the emulator may take to put away its disks
enum { START_S = 90, START_TRIES = 3 }; // a start that takes longer is given up, and tried again

struct stream {
    int source, sink;
    uint64_t total;
    size_t have, done;
    bool ended;
    char data[PIECE_BYTES];
};

struct host {
    const char *directory, *kernel_log, *report_path;
    bool tty, tty_raw;
    struct termios saved_tty;
    struct timespec deadline, start_deadline;
    bool has_deadline;
    char **command;
    int starts;
    pid_t emulator;
    bool emulator_ended;
    struct stream in, out, err;
    int control, signals; // control is -1 after the emulator closed it
    char line[1024];
    size_t line_length;
    bool started, exited;
    int status;
    unsigned long long out_bytes, err_bytes;
    char failure[1024];
    FILE *report;
};

static struct host host;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void show_tail(const char *path)
{
    char *line = NULL, *tail[TAIL_LINES] = {NULL};
    size_t size = 0, count = 0;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return;
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        free(tail[count % TAIL_LINES]);
        tail[count++ % TAIL_LINES] = strdup(line);
    }
    for (size_t i = count > TAIL_LINES ? count - TAIL_LINES : 0; i < count; i++)
        fprintf(stderr, "testbed: | %s\n", tail[i % TAIL_LINES]);
    for (size_t i = 0; i < TAIL_LINES; i++)
        free(tail[i]);
    free(line);
    fclose(file);
}

// After a program's end the emulator may close its disks in order; but it is not waited for for ever.
static void end_emulator(void)
{
    if (host.emulator <= 0 || host.emulator_ended)
        return;
    kill(host.emulator, host.exited ? SIGTERM : SIGKILL);
    for (int ms = 0; ms < END_MS; ms++) {
        if (waitpid(host.emulator, NULL, WNOHANG))
            return;
        usleep(1000);
    }
    kill(host.emulator, SIGKILL);
    waitpid(host.emulator, NULL, 0);
}

// Every way out of the process leads through here.
static _Noreturn void leave(int status)
{
    end_emulator();
    if (host.tty_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &host.saved_tty);
    if (status == STATUS_TESTBED && host.failure[0]) {
        char path[4096];
        fprintf(stderr, "testbed: %s\n", host.failure);
        snprintf(path, sizeof path, "%s/emulator.log", host.directory ? host.directory : ".");
        show_tail(path);
        show_tail(host.kernel_log);
    }
    if (host.report && host.report != stderr && fclose(host.report)) {
        fprintf(stderr, "testbed: write %s: %s\n", host.report_path, strerror(errno));
        status = STATUS_TESTBED;
    }
    if (host.directory)
        nftw(host.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    exit(status);
}

static _Noreturn void fail(const char *what, const char *why)
{
    snprintf(host.failure, sizeof host.failure, "%s: %s", what, why);
    leave(STATUS_TESTBED);
}

static void make_raw(void)
{
    struct termios raw;
    if (!host.tty || tcgetattr(STDIN_FILENO, &host.saved_tty))
        return;
    raw = host.saved_tty;
    cfmakeraw(&raw);
    if (!tcsetattr(STDIN_FILENO, TCSADRAIN, &raw))
        host.tty_raw = true;
}

static void open_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    host.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (host.signals < 0)
        fail("signalfd", strerror(errno));
}

static _Noreturn void run_emulator(char **argv, const int wanted[6])
{
    sigset_t none;
    int high[6];
    prctl(PR_SET_PDEATHSIG, SIGKILL); // even when we are killed outright
    setpgid(0, 0);                    // keys of the terminal are for us, not for it
    for (int i = 0; i < 6; i++)
        high[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 64);
    for (int i = 0; i < 6; i++)
        dup2(high[i], i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static struct timespec seconds_from_now(double seconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    long long ns = time.tv_nsec + (long long)(seconds * 1e9);
    return (struct timespec){.tv_sec = time.tv_sec + ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void start_emulator(void)
{
    int in[2], out[2], err[2], control[2];
    char path[4096];
    snprintf(path, sizeof path, "%s/emulator.log", host.directory ? host.directory : ".");
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
        pipe2(err, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        fail("open pipes to the emulator", strerror(errno));
    (void)fcntl(out[0], F_SETPIPE_SZ, PIPE_BYTES);
    (void)fcntl(err[0], F_SETPIPE_SZ, PIPE_BYTES);
    (void)fcntl(in[1], F_SETFL, O_NONBLOCK);
    host.emulator = fork();
    if (host.emulator < 0)
        fail("fork", strerror(errno));
    if (host.emulator == 0)
        run_emulator(host.command, (int[]){in[0], null, log, out[1], err[1], control[1]});
    close(in[0]);
    close(out[1]);
    close(err[1]);
    close(control[1]);
    close(log);
    close(null);
    host.in = (struct stream){.source = STDIN_FILENO, .sink = in[1]};
    host.out = (struct stream){.source = out[0], .sink = STDOUT_FILENO};
    host.err = (struct stream){.source = err[0], .sink = STDERR_FILENO};
    host.control = control[0];
    host.line_length = 0;
    host.starts++;
    host.start_deadline = seconds_from_now(START_S);
}

// The emulated kernel has been seen to stop for good before the program ran; nothing has passed
// through the streams until then, so that a second start is as good as the first.
static void restart_emulator(void)
{
    int ours[] = {host.in.sink, host.out.source, host.err.source, host.control};
    fprintf(stderr, "testbed: the program did not start within %d s: starting the emulator again\n",
            START_S);
    kill(host.emulator, SIGKILL);
    waitpid(host.emulator, NULL, 0);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i] >= 0)
            close(ours[i]);
    start_emulator();
}

static void send_size(void)
{
    struct winsize size;
    char line[64];
    if (!host.tty || ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
        return;
    int length = snprintf(line, sizeof line, "size %u %u\n", size.ws_row, size.ws_col);
    (void)!write(host.control, line, (size_t)length);
}

static void handle_line(const char *line)
{
    char name[128];
    unsigned long long value;
    if (!strcmp(line, "start")) {
        host.started = true;
        send_size();
    } else if (sscanf(line, "count %127s %llu", name, &value) == 2) {
        fprintf(host.report ? host.report : stderr, "testbed: %s %llu\n", name, value);
    } else if (sscanf(line, "exit %d %llu %llu", &host.status, &host.out_bytes,
                      &host.err_bytes) == 3) {
        host.exited = true;
    } else if (!strncmp(line, "fail ", 5)) {
        fail("in the guest", line + 5);
    }
}

static void read_control(void)
{
    char data[512];
    ssize_t got = read(host.control, data, sizeof data);
    if (got <= 0) {
        close(host.control);
        host.control = -1;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (data[i] == '\n' || host.line_length == sizeof host.line - 1) {
            host.line[host.line_length] = 0;
            host.line_length = 0;
            handle_line(host.line);
        } else {
            host.line[host.line_length++] = data[i];
        }
    }
}

static void fill(struct stream *stream)
{
    ssize_t got = read(stream->source, stream->data, sizeof stream->data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    stream->have = got > 0 ? (size_t)got : 0;
    stream->done = 0;
    stream->ended = got <= 0;
}

static void flush(struct stream *stream)
{
    ssize_t put = write(stream->sink, stream->data + stream->done, stream->have - stream->done);
    if (put < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (put < 0 && stream != &host.in) {
        if (errno == EPIPE)
            leave(128 + SIGPIPE);
        fail("write output", strerror(errno));
    }
    if (put < 0)
        put = (ssize_t)(stream->have - stream->done); // the emulator is gone; its end is handled
    stream->done += (size_t)put;
    stream->total += (size_t)put;
}

static void prepare(const struct stream *stream, struct pollfd *read_fd, struct pollfd *write_fd)
{
    bool pending = stream->done < stream->have;
    *read_fd = (struct pollfd){.fd = pending || stream->ended ? -1 : stream->source,
                               .events = POLLIN};
    *write_fd = (struct pollfd){.fd = pending ? stream->sink : -1, .events = POLLOUT};
}

static void handle_signals(void)
{
    struct signalfd_siginfo info;
    while (read(host.signals, &info, sizeof info) == sizeof info) {
        int status, sig = (int)info.ssi_signo;
        if (sig == SIGWINCH) {
            send_size();
        } else if (sig == SIGCHLD) {
            if (waitpid(host.emulator, &status, WNOHANG) == host.emulator)
                host.emulator_ended = true;
        } else {
            leave(128 + sig);
        }
    }
}

static long long ms_until(struct timespec deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (deadline.tv_sec - now.tv_sec) * 1000LL + (deadline.tv_nsec - now.tv_nsec) / 1000000 + 1;
}

static int remaining_ms(void)
{
    long long ms = host.has_deadline ? ms_until(host.deadline) : 1000000;
    if (ms <= 0) {
        fprintf(stderr, "testbed: timeout: the program was %s\n",
                host.started ? "still running" : "not yet started");
        leave(STATUS_TIMEOUT);
    }
    if (!host.started && host.starts < START_TRIES) {
        long long start_ms = ms_until(host.start_deadline);
        ms = start_ms < 0 ? 0 : start_ms < ms ? start_ms : ms;
    }
    return ms > 1000000 ? 1000000 : (int)ms;
}

static bool is_complete(void)
{
    return host.exited && host.out.total >= host.out_bytes && host.err.total >= host.err_bytes;
}

static void relay_all(void)
{
    while (!is_complete()) {
        struct pollfd fds[8];
        if (!host.started && host.starts < START_TRIES && ms_until(host.start_deadline) <= 0)
            restart_emulator();
        prepare(&host.in, &fds[0], &fds[1]);
        if (!host.started)
            fds[0].fd = -1;
        prepare(&host.out, &fds[2], &fds[3]);
        prepare(&host.err, &fds[4], &fds[5]);
        fds[6] = (struct pollfd){.fd = host.control, .events = POLLIN};
        fds[7] = (struct pollfd){.fd = host.signals, .events = POLLIN};
        if (poll(fds, 8, remaining_ms()) < 0)
            continue;
        struct stream *streams[] = {&host.in, &host.out, &host.err};
        for (int i = 0; i < 3; i++) {
            if (fds[2 * i].revents)
                fill(streams[i]);
            if (fds[2 * i + 1].revents)
                flush(streams[i]);
        }
        if (host.in.ended && host.in.sink >= 0 && host.in.done == host.in.have) {
            close(host.in.sink);
            host.in.sink = -1;
        }
        if (fds[6].revents)
            read_control();
        if (fds[7].revents)
            handle_signals();
        if (host.emulator_ended && host.control < 0 && host.out.ended && host.err.ended &&
            !is_complete())
            fail(host.started ? "the guest stopped" : "the guest did not start the program",
                 "the emulator ended");
    }
}

static void parse(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "+t:d:l:r:T")) != -1) {
        switch (option) {
        case 't':
            host.deadline = seconds_from_now(strtod(optarg, NULL));
            host.has_deadline = true;
            break;
        case 'd': host.directory = optarg; break;
        case 'l': host.kernel_log = optarg; break;
        case 'r': host.report_path = optarg; break;
        case 'T': host.tty = true; break;
        default: fail("host", "bad option");
        }
    }
    if (optind >= argc)
        fail("host", "no emulator given");
    host.command = argv + optind;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    if (host.report_path && !(host.report = fopen(host.report_path, "we")))
        fail(host.report_path, strerror(errno));
    open_signals();
    start_emulator();
    make_raw();
    relay_all();
    leave(host.status);
}
