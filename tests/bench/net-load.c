// SPDX-License-Identifier: MIT
//
// TCP load for tests/bench/net.sh.
//   net-load serve PORT BYTES PIDFILE    on the host: the first connection is sent so many bytes, the second is read from; for
//                                        each one line: direction, MB/s, CPU seconds for a GiB of the process in PIDFILE
//                                        with its children
//   net-load run ADDR PORT BYTES         in the guest: the other side of both
#include <arpa/inet.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[256 << 10];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double ticks_of(long pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *p = strrchr(text, ')');
    if (p)
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* CPU seconds of a process and of the children of each of its threads. */
static double cpu_of(long pid)
{
    char path[300];
    double sum = ticks_of(pid);
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        long child;
        snprintf(path, sizeof path, "/proc/%ld/task/%s/children", pid, e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fscanf(f, "%ld", &child) == 1)
            sum += ticks_of(child);
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return sum;
}

static long long move(int fd, int out, long long bytes)
{
    long long done = 0;
    while (done < bytes) {
        size_t part = bytes - done < (long long)sizeof buffer ? (size_t)(bytes - done) : sizeof buffer;
        ssize_t n = out ? write(fd, buffer, part) : read(fd, buffer, part);
        if (n <= 0)
            break;
        done += n;
    }
    return done;
}

static int serve(uint16_t port, long long bytes, const char *pidfile)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1))
        return 1;
    for (int out = 1; out >= 0; out--) {
        long pid = 0;
        char end;
        int c = accept(fd, NULL, NULL);
        FILE *f = fopen(pidfile, "r");
        if (!f || fscanf(f, "%ld", &pid) != 1)
            return 1;
        fclose(f);
        double cpu = cpu_of(pid), start = now();
        long long done = move(c, out, bytes);
        if (out && read(c, &end, 1) != 1) /* the guest has it all */
            return 1;
        double seconds = now() - start;
        cpu = cpu_of(pid) - cpu;
        if (!out && write(c, "x", 1) != 1)
            return 1;
        close(c);
        if (done != bytes)
            return 1;
        printf("%s %.0f %.2f\n", out ? "host-to-guest" : "guest-to-host", (double)bytes / 1e6 / seconds,
               cpu / ((double)bytes / (1 << 30)));
        fflush(stdout);
    }
    return 0;
}

static int run(const char *addr, uint16_t port, long long bytes)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, addr, &a.sin_addr);
    for (int out = 0; out <= 1; out++) {
        char end = 'x';
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) || move(fd, out, bytes) != bytes)
            return 1;
        if (out ? read(fd, &end, 1) != 1 : write(fd, &end, 1) != 1)
            return 1;
        close(fd);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "serve"))
        return serve((uint16_t)atoi(argv[2]), atoll(argv[3]), argv[4]);
    if (argc == 5 && !strcmp(argv[1], "run"))
        return run(argv[2], (uint16_t)atoi(argv[3]), atoll(argv[4]));
    return 2;
}
