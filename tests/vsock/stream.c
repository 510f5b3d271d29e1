// SPDX-License-Identifier: MIT
//
// Both ends of a stream: in the guest over virtio sockets, on the host over UNIX sockets.
//   stream vsock-listen PORT | vsock-connect CID PORT | unix-listen PATH | unix-connect PATH PORT
// then SEED BYTES, or nothing to tell only whether there was a connection. With them each end sends
// that many bytes made of its seed while it reads, shuts its direction, reads to the end, and prints
// how many bytes came and their sum: "got BYTES SUM". With 0 hold it says "holding", sends nothing, and says "ended" when the other end is gone.
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static uint64_t fnv(uint64_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static void make(uint8_t *p, size_t n, uint64_t *x)
{
    for (size_t i = 0; i < n; i++) {
        *x = *x * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(*x >> 56);
    }
}

static int fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static void exchange(int fd, uint64_t seed, size_t left)
{
    static uint8_t out[30000], in[50000];
    uint64_t sum = 0xcbf29ce484222325u, made = seed;
    size_t got = 0, have = 0, at = 0;
    int open_out = 1, open_in = 1;
    uint64_t sent_sum = sum;
    while (open_in || open_out) {
        struct pollfd p = {fd, (short)((open_in ? POLLIN : 0) | (open_out ? POLLOUT : 0)), 0};
        poll(&p, 1, -1);
        if (open_in && (p.revents & (POLLIN | POLLHUP))) {
            ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                fail("recv");
            open_in = n != 0;
            if (n > 0) {
                got += (size_t)n;
                sum = fnv(sum, in, (size_t)n);
            }
        }
        if (open_out && (p.revents & POLLOUT)) {
            if (at == have && left) {
                have = left < sizeof out ? left : sizeof out;
                left -= have;
                at = 0;
                make(out, have, &made);
                sent_sum = fnv(sent_sum, out, have);
            }
            ssize_t n = at < have ? send(fd, out + at, have - at, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
            if (n < 0 && errno != EAGAIN)
                fail("send");
            at += n > 0 ? (size_t)n : 0;
            if (at == have && !left) {
                shutdown(fd, SHUT_WR);
                open_out = 0;
            }
        }
    }
    printf("got %zu %016llx sent %016llx\n", got, (unsigned long long)sum,
           (unsigned long long)sent_sum);
}

static void hold(int fd)
{
    char c;
    printf("holding\n");
    fflush(stdout);
    printf("ended %zd\n", recv(fd, &c, 1, 0));
}

static int listen_one(const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, addr, len) || listen(fd, 1))
        fail("listen");
    printf("listening\n");
    fflush(stdout);
    int got = accept(fd, NULL, NULL);
    if (got < 0)
        fail("accept");
    return got;
}

static int connect_to(const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, addr, len))
        fail("connect");
    return fd;
}

static void ask(int fd, const char *port)
{
    char line[64], c;
    size_t n = 0;
    int len = snprintf(line, sizeof line, "CONNECT %s\n", port);
    if (write(fd, line, (size_t)len) != len)
        fail("ask");
    while (read(fd, &c, 1) == 1 && c != '\n' && n < sizeof line - 1)
        line[n++] = c;
    line[n] = 0;
    if (strncmp(line, "OK ", 3)) {
        printf("refused\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *mode = argc > 2 ? argv[1] : "";
    int used = 3, fd = -1;
    if (!strcmp(mode, "vsock-listen")) {
        vm.svm_port = (unsigned)strtoul(argv[2], NULL, 0);
        fd = listen_one((struct sockaddr *)&vm, sizeof vm);
    } else if (!strcmp(mode, "vsock-connect") && argc > 3) {
        vm.svm_cid = (unsigned)strtoul(argv[2], NULL, 0);
        vm.svm_port = (unsigned)strtoul(argv[3], NULL, 0);
        used = 4;
        fd = connect_to((struct sockaddr *)&vm, sizeof vm);
    } else if (*mode) {
        snprintf(un.sun_path, sizeof un.sun_path, "%s", argv[2]);
        if (!strcmp(mode, "unix-listen")) {
            fd = listen_one((struct sockaddr *)&un, sizeof un);
        } else if (argc > 3) {
            fd = connect_to((struct sockaddr *)&un, sizeof un);
            ask(fd, argv[3]);
            used = 4;
        }
    }
    if (fd < 0)
        return 2;
    if (argc > used + 1 && !strcmp(argv[used + 1], "hold"))
        hold(fd);
    else if (argc > used + 1)
        exchange(fd, strtoull(argv[used], NULL, 0), strtoul(argv[used + 1], NULL, 0));
    else
        printf("connected\n");
    return 0;
}
