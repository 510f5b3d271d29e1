// SPDX-License-Identifier: MIT
//
// Instructions in Intel's syntax, by the disassembler that runs as a helper program
// (disasm/main.c). Where its library is not installed there is no text.
#include "src/accel/lockstep/disasm.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"

#define PATIENCE_MS 5000

extern const unsigned char disasm_image[], disasm_image_end[];

static bool ask(int fd, const struct disasm_insn *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char line[80];
        int at =
            snprintf(line, sizeof line, "%u %llx ", list[i].bits, (unsigned long long)list[i].rip);
        for (unsigned b = 0; b < list[i].len; b++)
            at += snprintf(line + at, sizeof line - (size_t)at, "%02x", list[i].bytes[b]);
        at += snprintf(line + at, sizeof line - (size_t)at, "%s\n", list[i].len ? "" : "-");
        if (send(fd, line, (size_t)at, MSG_NOSIGNAL) != at)
            return false;
    }
    return !shutdown(fd, SHUT_WR);
}

/* To its end. */
static size_t hear(int fd, char *buf, size_t len)
{
    size_t used = 0;
    ssize_t n = 1;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (n > 0 && used < len - 1 && poll(&p, 1, PATIENCE_MS) == 1) {
        n = read(fd, buf + used, len - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    buf[used] = '\0';
    return used;
}

static void split(char *answer, char text[][DISASM_TEXT], unsigned n)
{
    char *line = answer;
    for (unsigned i = 0; i < n && line; i++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        snprintf(text[i], DISASM_TEXT, "%.*s", DISASM_TEXT - 1, line);
        line = end ? end + 1 : NULL;
    }
}

void disassemble(const struct disasm_insn *list, unsigned n, char text[][DISASM_TEXT])
{
    const struct helper_image image = {"minivmm-disasm", disasm_image, disasm_image_end};
    char answer[DISASM_MOST * DISASM_TEXT];
    int pair[2];
    pid_t pid;
    for (unsigned i = 0; i < n; i++)
        text[i][0] = '\0';
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return;
    bool started = !helper_start(&image, pair[1], pair[1], &pid);
    close(pair[1]);
    if (started && ask(pair[0], list, n) && hear(pair[0], answer, sizeof answer))
        split(answer, text, n);
    close(pair[0]);
    if (started) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}
