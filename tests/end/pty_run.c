// SPDX-License-Identifier: MIT
//
// Runs a command as a job on a new terminal, as a shell with job control would, and drives it from outside:
//
//   pty_run STEP... -- COMMAND ARG...     exit status: the command's, 128+n when signal n ended it; 255: a step or check failed
//   pty_run tid PID NAME                  prints the id of the process's thread of that name
//   pty_run tkill PID NAME SIGNAL         sends the signal to that thread alone
//
// Steps, in order:
//   background       (first) the job starts in the terminal's background
//   expect:TEXT      wait for TEXT in the output that no earlier step has taken; \xHH stands for a byte
//   send:TEXT        type TEXT
//   signal:NUMBER    to the job
//   raw, cooked      wait until the terminal is in this mode
//   stopped          wait until the job is stopped
//   stty             put the terminal back to how it was, as a shell does when its job stops
//   front, back      move the job to the terminal's foreground or background
// A command that waits for the end comes by itself. Then the terminal's modes must be those of before, and the job must never have been
// stopped but where a step says so. What the job wrote goes to stdout, what is wrong to stderr.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define PATIENCE_MS 30000
#define ROUND_MS 10
#define FAILED 255

enum { STARTED, STOPPED, ENDED };

/* From the session leader to us. */
struct report {
    int what;
    int value; /* pid, signal, wait status */
};

static int master, slave, reports[2], orders[2];
static pid_t job;
static struct termios before;
static char output[1 << 20];
static size_t taken, have;
static bool stopped, may_stop, ended;
static int end_status;

static void fail(const char *what, const char *arg)
{
    fprintf(stderr, "pty_run: %s%s\n", what, arg);
    fflush(stdout);
    if (job > 0 && !ended)
        kill(job, SIGKILL);
    exit(FAILED);
}

/* --- the session leader, in the place of a shell --- */

static void report(int what, int value)
{
    struct report r = {what, value};
    if (write(reports[1], &r, sizeof r) != sizeof r)
        _exit(1);
}

static void obey(pid_t pid)
{
    struct pollfd p = {.fd = orders[0], .events = POLLIN};
    char order;
    if (poll(&p, 1, ROUND_MS) == 1 && read(orders[0], &order, 1) == 1)
        tcsetpgrp(0, order == 'f' ? pid : getpgrp());
    else if (p.revents & POLLHUP)
        _exit(0);
}

static void lead(char **command, bool background)
{
    signal(SIGTTOU, SIG_IGN);
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        if (!background)
            tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        execvp(command[0], command);
        _exit(127);
    }
    setpgid(pid, pid);
    if (!background)
        tcsetpgrp(0, pid);
    report(STARTED, pid);
    for (;;) {
        int status;
        if (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid) {
            report(WIFSTOPPED(status) ? STOPPED : ENDED,
                   WIFSTOPPED(status) ? WSTOPSIG(status) : status);
        }
        obey(pid);
    }
}

static void start(char **command, bool background)
{
    if (pipe2(reports, O_CLOEXEC) || pipe2(orders, O_CLOEXEC) ||
        openpty(&master, &slave, NULL, NULL, NULL) || tcgetattr(slave, &before))
        fail("no terminal", "");
    if (!fork()) {
        close(orders[1]);
        login_tty(slave);
        close(master);
        lead(command, background);
    }
    close(orders[0]);
    close(reports[1]);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(master, F_SETFL, O_NONBLOCK);
}

/* --- what comes from there --- */

static void take_report(void)
{
    struct report r;
    if (read(reports[0], &r, sizeof r) != sizeof r)
        fail("the session leader is gone", "");
    if (r.what == STARTED) {
        job = r.value;
    } else if (r.what == STOPPED) {
        stopped = true;
        if (!may_stop)
            fail("the job was stopped: ", strsignal(r.value));
    } else {
        ended = true;
        end_status = r.value;
    }
}

static void take_output(void)
{
    ssize_t n = read(master, output + have, sizeof output - have - 1);
    if (n > 0) {
        fwrite(output + have, 1, (size_t)n, stdout);
        have += (size_t)n;
    }
}

/* One round of everything; false when time is up. */
static bool wait_round(unsigned *rounds)
{
    struct pollfd p[2] = {{.fd = reports[0], .events = POLLIN}, {.fd = master, .events = POLLIN}};
    if (++*rounds > PATIENCE_MS / ROUND_MS)
        return false;
    if (poll(p, 2, ROUND_MS) > 0) {
        if (p[1].revents & POLLIN)
            take_output();
        if (p[0].revents & POLLIN)
            take_report();
    }
    return true;
}

/* --- steps --- */

static size_t unescape(const char *text, char *out)
{
    size_t n = 0;
    for (; *text; text++) {
        unsigned byte;
        if (text[0] == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            out[n++] = (char)byte;
            text += 3;
        } else {
            out[n++] = *text;
        }
    }
    return n;
}

static void expect(const char *text)
{
    char want[256];
    size_t len = unescape(text, want);
    for (unsigned rounds = 0;;) {
        char *at = memmem(output + taken, have - taken, want, len);
        if (at) {
            taken = (size_t)(at - output) + len;
            return;
        }
        if (ended || !wait_round(&rounds))
            fail("not seen in the output: ", text);
    }
}

static void send_text(const char *text)
{
    char bytes[256];
    size_t len = unescape(text, bytes);
    if (write(master, bytes, len) != (ssize_t)len)
        fail("cannot type ", text);
}

static void wait_mode(bool raw)
{
    for (unsigned rounds = 0;;) {
        struct termios t;
        tcgetattr(slave, &t);
        if (raw ? !(t.c_lflag & (ICANON | ISIG | ECHO)) : t.c_lflag == before.c_lflag)
            return;
        if (!wait_round(&rounds))
            fail("the terminal does not become ", raw ? "raw" : "what it was");
    }
}

static void wait_stopped(void)
{
    for (unsigned rounds = 0; !stopped;) {
        if (!wait_round(&rounds))
            fail("the job does not stop", "");
    }
    stopped = may_stop = false;
}

static void order(char what)
{
    if (write(orders[1], &what, 1) != 1)
        fail("the session leader is gone", "");
    for (unsigned rounds = 0;;) {
        bool front = tcgetpgrp(master) == job;
        if (front == (what == 'f'))
            return;
        if (!wait_round(&rounds))
            fail("the job cannot be moved", "");
    }
}

static void step(const char *s)
{
    if (!strncmp(s, "expect:", 7))
        expect(s + 7);
    else if (!strncmp(s, "send:", 5))
        send_text(s + 5);
    else if (!strncmp(s, "signal:", 7))
        kill(job, atoi(s + 7));
    else if (!strcmp(s, "raw") || !strcmp(s, "cooked"))
        wait_mode(*s == 'r');
    else if (!strcmp(s, "stopped"))
        wait_stopped();
    else if (!strcmp(s, "stty"))
        tcsetattr(slave, TCSANOW, &before);
    else if (!strcmp(s, "front") || !strcmp(s, "back"))
        order(*s);
    else
        fail("unknown step ", s);
}

static void check_modes(void)
{
    struct termios after;
    tcgetattr(slave, &after);
    if (after.c_iflag != before.c_iflag || after.c_oflag != before.c_oflag ||
        after.c_cflag != before.c_cflag || after.c_lflag != before.c_lflag ||
        memcmp(after.c_cc, before.c_cc, sizeof after.c_cc) != 0)
        fail("the terminal's modes are not what they were", "");
}

static int drive(char **argv)
{
    char **command = argv;
    while (*command && strcmp(*command, "--") != 0)
        command++;
    if (!*command || !command[1])
        fail("usage: pty_run STEP... -- COMMAND ARG...", "");
    bool background = !strcmp(argv[0], "background");
    start(command + 1, background);
    unsigned rounds = 0;
    while (!job && wait_round(&rounds))
        ;
    for (char **s = argv + background; s != command; s++) {
        may_stop = !strcmp(s[1], "stopped") || !strcmp(s[0], "stopped");
        step(*s);
    }
    for (rounds = 0; !ended;) {
        if (!wait_round(&rounds))
            fail("the job does not end", "");
    }
    take_output();
    check_modes();
    return WIFSIGNALED(end_status) ? 128 + WTERMSIG(end_status) : WEXITSTATUS(end_status);
}

/* --- threads --- */

static int find_thread(int pid, const char *name)
{
    char path[300], comm[64] = "";
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    int tid = 0;
    for (struct dirent *d; dir && !tid && (d = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", pid, d->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(comm, sizeof comm, f) && !strncmp(comm, name, strlen(name)) &&
            comm[strlen(name)] == '\n')
            tid = atoi(d->d_name);
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return tid;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && (!strcmp(argv[1], "tid") || !strcmp(argv[1], "tkill"))) {
        int pid = atoi(argv[2]), tid = find_thread(pid, argv[3]);
        if (tid && argc == 5)
            return syscall(SYS_tgkill, pid, tid, atoi(argv[4])) ? FAILED : 0;
        printf("%d\n", tid);
        return tid ? 0 : FAILED;
    }
    return argc > 1 ? drive(argv + 1) : FAILED;
}
