// SPDX-License-Identifier: MIT
//
// First process of the testbed guest: gets one program running as soon as possible and reports
// how it ended. It mounts the usual file systems, inserts the modules which /lib/minivmm/modules
// lists, in that order, gives the program its standard streams, relays them to the ports of one
// virtio-serial device, and tells the host the exit status on a control port.
//
// Ports (fixed numbers, see the testbed script): 1 standard input, 2 standard output,
// 3 standard error, 4 control. Control lines to the host: "start", "count NAME VALUE",
// "fail TEXT", "exit STATUS OUT-BYTES ERR-BYTES"; from the host: "size ROWS COLUMNS".
// The host ends the machine once it has all the bytes announced by "exit".
//
// Left out: job control and reaping order for programs that leave background processes; what
// those write after the program's end is lost.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PORT_STDIN = 1, PORT_STDOUT, PORT_STDERR, PORT_CONTROL, PORT_COUNT };
enum { RELAY_BYTES = 32768, LAST_PIECES = 64, MAX_WORDS = 4096, PORT_WAIT_MS = 10000 };

struct run {
    char *argv[MAX_WORDS];
    char *envp[MAX_WORDS];
    const char *cwd;
    bool tty;
    bool count;
    unsigned rows, columns;
};

// One direction of one standard stream. `source` is -1 after its end.
struct relay {
    int source, sink;
    uint64_t total;
    size_t have, done;
    char data[RELAY_BYTES];
};

static int port_fd[PORT_COUNT] = {-1, -1, -1, -1, -1};

static void control(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0)
        return;
    if ((size_t)length >= sizeof line)
        length = (int)sizeof line - 1;
    int fd = port_fd[PORT_CONTROL];
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        fprintf(stderr, "testbed: %s", line);
}

// The machine stays until the host has read everything and ends it; the reset is for the case
// that nobody listens (under -no-reboot it ends the machine too).
static _Noreturn void finish(void)
{
    sync();
    sleep(5);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

static _Noreturn void fail(const char *what, const char *object)
{
    int error = errno;
    fprintf(stderr, "testbed: %s %s: %s\n", what, object, strerror(error));
    control("fail %s %s: %s\n", what, object, strerror(error));
    finish();
}

static void mount_all(void)
{
    static const struct {
        const char *type, *where, *options;
    } mounts[] = {
        {"devtmpfs", "/dev", "mode=755"},          {"proc", "/proc", ""},
        {"sysfs", "/sys", ""},                     {"devpts", "/dev/pts", "mode=620,ptmxmode=666"},
        {"tmpfs", "/dev/shm", "mode=1777"},        {"debugfs", "/sys/kernel/debug", ""},
        {"tracefs", "/sys/kernel/tracing", ""},
    };
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        mkdir(mounts[i].where, 0755);
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, mounts[i].options) &&
            errno != EBUSY && i < 3)
            fail("mount", mounts[i].where);
    }
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
    mkdir("/tmp", 01777);
    chmod("/tmp", 01777);
}

// Kernel messages and our own words go to the console until the program runs.
static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    if (fd < 0)
        return;
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static void insert_modules(void)
{
    FILE *list = fopen("/lib/minivmm/modules", "re");
    char line[512];
    if (!list)
        fail("open", "/lib/minivmm/modules");
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        char *parameters = strchr(line, ' ');
        if (parameters)
            *parameters++ = 0;
        int fd = open(line, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fail("open", line);
        if (syscall(SYS_finit_module, fd, parameters ? parameters : "", 0) && errno != EEXIST)
            fail("insert module", line);
        close(fd);
    }
    fclose(list);
}

static void open_ports(void)
{
    for (int port = 1; port < PORT_COUNT; port++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/vport0p%d", port);
        int flags = (port == PORT_CONTROL ? O_RDWR : port == PORT_STDIN ? O_RDONLY : O_WRONLY);
        for (int waited_ms = 0;; waited_ms++) {
            port_fd[port] = open(path, flags | O_CLOEXEC);
            if (port_fd[port] >= 0)
                break;
            if (waited_ms == PORT_WAIT_MS)
                fail("open", path);
            usleep(1000);
        }
    }
}

static char *read_whole(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        fail("open", path);
    char *text = calloc(1, (size_t)status.st_size + 1);
    if (!text || read(fd, text, (size_t)status.st_size) != status.st_size)
        fail("read", path);
    close(fd);
    *size = (size_t)status.st_size;
    return text;
}

// /.testbed/run: words "key=value", each closed by a zero byte.
static void parse_run(struct run *run)
{
    size_t size, argc = 0, envc = 0;
    char *text = read_whole("/.testbed/run", &size);
    for (char *word = text; word < text + size; word += strlen(word) + 1) {
        char *value = strchr(word, '=');
        size_t key = value ? (size_t)(value - word) : 0;
        if (!value || argc + 1 >= MAX_WORDS || envc + 1 >= MAX_WORDS) {
            errno = E2BIG;
            fail("parse", "/.testbed/run");
        }
        value++;
        if (!strncmp(word, "arg", key))
            run->argv[argc++] = value;
        else if (!strncmp(word, "env", key))
            run->envp[envc++] = value;
        else if (!strncmp(word, "cwd", key))
            run->cwd = value;
        else if (!strncmp(word, "tty", key))
            run->tty = *value == '1';
        else if (!strncmp(word, "count", key))
            run->count = *value == '1';
        else if (!strncmp(word, "rows", key))
            run->rows = (unsigned)atoi(value);
        else if (!strncmp(word, "columns", key))
            run->columns = (unsigned)atoi(value);
    }
}

static uint64_t read_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

static void set_window_size(int fd, unsigned rows, unsigned columns)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    if (rows && columns)
        ioctl(fd, TIOCSWINSZ, &size);
}

// The counters of the in-kernel KVM, summed over all virtual machines that exist now.
static void report_kvm_counters(void)
{
    DIR *directory = opendir("/sys/kernel/debug/kvm");
    struct dirent *entry;
    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        char text[32] = "";
        int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (read(fd, text, sizeof text - 1) > 0 && strtoull(text, NULL, 0)) {
            // The guest's FPU state is put away once for each return of KVM_RUN.
            if (!strcmp(entry->d_name, "fpu_reload"))
                control("count kvm.user_exits %llu\n", strtoull(text, NULL, 0));
            control("count kvm.%s %llu\n", entry->d_name, strtoull(text, NULL, 0));
        }
        close(fd);
    }
    closedir(directory);
}

struct counter {
    uint64_t tsc;
    struct timespec raw;
    bool running, seen;
};

static void counter_start(struct counter *counter)
{
    clock_gettime(CLOCK_MONOTONIC_RAW, &counter->raw);
    counter->running = true;
    counter->tsc = read_tsc();
}

static void counter_stop(struct counter *counter)
{
    uint64_t tsc = read_tsc();
    struct timespec raw;
    if (!counter->running || counter->seen)
        return;
    counter->seen = true;
    clock_gettime(CLOCK_MONOTONIC_RAW, &raw);
    control("count instructions %llu\n", (unsigned long long)(tsc - counter->tsc));
    control("count raw_ns %lld\n", (raw.tv_sec - counter->raw.tv_sec) * 1000000000LL +
                                       (raw.tv_nsec - counter->raw.tv_nsec));
    report_kvm_counters();
}

struct child {
    pid_t pid;
    int in, out, err; // our ends; with a terminal all three are its master side, err is -1
};

static _Noreturn void run_program(const struct run *run, const int ends[3], const int go[2])
{
    char byte;
    sigset_t none;
    setsid();
    if (run->tty)
        ioctl(ends[0], TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(ends[i], i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (run->count)
        personality(ADDR_NO_RANDOMIZE);
    if (run->cwd && chdir(run->cwd) && chdir("/"))
        _exit(126);
    close(go[1]);
    (void)!read(go[0], &byte, 1); // returns when the parent is ready to count
    execve(run->argv[0], run->argv, run->envp);
    fprintf(stderr, "testbed: cannot run %s: %s\n", run->argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static void open_terminal(const struct run *run, int ends[3], struct child *child)
{
    int master = open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY);
    int zero = 0;
    unsigned number;
    char path[32];
    if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) || ioctl(master, TIOCGPTN, &number))
        fail("open", "/dev/ptmx");
    snprintf(path, sizeof path, "/dev/pts/%u", number);
    set_window_size(master, run->rows, run->columns);
    ends[0] = ends[1] = ends[2] = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (ends[0] < 0)
        fail("open", path);
    child->in = child->out = master;
    child->err = -1;
}

static void open_pipes(int ends[3], struct child *child)
{
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        fail("open", "pipes");
    ends[0] = in[0];
    ends[1] = out[1];
    ends[2] = err[1];
    child->in = in[1];
    child->out = out[0];
    child->err = err[0];
}

static void start_program(const struct run *run, struct child *child)
{
    int ends[3], go[2];
    if (run->tty)
        open_terminal(run, ends, child);
    else
        open_pipes(ends, child);
    if (pipe2(go, O_CLOEXEC))
        fail("open", "pipes");
    child->pid = fork();
    if (child->pid < 0)
        fail("fork", run->argv[0]);
    if (child->pid == 0)
        run_program(run, ends, go);
    if (run->count && ptrace(PTRACE_SEIZE, child->pid, 0,
                             PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL))
        fail("trace", run->argv[0]);
    for (int i = 0; i < (run->tty ? 1 : 3); i++)
        close(ends[i]);
    int ours[3] = {child->in, child->out, child->err};
    for (int i = 0; i < 3; i++)
        if (ours[i] >= 0)
            fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK);
    control("start\n");
    close(go[0]);
    close(go[1]);
}

// Handles a stop of the traced program: its exec and its exit bound what is counted.
static void handle_stop(pid_t pid, int status, struct counter *counter)
{
    int event = status >> 16, sig = WSTOPSIG(status);
    if (event == PTRACE_EVENT_EXEC) {
        counter_start(counter);
        sig = 0;
    } else if (event == PTRACE_EVENT_EXIT) {
        counter_stop(counter);
        sig = 0;
    } else if (event == PTRACE_EVENT_STOP) {
        ptrace(PTRACE_LISTEN, pid, 0, 0);
        return;
    }
    ptrace(PTRACE_CONT, pid, 0, sig);
}

// Returns true once the program itself has ended, with its wait status.
static bool reap(pid_t wanted, int *wait_status, struct counter *counter)
{
    bool ended = false;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        if (WIFSTOPPED(status)) {
            handle_stop(pid, status, counter);
        } else if (pid == wanted) {
            *wait_status = status;
            ended = true;
        }
    }
    return ended;
}

// Moves one piece from the program to the host. The port blocks while the host is slow.
// Returns false when nothing is there.
static bool relay_out(struct relay *relay)
{
    if (relay->source < 0)
        return false;
    ssize_t got = read(relay->source, relay->data, sizeof relay->data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) { // end of a pipe; a terminal that nobody has open reads as EIO
        relay->source = -1;
        return false;
    }
    for (ssize_t sent = 0; sent < got;) {
        ssize_t part = write(relay->sink, relay->data + sent, (size_t)(got - sent));
        if (part < 0 && errno != EINTR)
            fail("write", "port");
        sent += part > 0 ? part : 0;
    }
    relay->total += (uint64_t)got;
    return true;
}

// Moves one piece from the host to the program; at the end closes the program's input.
static void relay_in(struct relay *relay, bool tty)
{
    if (relay->done == relay->have) {
        ssize_t got = read(relay->source, relay->data, sizeof relay->data);
        if (got < 0)
            return;
        relay->have = (size_t)got;
        relay->done = 0;
        if (got == 0) {
            relay->source = -1;
            if (tty)
                (void)!write(relay->sink, "\004", 1);
            else
                close(relay->sink);
            return;
        }
    }
    ssize_t put = write(relay->sink, relay->data + relay->done, relay->have - relay->done);
    if (put > 0)
        relay->done += (size_t)put;
    else if (put < 0 && errno != EAGAIN && errno != EINTR)
        relay->done = relay->have; // the program closed its input: what comes is dropped
}

static void handle_control(int terminal)
{
    char line[64];
    unsigned rows, columns;
    ssize_t got = read(port_fd[PORT_CONTROL], line, sizeof line - 1);
    if (got <= 0)
        return;
    line[got] = 0;
    if (sscanf(line, "size %u %u", &rows, &columns) == 2 && terminal >= 0)
        set_window_size(terminal, rows, columns);
}

static int supervise(const struct run *run, struct child *child, struct relay relays[3],
                     struct counter *counter)
{
    struct relay *in = &relays[0], *out = &relays[1], *err = &relays[2];
    int wait_status = 0;
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        bool pending = in->done < in->have;
        struct pollfd fds[] = {
            {.fd = signals, .events = POLLIN},
            {.fd = out->source, .events = POLLIN},
            {.fd = err->source, .events = POLLIN},
            {.fd = pending ? in->sink : in->source, .events = pending ? POLLOUT : POLLIN},
            {.fd = run->tty ? port_fd[PORT_CONTROL] : -1, .events = POLLIN},
        };
        if (in->source < 0)
            fds[3].fd = -1;
        if (poll(fds, sizeof fds / sizeof *fds, -1) < 0)
            continue;
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof info) > 0)
            continue;
        if (fds[1].revents)
            relay_out(out);
        if (fds[2].revents)
            relay_out(err);
        if (fds[3].revents)
            relay_in(in, run->tty);
        if (fds[4].revents & POLLIN)
            handle_control(child->in);
        if (reap(child->pid, &wait_status, counter))
            break;
    }
    // What the program left in its pipes; bounded, as a child it left behind may go on writing.
    for (int i = 0; i < LAST_PIECES && relay_out(out); i++)
        continue;
    for (int i = 0; i < LAST_PIECES && relay_out(err); i++)
        continue;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int main(void)
{
    static struct run run;
    static struct relay relays[3];
    struct counter counter = {0};
    struct child child;
    sigset_t chld;

    mount_all();
    open_console();
    insert_modules();
    open_ports();
    parse_run(&run);

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    signal(SIGPIPE, SIG_IGN);
    start_program(&run, &child);
    relays[0] = (struct relay){.source = port_fd[PORT_STDIN], .sink = child.in};
    relays[1] = (struct relay){.source = child.out, .sink = port_fd[PORT_STDOUT]};
    relays[2] = (struct relay){.source = child.err, .sink = port_fd[PORT_STDERR]};
    int status = supervise(&run, &child, relays, &counter);
    sync();
    control("exit %d %llu %llu\n", status, (unsigned long long)relays[1].total,
            (unsigned long long)relays[2].total);
    finish();
}
