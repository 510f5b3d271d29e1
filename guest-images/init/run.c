// SPDX-License-Identifier: MIT
//
// `minivmm run` and `minivmm shell` in the guest: the host's root comes over virtio-fs, read-only,
// with a tmpfs over it that takes what is written; then one command runs there, and its standard
// streams go through ports of a virtio console.
//
// Keys: arg, env (in order), cwd, rw (TAG:PATH, a directory that is written to for good), hostname,
// tty (1: a terminal), rows, columns, net (1: there is a network interface, of minivmm -nic user).
// Ports of /dev/vportNp: 1 standard input, 2 output (a terminal's both), 3 error, 4 control. Control
// lines to the host: "start", "exec ERRNO" (it could not be run), "fail TEXT", "exit STATUS OUT-BYTES
// ERR-BYTES"; the host ends the machine when it has that many bytes. From the host: "eof BYTES"
// (where standard input ends), "closed 1" or "closed 2" (nobody reads that output any more), "size
// ROWS COLUMNS".
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "init.h"

#define PIECE 32768
#define LAST_PIECES 64
#define PORT_WAIT_MS 10000
#define VIRTIO_DEVICES_MOST 32
#define MAX_WORDS 16384
#define NO_BYTES UINT64_MAX
#define NO_FOLDER 100000 /* added to the errno where the working directory is the problem */

enum { PORT_STDIN = 1, PORT_STDOUT, PORT_STDERR, PORT_CONTROL, PORT_COUNT };

static int port[PORT_COUNT] = {-1, -1, -1, -1, -1};

/* One direction of one stream; source -1: it has ended. */
struct relay {
    int source, sink;
    uint64_t total, limit; /* bytes so far; bytes after which it ends */
    size_t have, done;
    char data[PIECE];
};

static struct relay in, out, err;

struct command {
    char *argv[MAX_WORDS], *envp[MAX_WORDS];
    const char *cwd;
    bool tty;
    long pid;
    bool ended;
    int status;
};

static struct command command;

static void control(const char *text)
{
    for (size_t len = strlen(text); len;) {
        long n = sys_write(port[PORT_CONTROL], text, len);
        if (n < 0 && n != -EAGAIN && n != -EINTR)
            return;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        if (n <= 0)
            sleep_ms(1);
    }
}

/* The host ends the machine; until then nothing happens any more. */
static _Noreturn void wait_for_the_end(void)
{
    SYS0(sync);
    for (;;)
        sleep_ms(60000);
}

static _Noreturn void fail(const char *what, const char *object, long error)
{
    char line[400], why[32];
    text_join(line, sizeof line, "fail ", what, " ", object, ": ", text_errno(why, (int)-error),
              "\n", NULL);
    say(line + 5, NULL);
    control(line);
    wait_for_the_end();
}

/* --- ports --- */

/* The number in its name depends on what other virtio devices there are. */
static long open_any(int number, int flags)
{
    char path[32], console[24], digits[24];
    long rc = -ENOENT;
    text_number(digits, (uint64_t)number);
    for (unsigned i = 0; i < VIRTIO_DEVICES_MOST && rc == -ENOENT; i++) {
        text_join(path, sizeof path, "/dev/vport", text_number(console, i), "p", digits, NULL);
        rc = sys_open(path, flags);
    }
    return rc;
}

static void open_port(int number)
{
    static const int flags[] = {0, O_RDONLY, O_WRONLY, O_WRONLY, O_RDWR};
    char digits[24];
    long rc = -ENOENT;
    for (int ms = 0; ms < PORT_WAIT_MS; ms++) {
        if (rc < 0)
            rc = open_any(number, flags[number] | O_CLOEXEC | O_NONBLOCK);
        struct pollfd p = {.fd = (int)rc};
        /* POLLHUP: the host has not said yet that it is there */
        if (rc >= 0 && SYS3(poll, &p, 1, 0) >= 0 && !(p.revents & POLLHUP)) {
            port[number] = (int)rc;
            return;
        }
        sleep_ms(1);
    }
    give_up("port ", text_number(digits, (uint64_t)number),
            " of the virtio console does not come: is virtio_console in this kernel?", NULL);
}

static void open_ports(void)
{
    open_port(PORT_CONTROL);
    for (int number = PORT_STDIN; number < PORT_CONTROL; number++)
        open_port(number);
}

/* --- the root --- */

static void must_mount(const char *from, const char *to, const char *type, unsigned long flags,
                       const char *data)
{
    int rc = sys_mount(from, to, type, flags, data);
    if (rc < 0)
        fail("mount", to, rc);
}

static void mount_writable(void)
{
    const char *at = NULL;
    for (const char *word; (word = word_next("rw", &at));) {
        char tag[40], path[4096 + 8];
        size_t n = 0;
        while (word[n] && word[n] != ':' && n < sizeof tag - 1) {
            tag[n] = word[n];
            n++;
        }
        tag[n] = '\0';
        text_join(path, sizeof path, "/new", word + n + 1, NULL);
        must_mount(tag, path, "virtiofs", MS_NOSUID | MS_NODEV, "");
    }
}

static void mount_root(void)
{
    static const char *const folders[] = {"/lower", "/over", "/new"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        sys_mkdir(folders[i], 0755);
    must_mount("root", "/lower", "virtiofs", MS_RDONLY, "");
    must_mount("tmpfs", "/over", "tmpfs", 0, "mode=755,size=80%");
    sys_mkdir("/over/upper", 0755);
    sys_mkdir("/over/work", 0755);
    must_mount("overlay", "/new", "overlay", 0,
               "lowerdir=/lower,upperdir=/over/upper,workdir=/over/work");
    if (word_get("net"))
        net_name_server("/new/etc/resolv.conf"); /* not in a directory that is written to for good */
    mount_writable();
}

static void mount_rest(void)
{
    static const struct {
        const char *type, *where, *data;
        unsigned long flags;
    } mounts[] = {
        {"proc", "/new/proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"sysfs", "/new/sys", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"devtmpfs", "/new/dev", "mode=755", MS_NOSUID},
        {"tmpfs", "/new/run", "mode=755", MS_NOSUID | MS_NODEV},
        {"devpts", "/new/dev/pts", "mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC},
        {"tmpfs", "/new/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    };
    static const char *const links[][2] = {{"/proc/self/fd", "/new/dev/fd"},
                                           {"/proc/self/fd/0", "/new/dev/stdin"},
                                           {"/proc/self/fd/1", "/new/dev/stdout"},
                                           {"/proc/self/fd/2", "/new/dev/stderr"}};
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        sys_mkdir(mounts[i].where, 0755);
        sys_mount(mounts[i].type, mounts[i].where, mounts[i].type, mounts[i].flags,
                  mounts[i].data);
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        SYS2(symlink, links[i][0], links[i][1]);
}

static void enter_root(void)
{
    SYS1(chdir, "/new");
    int rc = sys_mount(".", "/", NULL, MS_MOVE, NULL);
    if (rc == 0)
        rc = (int)SYS1(chroot, ".");
    if (rc < 0)
        fail("enter", "the root", rc);
    SYS1(chdir, "/");
}

/* --- the command --- */

static void read_words(void)
{
    size_t n = 0;
    const char *at = NULL;
    for (const char *word; n < MAX_WORDS - 1 && (word = word_next("arg", &at));)
        command.argv[n++] = (char *)(uintptr_t)word;
    n = 0;
    at = NULL;
    for (const char *word; n < MAX_WORDS - 1 && (word = word_next("env", &at));)
        command.envp[n++] = (char *)(uintptr_t)word;
    command.cwd = word_get("cwd");
    command.tty = word_get("tty");
    const char *hostname = word_get("hostname");
    if (hostname)
        SYS2(sethostname, hostname, strlen(hostname));
}

/* As a shell does: what the kernel does not know is a script. */
static long try_exec(const char *path)
{
    static char *script[MAX_WORDS + 1];
    long rc = SYS3(execve, path, command.argv, command.envp);
    if (rc != -ENOEXEC)
        return rc;
    script[0] = (char *)(uintptr_t) "/bin/sh";
    script[1] = (char *)(uintptr_t)path;
    for (size_t i = 1; (script[i + 1] = command.argv[i]); i++)
        continue;
    return SYS3(execve, script[0], script, command.envp);
}

static long search_path(const char *name)
{
    static char path[4096];
    const char *dirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    long rc = -ENOENT;
    for (char **env = command.envp; *env; env++) {
        if (starts_with(*env, "PATH="))
            dirs = *env + 5;
    }
    for (;;) {
        size_t n = 0;
        while (dirs[n] && dirs[n] != ':')
            n++;
        if (n + strlen(name) + 2 < sizeof path) {
            memcpy(path, n ? dirs : ".", n ? n : 1);
            text_join(path + (n ? n : 1), sizeof path - n - 1, "/", name, NULL);
            long one = try_exec(path);
            if (one != -ENOENT && one != -ENOTDIR && (rc == -ENOENT || one != -EACCES))
                rc = one;
        }
        if (!dirs[n])
            return rc;
        dirs += n + 1;
    }
}

/* In the child: become the command, or say why not. */
static _Noreturn void become_command(const int ends[3], int why)
{
    uint64_t none = 0;
    SYS0(setsid);
    if (command.tty)
        SYS3(ioctl, ends[0], TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        SYS2(dup2, ends[i], i);
    SYS4(rt_sigprocmask, 2 /* SIG_SETMASK */, &none, NULL, sizeof none);
    int rc = command.cwd ? (int)SYS1(chdir, command.cwd) : 0;
    if (rc < 0)
        rc -= NO_FOLDER;
    else
        rc = (int)(strchr(command.argv[0], '/') ? try_exec(command.argv[0])
                                                : search_path(command.argv[0]));
    sys_write(why, &rc, sizeof rc);
    SYS1(exit_group, 127);
    __builtin_unreachable();
}

static void set_size(unsigned rows, unsigned columns)
{
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    if (command.tty && rows && columns)
        SYS3(ioctl, in.sink, TIOCSWINSZ, &size);
}

static unsigned number_word(const char *key)
{
    const char *text = word_get(key);
    return text ? (unsigned)text_to_number(&text) : 0;
}

static void open_terminal(int ends[3])
{
    char path[32], digits[24];
    int zero = 0;
    unsigned number = 0;
    long master = sys_open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    long rc = master < 0 ? master : SYS3(ioctl, master, TIOCSPTLCK, &zero);
    if (rc == 0)
        rc = SYS3(ioctl, master, TIOCGPTN, &number);
    if (rc < 0)
        fail("open", "/dev/ptmx", rc);
    text_join(path, sizeof path, "/dev/pts/", text_number(digits, number), NULL);
    long slave = sys_open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (slave < 0)
        fail("open", path, slave);
    ends[0] = ends[1] = ends[2] = (int)slave;
    in.sink = out.source = (int)master;
    set_size(number_word("rows"), number_word("columns"));
}

static void open_pipes(int ends[3])
{
    int pipes[3][2];
    for (int i = 0; i < 3; i++) {
        long rc = SYS2(pipe2, pipes[i], O_CLOEXEC);
        if (rc < 0)
            fail("open", "a pipe", rc);
        int ours = pipes[i][i == 0];
        ends[i] = pipes[i][i != 0];
        SYS3(fcntl, ours, F_SETFL, O_NONBLOCK);
    }
    in.sink = pipes[0][1];
    out.source = pipes[1][0];
    err.source = pipes[2][0];
}

static void start_command(void)
{
    int ends[3], why[2], error = 0;
    char line[64], digits[24];
    if (command.tty)
        open_terminal(ends);
    else
        open_pipes(ends);
    long rc = SYS2(pipe2, why, O_CLOEXEC);
    if (rc == 0)
        command.pid = rc = SYS0(fork);
    if (rc < 0)
        fail("start", command.argv[0], rc);
    if (command.pid == 0)
        become_command(ends, why[1]);
    sys_close(why[1]);
    for (int i = 0; i < (command.tty ? 1 : 3); i++)
        sys_close(ends[i]);
    if (sys_read(why[0], &error, sizeof error) == sizeof error) {
        if (error <= -NO_FOLDER)
            fail("enter the working directory", command.cwd, error + NO_FOLDER);
        text_join(line, sizeof line, "exec ", text_number(digits, (uint64_t)-error), "\n", NULL);
        control(line);
        wait_for_the_end();
    }
    sys_close(why[0]);
    control("start\n");
}

/* --- relaying --- */

static void end_relay(struct relay *relay, bool close_sink)
{
    if (relay->source >= 0 && relay != &in)
        sys_close(relay->source);
    relay->source = -1;
    relay->have = relay->done = 0;
    if (close_sink && relay->sink >= 0) {
        sys_close(relay->sink);
        relay->sink = -1;
    }
}

/* The end of input: a terminal gets its key for that. */
static void end_input(void)
{
    if (command.tty) {
        sys_write(in.sink, "\004", 1);
        in.source = -1;
    } else {
        end_relay(&in, true);
    }
}

static bool may_fill(const struct relay *relay)
{
    return relay->source >= 0 && relay->done == relay->have && relay->total < relay->limit;
}

static bool fill(struct relay *relay)
{
    uint64_t left = relay->limit - relay->total;
    long n = sys_read(relay->source, relay->data, left < PIECE ? (size_t)left : PIECE);
    if (n == -EAGAIN || n == -EINTR)
        return false;
    if (n <= 0) { /* a pipe's end, or EIO: nobody has the terminal open */
        if (relay == &in)
            in.limit = in.total;
        else
            end_relay(relay, false);
        return false;
    }
    relay->have = (size_t)n;
    relay->done = 0;
    relay->total += (uint64_t)n;
    return true;
}

static void flush(struct relay *relay)
{
    long n = sys_write(relay->sink, relay->data + relay->done, relay->have - relay->done);
    if (n > 0)
        relay->done += (size_t)n;
    else if (n < 0 && n != -EAGAIN && n != -EINTR)
        relay->done = relay->have; /* the command closed its input: what comes is dropped */
}

static void check_input_end(void)
{
    if (in.source >= 0 && in.done == in.have && in.total >= in.limit)
        end_input();
}

static void obey(const char *line)
{
    const char *text = line;
    if (starts_with(line, "eof ")) {
        text += 4;
        in.limit = text_to_number(&text);
    } else if (starts_with(line, "closed ")) {
        end_relay(line[7] == '1' ? &out : &err, false);
    } else if (starts_with(line, "size ")) {
        text += 5;
        unsigned rows = (unsigned)text_to_number(&text);
        text += *text == ' ';
        set_size(rows, (unsigned)text_to_number(&text));
    }
}

static void read_control(void)
{
    static char line[128];
    static size_t used;
    char data[128];
    long n = sys_read(port[PORT_CONTROL], data, sizeof data);
    for (long i = 0; i < n; i++) {
        if (data[i] != '\n' && used < sizeof line - 1) {
            line[used++] = data[i];
            continue;
        }
        line[used] = '\0';
        used = 0;
        obey(line);
    }
}

static void reap(void)
{
    int status;
    for (long pid; (pid = SYS4(wait4, -1, &status, WNOHANG, NULL)) > 0;) {
        if (pid != command.pid)
            continue;
        command.ended = true;
        command.status = status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
    }
}

static struct pollfd wait_for(const struct relay *relay)
{
    bool pending = relay->done < relay->have;
    int fd = pending ? relay->sink : may_fill(relay) ? relay->source : -1;
    return (struct pollfd){.fd = fd, .events = pending ? POLLOUT : POLLIN};
}

static void move(struct relay *relay)
{
    if (relay->done < relay->have)
        flush(relay);
    else if (may_fill(relay) && fill(relay))
        flush(relay);
}

/* What the command left in its pipes; bounded, as a child it left behind may go on writing. */
static void drain(struct relay *relay)
{
    for (unsigned i = 0; i < LAST_PIECES;) {
        if (relay->done < relay->have) {
            struct pollfd p = {.fd = relay->sink, .events = POLLOUT};
            SYS3(poll, &p, 1, -1);
            flush(relay);
        } else if (relay->source < 0 || !fill(relay)) {
            return;
        } else {
            i++;
        }
    }
}

static void supervise(void)
{
    uint64_t chld = 1ull << (17 - 1);
    int signals = (int)SYS4(signalfd4, -1, &chld, sizeof chld, O_CLOEXEC | O_NONBLOCK);
    for (;;) {
        char info[128];
        struct pollfd p[] = {
            {.fd = signals, .events = POLLIN},
            {.fd = port[PORT_CONTROL], .events = POLLIN},
            wait_for(&in),
            wait_for(&out),
            wait_for(&err),
        };
        SYS3(poll, p, sizeof p / sizeof p[0], -1);
        while (sys_read(signals, info, sizeof info) > 0)
            continue;
        if (p[1].revents & POLLIN)
            read_control();
        if (p[2].revents)
            move(&in);
        if (p[3].revents)
            move(&out);
        if (p[4].revents)
            move(&err);
        check_input_end();
        reap();
        if (command.ended)
            return;
    }
}

void run_command(void)
{
    char line[96], digits[3][24];
    uint64_t chld = 1ull << (17 - 1);
    open_ports();
    mount_root();
    mount_rest();
    enter_root();
    net_start_loopback();
    long rc = word_get("net") ? net_start() : 0;
    if (rc < 0)
        fail("set up", "the network", rc);
    read_words();
    SYS4(rt_sigprocmask, 0 /* SIG_BLOCK */, &chld, NULL, sizeof chld);
    in.source = port[PORT_STDIN];
    out.sink = port[PORT_STDOUT];
    err.source = -1;
    err.sink = port[PORT_STDERR];
    in.limit = out.limit = err.limit = NO_BYTES;
    start_command();
    supervise();
    drain(&out);
    drain(&err);
    SYS0(sync);
    text_join(line, sizeof line, "exit ", text_number(digits[0], (uint64_t)command.status), " ",
              text_number(digits[1], out.total), " ", text_number(digits[2], err.total), "\n",
              NULL);
    control(line);
    wait_for_the_end();
}
