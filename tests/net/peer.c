// SPDX-License-Identifier: MIT
//
// The other side in the network tests:
//   peer hub PATH          a hub for frames: whoever connects to the UNIX stream socket hears the others
//   peer dns ADDR NUMBER   a name server that answers every question for an address with NUMBER
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PEERS 8

static uint8_t frame[70000];

static int read_all(int fd, uint8_t *buf, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, buf + at, len - at);
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *buf, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, buf + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

/* One frame from `from` to everybody else. */
static int pass_on(struct pollfd *p, unsigned n, unsigned from)
{
    if (read_all(p[from].fd, frame, 4))
        return -1;
    size_t len = (size_t)frame[0] << 24 | (size_t)frame[1] << 16 | (size_t)frame[2] << 8 | frame[3];
    if (len > sizeof frame - 4 || read_all(p[from].fd, frame + 4, len))
        return -1;
    for (unsigned i = 1; i < n; i++) {
        if (i != from)
            write_all(p[i].fd, frame, len + 4);
    }
    return 0;
}

static int hub(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct pollfd p[PEERS + 1];
    unsigned n = 1;
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    p[0] = (struct pollfd){.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN};
    if (bind(p[0].fd, (struct sockaddr *)&a, sizeof a) || listen(p[0].fd, PEERS))
        return 1;
    for (;;) {
        if (poll(p, n, -1) < 0)
            return 1;
        for (unsigned i = n; i-- > 1;) {
            if (p[i].revents && pass_on(p, n, i)) {
                close(p[i].fd);
                p[i] = p[--n];
            }
        }
        if (p[0].revents && n <= PEERS)
            p[n++] = (struct pollfd){.fd = accept(p[0].fd, NULL, NULL), .events = POLLIN};
    }
}

/* The question comes back with an answer behind it (to other questions: with none). */
static int dns(const char *addr, const char *number)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)}, from;
    uint8_t q[600];
    static const uint8_t answer[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (inet_pton(AF_INET, addr, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a))
        return 1;
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, q, 512, 0, (struct sockaddr *)&from, &len);
        if (n < 17)
            continue;
        q[2] = 0x81;
        q[3] = 0x80;
        memset(q + 6, 0, 6);
        if (q[n - 3] == 1) { /* type A */
            q[7] = 1;
            memcpy(q + n, answer, sizeof answer);
            inet_pton(AF_INET, number, q + n + sizeof answer);
            n += sizeof answer + 4;
        }
        sendto(fd, q, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "hub"))
        return hub(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "dns"))
        return dns(argv[2], argv[3]);
    fprintf(stderr, "usage: peer hub PATH | peer dns ADDR NUMBER\n");
    return 2;
}
